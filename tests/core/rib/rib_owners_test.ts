import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { CONTEXT_BYTES } from "../../../core/constants.ts";
import { NO_ATTRS } from "../../../core/context/attrs.ts";
import { ContextOp, U8, U32 } from "../../../core/context/layout.ts";
import type { Provider, ProviderIo } from "../../../core/dataplane/provider.ts";
import { Family, UpdateOp } from "../../../core/model/route.ts";
import { Prng } from "../../../core/prng.ts";
import type { Owner } from "../../../core/rib/owners.ts";
import { NO_ROUTE } from "../../../core/rib/route_store.ts";
import { Harness, specOf } from "../../support/harness.ts";
import { createInlineSpawn } from "../../support/spawn.ts";
import { numberedUpdate, updateNumber } from "../../support/updates.ts";
import { until } from "../../support/wait.ts";

/** A forwarding plane that refuses the same gateways of the same routes each time. Holds gateways by route number. */
class PickyFib implements Provider {
  readonly routes = new Map<number, number>();
  /** What was written, in order: route number, and gateway or 0 for a deletion. */
  readonly writes: [number: number, gateway: number][] = [];
  refuses: (number: number, gateway: number) => boolean;

  constructor(refuses: (number: number, gateway: number) => boolean = () => false) {
    this.refuses = refuses;
  }

  process(io: ProviderIo): void {
    const { contexts } = io;
    for (let slot = io.dequeue(); slot !== -1; slot = io.dequeue()) {
      const number = updateNumber(contexts.u8, slot * CONTEXT_BYTES + U8.PREFIX);
      const isDelete = contexts.getU8(slot, U8.OP) === ContextOp.ROUTE_DELETE;
      const gateway = isDelete ? 0 : io.attrs.nexthop(contexts.getU32(slot, U32.ATTRS), 0).via[3]!;
      if (!isDelete && this.refuses(number, gateway)) contexts.fail(slot, 101, "refused");
      else {
        contexts.succeed(slot);
        this.writes.push([number, gateway]);
        if (isDelete) this.routes.delete(number);
        else this.routes.set(number, gateway);
      }
      io.enqueue(slot);
    }
  }
}

function pickyHarness(fib: PickyFib): Harness {
  return new Harness({ spawn: createInlineSpawn(() => fib), providers: [specOf({ name: "kernel" })] });
}

function owned(number: number, gateway: number, distance: number, op: UpdateOp = UpdateOp.INSTALL) {
  return { ...numberedUpdate(number, op, gateway), distance };
}

async function settle(harness: Harness): Promise<void> {
  harness.rib.flush();
  await harness.settled();
  await harness.rib.reconciler.idle();
  await until("nothing is under way", () => harness.dataplane.pool.free === harness.dataplane.pool.size);
}

function winnerOf(harness: Harness, number: number): string {
  const { prefix, prefixLength, table, metric, source } = numberedUpdate(number);
  const keyClass = harness.rib.classes.find(Family.IPV4, table, metric, source, 0);
  if (keyClass === undefined) return "";
  const store = harness.rib.store(Family.IPV4);
  const route = store.find(prefix, prefixLength, keyClass.id);
  return route === NO_ROUTE ? "" : harness.rib.owners.nameOf(store.owner(route));
}

describe("rib with several owners", () => {
  it("has the lowest distance win, whoever came first win a tie, and the next take over in place", async () => {
    const fib = new PickyFib();
    const harness = pickyHarness(fib);
    const [a, b, c] = ["a", "b", "c"].map((name) => harness.rib.owners.intern(name)!) as [Owner, Owner, Owner];
    await harness.start();
    const step = async (owner: Owner, gateway: number, distance: number, op: UpdateOp = UpdateOp.INSTALL) => {
      const line = harness.admit(owned(1, gateway, distance, op), owner);
      await settle(harness);
      return harness.results[line]!.outcome;
    };
    assert.equal(await step(a, 1, 20), "fib_programmed");
    assert.equal(await step(b, 2, 20), "rib_programmed", "as good, and later");
    assert.equal(await step(c, 3, 5), "fib_programmed", "better");
    assert.equal(await step(a, 4, 20), "rib_programmed", "held, with another gateway");
    assert.deepEqual([a.routes, a.selected, c.selected], [1, 0, 1]);
    assert.equal(await step(c, 0, 5, UpdateOp.DELETE), "fib_programmed");
    assert.equal(winnerOf(harness, 1), "a", "of two as good the one that came first, also after it was displaced");
    assert.equal(await step(b, 0, 20, UpdateOp.DELETE), "rib_programmed", "nothing to take away");
    assert.equal(await step(a, 0, 20, UpdateOp.DELETE), "fib_programmed");
    assert.deepEqual(
      fib.writes,
      [1, 3, 4, 0].map((gateway) => [1, gateway]),
      "never a moment without a route while somebody wants it",
    );
    assert.equal(harness.rib.counts().ipv4, 0);
    assert.deepEqual([a.routes, b.routes, c.routes, a.selected], [0, 0, 0, 0]);
    assert.equal(harness.rib.claims.contested, 0);
    harness.assertNoLeaks();
    await harness.stop();
  });

  it("gives a route to the next owner when an owner makes its own worse", async () => {
    const fib = new PickyFib();
    const harness = pickyHarness(fib);
    const a = harness.rib.owners.intern("a")!;
    const b = harness.rib.owners.intern("b")!;
    await harness.start();
    harness.admit(owned(1, 1, 10), a);
    harness.admit(owned(1, 2, 20), b);
    await settle(harness);
    const line = harness.admit(owned(1, 1, 30), a);
    await settle(harness);
    assert.equal(harness.results[line]!.outcome, "rib_programmed");
    assert.deepEqual([winnerOf(harness, 1), fib.routes.get(1)], ["b", 2]);
    await harness.stop();
  });

  it("falls back to the next best that the kernel takes, and comes back when it takes the best", async () => {
    const fib = new PickyFib((_, gateway) => gateway === 9);
    const harness = pickyHarness(fib);
    const a = harness.rib.owners.intern("a")!;
    const b = harness.rib.owners.intern("b")!;
    await harness.start();
    harness.admit(owned(1, 2, 20), b);
    const line = harness.admit(owned(1, 9, 10), a);
    await settle(harness);
    assert.equal(harness.results[line]!.outcome, "fib_failed");
    assert.deepEqual([winnerOf(harness, 1), fib.routes.get(1)], ["b", 2]);
    fib.refuses = () => false;
    const [[key]] = [...harness.rib.claims.refused()] as [[number, number]];
    harness.rib.retry(Family.IPV4, key / 2);
    await settle(harness);
    assert.deepEqual([winnerOf(harness, 1), fib.routes.get(1)], ["a", 9]);
    await harness.stop();
  });

  it("tries the best again also where another write is under way, or is to come later", async () => {
    const fib = new PickyFib((_, gateway) => gateway === 9);
    const harness = pickyHarness(fib);
    const { rib } = harness;
    const a = rib.owners.intern("a")!;
    const b = rib.owners.intern("b")!;
    await harness.start();
    for (const number of [1, 2]) {
      harness.admit(owned(number, 2, 20), b);
      harness.admit(owned(number, 9, 10), a);
    }
    await settle(harness);
    const [one, two] = [...rib.claims.refused()].map(([key]) => key / 2) as [number, number];
    fib.refuses = () => false;
    harness.admit(owned(1, 3, 20), b);
    rib.retry(Family.IPV4, one);
    await settle(harness);
    assert.deepEqual([winnerOf(harness, 1), fib.routes.get(1)], ["a", 9]);
    rib.doubt(Family.IPV4, two, 1);
    rib.pardon(Family.IPV4, two);
    await until("the delayed write brings it", () => fib.routes.get(2) === 9);
    await settle(harness);
    assert.equal(winnerOf(harness, 2), "a");
    await harness.stop();
  });

  it("takes a withdrawn route away where the kernel refuses what should take over", async () => {
    const fib = new PickyFib((_, gateway) => gateway === 9);
    const harness = pickyHarness(fib);
    const a = harness.rib.owners.intern("a")!;
    const b = harness.rib.owners.intern("b")!;
    await harness.start();
    harness.admit(owned(1, 1, 10), a);
    harness.admit(owned(1, 9, 20), b);
    await settle(harness);
    const line = harness.admit(owned(1, 0, 10, UpdateOp.DELETE), a);
    await settle(harness);
    assert.equal(harness.results[line]!.outcome, "fib_programmed", "the deletion is carried out");
    assert.deepEqual([winnerOf(harness, 1), fib.routes.get(1)], ["b", undefined]);
    assert.equal(harness.rib.failedCount, 1);
    await harness.stop();
  });

  it("refuses what an owner may not do, and changes nothing", async () => {
    const harness = pickyHarness(new PickyFib());
    const a = harness.rib.owners.intern("a")!;
    const b = harness.rib.owners.intern("b")!;
    const admit = (number: number, owner: Owner, op: UpdateOp = UpdateOp.INSTALL, table = 254) =>
      harness.rib.admit({ ...owned(number, 1, 20, op), table }, owner, harness.session, harness.admitted);
    await harness.start();
    harness.admit(owned(1, 1, 20), a);
    await settle(harness);
    const before = harness.rib.counts();
    a.settings = { ...a.settings, prefixLimit: 1, tables: [254] };
    assert.equal(admit(2, a), "PREFIX_LIMIT");
    assert.equal(admit(1, a, UpdateOp.INSTALL, 100), "TABLE_NOT_ALLOWED");
    assert.equal(admit(1, b, UpdateOp.DELETE), "NOT_OWNER");
    assert.deepEqual(harness.rib.counts(), before);
    assert.equal([...harness.rib.classes.values()].length, 1);
    harness.assertNoLeaks();
    harness.admit(owned(1, 2, 20), a);
    await settle(harness);
    await harness.stop();
  });

  for (const seed of [1, 2, 3, 4, 5, 6]) {
    it(`ends with what the owners last asked for, random updates with seed ${seed}`, async () => {
      const prng = new Prng(seed);
      const refuses = (number: number, gateway: number) => seed % 2 === 0 && (number * 7 + gateway) % 5 === 0;
      const fib = new PickyFib(refuses);
      const harness = pickyHarness(fib);
      const owners = ["a", "b", "c"].map((name) => harness.rib.owners.intern(name)!);
      await harness.start();
      const model = new Map<number, Map<Owner, { gateway: number; distance: number; order: number }>>();
      let order = 0;
      for (let step = 0; step < 6000; step++) {
        const number = prng.below(40);
        const owner = owners[prng.below(3)]!;
        const claims = model.get(number) ?? new Map();
        model.set(number, claims);
        const before = claims.get(owner);
        if (prng.chance(0.4)) {
          // Only what it has, or what nobody has, may an owner delete.
          if (before === undefined && claims.size > 0) continue;
          claims.delete(owner);
          harness.admit(owned(number, 0, 20, UpdateOp.DELETE), owner);
        } else {
          const claim = { gateway: 1 + prng.below(20), distance: 10 * prng.below(3), order: before?.order ?? ++order };
          claims.set(owner, claim);
          harness.admit(owned(number, claim.gateway, claim.distance), owner);
        }
        if (prng.chance(0.3) || harness.dataplane.pool.free < 20) harness.rib.flush();
        while (!harness.dataplane.hasRoom()) {
          harness.rib.flush();
          await harness.dataplane.waitForRoom();
        }
        if (prng.chance(0.02)) await settle(harness);
      }
      await settle(harness);
      harness.assertComplete();
      harness.assertNoLeaks();
      for (let number = 0; number < 40; number++) {
        const claims = [...(model.get(number) ?? [])].filter(([, { gateway }]) => !refuses(number, gateway));
        const [best] = claims.sort(([, a], [, b]) => a.distance - b.distance || a.order - b.order);
        const isWanted = (model.get(number)?.size ?? 0) > 0;
        if (best !== undefined) {
          assert.deepEqual([number, fib.routes.get(number)], [number, best[1].gateway]);
          assert.equal(winnerOf(harness, number), best[0].name);
        } else if (!isWanted) assert.equal(fib.routes.get(number), undefined, `route ${number} is nobody's`);
      }
      for (const owner of owners) {
        const wanted = [...model.values()].filter((claims) => claims.has(owner)).length;
        assert.equal(owner.routes, wanted, `routes of ${owner.name}`);
      }
      const store = harness.rib.store(Family.IPV4);
      let failed = 0;
      for (let route = 1; route <= store.last; route++) {
        if (!store.isUsed(route)) continue;
        assert.ok(store.desired(route) !== NO_ATTRS, "every record is of a route that somebody wants");
        if (store.state(route) === 3) failed += 1;
      }
      assert.equal(harness.rib.failedCount, failed);
      await harness.stop();
    });
  }
});
