import assert from "node:assert/strict";
import { test } from "node:test";
import { Maze, aspect } from "../../../sorl_edu/widgets/playground/maze.mjs";

// Walls all around a free L: two cells in the lower row, one above the left one.
const maze = new Maze({
  walls: [
    [true, true, true, true],
    [true, false, false, true],
    [true, false, true, true],
    [true, true, true, true],
  ],
  cell: 4,
  origin: [-4, -4],
  start: [0, 0],
  goal: [4, 0],
  goal_radius: 0.5,
});

test("a position is free where its cell is, and not outside the maze", () => {
  assert.deepEqual(maze.extent, [-6, 10, -6, 10]);
  for (const [x, y] of [[0, 0], [4, 0], [0, 4], [5.9, 1.9], [-1.9, 5.9]]) {
    assert.ok(maze.isFree(x, y), `${x}, ${y}`);
  }
  for (const [x, y] of [[4, 4], [6.1, 0], [0, -2.1], [-100, 0], [0, 100]]) {
    assert.ok(!maze.isFree(x, y), `${x}, ${y}`);
  }
});

test("a wall stops a moved point only in the direction that it bars", () => {
  assert.deepEqual(maze.reach([0, 0], [1, 1]), [1, 1]);
  assert.deepEqual(maze.reach([4, 0], [5, 3]), [5, 0]); // along the wall above
  assert.deepEqual(maze.reach([0, 4], [3, 5]), [0, 5]); // along the wall to the right
  assert.deepEqual(maze.reach([0, 0], [-50, -50]), [0, 0]);
});

test("the places are a grid in the free cells, with the index of each on the whole grid", () => {
  const { rows, columns, on, positions } = maze.places;
  assert.deepEqual([rows, columns, on.length, positions.rows], [16, 16, 48, 48]);
  assert.deepEqual([...positions.values.slice(0, 4)], [-1.5, -1.5, -0.5, -1.5]);
  assert.deepEqual(on.slice(0, 2), [4 * 16 + 4, 4 * 16 + 5]);
  for (let place = 0; place < 48; place++) {
    assert.ok(maze.isFree(...positions.values.slice(2 * place, 2 * place + 2)));
  }
});

test("the picture has the shape of the part on display", () => {
  assert.deepEqual(maze.shown, [-3, 7, -3, 7]);
  assert.equal(aspect(maze), 1);
});
