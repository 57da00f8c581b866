import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { NEXTHOP_ID_MIN } from "../../../core/constants.ts";
import { type NexthopObject, NexthopObjectKind } from "../../../core/context/nexthop_object.ts";
import { UpdateOp } from "../../../core/model/route.ts";
import { RouteState } from "../../../core/rib/route_store.ts";
import { group, NexthopBench, nexthop, RESILIENT } from "../../support/nexthop_bench.ts";
import { numberedUpdate } from "../../support/updates.ts";
import { until } from "../../support/wait.ts";

describe("nexthop groups", () => {
  it("is an object in the kernel, and routes go by its number", async () => {
    const bench = await NexthopBench.start();
    const made = await bench.groups.set(7, group([nexthop(2, 9), nexthop(3, 9, 10)]));
    assert.deepEqual([made.failure, bench.held(7)], [null, "2.9*1 3.9*10"]);
    assert.ok(bench.id(7) >= NEXTHOP_ID_MIN);
    bench.route(1, 7);
    await bench.settled();
    assert.deepEqual(bench.kernel.routes.get(1), { object: bench.id(7) });
    // One member is a group too.
    await bench.groups.set(8, group([nexthop(2, 9)]));
    assert.equal(bench.held(8), "2.9*1");
    assert.equal(bench.kernel.messages.single, 2);
    await bench.close();
  });

  it("moves all routes with one message when members or weights change", async () => {
    const bench = await NexthopBench.start();
    await bench.groups.set(7, group([nexthop(2, 9), nexthop(3, 9)]));
    for (let number = 0; number < 100; number++) bench.route(number, 7);
    await bench.settled();
    const id = bench.id(7);
    const before = { ...bench.kernel.messages };
    await bench.groups.set(7, group([nexthop(2, 9, 5), nexthop(4, 1)]));
    await bench.settled();
    assert.deepEqual([bench.held(7), bench.id(7)], ["2.9*5 4.1*1", id]);
    const { messages } = bench.kernel;
    assert.deepEqual([messages.group - before.group, messages.route - before.route], [1, 0]);
    assert.deepEqual([messages.single - before.single, messages.deleteObject - before.deleteObject], [1, 1]);
    // The same again is no write at all.
    const again = { ...messages };
    await bench.groups.set(7, group([nexthop(4, 1), nexthop(2, 9, 5)]));
    await bench.settled();
    assert.deepEqual(messages, again);
    await bench.close();
  });

  it("changes its shape through a fresh number, without a moment in which a route is gone", async () => {
    const bench = await NexthopBench.start();
    await bench.groups.set(7, group([nexthop(2, 9), nexthop(3, 9)]));
    for (let number = 0; number < 100; number++) bench.route(number, 7);
    await bench.settled();
    const ids = new Set([bench.id(7)]);
    for (const resilient of [RESILIENT, { ...RESILIENT, buckets: 16 }, null]) {
      await bench.groups.set(7, group([nexthop(2, 9), nexthop(3, 9)], { resilient }));
      await bench.settled();
      ids.add(bench.id(7));
      for (let number = 0; number < 100; number++) {
        assert.deepEqual(bench.kernel.routes.get(number), { object: bench.id(7) });
      }
      await until("the old object is gone", () => bench.kernel.objects.size === 3);
    }
    assert.equal(ids.size, 4);
    assert.deepEqual([bench.kernel.dropped, bench.kernel.messages.deleteRoute], [0, 0]);
    await bench.close();
  });

  it("changes the timers of a resilient group in place", async () => {
    const bench = await NexthopBench.start();
    await bench.groups.set(7, group([nexthop(2, 9)], { resilient: RESILIENT }));
    const id = bench.id(7);
    await bench.groups.set(7, group([nexthop(2, 9)], { resilient: { ...RESILIENT, idleTimer: 5 } }));
    assert.equal(bench.id(7), id);
    const object = bench.kernel.objects.get(id);
    assert.ok(object?.kind === NexthopObjectKind.RESILIENT && object.idleTimer === 5);
    await bench.close();
  });

  it("has routes wait for a group that is not there yet", async () => {
    const bench = await NexthopBench.start();
    const line = bench.route(1, 7);
    await bench.settled();
    assert.equal(bench.harness.results[line]?.outcome, "rib_programmed");
    assert.equal(bench.state(1), RouteState.WAITING);
    await bench.groups.set(7, group([nexthop(2, 9)]));
    await bench.settled();
    assert.deepEqual(bench.kernel.routes.get(1), { object: bench.id(7) });
    assert.equal(bench.state(1), RouteState.PROGRAMMED);
    await bench.close();
  });

  it("keeps what it had when the kernel refuses a change, and tells why", async () => {
    const bench = await NexthopBench.start();
    await bench.groups.set(7, group([nexthop(2, 9)]));
    bench.kernel.refuse = (object) =>
      object.kind === NexthopObjectKind.SINGLE && object.nexthop.via[3] === 66
        ? [101, "Nexthop has invalid gateway"]
        : null;
    const changed = await bench.groups.set(7, group([nexthop(2, 9), nexthop(3, 66)]));
    assert.deepEqual([changed.failure?.error, changed.failure?.text], [101, "Nexthop has invalid gateway"]);
    assert.equal(bench.held(7), "2.9*1");
    // What it had comes back as well while the change is refused.
    bench.setLink(2, false);
    await bench.settled();
    assert.equal(bench.held(7), "none");
    bench.setLink(2, true);
    await bench.settled();
    assert.equal(bench.held(7), "2.9*1");
    // The reason is gone, and the link says something.
    bench.kernel.refuse = () => null;
    bench.notice(3, true);
    await bench.settled();
    assert.deepEqual([bench.held(7), bench.groups.get(7)?.failure], ["2.9*1 3.66*1", null]);
    await bench.close();
  });

  it("brings back what went with a link, and its routes", async () => {
    const bench = await NexthopBench.start();
    await bench.groups.set(7, group([nexthop(2, 9), nexthop(3, 9)]));
    await bench.groups.set(8, group([nexthop(2, 1)]));
    bench.route(1, 7);
    bench.route(2, 8);
    await bench.settled();
    const id = bench.id(7);
    bench.setLink(2, false);
    await bench.settled();
    assert.deepEqual([bench.held(7), bench.id(7), bench.held(8)], ["3.9*1", id, "none"]);
    assert.deepEqual([bench.state(1), bench.state(2)], [RouteState.PROGRAMMED, RouteState.WAITING]);
    assert.deepEqual([bench.isProgrammed(1), bench.isProgrammed(2)], [true, false]);
    bench.setLink(2, true);
    await bench.settled();
    assert.deepEqual([bench.held(7), bench.id(7), bench.held(8)], ["2.9*1 3.9*1", id, "2.1*1"]);
    assert.deepEqual(bench.kernel.routes.get(2), { object: bench.id(8) });
    await bench.close();
  });

  it("has routes wait that the kernel refused because it had dropped the group", async () => {
    const bench = await NexthopBench.start();
    await bench.groups.set(7, group([nexthop(2, 9)]));
    bench.kernel.setLink(2, false);
    const line = bench.route(1, 7);
    await bench.settled();
    assert.equal(bench.harness.results[line]?.text, "Nexthop id does not exist");
    bench.notice(2, false);
    await bench.settled();
    assert.equal(bench.state(1), RouteState.WAITING);
    await bench.close();
  });

  it("believes no answer that is older than the loss of a link", async () => {
    const bench = await NexthopBench.start();
    await bench.groups.isUsingObjects();
    bench.kernel.refused = 0;
    // The link goes and comes between the kernel's doing and its answer.
    const flap = (): void => {
      bench.kernel.afterWrite = () => {};
      for (const up of [false, true]) bench.setLink(2, up);
    };
    for (const kind of [NexthopObjectKind.SINGLE, NexthopObjectKind.GROUP]) {
      bench.kernel.afterWrite = (object) => object?.kind === kind && flap();
      bench.route(kind, kind);
      await bench.groups.set(kind, group([nexthop(2, kind)]));
      await bench.settled();
      assert.equal(bench.held(kind), `2.${kind}*1`);
      assert.deepEqual(bench.kernel.routes.get(kind), { object: bench.id(kind) });
      assert.equal(bench.kernel.refused, 0);
    }
    await bench.close();
  });

  it("believes no answer about a route that is older than the loss of its group", async () => {
    const bench = await NexthopBench.start();
    await bench.groups.set(7, group([nexthop(2, 9)]));
    for (const up of [true, false]) {
      bench.kernel.holdsRoutes = true;
      bench.route(1, 7);
      bench.harness.rib.flush();
      await until("the kernel has the route", () => bench.kernel.held === 1);
      bench.setLink(2, false);
      if (up) bench.setLink(2, true);
      await bench.groups.idle();
      await bench.groups.routes.idle();
      bench.kernel.release();
      await bench.settled();
      if (up) assert.deepEqual(bench.kernel.routes.get(1), { object: bench.id(7) });
      else await until("it is known to be gone", () => !bench.isProgrammed(1));
      bench.harness.admit(numberedUpdate(1, UpdateOp.DELETE));
      await bench.settled();
    }
    await bench.close();
  });

  it("leaves nothing of a group that was changed while its old members went", async () => {
    const bench = await NexthopBench.start();
    await bench.groups.set(7, group([nexthop(2, 9)]));
    await bench.groups.set(8, group([nexthop(3, 9)]));
    bench.route(1, 7);
    await bench.settled();
    bench.kernel.afterWrite = (object) => {
      if (object?.kind !== NexthopObjectKind.GROUP) return;
      bench.kernel.afterWrite = () => {};
      bench.setLink(2, false);
    };
    await bench.groups.set(7, group([nexthop(3, 9)]));
    await bench.settled();
    assert.deepEqual(bench.kernel.routes.get(1), { object: bench.id(7) });
    await until("the first one is gone", () => bench.kernel.objects.size === 3);
    await bench.close();
  });

  it("leaves nothing of a group of which old news came while it was made", async () => {
    const bench = await NexthopBench.start();
    await bench.groups.isUsingObjects();
    bench.kernel.afterWrite = (object) => {
      if (object?.kind !== NexthopObjectKind.GROUP) return;
      bench.kernel.afterWrite = () => {};
      // The kernel has kept it: the link was there again before it was written.
      for (const up of [false, true]) bench.notice(2, up);
    };
    await bench.groups.set(7, group([nexthop(2, 9)]));
    await bench.settled();
    assert.equal(bench.held(7), "2.9*1");
    const groups = () => bench.kernel.objects.values().filter(({ kind }) => kind === NexthopObjectKind.GROUP);
    await until("the first one is gone", () => [...groups()].length === 1);
    await bench.close();
  });

  it("goes over to the backup members while no member can be used, and back", async () => {
    const bench = await NexthopBench.start();
    await bench.groups.set(7, group([nexthop(2, 9)], { backup: [nexthop(3, 5), nexthop(4, 5)] }));
    bench.route(1, 7);
    await bench.settled();
    assert.equal(bench.held(7), "2.9*1");
    bench.setLink(2, false);
    await bench.settled();
    assert.equal(bench.held(7), "3.5*1 4.5*1");
    assert.deepEqual(bench.kernel.routes.get(1), { object: bench.id(7) });
    const id = bench.id(7);
    bench.setLink(2, true);
    await bench.settled();
    assert.deepEqual([bench.held(7), bench.id(7)], ["2.9*1", id]);
    await bench.close();
  });

  it("notices by the kernel's answer that its object is gone", async () => {
    const bench = await NexthopBench.start();
    await bench.groups.set(7, group([nexthop(2, 9)]));
    bench.route(1, 7);
    await bench.settled();
    bench.kernel.drop(bench.id(7));
    await bench.groups.set(7, group([nexthop(2, 9), nexthop(3, 9)]));
    await bench.settled();
    assert.equal(bench.held(7), "2.9*1 3.9*1");
    assert.deepEqual(bench.kernel.routes.get(1), { object: bench.id(7) });
    // The same for a member.
    const [single] = bench.groups.objects.singles();
    bench.kernel.drop(single!.id);
    const changed = await bench.groups.set(7, group([nexthop(2, 9), nexthop(3, 9, 4)]));
    await bench.settled();
    assert.deepEqual([changed.failure, bench.held(7)], [null, "2.9*1 3.9*4"]);
    await bench.close();
  });

  it("repairs what somebody deletes, flushes or changes", async () => {
    const bench = await NexthopBench.start();
    bench.watch();
    await bench.groups.set(7, group([nexthop(2, 9), nexthop(3, 9)]));
    bench.route(1, 7);
    await bench.settled();
    const by = { kind: "nexthop", protocol: 210, portId: 5, by: "ip[5]" } as const;
    const [single] = bench.groups.objects.singles();
    bench.kernel.drop(single!.id);
    bench.readings.onChange({ ...by, action: "delete", id: single!.id });
    await bench.settled();
    assert.equal(bench.held(7), "2.9*1 3.9*1");
    assert.deepEqual(bench.told.splice(0), ["0 of [7] missing by ip[5], 1: 0"]);
    bench.groups.onDrift = ({ kind, harmed }) => {
      bench.told.push(`${kind} ${harmed}`);
      return 0;
    };
    const ids = [...bench.kernel.objects.keys()];
    for (const id of ids) bench.kernel.drop(id);
    for (const id of ids) bench.readings.onChange({ ...by, action: "delete", id });
    await bench.settled();
    assert.equal(bench.held(7), "2.9*1 3.9*1");
    assert.deepEqual(bench.kernel.routes.get(1), { object: bench.id(7) });
    const object = bench.kernel.objects.get(bench.id(7));
    assert.ok(object?.kind === NexthopObjectKind.GROUP);
    object.members[0]!.weight = 99;
    bench.told.length = 0;
    bench.readings.onChange({ ...by, action: "new", id: bench.id(7) });
    await bench.settled();
    assert.equal(bench.held(7), "2.9*1 3.9*1");
    assert.equal(bench.readings.onChange({ ...by, action: "delete", id: 12 }), false);
    assert.deepEqual(bench.told, ["changed 7"]);
    await bench.close();
  });

  it("tells what was taken away and by whom, its routes too", async () => {
    const bench = await NexthopBench.start();
    bench.watch();
    await bench.groups.set(7, group([nexthop(2, 9), nexthop(3, 9)]));
    const route = bench.route(1, 7) + 1;
    await bench.settled();
    const ids = [...bench.kernel.objects.keys()];
    // As `ip nexthop flush` is heard: the members, the shrunk group, and that it is gone.
    for (const id of ids) bench.kernel.drop(id);
    const by = { kind: "nexthop", protocol: 210, portId: 5, by: "ip[5]" } as const;
    const actions = [
      ["delete", 0],
      ["new", 2],
      ["delete", 1],
      ["delete", 2],
    ] as const;
    for (const [action, index] of actions) bench.readings.onChange({ ...by, action, id: ids[index]! });
    await bench.settled();
    assert.deepEqual(bench.told.splice(0), [
      "0 of [7] missing by ip[5], 1: 0",
      "2 of [7] changed by ip[5], 1: 0",
      "1 of [7] missing by ip[5], 1: 0",
      `route ${route} missing by ip[5]: 0`,
    ]);
    assert.deepEqual(bench.kernel.routes.get(1), { object: bench.id(7) });
    for (const link of [2, 3]) bench.setLink(link, false);
    await bench.settled();
    assert.deepEqual(bench.told.splice(0), [
      "0 of [7] missing by the kernel with link v2, 1: 0",
      "1 of [7] missing by the kernel with link v3, 1: 0",
      `route ${route} missing by the kernel with link v3: 0`,
    ]);
    assert.deepEqual(bench.drift.nexthopCounts, { missing: 4, changed: 1, unexpected: 0 });
    assert.equal(bench.drift.counts.missing, 2);
    await bench.close();
  });

  it("leaves a group alone that somebody fights for, unless its client asks for it", async () => {
    const bench = await NexthopBench.start();
    bench.watch();
    await bench.groups.set(7, group([nexthop(2, 9)]));
    bench.route(1, 7);
    await bench.settled();
    const takeAway = (): void => {
      const id = bench.id(7);
      bench.kernel.drop(id);
      bench.readings.onChange({ kind: "nexthop", action: "delete", id, protocol: 210, portId: 5, by: "ip[5]" });
    };
    takeAway();
    await bench.settled();
    assert.equal(bench.held(7), "2.9*1", "the first time it comes back at once");
    takeAway();
    await bench.settled();
    assert.equal(bench.held(7), "none");
    assert.equal(bench.state(1), RouteState.WAITING);
    assert.match(bench.told.find((line) => line.includes(", 2:")) ?? "", /missing by ip\[5\], 2: 250$/);
    await until("it comes back", () => bench.held(7) === "2.9*1");
    await bench.settled();
    assert.deepEqual(bench.kernel.routes.get(1), { object: bench.id(7) });
    takeAway();
    await bench.settled();
    assert.equal(bench.held(7), "none");
    await bench.groups.set(7, group([nexthop(2, 9)]));
    assert.equal(bench.held(7), "2.9*1");
    await bench.close();
  });

  it("never takes a number that somebody else has", async () => {
    const bench = await NexthopBench.start();
    for (let id = NEXTHOP_ID_MIN; id < NEXTHOP_ID_MIN + 5; id++) bench.kernel.foreign.add(id);
    const made = await bench.groups.set(7, group([nexthop(2, 9)]));
    assert.deepEqual([made.failure, bench.held(7)], [null, "2.9*1"]);
    await bench.close();
  });

  it("is not deleted while a route is on it, and leaves nothing behind", async () => {
    const bench = await NexthopBench.start();
    await bench.groups.set(7, group([nexthop(2, 9)]));
    bench.route(1, 7);
    await bench.settled();
    assert.deepEqual(await bench.groups.delete(7), { count: 1, example: "10.0.0.1/32" });
    bench.harness.admit(numberedUpdate(1, UpdateOp.DELETE));
    bench.harness.rib.flush();
    await bench.harness.settled();
    // A route that comes while others are looked at.
    const deletion = bench.groups.delete(7);
    bench.route(1, 7);
    assert.equal((await deletion).count, 1);
    bench.harness.admit(numberedUpdate(1, UpdateOp.DELETE));
    await bench.settled();
    assert.deepEqual(await bench.groups.delete(7), { count: 0, example: "" });
    assert.equal(bench.groups.get(7), undefined);
    await until("its objects are gone", () => bench.kernel.objects.size === 0 && bench.groups.objects.count === 0);
    bench.harness.assertNoLeaks();
    await bench.close();
  });

  for (const mode of ["on", "off"] as const) {
    it(`keeps no attributes that routes have no longer, with objects ${mode}`, async () => {
      const bench = await NexthopBench.start(mode);
      await bench.groups.set(7, group([nexthop(2, 9)]));
      const { attrs } = bench.harness.rib;
      for (let distance = 0; distance < 256; distance++) {
        bench.harness.admit({ ...numberedUpdate(1), nexthopGroup: 7, nexthops: [], distance });
        await bench.settled();
      }
      assert.ok(attrs.count < 200, `${attrs.count} of 512`);
      bench.harness.admit(numberedUpdate(1, UpdateOp.DELETE));
      await bench.settled();
      assert.equal((await bench.groups.delete(7)).count, 0);
      await until("all is gone", () => attrs.count === 0);
      await bench.close();
    });
  }

  it("gives each route the nexthops themselves where objects are switched off", async () => {
    const bench = await NexthopBench.start("off");
    bench.route(1, 7);
    await bench.settled();
    await bench.groups.set(7, group([nexthop(2, 9), nexthop(3, 9, 4)]));
    bench.route(2, 7);
    await bench.settled();
    assert.deepEqual([...bench.kernel.routes.values()], [{ inline: "9*1 9*4" }, { inline: "9*1 9*4" }]);
    await bench.groups.set(7, group([nexthop(2, 8)]));
    await bench.settled();
    assert.deepEqual([...bench.kernel.routes.values()], [{ inline: "8*1" }, { inline: "8*1" }]);
    assert.equal(bench.kernel.objects.size, 0);
    await bench.close();
  });

  it("sweeps objects of an earlier life also where objects are switched off", async () => {
    const bench = await NexthopBench.start("off");
    bench.kernel.objects.set(NEXTHOP_ID_MIN, { kind: NexthopObjectKind.SINGLE, nexthop: nexthop(2, 9) });
    bench.readings.adopt(bench.kernel.reading());
    bench.readings.sweep();
    await bench.settled();
    assert.equal(bench.kernel.objects.size, 0);
    await bench.close();
  });

  it("does the same on a kernel without objects, which it finds out by itself", async () => {
    const bench = await NexthopBench.start();
    bench.kernel.hasObjects = false;
    bench.route(1, 7);
    await bench.groups.set(7, group([nexthop(2, 9), nexthop(3, 9, 4)]));
    await bench.settled();
    assert.deepEqual(bench.kernel.routes.get(1), { inline: "9*1 9*4" });
    assert.deepEqual([bench.groups.isInline, bench.kernel.refused], [true, 1]);
    await bench.close();
  });

  it("is withdrawn when its routes are", async () => {
    const bench = await NexthopBench.start();
    await bench.groups.set(7, group([nexthop(2, 9)]));
    await bench.groups.set(8, group([nexthop(3, 9)]));
    bench.route(1, 7);
    await bench.settled();
    await bench.groups.withdraw();
    assert.equal(bench.kernel.objects.size, 2);
    assert.deepEqual(bench.kernel.dropped, 0);
    bench.harness.admit(numberedUpdate(1, UpdateOp.DELETE));
    await bench.settled();
    await until("the rest is gone", () => bench.kernel.objects.size === 0);
    await bench.close();
  });

  it("takes over what an earlier life has left, and sweeps what nobody claims", async () => {
    const bench = new NexthopBench();
    const id = NEXTHOP_ID_MIN;
    const single = (host: number): NexthopObject => ({ kind: NexthopObjectKind.SINGLE, nexthop: nexthop(2, host) });
    bench.kernel.objects
      .set(id, single(9))
      .set(id + 1, single(8))
      .set(id + 4, single(7));
    const members = [
      { id, weight: 1 },
      { id: id + 1, weight: 3 },
    ];
    bench.kernel.objects.set(id + 2, { kind: NexthopObjectKind.GROUP, members });
    bench.kernel.objects.set(id + 3, { kind: NexthopObjectKind.GROUP, members: [{ id: id + 1, weight: 1 }] });
    bench.readings.adopt(bench.kernel.reading());
    await bench.harness.start();
    await bench.groups.set(7, group([nexthop(2, 8, 3), nexthop(2, 9)]));
    assert.equal(bench.id(7), id + 2);
    assert.deepEqual(bench.kernel.messages, { single: 0, group: 0, deleteObject: 0, route: 0, deleteRoute: 0 });
    await bench.groups.set(9, group([nexthop(3, 9)]));
    assert.ok(bench.id(9) > id + 4);
    bench.readings.sweep();
    await bench.settled();
    assert.deepEqual([...bench.kernel.objects.keys()].sort(), [id, id + 1, id + 2, id + 5, id + 6]);
    await bench.close();
  });

  it("compares with a reading of the kernel, but not what was written since it began", async () => {
    const bench = await NexthopBench.start();
    bench.watch();
    await bench.groups.set(7, group([nexthop(2, 9), nexthop(3, 9)]));
    bench.route(1, 7);
    await bench.settled();
    bench.readings.begin();
    assert.equal(bench.readings.end(bench.kernel.reading()), 0);
    bench.readings.begin();
    const stale = bench.kernel.reading();
    await bench.groups.set(7, group([nexthop(2, 9, 4)]));
    await bench.settled();
    assert.equal(bench.readings.end(stale), 0);
    const old = bench.id(7);
    bench.kernel.drop(old);
    bench.kernel.objects.set(NEXTHOP_ID_MIN + 99, { kind: NexthopObjectKind.SINGLE, nexthop: nexthop(4, 4) });
    bench.readings.begin();
    assert.equal(bench.readings.end(bench.kernel.reading()), 2);
    assert.deepEqual(bench.told.splice(0), [
      `${old - NEXTHOP_ID_MIN} of [7] missing by , 1: 0`,
      "99 of [] unexpected by , 1: 0",
    ]);
    await bench.settled();
    assert.equal(bench.held(7), "2.9*4");
    assert.deepEqual(bench.kernel.routes.get(1), { object: bench.id(7) });
    assert.equal(bench.kernel.objects.has(NEXTHOP_ID_MIN + 99), false);
    await bench.close();
  });

  it("asks for a reading where the kernel may hold what is given up, and removes what that shows", async () => {
    const bench = await NexthopBench.start();
    let asked = 0;
    bench.groups.onUnsure = () => {
      asked += 1;
    };
    await bench.groups.set(7, group([nexthop(2, 9)]));
    assert.equal(asked, 0);
    // The single, and the group under one number after another.
    for (const members of [[nexthop(3, 9)], [nexthop(2, 9), nexthop(2, 10)]]) {
      bench.kernel.losesAnswers = true;
      await bench.groups.set(8, group(members));
      await bench.settled();
      bench.kernel.losesAnswers = false;
      await bench.groups.delete(8);
      await bench.settled();
    }
    assert.ok(asked > 0);
    bench.readings.begin();
    bench.readings.end(bench.kernel.reading());
    await bench.settled();
    assert.deepEqual(bench.held(7), "2.9*1");
    assert.equal(bench.kernel.objects.size, 2);
    await bench.close();
  });
});
