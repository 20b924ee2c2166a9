// Samples of a field, and how far they are from the data.

import { SETTINGS } from "./training.mjs";
import { inputs } from "./losses.mjs";
import { outputs, zeros } from "./mlp.mjs";

/** Noise carried to data in m Euler steps of 1/m; a shortcut sees h = 1/min(m, M). */
export function sample(model, layers, noise, m) {
  const { rows } = noise;
  const fill = (value) => new Float32Array(rows).fill(value);
  const h = model === "shortcut" ? fill(1 / Math.min(m, SETTINGS.M)) : null;
  const a_t = zeros(rows, 2);
  a_t.values.set(noise.values);
  for (let i = 0; i < m; i++) {
    const v = outputs(layers, inputs(a_t, fill(i / m), h));
    for (let k = 0; k < a_t.values.length; k++) a_t.values[k] += v.values[k] / m;
  }
  return a_t;
}

/** The mean distance between a point of one cloud and a point of another. */
function meanDistance(one, other) {
  const [a, b] = [one.values, other.values];
  let sum = 0;
  for (let i = 0; i < a.length; i += 2) {
    for (let j = 0; j < b.length; j += 2) {
      const dx = a[i] - b[j];
      const dy = a[i + 1] - b[j + 1];
      sum += Math.sqrt(dx * dx + dy * dy);
    }
  }
  return sum / (one.rows * other.rows);
}

/** The energy distance, of plotting/clouds.py: D^2 = 2 E|X - Y| - E|X - X'| - E|Y - Y'|. */
export function energyDistance(x, y) {
  const squared = 2 * meanDistance(x, y) - meanDistance(x, x) - meanDistance(y, y);
  return Math.sqrt(Math.max(squared, 0));
}
