// Writes the settings of the page's training.

import { SETTINGS } from "../../../sorl_edu/widgets/draw_your_own/training.mjs";

process.stdout.write(JSON.stringify(SETTINGS));
