// Training, as lessons 1 and 2 write it: Adam with a learning rate that falls as a cosine, a moving
// average of the parameters, and a batch drawn from the points at each update.
//
// The backward pass is our own, and not @jax-js/jax's (version 0.1.25, in WebAssembly). In batches of
// 128, a loss with its gradients took ours 3 to 6 ms of one core, and theirs 3 to 4; in batches of 256,
// 8 and 4 to 5. But theirs is 570 kB beside our 15, must be fetched where a notebook may have no
// network, and hides what a student can here read beside the lesson.

import { normal, uniform } from "../playground/random.mjs";
import { arrays, copied, initialised, zeros } from "./mlp.mjs";
import { flowMatchingLoss, selfConsistencyLoss } from "./losses.mjs";

/** Lessons 1 and 2 have the same, and batches of 256. */
export const SETTINGS = {
  hidden: [64, 64, 64],
  batch: 128,
  learningRate: 5e-3,
  M: 8, // the finest step of a shortcut is 1/M
  tau: 0.005, // of the moving average, s'
};

/** Adam, as optax defines it: b1 = 0.9, b2 = 0.999, eps = 1e-8, with `rate(count)` from count 0. */
export class Adam {
  constructor(layers, rate) {
    const moments = () => arrays(layers).map(({ length }) => new Float32Array(length));
    Object.assign(this, { rate, count: 0, means: moments(), squares: moments() });
  }

  /** Changes the parameters in place. */
  update(layers, gradients) {
    const [b1, b2, epsilon] = [0.9, 0.999, 1e-8];
    const rate = this.rate(this.count);
    this.count += 1;
    const corrections = [1 - b1 ** this.count, 1 - b2 ** this.count];
    const slopes = arrays(gradients);
    arrays(layers).forEach((parameters, n) => {
      const [g, mean, square] = [slopes[n], this.means[n], this.squares[n]];
      for (let k = 0; k < parameters.length; k++) {
        mean[k] = b1 * mean[k] + (1 - b1) * g[k];
        square[k] = b2 * square[k] + (1 - b2) * g[k] * g[k];
        const step = mean[k] / corrections[0] / (Math.sqrt(square[k] / corrections[1]) + epsilon);
        parameters[k] -= rate * step;
      }
    });
  }
}

/** optax.cosine_decay_schedule(initial, updates). */
export function cosineDecay(initial, updates) {
  return (count) => (initial * (1 + Math.cos((Math.PI * Math.min(count, updates)) / updates))) / 2;
}

/** Moves an average towards the parameters, in place: average += tau (parameters - average). */
export function follow(average, layers, tau) {
  const parameters = arrays(layers);
  arrays(average).forEach((means, n) => {
    for (let k = 0; k < means.length; k++) means[k] += tau * (parameters[n][k] - means[k]);
  });
}

/** Adds gradients to others, in place. */
function add(to, gradients) {
  const more = arrays(gradients);
  arrays(to).forEach((sums, n) => {
    for (let k = 0; k < sums.length; k++) sums[k] += more[n][k];
  });
}

/** A training of a "flow" (lesson 1) or of a "shortcut" (lesson 2) on points of the plane. */
export class Training {
  /**
   * @param {{model: string, points: Float32Array, updates: number, seed: number}} given the points
   *   one after the other, x and y; and the number of updates, over which the learning rate falls.
   */
  constructor({ model, points, updates, seed }) {
    const { hidden, learningRate } = SETTINGS;
    Object.assign(this, { model, points, updates, done: 0 });
    this.uniform = uniform(2 * seed);
    this.normal = normal(2 * seed + 1);
    const inputs = model === "shortcut" ? 5 : 4; // observation, x, y, t, and the level
    this.layers = initialised([inputs, ...hidden, 2], this.uniform);
    this.average = copied(this.layers);
    this.adam = new Adam(this.layers, cosineDecay(learningRate, updates));
  }

  /** One update; returns its losses, of which a flow has the first. */
  update() {
    const { batch, M } = SETTINGS;
    const a_1 = this.drawn(batch);
    const isFlow = this.model === "flow";
    const t = this.uniforms(batch);
    const flow = flowMatchingLoss(this.layers, a_1, this.noise(batch), t, isFlow ? null : 1 / M);
    const losses = { flow: flow.loss };
    if (!isFlow) losses.consistency = this.addConsistency(flow.gradients, a_1);
    this.adam.update(this.layers, flow.gradients);
    if (!isFlow) follow(this.average, this.layers, SETTINGS.tau);
    this.done += 1;
    return losses;
  }

  /** Adds the gradients of the self-consistency loss, which has noise and times of its own. */
  addConsistency(gradients, a_1) {
    const [a_0, uniforms] = [this.noise(a_1.rows), this.uniforms(a_1.rows)];
    const { layers, average } = this;
    const found = selfConsistencyLoss(layers, average, a_1, a_0, uniforms, SETTINGS.M);
    add(gradients, found.gradients);
    return found.loss;
  }

  /** A batch of the points, each drawn from all of them. */
  drawn(batch) {
    const a_1 = zeros(batch, 2);
    for (let b = 0; b < batch; b++) {
      const row = Math.floor((this.uniform() * this.points.length) / 2);
      a_1.values.set(this.points.subarray(2 * row, 2 * row + 2), 2 * b);
    }
    return a_1;
  }

  noise(batch) {
    const a_0 = zeros(batch, 2);
    for (let k = 0; k < a_0.values.length; k++) a_0.values[k] = this.normal();
    return a_0;
  }

  uniforms(batch) {
    return Float32Array.from({ length: batch }, this.uniform);
  }
}
