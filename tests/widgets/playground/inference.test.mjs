import assert from "node:assert/strict";
import { test } from "node:test";
import {
  argmax,
  candidateNoise,
  chanceToBeChosen,
  clip,
  integratePath,
  networkEvaluations,
  propose,
  spread,
} from "../../../sorl_edu/widgets/playground/inference.mjs";
import { matrix } from "../../../sorl_edu/widgets/playground/networks.mjs";
import { normal, uniform } from "../../../sorl_edu/widgets/playground/random.mjs";

const column = (...values) => matrix(values.length, 1, Float64Array.from(values));
const near = (x, y, tolerance = 1e-12) => assert.ok(Math.abs(x - y) <= tolerance, `${x}, ${y}`);
const obs = column(0);

test("Euler's steps add up to what a sum and a power say", () => {
  for (const m of [1, 2, 8, 32]) {
    const three = (o, a) => matrix(a.rows, 1, a.values.map(() => 3));
    const constant = integratePath(three, obs, column(1), m);
    assert.equal(constant.length, m + 1);
    near(constant.at(-1).values[0], 4);
    near(constant[1].values[0], 1 + 3 / m);
    const growing = integratePath((o, a) => a, obs, column(1, 2), m);
    near(growing.at(-1).values[1], 2 * (1 + 1 / m) ** m);
    const times = integratePath((o, a, t) => t, obs, column(0), m); // t = 0, 1/m, ..., (m-1)/m
    near(times.at(-1).values[0], (m - 1) / (2 * m));
  }
});

test("the most valued candidate is chosen; of equal ones, the first", () => {
  assert.equal(argmax([-3, -1, -2]), 1);
  assert.equal(argmax([0, 5, 5]), 1);
  const agent = {
    field: (m) => (o, a) => matrix(a.rows, 1, a.values.map((x) => m * x)),
    value: (m) => (o, a) => a.values.map((x) => -m * Math.abs(x - 0.5)),
  };
  const { path, actions, q, chosen } = propose(agent, obs, column(0.1, 0.3, 9), 1);
  assert.deepEqual([...path[1].values], [0.2, 0.6, 18]);
  assert.deepEqual([...actions.values], [0.2, 0.6, 1]); // clipped
  assert.equal(chosen, 1);
  near(q[0], -0.3);
  assert.deepEqual(propose({ ...agent, value: null }, obs, column(5, 6), 1).q, null);
  assert.equal(propose({ ...agent, value: null }, obs, column(5, 6), 1).chosen, 0);
  assert.deepEqual([...clip(column(-7, 0.2, 1.1)).values], [-1, 0.2, 1]);
});

test("the chance to be chosen counts the subsets in which a candidate is the best", () => {
  const q = [0.3, -1, 2, 0.5, 1.5];
  for (let N = 1; N <= 5; N++) {
    const counts = [0, 0, 0, 0, 0];
    for (let subset = 0; subset < 32; subset++) {
      const drawn = [0, 1, 2, 3, 4].filter((n) => subset & (1 << n));
      if (drawn.length === N) counts[drawn.reduce((a, b) => (q[a] > q[b] ? a : b))]++;
    }
    const total = counts.reduce((a, b) => a + b);
    chanceToBeChosen(q, N).forEach((p, n) => near(p, counts[n] / total));
  }
  assert.deepEqual([...chanceToBeChosen([1, 2], 7)], [0, 1]); // no more than there are
  const many = chanceToBeChosen(Array.from({ length: 4096 }, (_, n) => n), 256);
  near(many.reduce((a, b) => a + b), 1, 1e-9);
});

test("the spread is the RMS distance from the mean", () => {
  const square = matrix(4, 2, Float64Array.from([0, 0, 2, 0, 0, 2, 2, 2]));
  near(spread(square, [0.25, 0.25, 0.25, 0.25]), Math.SQRT2);
  near(spread(square, [0.5, 0.5, 0, 0]), 1);
  near(spread(square, [1, 0, 0, 0]), 0);
});

test("a setting's cost is what lesson 5 counts", () => {
  assert.equal(networkEvaluations(8, 32, 2), 8 * 32 + 2 * 32);
  assert.equal(networkEvaluations(8, 1, 2), 8);
});

test("noise has mean 0, variance 1 and no correlation, and its seed decides it", () => {
  const { values: z } = candidateNoise(normal(3), 20000, 2);
  const mean = (f) => z.reduce((sum, x, i) => sum + f(x, i), 0) / z.length;
  near(mean((x) => x), 0, 0.02);
  near(mean((x) => x * x), 1, 0.03);
  near(mean((x) => x ** 4), 3, 0.15);
  near(mean((x, i) => x * (z[i + 1] ?? 0)), 0, 0.02);
  const few = candidateNoise(normal(3), 5, 2).values;
  assert.deepEqual([...few], [...z.slice(0, 10)]); // candidate n is the same whatever N is
  assert.notDeepEqual([...candidateNoise(normal(4), 5, 2).values], [...few]);
  const u = uniform(1);
  assert.ok(Array.from({ length: 1000 }, u).every((x) => x >= 0 && x < 1));
});
