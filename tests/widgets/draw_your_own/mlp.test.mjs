import assert from "node:assert/strict";
import { test } from "node:test";
import { matrix } from "../../../sorl_edu/widgets/playground/networks.mjs";
import { normal, uniform } from "../../../sorl_edu/widgets/playground/random.mjs";
import {
  arrays,
  backward,
  copied,
  forward,
  initialised,
  outputs,
  product,
  transposed,
  zeros,
} from "../../../sorl_edu/widgets/draw_your_own/mlp.mjs";

function random(rows, columns, seed) {
  return matrix(rows, columns, Float32Array.from({ length: rows * columns }, normal(seed)));
}

test("a product is the sum over the inner dimension, whatever the shape", () => {
  for (const rows of [1, 3, 4, 6, 8])
    for (const inner of [1, 2, 5])
      for (const columns of [1, 2, 3, 4]) {
        const [x, W] = [random(rows, inner, 1), random(inner, columns, 2)];
        const bias = Float32Array.from({ length: columns }, (_, j) => 10 * j);
        const y = product(x, W, bias);
        assert.deepEqual([y.rows, y.columns], [rows, columns]);
        for (let b = 0; b < rows; b++)
          for (let j = 0; j < columns; j++) {
            let sum = bias[j];
            for (let i = 0; i < inner; i++)
              sum += x.values[b * inner + i] * W.values[i * columns + j];
            const found = y.values[b * columns + j];
            assert.ok(Math.abs(found - sum) < 1e-5, `${[rows, inner, columns, b, j]}: ${found}`);
          }
        assert.ok(Math.abs(product(x, W).values[0] + bias[0] - y.values[0]) < 1e-6);
      }
});

test("a transposed matrix has its rows as columns", () => {
  const { rows, columns, values } = transposed(matrix(2, 3, Float32Array.of(1, 2, 3, 4, 5, 6)));
  assert.deepEqual([rows, columns, ...values], [3, 2, 1, 4, 2, 5, 3, 6]);
});

test("the backward pass is the slope of the forward pass", () => {
  const layers = initialised([3, 5, 4, 2], uniform(1));
  const x = random(6, 3, 2);
  const weights = random(6, 2, 3); // the loss is the sum of the outputs, each times its weight
  const loss = (network) =>
    outputs(network, x).values.reduce((sum, y, k) => sum + y * weights.values[k], 0);
  const gradients = arrays(backward(layers, forward(layers, x).kept, weights));
  const step = 0.01;
  let checked = 0;
  gradients.forEach((gradient, n) => {
    for (let k = 0; k < gradient.length; k++) {
      const moved = [step, -step].map((by) => {
        const other = copied(layers);
        arrays(other)[n][k] += by;
        return loss(other);
      });
      const slope = (moved[0] - moved[1]) / (2 * step);
      assert.ok(Math.abs(slope - gradient[k]) < 2e-3 + 2e-3 * Math.abs(slope), `${n} ${k}`);
      checked += 1;
    }
  });
  assert.equal(checked, 3 * 5 + 5 + 5 * 4 + 4 + 4 * 2 + 2);
});

test("a network starts with small numbers of both signs, and without biases", () => {
  const [{ kernel, bias }] = initialised([4, 60, 2], uniform(7));
  const r = Math.sqrt(6 / 64);
  const sizes = [...kernel.values].map(Math.abs);
  assert.ok(Math.max(...sizes) <= r && Math.max(...sizes) > 0.9 * r);
  const mean = sizes.reduce((sum, w) => sum + w, 0) / sizes.length;
  assert.ok(Math.abs(mean - r / 2) < 0.1 * r);
  assert.ok(kernel.values.some((w) => w < 0) && kernel.values.some((w) => w > 0));
  assert.deepEqual([...bias], [...zeros(1, 60).values]);
});
