// The physics of a maze in the browser: MuJoCo's own WebAssembly build, and OGBench's model.

import { Episodes } from "./episodes.mjs";
import { loadMuJoCo } from "./packages.mjs";

const FRAME_SKIP = 5; // steps of the physics for one of the environment

/** Bodies in a maze, one for each of several episodes, stepped as OGBench's PointMaze. */
export class MazeWorld {
  constructor(mujoco, xml) {
    this.mujoco = mujoco;
    this.model = mujoco.MjModel.from_xml_string(xml);
    this.bodies = [];
  }

  episodes(agent, task, settings, seed) {
    return new Episodes(agent, this, task, settings, seed);
  }

  reset(count, position) {
    const { mujoco, model } = this;
    this.bodies.forEach((body) => body.delete());
    this.bodies = Array.from({ length: count }, () => new mujoco.MjData(model));
    for (const body of this.bodies) {
      body.qpos.set(position);
      mujoco.mj_forward(model, body);
    }
    return this.positions();
  }

  /** An action moves the body by 0.2 of it, at rest; then the physics take it out of the walls. */
  step(actions) {
    const { mujoco, model } = this;
    actions.forEach((action, i) => {
      if (action === null) return;
      const body = this.bodies[i];
      const moved = body.qpos.map((q, k) => q + Math.fround(Math.fround(0.2) * action[k]));
      body.qpos.set(moved);
      body.qvel.fill(0);
      for (let n = 0; n < FRAME_SKIP; n++) mujoco.mj_step(model, body);
    });
    return this.positions();
  }

  positions() {
    return this.bodies.map((body) => [...body.qpos]);
  }
}

/** The world of a page. */
export async function loadMazeWorld({ script, xml }) {
  return new MazeWorld(await loadMuJoCo(script), xml);
}
