// Reads {agent, mujoco, physics, starts, setting, limit} from stdin. Plays an episode from each start,
// of at most `limit` steps, with a seed of its own, and writes for each whether it arrived, its
// observations, and the noise of every step.

import { readFileSync } from "node:fs";
import { pathToFileURL } from "node:url";
import { readAgent } from "../../../sorl_edu/widgets/playground/agents.mjs";
import { Arm, ArmEpisode } from "../../../sorl_edu/widgets/playground/arm.mjs";
import { noiseOfStep } from "../../../sorl_edu/widgets/playground/episodes.mjs";
import { row } from "../../../sorl_edu/widgets/playground/networks.mjs";

const given = JSON.parse(readFileSync(0, "utf8"));
const agent = readAgent(readFileSync(given.agent));
const { default: load } = await import(pathToFileURL(`${given.mujoco}/mujoco.js`));
const wasmBinary = readFileSync(`${given.mujoco}/mujoco.wasm`);
const arm = new Arm(await load({ wasmBinary }), given.physics);

const played = given.starts.map((start, seed) => {
  const episode = new ArmEpisode(agent, arm, start, seed);
  const { candidates } = given.setting;
  const observations = [[...episode.observation]];
  const noise = [];
  while (!episode.over && episode.time < given.limit) {
    const drawn = noiseOfStep(seed, episode.time, candidates, agent.actionDim);
    noise.push(Array.from({ length: candidates }, (_, n) => [...row(drawn, n)]));
    episode.take(episode.propose(given.setting));
    observations.push([...episode.observation]);
  }
  return { arrived: episode.arrived, observations, noise };
});
process.stdout.write(JSON.stringify(played));
