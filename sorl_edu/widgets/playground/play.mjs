// Play: the agent acts from the point to the goal, at several settings side by side.

import { disc, fit, line } from "./drawing.mjs";
import { mazeBackdrop } from "./maze.mjs";

const SETTINGS = [
  { steps: 1, candidates: 1 },
  { steps: 8, candidates: 1 },
  { steps: 8, candidates: 32 },
];
const FRAME = 10; // milliseconds of computing in a frame

const PLAY_MARKUP = `
<div class="settings"><button type="button">Play from the point</button>
  <span class="quiet">The real physics: from the point to the goal, with the same noise at every
    setting. The last one is yours.</span></div>
<p role="alert" hidden></p>
<div class="episodes"></div>
<p class="told" role="status"></p>`;

export class Play {
  /**
   * @param {HTMLElement} root an empty element.
   * @param playground what has the agent, the maze, the point, and the reader's setting.
   * @param {() => Promise<object>} openWorld opens the world, which makes the episodes.
   */
  constructor(root, playground, openWorld, limit) {
    Object.assign(this, { root, playground, openWorld });
    this.task = { goal: playground.maze.goal, goal_radius: playground.maze.goal_radius, limit };
    root.innerHTML = PLAY_MARKUP;
    this.button = root.querySelector("button");
    this.running = 0; // the number of the run; a stopped one notices that another number is there
    playground.on(this.button, "click", () => (this.isRunning ? this.stop() : this.run()));
  }

  stop() {
    this.running += 1;
    this.isRunning = false;
    this.button.textContent = "Play from the point";
  }

  /** Runs the episodes, and draws them while they run. */
  async run() {
    const number = ++this.running;
    this.isRunning = true;
    this.button.textContent = "Getting ready ..."; // a kernel compiles the policies
    this.say("");
    try {
      this.world ??= await this.openWorld();
      const { agent, seed, position } = this.playground;
      const yours = { steps: this.playground.steps(), candidates: this.playground.candidates() };
      const chooses = agent.value !== null;
      const all = [...SETTINGS.filter(({ candidates }) => chooses || candidates === 1), yours];
      const episodes = this.world.episodes(agent, this.task, all, seed);
      this.episodes = episodes;
      await episodes.begin(position);
      if (this.running === number) this.button.textContent = "Stop";
      this.show(episodes);
      while (!episodes.over && this.running === number) {
        await new Promise(requestAnimationFrame);
        const end = performance.now() + FRAME;
        do await episodes.advance();
        while (performance.now() < end && !episodes.over && this.running === number);
        if (this.running === number) this.draw();
      }
    } catch (error) {
      this.say(error.message);
    }
    if (this.running !== number) return;
    this.stop();
    const outcomes = this.episodes?.all.map((one, i) => `${this.names[i]}: ${outcome(one)}`);
    this.root.querySelector(".told").textContent = outcomes?.join(". ") ?? "";
  }

  say(message) {
    const alert = this.root.querySelector("[role=alert]");
    alert.textContent = message;
    alert.hidden = message === "";
  }

  /** Makes a picture for each episode. */
  show({ all }) {
    const place = this.root.querySelector(".episodes");
    place.replaceChildren();
    this.names = all.map(({ steps, candidates }) => `m = ${steps}, N = ${candidates}`);
    this.pictures = this.names.map((name, i) => {
      const figure = document.createElement("figure");
      figure.innerHTML = `<figcaption><b></b></figcaption><canvas role="img"></canvas><p></p>`;
      figure.querySelector("b").textContent = i === all.length - 1 ? `Yours: ${name}` : name;
      place.append(figure);
      const canvas = figure.querySelector("canvas");
      canvas.style.aspectRatio = this.playground.find("canvas.maze").style.aspectRatio;
      return { canvas, words: figure.querySelector("p") };
    });
    this.draw();
  }

  draw() {
    if (!this.episodes?.all[0].path.length || !this.pictures) return;
    const colours = this.playground.colours();
    const size = [this.pictures[0].canvas.clientWidth, this.pictures[0].canvas.clientHeight];
    const key = [...size, window.devicePixelRatio, colours.paper].join();
    if (this.backdrop?.key !== key)
      this.backdrop = { key, ...mazeBackdrop(size, this.playground.maze, null, colours) };
    this.episodes.all.forEach((episode, i) => this.drawEpisode(episode, this.pictures[i], colours));
  }

  drawEpisode(episode, { canvas, words }, colours) {
    const { picture, to } = this.backdrop;
    const { context, width, height } = fit(canvas);
    context.drawImage(picture, 0, 0, width, height);
    const pixels = episode.path.map(([x, y]) => [to.x(x), to.y(y)]);
    const failed = episode.over && !episode.arrived;
    context.setLineDash(failed ? [8, 3] : []);
    line(context, pixels, failed ? colours.orange : colours.way, 2);
    context.setLineDash([]);
    disc(context, ...pixels.at(-1), 7, failed ? colours.orange : colours.blue, "#ffffff", 2);
    words.textContent = outcome(episode);
    canvas.ariaLabel = `The way through the maze: ${words.textContent}`;
  }
}

/** How an episode ended, or how long it has run. */
function outcome({ path, over, arrived }) {
  const steps = path.length - 1;
  if (!over) return `step ${steps}`;
  return arrived ? `arrived after ${steps} steps` : `not there after ${steps} steps`;
}
