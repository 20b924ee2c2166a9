// The points of a drawing: a brush that sprays them, and distributions to start from.

import { normal, uniform } from "../playground/random.mjs";

export const MOST = 20_000; // points
const DOTS = 3; // that the brush sprays at each place along a stroke
const DAB = 20; // at a press
const SPACING = 0.02; // between two places of a stroke
const WIDTH = 0.03; // the standard deviation around the brush
const PRESET = 2000; // points

/** Distributions of the lessons, by their names on the page: from random numbers to a point. */
export const PRESETS = {
  Moons: (u, z) => {
    const side = u() < 0.5 ? -1 : 1;
    const [x, y] = onCircle(0.6, Math.PI * u());
    return [side * (x - 0.3) + 0.03 * z(), side * (y - 0.15) + 0.03 * z()];
  },
  Ring: (u, z) => onCircle(0.75 + 0.04 * z(), 2 * Math.PI * u()),
  "Four clouds": (u, z) => {
    const [x, y] = onCircle(0.8, (Math.PI / 2) * Math.floor(4 * u()));
    return [x + 0.1 * z(), y + 0.1 * z()];
  },
};

function onCircle(radius, angle) {
  return [radius * Math.cos(angle), radius * Math.sin(angle)];
}

/** The points of a preset, x and y one after the other. */
export function preset(name) {
  const [u, z] = [uniform(1), normal(2)];
  return Array.from({ length: PRESET }, () => PRESETS[name](u, z)).flat();
}

/** A drawing: points within [-1, 1]^2, x and y one after the other; beyond `MOST` the first go. */
export class Drawing {
  constructor(points) {
    this.points = points;
    this.normal = normal(3);
  }

  get count() {
    return this.points.length / 2;
  }

  /** Points around one place. */
  dab(x, y, dots = DAB) {
    const near = (c) => Math.min(Math.max(c + WIDTH * this.normal(), -1), 1);
    for (let dot = 0; dot < dots; dot++) this.points.push(near(x), near(y));
    if (this.count > MOST) this.points.splice(0, this.points.length - 2 * MOST);
  }

  /** Points along the way from one place to another. */
  stroke([x0, y0], [x1, y1]) {
    const places = Math.ceil(Math.hypot(x1 - x0, y1 - y0) / SPACING);
    for (let i = 1; i <= places; i++) {
      const share = i / places;
      this.dab(x0 + share * (x1 - x0), y0 + share * (y1 - y0), DOTS);
    }
  }
}

/** Some of the points, drawn with replacement; the same for a seed. */
export function resampled(points, count, seed) {
  const draw = uniform(seed);
  const chosen = new Float32Array(2 * count);
  for (let b = 0; b < count; b++) {
    const row = Math.floor((draw() * points.length) / 2);
    chosen[2 * b] = points[2 * row];
    chosen[2 * b + 1] = points[2 * row + 1];
  }
  return chosen;
}
