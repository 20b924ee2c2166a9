// Reads {mujoco, physics, start, actions} from stdin. Takes the actions from the start, and writes
// the observations, and whether the cube is at its goal in each.

import { readFileSync } from "node:fs";
import { pathToFileURL } from "node:url";
import { Arm } from "../../../sorl_edu/widgets/playground/arm.mjs";

const given = JSON.parse(readFileSync(0, "utf8"));
const { default: load } = await import(pathToFileURL(`${given.mujoco}/mujoco.js`));
const wasmBinary = readFileSync(`${given.mujoco}/mujoco.wasm`);
const arm = new Arm(await load({ wasmBinary }), given.physics);
const observations = [[...arm.reset(given.start)]];
const succeeds = [arm.succeeds];
for (const action of given.actions) {
  observations.push([...arm.step(action)]);
  succeeds.push(arm.succeeds);
}
process.stdout.write(JSON.stringify({ observations, succeeds }));
