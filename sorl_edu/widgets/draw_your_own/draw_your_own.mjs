// Draw your own: the reader draws a distribution, and a field learns it on the page.

import { THEMES, disc, fit, line, projection } from "../playground/drawing.mjs";
import { matrix } from "../playground/networks.mjs";
import { normal } from "../playground/random.mjs";
import { isDark, watchSurroundings } from "../playground/surroundings.mjs";
import { zeros } from "./mlp.mjs";
import { Drawing, PRESETS, preset, resampled } from "./points.mjs";
import { energyDistance, sample } from "./sampling.mjs";
import { Trainer } from "./trainer.mjs";

const STEPS = [1, 2, 4, 8]; // a panel of samples for each
const SAMPLES = 600; // in a panel
const LEAST = 50; // points, below which there is nothing to learn
const LIMIT = 1.15; // of the axes
const BRUSH_KEYS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowDown: [0, -1], ArrowUp: [0, 1] };
const STRIDE = 0.05; // that an arrow key moves the brush
const DASHES = [[], [7, 3], [2, 2], [9, 3, 2, 3]]; // of the curves, by panel
const NAMES = { flow: "Flow", shortcut: "Shortcut model" };

const MARKUP = `
<div class="settings" role="group" aria-label="Training">
  <label class="model" hidden>Learns: <select></select></label>
  <button type="button" class="train"></button>
  <button type="button" class="restart">New network</button>
  <span class="quiet doing"></span>
</div>
<div class="parts">
  <div class="pictures">
    <figure class="data">
      <figcaption><b>Your data.</b> Draw with the mouse or a finger. With the keyboard: arrow keys
        move the brush, Space sprays, Shift with an arrow draws.</figcaption>
      <canvas class="drawing" tabindex="0" role="application" aria-roledescription="drawing"></canvas>
      <div class="settings presets" role="group" aria-label="The drawing">
        <button type="button" class="clear">Clear</button>
      </div>
    </figure>
  </div>
  <div class="course">
    <figure>
      <figcaption><b>Energy distance to your data</b> during training, a line for each number of
        steps. Dotted: the chance level, that of two samples of your data.</figcaption>
      <canvas class="distances" role="img"></canvas>
    </figure>
    <div class="numbers">
      <div><span>Points drawn</span> <b class="count"></b></div>
      <div><span>Updates</span> <b class="done"></b></div>
      <div><span>Time to train</span> <b class="seconds"></b></div>
      <div><span>Flow-matching loss</span> <b class="flow"></b></div>
      <div class="of-shortcut"><span>Self-consistency loss</span> <b class="consistency"></b></div>
      <div><span>Chance level</span> <b class="floor"></b></div>
    </div>
  </div>
</div>
<p class="told" role="status"></p>`;

const PANEL = `
<figcaption><b></b><span class="distance"></span></figcaption>
<canvas role="img"></canvas>`;

/**
 * Shows the widget in an element.
 *
 * @param {HTMLElement} root an empty element.
 * @param {{models, updates, colours, worker}} given what can be learned, "flow" or "shortcut"; the
 *   number of updates; the house's colours; and the worker's script.
 * @returns {DrawYourOwn}
 */
export function mountDrawYourOwn(root, given) {
  return new DrawYourOwn(root, given);
}

class DrawYourOwn {
  constructor(root, { models, updates, colours, worker }) {
    Object.assign(this, { root, updates, worker, palette: colours, seed: 0, brush: [0, 0] });
    Object.assign(this, { trainer: null, isPainting: false });
    root.classList.add("sorl-playground", "sorl-draw-your-own");
    root.innerHTML = MARKUP;
    root.drawYourOwn = this;
    this.find = (selector) => root.querySelector(selector);
    this.ending = new AbortController();
    this.drawing = new Drawing(preset(Object.keys(PRESETS)[0]));
    this.noise = zeros(SAMPLES, 2);
    const draw = normal(5);
    for (let k = 0; k < this.noise.values.length; k++) this.noise.values[k] = draw();
    this.addModels(models);
    this.addPanels();
    this.addPresets();
    this.makeDrawable(this.find("canvas.drawing"));
    this.on(this.find(".train"), "click", () => this.trainOrPause());
    this.on(this.find(".restart"), "click", () => {
      this.seed += 1;
      this.renew();
    });
    for (const control of root.querySelectorAll("select, button, [tabindex]"))
      control.dataset.lmSuppressShortcuts = "true"; // JupyterLab leaves its keys to it
    watchSurroundings(root, () => this.request(), this.ending.signal);
    this.renew();
  }

  /** Ends all that goes on without the reader. */
  end() {
    this.ending.abort();
    this.trainer?.end();
    cancelAnimationFrame(this.requested);
    clearTimeout(this.surveying);
  }

  on(target, kind, listener) {
    target.addEventListener(kind, listener, { signal: this.ending.signal });
  }

  // ------------------------------------------------------------------ what the reader does

  addModels(models) {
    const select = this.find("select");
    this.find(".model").hidden = models.length === 1;
    for (const model of models) select.add(new Option(NAMES[model], model));
    this.on(select, "change", () => this.renew());
  }

  get model() {
    return this.find("select").value;
  }

  addPanels() {
    for (const m of STEPS) {
      const figure = document.createElement("figure");
      figure.className = "panel";
      figure.innerHTML = PANEL;
      figure.querySelector("b").textContent = plural(m, "step");
      this.find(".pictures").append(figure);
    }
    this.panels = [...this.root.querySelectorAll(".panel")];
  }

  addPresets() {
    const clear = this.find(".clear");
    this.on(clear, "click", () => this.drawAnew([]));
    for (const name of Object.keys(PRESETS)) {
      const button = document.createElement("button");
      Object.assign(button, { type: "button", textContent: name });
      this.on(button, "click", () => this.drawAnew(preset(name)));
      clear.before(button);
    }
  }

  drawAnew(points) {
    this.drawing = new Drawing(points);
    this.renew();
  }

  makeDrawable(canvas) {
    const at = (event) => {
      const box = canvas.getBoundingClientRect();
      return this.to.inverse(event.clientX - box.left, event.clientY - box.top);
    };
    this.on(canvas, "pointerdown", (event) => {
      if (event.button !== 0) return;
      canvas.setPointerCapture(event.pointerId);
      this.isPainting = true;
      this.brush = at(event);
      this.spray();
    });
    this.on(canvas, "lostpointercapture", () => {
      this.isPainting = false;
      this.request();
    });
    this.on(canvas, "pointermove", (event) => {
      if (canvas.hasPointerCapture(event.pointerId)) this.paintTo(at(event));
    });
    this.on(canvas, "keydown", (event) => {
      if (event.ctrlKey || event.altKey || event.metaKey) return;
      const direction = BRUSH_KEYS[event.key];
      if (direction === undefined && event.key !== " ") return;
      event.preventDefault(); // the page does not scroll
      event.stopPropagation();
      if (event.key === " ") this.spray();
      else this.moveBrush(direction, event.shiftKey);
    });
    for (const kind of ["focus", "blur"]) this.on(canvas, kind, () => this.request());
  }

  moveBrush(direction, paints) {
    const there = this.brush.map((c, k) => Math.min(Math.max(c + STRIDE * direction[k], -1), 1));
    if (paints) this.paintTo(there);
    else this.brush = there;
    this.request();
  }

  spray() {
    this.drawing.dab(...this.brush);
    this.renew();
  }

  paintTo(there) {
    this.drawing.stroke(this.brush, there);
    this.brush = there;
    this.renew();
  }

  trainOrPause() {
    if (this.isDone) {
      this.seed += 1;
      this.renew();
    }
    this.running = !this.running;
    this.startTrainer();
    this.trainer.run(this.running);
    this.tell();
    this.request();
  }

  // ------------------------------------------------------------------ what is computed

  /** Another drawing, model or seed: a network that has learned nothing yet. */
  renew() {
    Object.assign(this, { running: false, curves: [], shown: null, waiting: null, last: null });
    this.isStarted = false;
    clearTimeout(this.surveying);
    this.surveying = null;
    this.trainer?.run(false);
    this.request();
  }

  get canTrain() {
    return this.drawing.count >= LEAST;
  }

  get isDone() {
    return this.last?.done === this.updates;
  }

  /** Starts the training, which then waits until it is run. */
  startTrainer() {
    if (this.isStarted || !this.canTrain) return;
    this.isStarted = true;
    this.trainer ??= new Trainer(this.worker, (snapshot) => this.hear(snapshot));
    const points = Float32Array.from(this.drawing.points);
    const cloud = (seed) => matrix(SAMPLES, 2, resampled(points, SAMPLES, seed));
    this.data = cloud(1);
    this.floor = energyDistance(cloud(2), this.data);
    const { model, updates, seed } = this;
    this.trainer.start({ model, points, updates, seed });
  }

  hear(snapshot) {
    if (!this.isStarted) return;
    this.last = snapshot;
    this.waiting = snapshot;
    if (this.isDone) this.running = false;
    this.request();
    this.survey();
  }

  /** Samples of the newest snapshot, with breaths in which the browser answers the reader. */
  survey() {
    if (this.surveying !== null || this.waiting === null) return;
    const { done, layers } = this.waiting;
    this.waiting = null;
    const found = { done, clouds: [], distances: [] };
    const next = () => {
      const cloud = sample(this.model, layers, this.noise, STEPS[found.clouds.length]);
      found.clouds.push(cloud);
      found.distances.push(energyDistance(cloud, this.data));
      if (found.clouds.length < STEPS.length) this.surveying = setTimeout(next);
      else this.show(found);
    };
    this.surveying = setTimeout(next);
  }

  show({ done, clouds, distances }) {
    this.surveying = null;
    this.shown = { done, clouds, distances };
    this.curves.push({ done, distances });
    if (done === this.updates) this.tell();
    this.request();
    this.survey();
  }

  // ------------------------------------------------------------------ what is drawn

  /** Asks for everything to be drawn in the browser's next frame. */
  request() {
    cancelAnimationFrame(this.requested);
    this.requested = requestAnimationFrame(() => this.draw());
  }

  draw() {
    if (this.root.clientWidth === 0) return; // hidden: it is drawn when it gets a size
    const theme = isDark() ? "dark" : "light";
    this.root.dataset.theme = theme;
    const colours = { ...this.palette.both, ...this.palette[theme], ...THEMES[theme] };
    if (!this.isPainting) this.startTrainer();
    this.drawData(colours);
    this.panels.forEach((panel, i) => this.drawPanel(panel, i, colours));
    this.drawCurves(colours);
    this.write();
    this.root.dispatchEvent(new CustomEvent("sorl-drawn", { bubbles: true }));
  }

  drawData(colours) {
    const canvas = this.find("canvas.drawing");
    const { context, to } = axes(canvas, colours);
    this.to = to;
    cloudOf(context, to, this.drawing.points, colours.orange, 1.6);
    if (document.activeElement === canvas && canvas.matches(":focus-visible")) {
      const [x, y] = [to.x(this.brush[0]), to.y(this.brush[1])];
      disc(context, x, y, 9, null, colours.paper, 4);
      disc(context, x, y, 9, null, colours.text, 2);
    }
    const [x, y] = this.brush.map((c) => c.toFixed(2));
    canvas.ariaLabel = `Your data: ${plural(this.drawing.count, "point")}; brush at ${x}, ${y}`;
  }

  drawPanel(panel, i, colours) {
    const canvas = panel.querySelector("canvas");
    const { context, to } = axes(canvas, colours);
    context.globalAlpha = 0.35;
    if (this.isStarted) cloudOf(context, to, this.data.values, colours.orange, 1.4);
    context.globalAlpha = 1;
    if (this.shown !== null) cloudOf(context, to, this.shown.clouds[i].values, colours.way, 1.6);
    const distance = this.shown === null ? "" : `distance ${this.shown.distances[i].toFixed(3)}`;
    panel.querySelector(".distance").textContent = distance;
    canvas.ariaLabel = `Samples at ${plural(STEPS[i], "step")}; ${distance || "none yet"}`;
  }

  drawCurves(colours) {
    const canvas = this.find("canvas.distances");
    canvas.ariaLabel = this.distancesInWords() || "No energy distances yet";
    const highest = Math.max(0.4, ...this.curves.flatMap(({ distances }) => distances));
    const { context, to, text } = curveAxes(canvas, this.updates, highest, colours);
    if (this.curves.length === 0) return;
    context.setLineDash([1, 4]);
    const chance = [0, this.updates].map((done) => [to.x(done), to.y(this.floor)]);
    line(context, chance, colours.text, 1.5);
    if (this.curves.length === 1) return; // no line yet to put a label to
    const ends = STEPS.map((m, i) => {
      const points = this.curves.map(({ done, distances }) => [to.x(done), to.y(distances[i])]);
      context.setLineDash(DASHES[i]);
      line(context, points, this.curveColours(colours)[i], 2);
      return { label: plural(m, "step"), y: points.at(-1)[1] };
    });
    context.textBaseline = "middle";
    context.textAlign = "left";
    const x = to.x(this.curves.at(-1).done) + 6;
    for (const { label, y } of apart(ends, 1.05 * text)) context.fillText(label, x, y);
  }

  curveColours({ way, orange, green, text }) {
    return [way, orange, green, text];
  }

  /** Writes the numbers, and what the buttons do. */
  write() {
    const { last, isStarted } = this;
    const number = (x, digits) => (x === undefined || x === null ? "…" : x.toFixed(digits));
    const texts = {
      count: this.drawing.count.toLocaleString("en"),
      done: `${last?.done ?? 0} of ${this.updates}`,
      flow: number(last?.losses.flow, 3),
      consistency: number(last?.losses.consistency, 4),
      floor: isStarted ? `distance ${number(this.floor, 3)}` : "…",
      seconds: `${number(last?.seconds ?? 0, 1)} s`,
    };
    for (const [name, text] of Object.entries(texts))
      this.find(`.numbers .${name}`).textContent = text;
    this.find(".of-shortcut").hidden = this.model !== "shortcut";
    const train = this.find(".train");
    train.disabled = !this.canTrain;
    train.textContent = this.offer();
    this.find(".doing").textContent = this.state();
  }

  /** What the first button does. */
  offer() {
    if (this.running) return "Pause";
    if (this.isDone) return "Train again";
    return (this.last?.done ?? 0) > 0 ? "Go on" : "Train";
  }

  /** What goes on, in words. */
  state() {
    if (!this.canTrain) return `Draw at least ${LEAST} points.`;
    if (this.running) return "It learns …";
    if (this.isDone) return "It has learned.";
    return (this.last?.done ?? 0) === 0 ? "It has learned nothing yet." : "It pauses.";
  }

  /** Tells a screen reader what goes on and how near the samples are. */
  tell() {
    const updates = `${this.last?.done ?? 0} of ${this.updates} updates.`;
    this.find(".told").textContent = `${this.state()} ${updates} ${this.distancesInWords()}`;
  }

  distancesInWords() {
    if (this.shown === null) return "";
    const at = this.shown.distances.map((d, i) => `${plural(STEPS[i], "step")} ${d.toFixed(2)}`);
    return `Energy distances after ${plural(this.shown.done, "update")}: ${at.join(", ")}.`;
  }

  /** The numbers on display, as JSON values, for tests and for readers with a console. */
  facts() {
    const { last, shown } = this;
    return {
      model: this.model,
      points: [...this.drawing.points],
      done: last?.done ?? 0,
      losses: last?.losses ?? {},
      seconds: last?.seconds ?? 0,
      shown: shown?.done ?? null,
      distances: shown?.distances ?? null,
      samples: shown?.clouds.map(({ values }) => Array.from(values)) ?? null,
      data: this.isStarted ? [...this.data.values] : null,
      floor: this.isStarted ? this.floor : null,
      layers: last?.layers.map(({ kernel, bias }) => [[...kernel.values], [...bias]]) ?? null,
    };
  }
}

/** Clears a canvas; its coordinates, with the square of [-1, 1]^2. */
function axes(canvas, colours) {
  const { context, width, height } = fit(canvas);
  const to = projection([-LIMIT, LIMIT, -LIMIT, LIMIT], { left: 0, top: 0, width, height });
  context.strokeStyle = colours.knot;
  context.lineWidth = 1;
  context.strokeRect(to.x(-1), to.y(1), to.x(1) - to.x(-1), to.y(-1) - to.y(1));
  return { context, to };
}

/** Clears a canvas, and draws axes of updates and of distances from 0 on; its coordinates. */
function curveAxes(canvas, updates, highest, colours) {
  const { context, width, height } = fit(canvas);
  const text = Number.parseFloat(window.getComputedStyle(canvas).fontSize);
  const box = { left: 3 * text, top: 0.6 * text };
  Object.assign(box, { width: width - box.left - 5 * text, height: height - 2.6 * text });
  const top = Math.ceil(5 * highest) / 5;
  const to = projection([0, updates, 0, top], box);
  const corners = [[0, top], [0, 0], [updates, 0]];
  line(context, corners.map(([x, y]) => [to.x(x), to.y(y)]), colours.text, 1);
  context.font = `${text}px system-ui, sans-serif`;
  context.fillStyle = colours.text;
  context.textBaseline = "middle";
  context.textAlign = "right";
  for (const y of [0, top / 2, top]) context.fillText(y.toFixed(1), to.x(0) - 5, to.y(y));
  context.textBaseline = "top";
  context.textAlign = "center";
  for (const x of [0, updates / 2, updates]) {
    const label = x === updates ? `${x} updates` : String(x);
    context.fillText(label, to.x(x), to.y(0) + 5);
  }
  return { context, to, text };
}

/** Points, x and y one after the other, as small discs. */
function cloudOf(context, to, points, colour, radius) {
  context.fillStyle = colour;
  for (let k = 0; k < points.length; k += 2) {
    context.beginPath();
    context.arc(to.x(points[k]), to.y(points[k + 1]), radius, 0, 2 * Math.PI);
    context.fill();
  }
}

/** Labels at the ends of lines, moved until no two overlap. */
function apart(ends, least) {
  const sorted = [...ends].sort((a, b) => b.y - a.y);
  sorted.forEach((end, i) => {
    if (i > 0) end.y = Math.min(end.y, sorted[i - 1].y - least);
  });
  return sorted;
}

function plural(number, noun) {
  return number === 1 ? `1 ${noun}` : `${number.toLocaleString("en")} ${noun}s`;
}
