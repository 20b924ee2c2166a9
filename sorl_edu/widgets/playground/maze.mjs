// The maze from above: where its walls are, and its picture.

import { arrow, disc, drawGrid, fit, limitsOf, line, projection, ramp, star } from "./drawing.mjs";
import { matrix, row } from "./networks.mjs";

const PER_CELL = 4; // places along a cell's edge at which the landscape is computed
const POINTER = 34; // pixels of an action of length 1, at the point
const RIM = 0.75; // of a cell, which is cut off of the outer walls

/**
 * The geometry that the library's MazeGeometry has: cell (row i, column j) is centred at
 * origin + cell * (j, i), so row 0 is the lowest.
 */
export class Maze {
  constructor(geometry) {
    Object.assign(this, geometry); // walls, cell, origin, start, goal, goal_radius
    const [left, bottom] = this.origin.map((o) => o - this.cell / 2);
    const [rows, columns] = [this.walls.length, this.walls[0].length];
    this.extent = [left, left + this.cell * columns, bottom, bottom + this.cell * rows];
    this.places = this.freePlaces();
  }

  /** The part of the maze on display. */
  get shown() {
    const [left, right, bottom, top] = this.extent;
    const rim = RIM * this.cell;
    return [left + rim, right - rim, bottom + rim, top - rim];
  }

  isFree(x, y) {
    const [column, i] = [x, y].map((p, k) => Math.round((p - this.origin[k]) / this.cell));
    return this.walls[i]?.[column] === false;
  }

  /** Where a point arrives that is moved to (x, y): walls stop it in the direction they bar. */
  reach([fromX, fromY], [x, y]) {
    if (this.isFree(x, y)) return [x, y];
    if (this.isFree(x, fromY)) return [x, fromY];
    return this.isFree(fromX, y) ? [fromX, y] : [fromX, fromY];
  }

  /** The grid of places, of which the free ones are positions (x, y), and where each is on it. */
  freePlaces() {
    const [rows, columns] = [this.walls.length * PER_CELL, this.walls[0].length * PER_CELL];
    const at = (i, k) => this.origin[k] + this.cell * ((i + 0.5) / PER_CELL - 0.5);
    const free = [];
    for (let i = 0; i < rows * columns; i++) {
      const position = [at(i % columns, 0), at(Math.floor(i / columns), 1)];
      if (this.isFree(...position)) free.push({ i, position });
    }
    const xy = Float64Array.from(free.flatMap(({ position }) => position));
    const positions = matrix(free.length, 2, xy);
    return { rows, columns, on: free.map(({ i }) => i), positions };
  }
}

/** The width of the maze's picture in units of its height. */
export function aspect(maze) {
  const [left, right, bottom, top] = maze.shown;
  return (right - left) / (top - bottom);
}

/**
 * The picture behind the point: V(o) as a landscape, walls, goal and mean actions.
 *
 * @returns {{picture, to}} a canvas of this size, and its projection.
 */
export function mazeBackdrop(size, maze, landscape, colours) {
  const picture = document.createElement("canvas");
  const { context, width, height } = fit(picture, size);
  const to = projection(maze.shown, { left: 0, top: 0, width, height });
  if (landscape?.values) drawLandscape(context, to, maze, landscape, colours);
  drawWalls(context, to, maze, colours);
  if (landscape) drawMeans(context, to, maze, landscape);
  const [x, y] = [to.x(maze.goal[0]), to.y(maze.goal[1])];
  const edge = landscape?.values ? "#000000" : colours.text;
  disc(context, x, y, maze.goal_radius * to.scale, null, edge, 1.5);
  star(context, x, y, 10, "#262626", "#ffffff");
  return { picture, to };
}

function drawLandscape(context, to, maze, landscape, colours) {
  const { rows, columns, on } = maze.places;
  const values = new Float64Array(rows * columns).fill(Number.NaN);
  on.forEach((i, place) => (values[i] = landscape.values[place]));
  const limits = limitsOf(landscape.values);
  const grid = { rows, columns, values, limits, extent: maze.extent };
  drawGrid(context, to, grid, ramp(colours.landscape), false);
}

/** Draws walls on whole pixels, so that no gap is between neighbours. */
function drawWalls(context, to, maze, colours) {
  context.fillStyle = colours.wall;
  const [left, , bottom] = maze.extent;
  const { cell } = maze;
  maze.walls.forEach((walls, i) =>
    walls.forEach((wall, j) => {
      if (!wall) return;
      const [x, y] = [to.x(left + cell * j), to.y(bottom + cell * (i + 1))].map(Math.round);
      const [right, below] = [to.x(left + cell * (j + 1)), to.y(bottom + cell * i)].map(Math.round);
      context.fillRect(x, y, right - x, below - y);
    }),
  );
}

/** An arrow for the mean action at every other place: of length 1, a third of a cell. */
function drawMeans(context, to, maze, landscape) {
  const { on, columns, positions } = maze.places;
  const scale = 0.33 * maze.cell * to.scale;
  const head = Math.min(7, 0.45 * scale);
  on.forEach((i, place) => {
    if (i % columns % 2 || Math.floor(i / columns) % 2) return;
    const [x, y] = row(positions, place);
    const [dx, dy] = row(landscape.means, place);
    const shift = maze.cell / PER_CELL / 2; // to the middle of four places
    const middle = [to.x(x + shift), to.y(y + shift)];
    arrow(
      context,
      middle[0] - (scale * dx) / 2,
      middle[1] + (scale * dy) / 2,
      scale * dx,
      -scale * dy,
      head,
    );
  });
}

/** Draws the maze with the point that is dragged, and its chosen action as a line. */
export function drawMaze(canvas, { picture, to }, [x, y], action, colours) {
  const { context, width, height } = fit(canvas);
  context.drawImage(picture, 0, 0, width, height);
  const [px, py] = [to.x(x), to.y(y)];
  const end = [px + POINTER * action[0], py - POINTER * action[1]];
  line(context, [[px, py], end], "#000000", 6);
  line(context, [[px, py], end], colours.orange, 3.5);
  disc(context, px, py, 10, colours.blue, "#ffffff", 2.5);
}
