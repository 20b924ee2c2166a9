// The worker's script, after the modules that it needs.

import { serve } from "./trainer.mjs";

serve(globalThis);
