// Work that takes longer than one picture is done in portions: many draws at one state, and the
// policy at every place of a maze. Each has `done`, and `advance()`, which computes a portion.

import { candidateNoise, chanceToBeChosen, propose, spread } from "./inference.mjs";
import { matrix, row } from "./networks.mjs";
import { normal } from "./random.mjs";

const PORTION = 512; // evaluations of the field, some milliseconds
const POOL = 2048; // candidates

/** How many rows a portion has, for m steps. */
function portion(m) {
  return Math.max(Math.floor(PORTION / m), 8);
}

/** Q over the square of actions, side x side bins, the lowest row first; null without a critic. */
export function valueSquare(agent, obs, m, side) {
  if (agent.value === null) return null;
  const at = (i) => (2 * i + 1) / side - 1; // a bin's middle
  const actions = matrix(side * side, 2);
  for (let b = 0; b < side * side; b++) {
    actions.values[2 * b] = at(b % side);
    actions.values[2 * b + 1] = at(Math.floor(b / side));
  }
  return agent.value(m)(obs, actions);
}

/** Candidates at one state, from which the chosen action's distribution follows for every N. */
export class Pool {
  constructor(agent, obs, m, seed) {
    Object.assign(this, { agent, obs, m, draw: normal(seed), count: 0 });
    this.actions = [];
    this.q = [];
  }

  get done() {
    return this.count >= POOL;
  }

  advance() {
    const rows = Math.min(portion(this.m), POOL - this.count);
    const noise = candidateNoise(this.draw, rows, this.agent.actionDim);
    const { actions, q } = propose(this.agent, this.obs, noise, this.m);
    this.count += rows;
    this.actions.push(...actions.values);
    if (q !== null) this.q.push(...q);
  }

  /** The actions so far, each one's probability to be chosen among N, and the spread. */
  chosen(N) {
    const { count, agent } = this;
    const actions = matrix(count, agent.actionDim, Float64Array.from(this.actions));
    const chances =
      agent.value === null ? new Float64Array(count).fill(1 / count) : chanceToBeChosen(this.q, N);
    return { actions, chances, spread: spread(actions, chances) };
  }
}

/** The density of actions on a grid over [-1, 1]^2, smoothed over neighbouring bins. */
export function histogram(actions, chances, side) {
  const bin = (a) => Math.min(Math.floor(((a + 1) / 2) * side), side - 1);
  const density = new Float64Array(side * side);
  for (let b = 0; b < actions.rows; b++) {
    const [x, y] = row(actions, b);
    density[bin(y) * side + bin(x)] += chances[b];
  }
  return smooth(smooth(density, side, 1), side, side);
}

/** Each bin averaged with its neighbours (1, 2, 1) along an axis whose bins lie `stride` apart. */
function smooth(density, side, stride) {
  const at = (i, step) => {
    const along = Math.floor(i / stride) % side;
    return along + step < 0 || along + step >= side ? density[i] : density[i + step * stride];
  };
  return density.map((d, i) => (at(i, -1) + 2 * d + at(i, 1)) / 4);
}

/**
 * The policy of m steps at every place: its mean action, and V(o), the mean of Q(o, a) over
 * a ~ pi(. | o, m). The noise is the same everywhere.
 */
export class Landscape {
  constructor(agent, places, m, seed, samples = 6) {
    Object.assign(this, { agent, places, m, samples, count: 0 });
    this.noise = candidateNoise(normal(seed), samples, agent.actionDim);
    this.values = agent.value === null ? null : new Float64Array(places.rows);
    this.means = matrix(places.rows, agent.actionDim);
  }

  get done() {
    return this.count >= this.places.rows;
  }

  advance() {
    const { agent, places, m, samples } = this;
    const portionOfPlaces = Math.ceil(portion(m) / samples);
    const end = Math.min(this.count + portionOfPlaces, places.rows);
    const rows = (end - this.count) * samples;
    const obs = matrix(rows, places.columns);
    const noise = matrix(rows, agent.actionDim);
    for (let b = 0; b < rows; b++) {
      row(obs, b).set(row(places, this.count + Math.floor(b / samples)));
      row(noise, b).set(row(this.noise, b % samples));
    }
    const { actions, q } = propose(agent, obs, noise, m);
    for (let b = 0; b < rows; b++) {
      const place = this.count + Math.floor(b / samples);
      if (q !== null) this.values[place] += q[b] / samples;
      const mean = row(this.means, place);
      row(actions, b).forEach((a, i) => (mean[i] += a / samples));
    }
    this.count = end;
  }
}
