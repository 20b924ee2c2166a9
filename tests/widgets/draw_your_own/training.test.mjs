import assert from "node:assert/strict";
import { test } from "node:test";
import { matrix } from "../../../sorl_edu/widgets/playground/networks.mjs";
import { largeSteps } from "../../../sorl_edu/widgets/draw_your_own/losses.mjs";
import { arrays } from "../../../sorl_edu/widgets/draw_your_own/mlp.mjs";
import {
  Drawing,
  MOST,
  PRESETS,
  preset,
  resampled,
} from "../../../sorl_edu/widgets/draw_your_own/points.mjs";
import { energyDistance, sample } from "../../../sorl_edu/widgets/draw_your_own/sampling.mjs";
import { Trainer } from "../../../sorl_edu/widgets/draw_your_own/trainer.mjs";
import { Training, cosineDecay } from "../../../sorl_edu/widgets/draw_your_own/training.mjs";

const near = (found, expected, tolerance = 1e-6) =>
  assert.ok(Math.abs(found - expected) <= tolerance, `${found} is not ${expected}`);

test("the large steps of a batch are even over the levels, and the rest is on the largest", () => {
  assert.deepEqual([...largeSteps(8, 8)], [1, 1, 1, 1, 0.5, 0.5, 0.25, 0.25]);
  assert.deepEqual([...largeSteps(3, 2)], [1, 1, 1]);
});

test("the learning rate falls as half a cosine", () => {
  const rate = cosineDecay(2, 10);
  for (const [count, expected] of [[0, 2], [5, 1], [10, 0], [12, 0]]) near(rate(count), expected);
});

test("a field that learns a single point leads there", () => {
  const points = Float32Array.of(0.5, -0.25);
  for (const model of ["flow", "shortcut"]) {
    const training = new Training({ model, points, updates: 200, seed: 1 });
    const first = training.update().flow;
    let losses = null;
    while (training.done < training.updates) losses = training.update();
    assert.ok(losses.flow < 0.1 * first, `${losses.flow} ${first}`);
    assert.equal("consistency" in losses, model === "shortcut");
    const noise = matrix(3, 2, Float32Array.of(0.3, 1, -1, 0.2, 0, -0.7));
    for (const m of model === "flow" ? [1, 8] : [8]) { // long jumps are learned later
      const ends = sample(model, training.layers, noise, m).values;
      for (let k = 0; k < 6; k++) near(ends[k], points[k % 2], 0.25);
    }
  }
});

test("the same seed trains the same network, and another seed another", () => {
  const trained = (seed) => {
    const points = Float32Array.from(preset("Ring"));
    const training = new Training({ model: "shortcut", points, updates: 3, seed });
    while (training.done < 3) training.update();
    return arrays(training.layers).flatMap((array) => Array.from(array));
  };
  assert.deepEqual(trained(4), trained(4));
  assert.notDeepEqual(trained(4), trained(5));
});

test("the energy distance of clouds that one can compute by hand", () => {
  const cloud = (...values) => matrix(values.length / 2, 2, Float32Array.from(values));
  near(energyDistance(cloud(0, 0), cloud(3, 4)), Math.sqrt(10)); // two points, 5 apart
  near(energyDistance(cloud(0, 0, 1, 0), cloud(1, 0, 0, 0)), 0);
  near(energyDistance(cloud(0, 0, 2, 0), cloud(1, 0)), Math.sqrt(2 - 1));
});

test("a stroke leaves points along its way, and the first points make room", () => {
  const drawing = new Drawing([]);
  drawing.stroke([-0.5, 0.2], [0.5, 0.2]);
  assert.equal(drawing.count, 3 * 50);
  const x = drawing.points.filter((_, k) => k % 2 === 0);
  const y = drawing.points.filter((_, k) => k % 2 === 1);
  const mean = (numbers) => numbers.reduce((sum, n) => sum + n, 0) / numbers.length;
  near(mean(x), 0.01, 0.02);
  near(mean(y), 0.2, 0.02);
  near(Math.max(...x) - Math.min(...x), 1, 0.15);
  drawing.dab(2, -2); // outside of the square
  assert.ok(drawing.points.every((c) => Math.abs(c) <= 1));
  for (let k = 0; k < MOST / 100; k++) drawing.dab(0, 0, 100);
  assert.equal(drawing.count, MOST);
  assert.ok(drawing.points.every((c) => Math.abs(c) < 0.2));
});

test("presets lie in the square, and differ", () => {
  const names = Object.keys(PRESETS);
  const clouds = names.map((name) => matrix(400, 2, resampled(preset(name), 400, 1)));
  for (const { values } of clouds) assert.ok(values.every((c) => Math.abs(c) < 1.2));
  for (let i = 0; i < names.length; i++)
    for (let j = 0; j < i; j++) assert.ok(energyDistance(clouds[i], clouds[j]) > 0.15);
});

test("without workers it trains where it is, pauses, goes on, and starts anew", async () => {
  const heard = [];
  const trainer = new Trainer("", (snapshot) => heard.push(snapshot));
  trainer.trainHere(); // node's test has no Worker of a browser
  const points = Float32Array.from(preset("Ring"));
  const start = { model: "flow", points, updates: 60, seed: 0 };
  trainer.start(start);
  await new Promise((resolve) => setTimeout(resolve, 50));
  assert.deepEqual(heard.map(({ done }) => done), [0]);
  trainer.run(true);
  while (heard.length < 2) await new Promise((resolve) => setTimeout(resolve, 1));
  trainer.run(false);
  const paused = heard.length;
  await new Promise((resolve) => setTimeout(resolve, 100));
  assert.equal(heard.length, paused);
  trainer.run(true);
  while (heard.at(-1).done < 60) await new Promise((resolve) => setTimeout(resolve, 1));
  assert.deepEqual(heard.map(({ done }) => done), [0, 25, 50, 60]);
  assert.ok(heard.at(-1).losses.flow > 0 && heard.at(-1).seconds > 0);
  assert.notDeepEqual(heard[0].layers, heard[1].layers);

  trainer.start({ ...start, seed: 1 });
  assert.equal(heard.at(-1).done, 0);
  assert.notDeepEqual(heard.at(-1).layers, heard[0].layers);
  trainer.hear({ id: heard[0].id, done: 25 }); // is still under way when the next one starts
  assert.equal(heard.at(-1).done, 0);
  trainer.end();
});
