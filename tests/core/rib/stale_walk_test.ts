import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { Family, UpdateOp } from "../../../core/model/route.ts";
import { NO_ROUTE } from "../../../core/rib/route_store.ts";
import { StaleWalk } from "../../../core/rib/stale_walk.ts";
import { createTestProvider } from "../../../providers/test/provider.ts";
import { Harness } from "../../support/harness.ts";
import { createInlineSpawn } from "../../support/spawn.ts";
import { numberedUpdate } from "../../support/updates.ts";

async function settleIfFull(harness: Harness): Promise<void> {
  if (harness.dataplane.hasRoom()) return;
  harness.rib.flush();
  await harness.settled();
}

/** A RIB with routes of these lengths, in this order; IPv6 where the length is above 32. */
async function ribOf(lengths: readonly number[]) {
  const harness = new Harness({ spawn: createInlineSpawn(createTestProvider) });
  await harness.start();
  for (const [number, length] of lengths.entries()) {
    await settleIfFull(harness);
    const update = numberedUpdate(number, UpdateOp.INSTALL, 1);
    update.family = length > 32 ? Family.IPV6 : Family.IPV4;
    update.prefixLength = length;
    harness.admit(update);
  }
  harness.rib.flush();
  await harness.settled();
  return harness;
}

function walk(harness: Harness): number[] {
  const steps = new StaleWalk(harness.rib);
  const found: number[] = [];
  while (steps.next()) {
    const store = harness.rib.store(steps.family);
    if (steps.route !== NO_ROUTE && store.isUsed(steps.route)) found.push(store.prefixLength(steps.route));
  }
  return found;
}

describe("StaleWalk", () => {
  it("comes to every route once, the longest IPv4 prefixes first, and IPv6 as it lies", async () => {
    const harness = await ribOf([24, 64, 16, 32, 24, 48, 8, 24]);
    assert.deepEqual(walk(harness), [32, 24, 24, 24, 16, 8, 64, 48]);
    await harness.stop();
  });

  it("comes to its end where there is nothing, or one family", async () => {
    for (const lengths of [[], [24], [64]]) {
      const harness = await ribOf(lengths);
      assert.deepEqual(walk(harness), lengths);
      await harness.stop();
    }
  });

  it("goes on over numbers that are free", async () => {
    const harness = await ribOf(Array.from({ length: 3000 }, (_, number) => (number === 2999 ? 24 : 32)));
    for (let number = 0; number < 2999; number++) {
      if (number % 3 === 0) continue;
      await settleIfFull(harness);
      harness.remove(number);
    }
    harness.rib.flush();
    await harness.settled();
    assert.deepEqual(walk(harness), [...Array(1000).fill(32), 24]);
    await harness.stop();
  });
});
