/** A dataplane loop with its providers on one thread, stepped by hand: no timers, no workers, nothing concurrent. */
import assert from "node:assert/strict";
import { AttrsReader } from "../../core/context/attrs.ts";
import { Contexts } from "../../core/context/contexts.ts";
import { ContextPool } from "../../core/context/pool.ts";
import { LoopCounter, loopCounters, ProviderCounter, providerCounters } from "../../core/dataplane/counters.ts";
import { DataplaneLoop, type Station } from "../../core/dataplane/loop.ts";
import { createDataplaneMemory, createProviderMemory } from "../../core/dataplane/memory.ts";
import type { Provider, ProviderPriority, RegisteredProvider } from "../../core/dataplane/provider.ts";
import { ProviderRunner } from "../../core/dataplane/provider_runner.ts";
import { RingConsumer, RingProducer } from "../../core/ring/spsc_ring.ts";
import { createQuietLog, type QuietLog } from "./quiet_log.ts";

/** A provider in the stepped pipeline. */
export interface Seat {
  id: number;
  registered: RegisteredProvider;
  runner: ProviderRunner;
  counters: Float64Array;
  inRing: RingProducer;
  outRing: RingConsumer;
  threaded: boolean;
  /** Resolves when the provider has started. */
  started: Promise<void>;
  isDead: boolean;
  woken: number;
}

export class SteppedPipeline {
  readonly contexts: Contexts;
  readonly attrs: AttrsReader;
  readonly pool: ContextPool;
  readonly loop: DataplaneLoop;
  readonly log: QuietLog = createQuietLog();
  readonly seats: Seat[] = [];
  readonly counters: Float64Array;
  readonly incoming: RingProducer;
  readonly results: RingConsumer;
  readonly #memory: ReturnType<typeof createDataplaneMemory>;
  readonly #workLimit: number;
  isStopping = false;
  /** How often the main thread would have been woken. */
  notified = 0;

  constructor(options: { slots?: number; workLimit?: number } = {}) {
    const slots = options.slots ?? 256;
    this.#workLimit = options.workLimit ?? 16;
    this.#memory = createDataplaneMemory(slots, new SharedArrayBuffer(4096));
    this.contexts = new Contexts(this.#memory.contexts);
    this.attrs = new AttrsReader(this.#memory.attrs);
    this.pool = new ContextPool(this.contexts);
    this.incoming = new RingProducer(this.#memory.incoming);
    this.results = new RingConsumer(this.#memory.results);
    this.counters = loopCounters(this.#memory.counters);
    this.loop = new DataplaneLoop({
      contexts: this.contexts,
      incoming: new RingConsumer(this.#memory.incoming),
      results: new RingProducer(this.#memory.results),
      notifyMain: () => {
        this.notified += 1;
      },
      counters: this.counters,
      workLimit: this.#workLimit,
      isStopping: () => this.isStopping,
    });
  }

  /** Puts a provider into the pipeline. A threaded one is not called by the loop but by {@linkcode runThreads}. */
  add(priority: ProviderPriority, provider: Provider, options: { threaded?: boolean; id?: number } = {}): Seat {
    const id = options.id ?? this.seats.length + 1;
    const threaded = options.threaded ?? false;
    const memory = createProviderMemory(this.contexts.slots);
    const counters = providerCounters(this.#memory.counters, id);
    const registered = { id, name: `provider-${id}`, kind: "test", priority, threaded, options: {} };
    const seat = { id, registered, counters, threaded, isDead: false, woken: 0 } as Seat;
    seat.runner = new ProviderRunner({
      registered,
      provider,
      contexts: this.contexts,
      attrs: this.attrs,
      inRing: new RingConsumer(memory.inRing),
      outRing: new RingProducer(memory.outRing),
      counters,
      workLimit: this.#workLimit,
      log: this.log,
      wake: () => {
        seat.woken += 1;
      },
    });
    seat.inRing = new RingProducer(memory.inRing);
    seat.outRing = new RingConsumer(memory.outRing);
    const runner = threaded ? null : seat.runner;
    const { inRing, outRing } = seat;
    const station: Station = { registered, inRing, outRing, counters, runner, doorbell: null };
    seat.started = Promise.resolve(provider.start?.(seat.runner));
    this.loop.attach(station);
    this.seats.push(seat);
    return seat;
  }

  /** Admits `count` fresh contexts and returns their slots. */
  admit(count: number): number[] {
    const slots: number[] = [];
    for (let index = 0; index < count; index++) {
      const slot = this.pool.acquire();
      assert.notEqual(slot, -1, "the test admits no more than there are contexts");
      assert.ok(this.incoming.push(slot));
      slots.push(slot);
    }
    return slots;
  }

  /** Calls each threaded provider once. */
  runThreads(): void {
    for (const { threaded, isDead, runner } of this.seats) if (threaded && !isDead) runner.runOnce();
  }

  /** The provider's thread has ended. */
  detach(seat: Seat): void {
    seat.isDead = true;
    this.loop.detach(seat.registered);
  }

  /** Takes all results there are. */
  takeResults(): number[] {
    const slots: number[] = [];
    for (let slot = this.results.pop(); slot !== -1; slot = this.results.pop()) slots.push(slot);
    return slots;
  }

  /** Runs cycles and threads until nothing moves any more, and returns the results of it all. */
  drain(): number[] {
    const results = this.takeResults();
    let quiet = 0;
    while (quiet < 2 * this.seats.length + 2) {
      const more = this.loop.runCycle();
      this.runThreads();
      const found = this.takeResults();
      results.push(...found);
      quiet = more || found.length > 0 ? 0 : quiet + 1;
    }
    return results;
  }

  /** After everything came back: each provider's in = out + errors, and no context is missing. */
  assertSettled(admitted: number): void {
    const loop = this.counters;
    assert.equal(loop[LoopCounter.TAKEN], admitted, "all that was admitted was taken");
    assert.equal(loop[LoopCounter.DONE]! + loop[LoopCounter.ERRORS]!, admitted, "and came back once");
    for (const { id, counters } of this.seats) {
      const out = counters[ProviderCounter.OUT]! + counters[ProviderCounter.ERRORS]!;
      assert.equal(counters[ProviderCounter.IN], out, `in = out + errors of provider ${id}`);
    }
  }
}
