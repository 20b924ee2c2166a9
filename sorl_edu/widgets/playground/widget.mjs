// The playground as a widget of a notebook, for anywidget.

import { Episodes, noiseOfStep } from "./episodes.mjs";
import { mount } from "./playground.mjs";

const STEPS = 20; // that are asked for together: a question takes long, however short the answer is

/** Episodes that the kernel plays: it has the same agent, and the real environment. */
class KernelEpisodes extends Episodes {
  async begin(position) {
    const settings = this.all.map(({ steps, candidates }) => [steps, candidates]);
    const positions = await this.world.ask({ ask: "begin", settings, position });
    this.all.forEach((episode, i) => episode.path.push(positions[i]));
  }

  async advance() {
    const { actionDim } = this.agent;
    const most = Math.max(...this.all.map(({ candidates }) => candidates));
    const noise = new Float32Array(STEPS * most * actionDim);
    for (let step = 0; step < STEPS; step++) {
      const drawn = noiseOfStep(this.seed, this.time + step, most, actionDim);
      noise.set(drawn.values, step * most * actionDim);
    }
    const shape = [STEPS, most, actionDim];
    const answer = await this.world.ask({ ask: "advance", shape }, noise);
    this.time += STEPS;
    this.all.forEach((episode, i) => {
      episode.path.push(...answer[i].path);
      Object.assign(episode, { arrived: answer[i].arrived, over: answer[i].over });
    });
  }
}

/** The world of a notebook, which is in the kernel. */
class KernelWorld {
  constructor(model) {
    this.model = model;
    this.asked = 0;
  }

  episodes(agent, task, settings, seed) {
    return new KernelEpisodes(agent, this, task, settings, seed);
  }

  ask(question, numbers = null) {
    const id = ++this.asked;
    return new Promise((resolve, reject) => {
      const answered = (answer) => {
        if (answer.id !== id) return;
        this.model.off("msg:custom", answered);
        if (answer.error === undefined) resolve(answer.answer);
        else reject(new Error(answer.error));
      };
      this.model.on("msg:custom", answered);
      this.model.send({ id, ...question }, undefined, numbers === null ? [] : [numbers.buffer]);
    });
  }
}

export default {
  render({ model, el }) {
    const openWorld = () => Promise.resolve(new KernelWorld(model));
    const playground = mount(el, model.get("agent"), model.get("given"), openWorld);
    return () => playground.end();
  },
};
