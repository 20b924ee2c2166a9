// Losses, gradients and updates of a case from Python.

import { matrix } from "../../../sorl_edu/widgets/playground/networks.mjs";
import { flowMatchingLoss, selfConsistencyLoss } from "../../../sorl_edu/widgets/draw_your_own/losses.mjs";
import { arrays, copied } from "../../../sorl_edu/widgets/draw_your_own/mlp.mjs";
import { sample } from "../../../sorl_edu/widgets/draw_your_own/sampling.mjs";
import { Adam, cosineDecay, follow } from "../../../sorl_edu/widgets/draw_your_own/training.mjs";

const floats = (rows) => matrix(rows.length, rows[0].length, Float32Array.from(rows.flat()));
const network = (layers) =>
  layers.map(([kernel, bias]) => ({ kernel: floats(kernel), bias: Float32Array.from(bias) }));
const lists = (layers) => arrays(layers).map((array) => Array.from(array));

/** What the page's modules make of a case. */
export function run(given) {
  const [layers, average] = [network(given.layers), network(given.average)];
  const { a_1, a_0, t, h, uniforms, M, model, rate, updates, tau, noise } = given;
  const batch = [floats(a_1), floats(a_0)];
  const flow = flowMatchingLoss(layers, ...batch, Float32Array.from(t), h);
  const all = { flow };
  if (model === "shortcut")
    all.consistency = selfConsistencyLoss(layers, average, ...batch, uniforms, M);
  const found = Object.entries(all).map(([name, { loss, gradients }]) => [
    name,
    { loss, gradients: lists(gradients) },
  ]);
  const samples = [1, 2, 16].map((m) =>
    Array.from(sample(model, layers, floats(noise), m).values),
  );
  const [changed, moving] = [copied(layers), copied(average)];
  const adam = new Adam(changed, cosineDecay(rate, updates.length));
  for (const gradients of updates) {
    adam.update(changed, network(gradients));
    follow(moving, changed, tau);
  }
  const after = { updated: lists(changed), average: lists(moving) };
  return { losses: Object.fromEntries(found), samples, ...after, trained: trained() };

  /** The losses while the field learns this batch. */
  function trained() {
    const learning = copied(layers);
    const optimizer = new Adam(learning, cosineDecay(rate, 10));
    return Array.from({ length: 10 }, () => {
      const { loss, gradients } = flowMatchingLoss(learning, ...batch, Float32Array.from(t), h);
      optimizer.update(learning, gradients);
      return loss;
    });
  }
}
