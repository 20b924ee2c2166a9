// An MLP that learns: the forward pass of sorl_edu/networks.py, and the backward pass by hand.
//
// Numbers have 32 bits, as in the library; sums are kept in 64 bits while they grow. A network is a
// list of layers {kernel, bias}, and so are its gradients.

import { matrix } from "../playground/networks.mjs";

const SCALE = Math.sqrt(2 / Math.PI);
const CUBIC = 0.044715;

/** A matrix of zeros, with 32 bits a number. */
export function zeros(rows, columns) {
  return matrix(rows, columns, new Float32Array(rows * columns));
}

export function transposed(x) {
  const { rows, columns } = x;
  const turned = zeros(columns, rows);
  for (let b = 0; b < rows; b++)
    for (let i = 0; i < columns; i++) turned.values[i * rows + b] = x.values[b * columns + i];
  return turned;
}

/**
 * The product x W, plus a row `bias` where it is given.
 *
 * Blocks of 4 rows by 2 columns are summed at a time: every number that is read then serves several
 * sums. It takes half the time of the loop in `dense` of ../playground/networks.mjs, and training is
 * little else.
 */
export function product(x, W, bias = null) {
  const { rows, columns: inner } = x;
  const { columns } = W;
  const y = zeros(rows, columns);
  const [a, w, out] = [x.values, W.values, y.values];
  const blockRows = rows - (rows % 4);
  const blockColumns = columns - (columns % 2);
  for (let b = 0; b < blockRows; b += 4) {
    const row0 = b * inner;
    const row1 = row0 + inner;
    const row2 = row1 + inner;
    const row3 = row2 + inner;
    for (let j = 0; j < blockColumns; j += 2) {
      let y00 = bias === null ? 0 : bias[j];
      let y01 = bias === null ? 0 : bias[j + 1];
      let y10 = y00;
      let y11 = y01;
      let y20 = y00;
      let y21 = y01;
      let y30 = y00;
      let y31 = y01;
      for (let i = 0, at = j; i < inner; i++, at += columns) {
        const w0 = w[at];
        const w1 = w[at + 1];
        const x0 = a[row0 + i];
        const x1 = a[row1 + i];
        const x2 = a[row2 + i];
        const x3 = a[row3 + i];
        y00 += x0 * w0;
        y01 += x0 * w1;
        y10 += x1 * w0;
        y11 += x1 * w1;
        y20 += x2 * w0;
        y21 += x2 * w1;
        y30 += x3 * w0;
        y31 += x3 * w1;
      }
      const to = b * columns + j;
      out[to] = y00;
      out[to + 1] = y01;
      out[to + columns] = y10;
      out[to + columns + 1] = y11;
      out[to + 2 * columns] = y20;
      out[to + 2 * columns + 1] = y21;
      out[to + 3 * columns] = y30;
      out[to + 3 * columns + 1] = y31;
    }
  }
  for (let b = 0; b < rows; b++) {
    for (let j = b < blockRows ? blockColumns : 0; j < columns; j++) {
      let sum = bias === null ? 0 : bias[j];
      for (let i = 0; i < inner; i++) sum += a[b * inner + i] * w[i * columns + j];
      out[b * columns + j] = sum;
    }
  }
  return y;
}

/**
 * A network before training: variance_scaling(1, "fan_avg", "uniform"), and biases of 0.
 *
 *     W ~ U(-r, r),   r = sqrt(3 / ((inputs + outputs) / 2))
 *
 * @param {number[]} widths of the inputs, of the hidden layers and of the outputs.
 * @param {() => number} draw uniform numbers from [0, 1).
 */
export function initialised(widths, draw) {
  return widths.slice(1).map((width, i) => {
    const kernel = zeros(widths[i], width);
    const r = Math.sqrt(6 / (widths[i] + width));
    for (let k = 0; k < kernel.values.length; k++) kernel.values[k] = r * (2 * draw() - 1);
    return { kernel, bias: new Float32Array(width) };
  });
}

/** The network's outputs for a batch x: Dense and GELU for each hidden layer, then a Dense. */
export function outputs(layers, x) {
  return forward(layers, x).y;
}

/**
 * The same, with what the backward pass needs of each layer: its inputs, what its Dense gave (u),
 * and the gate g of its GELU.
 *
 * @returns {{y: matrix, kept: {x, u, gate}[]}}
 */
export function forward(layers, x) {
  const kept = [];
  for (const { kernel, bias } of layers.slice(0, -1)) {
    const u = product(x, kernel, bias);
    const { gate, activated } = gated(u);
    kept.push({ x, u, gate });
    x = activated;
  }
  const { kernel, bias } = layers.at(-1);
  kept.push({ x });
  return { y: product(x, kernel, bias), kept };
}

/** GELU(u) = u g, g = (1 + tanh z) / 2 = 1 / (1 + exp(-2 z)), z = sqrt(2/pi) (u + 0.044715 u^3). */
function gated(u) {
  const [gate, activated] = [zeros(u.rows, u.columns), zeros(u.rows, u.columns)];
  for (let i = 0; i < u.values.length; i++) {
    const x = u.values[i];
    const g = 1 / (1 + Math.exp(-2 * SCALE * (x + CUBIC * x * x * x)));
    gate.values[i] = g;
    activated.values[i] = x * g;
  }
  return { gate, activated };
}

/** dL/du from dL/dGELU, in place: GELU' = g + 2 u g (1 - g) z',  z' = sqrt(2/pi) (1 + 0.134145 u^2). */
function throughGelu(gradient, { u, gate }) {
  for (let i = 0; i < u.values.length; i++) {
    const x = u.values[i];
    const g = gate.values[i];
    const slope = SCALE * (1 + 3 * CUBIC * x * x);
    gradient.values[i] *= g + 2 * x * g * (1 - g) * slope;
  }
  return gradient;
}

/**
 * The gradients of a loss by all parameters, from its gradient by the outputs.
 *
 * From the last layer to the first, with y = x W + b:
 *
 *     dL/dW = x^T dL/dy,   dL/db = sum over the batch of dL/dy,   dL/dx = dL/dy W^T
 */
export function backward(layers, kept, gradient) {
  const gradients = [];
  for (let i = layers.length - 1; i >= 0; i--) {
    gradients.unshift({ kernel: product(transposed(kept[i].x), gradient), bias: sums(gradient) });
    if (i > 0) {
      gradient = product(gradient, transposed(layers[i].kernel));
      throughGelu(gradient, kept[i - 1]);
    }
  }
  return gradients;
}

/** The sum of each column. */
function sums({ rows, columns, values }) {
  const total = new Float64Array(columns);
  for (let b = 0; b < rows; b++)
    for (let j = 0; j < columns; j++) total[j] += values[b * columns + j];
  return Float32Array.from(total);
}

/** The arrays of a network's parameters, or of their gradients, in one order. */
export function arrays(layers) {
  return layers.flatMap(({ kernel, bias }) => [kernel.values, bias]);
}

/** A copy with numbers of its own. */
export function copied(layers) {
  return layers.map(({ kernel, bias }) => ({
    kernel: matrix(kernel.rows, kernel.columns, kernel.values.slice()),
    bias: bias.slice(),
  }));
}
