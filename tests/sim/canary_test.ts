import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { CANARIES } from "./canaries.ts";
import { CANARY_SEEDS, findCanary } from "./canary_search.ts";
import { drainMicrotasks } from "./drain.ts";

/** Where simulations take longer, some are enough to see that they work there too. */
const NAMES = drainMicrotasks === null ? Object.keys(CANARIES).slice(0, 3) : Object.keys(CANARIES);

describe("simulations find a planted bug", () => {
  for (const name of NAMES) {
    it(`that ${name}`, async () => {
      const found = await findCanary(name);
      assert.ok(found !== null, `not in ${CANARY_SEEDS} seeds`);
      console.log(`seed ${found.seed}: ${found.violation.split("\n")[0]}`);
    });
  }
});
