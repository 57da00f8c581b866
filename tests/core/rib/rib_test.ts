import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { CONTEXT_BYTES } from "../../../core/constants.ts";
import { NO_ATTRS } from "../../../core/context/attrs.ts";
import { ContextFlag, ContextOp, F64, U8, U32 } from "../../../core/context/layout.ts";
import type { Provider, ProviderIo, ProviderPriority } from "../../../core/dataplane/provider.ts";
import { createRouteUpdate, Family, UpdateOp } from "../../../core/model/route.ts";
import { Prng } from "../../../core/prng.ts";
import { NO_ROUTE, RouteState } from "../../../core/rib/route_store.ts";
import { Harness, specOf } from "../../support/harness.ts";
import { KERNEL, POST_KERNEL, PRE_KERNEL, programs, ScriptedProvider } from "../../support/scripted_provider.ts";
import { createInlineSpawn } from "../../support/spawn.ts";
import { numberedUpdate, updateNumber } from "../../support/updates.ts";
import { until } from "../../support/wait.ts";

/** A harness of scripted providers on the test's own thread, by name; the name says where one stands. */
function ribHarness(scripted: Record<string, Provider>): Harness {
  const priorities: Record<string, ProviderPriority> = { before: PRE_KERNEL, kernel: KERNEL, after: POST_KERNEL };
  const providers = Object.keys(scripted).map((name) => specOf({ name, priority: priorities[name] ?? KERNEL }));
  return new Harness({ spawn: createInlineSpawn(({ name }) => scripted[name]!), providers });
}

function routeOf(harness: Harness, number: number): number {
  const { prefix, prefixLength, table, metric, source, family } = numberedUpdate(number);
  const keyClass = harness.rib.classes.intern(family, table, metric, source, 0)!;
  return harness.rib.store(family).find(prefix, prefixLength, keyClass.id);
}

/** A forwarding plane in a Map, with the kernel's own ideas of add, replace and delete. Refuses by chance. */
class FakeFib implements Provider {
  readonly routes = new Map<number, number>();
  readonly log: string[] = [];
  readonly #prng: Prng;
  readonly #refusals: number;

  constructor(seed: number, refusals: number) {
    this.#prng = new Prng(seed);
    this.#refusals = refusals;
  }

  process(io: ProviderIo): void {
    const { contexts } = io;
    for (let slot = io.dequeue(); slot !== -1; slot = io.dequeue()) {
      const number = updateNumber(contexts.u8, slot * CONTEXT_BYTES + U8.PREFIX);
      const op = contexts.getU8(slot, U8.OP);
      const held = this.routes.get(number) ?? NO_ATTRS;
      if (held !== contexts.getU32(slot, U32.OLD_ATTRS))
        this.log.push(`route ${number}: old attributes are not what is held`);
      if (op === ContextOp.ROUTE_UPDATE && held === NO_ATTRS) this.log.push(`route ${number}: update of nothing`);
      if (op === ContextOp.ROUTE_INSTALL && held !== NO_ATTRS) this.log.push(`route ${number}: install over something`);
      if (contexts.hasFlag(slot, ContextFlag.SKIP_KERNEL)) {
        io.enqueue(slot);
        continue;
      }
      if (this.#prng.chance(this.#refusals)) contexts.fail(slot, 101, "refused");
      else {
        contexts.succeed(slot);
        if (op === ContextOp.ROUTE_DELETE) this.routes.delete(number);
        else this.routes.set(number, contexts.getU32(slot, U32.ATTRS));
      }
      io.enqueue(slot);
    }
  }

  undo(io: ProviderIo, slot: number): void {
    const { contexts } = io;
    if (contexts.hasFlag(slot, ContextFlag.SKIP_KERNEL)) return;
    const number = updateNumber(contexts.u8, slot * CONTEXT_BYTES + U8.PREFIX);
    const old = contexts.getU32(slot, U32.OLD_ATTRS);
    if (old === NO_ATTRS) this.routes.delete(number);
    else this.routes.set(number, old);
  }
}

describe("rib", () => {
  for (const [name, refusals, skips, lateFailures] of [
    ["a kernel that takes everything", 0, 0, 0],
    ["a kernel that refuses", 0.2, 0, 0],
    ["refusals, skips and failures after the kernel, which are undone", 0.15, 0.1, 0.15],
  ] as const) {
    it(`invariants 3 and 7: knows exactly what is programmed, with ${name}`, async () => {
      const prng = new Prng(11);
      const fib = new FakeFib(5, refusals);
      const before = new ScriptedProvider(
        (io, slot) => prng.chance(skips) && io.contexts.setFlag(slot, ContextFlag.SKIP_KERNEL),
      );
      const after = new ScriptedProvider((io, slot) => prng.chance(lateFailures) && io.contexts.fail(slot, 5, "late"));
      const harness = ribHarness({ before, kernel: fib, after });
      await harness.start();
      const wanted = new Map<number, UpdateOp>();
      await harness.stream(20_000, () => {
        const number = prng.below(300);
        const op = prng.chance(0.35) ? UpdateOp.DELETE : UpdateOp.INSTALL;
        wanted.set(number, op);
        return numberedUpdate(number, op, prng.below(5));
      });
      await harness.settled();
      harness.assertComplete();
      harness.assertOrder();
      harness.assertNoLeaks();
      assert.deepEqual(fib.log, []);
      const store = harness.rib.store(Family.IPV4);
      for (let number = 0; number < 300; number++) {
        const route = routeOf(harness, number);
        const programmed = route === NO_ROUTE ? NO_ATTRS : store.programmed(route);
        assert.equal(programmed, fib.routes.get(number) ?? NO_ATTRS, `route ${number}`);
        if (route !== NO_ROUTE) {
          assert.equal(store.isInFlight(route), false);
          assert.equal(store.desired(route) !== NO_ATTRS, wanted.get(number) === UpdateOp.INSTALL);
        } else {
          assert.notEqual(wanted.get(number), UpdateOp.INSTALL, `route ${number} is forgotten, but wanted`);
        }
      }
      if (refusals === 0) assert.equal(harness.rib.counts().ipv4, fib.routes.size);
      const counted = [...harness.rib.classes.values()].reduce((sum, { routes }) => sum + routes, 0);
      assert.equal(counted, harness.rib.counts().ipv4);
      assert.ok(harness.outcomes.superseded > 0 && harness.outcomes.fib_programmed > 0);
      assert.deepEqual(harness.outcomes, harness.rib.results);
      await harness.stop();
    });
  }

  it("invariant 3: gives the dataplane one update of a route at a time, and of those that waited the last", async () => {
    const seen: string[] = [];
    const kernel = new ScriptedProvider((io, slot) => {
      const attrs = io.contexts.getU32(slot, U32.ATTRS);
      seen.push(
        `${io.contexts.getU8(slot, U8.OP)} ${attrs === NO_ATTRS ? "" : io.attrs.nexthop(attrs, 0).via[3]}`.trim(),
      );
      programs(io, slot);
    });
    const harness = ribHarness({ kernel });
    const lines = [
      harness.install(1, 1),
      harness.install(1, 2),
      harness.remove(1),
      harness.install(1, 3),
      harness.install(2, 9),
    ];
    await harness.start();
    await harness.settled();
    const outcomes = lines.map((line) => harness.results[line]?.outcome);
    assert.deepEqual(outcomes, ["fib_programmed", "superseded", "superseded", "fib_programmed", "fib_programmed"]);
    assert.deepEqual(harness.order.get(1), [0, 1, 2, 3]);
    const { ROUTE_INSTALL, ROUTE_UPDATE } = ContextOp;
    assert.deepEqual(seen, [`${ROUTE_INSTALL} 1`, `${ROUTE_INSTALL} 9`, `${ROUTE_UPDATE} 3`]);
    harness.assertNoLeaks();
    await harness.stop();
  });

  it("invariant 3: has an update that answers a result wait its turn behind those that wait already", async () => {
    const gateways: number[] = [];
    const kernel = new ScriptedProvider((io, slot) => {
      gateways.push(io.attrs.nexthop(io.contexts.getU32(slot, U32.ATTRS), 0).via[3]!);
      programs(io, slot);
    });
    const harness = ribHarness({ kernel });
    harness.install(1, 1);
    harness.install(1, 2);
    // The results of the first and of the last are each answered with one more update of the same route.
    harness.onResult = (line) => {
      if (line === 0) harness.install(1, 10);
      if (line === 2) harness.install(1, 11);
      harness.rib.flush();
    };
    await harness.start();
    await harness.settled();
    assert.deepEqual(gateways, [1, 10, 11]);
    assert.equal(harness.results[1]?.outcome, "superseded");
    assert.equal(harness.rib.store(Family.IPV4).isInFlight(routeOf(harness, 1)), false);
    harness.assertComplete();
    harness.assertOrder();
    harness.assertNoLeaks();
    await harness.stop();
  });

  it("keeps a route whose deletion is answered with an installation", async () => {
    const harness = ribHarness({ kernel: new ScriptedProvider(programs) });
    harness.install(1);
    harness.remove(1);
    harness.onResult = (line) => {
      if (line === 1) harness.install(1, 7);
      harness.rib.flush();
    };
    await harness.start();
    await harness.settled();
    const store = harness.rib.store(Family.IPV4);
    assert.notEqual(store.programmed(routeOf(harness, 1)), NO_ATTRS);
    assert.equal(harness.rib.counts().ipv4, 1);
    harness.assertNoLeaks();
    await harness.stop();
  });

  it("forgets a route that is deleted, and one that never was", async () => {
    const harness = ribHarness({ kernel: new ScriptedProvider(programs) });
    await harness.start();
    harness.install(1);
    harness.remove(2);
    await harness.stream(0);
    harness.rib.flush();
    await harness.settled();
    assert.deepEqual([routeOf(harness, 1) !== NO_ROUTE, routeOf(harness, 2) !== NO_ROUTE], [true, false]);
    harness.remove(1);
    harness.rib.flush();
    await harness.settled();
    assert.deepEqual(harness.rib.counts(), { ipv4: 0, ipv6: 0, attrs: 0, attrsBytes: 16 });
    assert.equal([...harness.rib.classes.values()].length, 0);
    await harness.stop();
  });

  it("remembers of a failed route why, and that it is wanted; and of a failed deletion that it is still there", async () => {
    let refuses = true;
    const kernel = new ScriptedProvider((io, slot) =>
      refuses ? io.contexts.fail(slot, 101, "no such link") : programs(io, slot),
    );
    const harness = ribHarness({ kernel });
    await harness.start();
    const step = async (act: () => void): Promise<void> => {
      act();
      harness.rib.flush();
      await harness.settled();
    };
    await step(() => harness.install(1));
    const store = harness.rib.store(Family.IPV4);
    const route = routeOf(harness, 1);
    assert.equal(store.state(route), RouteState.FAILED);
    assert.deepEqual(harness.rib.failures.get(store.failure(route)), { error: 101, text: "no such link", provider: 1 });
    assert.deepEqual([store.desired(route) !== NO_ATTRS, store.programmed(route)], [true, NO_ATTRS]);
    refuses = false;
    await step(() => harness.install(1));
    assert.deepEqual([store.state(route), store.failure(route)], [RouteState.PROGRAMMED, 0]);
    refuses = true;
    await step(() => harness.remove(1));
    assert.equal(store.state(route), RouteState.FAILED);
    assert.deepEqual([store.desired(route), store.programmed(route) !== NO_ATTRS], [NO_ATTRS, true]);
    refuses = false;
    await step(() => harness.remove(1));
    assert.equal(routeOf(harness, 1), NO_ROUTE);
    harness.assertNoLeaks();
    await harness.stop();
  });

  it("says of a deletion whether it knew the route", async () => {
    const known: boolean[] = [];
    const kernel = new ScriptedProvider((io, slot) => {
      if (io.contexts.getU8(slot, U8.OP) === ContextOp.ROUTE_DELETE)
        known.push(io.contexts.hasFlag(slot, ContextFlag.KNOWN));
      programs(io, slot);
    });
    const harness = ribHarness({ kernel });
    await harness.start();
    harness.remove(5);
    harness.install(6);
    harness.rib.flush();
    await harness.settled();
    harness.remove(6);
    harness.rib.flush();
    await harness.settled();
    assert.deepEqual(known, [false, true]);
    await harness.stop();
  });

  it("changes nothing when an update cannot be admitted", () => {
    const harness = ribHarness({ kernel: new ScriptedProvider(programs) });
    const { rib, dataplane } = harness;
    const big = createRouteUpdate();
    big.family = Family.IPV6;
    big.prefixLength = 64;
    // The arena is full when even the longest records find no place.
    let refused: unknown = null;
    for (let tag = 0; refused === null && dataplane.hasRoom(); tag++) {
      big.prefix[0] = tag;
      big.tag = tag;
      const before = { ...rib.counts(), free: dataplane.pool.free, classes: [...rib.classes.values()].length };
      big.nexthops = Array.from({ length: 512 }, (_, index) => ({
        ...numberedUpdate(1).nexthops[0]!,
        ifindex: index + 1,
        encap: 2,
        segments: Array.from({ length: 16 }, () => new Uint8Array(16).fill(tag)),
      }));
      refused = rib.admit(big, harness.owner, harness.session, harness.admitted);
      if (refused === null) harness.admitted++;
      else {
        assert.equal(refused, "OUT_OF_ATTRS");
        const after = { ...rib.counts(), free: dataplane.pool.free, classes: [...rib.classes.values()].length };
        assert.deepEqual(after, before);
      }
    }
    assert.equal(refused, "OUT_OF_ATTRS");
  });

  it("tells nobody whose session is closed, and keeps the outcome all the same", async () => {
    const harness = ribHarness({ kernel: new ScriptedProvider(programs) });
    harness.install(1);
    harness.rib.closeSession(harness.session);
    await harness.start();
    await until("the context is back", () => harness.dataplane.pool.free === harness.dataplane.pool.size);
    assert.equal(harness.finished, 0);
    assert.equal(harness.rib.results.fib_programmed, 1);
    assert.equal(harness.rib.store(Family.IPV4).state(routeOf(harness, 1)), RouteState.PROGRAMMED);
    await harness.stop();
  });

  it("tells a session that is closed nothing of what the daemon writes by itself", async () => {
    const harness = ribHarness({ kernel: new ScriptedProvider(programs) });
    await harness.start();
    const line = harness.install(1);
    await harness.settled();
    assert.equal(line, 0, "as a context that answers no line has it");
    const results = { ...harness.rib.results };
    harness.rib.closeSession(harness.session);
    harness.results.length = 0;
    harness.rib.doubt(Family.IPV4, routeOf(harness, 1));
    await until("it is written again", () => harness.rib.latencies.total.count === 2);
    assert.deepEqual([harness.results, harness.rib.results], [[], results]);
    await harness.stop();
  });

  it("measures where the time of each update went", async () => {
    const times: number[][] = [];
    const harness = ribHarness({ kernel: new ScriptedProvider(programs) });
    harness.rib.observe({
      onOutcome: (slot, _outcome, contexts) =>
        times.push([F64.ADMITTED_AT, F64.TAKEN_AT, F64.DONE_AT].map((field) => contexts.getF64(slot, field))),
    });
    await harness.start();
    await harness.stream(100);
    await harness.settled();
    const { queue, pipeline, result, total } = harness.rib.latencies;
    for (const histogram of [queue, pipeline, result, total]) {
      assert.equal(histogram.count, 100);
      assert.equal(
        histogram.buckets.reduce((sum, count) => sum + count),
        100,
      );
    }
    assert.ok(Math.abs(queue.sumMs + pipeline.sumMs + result.sumMs - total.sumMs) < 1);
    for (const [admitted, taken, done] of times) assert.ok(admitted! <= taken! && taken! <= done!);
    await harness.stop();
  });

  it("keeps routes apart that differ in family, table, metric or source", async () => {
    const harness = ribHarness({ kernel: new ScriptedProvider(programs) });
    const variants = [
      { family: Family.IPV4, table: 254, metric: 20, sourceLength: 0 },
      { family: Family.IPV4, table: 100, metric: 20, sourceLength: 0 },
      { family: Family.IPV4, table: 254, metric: 30, sourceLength: 0 },
      { family: Family.IPV6, table: 254, metric: 20, sourceLength: 0 },
      { family: Family.IPV6, table: 254, metric: 20, sourceLength: 64 },
    ];
    await harness.start();
    for (const op of [UpdateOp.INSTALL, UpdateOp.DELETE]) {
      for (const variant of variants) {
        const update = { ...createRouteUpdate(), ...variant, op, prefixLength: 16 };
        update.prefix[0] = 10;
        if (variant.sourceLength > 0) update.source[0] = 0x20;
        harness.admit(update);
      }
      harness.rib.flush();
      await harness.settled();
      const { ipv4, ipv6 } = harness.rib.counts();
      assert.deepEqual([ipv4, ipv6], op === UpdateOp.INSTALL ? [3, 2] : [0, 0]);
    }
    assert.equal(harness.outcomes.fib_programmed, 10);
    await harness.stop();
  });
});
