// The agents, read from the files that the library saves (sorl_edu/training/checkpoints.py).
//
// An agent has what the playground needs of it, and a method's own function makes that:
//
//     field(m)   the velocity field of the m-step policy, v(obs, a_t, t)
//     value(m)   the critic of the m-step policy, Q(obs, actions); null without a critic
//     ensemble   the number of critics, 0 without
//     obsDim, actionDim

import { concatenate, constant, encode, matrix, mlp, row } from "./networks.mjs";
import { AgentError, check, isObject, readSafetensors } from "./safetensors.mjs";

const FORMAT = "sorl-edu-2";

/** The methods that the playground runs, by the name that a file has for them. */
export const AGENTS = { sorl, flow_bc: flowBC };

/**
 * The agent of a file.
 *
 * @param {ArrayBuffer | ArrayBufferView} file its bytes.
 * @throws {AgentError} the file is damaged, or of another format, or of an agent that is none of
 *   `AGENTS`.
 */
export function readAgent(file) {
  const { metadata, arrays } = readSafetensors(file);
  check(metadata.format === FORMAT, `this is no agent of ${FORMAT}: its format is another`);
  const about = readMetadata(metadata.metadata);
  const known = Object.keys(AGENTS).join(", ");
  check(
    Object.hasOwn(AGENTS, about.agent),
    `the playground runs agents of ${known}, and this is one of ${about.agent}`,
  );
  const { observation_dim: obsDim, action_dim: actionDim } = about;
  const encoder = readEncoder(arrays, obsDim);
  const obsWidth = obsDim + 2 * encoder.frequencies.columns;
  const network = (name, settings, inputs, outputs, member) =>
    readMLP(arrays, name, settings, obsWidth + inputs, outputs, member);
  const parts = AGENTS[about.agent](about.config, network, actionDim);
  return {
    name: about.agent,
    obsDim,
    actionDim,
    ensemble: parts.ensemble,
    field: (m) => onFeatures(encoder, parts.field(m)),
    value: parts.value === null ? null : (m) => onFeatures(encoder, parts.value(m)),
  };
}

/** SORL: a shortcut field s(a_t, t, h | o), fed the level log2(1/h), and critics Q_i(o, a, m). */
function sorl(config, network, actionDim) {
  const { denoise_steps: M, max_backprop_steps: M_BTT, critic_sees_steps: seesSteps } = config;
  const s = network("field/params/params/MLP_0", config.field, actionDim + 2, actionDim);
  const critics = [0, 1].map((i) =>
    network("critic/params/params/VmapMLP_0", config.critic, actionDim + seesSteps, 1, i),
  );

  // Beyond M steps the field sees h = 1/M, the smallest step that it was trained at.
  const field = (m) => (obs, a_t, t) => {
    const level = constant(1, Math.log2(Math.min(m, M)));
    return mlp(s, concatenate([obs, a_t, t, level]));
  };

  // Beyond M_BTT steps the critic is that of the M_BTT-step policy.
  const value = (m) => (obs, actions) => {
    const inputs = [obs, actions];
    if (seesSteps) inputs.push(constant(1, Math.min(m, M_BTT)));
    const x = concatenate(inputs);
    return aggregate(critics.map((q) => mlp(q, x).values), config.q_aggregation);
  };
  return { field, value, ensemble: critics.length };
}

/** Flow BC: the field v(a_t, t | o) of lesson 1, and nothing to choose by. */
function flowBC(config, network, actionDim) {
  const v = network("field/params/params/MLP_0", config.field, actionDim + 1, actionDim);
  const field = () => (obs, a_t, t) => mlp(v, concatenate([obs, a_t, t]));
  return { field, value: null, ensemble: 0 };
}

/** The critics' values combined: their mean, or their minimum. */
export function aggregate(values, how) {
  const combine = {
    mean: (qs) => qs.reduce((sum, q) => sum + q, 0) / qs.length,
    min: (qs) => Math.min(...qs),
  }[how];
  check(combine !== undefined, `critics are combined by mean or min, not by ${how}`);
  return values[0].map((_, b) => combine(values.map((q) => q[b])));
}

/** A function of features as one of observations, which are encoded once and then kept. */
function onFeatures(encoder, f) {
  let known = null;
  let features = null;
  return (obs, ...inputs) => {
    if (obs !== known) [known, features] = [obs, encode(encoder, obs)];
    return f(features, ...inputs);
  };
}

function readMetadata(text) {
  let about = null;
  try {
    about = JSON.parse(text);
  } catch {
    throw new AgentError("the file is damaged: its metadata is no JSON");
  }
  const whole =
    isObject(about) &&
    isObject(about.config) &&
    [about.observation_dim, about.action_dim].every((n) => Number.isSafeInteger(n) && n >= 1);
  check(whole, "the file is damaged: its metadata describes no agent");
  return about;
}

function readEncoder(arrays, obsDim) {
  const B = arrays["encoder/frequencies"];
  const count = B?.shape.at(-1) ?? 0;
  return {
    mean: vector(arrays, "encoder/mean", [obsDim]),
    std: vector(arrays, "encoder/std", [obsDim]),
    frequencies: matrix(obsDim, count, vector(arrays, "encoder/frequencies", [obsDim, count])),
  };
}

/** The layers of an MLP; of an ensemble, those of one `member`. */
function readMLP(arrays, name, settings, inputs, outputs, member = null) {
  const { hidden, layer_norm: layerNorm } = settings ?? {};
  check(Array.isArray(hidden), `the file is damaged: it has no settings of ${name}`);
  const widths = [inputs, ...hidden, outputs];
  const read = (part, shape) =>
    member === null
      ? vector(arrays, `${name}/${part}`, shape)
      : memberOf(arrays, `${name}/${part}`, shape, member);
  return widths.slice(1).map((width, i) => {
    const kernel = matrix(widths[i], width, read(`Dense_${i}/kernel`, [widths[i], width]));
    const layer = { kernel, bias: read(`Dense_${i}/bias`, [width]) };
    if (layerNorm && i < hidden.length) {
      const [scale, bias] = ["scale", "bias"].map((p) => read(`LayerNorm_${i}/${p}`, [width]));
      layer.norm = { scale, bias };
    }
    return layer;
  });
}

/** The numbers of an array, which must have this shape. */
function vector(arrays, name, shape) {
  const array = arrays[name];
  check(array !== undefined, `the file is damaged: it lacks ${name}`);
  check(
    array.shape.join() === shape.join(),
    `the file is damaged: ${name} is of shape [${array.shape}], not [${shape}]`,
  );
  return array.values;
}

/** The same of one member of an ensemble, whose arrays have one axis more. */
function memberOf(arrays, name, shape, member) {
  const members = arrays[name]?.shape[0] ?? 0;
  const values = vector(arrays, name, [members, ...shape]);
  check(member < members, `the file is damaged: ${name} has ${members} members`);
  return row(matrix(members, values.length / members, values), member);
}
