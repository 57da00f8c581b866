import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { Prng } from "../../../../core/prng.ts";
import { RTM_F_OFFLOAD, RTM_F_OFFLOAD_FAILED } from "../../../../ffi/netlink/constants.ts";
import { FpmBench } from "../../../support/fpm_bench.ts";
import { frameOf } from "../../../support/fpm_client.ts";
import { until } from "../../../support/wait.ts";

const A = "10.1.0.0/16";
const B = "10.2.0.0/16";
const C = "2001:db8:c::/48";

describe("FPM server, routes", () => {
  it("programs what a peer tells, however it is cut, and leaves alone what is none of it", async () => {
    const bench = await FpmBench.start();
    const frr = await bench.connect();
    const prng = new Prng(5);
    const stream = new Uint8Array([
      ...frameOf(frr.add({ prefix: A, via: ["192.0.2.1"] }), frr.add({ prefix: B, via: ["192.0.2.1", "192.0.2.2"] })),
      ...frameOf(frr.add({ prefix: "10.9.0.0/16", via: ["192.0.2.9"], protocol: 2 })),
      ...frameOf(frr.add({ prefix: "10.8.0.0/16", type: 2, via: ["192.0.2.9"] })),
      ...frameOf(frr.add({ prefix: C, via: ["2001:db8::1"] })),
      ...frameOf(frr.add({ prefix: "10.3.0.0/16", type: 6 }), frr.add({ prefix: "10.4.0.0/16", type: 7 })),
      ...frameOf(frr.delete({ prefix: "10.99.0.0/16" })),
    ]);
    for (let at = 0; at < stream.length; ) {
      const length = 1 + prng.below(50);
      frr.bytes(stream.slice(at, at + length));
      at += length;
    }
    const all = [`${A} 192.0.2.1`, `${B} 192.0.2.1 192.0.2.2`, `${C} 2001:db8::1`];
    await bench.holds(...all, "10.3.0.0/16 blackhole", "10.4.0.0/16 unreachable");
    frr.frame(frr.delete({ prefix: A }), frr.delete({ prefix: "10.4.0.0/16" }));
    await bench.holds(all[1]!, all[2]!, "10.3.0.0/16 blackhole");
    await until("the results are there", () => bench.peer.programmed === 7);
    const { owner, routes, deletes, ignored, errors } = bench.peer;
    assert.deepEqual([owner, routes, deletes, errors], ["fpm-127.0.0.1", 5, 3, 0]);
    assert.deepEqual([ignored.kernelRoute, ignored.routeType, ignored.unknownRoute], [1, 1, 1]);
    await bench.close();
  });

  it("takes a deletion and an install of one frame for a change in place", async () => {
    const bench = await FpmBench.start();
    const frr = await bench.connect();
    frr.frame(frr.add({ prefix: A, via: ["192.0.2.1"] }));
    await bench.holds(`${A} 192.0.2.1`);
    frr.frame(frr.delete({ prefix: A }), frr.add({ prefix: A, via: ["192.0.2.2"] }));
    await bench.holds(`${A} 192.0.2.2`);
    // Not the same route: both are carried out.
    frr.frame(
      frr.delete({ prefix: A, table: 7 }),
      frr.delete({ prefix: A }),
      frr.add({ prefix: B, via: ["192.0.2.1"] }),
    );
    await bench.holds(`${B} 192.0.2.1`);
    assert.deepEqual(bench.writes.slice(0, 2), [`install ${A}`, `update ${A}`]);
    assert.deepEqual(bench.writes.slice(2).sort(), [`delete ${A}`, `install ${B}`]);
    assert.equal(bench.peer.replaced, 1);
    await bench.close();
  });

  it("maps tables and interfaces, and takes table 0 for the main one", async () => {
    const links = new Map([
      [77, "v1"],
      [78, "nowhere"],
    ]);
    const mapping = {
      tables: new Map([[10, 100]]),
      links,
      metric: 33,
      acceptKernel: true,
      deviceIndex: (name: string) => (name === "v1" ? 3 : 0),
    };
    const bench = await FpmBench.start({ mapping });
    const frr = await bench.connect();
    frr.frame(
      frr.add({ prefix: A, via: ["192.0.2.1"], table: 10, metric: 99 }),
      frr.add({ prefix: B, via: ["192.0.2.1"], ifindex: 77, table: 0, protocol: 2 }),
      frr.add({ prefix: "10.3.0.0/16", via: ["192.0.2.1"], ifindex: 78 }),
      frr.add({ prefix: C, via: ["fe80::1"], ifindex: 78 }),
    );
    await bench.holds(`${A} table 100 192.0.2.1`, `${B} 192.0.2.1@3`, "10.3.0.0/16 192.0.2.1@0");
    await until("the last is left alone", () => bench.peer.ignored.unknownLink === 1);
    frr.frame(frr.delete({ prefix: A, table: 10 }), frr.delete({ prefix: B, table: 0 }));
    await bench.holds("10.3.0.0/16 192.0.2.1@0");
    await bench.close();
  });

  it("refuses routes of a peer that programs the same kernel, where they would land in the same table", async () => {
    for (const [metric, expected] of [
      [20, [`${B} table 7 192.0.2.1`]],
      [0xff00_0000, [`${A} 192.0.2.1`, `${B} table 7 192.0.2.1`]],
    ] as const) {
      const mapping = {
        tables: new Map([[8, 7]]),
        links: new Map(),
        metric,
        acceptKernel: false,
        deviceIndex: () => 0,
      };
      const bench = await FpmBench.start({ mapping, sharesKernel: (address) => address === "127.0.0.1" });
      const frr = await bench.connect();
      frr.frame(frr.add({ prefix: A, via: ["192.0.2.1"] }), frr.add({ prefix: B, via: ["192.0.2.1"], table: 8 }));
      await bench.holds(...expected);
      assert.equal(bench.peer.ignored.sharedKernel, expected.length === 1 ? 1 : 0);
      await bench.close();
    }
  });

  it("also where table-map leads into the main table, which is the peer's too", async () => {
    const mapping = {
      tables: new Map([[100, 254]]),
      links: new Map(),
      metric: 20,
      acceptKernel: false,
      deviceIndex: () => 0,
    };
    const bench = await FpmBench.start({ mapping, sharesKernel: () => true });
    const frr = await bench.connect();
    frr.frame(frr.add({ prefix: A, via: ["192.0.2.1"], table: 100 }));
    await until("it is refused", () => bench.peer.ignored.sharedKernel === 1);
    assert.equal(bench.routes.size, 0);
    await bench.close();
  });

  it("reads weights as FRR's older module writes them, one too high", async () => {
    const bench = await FpmBench.start();
    const frr = await bench.connect();
    const weights = (table: number) => {
      const { rib } = bench.harness;
      const store = rib.store(2);
      for (let route = 1; route <= store.last; route++) {
        if (!store.isUsed(route) || rib.keyClass(store, route).table !== table) continue;
        const attrs = store.desired(route);
        return Array.from(
          { length: rib.attrs.reader.nexthopCount(attrs) },
          (_, at) => rib.attrs.reader.nexthop(attrs, at).weight,
        );
      }
      return [];
    };
    const via = ["192.0.2.1", "192.0.2.2"];
    frr.frame(frr.add({ prefix: A, via, weights: [2, 4], protocol: 11, table: 1 }));
    frr.frame(frr.add({ prefix: A, via, weights: [2, 4], protocol: 186, table: 2 }));
    frr.frame(frr.add({ prefix: A, via, weights: [1, 3], protocol: 11, table: 3 }));
    await until("all are programmed", () => bench.peer.programmed === 3);
    assert.deepEqual(
      [weights(1), weights(2), weights(3)],
      [
        [1, 3],
        [2, 4],
        [1, 3],
      ],
    );
    await bench.close();
  });

  it("skips a message that cannot be read and goes on; a frame that is none ends the connection and no route", async () => {
    const bench = await FpmBench.start();
    const frr = await bench.connect();
    const short = frr.add({ prefix: A, via: ["192.0.2.1"] });
    new DataView(short.buffer).setUint32(0, 4000, true);
    const wrong = frr.add({ prefix: A, via: ["192.0.2.1"] });
    wrong[17] = 200; // a prefix length that IPv4 does not have
    frr.frame(short, frr.add({ prefix: "10.7.0.0/16", via: ["192.0.2.1"] }));
    frr.frame(wrong, frr.add({ prefix: A, via: ["192.0.2.1"] }));
    await bench.holds(`${A} 192.0.2.1`);
    assert.equal(bench.peer.errors, 2);
    frr.bytes(new Uint8Array([1, 1, 0, 2]));
    await until("the connection is closed", () => frr.closed);
    await until("the peer is down", () => bench.peer.state === "down");
    assert.match(bench.peer.lastError ?? "", /shorter than its header/);
    await bench.holds(`${A} 192.0.2.1`);
    await bench.close();
  });

  it("works off what came before the connection ended", async () => {
    const bench = await FpmBench.start();
    const frr = await bench.connect();
    const prefixes = Array.from({ length: 3000 }, (_, index) => `10.${index >>> 8}.${index & 255}.0/24`);
    for (const prefix of prefixes) frr.frame(frr.add({ prefix, via: ["192.0.2.1"] }));
    for (const prefix of prefixes.slice(1)) frr.frame(frr.delete({ prefix }));
    await frr.end();
    await bench.holds("10.0.0.0/24 192.0.2.1");
    await bench.close();
  });
});

describe("FPM server, nexthops", () => {
  it("has routes wait for nexthops that come later, groups before their members", async () => {
    const bench = await FpmBench.start();
    const frr = await bench.connect();
    frr.frame(frr.add({ prefix: A, nexthopId: 30 }), frr.group(30, [11, 12]), frr.nexthop(11, "192.0.2.1"));
    await until("the route is there", () => bench.peer.held === 1);
    assert.equal(bench.peer.parkedNexthops, 1);
    assert.equal(bench.routes.size, 0);
    frr.frame(frr.nexthop(12, "192.0.2.2"));
    await bench.holds(`${A} 192.0.2.1 192.0.2.2`);
    frr.frame(frr.add({ prefix: B, nexthopId: 11 }), frr.add({ prefix: "10.3.0.0/16", nexthopId: 12 }));
    await bench.holds(`${A} 192.0.2.1 192.0.2.2`, `${B} 192.0.2.1`, "10.3.0.0/16 192.0.2.2");
    assert.equal(bench.peer.parkedNexthops, 0);
    await bench.close();
  });

  it("moves all routes on a nexthop that changes, without writing them", async () => {
    const bench = await FpmBench.start();
    const frr = await bench.connect();
    frr.frame(frr.nexthop(11, "192.0.2.1"), frr.nexthop(12, "192.0.2.2"), frr.group(30, [11, 12]));
    frr.frame(frr.add({ prefix: A, nexthopId: 30 }), frr.add({ prefix: B, nexthopId: 30 }));
    await bench.holds(`${A} 192.0.2.1 192.0.2.2`, `${B} 192.0.2.1 192.0.2.2`);
    const written = bench.writes.length;
    frr.frame(frr.group(30, [12]));
    await until("the group has one", () =>
      Array.from(bench.harness.groups.list()).every(({ accepted }) => accepted?.members.length === 1),
    );
    assert.equal(bench.writes.length, written);
    await bench.close();
  });

  it("makes a route by a blackhole nexthop one itself", async () => {
    const bench = await FpmBench.start();
    const frr = await bench.connect();
    frr.frame(frr.blackhole(9), frr.add({ prefix: A, nexthopId: 9 }));
    await bench.holds(`${A} blackhole`);
    await bench.close();
  });

  it("deletes groups that nothing is on any more", async () => {
    const bench = await FpmBench.start();
    const frr = await bench.connect();
    frr.frame(frr.nexthop(11, "192.0.2.1"), frr.add({ prefix: A, nexthopId: 11 }));
    await bench.holds(`${A} 192.0.2.1`);
    frr.frame(frr.deleteNexthop(11));
    frr.frame(frr.delete({ prefix: A }));
    await bench.holds();
    await until("the group is gone", () => bench.harness.groups.count === 0 && bench.peer.nexthopGroups === 0);
    await bench.close();
  });
});

describe("FPM server, connections", () => {
  it("writes nothing when a peer tells the same again with other nexthop numbers, and removes what it does not", async () => {
    const bench = await FpmBench.start({ quietTimeMs: 200 });
    const first = await bench.connect();
    first.frame(first.nexthop(11, "192.0.2.1"), first.nexthop(12, "192.0.2.2"), first.group(30, [11, 12]));
    first.frame(first.add({ prefix: A, nexthopId: 30 }), first.add({ prefix: B, nexthopId: 11 }));
    first.frame(first.add({ prefix: C, via: ["2001:db8::1"] }));
    await bench.holds(`${A} 192.0.2.1 192.0.2.2`, `${B} 192.0.2.1`, `${C} 2001:db8::1`);
    await first.end();
    await until("the peer is down", () => bench.peer.state === "down");
    const written = bench.writes.length;
    const second = await bench.connect();
    second.frame(second.nexthop(21, "192.0.2.2"), second.nexthop(22, "192.0.2.1"), second.group(23, [22, 21]));
    second.frame(second.add({ prefix: A, nexthopId: 23 }), second.add({ prefix: C, via: ["2001:db8::1"] }));
    await until("the replay is over", () => bench.peer.state === "settled");
    await bench.holds(`${A} 192.0.2.1 192.0.2.2`, `${C} 2001:db8::1`);
    assert.deepEqual(bench.writes.slice(written), [`delete ${B}`]);
    assert.deepEqual([bench.peer.unchanged, bench.peer.swept, bench.peer.connects], [2, 1, 2]);
    await bench.close();
  });

  it("removes nothing of a table that the peer does not replay, until it stays away", async () => {
    const bench = await FpmBench.start({ quietTimeMs: 100, holdTimeMs: 400 });
    const first = await bench.connect();
    first.frame(first.add({ prefix: A, via: ["192.0.2.1"] }), first.add({ prefix: A, via: ["192.0.2.1"], table: 7 }));
    first.frame(
      first.add({ prefix: A, via: ["192.0.2.1"], table: 8 }),
      first.add({ prefix: B, via: ["192.0.2.1"], table: 8 }),
    );
    await until("all are there", () => bench.routes.size === 4);
    await first.end();
    const second = await bench.connect();
    second.frame(second.add({ prefix: B, via: ["192.0.2.1"], table: 8 }));
    await until("the replay is over", () => bench.peer.state === "settled");
    await bench.holds(`${A} table 7 192.0.2.1`, `${B} table 8 192.0.2.1`);
    await second.end();
    await until("the hold time is over", () => bench.peer.state === "gone");
    await bench.holds();
    await bench.close();
  });

  it("keeps what a restarted peer has not told again until the hold time is over", async () => {
    const bench = await FpmBench.start({ quietTimeMs: 50, holdTimeMs: 800 });
    const first = await bench.connect(1);
    first.frame(first.add({ prefix: A, via: ["192.0.2.1"] }), first.add({ prefix: B, via: ["192.0.2.1"] }));
    await bench.holds(`${A} 192.0.2.1`, `${B} 192.0.2.1`);
    await first.end();
    const second = await bench.connect(2);
    const startedAt = performance.now();
    second.frame(second.add({ prefix: A, via: ["192.0.2.1"] }));
    await until("the replay is over", () => bench.peer.state === "settled");
    assert.ok(performance.now() - startedAt > 600, "not by the quiet time");
    await bench.holds(`${A} 192.0.2.1`);
    await bench.close();
  });

  it("removes the routes of a peer that stays away", async () => {
    const bench = await FpmBench.start({ holdTimeMs: 300 });
    const frr = await bench.connect();
    frr.frame(frr.add({ prefix: A, via: ["192.0.2.1"] }));
    await bench.holds(`${A} 192.0.2.1`);
    await frr.end();
    await until("the hold time is over", () => bench.peer.state === "gone");
    await bench.holds();
    assert.equal(bench.peer.swept, 1);
    await bench.close();
  });

  it("claims what an earlier life of the daemon has left in the kernel, without a write", async () => {
    const bench = await FpmBench.start({ quietTimeMs: 50, holdTimeMs: 100 });
    const { harness } = bench;
    const frr = await bench.connect();
    frr.frame(frr.add({ prefix: A, via: ["192.0.2.1"] }));
    await bench.holds(`${A} 192.0.2.1`);
    await frr.end();
    const store = harness.rib.store(2);
    harness.rib.claims.set(2, store, 1, 0, store.desired(1)); // as adoption leaves it: nobody's
    const again = await bench.connect();
    again.frame(again.add({ prefix: A, via: ["192.0.2.1"] }));
    await until("it is claimed", () => bench.peer.unchanged === 1);
    assert.deepEqual(bench.writes, [`install ${A}`]);
    await bench.close();
  });

  it("has a new connection take the place of the old one, and refuses strangers", async () => {
    const bench = await FpmBench.start({ peers: [{ address: "127.0.0.1", owner: "frr" }] });
    const first = await bench.connect();
    first.frame(first.add({ prefix: A, via: ["192.0.2.1"] }));
    await bench.holds(`${A} 192.0.2.1`);
    const second = await bench.connect();
    await until("the old one is closed", () => first.closed);
    second.frame(second.add({ prefix: B, via: ["192.0.2.1"] }));
    await bench.holds(`${A} 192.0.2.1`, `${B} 192.0.2.1`);
    assert.deepEqual([bench.peer.owner, bench.peer.connects, bench.peer.state], ["frr", 2, "replaying"]);
    await bench.close();

    const closed = await FpmBench.start({ peers: [{ address: "192.0.2.7", owner: null }] });
    const stranger = await closed.connect();
    stranger.frame(stranger.add({ prefix: A, via: ["192.0.2.1"] }));
    await until("it is refused", () => stranger.closed);
    assert.deepEqual([closed.server.describe().refused, closed.server.describe().peers], [1, []]);
    assert.equal(closed.routes.size, 0);
    await closed.close();
  });

  it("takes withdrawals in while there is no room, and brings the longest first, before what follows", async () => {
    const bench = await FpmBench.start();
    const frr = await bench.connect();
    const prefixes = [16, 24].flatMap((length) =>
      Array.from({ length: 500 }, (_, number) => `${10 + (number >> 8)}.${number & 255}.0.0/${length}`),
    );
    for (const prefix of prefixes) frr.frame(frr.add({ prefix, via: ["192.0.2.1"] }));
    await until("all are there", () => bench.routes.size === 1000);
    bench.writes.length = 0;
    bench.harness.kernel.holds = true;
    for (const prefix of prefixes) frr.frame(frr.delete({ prefix }));
    frr.frame(frr.add({ prefix: prefixes[499]!, via: ["192.0.2.2"] }));
    await until("all withdrawals are read", () => bench.peer.deletes === 1000);
    bench.harness.kernel.release();
    await bench.holds(`${prefixes[499]} 192.0.2.2`);
    const told = bench.writes.filter((write) => write.startsWith("delete")).map((write) => write.slice(7));
    assert.deepEqual(told.toSorted(), prefixes.toSorted());
    assert.equal(bench.writes.at(-1), `install ${prefixes[499]}`);
    const isLonger = (prefix: string): boolean => prefix.endsWith("/24");
    if (bench.peer.deferred === 0) assert.deepEqual(told.filter(isLonger), prefixes.slice(500));
    const { deferred, errors } = bench.peer;
    const waiting = 999 - told.findLastIndex(isLonger);
    // On a machine so slow that they were read for a second, they are brought as they come.
    assert.ok(deferred > 0 || waiting > 100, `${waiting} waited for longer ones`);
    assert.equal(errors, 0);
    await bench.close();
  });

  it("goes on reading while the dataplane takes nothing, and then brings the last of each prefix", async () => {
    const bench = await FpmBench.start({}, 8);
    bench.harness.kernel.holds = true;
    const frr = await bench.connect();
    const prefixes = Array.from({ length: 500 }, (_, index) => `10.0.${index >>> 8}.${index & 255}/32`);
    for (let round = 1; round <= 4; round++) {
      for (const prefix of prefixes) frr.frame(frr.add({ prefix, via: [`192.0.2.${round}`] }));
    }
    frr.frame(frr.delete({ prefix: prefixes[0]! }));
    await until("all is read", () => bench.peer.routes === 2000 && bench.peer.deletes === 1);
    const { deferred } = bench.peer;
    assert.ok(deferred > 500, `${deferred} are deferred`);
    bench.harness.kernel.release();
    await bench.holds(...prefixes.slice(1).map((prefix) => `${prefix} 192.0.2.4`));
    assert.ok(bench.writes.length < 2000 - deferred + 2 * prefixes.length, `${bench.writes.length} writes`);
    await bench.close();
  });
});

describe("FPM server, offload replies", () => {
  it("tells the peer of each route whether it is in the forwarding plane, also later", async () => {
    const bench = await FpmBench.start({ offloadReplies: true });
    bench.refused.add(B);
    const frr = await bench.connect();
    frr.frame(
      frr.nexthop(11, "192.0.2.1"),
      frr.add({ prefix: A, nexthopId: 11 }),
      frr.add({ prefix: B, via: ["192.0.2.1"] }),
    );
    await until("both are answered", () => frr.replies.length === 2);
    const byPrefix = () => Object.fromEntries(frr.replies.map((reply) => [reply.destination[1], reply]));
    const good = byPrefix()[1]!;
    assert.deepEqual(
      [good.routeFlags, good.nexthopId, good.protocol, good.table, good.metric, good.flags],
      [RTM_F_OFFLOAD, 11, 186, 254, 20, 1],
    );
    const bad = byPrefix()[2]!;
    assert.deepEqual([bad.routeFlags, bad.nexthops.length, bad.nexthops[0]!.via[3]], [RTM_F_OFFLOAD_FAILED, 1, 1]);
    bench.refused.clear();
    const store = bench.harness.rib.store(2);
    for (let route = 1; route <= store.last; route++) bench.harness.rib.retry(2, route);
    await until("it is answered again", () => frr.replies.length >= 3);
    assert.deepEqual([frr.replies[2]!.destination[1], frr.replies[2]!.routeFlags], [2, RTM_F_OFFLOAD]);
    const again = await bench.connect();
    again.frame(again.add({ prefix: B, via: ["192.0.2.1"] }));
    await until("what is so already is answered", () => again.replies.length === 1);
    assert.equal(again.replies[0]!.routeFlags, RTM_F_OFFLOAD);
    await bench.close();
  });
});
