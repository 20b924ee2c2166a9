// Reads {agent, script, xml, task, settings, start, seeds} from stdin. Plays the settings from each
// start with each seed, and writes the noise of every step and the episodes.

import { readFileSync } from "node:fs";
import { pathToFileURL } from "node:url";
import { readAgent } from "../../../sorl_edu/widgets/playground/agents.mjs";
import { Episodes, noiseOfStep } from "../../../sorl_edu/widgets/playground/episodes.mjs";
import { row } from "../../../sorl_edu/widgets/playground/networks.mjs";
import { MazeWorld } from "../../../sorl_edu/widgets/playground/physics.mjs";

const given = JSON.parse(readFileSync(0, "utf8"));
const agent = readAgent(readFileSync(given.agent));
const { default: load } = await import(pathToFileURL(`${given.mujoco}/mujoco.js`));
const wasmBinary = readFileSync(`${given.mujoco}/mujoco.wasm`);
const world = new MazeWorld(await load({ wasmBinary }), given.xml);

const played = [];
for (const { start, seed } of given.starts) {
  const episodes = new Episodes(agent, world, given.task, given.settings, seed);
  await episodes.begin(start);
  while (!episodes.over) await episodes.advance();
  const most = Math.max(...given.settings.map(({ candidates }) => candidates));
  const noise = Array.from({ length: episodes.time }, (_, step) => {
    const drawn = noiseOfStep(seed, step, most, agent.actionDim);
    return Array.from({ length: most }, (__, n) => [...row(drawn, n)]);
  });
  played.push({ noise, episodes: episodes.all });
}
process.stdout.write(JSON.stringify(played));
