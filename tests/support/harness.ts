/** A whole dataplane with its RIB, as the daemon has it, and a client that keeps books on every update. */
import assert from "node:assert/strict";
import { setImmediate } from "node:timers";
import { CONTEXT_BYTES } from "../../core/constants.ts";
import { NO_ATTRS } from "../../core/context/attrs.ts";
import { AttrsStore, createAttrsStorage } from "../../core/context/attrs_store.ts";
import { U8, U32 } from "../../core/context/layout.ts";
import { Dataplane, type DataplaneOptions } from "../../core/dataplane/dataplane.ts";
import { ProviderPriority, type ProviderSpec } from "../../core/dataplane/provider.ts";
import type { SpawnThread } from "../../core/dataplane/supervisor.ts";
import { Family, type RouteUpdate, UpdateOp } from "../../core/model/route.ts";
import type { Outcome } from "../../core/rib/outcome.ts";
import type { Owner } from "../../core/rib/owners.ts";
import { Rib } from "../../core/rib/rib.ts";
import { createQuietLog, type QuietLog } from "./quiet_log.ts";
import { numberedUpdate, updateNumber } from "./updates.ts";
import { keepAlive } from "./wait.ts";

/** A spec with the test provider's kind, and what else is to be different. */
export function specOf(overrides: Partial<ProviderSpec> = {}): ProviderSpec {
  const kernel = { kind: "test", name: "", priority: ProviderPriority.KERNEL, threaded: false, options: {} };
  return { ...kernel, ...overrides };
}

/** What became of one update. */
export interface Recorded {
  outcome: Outcome;
  error: number;
  text: string;
  provider: string;
  flags: number;
  /** Providers that it passed without their word. */
  bypassed: string[];
}

export interface HarnessOptions extends Partial<Omit<DataplaneOptions, "spawn">> {
  spawn: SpawnThread;
  providers?: ProviderSpec[];
}

export class Harness {
  readonly dataplane: Dataplane;
  readonly rib: Rib;
  readonly log: QuietLog = createQuietLog();
  /** By line: what the update became; undefined while it has no result. */
  readonly results: (Recorded | undefined)[] = [];
  /** Lines in the order of their results, by route number. */
  readonly order = new Map<number, number[]>();
  readonly outcomes: Record<Outcome, number> = {
    fib_programmed: 0,
    fib_failed: 0,
    rib_programmed: 0,
    skipped: 0,
    superseded: 0,
  };
  readonly session: number;
  readonly owner: Owner;
  admitted = 0;
  finished = 0;
  /** Called for each result, with the line. */
  onResult: (line: number) => void = () => {};

  constructor({ spawn, providers = [specOf()], ...options }: HarnessOptions) {
    const attrs = createAttrsStorage(16 << 20);
    this.dataplane = new Dataplane({
      queueLimit: 256,
      workLimit: 64,
      attrs,
      spawn,
      log: this.log,
      onLog: ({ record }) => this.log.records.push(record),
      onResults: (slots, count) => this.rib.settle(slots, count),
      onHealthChange: () => {},
      ...options,
    });
    this.rib = new Rib(new AttrsStore(attrs), this.dataplane);
    this.owner = this.rib.owners.intern("default")!;
    for (const spec of providers) this.dataplane.register(spec);
    this.session = this.rib.openSession({
      onResult: (slot, outcome, contexts) => {
        const line = contexts.getU32(slot, U32.LINE);
        assert.equal(this.results[line], undefined, `line ${line} has one result`);
        const route = updateNumber(contexts.u8, slot * CONTEXT_BYTES + U8.PREFIX);
        this.results[line] = {
          outcome,
          error: contexts.getU32(slot, U32.ERROR),
          text: contexts.errorText(slot),
          provider: this.dataplane.providerName(contexts.getU8(slot, U8.PROVIDER)),
          flags: contexts.getU8(slot, U8.FLAGS),
          bypassed: this.dataplane.bypassedNames(contexts.getU32(slot, U32.BYPASSED)),
        };
        const lines = this.order.get(route);
        if (lines === undefined) this.order.set(route, [line]);
        else lines.push(line);
        this.outcomes[outcome] += 1;
        this.finished += 1;
        this.onResult(line);
      },
    });
  }

  /** Admits one update, for which there must be room, and returns its line. */
  admit(update: RouteUpdate, owner: Owner = this.owner): number {
    assert.ok(this.dataplane.hasRoom(), "there is room");
    const line = this.admitted++;
    assert.equal(this.rib.admit(update, owner, this.session, line), null);
    return line;
  }

  install(number: number, gateway?: number): number {
    return this.admit(numberedUpdate(number, UpdateOp.INSTALL, gateway));
  }

  remove(number: number): number {
    return this.admit(numberedUpdate(number, UpdateOp.DELETE));
  }

  /**
   * Admits `count` updates as a client's stream would: `make` fills each, a full queue stops it. Ends early when no more
   * work is taken.
   */
  async stream(
    count: number,
    make: (index: number) => RouteUpdate = (index) => numberedUpdate(index),
  ): Promise<number> {
    for (let index = 0; index < count; ) {
      while (index < count && this.dataplane.hasRoom()) this.admit(make(index++));
      this.rib.flush();
      if (index === count) break;
      if (!this.dataplane.isAccepting()) return index;
      await keepAlive(this.dataplane.waitForRoom());
    }
    return count;
  }

  /** Waits until every update has its result. */
  async settled(timeoutMs = 60_000): Promise<void> {
    const deadline = performance.now() + timeoutMs;
    while (this.finished < this.admitted) {
      if (performance.now() > deadline) {
        const state = JSON.stringify({ ...this.dataplane.snapshot(), providers: this.dataplane.providers() });
        assert.fail(`${this.admitted - this.finished} updates of ${this.admitted} have no result: ${state}`);
      }
      await new Promise((resolve) => setImmediate(resolve));
    }
  }

  /** Invariants 1 and 2, and the counters, when nothing is under way: one result each, no context lost, sums agree. */
  assertComplete(): void {
    assert.equal(this.finished, this.admitted);
    for (let line = 0; line < this.admitted; line++) assert.ok(this.results[line], `line ${line} has a result`);
    const { poolFree, poolSize } = this.dataplane.snapshot();
    assert.equal(poolFree, poolSize, "all contexts are free");
    for (const provider of this.dataplane.providers()) {
      const { name, in: given, out, errors, inQueued, outQueued } = provider;
      assert.deepEqual([inQueued, outQueued], [0, 0], `the queues of ${name} are empty`);
      assert.equal(given, out + errors, `in = out + errors of ${name}`);
    }
  }

  /** Invariant 3, as a client sees it: the results of one route come in the order of its updates. */
  assertOrder(): void {
    for (const [route, lines] of this.order) {
      for (let index = 1; index < lines.length; index++) {
        assert.ok(lines[index - 1]! < lines[index]!, `results of route ${route}: ${lines}`);
      }
    }
  }

  /** When nothing is under way, routes and their claims hold exactly the attributes that there are. */
  assertNoLeaks(): void {
    assertNoLeaks(this.rib);
  }

  start(): Promise<void> {
    return keepAlive(this.dataplane.start());
  }

  stop(): Promise<void> {
    return keepAlive(this.dataplane.shutdown());
  }
}

/** When nothing is under way, routes and their claims hold exactly the attributes that there are. */
export function assertNoLeaks(rib: Rib): void {
  const held = new Map<number, number>();
  const hold = (attrs: number): void => {
    if (attrs !== NO_ATTRS) held.set(attrs, (held.get(attrs) ?? 0) + 1);
  };
  for (const family of [Family.IPV4, Family.IPV6]) {
    const store = rib.store(family);
    for (let route = 1; route <= store.last; route++) {
      if (!store.isUsed(route)) continue;
      hold(store.desired(route));
      hold(store.programmed(route));
      if (rib.claims.isContested(family, route)) {
        for (const { attrs } of rib.claims.list(family, store, route)) hold(attrs);
      }
    }
  }
  assert.equal(rib.attrs.count, held.size);
  for (const [attrs, references] of held) assert.equal(rib.attrs.references(attrs), references);
}
