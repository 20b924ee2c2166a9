import assert from "node:assert/strict";
import { test } from "node:test";
import { AgentError, readSafetensors } from "../../../sorl_edu/widgets/playground/safetensors.mjs";
import { safetensors, withHeader } from "./files.mjs";

const ARRAYS = {
  w: { shape: [2, 3], values: [1, 2, 3, 4, 5, 6] },
  nothing: { shape: [2, 0], values: [] },
  b: { shape: [], values: [-0.5] },
};

test("arrays and metadata are read as they were written", () => {
  const { arrays, metadata } = readSafetensors(safetensors(ARRAYS, { format: "here" }));
  assert.deepEqual(metadata, { format: "here" });
  for (const [name, { shape, values }] of Object.entries(ARRAYS)) {
    assert.deepEqual(arrays[name].shape, shape);
    assert.deepEqual([...arrays[name].values], values);
  }
});

test("bytes in the middle of a larger buffer are read, also unaligned", () => {
  const file = safetensors(ARRAYS);
  const larger = new Uint8Array(file.length + 10);
  larger.set(file, 3);
  const view = new DataView(larger.buffer, 3, file.length);
  assert.deepEqual([...readSafetensors(view).arrays.w.values], [1, 2, 3, 4, 5, 6]);
});

const whole = safetensors(ARRAYS);
const bad = {
  "an empty file": [new Uint8Array(), /fewer than 8 bytes/],
  "a file cut in its header": [whole.slice(0, 20), /header is longer than the file/],
  "a file cut in its numbers": [whole.slice(0, -1), /cut short: b should have 1 numbers/],
  "a text": [new TextEncoder().encode("Once upon a time"), /header is longer than the file/],
  "a header that is no JSON": [withHeader("{"), /header is no JSON/],
  "a header that is a list": [withHeader("[]"), /no JSON object/],
  "metadata that are a text": [withHeader('{"__metadata__": "x"}'), /metadata is no JSON object/],
  "an array of integers": [
    withHeader('{"n": {"dtype": "I64", "shape": [0], "data_offsets": [0, 0]}}'),
    /n is of type I64/,
  ],
  "an array that is a number": [withHeader('{"n": 5}'), /n is of type undefined/],
  "an array without a shape": [withHeader('{"n": {"dtype": "F32"}}'), /n has no shape/],
  "a negative offset": [
    withHeader('{"n": {"dtype": "F32", "shape": [1], "data_offsets": [-4, 0]}}'),
    /n has no shape/,
  ],
  "a size that is not that of the shape": [
    withHeader('{"n": {"dtype": "F32", "shape": [3], "data_offsets": [0, 4]}}', new Uint8Array(4)),
    /n should have 3 numbers/,
  ],
};

for (const [what, [file, message]] of Object.entries(bad)) {
  test(`${what} is refused with a sentence`, () => {
    const sentence = (e) => e instanceof AgentError && message.test(e.message);
    assert.throws(() => readSafetensors(file), sentence);
  });
}
