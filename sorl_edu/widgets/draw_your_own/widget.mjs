// Draw your own as a widget of a notebook, for anywidget.

import { mountDrawYourOwn } from "./draw_your_own.mjs";

export default {
  render({ model, el }) {
    const drawn = mountDrawYourOwn(el, model.get("given"));
    return () => drawn.end();
  },
};
