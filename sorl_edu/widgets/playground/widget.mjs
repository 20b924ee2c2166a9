// The playground as a widget of a notebook, for anywidget.

import { mount } from "./playground.mjs";

/** The world of a notebook: the kernel steps the real environment, and answers each question. */
class KernelWorld {
  constructor(model) {
    this.model = model;
    this.asked = 0;
  }

  reset(count, position) {
    return this.ask({ ask: "reset", count, position });
  }

  step(actions) {
    return this.ask({ ask: "step", actions });
  }

  ask(question) {
    const id = ++this.asked;
    return new Promise((resolve, reject) => {
      const answered = (answer) => {
        if (answer.id !== id) return;
        this.model.off("msg:custom", answered);
        if (answer.error === undefined) resolve(answer.positions);
        else reject(new Error(answer.error));
      };
      this.model.on("msg:custom", answered);
      this.model.send({ id, ...question });
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
