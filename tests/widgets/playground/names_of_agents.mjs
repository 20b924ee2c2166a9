// Writes the names of the agents that the playground runs.

import { AGENTS } from "../../../sorl_edu/widgets/playground/agents.mjs";

process.stdout.write(JSON.stringify(Object.keys(AGENTS)));
