// Episodes side by side: one agent, several settings (m, N), the same start and the same noise.
//
// A world makes the episodes. The page's steps a body for each setting: `reset(count, position)` and
// `step(actions)`, where an action is null for a body that stands still, both return the positions,
// later.

import { candidateNoise, propose } from "./inference.mjs";
import { matrix, row } from "./networks.mjs";
import { normal } from "./random.mjs";

const SEEDS = 1_000_003; // of an episode's steps, between two episodes' first

/** The noise of all candidates at one step; candidate n has the same in every setting. */
export function noiseOfStep(seed, step, N, actionDim) {
  return candidateNoise(normal(seed * SEEDS + step), N, actionDim);
}

/** The action that an agent takes at a position, which it sees with 32 bits, as Python's does. */
export function act(agent, position, noise, m) {
  const obs = matrix(1, position.length, Float64Array.from(Float32Array.from(position)));
  const { actions, chosen } = propose(agent, obs, noise, m);
  return [...row(actions, chosen)];
}

export class Episodes {
  /**
   * @param {{goal, goal_radius, limit}} task where the goal is, and the most steps.
   * @param {{steps, candidates}[]} settings one for each episode.
   */
  constructor(agent, world, task, settings, seed) {
    Object.assign(this, { agent, world, task, seed, time: 0 });
    this.all = settings.map((setting) => ({ ...setting, path: [], arrived: false, over: false }));
  }

  async begin(position) {
    const positions = await this.world.reset(this.all.length, position);
    this.all.forEach((episode, i) => episode.path.push(positions[i]));
  }

  get over() {
    return this.all.every(({ over }) => over);
  }

  /**
   * One step of every episode that still runs.
   *
   * As in OGBench's single tasks, success is that of the state before the step, and ends the
   * episode after it.
   */
  async advance() {
    const { agent, task, time } = this;
    const most = Math.max(...this.all.map(({ candidates }) => candidates));
    const noise = noiseOfStep(this.seed, time, most, agent.actionDim);
    const actions = this.all.map(({ over, path, steps, candidates }) => {
      const { actionDim } = agent;
      const first = noise.values.subarray(0, candidates * actionDim);
      return over ? null : act(agent, path.at(-1), matrix(candidates, actionDim, first), steps);
    });
    const positions = await this.world.step(actions);
    this.time += 1;
    this.all.forEach((episode, i) => {
      if (episode.over) return;
      const [x, y] = episode.path.at(-1);
      episode.arrived = Math.hypot(x - task.goal[0], y - task.goal[1]) <= task.goal_radius;
      episode.path.push(positions[i]);
      episode.over = episode.arrived || this.time >= task.limit;
    });
  }
}
