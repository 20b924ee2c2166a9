import assert from "node:assert/strict";
import { test } from "node:test";
import { spread } from "../../../sorl_edu/widgets/playground/inference.mjs";
import { matrix } from "../../../sorl_edu/widgets/playground/networks.mjs";
import {
  Landscape,
  Pool,
  histogram,
  valueSquare,
} from "../../../sorl_edu/widgets/playground/surveys.mjs";

// The policy adds the observation to its noise; the critic wants large first coordinates.
const agent = {
  actionDim: 2,
  field: () => (o, a) => matrix(a.rows, 2, a.values.map((_, i) => o.values[i % o.values.length])),
  value: () => (o, a) => Float64Array.from({ length: a.rows }, (_, n) => a.values[2 * n]),
};
const at = (x, y) => matrix(1, 2, Float64Array.of(x, y));
const near = (x, y, tolerance = 1e-9) => assert.ok(Math.abs(x - y) <= tolerance, `${x}, ${y}`);

function finish(job) {
  let portions = 0;
  for (; !job.done; portions++) job.advance();
  return portions;
}

test("the square of values is the critic's at the middle of each bin, the lowest row first", () => {
  const upwards = { ...agent, value: () => (o, a) => a.values.filter((_, i) => i % 2) };
  assert.deepEqual([...valueSquare(agent, at(0, 0), 1, 2)], [-0.5, 0.5, -0.5, 0.5]);
  assert.deepEqual([...valueSquare(upwards, at(0, 0), 1, 2)], [-0.5, -0.5, 0.5, 0.5]);
  assert.equal(valueSquare({ ...agent, value: null }, at(0, 0), 1, 2), null);
});

test("a pool grows in portions to its size, whose draws the seed decides", () => {
  const pool = new Pool(agent, at(0, 0), 8, 5);
  assert.ok(finish(pool) > 10);
  assert.equal(pool.count, 2048);
  const again = new Pool(agent, at(0, 0), 8, 5);
  finish(again);
  assert.deepEqual(again.q, pool.q);
});

test("the more candidates, the larger and the more alike the chosen first coordinates are", () => {
  const pool = new Pool(agent, at(0, 0), 1, 0);
  finish(pool);
  let [last, widest] = [-Infinity, Infinity];
  for (const N of [1, 4, 16]) {
    const { actions, chances, spread: found } = pool.chosen(N);
    const mean = chances.reduce((sum, p, n) => sum + p * actions.values[2 * n], 0);
    near(chances.reduce((a, b) => a + b), 1);
    near(found, spread(actions, chances));
    assert.ok(mean > last + 0.1 && found < widest, `${N}: ${mean}, ${found}`);
    [last, widest] = [mean, found];
  }
  const without = new Pool({ ...agent, value: null }, at(0, 0), 1, 0);
  finish(without);
  assert.ok(without.chosen(16).chances.every((p) => p === 1 / 2048)); // nothing to choose by
});

test("a histogram sums to 1, is highest where the actions are, and smooths evenly", () => {
  const actions = matrix(2, 2, Float64Array.of(0, 0, 1, -1));
  const density = histogram(actions, [0.75, 0.25], 5);
  near(density.reduce((a, b) => a + b), 1);
  assert.equal(density.indexOf(Math.max(...density)), 12); // the middle of 5 x 5
  assert.ok(density[4] > 0 && density[0] === 0); // the corner at the bottom right
  near(density[11], density[13]);
  near(density[7], density[17]);
  near(density[11], density[7]);
});

test("a landscape has the mean action and the mean value of every place", () => {
  const places = matrix(50, 2, Float64Array.from({ length: 100 }, (_, i) => i / 1000));
  const landscape = new Landscape(agent, places, 32, 1);
  assert.ok(finish(landscape) > 5);
  const clip = (a) => Math.min(Math.max(a, -1), 1);
  const { noise } = landscape;
  for (const place of [0, 7, 49]) {
    for (const i of [0, 1]) {
      let mean = 0;
      for (let n = 0; n < noise.rows; n++)
        mean += clip(noise.values[2 * n + i] + places.values[2 * place + i]) / noise.rows;
      near(landscape.means.values[2 * place + i], mean);
      if (i === 0) near(landscape.values[place], mean);
    }
  }
});
