// Sampling and choosing, as lessons 1, 2 and 5 have them.
//
// A field is a function v(obs, a_t, t) of batches, and returns velocities; a value is a function
// Q(obs, actions), and returns a number for each row. An observation of one row counts for all.

import { constant, matrix } from "./networks.mjs";

/** Noise a_0 ~ N(0, I) of `count` candidates; candidate n is the same whatever their number is. */
export function candidateNoise(draw, count, actionDim) {
  return matrix(count, actionDim, Float64Array.from({ length: count * actionDim }, draw));
}

/** One Euler step of size h: a_{t+h} = a_t + h v(a_t, t | o). */
export function eulerStep(field, obs, a_t, t, h) {
  const v = field(obs, a_t, constant(a_t.rows, t));
  const next = a_t.values.map((a, i) => a + h * v.values[i]);
  return matrix(a_t.rows, a_t.columns, next);
}

/** The way from noise to data in m equal Euler steps: [a_0, a_{1/m}, ..., a_1]. */
export function integratePath(field, obs, noise, m) {
  const path = [noise];
  for (let i = 0; i < m; i++) path.push(eulerStep(field, obs, path[i], i / m, 1 / m));
  return path;
}

/** Every number limited to [-1, 1], the range of actions. */
export function clip(x) {
  return matrix(x.rows, x.columns, x.values.map((a) => Math.min(Math.max(a, -1), 1)));
}

/** The index of the largest number; of equal ones, the first. */
export function argmax(numbers) {
  let best = 0;
  for (let n = 1; n < numbers.length; n++) if (numbers[n] > numbers[best]) best = n;
  return best;
}

/**
 * Best of N: candidates from given noise, what each is worth, and the one that is chosen.
 *
 *     a^(1) ... a^(N) ~ pi(. | o, m),   a = a^(n),   n = argmax_n Q(o, a^(n))
 *
 * @returns {{path, actions, q, chosen}} the way of all candidates as `integratePath` gives it, the
 *   candidates, their values, and the chosen one's index. Without a critic q is null, and the first
 *   candidate is chosen.
 */
export function propose(agent, obs, noise, m) {
  const path = integratePath(agent.field(m), obs, noise, m);
  const actions = clip(path.at(-1));
  const q = agent.value === null ? null : agent.value(m)(obs, actions);
  return { path, actions, q, chosen: q === null ? 0 : argmax(q) };
}

/** Forward passes per action: N m through the field and, to choose among N > 1, N per critic. */
export function networkEvaluations(m, N, ensemble) {
  return N * m + (N > 1 ? N * ensemble : 0);
}

/**
 * For each of K candidates, the probability that it is chosen when N of them are drawn.
 *
 * The candidate of rank r (the worst has rank 1) is chosen if it is drawn and the other N - 1 are
 * worse: with probability C(r-1, N-1) / C(K, N). From the best one, for which that is N/K, down:
 *
 *     p_K = N / K,   p_{r-1} = p_r (r - N) / (r - 1)
 *
 * It is the exact mean over all ways to draw N of the K, where many draws would only come near.
 */
export function chanceToBeChosen(q, N) {
  const K = q.length;
  const best = Array.from(q.keys()).sort((a, b) => q[b] - q[a]);
  const chances = new Float64Array(K);
  let p = Math.min(N, K) / K;
  for (let r = K; r >= 1; r--) {
    chances[best[K - r]] = p;
    p *= Math.max(r - N, 0) / (r - 1);
  }
  return chances;
}

/** The RMS distance of actions, each with its probability, from their mean. */
export function spread(actions, chances) {
  const { rows, columns, values } = actions;
  let variance = 0;
  for (let i = 0; i < columns; i++) {
    let mean = 0;
    for (let b = 0; b < rows; b++) mean += chances[b] * values[b * columns + i];
    for (let b = 0; b < rows; b++) variance += chances[b] * (values[b * columns + i] - mean) ** 2;
  }
  return Math.sqrt(variance);
}
