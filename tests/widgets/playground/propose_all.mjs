// Reads cases {file, obs, noise, steps} as JSON from stdin, and writes the proposals.

import { readFileSync } from "node:fs";
import { readAgent } from "../../../sorl_edu/widgets/playground/agents.mjs";
import { propose } from "../../../sorl_edu/widgets/playground/inference.mjs";
import { matrix } from "../../../sorl_edu/widgets/playground/networks.mjs";

const batch = (rows) => matrix(rows.length, rows[0].length, Float64Array.from(rows.flat()));
const asRows = ({ rows, columns, values }) =>
  Array.from({ length: rows }, (_, b) => [...values.slice(b * columns, (b + 1) * columns)]);

const proposals = JSON.parse(readFileSync(0, "utf8")).map(({ file, obs, noise, steps }) => {
  const agent = readAgent(readFileSync(file));
  const { path, actions, q, chosen } = propose(agent, batch([obs]), batch(noise), steps);
  return { path: path.map(asRows), actions: asRows(actions), q: q && [...q], chosen };
});
process.stdout.write(JSON.stringify(proposals));
