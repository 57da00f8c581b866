import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { NEXTHOP_ID_MIN, SHARED_ROUTES_MIN } from "../../../core/constants.ts";
import { encodeRecord } from "../../../core/context/route_record.ts";
import { type Nexthop, type RouteUpdate, UpdateOp } from "../../../core/model/route.ts";
import { takeAsIs } from "../../../core/rib/as_wanted.ts";
import { assertNoLeaks } from "../../support/harness.ts";
import { group, NexthopBench, nexthop } from "../../support/nexthop_bench.ts";
import { numberedUpdate } from "../../support/updates.ts";
import { until } from "../../support/wait.ts";

const MANY = SHARED_ROUTES_MIN + 50;

/** As the update is for clients: the object is filled anew at each call. */
function over(number: number, nexthops: Nexthop[], more: Partial<RouteUpdate> = {}): RouteUpdate {
  return { ...numberedUpdate(number), nexthops, ...more };
}

/** Installs routes by number, some at a time, so that an object can come in between. */
async function load(bench: NexthopBench, from: number, to: number, nexthops: Nexthop[], more?: Partial<RouteUpdate>) {
  for (let number = from; number < to; number++) {
    bench.harness.admit(over(number, nexthops, more));
    if (number % 16 === 0) await bench.settled();
  }
  await bench.settled();
}

function objectOf(bench: NexthopBench, number: number): number {
  const route = bench.kernel.routes.get(number);
  assert.ok(route !== undefined, `the kernel has route ${number}`);
  return "object" in route ? route.object : 0;
}

describe("shared nexthops", () => {
  it("are inline for a few routes, and an object for those that come when there are many", async () => {
    const bench = await NexthopBench.start();
    await load(bench, 0, SHARED_ROUTES_MIN / 2, [nexthop(2, 9)]);
    assert.deepEqual([bench.kernel.objects.size, bench.groups.shared.counts()], [0, { objects: 0, sets: 0 }]);
    await load(bench, SHARED_ROUTES_MIN / 2, MANY, [nexthop(2, 9)]);
    const id = objectOf(bench, MANY - 1);
    assert.ok(id >= NEXTHOP_ID_MIN);
    assert.equal(bench.describe(bench.kernel.objects.get(id)), "2.9*1");
    assert.equal(objectOf(bench, 0), 0);
    assert.deepEqual(bench.groups.shared.counts(), { objects: 1, sets: 1 });
    // To clients there is no group.
    assert.deepEqual([bench.groups.count, [...bench.groups.list()]], [0, []]);
    assert.ok(bench.isProgrammed(MANY - 1));
    await bench.close();
  });

  it("serve routes that differ in what the kernel is not told, in one object", async () => {
    const bench = await NexthopBench.start();
    await load(bench, 0, MANY, [nexthop(2, 9), nexthop(3, 9, 5)]);
    await load(bench, MANY, 2 * MANY, [nexthop(3, 9, 5), nexthop(2, 9)], { tag: 7 });
    assert.equal(objectOf(bench, 2 * MANY - 1), objectOf(bench, MANY - 1));
    assert.equal(bench.kernel.messages.group, 1);
    assert.equal(bench.describe(bench.kernel.objects.get(objectOf(bench, MANY - 1))), "2.9*1 3.9*5");
    await bench.close();
  });

  it("stay inline where an object would not come to the same", async () => {
    const bench = await NexthopBench.start();
    const direct = { ...nexthop(2, 9), viaFamily: 0 as const };
    const cases: [string, Nexthop[], Partial<RouteUpdate>][] = [
      ["without a gateway", [direct], {}],
      ["without an interface", [nexthop(0, 9)], {}],
      ["with an MTU", [nexthop(2, 9)], { mtu: 1400 }],
      ["the same nexthop twice", [nexthop(2, 9), nexthop(2, 9)], {}],
      ["a blackhole", [], { type: 6 }],
    ];
    for (const [index, [what, nexthops, more]] of cases.entries()) {
      await load(bench, index * 1000, index * 1000 + MANY, nexthops, more);
      assert.equal(objectOf(bench, index * 1000 + MANY - 1), 0, what);
    }
    assert.equal(bench.kernel.objects.size, 0);
    await bench.close();
  });

  it("stay inline where objects are switched off, or the kernel has none", async () => {
    for (const [mode, hasObjects] of [["off", true] as const, ["auto", false] as const]) {
      const bench = new NexthopBench(mode);
      bench.kernel.hasObjects = hasObjects;
      await bench.harness.start();
      await load(bench, 0, MANY, [nexthop(2, 9)]);
      assert.equal(objectOf(bench, MANY - 1), 0);
      await bench.close();
    }
  });

  it("lose their object when the last route has left, and not before", async () => {
    const bench = await NexthopBench.start();
    await load(bench, 0, MANY, [nexthop(2, 9)]);
    const id = objectOf(bench, MANY - 1);
    for (let number = 0; number < MANY - 1; number++) bench.harness.remove(number);
    await bench.settled();
    assert.ok(bench.kernel.objects.has(id));
    bench.harness.remove(MANY - 1);
    await bench.settled();
    await until("the objects are gone", () => bench.kernel.objects.size === 0);
    assert.deepEqual([bench.kernel.dropped, bench.kernel.routes.size], [0, 0]);
    assert.deepEqual(bench.groups.shared.counts(), { objects: 0, sets: 0 });
    await until("nothing is held any more", () => bench.harness.rib.attrs.count === 0);
    assertNoLeaks(bench.harness.rib);
    await bench.close();
  });

  it("keep an object that is needed again while it lingers", async () => {
    const bench = await NexthopBench.start();
    await load(bench, 0, MANY, [nexthop(2, 9)]);
    const id = objectOf(bench, MANY - 1);
    for (let number = 0; number < MANY; number++) bench.harness.remove(number);
    await bench.settled();
    bench.harness.admit(over(1, [nexthop(2, 9)]));
    await bench.settled();
    assert.equal(objectOf(bench, 1), id);
    // Of two sets the one that is not needed goes, and this one stays.
    await load(bench, 1000, 1000 + MANY, [nexthop(3, 9)]);
    for (let number = 1000; number < 1000 + MANY; number++) bench.harness.remove(number);
    await until("the other one has lingered", () => bench.groups.shared.counts().sets === 1);
    await bench.settled();
    assert.deepEqual([objectOf(bench, 1), bench.kernel.dropped], [id, 0]);
    await bench.close();
  });

  it("go inline while a link is down, and by a fresh object when it is back", async () => {
    const bench = await NexthopBench.start();
    await load(bench, 0, MANY, [nexthop(2, 9)]);
    const id = objectOf(bench, MANY - 1);
    bench.setLink(2, false);
    await bench.settled();
    assert.ok(bench.kernel.dropped > 0);
    await load(bench, MANY, MANY + 2, [nexthop(2, 9)]);
    assert.equal(objectOf(bench, MANY), 0);
    bench.setLink(2, true);
    await bench.settled();
    await load(bench, MANY + 2, MANY + 4, [nexthop(2, 9)]);
    assert.notEqual(objectOf(bench, MANY + 2), 0);
    assert.notEqual(objectOf(bench, MANY + 2), id);
    await bench.close();
  });

  it("go inline while the object is without one of them", async () => {
    const bench = await NexthopBench.start();
    await load(bench, 0, MANY, [nexthop(2, 9), nexthop(3, 9)]);
    const id = objectOf(bench, MANY - 1);
    bench.setLink(3, false);
    await bench.settled();
    await load(bench, MANY, MANY + 1, [nexthop(2, 9), nexthop(3, 9)]);
    assert.equal(objectOf(bench, MANY), 0);
    bench.setLink(3, true);
    await bench.settled();
    await load(bench, MANY + 1, MANY + 2, [nexthop(2, 9), nexthop(3, 9)]);
    assert.deepEqual([objectOf(bench, MANY + 1), bench.kernel.dropped], [id, 0]);
    await bench.close();
  });

  it("are what a reading of their object comes to", async () => {
    const bench = await NexthopBench.start();
    const { rib } = bench.harness;
    await load(bench, 0, MANY, [nexthop(2, 9)]);
    const wanted = rib.attrs.intern(over(0, [nexthop(2, 9)]));
    const held = rib.attrs.intern(over(0, [], { nexthopGroup: objectOf(bench, MANY - 1) }));
    const other = rib.attrs.intern(over(0, [nexthop(3, 9)]));
    assert.deepEqual([rib.compare.isSame(wanted, held), rib.compare.isSame(other, held)], [true, false]);
    // The object of a client's group stands for whatever the group is.
    await bench.groups.set(7, group([nexthop(3, 9)]));
    const byGroup = rib.attrs.intern(over(0, [], { nexthopGroup: bench.id(7) }));
    assert.equal(rib.compare.isSame(other, byGroup), false);
    for (const attrs of [wanted, held, other, byGroup]) rib.attrs.release(attrs);
    await bench.close();
  });

  it("take an object over that was found at the start, without a write", async () => {
    const bench = await NexthopBench.start();
    const { rib, owner } = bench.harness;
    const [single, shared] = [NEXTHOP_ID_MIN + 1, NEXTHOP_ID_MIN + 2];
    const members = [{ id: single, weight: 1 }];
    bench.readings.adopt([
      { id: single, isOurs: true, object: { kind: 0x80, nexthop: nexthop(2, 9) } },
      { id: shared, isOurs: true, object: { kind: 0x81, members } },
    ]);
    bench.kernel.objects.set(single, { kind: 0x80, nexthop: nexthop(2, 9) });
    bench.kernel.objects.set(shared, { kind: 0x81, members });
    const bytes = new Uint8Array(1024);
    for (let number = 0; number < MANY; number++) {
      const view = new DataView(bytes.buffer);
      encodeRecord(view, bytes, 0, over(number, [], { nexthopGroup: shared }), 0);
      assert.ok(rib.adopt(bytes, view, 0));
      bench.kernel.routes.set(number, { object: shared });
    }
    for (let number = 0; number < MANY - 1; number++) {
      assert.ok(takeAsIs(rib, over(number, [nexthop(2, 9)]), owner), `route ${number} is as wanted`);
    }
    await bench.settled();
    assert.deepEqual(
      [bench.kernel.messages.route, bench.kernel.messages.group, bench.kernel.messages.single],
      [0, 0, 0],
    );
    assert.deepEqual(bench.groups.shared.counts(), { objects: 1, sets: 1 });
    // The last one stays nobody's: the object is kept for it when the others have left, whoever needs it.
    bench.readings.sweep();
    for (let number = 0; number < MANY - 1; number++) bench.harness.remove(number);
    await bench.settled();
    await until("nobody else is on it", () => bench.groups.shared.counts().sets === 0);
    await bench.settled();
    assert.ok(bench.kernel.objects.has(shared));
    assert.equal(objectOf(bench, MANY - 1), shared);
    bench.harness.admit({ ...numberedUpdate(MANY - 1, UpdateOp.DELETE) });
    await bench.settled();
    await until("the objects are gone", () => bench.kernel.objects.size === 0);
    assert.equal(bench.kernel.dropped, 0);
    await bench.close();
  });
});
