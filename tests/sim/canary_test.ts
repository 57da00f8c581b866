import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { CANARIES } from "./canaries.ts";
import { drainMicrotasks } from "./drain.ts";
import { runSimulation } from "./simulation.ts";

const SEEDS = 1000;
/** Where simulations take longer, some are enough to see that they work there too. */
const NAMES = drainMicrotasks === null ? Object.keys(CANARIES).slice(0, 3) : Object.keys(CANARIES);

describe("simulations find a planted bug", () => {
  for (const name of NAMES) {
    it(`that ${name}`, async () => {
      for (let seed = 1; seed <= SEEDS; seed++) {
        const { violation } = await runSimulation({ seed, canary: CANARIES[name]! });
        if (violation === "") continue;
        console.log(`seed ${seed}: ${violation.split("\n")[0]}`);
        return;
      }
      assert.fail(`not in ${SEEDS} seeds`);
    });
  }
});
