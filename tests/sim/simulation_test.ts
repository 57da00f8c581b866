import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { drainMicrotasks } from "./drain.ts";
import { runSimulation } from "./simulation.ts";

/** Where promises are worked off by the event loop a simulation takes longer, and interruptions are left out. */
const SEEDS = drainMicrotasks === null ? 60 : 1000;
const SEEDS_AT_A_TIME = 100;
const FIRST_SEED = 1;

describe("simulations of the whole daemon", () => {
  for (let from = FIRST_SEED; from < FIRST_SEED + SEEDS; from += SEEDS_AT_A_TIME) {
    const to = Math.min(from + SEEDS_AT_A_TIME, FIRST_SEED + SEEDS);
    it(`seeds ${from} to ${to - 1} end with what was asked for`, async () => {
      const failures: string[] = [];
      for (let seed = from; seed < to; seed++) {
        const { violation } = await runSimulation({ seed });
        if (violation !== "") failures.push(`seed ${seed}: ${violation}`);
      }
      assert.deepEqual(failures, []);
    });
  }

  it("are the same twice", async () => {
    for (const seed of [7, 28, 145]) {
      const first = await runSimulation({ seed, keepsTrace: true });
      const second = await runSimulation({ seed, keepsTrace: true });
      assert.ok(first.trace.length > 10);
      assert.deepEqual(second.trace, first.trace);
      assert.deepEqual([second.hash, second.steps], [first.hash, first.steps]);
    }
    assert.notEqual((await runSimulation({ seed: 8 })).hash, (await runSimulation({ seed: 9 })).hash);
  });
});
