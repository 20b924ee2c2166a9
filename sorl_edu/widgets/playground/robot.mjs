// The robot's page: an arm that acts with the agent's own networks, in the real physics.

import { readAgent } from "./agents.mjs";
import { Arm, ArmEpisode } from "./arm.mjs";
import { ARROW_KEYS, makeSlider } from "./controls.mjs";
import { THEMES, decimal, disc, fit, limitsOf, line, ramp, writeScale } from "./drawing.mjs";
import { networkEvaluations } from "./inference.mjs";
import { row } from "./networks.mjs";
import { loadMuJoCo, loadThree } from "./packages.mjs";
import { Scene } from "./scene.mjs";
import { isDark, watchSurroundings } from "./surroundings.mjs";

const STEP = 50; // milliseconds of an environment step: 25 of the physics, 2 ms each
const FRAME = 30; // milliseconds of computing in a frame, at full speed
const PAUSE = 800; // milliseconds at the end of an episode
const TURN = Math.PI / 18; // of the view, by an arrow key
const LEAST = 4; // of Q that the picture of values spans: smaller differences are small there

const ROBOT_MARKUP = `
<div class="settings" role="group" aria-label="Settings">
  <label>Steps m <input type="range" name="steps"> <span></span></label>
  <label>Candidates N <input type="range" name="candidates"> <span></span></label>
  <button type="button" name="act">Act</button>
  <button type="button" name="next">Next start</button>
  <label class="tick"><input type="checkbox" name="fast"> As fast as it can</label>
</div>
<p role="alert" hidden></p>
<div class="pictures robot">
  <figure>
    <figcaption><b>The arm.</b> It must bring the cube to the pale one. Dots show where the
      candidates would move the gripper, coloured by Q; the large one is chosen. Drag to look
      around, or focus it and press arrow keys.</figcaption>
    <canvas class="scene" role="img" tabindex="0"></canvas>
    <div class="scale">Q(o, a) <span></span> <i></i> <span></span></div>
  </figure>
  <figure>
    <figcaption><b>The values.</b> In each step of the episode: the candidates’ Q from the lowest to
      the highest, and the chosen one’s, which is the highest.</figcaption>
    <canvas class="values" role="img"></canvas>
    <p class="pool"></p>
  </figure>
</div>
<div class="numbers">
  <div><span>Episode</span> <b class="episode"></b></div>
  <div><span>Step</span> <b class="step"></b></div>
  <div><span>Cube to goal</span> <b class="distance"></b></div>
  <div><span>Q of the choice</span> <b class="q"></b></div>
  <div><span>Network evaluations</span> <b class="evaluations"></b></div>
  <div><span>Time per action</span> <b class="milliseconds"></b></div>
</div>
<table><caption>Episodes that were played at one setting from start to end</caption>
  <thead><tr><th scope="col">m</th><th scope="col">N</th><th scope="col">Arrived</th>
    <th scope="col">Success, 95%</th></tr></thead><tbody></tbody></table>
<p class="told" role="status"></p>`;

/**
 * Shows the robot's page in an element.
 *
 * @param {HTMLElement} root an empty element.
 * @param {ArrayBuffer | ArrayBufferView} file the agent's file, as the library saves it.
 * @param {{physics, shapes, starts, scripts, colours, sliders, start}} given what robot.py writes.
 */
export function mountRobot(root, file, given) {
  return new RobotPage(root, readAgent(file), given);
}

class RobotPage {
  constructor(root, agent, { physics, shapes, starts, scripts, colours, sliders, start }) {
    Object.assign(this, { root, agent, physics, shapes, starts, scripts, palette: colours });
    this.number = 0; // of the episode, which chooses its start and its noise
    this.tallies = new Map(); // by the setting
    root.classList.add("sorl-playground");
    root.innerHTML = ROBOT_MARKUP;
    root.playground = this;
    this.find = (selector) => root.querySelector(selector);
    this.ending = new AbortController();
    const { signal } = this.ending;
    const slider = (name) => {
      const input = this.find(`input[name=${name}]`);
      return makeSlider(input, sliders[name], start[name], () => this.settingMoved(), signal);
    };
    this.steps = slider("steps");
    this.candidates = slider("candidates");
    const on = (name, listener) =>
      this.find(`[name=${name}]`).addEventListener("click", listener, { signal });
    on("act", () => (this.isActing ? this.pause() : this.act()));
    on("next", () => this.next());
    this.find("canvas.scene").addEventListener("keydown", (event) => this.turn(event), { signal });
    watchSurroundings(root, () => this.draw(), signal);
    this.ready = this.open();
  }

  /** Loads the physics and the pictures, and shows the first start. */
  async open() {
    try {
      const { mujoco: mujocoScript, three: threeScript } = this.scripts;
      const [mujoco, library] = await Promise.all([
        loadMuJoCo(mujocoScript),
        loadThree(threeScript),
      ]);
      this.arm = new Arm(mujoco, this.physics);
      const canvas = this.find("canvas.scene");
      this.scene = new Scene(library, canvas, this.shapes, () => this.request());
      this.begin();
    } catch (error) {
      const alert = this.find("[role=alert]");
      alert.textContent = error.message;
      alert.hidden = false;
      throw error;
    }
  }

  end() {
    this.pause();
    this.ending.abort();
    this.scene?.end();
  }

  setting() {
    return { steps: this.steps(), candidates: this.candidates() };
  }

  // ------------------------------------------------------------------ the episode

  begin() {
    const start = this.starts[this.number % this.starts.length];
    this.episode = new ArmEpisode(this.agent, this.arm, start, this.number);
    this.values = [];
    this.isMixed = false; // whether the setting changed on the way
    this.think();
    this.request();
  }

  next() {
    this.number += 1;
    if (this.arm !== undefined) this.begin();
  }

  /** Proposes an action, and measures how long that takes. */
  think() {
    const started = performance.now();
    this.proposal = this.episode.propose(this.setting());
    this.milliseconds = performance.now() - started;
  }

  settingMoved() {
    if (this.episode === undefined) return;
    if (this.episode.time > 0) this.isMixed = true;
    if (!this.episode.over) this.think();
    this.request();
  }

  /** One step of the episode; the next proposal is made at once, so that it can be seen. */
  advance() {
    const { episode, proposal } = this;
    const { q, chosen } = proposal;
    if (q !== null) this.values.push([...limitsOf(q), q[chosen]]);
    episode.take(proposal);
    if (episode.over) this.count();
    else this.think();
  }

  count() {
    if (this.isMixed) return;
    const { steps, candidates } = this.setting();
    const key = `${steps} ${candidates}`;
    const tally = this.tallies.get(key) ?? { steps, candidates, arrived: 0, episodes: 0 };
    tally.episodes += 1;
    tally.arrived += this.episode.arrived ? 1 : 0;
    this.tallies.set(key, tally);
  }

  async act() {
    await this.ready;
    this.isActing = true;
    this.find("[name=act]").textContent = "Pause";
    let last = performance.now() - STEP;
    while (this.isActing) {
      await new Promise(requestAnimationFrame);
      if (!this.isActing) break;
      const isFast = this.find("[name=fast]").checked;
      if (this.episode.over) {
        await this.rest(isFast ? 0 : PAUSE);
        if (this.isActing) this.next();
        continue;
      }
      const now = performance.now();
      if (!isFast && now < last + STEP) continue;
      last = Math.max(last + STEP, now - STEP); // one that was late does not hurry to catch up
      const end = isFast ? now + FRAME : now;
      do this.advance();
      while (!this.episode.over && performance.now() < end);
      this.draw();
    }
  }

  /** Tells how the episode ended, and waits. */
  async rest(milliseconds) {
    const { arrived, time } = this.episode;
    const how = arrived ? `arrived after ${time} steps` : `not there after ${time} steps`;
    this.find(".told").textContent = `Episode ${this.number + 1}: ${how}.`;
    await new Promise((resolve) => setTimeout(resolve, milliseconds));
  }

  pause() {
    this.isActing = false;
    this.find("[name=act]").textContent = "Act";
  }

  // ------------------------------------------------------------------ what is drawn

  /** Arrow keys turn the view. */
  turn(event) {
    const direction = ARROW_KEYS[event.key];
    if (direction === undefined || event.ctrlKey || event.altKey || event.metaKey) return;
    event.preventDefault(); // the page does not scroll
    this.scene?.turn(...direction.map((way) => TURN * way));
  }

  request() {
    cancelAnimationFrame(this.requested);
    this.requested = requestAnimationFrame(() => this.draw());
  }

  draw() {
    if (this.episode === undefined || this.root.clientWidth === 0) return;
    const theme = isDark() ? "dark" : "light";
    this.root.dataset.theme = theme;
    const colours = { ...this.palette.both, ...this.palette[theme], ...THEMES[theme] };
    this.drawArm(colours);
    this.drawValues(colours);
    this.write();
    this.root.dispatchEvent(new CustomEvent("sorl-drawn", { bubbles: true }));
  }

  drawArm(colours) {
    const { actions, q, chosen } = this.proposal;
    const canvas = this.find("canvas.scene");
    const [low, high] = q === null ? [0, 0] : limitsOf(q);
    const colour = ramp(colours.landscape);
    const share = (n) => (q === null || high === low ? 1 : (q[n] - low) / (high - low));
    const all = Array.from({ length: actions.rows }, (_, n) => n);
    const places = all.map((n) => this.arm.target([...row(actions, n)]));
    this.scene.follow(this.arm.data);
    this.scene.showDots(places, all.map((n) => colour(share(n))), chosen);
    this.scene.draw(colours);
    const step = `The arm, step ${this.episode.time}`;
    canvas.ariaLabel = `${step}: the cube is ${this.distance()} from its goal`;
    writeScale(canvas.nextElementSibling, q, colours.landscape);
  }

  /** Q over the steps of the episode. */
  drawValues(colours) {
    const canvas = this.find("canvas.values");
    const { context, width, height } = fit(canvas);
    const hasCritic = this.agent.value !== null;
    const words = hasCritic ? "They appear while the arm acts." : "This agent has no critic.";
    this.find("figure .pool").textContent = this.values.length === 0 ? words : "";
    if (this.values.length === 0) return;
    const [low, high] = limitsOf(this.values.flat());
    const middle = (low + high) / 2;
    const half = Math.max(high - low, LEAST) / 2;
    const [bottom, top] = [middle - half, middle + half];
    const x = (step) => 12 + ((width - 24) * step) / this.physics.limit;
    const y = (q) => 36 + ((height - 90) * (top - q)) / (top - bottom);
    context.font = `${0.85 * Number.parseFloat(getComputedStyle(this.root).fontSize)}px system-ui`;
    context.fillStyle = colours.text;
    context.fillText(`Q = ${top.toFixed(1)}`, 12, 20);
    context.fillText(`Q = ${bottom.toFixed(1)}`, 12, height - 32);
    context.fillText("step 0", 12, height - 6);
    context.textAlign = "right";
    context.fillText(`step ${this.physics.limit}`, width - 12, height - 6);
    context.fillStyle = colours.wall;
    context.globalAlpha = 0.6;
    this.values.forEach(([worst, best], step) => {
      context.fillRect(x(step), y(best), Math.max(x(1) - x(0), 1), y(worst) - y(best));
    });
    context.globalAlpha = 1;
    const way = this.values.map(([, , q], step) => [x(step), y(q)]);
    line(context, way, colours.way, 2);
    disc(context, ...way.at(-1), 4, colours.blue, "#ffffff");
    canvas.ariaLabel = `Q of the chosen actions, last ${this.values.at(-1)[2].toFixed(1)}`;
  }

  distance() {
    const { goal } = this.physics;
    const gap = Math.hypot(...this.arm.cubePosition().map((p, k) => p - goal[k]));
    return `${(100 * gap).toFixed(1)} cm`;
  }

  write() {
    const { q, chosen } = this.proposal;
    const { over, arrived, time } = this.episode;
    const end = arrived ? ", arrived" : ", not there";
    const texts = {
      episode: String(this.number + 1),
      step: `${time} of ${this.physics.limit}${over ? end : ""}`,
      distance: this.distance(),
      q: q === null ? "no critic" : decimal(q[chosen], 2),
      evaluations: String(
        networkEvaluations(this.steps(), this.candidates(), this.agent.ensemble),
      ),
      milliseconds: `${this.milliseconds.toFixed(1)} ms`,
    };
    for (const [name, text] of Object.entries(texts)) this.find(`.${name}`).textContent = text;
    this.find("table").hidden = this.tallies.size === 0;
    this.find("tbody").innerHTML = [...this.tallies.values()].map(tallyRow).join("");
  }

  /** The numbers on display, as JSON values, for tests and for readers with a console. */
  facts() {
    const { time, arrived, over } = this.episode;
    const tallies = [...this.tallies.values()];
    return { episode: this.number, time, arrived, over, ...this.setting(), tallies };
  }
}

/** A row of the table: a setting, and how many of its episodes arrived. */
function tallyRow({ steps, candidates, arrived, episodes }) {
  const [share, low, high] = [arrived / episodes, ...wilson(arrived, episodes)].map((x) =>
    x.toFixed(2),
  );
  const cells = [steps, candidates, `${arrived} of ${episodes}`, `${share} [${low}, ${high}]`];
  return `<tr>${cells.map((cell) => `<td>${cell}</td>`).join("")}</tr>`;
}

/** Wilson's 95% interval of a share: it stays within [0, 1], however few the episodes are. */
export function wilson(successes, episodes) {
  const z = 1.959964;
  const share = successes / episodes;
  const scale = 1 + (z * z) / episodes;
  const centre = (share + (z * z) / (2 * episodes)) / scale;
  const variance = (share * (1 - share)) / episodes + (z / (2 * episodes)) ** 2;
  const half = (z * Math.sqrt(variance)) / scale;
  return [Math.max(0, centre - half), Math.min(1, centre + half)];
}
