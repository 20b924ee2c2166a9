import assert from "node:assert/strict";
import { test } from "node:test";
import {
  Episodes,
  act,
  noiseOfStep,
} from "../../../sorl_edu/widgets/playground/episodes.mjs";
import { matrix, row } from "../../../sorl_edu/widgets/playground/networks.mjs";

// A policy that adds 0.1 to its noise; the critic wants the smallest first coordinate.
const agent = {
  actionDim: 2,
  field: () => (o, a) => matrix(a.rows, 2, a.values.map(() => 0.1)),
  value: () => (o, a) => Float64Array.from({ length: a.rows }, (_, n) => -a.values[2 * n]),
};
const task = { goal: [3, 0], goal_radius: 0.5, limit: 10 };

/** A world without walls, in which every action moves a body by 1 to the right. */
class Plain {
  reset(count, position) {
    this.bodies = Array.from({ length: count }, () => [...position]);
    return Promise.resolve(this.bodies.map((body) => [...body]));
  }

  step(actions) {
    this.actions = actions;
    actions.forEach((action, i) => (this.bodies[i][0] += action === null ? 0 : 1));
    return Promise.resolve(this.bodies.map((body) => [...body]));
  }
}

const settings = [{ steps: 1, candidates: 1 }, { steps: 1, candidates: 4 }];

test("an episode ends after the step that began at the goal, as OGBench's do", async () => {
  const world = new Plain();
  const episodes = new Episodes(agent, world, task, settings, 0);
  await episodes.begin([0, 0]);
  while (!episodes.over) await episodes.advance();
  for (const { path, arrived } of episodes.all) {
    assert.ok(arrived);
    assert.deepEqual(path.map(([x]) => x), [0, 1, 2, 3, 4]); // at the goal at 3, and then a step
  }
});

test("one that is over stands still while the others go on, at most to the limit", async () => {
  const world = new Plain();
  const episodes = new Episodes(agent, world, { ...task, goal: [-9, 0] }, settings, 0);
  await episodes.begin([0, 0]);
  await episodes.advance();
  episodes.all[0].over = true;
  await episodes.advance();
  assert.equal(world.actions[0], null);
  while (!episodes.over) await episodes.advance();
  assert.equal(episodes.time, 10);
  assert.equal(episodes.all[0].path.length, 2);
  assert.equal(episodes.all[1].path.length, 11);
  assert.ok(!episodes.all[1].arrived);
});

test("all settings have the same noise: more candidates are the same ones and others", async () => {
  const world = new Plain();
  const many = { steps: 1, candidates: 32 };
  const episodes = new Episodes(agent, world, task, [settings[0], many], 0);
  await episodes.begin([0, 0]);
  await episodes.advance();
  const noise = noiseOfStep(0, 0, 32, 2);
  const few = noiseOfStep(0, 0, 1, 2);
  assert.deepEqual([...few.values], [...row(noise, 0)]);
  assert.deepEqual(world.actions[0], act(agent, [0, 0], few, 1));
  assert.deepEqual(world.actions[1], act(agent, [0, 0], noise, 1));
  assert.ok(world.actions[1][0] < world.actions[0][0]);
  assert.notDeepEqual([...noiseOfStep(0, 1, 32, 2).values], [...noise.values]);
  assert.notDeepEqual([...noiseOfStep(8, 0, 32, 2).values], [...noise.values]);
});
