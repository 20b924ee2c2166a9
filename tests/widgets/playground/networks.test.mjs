import assert from "node:assert/strict";
import { test } from "node:test";
import {
  concatenate,
  dense,
  encode,
  gelu,
  layerNorm,
  matrix,
  mlp,
} from "../../../sorl_edu/widgets/playground/networks.mjs";

function rows(...values) {
  return matrix(values.length, values[0].length, Float64Array.from(values.flat()));
}

function near(found, expected, tolerance = 1e-9) {
  assert.equal(found.length, expected.length);
  found.forEach((x, i) =>
    assert.ok(Math.abs(x - expected[i]) <= tolerance, `${found} is not ${expected}`),
  );
}

test("GELU is the approximation with tanh, not the exact one", () => {
  // x/2 (1 + tanh(...)) in 50 digits; the exact GELU(1) is 0.841345.
  const { values } = gelu(rows([0, 1, -1, 3, -40, 40]));
  near(values, [0, 0.8411919906082768, -0.15880800939172324, 2.996362607918227, 0, 40], 1e-12);
});

test("LayerNorm gives each row mean 0 and variance 1, then scales and shifts", () => {
  const plain = { scale: [1, 1, 1], bias: [0, 0, 0] };
  const z = Math.sqrt(1.5);
  near(layerNorm(rows([1, 2, 3], [30, 20, 10]), plain).values, [-z, 0, z, z, 0, -z], 1e-5);
  const moved = { scale: [2, 2, 2], bias: [5, 6, 7] };
  near(layerNorm(rows([1, 2, 3]), moved).values, [5 - 2 * z, 6, 7 + 2 * z], 1e-5);
  near(layerNorm(rows([4, 4, 4]), plain).values, [0, 0, 0]);
});

test("Dense is x W + b, for every number of inputs", () => {
  for (let inputs = 1; inputs <= 9; inputs++) {
    const W = rows(...Array.from({ length: inputs }, (_, i) => [i + 1, -i]));
    const x = rows(Array(inputs).fill(1), Array(inputs).fill(2));
    const sum = (inputs * (inputs + 1)) / 2;
    const layer = { kernel: W, bias: [0.5, 0] };
    const first = [sum + 0.5, inputs - sum];
    near(dense(x, layer).values, [...first, 2 * sum + 0.5, 2 * (inputs - sum)]);
  }
});

test("an MLP is Dense, GELU, LayerNorm, Dense, in this order", () => {
  const one = { kernel: rows([1, -1]), bias: [0, 0] };
  const sum = { kernel: rows([1], [1]), bias: [10] };
  near(mlp([one, sum], rows([1])).values, [10 + 0.8411919906082768 - 0.15880800939172324], 1e-9);
  const first = { kernel: rows([1], [2]), bias: [0] };
  const normed = { ...one, norm: { scale: [1, 1], bias: [0, 0] } };
  near(mlp([normed, first], rows([1])).values, [-1], 1e-5); // normalised to [1, -1]
});

test("the encoder normalises, and appends sines and cosines", () => {
  const encoder = { mean: [1, 0], std: [2, 1], frequencies: rows([0.25, 0], [0, 1 / 3]) };
  const half = Math.sqrt(0.75);
  near(encode(encoder, rows([3, 1])).values, [1, 1, 1, half, 0, -0.5]);
  const without = { mean: [1], std: [2], frequencies: matrix(1, 0) };
  near(encode(without, rows([3], [5])).values, [1, 2]);
});

test("matrices are put side by side, and a single row is repeated", () => {
  const all = concatenate([rows([7]), rows([1, 2], [3, 4])]);
  assert.deepEqual([all.rows, all.columns, ...all.values], [2, 3, 7, 1, 2, 7, 3, 4]);
});
