import assert from "node:assert/strict";
import { test } from "node:test";
import { aggregate, readAgent } from "../../../sorl_edu/widgets/playground/agents.mjs";
import { matrix } from "../../../sorl_edu/widgets/playground/networks.mjs";
import { AgentError } from "../../../sorl_edu/widgets/playground/safetensors.mjs";
import { safetensors } from "./files.mjs";

const FIELD = "field/params/params/MLP_0";
const ABOUT = {
  agent: "flow_bc",
  config: { field: { hidden: [1], layer_norm: false } },
  observation_dim: 1,
  action_dim: 1,
};
const ARRAYS = {
  "encoder/mean": { shape: [1], values: [0] },
  "encoder/std": { shape: [1], values: [1] },
  "encoder/frequencies": { shape: [1, 0], values: [] },
  [`${FIELD}/Dense_0/kernel`]: { shape: [3, 1], values: [100, 10, 1] }, // o, a_t, t
  [`${FIELD}/Dense_0/bias`]: { shape: [1], values: [0] },
  [`${FIELD}/Dense_1/kernel`]: { shape: [1, 1], values: [2] },
  [`${FIELD}/Dense_1/bias`]: { shape: [1], values: [0.5] },
};

function file({ about = {}, arrays = {}, format = "sorl-edu-2" }) {
  const metadata = JSON.stringify({ ...ABOUT, ...about });
  const entries = Object.entries({ ...ARRAYS, ...arrays }).filter(([, array]) => array !== null);
  return safetensors(Object.fromEntries(entries), { format, metadata });
}

test("a field of known weights gives the known velocity", () => {
  const agent = readAgent(file({}));
  assert.equal(agent.value, null);
  const one = (x) => matrix(1, 1, Float64Array.of(x));
  const v = agent.field(8)(one(1), one(2), one(3)); // GELU(123) is 123
  assert.deepEqual([...v.values], [2 * 123 + 0.5]);
});

test("critics are combined by mean or minimum", () => {
  assert.deepEqual(aggregate([[1, 5], [3, 1]], "mean"), [2, 3]);
  assert.deepEqual(aggregate([[1, 5], [3, 1]], "min"), [1, 1]);
  assert.throws(() => aggregate([[1], [2]], "max"), AgentError);
});

const bad = {
  "another format": [{ format: "sorl-edu-1" }, /no agent of sorl-edu-2/],
  "an agent of a later method": [{ about: { agent: "evor" } }, /flow_bc, and this is one of evor/],
  "an agent named like a method of objects": [{ about: { agent: "toString" } }, /one of toString/],
  "no widths": [{ about: { observation_dim: "2" } }, /describes no agent/],
  "no settings of the field": [{ about: { config: {} } }, /no settings of field/],
  "a missing array": [{ arrays: { [`${FIELD}/Dense_1/bias`]: null } }, /lacks .*Dense_1\/bias/],
  "an array of another width": [
    { arrays: { [`${FIELD}/Dense_0/bias`]: { shape: [2], values: [0, 0] } } },
    /Dense_0\/bias is of shape \[2\], not \[1\]/,
  ],
  "a SORL agent without critics": [
    { about: { agent: "sorl", config: { ...ABOUT.config, critic: ABOUT.config.field } } },
    /Dense_0\/kernel is of shape/,
  ],
};

for (const [what, [changes, message]] of Object.entries(bad)) {
  test(`${what} is refused with a sentence`, () => {
    const sentence = (e) => e instanceof AgentError && message.test(e.message);
    assert.throws(() => readAgent(file(changes)), sentence);
  });
}
