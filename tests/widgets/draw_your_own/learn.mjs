// Reads {model, preset or points, updates, until, seed, noise} from stdin, trains as the page does
// for `until` of the updates, and writes the samples at 1, 2, 4 and 8 steps.

import { readFileSync } from "node:fs";
import { matrix } from "../../../sorl_edu/widgets/playground/networks.mjs";
import { preset } from "../../../sorl_edu/widgets/draw_your_own/points.mjs";
import { sample } from "../../../sorl_edu/widgets/draw_your_own/sampling.mjs";
import { Training } from "../../../sorl_edu/widgets/draw_your_own/training.mjs";

const given = JSON.parse(readFileSync(0, "utf8"));
const points = Float32Array.from(given.points ?? preset(given.preset));
const training = new Training({ ...given, points });
while (training.done < given.until) training.update();
const noise = matrix(given.noise.length / 2, 2, Float32Array.from(given.noise));
const samples = [1, 2, 4, 8].map((m) =>
  Array.from(sample(given.model, training.layers, noise, m).values),
);
process.stdout.write(JSON.stringify({ points: Array.from(points), samples }));
