// Rotations in space: matrices of nine numbers by rows, and quaternions (w, x, y, z).

/** The product of two matrices. */
export function product(A, B) {
  const C = Array.from({ length: 9 }, () => 0);
  for (let i = 0; i < 3; i++)
    for (let j = 0; j < 3; j++)
      for (let k = 0; k < 3; k++) C[3 * i + j] += A[3 * i + k] * B[3 * k + j];
  return C;
}

export function transposed(A) {
  return [0, 3, 6, 1, 4, 7, 2, 5, 8].map((k) => A[k]);
}

/** A matrix times a vector. */
export function rotated(A, v) {
  return [0, 1, 2].map((i) => A[3 * i] * v[0] + A[3 * i + 1] * v[1] + A[3 * i + 2] * v[2]);
}

/** The rotation by an angle around the vertical. */
export function aroundVertical(angle) {
  const [c, s] = [Math.cos(angle), Math.sin(angle)];
  return [c, -s, 0, s, c, 0, 0, 0, 1];
}

/** The angle around the vertical of a rotation, from -pi to pi. */
export function yawOf(A) {
  return Math.atan2(A[3], A[0]);
}

/** The same of a quaternion. */
export function yawOfQuaternion([w, x, y, z]) {
  return Math.atan2(2 * (w * z + x * y), 1 - 2 * (y * y + z * z));
}

/** The axis of a rotation, as long as its angle, which is from 0 to pi. */
export function rotationVector(A) {
  const [w, ...v] = quaternion(A);
  const length = Math.hypot(...v);
  if (length === 0) return [0, 0, 0];
  let angle = 2 * Math.atan2(length, w);
  if (angle > Math.PI) angle -= 2 * Math.PI;
  return v.map((x) => (x / length) * angle);
}

/** The quaternion of a matrix, by its largest component, which is never near 0. */
export function quaternion(A) {
  const [xx, yy, zz] = [A[0], A[4], A[8]];
  const squares = [1 + xx + yy + zz, 1 + xx - yy - zz, 1 - xx + yy - zz, 1 - xx - yy + zz];
  const largest = squares.indexOf(Math.max(...squares));
  const [x, y, z] = [A[7] - A[5], A[2] - A[6], A[3] - A[1]];
  const [xy, xz, yz] = [A[1] + A[3], A[2] + A[6], A[5] + A[7]];
  const rows = [
    [squares[0], x, y, z],
    [x, squares[1], xy, xz],
    [y, xy, squares[2], yz],
    [z, xz, yz, squares[3]],
  ];
  const scale = 2 * Math.sqrt(squares[largest]);
  return rows[largest].map((q) => q / scale);
}
