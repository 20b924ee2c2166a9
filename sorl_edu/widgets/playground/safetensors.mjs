// Reads a safetensors file: a JSON header, and the raw numbers of each array.
//
//     8 bytes   the header's length n, little-endian
//     n bytes   JSON: {name: {dtype, shape, data_offsets: [begin, end]}, __metadata__: {...}}
//     the rest  the arrays' numbers, at those offsets

/** An agent's file that can't be read or run; its message says why. */
export class AgentError extends Error {}

/** Throws AgentError(message) unless the condition holds. */
export function check(condition, message) {
  if (!condition) throw new AgentError(message);
}

const MOST_HEADER = 100e6; // bytes, as the format's own reader has it

/**
 * The arrays of a file by name, as {shape, values: Float64Array}, and its metadata (texts by name).
 *
 * @param {ArrayBuffer | ArrayBufferView} file its bytes.
 * @throws {AgentError} the file is damaged, or an array is not of 32-bit floats.
 */
export function readSafetensors(file) {
  const bytes = ArrayBuffer.isView(file)
    ? new DataView(file.buffer, file.byteOffset, file.byteLength)
    : new DataView(file);
  const { __metadata__: metadata = {}, ...entries } = readHeader(bytes);
  const begin = 8 + Number(bytes.getBigUint64(0, true));
  const arrays = {};
  for (const [name, entry] of Object.entries(entries)) {
    arrays[name] = readArray(bytes, begin, name, entry);
  }
  return { metadata, arrays };
}

function readHeader(bytes) {
  check(bytes.byteLength >= 8, "this is no safetensors file: it has fewer than 8 bytes");
  const length = Number(bytes.getBigUint64(0, true));
  check(
    length <= MOST_HEADER && 8 + length <= bytes.byteLength,
    "this is no safetensors file, or it is cut short: its header is longer than the file",
  );
  const text = new Uint8Array(bytes.buffer, bytes.byteOffset + 8, length);
  let header = null;
  try {
    header = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(text));
  } catch {
    throw new AgentError("this is no safetensors file: its header is no JSON");
  }
  check(isObject(header), "this is no safetensors file: its header is no JSON object");
  check(isObject(header.__metadata__ ?? {}), "the file is damaged: its metadata is no JSON object");
  return header;
}

function readArray(bytes, begin, name, entry) {
  const { dtype, shape, data_offsets: offsets } = isObject(entry) ? entry : {};
  check(dtype === "F32", `${name} is of type ${dtype}; an agent's arrays are F32`);
  check(isCounts(shape) && isCounts(offsets), `the file is damaged: ${name} has no shape`);
  const size = shape.reduce((product, n) => product * n, 1);
  const [first, last] = offsets;
  check(
    offsets.length === 2 && last - first === 4 * size && begin + last <= bytes.byteLength,
    `the file is damaged or cut short: ${name} should have ${size} numbers`,
  );
  const values = new Float64Array(size);
  for (let i = 0; i < size; i++) values[i] = bytes.getFloat32(begin + first + 4 * i, true);
  return { shape, values };
}

export function isObject(value) {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function isCounts(value) {
  return Array.isArray(value) && value.every((n) => Number.isSafeInteger(n) && n >= 0);
}
