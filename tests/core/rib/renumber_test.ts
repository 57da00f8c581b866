import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { NO_ATTRS } from "../../../core/context/attrs.ts";
import { Family } from "../../../core/model/route.ts";
import { renumberRoutes } from "../../../core/rib/renumber.ts";
import { Harness, specOf } from "../../support/harness.ts";
import { programs, ScriptedProvider } from "../../support/scripted_provider.ts";
import { createInlineSpawn } from "../../support/spawn.ts";
import { numberedUpdate } from "../../support/updates.ts";
import { until } from "../../support/wait.ts";

function over(number: number, ifindex: number, distance: number) {
  const update = numberedUpdate(number, 1, 7);
  update.nexthops[0]!.ifindex = ifindex;
  update.distance = distance;
  return update;
}

describe("renumberRoutes", () => {
  it("moves every claim over the old interface to the new one, and writes what is selected", async () => {
    const provider = new ScriptedProvider(programs);
    const harness = new Harness({ spawn: createInlineSpawn(() => provider), providers: [specOf({ name: "kernel" })] });
    const { rib } = harness;
    const other = rib.owners.intern("other")!;
    await harness.start();
    harness.admit(over(1, 5, 20));
    harness.admit(over(2, 6, 20));
    harness.admit(over(3, 6, 10));
    harness.admit(over(3, 5, 20), other);
    rib.flush();
    await harness.settled();
    assert.equal(await renumberRoutes(rib, 5, 9), 2);
    await rib.reconciler.idle();
    await until("nothing is under way", () => harness.dataplane.pool.free === harness.dataplane.pool.size);
    const store = rib.store(Family.IPV4);
    const interfaces: number[][] = [];
    for (let route = 1; route <= store.last; route++) {
      const programmed = store.programmed(route);
      assert.notEqual(programmed, NO_ATTRS);
      const claims = rib.claims.list(Family.IPV4, store, route);
      interfaces.push(
        [programmed, ...claims.map(({ attrs }) => attrs)].map((attrs) => rib.attrs.reader.nexthop(attrs, 0).ifindex),
      );
    }
    assert.deepEqual(interfaces.sort(), [
      [6, 6],
      [6, 6, 9],
      [9, 9],
    ]);
    harness.assertNoLeaks();
    await harness.stop();
  });
});
