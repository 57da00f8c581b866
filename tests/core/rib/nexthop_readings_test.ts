/** What a reading of the kernel, or what was heard of it, says of nexthop objects and of the routes on them. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { NEXTHOP_ID_MIN } from "../../../core/constants.ts";
import { NexthopObjectKind } from "../../../core/context/nexthop_object.ts";
import { ERRNO } from "../../../ffi/libc/errno.ts";
import { group, NexthopBench, nexthop, RESILIENT } from "../../support/nexthop_bench.ts";
import { numberedUpdate } from "../../support/updates.ts";
import { until } from "../../support/wait.ts";

describe("readings of nexthop objects", () => {
  it("takes back objects that somebody else has put his protocol on, and loses no route", async () => {
    const bench = await NexthopBench.start();
    bench.watch();
    await bench.groups.set(7, group([nexthop(2, 9), nexthop(3, 9)]));
    await bench.groups.set(8, group([nexthop(2, 9)], { resilient: RESILIENT }));
    bench.route(1, 7);
    await bench.settled();
    const ids = [bench.id(7), bench.id(8)];
    const { messages, ofOthers, objects } = bench.kernel;
    const routes = messages.route;
    const object = objects.get(ids[0]!);
    assert.ok(object?.kind === NexthopObjectKind.GROUP);
    objects.set(ids[0]!, { ...object, members: object.members.slice(1) });
    for (const id of ids) ofOthers.add(id);
    bench.readings.begin();
    assert.equal(bench.readings.end(bench.kernel.reading()), 2);
    await bench.settled();
    assert.deepEqual(bench.told, [
      `${ids[0]! - NEXTHOP_ID_MIN} of [7] changed by , 1: 0`,
      `${ids[1]! - NEXTHOP_ID_MIN} of [8] changed by , 1: 0`,
    ]);
    assert.deepEqual([bench.id(7), bench.id(8)], ids);
    assert.deepEqual([bench.held(7), bench.held(8), ofOthers.size], ["2.9*1 3.9*1", "2.9*1 buckets 8", 0]);
    assert.equal(messages.route, routes, "the route is left as it is");
    await bench.close();
  });

  it("asks for a reading where the kernel did not say whose an object of its number is, and removes what is ours", async () => {
    const bench = await NexthopBench.start();
    const { kernel } = bench;
    let asked = 0;
    bench.groups.onUnsure = () => {
      asked += 1;
    };
    for (const [index, refused] of [NexthopObjectKind.SINGLE, NexthopObjectKind.GROUP].entries()) {
      kernel.refuse = (object, id) => {
        if (object.kind !== refused) return null;
        kernel.refuse = () => null;
        kernel.objects.set(id, object);
        return [ERRNO.EEXIST, "it is there already, and of somebody else"];
      };
      await bench.groups.set(7 + index, group([nexthop(2, 9 + index)]));
      await bench.settled();
      assert.equal(asked, 1 + index);
    }
    bench.readings.begin();
    bench.readings.end(kernel.reading());
    await bench.settled();
    assert.deepEqual([bench.held(7), bench.held(8), kernel.objects.size], ["2.9*1", "2.10*1", 4]);
    await bench.close();
  });

  it("believes no deletion that may be older than what is there now", async () => {
    const bench = await NexthopBench.start();
    bench.watch();
    await bench.groups.set(7, group([nexthop(2, 9)]));
    bench.route(1, 7);
    await bench.settled();
    for (const up of [false, true]) bench.setLink(2, up);
    await bench.settled();
    bench.told.length = 0;
    const { objects, messages } = bench.kernel;
    const before = [bench.id(7), objects.size, messages.route];
    const single = bench.singleId();
    const change = { kind: "nexthop", action: "delete", id: single, protocol: 210, portId: 5, by: "ip[5]" } as const;
    bench.readings.onChange(change);
    await bench.settled();
    assert.deepEqual(bench.told, [`${single - NEXTHOP_ID_MIN} of [7] missing by ip[5], 1: 0`]);
    assert.deepEqual([bench.id(7), objects.size, messages.route], before);
    assert.ok(bench.isProgrammed(1));
    await bench.close();
  });

  it("lets go of a single that a group has which was found while it was deleted", async () => {
    const bench = await NexthopBench.start();
    await bench.groups.set(7, group([nexthop(2, 9)]));
    await bench.settled();
    const { kernel } = bench;
    const single = bench.singleId();
    let wasFound = false;
    kernel.afterWrite = (object) => {
      if (object !== null || wasFound || kernel.objects.has(single)) return;
      wasFound = true;
      // Somebody had made a group of it under our protocol, and the reading is from before the deletion.
      const reading = [...kernel.reading(), ...strange];
      bench.readings.begin();
      bench.readings.end(reading);
    };
    const members = [{ id: single, weight: 1 }];
    const strange = [{ id: NEXTHOP_ID_MIN + 9, isOurs: true, object: { kind: NexthopObjectKind.GROUP, members } }];
    await bench.groups.delete(7);
    await bench.settled();
    assert.ok(wasFound);
    assert.deepEqual([[...kernel.objects], [...bench.groups.objects.singles()]], [[], []]);
    await bench.groups.set(8, group([nexthop(2, 9)]));
    assert.equal(bench.held(8), "2.9*1");
    await bench.close();
  });

  it("gives no group the number of one that was taken over and has vanished", async () => {
    const bench = await NexthopBench.start();
    const [single, taken] = [NEXTHOP_ID_MIN, NEXTHOP_ID_MIN + 3];
    bench.kernel.objects
      .set(single, { kind: NexthopObjectKind.SINGLE, nexthop: nexthop(2, 9) })
      .set(taken, { kind: NexthopObjectKind.GROUP, members: [{ id: single, weight: 1 }] });
    bench.readings.adopt(bench.kernel.reading());
    await bench.groups.set(7, group([nexthop(2, 9)]));
    assert.equal(bench.id(7), taken);
    bench.kernel.drop(taken);
    bench.readings.onChange({ kind: "nexthop", action: "delete", id: taken, protocol: 210, portId: 5, by: "ip[5]" });
    for (const number of [8, 9, 10, 11]) await bench.groups.set(number, group([nexthop(3, number)]));
    await bench.settled();
    assert.equal(bench.held(7), "2.9*1");
    assert.equal(bench.kernel.objects.has(taken), false);
    await bench.close();
  });

  it("leaves an object alone that somebody else has under a number of ours", async () => {
    const bench = await NexthopBench.start();
    bench.kernel.objects.set(NEXTHOP_ID_MIN + 50, { kind: NexthopObjectKind.SINGLE, nexthop: nexthop(2, 9) });
    bench.kernel.ofOthers.add(NEXTHOP_ID_MIN + 50);
    bench.readings.adopt(bench.kernel.reading());
    bench.readings.begin();
    assert.equal(bench.readings.end(bench.kernel.reading()), 0);
    bench.readings.sweep();
    await bench.settled();
    assert.deepEqual([...bench.kernel.objects.keys()], [NEXTHOP_ID_MIN + 50]);
    await bench.close();
  });

  it("tells no route missing that is just being written to something else", async () => {
    const bench = await NexthopBench.start();
    bench.watch();
    await bench.groups.set(7, group([nexthop(2, 9)]));
    bench.route(1, 7);
    await bench.settled();
    bench.kernel.holdsRoutes = true;
    bench.harness.admit(numberedUpdate(1));
    bench.harness.rib.flush();
    await until("it is written", () => bench.kernel.held === 1);
    const { route } = bench.kernel.messages;
    const id = bench.id(7);
    bench.kernel.drop(id);
    bench.readings.onChange({ kind: "nexthop", action: "delete", id, protocol: 210, portId: 5, by: "ip[5]" });
    await bench.groups.idle();
    await bench.groups.routes.idle();
    bench.kernel.release();
    await bench.settled();
    assert.deepEqual(bench.told, [`${id - NEXTHOP_ID_MIN} of [7] missing by ip[5], 1: 0`]);
    assert.deepEqual([bench.isProgrammed(1), bench.kernel.messages.route], [true, route]);
    await bench.close();
  });

  it("leaves a route to the next reading that somebody has changed before its object went", async () => {
    const bench = await NexthopBench.start();
    bench.watch();
    await bench.groups.set(7, group([nexthop(2, 9)]));
    const changed = bench.route(1, 7) + 1;
    const other = bench.route(2, 7) + 1;
    await bench.settled();
    bench.groups.routes.isForReading = (_family, route) => route === changed;
    bench.kernel.routes.set(1, { inline: "77*1" });
    const id = bench.id(7);
    bench.kernel.drop(id);
    bench.readings.onChange({ kind: "nexthop", action: "delete", id, protocol: 210, portId: 5, by: "ip[5]" });
    await bench.groups.routes.idle();
    assert.deepEqual(bench.told.slice(1), [`route ${other} missing by ip[5]: 0`]);
    await bench.settled();
    assert.deepEqual(bench.kernel.routes.get(2), { object: bench.id(7) });
    await bench.close();
  });

  it("asks the kernel whether objects are there whose link was down for a moment", async () => {
    const bench = await NexthopBench.start();
    bench.watch();
    await bench.groups.set(7, group([nexthop(2, 9), nexthop(3, 9)]));
    bench.route(1, 7);
    await bench.settled();
    const id = bench.id(7);
    const { route } = bench.kernel.messages;
    bench.readings.doubtOn(2);
    await bench.settled();
    assert.deepEqual([bench.told, bench.id(7), bench.kernel.messages.route], [[], id, route]);
    bench.kernel.setLink(2, false);
    bench.kernel.setLink(2, true);
    assert.equal(bench.held(7), "3.9*1");
    bench.readings.doubtOn(2);
    await bench.settled();
    assert.deepEqual([bench.held(7), bench.id(7)], ["2.9*1 3.9*1", id]);
    for (const isUp of [false, true]) for (const link of [2, 3]) bench.kernel.setLink(link, isUp);
    assert.equal(bench.kernel.routes.size, 0);
    for (const link of [2, 3]) bench.readings.doubtOn(link);
    await bench.settled();
    assert.equal(bench.held(7), "2.9*1 3.9*1");
    assert.deepEqual(bench.kernel.routes.get(1), { object: bench.id(7) });
    await bench.close();
  });

  it("asks for a reading where it gives up an object that was there before a write of it was refused", async () => {
    const bench = await NexthopBench.start();
    let asked = 0;
    bench.groups.onUnsure = () => {
      asked += 1;
    };
    await bench.groups.set(7, group([nexthop(2, 9)]));
    bench.kernel.refuse = (object) => {
      const isMeant = object.kind === NexthopObjectKind.SINGLE && object.nexthop.ifindex === 2;
      return isMeant ? [ERRNO.ENOMEM, ""] : null;
    };
    bench.readings.doubtOn(2);
    await bench.settled();
    await bench.groups.set(7, group([nexthop(3, 9)]));
    await bench.settled();
    assert.equal(asked, 1);
    bench.readings.begin();
    bench.readings.end(bench.kernel.reading());
    await bench.settled();
    assert.deepEqual([bench.held(7), bench.kernel.objects.size], ["3.9*1", 2]);
    await bench.close();
  });
});
