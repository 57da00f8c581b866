/**
 * The dataplane loop: moves contexts from the incoming ring through the providers in order of priority and hands them
 * back as results (FRR: `dplane_thread_loop` in zebra/zebra_dplane.c). Runs on the dataplane thread, which owns every
 * context that is in no ring.
 *
 * One cycle: for each provider take up to the work limit from what its predecessor put out (the first: from the
 * incoming ring), sort out what has failed, feed the rest, call the provider, with new work or without. What comes out
 * of the last one goes to the results ring, after the failures. A provider whose queues are at the limit is not fed;
 * the queue before it fills, in the end the incoming ring, and the clients wait.
 */

import { assert } from "../assert.ts";
import { type Clock, SYSTEM_CLOCK } from "../clock.ts";
import type { Contexts } from "../context/contexts.ts";
import { ContextFlag, ContextStatus, DplaneError, F64, U8, U32 } from "../context/layout.ts";
import type { Doorbell } from "../ring/doorbell.ts";
import type { RingConsumer, RingProducer } from "../ring/spsc_ring.ts";
import { LoopCounter, ProviderCounter } from "./counters.ts";
import { providerBit, type RegisteredProvider } from "./provider.ts";
import type { ProviderRunner } from "./provider_runner.ts";

/** A provider as the loop sees it: the far ends of its queues, and the runner if it lives on this thread. */
export interface Station {
  registered: RegisteredProvider;
  inRing: RingProducer;
  outRing: RingConsumer;
  counters: Float64Array;
  /** Null if the provider has a thread of its own. */
  runner: ProviderRunner | null;
  /** Wakes the provider's thread; unused if it lives on this one. */
  doorbell: Doorbell | null;
}

export interface LoopParts {
  contexts: Contexts;
  incoming: RingConsumer;
  results: RingProducer;
  /** Tells the main thread of results, and of room in the incoming queue. */
  notifyMain: () => void;
  counters: Float64Array;
  workLimit: number;
  /** True once the thread is to stop; looked at between providers. */
  isStopping: () => boolean;
  clock?: Clock;
}

export class DataplaneLoop {
  readonly #parts: LoopParts;
  readonly #clock: Clock;
  readonly #stations: Station[] = [];
  /** By slot: the provider that has the context, 0 for none. */
  readonly #fedTo: Uint8Array;
  readonly #batch: Uint32Array;
  readonly #failed: Uint32Array;
  #failedCount = 0;
  /** Contexts that a provider may have queued before it is fed no more. */
  readonly #queueLimit: number;
  /** Providers that belong to the pipeline and are down. */
  #absent: RegisteredProvider[] = [];
  /** By position: those of them that updates pass by on their way to it, a bit each. */
  #gaps: number[] = [0];

  constructor(parts: LoopParts) {
    this.#parts = parts;
    this.#clock = parts.clock ?? SYSTEM_CLOCK;
    this.#fedTo = new Uint8Array(parts.contexts.slots);
    this.#batch = new Uint32Array(parts.contexts.slots);
    this.#failed = new Uint32Array(parts.contexts.slots);
    this.#queueLimit = parts.workLimit * 4;
  }

  get stations(): readonly Station[] {
    return this.#stations;
  }

  /** Puts a provider into the pipeline: by priority, and by registration within one, also when it comes back. */
  attach(station: Station): void {
    const at = this.#stations.findIndex(({ registered }) => runsBefore(station.registered, registered));
    this.#stations.splice(at === -1 ? this.#stations.length : at, 0, station);
    this.#setAbsent(this.#absent.filter(({ id }) => id !== station.registered.id));
  }

  /**
   * Takes a provider whose thread has ended out of the pipeline, and notes of what passes by that it does so. What it had
   * put out goes on; what it had not fails. The caller vouches that nobody else touches the provider's queues any more.
   */
  detach(registered: RegisteredProvider): void {
    const { id } = registered;
    this.#takeOut(id);
    this.#setAbsent([...this.#absent.filter((other) => other.id !== id), registered]);
  }

  #setAbsent(absent: RegisteredProvider[]): void {
    this.#absent = absent;
    this.#gaps = new Array<number>(this.#stations.length + 1).fill(0);
    for (const registered of absent) {
      const after = this.#stations.findIndex((station) => runsBefore(registered, station.registered));
      this.#gaps[after === -1 ? this.#stations.length : after]! |= providerBit(registered.id);
    }
  }

  #takeOut(id: number): void {
    const position = this.#stations.findIndex((station) => station.registered.id === id);
    if (position === -1) return;
    const station = this.#stations[position]!;
    const put = station.outRing.popMany(this.#batch, 0, this.#batch.length);
    const finished = this.#batch.slice(0, put);
    for (const slot of finished) this.#fedTo[slot] = 0;
    this.#stations.splice(position, 1);
    const { contexts } = this.#parts;
    const reason = `the thread of provider ${station.registered.name} ended`;
    let lost = 0;
    for (let slot = 0; slot < this.#fedTo.length; slot++) {
      if (this.#fedTo[slot] !== id) continue;
      this.#fedTo[slot] = 0;
      if (contexts.hasFlag(slot, ContextFlag.UNDO)) {
        contexts.setFlag(slot, ContextFlag.UNDO_FAILED);
      } else {
        contexts.fail(slot, DplaneError.THREAD_DIED, reason);
        lost += 1;
      }
      this.#undoFrom(position - 1, slot);
    }
    closeCounters(station.counters, lost);
    this.#passOn(position, finished);
  }

  /** One pass over all providers. True if there is work left that another pass would move. */
  runCycle(): boolean {
    const { counters, workLimit, incoming } = this.#parts;
    counters[LoopCounter.HEARTBEAT] = this.#clock.now();
    counters[LoopCounter.CYCLES]! += 1;
    const takenBefore = counters[LoopCounter.TAKEN];
    let more = false;
    let source: RingConsumer = incoming;
    for (let position = 0; position < this.#stations.length; position++) {
      const station = this.#stations[position]!;
      const room = this.#queueLimit - station.inRing.depth - station.outRing.depth;
      const limit = Math.max(0, Math.min(workLimit, room));
      const count = this.#take(position, source, limit);
      if (limit > 0 && source.depth > 0) more = true;
      if (this.#feed(station, this.#batch, count)) more = true;
      if (this.#parts.isStopping()) return false;
      source = station.outRing;
    }
    const done = this.#take(this.#stations.length, source, workLimit);
    if (source.depth > 0) more = true;
    const handedBack = this.#handBack(done);
    if (handedBack === 0 && counters[LoopCounter.TAKEN] !== takenBefore) this.#parts.notifyMain();
    if (more) counters[LoopCounter.YIELDS]! += 1;
    return more;
  }

  /**
   * Takes up to `limit` contexts from the queue before `position` into the batch. Failed ones leave the pipeline here,
   * those on their way back go on backwards; the number of the rest is returned.
   */
  #take(position: number, source: RingConsumer, limit: number): number {
    const { contexts, incoming, counters } = this.#parts;
    const taken = source.popMany(this.#batch, 0, limit);
    let forward = taken;
    if (source === incoming) {
      counters[LoopCounter.TAKEN]! += taken;
      const time = taken > 0 ? this.#clock.now() : 0;
      for (let index = 0; index < taken; index++) contexts.setF64(this.#batch[index]!, F64.TAKEN_AT, time);
    } else {
      forward = this.#sort(position, this.#batch, taken);
    }
    this.#noteGap(position, this.#batch, forward);
    return forward;
  }

  /** Notes in `slots[0, count)` the providers that are missing before the one at `position`. */
  #noteGap(position: number, slots: Uint32Array, count: number): void {
    const bypassed = this.#gaps[position]!;
    if (bypassed === 0) return;
    for (let index = 0; index < count; index++) this.#parts.contexts.passBy(slots[index]!, bypassed);
  }

  /** Keeps in `slots` what goes forward from the provider before `position`, and returns its number. */
  #sort(position: number, slots: Uint32Array, count: number): number {
    const { contexts } = this.#parts;
    let forward = 0;
    for (let index = 0; index < count; index++) {
      const slot = slots[index]!;
      this.#fedTo[slot] = 0;
      if (contexts.getU8(slot, U8.STATUS) === ContextStatus.FAILURE) this.#undoFrom(position - 2, slot);
      else slots[forward++] = slot;
    }
    return forward;
  }

  /**
   * Offers a failed context to the providers at `position` and before it, latest first, to undo their part, and then
   * puts it on the list of failures. A threaded provider gets it through its queue and the way goes on from there.
   */
  #undoFrom(position: number, slot: number): void {
    const { contexts } = this.#parts;
    let missing = 0;
    for (let at = 0; at <= position + 1; at++) missing |= this.#gaps[at]!;
    // One that has done its part, and whose thread has ended since, cannot take it back.
    if ((missing & ~contexts.getU32(slot, U32.BYPASSED)) !== 0) contexts.setFlag(slot, ContextFlag.UNDO_FAILED);
    // On its way back already: go on from the provider that has just put it out.
    for (let at = position; at >= 0; at--) {
      const station = this.#stations[at]!;
      if (station.runner !== null) {
        station.runner.undo(slot);
        continue;
      }
      contexts.setFlag(slot, ContextFlag.UNDO);
      this.#fedTo[slot] = station.registered.id;
      assert(station.inRing.push(slot), "an in ring has room for every context");
      station.doorbell?.ring();
      return;
    }
    this.#failed[this.#failedCount++] = slot;
  }

  /** Gives `slots[0, count)` to a provider and calls it. True if it wants another cycle. */
  #feed(station: Station, slots: Uint32Array, count: number): boolean {
    const { contexts } = this.#parts;
    const { id } = station.registered;
    for (let index = 0; index < count; index++) {
      const slot = slots[index]!;
      contexts.setU8(slot, U8.PROVIDER, id);
      this.#fedTo[slot] = id;
    }
    station.counters[ProviderCounter.IN]! += count;
    assert(station.inRing.pushMany(slots, 0, count) === count, "an in ring has room for every context");
    if (station.runner !== null) return station.runner.runOnce();
    if (count > 0) station.doorbell?.ring();
    return false;
  }

  /** Feeds what a detached provider had put out to its successor, or hands it back if there is none. */
  #passOn(position: number, slots: Uint32Array): void {
    const forward = this.#sort(position + 1, slots, slots.length);
    this.#noteGap(position + 1, slots, forward); // the gaps are still those from before
    const successor = this.#stations[position];
    if (successor !== undefined) {
      this.#feed(successor, slots, forward);
      this.#handBack(0);
      return;
    }
    this.#batch.set(slots.subarray(0, forward));
    this.#handBack(forward);
  }

  /** Puts the failures and then `batch[0, done)` on the results ring, as lists; returns how many that are. */
  #handBack(done: number): number {
    const { contexts, results, counters, notifyMain } = this.#parts;
    const failed = this.#failedCount;
    if (failed + done === 0) return 0;
    const time = this.#clock.now();
    for (let index = 0; index < failed; index++) contexts.setF64(this.#failed[index]!, F64.DONE_AT, time);
    for (let index = 0; index < done; index++) contexts.setF64(this.#batch[index]!, F64.DONE_AT, time);
    this.#failedCount = 0;
    counters[LoopCounter.ERRORS]! += failed;
    counters[LoopCounter.DONE]! += done;
    const pushed = results.pushMany(this.#failed, 0, failed) + results.pushMany(this.#batch, 0, done);
    assert(pushed === failed + done, "the results ring has room for every context");
    notifyMain();
    return pushed;
  }
}

/** Whether `a` comes before `b` in the pipeline: by priority, and by registration within one. */
function runsBefore(a: RegisteredProvider, b: RegisteredProvider): boolean {
  return a.priority === b.priority ? a.id < b.id : a.priority < b.priority;
}

/** Settles the counters of a provider that is gone: all it was given has come out, and `lost` of it as errors. */
function closeCounters(counters: Float64Array, lost: number): void {
  const given = counters[ProviderCounter.IN]!;
  // The thread may have ended between counting a context and putting it out.
  const errors = Math.min(given, counters[ProviderCounter.ERRORS]! + lost);
  counters[ProviderCounter.ERRORS] = errors;
  counters[ProviderCounter.OUT] = given - errors;
}
