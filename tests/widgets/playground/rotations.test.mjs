import assert from "node:assert/strict";
import test from "node:test";
import { solve } from "../../../sorl_edu/widgets/playground/arm.mjs";
import { wilson } from "../../../sorl_edu/widgets/playground/robot.mjs";
import {
  aroundVertical,
  product,
  quaternion,
  rotated,
  rotationVector,
  transposed,
  yawOf,
  yawOfQuaternion,
} from "../../../sorl_edu/widgets/playground/rotations.mjs";

const aroundX = (angle) => {
  const [c, s] = [Math.cos(angle), Math.sin(angle)];
  return [1, 0, 0, 0, c, -s, 0, s, c];
};

function close(found, expected) {
  assert.equal(found.length, expected.length);
  found.forEach((x, i) => assert.ok(Math.abs(x - expected[i]) < 1e-12, `${found} ${expected}`));
}

test("a quarter turn around the vertical turns x into y", () => {
  close(rotated(aroundVertical(Math.PI / 2), [1, 0, 0]), [0, 1, 0]);
  close([yawOf(aroundVertical(-2.5))], [-2.5]);
});

test("a product turns by its second factor first, and the transposed one turns back", () => {
  const [A, B] = [aroundVertical(0.7), aroundX(1.9)];
  close(rotated(product(A, B), [1, 2, 3]), rotated(A, rotated(B, [1, 2, 3])));
  close(product(transposed(A), A), [1, 0, 0, 0, 1, 0, 0, 0, 1]);
});

test("the quaternion of every kind of turn, also where its first component is 0", () => {
  close(quaternion(aroundX(0)), [1, 0, 0, 0]);
  close(quaternion(aroundX(1)), [Math.cos(0.5), Math.sin(0.5), 0, 0]);
  close(quaternion(aroundX(Math.PI)), [0, 1, 0, 0]);
  close(quaternion(product(aroundVertical(Math.PI), aroundX(Math.PI))).map(Math.abs), [0, 0, 1, 0]);
  close([yawOfQuaternion(quaternion(aroundVertical(2)))], [2]);
});

test("a rotation's vector is its axis times its angle, the short way round", () => {
  close(rotationVector(aroundX(0)), [0, 0, 0]);
  close(rotationVector(aroundX(3)), [3, 0, 0]);
  close(rotationVector(aroundX(4)), [4 - 2 * Math.PI, 0, 0]);
  close(rotationVector(aroundVertical(1e-9)), [0, 0, 1e-9]);
});

test("equations are solved, also where a pivot is 0", () => {
  const A = [[0, 2, 1], [1, 1, 1], [4, 0, -3]];
  const x = [3, -1, 2];
  const b = A.map((row) => row.reduce((sum, a, k) => sum + a * x[k], 0));
  close(solve(A, b), x);
});

test("Wilson's interval is the library's, and stays in [0, 1]", () => {
  // sorl_edu.evaluation.wilson_interval
  for (const [successes, trials, low, high] of [
    [0, 5, 0, 0.4344825],
    [5, 5, 0.5655175, 1],
    [14, 32, 0.2816533, 0.6067441],
  ]) {
    const found = wilson(successes, trials);
    assert.ok(Math.abs(found[0] - low) < 1e-6 && Math.abs(found[1] - high) < 1e-6, String(found));
  }
});
