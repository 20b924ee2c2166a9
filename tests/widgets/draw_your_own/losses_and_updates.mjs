// Reads a case as JSON from stdin, and writes its losses, their gradients, and the parameters after
// updates with given gradients. `run` is also what a browser runs.

import { readFileSync } from "node:fs";
import { run } from "./run.mjs";

process.stdout.write(JSON.stringify(run(JSON.parse(readFileSync(0, "utf8")))));
