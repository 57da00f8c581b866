import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { FPM_CLIENT_STATES } from "../../../core/model/fpm_client_counters.ts";
import { createRouteUpdate, Family, RouteType, type RouteUpdate, UpdateOp } from "../../../core/model/route.ts";
import { RTM_F_OFFLOAD, RTM_F_OFFLOAD_FAILED } from "../../../ffi/netlink/constants.ts";
import { OUTPUT_BYTES_MAX } from "../../../providers/fpm/output.ts";
import { FpmBench } from "../../support/fpm_export_bench.ts";
import { group, nexthop, RESILIENT } from "../../support/nexthop_bench.ts";
import { ScriptedProvider } from "../../support/scripted_provider.ts";
import { numberedUpdate } from "../../support/updates.ts";
import { until } from "../../support/wait.ts";

function ipv6Update(number: number): RouteUpdate {
  const update = { ...createRouteUpdate(), op: UpdateOp.INSTALL, family: Family.IPV6, prefixLength: 64, metric: 7 };
  update.prefix.set([0x20, 0x01, 0x0d, 0xb8, number >>> 8, number & 255]);
  update.nexthops = [nexthop(2, 9)];
  return update;
}

describe("FPM provider", () => {
  it("sends everything when it connects: nexthops, groups, then routes", async () => {
    const bench = await FpmBench.start({ isClosed: true });
    bench.export.open();
    await bench.groups.set(7, group([nexthop(2, 9), nexthop(3, 9, 10)]));
    await bench.groups.set(8, group([nexthop(3, 9)], { resilient: RESILIENT }));
    for (let number = 0; number < 200; number++) {
      bench.harness.admit(
        number % 2 === 0 ? numberedUpdate(number) : bench.onGroup(number, 7 + (number % 3 === 0 ? 1 : 0)),
      );
    }
    bench.harness.admit({ ...numberedUpdate(300), type: RouteType.BLACKHOLE, nexthops: [], protocol: 186 });
    bench.harness.admit(ipv6Update(1));
    await bench.settled();
    assert.equal(bench.counter("state"), 0);
    await bench.peer.listen();
    await bench.agreed();
    assert.equal(bench.peer.routes.size, 202);
    assert.equal(bench.peer.routes.get("10.0.1.44/32 table 254 metric 20")?.protocol, 186);
    assert.equal(bench.peer.routes.get("10.0.0.2/32 table 254 metric 20")?.protocol, 210);
    assert.deepEqual(
      [...bench.peer.nexthops.values()].map((each) => ("members" in each ? each.resilient : "single")),
      ["single", "single", false, true],
    );
    assert.deepEqual([bench.counter("replays"), bench.counter("routesHeld")], [1, 202]);
    await bench.close();
  });

  it("waits for the RIB to know what the kernel held at the start", async () => {
    const bench = await FpmBench.start({ isClosed: true });
    await bench.peer.listen();
    await until("it is connected", () => bench.counter("state") === 1);
    bench.harness.install(1);
    await bench.settled();
    assert.equal(bench.peer.frames, 0);
    bench.export.open();
    await bench.agreed();
    assert.equal(bench.peer.routes.size, 1);
    await bench.close();
  });

  it("streams what changes: routes, groups, their members, and deletions", async () => {
    const bench = await FpmBench.start();
    await until("it is connected", () => bench.counter("state") === 2);
    await bench.groups.set(7, group([nexthop(2, 9), nexthop(3, 9)]));
    for (let number = 0; number < 100; number++) bench.harness.admit(bench.onGroup(number, 7));
    await bench.agreed();
    assert.deepEqual([bench.peer.messages.newRoute, bench.counter("routesUnresolved")], [100, 0]);
    const sent = bench.peer.messages.newRoute;
    await bench.groups.set(7, group([nexthop(2, 9, 5), nexthop(4, 1)]));
    await bench.agreed();
    assert.equal(bench.peer.messages.newRoute, sent, "a change of the group is no message for a route");
    for (let number = 0; number < 50; number++) bench.harness.remove(number);
    for (let number = 50; number < 100; number++) bench.harness.install(number);
    await bench.agreed();
    assert.equal(bench.peer.routes.size, 50);
    await bench.settled();
    await bench.groups.delete(7);
    await until("objects are gone there too", () => bench.peer.nexthops.size === 0);
    await bench.agreed();
    await bench.close();
  });

  it("tells what the kernel has lost, and when it is back", async () => {
    const bench = await FpmBench.start();
    await bench.groups.set(7, group([nexthop(2, 9), nexthop(3, 9)]));
    for (let number = 0; number < 50; number++) bench.harness.admit(bench.onGroup(number, 7));
    await bench.agreed();
    bench.setLink(2, false);
    await bench.agreed();
    assert.equal(bench.peer.table().get("10.0.0.1/32 table 254 metric 20"), "3.10.0.3.9*1");
    bench.setLink(3, false);
    await bench.agreed();
    assert.equal(bench.peer.routes.size, 0);
    bench.setLink(3, true);
    await bench.agreed();
    assert.equal(bench.peer.routes.size, 50);
    await bench.close();
  });

  it("says nothing of what the kernel refuses, unless it is to", async () => {
    for (const exportFailed of [false, true]) {
      const bench = await FpmBench.start({ options: { exportFailed } });
      await bench.groups.set(7, group([nexthop(2, 9)]));
      bench.harness.admit(bench.onGroup(1, 7));
      await bench.agreed();
      const id = bench.groups.get(7)!.object!.id;
      // The kernel has lost it, and nobody has noticed.
      bench.kernel.drop(id);
      bench.harness.admit(bench.onGroup(2, 7));
      await bench.settled();
      assert.equal(bench.harness.outcomes.fib_failed, 1);
      const key = "10.0.0.2/32 table 254 metric 20";
      if (exportFailed) {
        await until("the route is there", () => bench.peer.routes.has(key));
        bench.harness.remove(2);
        await bench.settled();
        await until("and gone with its owner", () => !bench.peer.routes.has(key));
      } else {
        bench.harness.install(3);
        await bench.settled();
        await until("a later route is there", () => bench.peer.routes.has("10.0.0.3/32 table 254 metric 20"));
        assert.equal(bench.peer.routes.has(key), false);
      }
      await bench.close();
    }
  });

  it("sends nexthops in the routes themselves if it is told to, and moves the routes of a group that changes", async () => {
    const bench = await FpmBench.start({ options: { nexthopGroups: false } });
    await bench.groups.set(7, group([nexthop(2, 9), nexthop(3, 9)]));
    for (let number = 0; number < 50; number++) bench.harness.admit(bench.onGroup(number, 7));
    await bench.agreed();
    await bench.groups.set(7, group([nexthop(2, 9, 3), nexthop(4, 9)]));
    await bench.agreed();
    assert.deepEqual([bench.peer.messages.newNexthop, bench.peer.nexthops.size], [0, 0]);
    assert.equal(bench.peer.table().get("10.0.0.1/32 table 254 metric 20"), "2.10.0.2.9*3 4.10.0.4.9*1");
    await bench.close();
  });

  it("takes back what a later provider fails", async () => {
    let isFailing = false;
    const last = new ScriptedProvider((io, slot) => {
      if (isFailing) io.contexts.fail(slot, 5, "too late");
    });
    const bench = await FpmBench.start({ last });
    bench.harness.install(1, 5);
    await bench.agreed();
    isFailing = true;
    bench.harness.install(1, 6);
    bench.harness.install(2);
    await bench.settled();
    assert.equal(bench.harness.outcomes.fib_failed, 2);
    await until("they were sent, and taken back", () => bench.peer.messages.newRoute >= 4);
    await bench.agreed();
    assert.equal(bench.peer.routes.size, 1);
    await bench.close();
  });

  it("counts, and reads the server's replies", async () => {
    const bench = await FpmBench.start();
    bench.peer.replyFlags = RTM_F_OFFLOAD;
    // A replay under way may come by what contexts have told of already.
    await until("the first replay is over", () => bench.counter("state") === FPM_CLIENT_STATES.indexOf("connected"));
    await bench.harness.stream(100);
    await bench.agreed();
    await until("all replies are read", () => bench.counter("repliesOffloaded") === 100);
    bench.peer.replyFlags = RTM_F_OFFLOAD_FAILED;
    bench.harness.install(1, 9);
    bench.harness.remove(2);
    await bench.agreed();
    await until("the reply is read", () => bench.counter("repliesFailed") === 1);
    assert.equal(bench.counter("bytesSent"), bench.peer.bytes);
    assert.ok(bench.counter("bytesRead") > 100 * 44);
    assert.deepEqual(
      [bench.counter("routesSent"), bench.counter("routeDeletesSent"), bench.counter("routesHeld")],
      [101, 1, 99],
    );
    assert.equal(bench.counter("contexts"), 102);
    bench.export.replay();
    await until("everything was sent again", () => bench.peer.messages.newRoute === 101 + 99);
    assert.equal(bench.counter("replays"), 2);
    await bench.peer.vanish();
    await until("the end is noticed", () => bench.counter("connectionCloses") === 1);
    await until("it tries again in vain", () => bench.counter("connectionErrors") > 0);
    assert.equal(bench.counter("state"), 0);
    await bench.close();
    assert.equal(bench.counter("state"), 3);
  });

  it("ends the connection of a server that sends what is no frame, and connects anew", async () => {
    const bench = await FpmBench.start();
    await bench.agreed();
    bench.peer.sendRaw(Uint8Array.of(9, 9, 0, 0, 1, 2));
    await until("it is connected again", () => bench.peer.connections === 2);
    bench.harness.install(1);
    await bench.agreed();
    await bench.close();
  });
});

describe("FPM provider, with a server that does not keep up", () => {
  it("ends complete when it reads slowly, and never keeps more than its limit", async () => {
    const bench = await FpmBench.start({ slowMs: 1 });
    await until("it is connected", () => bench.counter("state") === 2);
    await bench.groups.set(7, group([nexthop(2, 9), nexthop(3, 9)]));
    for (let round = 0; round < 3; round++) {
      await bench.harness.stream(20_000, (index) =>
        index % 2 === 0 ? numberedUpdate(index, UpdateOp.INSTALL, round + 1) : bench.onGroup(index, 7),
      );
    }
    await bench.agreed();
    assert.ok(bench.counter("outputBytesMax") < OUTPUT_BYTES_MAX + (64 << 10), `${bench.counter("outputBytesMax")}`);
    await bench.close();
  });

  it("ends complete when it stops for a while, whatever happens meanwhile", async () => {
    const bench = await FpmBench.start();
    await bench.groups.set(7, group([nexthop(2, 9), nexthop(3, 9)]));
    await bench.groups.set(8, group([nexthop(2, 9), nexthop(4, 9)]));
    await bench.harness.stream(5000, (index) =>
      index % 3 === 0 ? bench.onGroup(index, 7 + (index % 2)) : numberedUpdate(index),
    );
    await bench.agreed();
    bench.peer.pause();
    for (let round = 0; bench.counter("bufferFull") === 0; round++) {
      assert.ok(round < 200, "the buffers are full at last");
      await bench.harness.stream(5000, (index) => numberedUpdate(index, UpdateOp.INSTALL, round & 255));
    }
    const { accepted } = await fullOf(bench);
    // Deletions, and numbers of the RIB that other routes get.
    await bench.harness.stream(3000, (index) => numberedUpdate(index, UpdateOp.DELETE));
    await bench.settled();
    await bench.harness.stream(2000, (index) => numberedUpdate(20_000 + index));
    await bench.settled();
    await bench.harness.stream(1000, (index) => numberedUpdate(1999 - index, UpdateOp.INSTALL, 77));
    await bench.harness.stream(500, (index) => numberedUpdate(3000 + index, UpdateOp.DELETE));
    await bench.harness.stream(500, (index) => bench.onGroup(3000 + index, 8));
    await bench.groups.set(8, group([nexthop(3, 9, 4)]));
    await bench.groups.set(9, group([nexthop(4, 9)]));
    await bench.harness.stream(500, (index) => bench.onGroup(30_000 + index, 9));
    await bench.settled();
    assert.ok(bench.counter("routesQueuedMax") > 3000);
    assert.ok(bench.counter("outputBytesMax") < OUTPUT_BYTES_MAX + (64 << 10));
    assert.ok(bench.counter("bytesSent") - accepted <= OUTPUT_BYTES_MAX, "nothing goes on to be piled up");
    bench.peer.resume();
    await bench.agreed();
    await bench.close();
  });

  it("ends complete when it goes and comes back, with and without its memory", async () => {
    for (const forgets of [false, true]) {
      const bench = await FpmBench.start();
      await bench.groups.set(7, group([nexthop(2, 9), nexthop(3, 9)]));
      await bench.harness.stream(3000, (index) => (index % 2 === 0 ? bench.onGroup(index, 7) : numberedUpdate(index)));
      await bench.agreed();
      await bench.peer.vanish();
      if (forgets) bench.peer.forget();
      await until("it is noticed", () => bench.counter("state") === 0);
      await bench.harness.stream(1000, (index) => numberedUpdate(index, UpdateOp.DELETE));
      await bench.settled();
      await bench.harness.stream(500, (index) => numberedUpdate(10_000 + index));
      await bench.groups.set(7, group([nexthop(3, 9, 2)]));
      await bench.settled();
      await bench.peer.listen();
      await until("it connects again", () => bench.peer.connections === 2);
      await bench.agreed();
      await until("unused objects are gone", () => bench.peer.nexthops.size === 2);
      assert.deepEqual(bench.peer.errors, []);
      await bench.close();
    }
  });

  it("ends complete when it goes in the middle of it all", async () => {
    const bench = await FpmBench.start({ slowMs: 1 });
    let going: Promise<void> | null = null;
    await bench.harness.stream(30_000, (index) => {
      if (index === 10_000 || index === 20_000) {
        going = (going ?? Promise.resolve()).then(() => bench.peer.vanish()).then(() => bench.peer.listen());
      }
      return index % 5 === 4 ? numberedUpdate(index - 4, UpdateOp.DELETE) : numberedUpdate(index);
    });
    await going;
    await bench.agreed();
    assert.ok(bench.peer.connections >= 2);
    await bench.close();
  });
});

/** How many bytes the connection took until it would take no more. */
async function fullOf(bench: FpmBench): Promise<{ accepted: number }> {
  await bench.settled();
  return { accepted: bench.counter("bytesSent") };
}
