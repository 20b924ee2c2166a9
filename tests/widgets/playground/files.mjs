// Safetensors files made by hand, byte by byte.

/** A file with these arrays, {name: {shape, values}}, and this header's metadata. */
export function safetensors(arrays, metadata = {}) {
  const header = { __metadata__: metadata };
  let end = 0;
  for (const [name, { shape, values }] of Object.entries(arrays)) {
    header[name] = { dtype: "F32", shape, data_offsets: [end, end + 4 * values.length] };
    end += 4 * values.length;
  }
  const numbers = Object.values(arrays).flatMap(({ values }) => values);
  return withHeader(JSON.stringify(header), new Uint8Array(Float32Array.from(numbers).buffer));
}

/** A file with this text in the place of its header. */
export function withHeader(header, numbers = new Uint8Array()) {
  const text = new TextEncoder().encode(header);
  const file = new Uint8Array(8 + text.length + numbers.length);
  new DataView(file.buffer).setBigUint64(0, BigInt(text.length), true);
  file.set(text, 8);
  file.set(numbers, 8 + text.length);
  return file;
}
