import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { type Clock, SYSTEM_CLOCK } from "../../../core/clock.ts";
import { CONTEXT_BYTES } from "../../../core/constants.ts";
import { NO_ATTRS } from "../../../core/context/attrs.ts";
import { ContextOp, U8, U32 } from "../../../core/context/layout.ts";
import { encodeRecord, RECORD_UNREADABLE } from "../../../core/context/route_record.ts";
import type { Provider, ProviderIo } from "../../../core/dataplane/provider.ts";
import { Family, type RouteUpdate } from "../../../core/model/route.ts";
import { Audit, type AuditReport } from "../../../core/rib/audit.ts";
import { Drift, type DriftEvent } from "../../../core/rib/drift.ts";
import { Harness, specOf } from "../../support/harness.ts";
import { createInlineSpawn } from "../../support/spawn.ts";
import { numberedUpdate, updateNumber } from "../../support/updates.ts";
import { until } from "../../support/wait.ts";

const COMPLETE = { ipv4: true, ipv6: true, nexthops: true };

/** A forwarding plane that somebody else may change: gateways by route number. */
class OpenFib implements Provider {
  readonly routes = new Map<number, number>();
  readonly ops: string[] = [];
  /** Refuses routes by this gateway. */
  refused = 0;
  /** Writes are done, and the answers kept back. */
  isSlow = false;
  readonly #kept: number[] = [];

  process(io: ProviderIo): void {
    const { contexts } = io;
    for (let slot = io.dequeue(); slot !== -1; slot = io.dequeue()) {
      const number = updateNumber(contexts.u8, slot * CONTEXT_BYTES + U8.PREFIX);
      const op = contexts.getU8(slot, U8.OP);
      this.ops.push(`${["", "install", "update", "delete"][op]} ${number}`);
      const gateway = op === ContextOp.ROUTE_DELETE ? 0 : io.attrs.nexthop(contexts.getU32(slot, U32.ATTRS), 0).via[3]!;
      if (gateway !== 0 && gateway === this.refused) contexts.fail(slot, 17, "already exists");
      else {
        if (gateway === 0) this.routes.delete(number);
        else this.routes.set(number, gateway);
        contexts.succeed(slot);
      }
      if (this.isSlow) this.#kept.push(slot);
      else io.enqueue(slot);
    }
    if (!this.isSlow) for (const slot of this.#kept.splice(0)) io.enqueue(slot);
  }
}

function recordOf(update: RouteUpdate, flags = 0): ArrayBuffer {
  const bytes = new Uint8Array(4096);
  const end = encodeRecord(new DataView(bytes.buffer), bytes, 0, update, flags);
  return bytes.buffer.slice(0, end);
}

async function auditHarness(clock: Clock = SYSTEM_CLOCK): Promise<{
  harness: Harness;
  drift: Drift;
  fib: OpenFib;
  events: DriftEvent[];
  begin: () => Audit;
  audit: (change?: (audit: Audit) => void) => Promise<AuditReport>;
  settle: () => Promise<void>;
}> {
  const fib = new OpenFib();
  const spawn = createInlineSpawn(() => fib);
  const harness = new Harness({ spawn, providers: [specOf({ name: "kernel" })], clock });
  await harness.start();
  const drift = new Drift();
  const events: DriftEvent[] = [];
  drift.onDrift = (event) => events.push(event);
  const settle = async (): Promise<void> => {
    harness.rib.flush();
    await harness.settled();
    await harness.rib.reconciler.idle();
    await until("nothing is under way", () => harness.dataplane.pool.free === harness.dataplane.pool.size);
  };
  for (let number = 1; number <= 5; number++) harness.install(number, number);
  await settle();
  fib.ops.length = 0;
  const begin = () => new Audit(harness.rib, drift);
  const audit = async (change: (audit: Audit) => void = () => {}): Promise<AuditReport> => {
    const reading = begin();
    for (const [number, gateway] of fib.routes) reading.take(recordOf(numberedUpdate(number, 1, gateway)));
    change(reading);
    const report = await reading.finish(COMPLETE);
    await settle();
    return report;
  };
  return { harness, drift, fib, events, begin, audit, settle };
}

function counts({ routes, missing, changed, unexpected }: AuditReport): number[] {
  return [routes, missing, changed, unexpected];
}

describe("audit", () => {
  it("writes nothing where the kernel holds what was confirmed", async () => {
    const { harness, fib, events, audit } = await auditHarness();
    assert.deepEqual(counts(await audit()), [5, 0, 0, 0]);
    assert.deepEqual([fib.ops, events], [[], []]);
    harness.assertNoLeaks();
    await harness.stop();
  });

  it("keeps what the kernel says of a route for the next ones, and lets go of it at the end", async () => {
    const { harness, fib, begin } = await auditHarness();
    const { attrs } = harness.rib;
    const before = attrs.count;
    const takeAll = (reading: Audit): void => {
      for (const [number, gateway] of fib.routes) {
        // Other than what was confirmed in what the kernel does not keep.
        reading.take(recordOf({ ...numberedUpdate(number, 1, gateway), tag: 9 }));
      }
    };
    const [ended, broken] = [begin(), begin()];
    for (const reading of [ended, broken]) takeAll(reading);
    assert.equal(attrs.count, before + 5, "each of the five is there once, whoever read it");
    ended.restart(Family.IPV4);
    takeAll(ended);
    assert.equal(attrs.count, before + 5);
    assert.deepEqual(counts(await ended.finish(COMPLETE)), [5, 0, 0, 0]);
    broken.abandon();
    assert.equal(attrs.count, before);
    harness.assertNoLeaks();
    await harness.stop();
  });

  it("installs what is missing, replaces what was changed in place, and removes what nobody asked for", async () => {
    const { harness, fib, events, audit } = await auditHarness();
    fib.routes.delete(2);
    fib.routes.set(3, 60);
    fib.routes.set(77, 1);
    assert.deepEqual(counts(await audit()), [5, 1, 1, 1]);
    assert.deepEqual(fib.ops.sort(), ["delete 77", "install 2", "update 3"]);
    assert.deepEqual(events.map(({ kind }) => kind).sort(), ["changed", "missing", "unexpected"]);
    assert.deepEqual(
      [...fib.routes].sort(),
      [1, 2, 3, 4, 5].map((number) => [number, number]),
    );
    assert.deepEqual(counts(await audit()), [5, 0, 0, 0]);
    assert.equal(harness.rib.counts().ipv4, 5);
    harness.assertNoLeaks();
    await harness.stop();
  });

  it("makes a route anew that the kernel holds twice, whichever of them is the right one", async () => {
    const { harness, fib, events, audit } = await auditHarness();
    const report = await audit((reading) => {
      reading.take(recordOf(numberedUpdate(2, 1, 2)));
      reading.take(recordOf(numberedUpdate(3, 1, 9)));
    });
    assert.deepEqual(counts(report), [7, 0, 2, 0]);
    assert.deepEqual(fib.ops, ["install 2", "install 3"]);
    assert.deepEqual(
      events.map(({ kind }) => kind),
      ["changed", "changed"],
    );
    assert.deepEqual(counts(await audit()), [5, 0, 0, 0]);
    harness.assertNoLeaks();
    await harness.stop();
  });

  it("tries a better claim again that was refused while the kernel held its route twice", async () => {
    const { harness, fib, audit, settle } = await auditHarness();
    fib.refused = 9;
    harness.admit({ ...numberedUpdate(3, 1, 3), distance: 20 });
    harness.admit({ ...numberedUpdate(3, 1, 9), distance: 5 }, harness.rib.owners.intern("better")!);
    await settle();
    assert.ok(fib.ops.includes("update 3"), "it was tried");
    assert.equal(fib.routes.get(3), 3, "what the kernel takes");
    fib.refused = 0;
    await audit((reading) => reading.take(recordOf(numberedUpdate(3, 1, 9))));
    assert.equal(fib.routes.get(3), 9);
    harness.assertNoLeaks();
    await harness.stop();
  });

  it("writes a route again that it could not read", async () => {
    const { harness, fib, audit } = await auditHarness();
    fib.routes.delete(4);
    const report = await audit((reading) => reading.take(recordOf(numberedUpdate(4), RECORD_UNREADABLE)));
    assert.deepEqual(counts(report), [5, 0, 1, 0]);
    assert.deepEqual(fib.ops, ["update 4"]);
    harness.assertNoLeaks();
    await harness.stop();
  });

  it("makes a route anew that is there twice, but believes only a complete reading that it is", async () => {
    const { harness, fib, begin, settle } = await auditHarness();
    const readTwice = async (isComplete: boolean): Promise<number[]> => {
      const reading = begin();
      for (const [number, gateway] of fib.routes) reading.take(recordOf(numberedUpdate(number, 1, gateway)));
      reading.take(recordOf(numberedUpdate(3, 1, 3)));
      const report = await reading.finish({ ipv4: isComplete, ipv6: true, nexthops: true });
      await settle();
      return counts(report);
    };
    assert.deepEqual(await readTwice(false), [6, 0, 0, 0]);
    assert.deepEqual(fib.ops, []);
    assert.deepEqual(await readTwice(true), [6, 0, 1, 0]);
    assert.deepEqual(fib.ops, ["install 3"]);
    await harness.stop();
  });

  it("takes nothing for missing that an incomplete reading does not show, and still sees what was changed", async () => {
    const { harness, fib, begin, settle } = await auditHarness();
    fib.routes.set(3, 60);
    const reading = begin();
    reading.take(recordOf(numberedUpdate(3, 1, 60)));
    const report = await reading.finish({ ipv4: false, ipv6: true, nexthops: true });
    await settle();
    assert.deepEqual([...counts(report), report.complete], [1, 0, 1, 0, false]);
    assert.deepEqual(fib.ops, ["update 3"]);
    await harness.stop();
  });

  it("leaves out what is written during the reading", async () => {
    const { harness, fib, events, begin, settle } = await auditHarness();
    const reading = begin();
    for (const number of [1, 2, 3, 4, 5]) reading.take(recordOf(numberedUpdate(number, 1, number)));
    // Read before they changed, or never: what is read of them says nothing.
    harness.install(1, 33);
    harness.remove(2);
    harness.install(6, 6);
    await settle();
    fib.ops.length = 0;
    reading.take(recordOf(numberedUpdate(2, 1, 2)));
    assert.deepEqual(counts(await reading.finish(COMPLETE)), [6, 0, 0, 0]);
    await settle();
    assert.deepEqual([fib.ops, events], [[], []]);
    harness.assertNoLeaks();
    await harness.stop();
  });

  it("forgets what it was told of a family whose reading starts over", async () => {
    const { harness, fib, events, begin, settle } = await auditHarness();
    const reading = begin();
    reading.take(recordOf(numberedUpdate(3, 1, 50)));
    reading.take(recordOf(numberedUpdate(99, 1, 1)));
    reading.restart(Family.IPV4);
    for (const [number, gateway] of fib.routes) reading.take(recordOf(numberedUpdate(number, 1, gateway)));
    assert.deepEqual(counts(await reading.finish(COMPLETE)), [5, 0, 0, 0]);
    await settle();
    assert.deepEqual([fib.ops, events], [[], []]);
    harness.assertNoLeaks();
    await harness.stop();
  });

  it("gives back all that it holds when it is broken off", async () => {
    const { harness, begin } = await auditHarness();
    const reading = begin();
    reading.take(recordOf(numberedUpdate(3, 1, 50)));
    reading.abandon();
    assert.equal(harness.rib.touched.size, 0);
    harness.assertNoLeaks();
    await harness.stop();
  });

  it("restores what the kernel has lost of a route that is nobody's, until it is swept", async () => {
    const { harness, fib, audit, settle } = await auditHarness();
    const record = recordOf(numberedUpdate(50, 1, 9));
    assert.ok(harness.rib.adopt(new Uint8Array(record), new DataView(record), 0));
    assert.deepEqual(counts(await audit()), [5, 1, 0, 0]);
    assert.equal(fib.routes.get(50), 9);
    const store = harness.rib.store(Family.IPV4);
    const route = Array.from({ length: store.last }, (_, index) => index + 1).find(
      (number) => store.owner(number) === 0,
    )!;
    harness.rib.sweep(Family.IPV4, route);
    await settle();
    assert.equal(fib.routes.get(50), undefined);
    assert.equal(store.isUsed(route) && store.desired(route) !== NO_ATTRS, false);
    harness.assertNoLeaks();
    await harness.stop();
  });

  it("asks for another reading where a route is there twice that was written to meanwhile", async () => {
    const { harness, fib, begin, settle } = await auditHarness();
    const reading = begin();
    for (const [number, gateway] of fib.routes) reading.take(recordOf(numberedUpdate(number, 1, gateway)));
    harness.install(3, 9);
    await settle();
    reading.take(recordOf(numberedUpdate(3, 1, 77)));
    const report = await reading.finish(COMPLETE);
    assert.deepEqual([counts(report), report.complete], [[6, 0, 0, 0], false]);
    await harness.stop();
  });

  it("asks for another reading where a route is there twice that is written to before it is judged", async () => {
    const { harness, fib, begin, settle } = await auditHarness();
    const reading = begin();
    for (const [number, gateway] of fib.routes) reading.take(recordOf(numberedUpdate(number, 1, gateway)));
    reading.take(recordOf(numberedUpdate(3, 1, 77)));
    harness.install(3, 9);
    await settle();
    const report = await reading.finish(COMPLETE);
    assert.deepEqual([counts(report), report.complete], [[6, 0, 0, 0], false]);
    await harness.stop();
  });

  it("leaves a route that is to go and is there twice to another reading, when the first of them is gone", async () => {
    const { harness, fib, begin, settle } = await auditHarness();
    const { rib } = harness;
    const reading = begin();
    for (const gateway of [8, 9]) reading.take(recordOf(numberedUpdate(8, 1, gateway)));
    for (const [number, gateway] of fib.routes) reading.take(recordOf(numberedUpdate(number, 1, gateway)));
    assert.equal((await reading.finish(COMPLETE)).complete, false);
    // It is nobody's, and the dataplane has not come to its deletion.
    const second = begin();
    for (const gateway of [8, 9]) second.take(recordOf(numberedUpdate(8, 1, gateway)));
    for (const [number, gateway] of fib.routes) second.take(recordOf(numberedUpdate(number, 1, gateway)));
    const report = await second.finish(COMPLETE);
    assert.deepEqual([counts(report), report.complete], [[7, 0, 0, 0], false]);
    await settle();
    assert.deepEqual(fib.ops, ["delete 8"]);
    assert.equal(rib.counts().ipv4, 5);
    await harness.stop();
  });

  it("asks for another reading where the kernel may have dropped a route that was refused another meanwhile", async () => {
    const { harness, drift, fib, begin, settle } = await auditHarness();
    for (const silent of ["link v0", ""]) {
      if (silent !== "") drift.hearSilent(silent);
      drift.beginReading();
      const reading = begin();
      for (const [number, gateway] of fib.routes) {
        if (number !== 3) reading.take(recordOf(numberedUpdate(number, 1, gateway)));
      }
      fib.refused = 9;
      harness.install(3, 9);
      await settle();
      const report = await reading.finish(COMPLETE);
      drift.endReading();
      // What was heard is kept for the next reading, which can tell no more than this one.
      assert.deepEqual([counts(report), report.complete], [[4, 0, 0, 0], false]);
    }
    harness.install(3, 3);
    await settle();
    await harness.stop();
  });

  it("is not broken off any more once it judges what was read", async () => {
    // So slow that it pauses now and then.
    let time = SYSTEM_CLOCK.now();
    const { harness, fib, begin } = await auditHarness({ ...SYSTEM_CLOCK, now: () => (time += 5) });
    for (let number = 6; number <= 3000; number++) {
      while (!harness.dataplane.hasRoom()) {
        harness.rib.flush();
        await harness.dataplane.waitForRoom();
      }
      harness.install(number, 7);
    }
    harness.rib.flush();
    await harness.settled();
    const reading = begin();
    for (const [number, gateway] of fib.routes) reading.take(recordOf(numberedUpdate(number, 1, gateway)));
    const report = reading.finish(COMPLETE);
    reading.abandon();
    assert.deepEqual(counts(await report), [3000, 0, 0, 0]);
    await harness.stop();
  });

  it("looks again at what was changed by others before its own write was known to be done", async () => {
    const { harness, drift, fib, begin, audit, settle } = await auditHarness();
    fib.isSlow = true;
    harness.install(3, 9);
    harness.rib.flush();
    await until("it is written", () => fib.routes.get(3) === 9);
    fib.routes.set(3, 77);
    drift.hear(Family.IPV4, 3, { by: "ip[42]", portId: 42 });
    drift.beginReading();
    const reading = begin();
    fib.isSlow = false;
    await settle();
    for (const [number, gateway] of fib.routes) reading.take(recordOf(numberedUpdate(number, 1, gateway)));
    const report = await reading.finish(COMPLETE);
    drift.endReading();
    assert.deepEqual([counts(report), report.complete], [[5, 0, 0, 0], false]);
    drift.beginReading();
    const second = await audit();
    assert.deepEqual([counts(second), second.complete, fib.routes.get(3)], [[5, 0, 1, 0], true, 9]);
    await harness.stop();
  });

  it("judges a route that somebody asks for during the reading, where nothing was written for it", async () => {
    const { harness, fib, begin, settle } = await auditHarness();
    fib.routes.delete(3);
    const reading = begin();
    harness.admit({ ...numberedUpdate(3, 1, 9), distance: 200 }, harness.rib.owners.intern("other")!);
    await settle();
    for (const [number, gateway] of fib.routes) reading.take(recordOf(numberedUpdate(number, 1, gateway)));
    const report = await reading.finish(COMPLETE);
    assert.deepEqual([counts(report), report.complete], [[4, 1, 0, 0], true]);
    await settle();
    assert.equal(fib.routes.get(3), 3);
    await harness.stop();
  });
});
