// The losses of lessons 1 and 2, as sorl_edu/flow_matching.py and sorl_edu/shortcut.py have them,
// with their gradients. All of their random numbers are given.
//
// Batches of points are matrices of two columns; times t and step sizes h are one number for each
// row. A field has the lessons' inputs: an observation, which is 0 here, the point, the time and,
// for a shortcut, the level log2(1/h).

import { backward, forward, outputs, zeros } from "./mlp.mjs";

const EPSILON = 1e-5;

/** The inputs of a field; without step sizes `h`, those of lesson 1's. */
export function inputs(a_t, t, h = null) {
  const x = zeros(a_t.rows, h === null ? 4 : 5);
  for (let b = 0, at = 0; b < a_t.rows; b++) {
    x.values[at + 1] = a_t.values[2 * b];
    x.values[at + 2] = a_t.values[2 * b + 1];
    x.values[at + 3] = t[b];
    if (h !== null) x.values[at + 4] = -Math.log2(h[b]);
    at += x.columns;
  }
  return x;
}

/** The path: a_t = (1 - (1 - eps) t) a_0 + t a_1. */
export function interpolate(a_0, a_1, t) {
  const a_t = zeros(a_1.rows, 2);
  for (let k = 0; k < a_t.values.length; k++) {
    const time = t[k >> 1];
    a_t.values[k] = (1 - (1 - EPSILON) * time) * a_0.values[k] + time * a_1.values[k];
  }
  return a_t;
}

/** Its velocity: u = a_1 - (1 - eps) a_0. */
export function velocityTarget(a_0, a_1) {
  const u = zeros(a_1.rows, 2);
  for (let k = 0; k < u.values.length; k++)
    u.values[k] = a_1.values[k] - (1 - EPSILON) * a_0.values[k];
  return u;
}

/** The mean of |field(x) - target|^2 over batch and action, and its gradients by the parameters. */
function regression(layers, x, target) {
  const { y, kept } = forward(layers, x);
  const gradient = zeros(y.rows, y.columns);
  const count = y.values.length;
  let sum = 0;
  for (let k = 0; k < count; k++) {
    const miss = y.values[k] - target.values[k];
    sum += miss * miss;
    gradient.values[k] = (2 * miss) / count;
  }
  return { loss: sum / count, gradients: backward(layers, kept, gradient) };
}

/** Flow matching, |v(a_t, t) - u|^2; a shortcut learns it at its smallest step, h = 1/M. */
export function flowMatchingLoss(layers, a_1, a_0, t, h = null) {
  const steps = h === null ? null : new Float32Array(a_1.rows).fill(h);
  const x = inputs(interpolate(a_0, a_1, t), t, steps);
  return regression(layers, x, velocityTarget(a_0, a_1));
}

/** For each row the large step 2h = 1/2^j: even over j = 0 .. log2(M) - 1, a remainder on j = 0. */
export function largeSteps(batch, M) {
  const levels = Math.log2(M);
  const share = Math.floor(batch / levels);
  const rest = batch - share * levels;
  return Float32Array.from({ length: batch }, (_, b) =>
    b < rest ? 1 : 2 ** -Math.floor((b - rest) / share),
  );
}

/**
 * Self-consistency, |s(a_t, t, 2h) - (v1 + v2)/2|^2. The target has no gradient:
 *
 *     v1 = s'(a_t, t, h),   v2 = s'(a_t + h v1, t + h, h)
 *
 * @param layers s, which learns.
 * @param average s', its moving average.
 * @param {number[]} uniforms from [0, 1), a number for each row: t is on the grid of 2h.
 */
export function selfConsistencyLoss(layers, average, a_1, a_0, uniforms, M) {
  const large = largeSteps(a_1.rows, M);
  const h = large.map((step) => step / 2);
  const t = large.map((step, b) => Math.floor(uniforms[b] / step) * step);
  const a_t = interpolate(a_0, a_1, t);
  const target = twoSteps(average, a_t, t, h);
  return regression(layers, inputs(a_t, t, large), target);
}

/** The mean velocity of two steps of size h from (a_t, t). */
function twoSteps(average, a_t, t, h) {
  const v1 = outputs(average, inputs(a_t, t, h));
  const half = zeros(a_t.rows, 2);
  for (let k = 0; k < half.values.length; k++)
    half.values[k] = a_t.values[k] + h[k >> 1] * v1.values[k];
  const later = t.map((time, b) => time + h[b]);
  const v2 = outputs(average, inputs(half, later, h));
  for (let k = 0; k < v2.values.length; k++) v2.values[k] = (v1.values[k] + v2.values[k]) / 2;
  return v2;
}
