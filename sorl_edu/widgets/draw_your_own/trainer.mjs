// Training beside the page: in a worker, so that the page answers while it trains; or, where no
// worker starts, in the page itself, a slice at a time.
//
// A trainer is sent {start: {id, model, points, updates, seed}} and {run: true or false}, and posts
// snapshots {id, done, losses, layers, seconds}: the losses' means since the last one, and the
// seconds of computing since the start.

import { copied } from "./mlp.mjs";
import { Training } from "./training.mjs";

const EVERY = 25; // updates between two snapshots
const SLICES = { worker: 100, page: 12 }; // milliseconds of computing between two messages

/** Trains as it is told through a port: the global object of a worker, or one like it. */
export function serve(port, slice = SLICES.worker) {
  let [id, training, running, timer, spent, sums] = [0, null, false, 0, 0, {}];

  function post() {
    const count = training.done % EVERY || EVERY;
    const means = Object.entries(sums).map(([name, sum]) => [name, sum / count]);
    const { done, layers } = training;
    const losses = Object.fromEntries(means);
    port.postMessage({ id, done, losses, layers: copied(layers), seconds: spent / 1000 });
    sums = {};
  }

  function update() {
    const started = performance.now();
    for (const [name, loss] of Object.entries(training.update()))
      sums[name] = (sums[name] ?? 0) + loss;
    spent += performance.now() - started;
    if (training.done % EVERY === 0 || training.done === training.updates) post();
  }

  function work() {
    const end = performance.now() + slice;
    while (training.done < training.updates && performance.now() < end) update();
    if (training.done < training.updates) timer = setTimeout(work);
  }

  port.onmessage = ({ data: { start, run } }) => {
    clearTimeout(timer);
    if (start !== undefined) {
      [id, training, spent, sums] = [start.id, new Training(start), 0, {}];
      post();
    }
    running = run ?? running;
    if (running && training !== null) timer = setTimeout(work);
  };
}

/** A trainer, and what it is told. */
export class Trainer {
  /**
   * @param {string} script of the worker.
   * @param {(snapshot: object) => void} heard is called with each snapshot of the last start.
   */
  constructor(script, heard) {
    Object.assign(this, { heard, id: 0, last: null, running: false });
    try {
      this.url = URL.createObjectURL(new Blob([script], { type: "text/javascript" }));
      this.port = new Worker(this.url);
      this.port.onerror = () => this.trainHere();
      this.port.onmessage = ({ data }) => this.hear(data);
    } catch {
      this.trainHere();
    }
  }

  /** Trains in the page from now on, and starts again with what was started last. */
  trainHere() {
    this.port?.terminate?.();
    const inside = { postMessage: (data) => this.hear(data) };
    serve(inside, SLICES.page);
    this.port = { postMessage: (data) => inside.onmessage({ data }) };
    if (this.last !== null) this.port.postMessage({ start: this.last, run: this.running });
  }

  hear(snapshot) {
    if (snapshot.id === this.id) this.heard(snapshot);
  }

  /** Starts anew, and runs only when it is told so. */
  start(given) {
    this.id += 1;
    this.last = { id: this.id, ...given };
    this.running = false;
    this.port.postMessage({ start: this.last, run: false });
  }

  run(running) {
    this.running = running;
    this.port.postMessage({ run: running });
  }

  end() {
    this.run(false);
    this.port.terminate?.();
    URL.revokeObjectURL(this.url);
  }
}
