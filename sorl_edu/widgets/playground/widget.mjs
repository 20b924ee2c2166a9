// The playground as a widget of a notebook, for anywidget.

import { mount } from "./playground.mjs";

export default {
  render({ model, el }) {
    const playground = mount(el, model.get("agent"), model.get("given"));
    return () => playground.end();
  },
};
