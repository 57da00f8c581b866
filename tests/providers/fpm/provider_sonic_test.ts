import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { RouteType, UpdateOp } from "../../../core/model/route.ts";
import { FpmBench } from "../../support/fpm_export_bench.ts";
import { group, nexthop, RESILIENT } from "../../support/nexthop_bench.ts";
import { numberedUpdate } from "../../support/updates.ts";
import { until } from "../../support/wait.ts";

describe("FPM provider, for SONiC", () => {
  it("sends the main table as table 0, drops what fpmsyncd has no place for, and counts it", async () => {
    const bench = await FpmBench.start({ sonic: true });
    await bench.groups.set(7, group([nexthop(2, 9, 256), nexthop(3, 9)], { resilient: RESILIENT }));
    bench.harness.install(1);
    bench.harness.admit(bench.onGroup(2, 7));
    bench.harness.admit({ ...numberedUpdate(3), table: 100 });
    bench.harness.admit({ ...numberedUpdate(4), type: RouteType.UNREACHABLE, nexthops: [] });
    bench.harness.admit({ ...numberedUpdate(5), type: RouteType.BLACKHOLE, nexthops: [] });
    await bench.settled();
    await until("three routes are there", () => bench.peer.routes.size === 3);
    assert.deepEqual(bench.peer.errors, []);
    assert.equal(bench.counter("routesDropped"), 2);
    assert.equal(bench.peer.table().get("10.0.0.2/32 table 0 metric 20"), "2.10.0.2.9*255 3.10.0.3.9*1");
    const groups = [...bench.peer.nexthops.values()].filter((each) => "members" in each);
    assert.deepEqual(
      groups.map((each) => "members" in each && each.resilient),
      [false],
    );
    // A route that becomes one that it does not take is gone over there.
    bench.harness.admit({ ...numberedUpdate(1), type: RouteType.UNREACHABLE, nexthops: [] });
    await bench.settled();
    await until("it is gone", () => bench.peer.routes.size === 2);
    assert.equal(bench.counter("routesHeld"), 2);
    await bench.close();
  });

  it("drops a route that is too long for a frame", async () => {
    const bench = await FpmBench.start({ sonic: true });
    const members = Array.from({ length: 512 }, (_, index) => {
      const each = nexthop(2, index & 255, 1 + (index >> 8));
      each.labels = Array.from({ length: 20 }, (_, label) => 16 + label);
      each.encap = 1;
      return each;
    });
    bench.harness.admit({ ...numberedUpdate(1), nexthops: members.slice(0, 120) });
    bench.harness.admit({ ...numberedUpdate(2), nexthops: members.slice(0, 300) });
    await bench.settled();
    await until("one was dropped, by a replay perhaps once more", () => bench.counter("routesDropped") >= 1);
    await until("the other is there", () => bench.peer.routes.size === 1);
    assert.deepEqual(bench.peer.errors, []);
    await bench.close();
  });

  it("gives a nexthop that becomes another a fresh number, and moves what is on it", async () => {
    const bench = await FpmBench.start({ sonic: true });
    await bench.groups.set(7, group([nexthop(2, 9), nexthop(3, 9)]));
    for (let number = 0; number < 30; number++) bench.harness.admit(bench.onGroup(number, 7));
    await bench.agreed();
    const [first] = [...bench.groups.objects.singles()];
    // As when its interface was made again: the object keeps its number.
    const { writer } = bench.groups;
    const changed = { ...first!.nexthop, ifindex: 4 };
    assert.equal(
      await writer.install(first!.id, { kind: 0x80, nexthop: changed }, { kind: 0x80, nexthop: first!.nexthop }),
      null,
    );
    await until("routes lead there", () =>
      [...bench.peer.table().values()].every((hops) => hops === "3.10.0.3.9*1 4.10.0.2.9*1"),
    );
    await until("the old one is gone", () => bench.peer.nexthops.size === 3);
    assert.deepEqual(bench.peer.errors, []);
    await bench.close();
  });

  it("ends complete when it stops, goes and comes back", async () => {
    const bench = await FpmBench.start({ sonic: true });
    await bench.groups.set(7, group([nexthop(2, 9), nexthop(3, 9)]));
    await bench.harness.stream(3000, (index) => (index % 2 === 0 ? bench.onGroup(index, 7) : numberedUpdate(index)));
    await bench.agreed();
    bench.peer.pause();
    for (let round = 0; bench.counter("bufferFull") === 0; round++) {
      assert.ok(round < 200, "the buffers are full at last");
      await bench.harness.stream(3000, (index) => numberedUpdate(index, UpdateOp.INSTALL, round & 255));
    }
    await bench.harness.stream(1000, (index) => numberedUpdate(index, UpdateOp.DELETE));
    await bench.settled();
    await bench.peer.vanish();
    await bench.harness.stream(1000, (index) => numberedUpdate(5000 + index));
    await bench.groups.set(7, group([nexthop(4, 9, 2)]));
    await bench.settled();
    bench.peer.resume();
    await bench.peer.listen();
    await bench.agreed();
    await bench.close();
  });
});
