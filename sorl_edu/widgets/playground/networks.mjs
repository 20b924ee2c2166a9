// The networks, as sorl_edu/networks.py has them: an MLP, and the encoder of observations.
//
// A batch is a matrix: `rows` x `columns` numbers, row after row in one Float64Array. (The library
// computes with 32 bits; the results agree to about 1e-6 of their size.)

/** A matrix; of zeros unless `values` are given. */
export function matrix(rows, columns, values = new Float64Array(rows * columns)) {
  return { rows, columns, values };
}

/** `rows` rows that all are `[value]`. */
export function constant(rows, value) {
  return matrix(rows, 1, new Float64Array(rows).fill(value));
}

/** Row b of a matrix, which shares its numbers. */
export function row(x, b) {
  return x.values.subarray(b * x.columns, (b + 1) * x.columns);
}

/** Matrices side by side; one that has a single row repeats it. */
export function concatenate(parts) {
  const rows = Math.max(...parts.map((part) => part.rows));
  const columns = parts.reduce((sum, part) => sum + part.columns, 0);
  const all = matrix(rows, columns);
  for (let b = 0; b < rows; b++) {
    let at = b * columns;
    for (const part of parts) {
      const from = part.rows === 1 ? 0 : b * part.columns;
      for (let i = 0; i < part.columns; i++) all.values[at++] = part.values[from + i];
    }
  }
  return all;
}

/** GELU(x) = x/2 (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))), in place, as Flax approximates it. */
export function gelu(x) {
  const { values } = x;
  const scale = Math.sqrt(2 / Math.PI);
  for (let i = 0; i < values.length; i++) {
    const u = values[i];
    const z = scale * (u + 0.044715 * u * u * u);
    values[i] = u / (1 + Math.exp(-2 * z)); // (1 + tanh z) / 2 = 1 / (1 + exp(-2 z))
  }
  return x;
}

/** LayerNorm: (x - mean) / sqrt(variance + 1e-6) * scale + bias, for each row, in place. */
export function layerNorm(x, { scale, bias }) {
  const { rows, columns, values } = x;
  for (let b = 0; b < rows; b++) {
    const begin = b * columns;
    let sum = 0;
    for (let i = 0; i < columns; i++) sum += values[begin + i];
    const mean = sum / columns;
    let squares = 0;
    for (let i = 0; i < columns; i++) {
      const deviation = values[begin + i] - mean;
      squares += deviation * deviation;
    }
    const inverse = 1 / Math.sqrt(squares / columns + 1e-6);
    for (let i = 0; i < columns; i++) {
      values[begin + i] = (values[begin + i] - mean) * inverse * scale[i] + bias[i];
    }
  }
  return x;
}

/**
 * Dense: y = x W + b.
 *
 * Four inputs are added at a time: each number of y is then read and written a quarter as often,
 * which is most of the time that a network takes.
 */
export function dense(x, { kernel, bias }) {
  const { rows, columns: inputs, values } = x;
  const { columns: outputs, values: W } = kernel;
  const y = matrix(rows, outputs);
  const out = y.values;
  for (let b = 0; b < rows; b++) {
    const from = b * inputs;
    const to = b * outputs;
    for (let j = 0; j < outputs; j++) out[to + j] = bias[j];
    let i = 0;
    for (; i + 3 < inputs; i += 4) {
      const x0 = values[from + i];
      const x1 = values[from + i + 1];
      const x2 = values[from + i + 2];
      const x3 = values[from + i + 3];
      const w0 = i * outputs;
      const w1 = w0 + outputs;
      const w2 = w1 + outputs;
      const w3 = w2 + outputs;
      for (let j = 0; j < outputs; j++) {
        out[to + j] += x0 * W[w0 + j] + x1 * W[w1 + j] + x2 * W[w2 + j] + x3 * W[w3 + j];
      }
    }
    for (; i < inputs; i++) {
      for (let j = 0; j < outputs; j++) out[to + j] += values[from + i] * W[i * outputs + j];
    }
  }
  return y;
}

/** Dense, GELU, and (where asked) LayerNorm for each hidden layer, then a Dense output. */
export function mlp(layers, x) {
  const hidden = layers.slice(0, -1);
  for (const layer of hidden) {
    x = gelu(dense(x, layer));
    if (layer.norm) x = layerNorm(x, layer.norm);
  }
  return dense(x, layers.at(-1));
}

/**
 * The encoder of observations, with Fourier features where it has frequencies B:
 *
 *     x = (o - mean) / std,   features = [x, sin(2 pi x B), cos(2 pi x B)]
 */
export function encode({ mean, std, frequencies: B }, obs) {
  const { rows, columns } = obs;
  const x = matrix(rows, columns);
  for (let i = 0; i < x.values.length; i++) {
    x.values[i] = (obs.values[i] - mean[i % columns]) / std[i % columns];
  }
  const angles = dense(x, { kernel: B, bias: new Float64Array(B.columns) });
  const of = (f) => matrix(rows, B.columns, angles.values.map((xB) => f(2 * Math.PI * xB)));
  return concatenate([x, of(Math.sin), of(Math.cos)]);
}
