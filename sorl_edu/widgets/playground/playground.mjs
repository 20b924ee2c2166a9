// The playground: what the reader moves, what is computed then, and in which order it is drawn.

import { readAgent } from "./agents.mjs";
import { ARROW_KEYS, makeSlider } from "./controls.mjs";
import { THEMES, decimal, writeScale } from "./drawing.mjs";
import { candidateNoise, networkEvaluations, propose } from "./inference.mjs";
import { Maze, aspect, drawMaze, mazeBackdrop } from "./maze.mjs";
import { matrix, row } from "./networks.mjs";
import { Play } from "./play.mjs";
import { normal } from "./random.mjs";
import { drawCandidates, drawDensity } from "./square.mjs";
import { isDark, watchSurroundings } from "./surroundings.mjs";
import { Landscape, Pool, histogram, valueSquare } from "./surveys.mjs";

const POOL_SEED = 1_000_003; // of many draws: other noise than that of the draw on display
const SQUARE_SIDE = 17; // bins of Q over the square of actions
const DENSITY_SIDE = 33;
const STRIDE = 0.25; // metres that an arrow key moves the point; four times that with Shift
const WAY = 700; // milliseconds in which new noise becomes actions
const BREATH = 8; // milliseconds of computing between two breaths
const QUIET = 500; // milliseconds without a change, after which a screen reader is told

const MARKUP = `
<div class="settings" role="group" aria-label="Settings">
  <label>Steps m <input type="range" name="steps"> <span></span></label>
  <label>Candidates N <input type="range" name="candidates"> <span></span></label>
  <button type="button">New noise</button>
</div>
<div class="pictures">
  <figure>
    <figcaption><b>The maze.</b> Drag the point, or focus it and press arrow keys (with Shift:
      further). Arrows are the policy’s mean actions.</figcaption>
    <canvas class="maze" tabindex="0" role="application" aria-roledescription="point"></canvas>
    <div class="scale">V(o) <span></span> <i></i> <span></span></div>
  </figure>
  <figure>
    <figcaption><b>One draw.</b> N candidates, each with its way from noise through m steps; the
      chosen one is circled.</figcaption>
    <canvas class="candidates" role="img"></canvas>
    <div class="scale">Q(o, a) <span></span> <i></i> <span></span></div>
  </figure>
  <figure>
    <figcaption><b>Many draws.</b> The density of the chosen action, and its spread: the RMS
      distance from the mean.</figcaption>
    <canvas class="density" role="img"></canvas>
    <p class="pool"></p>
  </figure>
</div>
<div class="numbers">
  <div><span>State</span> <b class="state"></b></div>
  <div><span>Chosen action</span> <b class="action"></b></div>
  <div><span>Its value Q</span> <b class="q"></b></div>
  <div><span>Spread</span> <b class="spread"></b></div>
  <div><span>Network evaluations</span> <b class="evaluations"></b></div>
  <div><span>Time per draw</span> <b class="milliseconds"></b></div>
</div>
<p class="told" role="status"></p>
<section class="play" aria-label="Play" hidden></section>`;

/**
 * Shows the playground in an element.
 *
 * @param {HTMLElement} root an empty element.
 * @param {ArrayBuffer | ArrayBufferView} file the agent's file, as the library saves it.
 * @param {{maze, colours, sliders, start}} given the maze's geometry; the house's colours; the
 *   values of the sliders `steps` and `candidates`; and the state (x, y), steps and candidates to
 *   start from; and, for Play, the most steps of an episode as `limit`.
 * @param {(() => Promise<object>) | null} openWorld opens the world to play in, see episodes.mjs.
 * @returns {Playground}
 */
export function mount(root, file, given, openWorld = null) {
  return new Playground(root, readAgent(file), new Maze(given.maze), given, openWorld);
}

class Playground {
  constructor(root, agent, maze, { colours, sliders, start, limit }, openWorld) {
    Object.assign(this, { root, agent, maze, palette: colours, seed: 0, share: 1 });
    this.position = start.state;
    this.landscapes = new Map(); // by the number of steps
    root.classList.add("sorl-playground");
    root.innerHTML = MARKUP;
    root.playground = this;
    this.find = (selector) => root.querySelector(selector);
    this.ending = new AbortController();
    this.steps = this.slider("steps", sliders.steps, start.steps);
    this.candidates = this.slider("candidates", sliders.candidates, start.candidates);
    this.on(this.find("button"), "click", () => this.newNoise());
    this.makeDraggable(this.find("canvas.maze"));
    const section = this.find(".play");
    section.hidden = openWorld === null;
    this.play = openWorld === null ? null : new Play(section, this, openWorld, limit);
    for (const control of root.querySelectorAll("input, button, [tabindex]"))
      control.dataset.lmSuppressShortcuts = "true"; // JupyterLab leaves its keys to it
    const redraw = () => {
      this.request("maze", "candidates", "density");
      this.play?.draw();
    };
    watchSurroundings(root, redraw, this.ending.signal);
    this.follow();
  }

  /** Ends all that goes on without the reader. */
  end() {
    this.ending.abort();
    this.play?.stop();
    cancelAnimationFrame(this.requested);
    clearTimeout(this.working);
    clearTimeout(this.telling);
  }

  on(target, kind, listener) {
    target.addEventListener(kind, listener, { signal: this.ending.signal });
  }

  // ------------------------------------------------------------------ what the reader moves

  slider(name, values, start) {
    const moved = () => {
      this.share = 1;
      this.follow();
    };
    const input = this.find(`input[name=${name}]`);
    return makeSlider(input, values, start, moved, this.ending.signal);
  }

  makeDraggable(canvas) {
    canvas.style.aspectRatio = aspect(this.maze);
    const at = (event) => {
      const box = canvas.getBoundingClientRect();
      return this.backdrop.to.inverse(event.clientX - box.left, event.clientY - box.top);
    };
    this.on(canvas, "pointerdown", (event) => {
      if (event.button !== 0) return;
      canvas.setPointerCapture(event.pointerId);
      if (this.maze.isFree(...at(event))) this.moveTo(at(event));
    });
    this.on(canvas, "pointermove", (event) => {
      if (canvas.hasPointerCapture(event.pointerId)) this.moveTo(at(event));
    });
    this.on(canvas, "keydown", (event) => {
      const direction = ARROW_KEYS[event.key];
      if (direction === undefined || event.ctrlKey || event.altKey || event.metaKey) return;
      event.preventDefault(); // the page does not scroll
      event.stopPropagation();
      const stride = event.shiftKey ? 4 * STRIDE : STRIDE;
      this.moveTo(this.position.map((p, k) => p + stride * direction[k]));
    });
  }

  moveTo(position) {
    this.position = this.maze.reach(this.position, position);
    this.share = 1;
    this.follow();
  }

  newNoise() {
    this.seed += 1;
    const still = window.matchMedia("(prefers-reduced-motion: reduce)").matches;
    this.share = still ? 1 : 0;
    this.started = performance.now();
    this.follow();
  }

  // ------------------------------------------------------------------ what is computed

  /** Everything follows what the reader moved: one draw at once, and the rest in portions. */
  follow() {
    const m = this.steps();
    this.proposal = null;
    this.obs = matrix(1, 2, Float64Array.from(this.position));
    if (!this.landscapes.has(m))
      this.landscapes.set(m, new Landscape(this.agent, this.maze.places.positions, m, 1));
    this.renewPool();
    if (this.poolIsCurrent()) this.survey();
    this.request("maze", "candidates", "density");
    clearTimeout(this.telling);
    this.telling = setTimeout(() => this.tell(), QUIET);
  }

  /**
   * The pool of many draws starts anew at another state or another m. At another state it first
   * grows large enough to be seen, or a drag would show none.
   */
  renewPool() {
    const [m, N] = [this.steps(), this.candidates()];
    const isUnseen = this.pool?.m === m && this.pool.count < leastPool(N);
    if (!this.poolIsCurrent() && !isUnseen)
      this.pool = new Pool(this.agent, this.obs, m, POOL_SEED);
  }

  poolIsCurrent() {
    const { pool, obs } = this;
    return pool?.m === this.steps() && pool.obs.values.every((o, k) => o === obs.values[k]);
  }

  /** Whether everything on display is of what the reader chose. */
  get isComputed() {
    const jobs = [this.pool, this.landscapes.get(this.steps())];
    return this.proposal !== null && this.poolIsCurrent() && jobs.every(({ done }) => done);
  }

  /** Computes portions, with breaths in which the browser draws and answers the reader. */
  work() {
    clearTimeout(this.working);
    if (this.isComputed) return;
    this.working = setTimeout(() => {
      this.renewPool();
      const job = this.pool.done ? this.landscapes.get(this.steps()) : this.pool;
      const end = performance.now() + BREATH;
      while (!job.done && performance.now() < end) job.advance();
      if (job === this.pool) this.survey();
      else if (job.done) this.request("maze");
      if (this.isComputed) this.timeAgain();
      this.work();
    });
  }

  /** Computes the density of the chosen action, when the pool is large or has grown enough. */
  survey() {
    const N = this.candidates();
    const { count, done } = this.pool;
    const last = this.density;
    const isSame = last?.pool === this.pool && last.N === N;
    if (count < leastPool(N) || (isSame && !done && count < 2 * last.count)) return;
    const { actions, chances, spread } = this.pool.chosen(N);
    const grid = histogram(actions, chances, DENSITY_SIDE);
    this.density = { pool: this.pool, N, count, grid, spread };
    this.request("density");
  }

  /** Measures a draw's time once more: the first time, the browser has yet to compile the code. */
  timeAgain() {
    this.propose();
    this.write();
  }

  /** One draw: N candidates from noise of this seed, their values and the choice, and its time. */
  propose() {
    const m = this.steps();
    const { obs } = this;
    const noise = candidateNoise(normal(this.seed), this.candidates(), this.agent.actionDim);
    const started = performance.now();
    this.proposal = propose(this.agent, obs, noise, m);
    this.milliseconds = performance.now() - started;
    this.noise = noise;
    this.square = valueSquare(this.agent, obs, m, SQUARE_SIDE);
  }

  // ------------------------------------------------------------------ what is drawn

  /** Asks for pictures to be drawn, all of them in the browser's next frame. */
  request(...pictures) {
    this.stale = new Set([...(this.stale ?? []), ...pictures]);
    cancelAnimationFrame(this.requested);
    this.requested = requestAnimationFrame(() => this.draw());
  }

  draw() {
    if (this.root.clientWidth === 0) return; // hidden: it is drawn when it gets a size
    const stale = this.stale;
    this.stale = new Set();
    const colours = this.colours();
    this.root.dataset.theme = colours.theme;
    if (this.proposal === null) this.propose();
    if (stale.has("maze")) this.drawMaze(colours);
    if (stale.has("candidates")) this.drawCandidates(colours);
    if (stale.has("density")) this.drawDensity(colours);
    this.write();
    this.work();
    this.root.dispatchEvent(new CustomEvent("sorl-drawn", { bubbles: true }));
  }

  /** The colours of the theme. */
  colours() {
    const theme = isDark() ? "dark" : "light";
    return { theme, ...this.palette.both, ...this.palette[theme], ...THEMES[theme] };
  }

  drawMaze(colours) {
    const canvas = this.find("canvas.maze");
    const current = this.landscapes.get(this.steps());
    if (current.done) this.landscape = current; // until then, the last one stays
    const size = [canvas.clientWidth, canvas.clientHeight];
    const key = [...size, window.devicePixelRatio, colours.paper, this.landscape?.m].join();
    if (this.backdrop?.key !== key)
      this.backdrop = { key, ...mazeBackdrop(size, this.maze, this.landscape, colours) };
    drawMaze(canvas, this.backdrop, this.position, this.chosenAction(), colours);
    const [x, y] = this.position.map((p) => decimal(p, 2));
    canvas.ariaLabel = `State: x ${x}, y ${y} metres; arrow keys move it`;
    writeScale(canvas.nextElementSibling, this.landscape?.values, colours.landscape);
  }

  drawCandidates(colours) {
    const canvas = this.find("canvas.candidates");
    if (this.share < 1) {
      this.share = Math.min((performance.now() - this.started) / WAY, 1);
      this.request("candidates");
    }
    drawCandidates(canvas, this.proposal, this.square, colours, this.share);
    canvas.ariaLabel = this.told();
    writeScale(canvas.nextElementSibling, this.square, colours.shade);
  }

  drawDensity(colours) {
    const canvas = this.find("canvas.density");
    drawDensity(canvas, this.density?.grid ?? null, colours);
    if (this.density === undefined) return;
    const { count, N, spread } = this.density;
    const pool = `${count.toLocaleString("en")} candidates`;
    const chooses = this.agent.value !== null && N > 1;
    this.find(".pool").textContent = chooses ? `All ways to draw ${N} of ${pool}` : pool;
    canvas.ariaLabel = `Density of the chosen action; its spread is ${decimal(spread, 2)}`;
  }

  /** Writes the numbers. */
  write() {
    const { q, chosen } = this.proposal;
    const texts = {
      state: `(${decimals(this.position, 2)}) m`,
      action: `(${decimals(this.chosenAction(), 2)})`,
      q: q === null ? "no critic" : decimal(q[chosen], 2),
      spread: this.density === undefined ? "…" : decimal(this.density.spread, 3),
      evaluations: String(this.evaluations()),
      milliseconds: `${decimal(this.milliseconds, 1)} ms`,
    };
    for (const [name, text] of Object.entries(texts))
      this.find(`.numbers .${name}`).textContent = text;
  }

  /** Tells a screen reader what is on display, once the reader has stopped moving things. */
  tell() {
    if (!this.isComputed) {
      this.telling = setTimeout(() => this.tell(), QUIET);
      return;
    }
    const spread = decimal(this.density.spread, 2);
    this.find(".told").textContent = `${this.told()} Spread ${spread}.`;
  }

  /** One draw in words. */
  told() {
    const { q, chosen, actions } = this.proposal;
    const action = decimals(this.chosenAction(), 2);
    const how = q === null ? "no critic chooses" : `chosen with Q ${decimal(q[chosen], 1)}`;
    const drawn = `${plural(this.steps(), "step")}, ${plural(actions.rows, "candidate")}`;
    return `At (${decimals(this.position, 2)}) metres, ${drawn}: action (${action}), ${how}.`;
  }

  chosenAction() {
    return [...row(this.proposal.actions, this.proposal.chosen)];
  }

  evaluations() {
    return networkEvaluations(this.steps(), this.candidates(), this.agent.ensemble);
  }

  /** The numbers on display, as JSON values, for tests and for readers with a console. */
  facts() {
    if (this.proposal === null) this.propose();
    const rows = (x) => Array.from({ length: x.rows }, (_, n) => [...row(x, n)]);
    const { actions, q, chosen } = this.proposal;
    return {
      state: [...this.position],
      steps: this.steps(),
      candidates: this.candidates(),
      noise: rows(this.noise),
      actions: rows(actions),
      q: q === null ? null : [...q],
      chosen,
      spread: this.density?.spread ?? null,
      pool: this.pool.count,
      evaluations: this.evaluations(),
      milliseconds: this.milliseconds,
      landscape: this.landscape?.m ?? null,
    };
  }
}

function plural(number, noun) {
  return number === 1 ? `1 ${noun}` : `${number} ${noun}s`;
}

/** The size from which on a pool's density for N is shown. */
function leastPool(N) {
  return Math.max(256, 2 * N);
}

function decimals(numbers, digits) {
  return numbers.map((x) => decimal(x, digits)).join(", ");
}
