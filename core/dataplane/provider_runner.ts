/**
 * Runs one provider on the thread that it lives on: the dataplane thread, or its own if it is threaded. Keeps its
 * queues and counters right whatever the provider does, and turns its exceptions into failed contexts.
 */
import { assert } from "../assert.ts";
import { PROVIDER_EXCEPTIONS_MAX } from "../constants.ts";
import type { AttrsReader } from "../context/attrs.ts";
import type { Contexts } from "../context/contexts.ts";
import { ContextFlag, ContextStatus, DplaneError, U8 } from "../context/layout.ts";
import type { Log } from "../log.ts";
import { EMPTY, type RingConsumer, type RingProducer } from "../ring/spsc_ring.ts";
import { ProviderCounter } from "./counters.ts";
import type { Provider, ProviderCondition, ProviderIo, RegisteredProvider } from "./provider.ts";

/** What a runner works with; the rings' other ends belong to the loop. */
export interface ProviderRunnerParts {
  registered: RegisteredProvider;
  provider: Provider;
  contexts: Contexts;
  attrs: AttrsReader;
  inRing: RingConsumer;
  outRing: RingProducer;
  counters: Float64Array;
  workLimit: number;
  log: Log;
  /** Makes the thread call {@linkcode ProviderRunner.runOnce} soon, for what happens outside of a call. */
  wake: () => void;
  /** Sends what the provider says to the main thread. Absent where nobody listens. */
  tell?: (body: unknown, transfer?: readonly ArrayBuffer[]) => void;
  report?: (condition: ProviderCondition) => void;
}

export class ProviderRunner implements ProviderIo {
  readonly id: number;
  readonly name: string;
  readonly options: Readonly<Record<string, unknown>>;
  readonly workLimit: number;
  readonly contexts: Contexts;
  readonly attrs: AttrsReader;
  readonly log: Log;
  readonly provider: Provider;
  readonly #inRing: RingConsumer;
  readonly #outRing: RingProducer;
  readonly #counters: Float64Array;
  readonly #wake: () => void;
  readonly #tell: (body: unknown, transfer?: readonly ArrayBuffer[]) => void;
  readonly #report: (condition: ProviderCondition) => void;
  /** By slot: the number of the call in which it was taken, 0 if it is not in hand. */
  readonly #takenInCall: Uint32Array;
  #inHand = 0;
  #putOut = 0;
  #call = 0;
  /** Contexts that may still be taken in this call. */
  #allowance = 0;
  #isCalling = false;
  #moreWork = false;
  #exceptionsInARow = 0;

  constructor(parts: ProviderRunnerParts) {
    this.id = parts.registered.id;
    this.name = parts.registered.name;
    this.options = parts.registered.options;
    this.workLimit = parts.workLimit;
    this.contexts = parts.contexts;
    this.attrs = parts.attrs;
    this.log = parts.log;
    this.provider = parts.provider;
    this.#inRing = parts.inRing;
    this.#outRing = parts.outRing;
    this.#counters = parts.counters;
    this.#wake = parts.wake;
    this.#tell = parts.tell ?? (() => {});
    this.#report = parts.report ?? (() => {});
    assert(
      parts.registered.threaded || this.provider.undoLater === undefined,
      "undoing later needs a thread of its own",
    );
    this.#takenInCall = new Uint32Array(parts.contexts.slots);
  }

  /** Contexts put on the out queue so far, forward or back; tells a thread when to wake the loop. */
  get putOut(): number {
    return this.#putOut;
  }

  /** Calls the provider once. True if it has work left and wants another cycle. */
  runOnce(): boolean {
    this.#call = (this.#call + 1) >>> 0 || 1;
    this.#moreWork = false;
    this.#allowance = this.workLimit;
    this.#isCalling = true;
    const queued = this.#inRing.depth + this.#inHand;
    if (queued > this.#counters[ProviderCounter.QUEUED_MAX]!) this.#counters[ProviderCounter.QUEUED_MAX] = queued;
    try {
      this.provider.process(this);
      this.#exceptionsInARow = 0;
    } catch (error) {
      this.#afterException(error);
    }
    this.#isCalling = false;
    // A provider that took nothing of what is there holds back on purpose, and says when it wants to go on.
    const more = this.#moreWork || (this.#allowance < this.workLimit && this.#inRing.depth > 0);
    if (more) this.#counters[ProviderCounter.YIELDS]! += 1;
    return more;
  }

  /** Has the provider take back its part of a context that failed later. False if it will be done later. */
  undo(slot: number): boolean {
    const { provider } = this;
    if (provider.undo === undefined && provider.undoLater === undefined) return true;
    this.#counters[ProviderCounter.UNDONE]! += 1;
    try {
      provider.undo?.(this, slot);
      provider.undoLater?.(this, slot);
      return provider.undoLater === undefined;
    } catch (error) {
      this.contexts.setFlag(slot, ContextFlag.UNDO_FAILED);
      this.#counters[ProviderCounter.EXCEPTIONS]! += 1;
      this.log.error("Provider could not undo an update", { provider: this.name, error: String(error) });
      return true;
    }
  }

  dequeue(): number {
    while (this.#allowance > 0) {
      const slot = this.#inRing.pop();
      if (slot === EMPTY) return EMPTY;
      this.#allowance -= 1;
      if (this.#accept(slot)) return slot;
    }
    return EMPTY;
  }

  dequeueMany(slots: Uint32Array, limit: number): number {
    // More than fits into the list would be lost.
    const popped = this.#inRing.popMany(slots, 0, Math.min(limit, this.#allowance, slots.length));
    this.#allowance -= popped;
    let count = 0;
    for (let index = 0; index < popped; index++) {
      const slot = slots[index]!;
      if (this.#accept(slot)) slots[count++] = slot;
    }
    return count;
  }

  enqueue(slot: number): void {
    this.#letGo(slot);
    this.#put(slot);
  }

  enqueueMany(slots: Uint32Array, count: number): void {
    let letGo = 0;
    try {
      for (; letGo < count; letGo++) this.#letGo(slots[letGo]!);
    } finally {
      // What was let go is on its way even if the provider named a context that it does not have.
      assert(this.#outRing.pushMany(slots, 0, letGo) === letGo, "an out ring has room for every context");
      this.#putOut += letGo;
      if (!this.#isCalling) this.#wake();
    }
  }

  signalWork(): void {
    if (this.#isCalling) this.#moreWork = true;
    else this.#wake();
  }

  tell(body: unknown, transfer?: readonly ArrayBuffer[]): void {
    this.#tell(body, transfer);
  }

  report(condition: ProviderCondition): void {
    this.#report(condition);
  }

  /** Takes a context in hand. A context on its way back is undone here and never seen by `process`. */
  #accept(slot: number): boolean {
    const isUndo = this.contexts.hasFlag(slot, ContextFlag.UNDO);
    this.#takenInCall[slot] = this.#call;
    this.#inHand += 1;
    if (isUndo && this.undo(slot)) this.enqueue(slot);
    return !isUndo;
  }

  #put(slot: number): void {
    assert(this.#outRing.push(slot), "an out ring has room for every context");
    this.#putOut += 1;
    if (!this.#isCalling) this.#wake();
  }

  #letGo(slot: number): void {
    const inHand = (this.#takenInCall[slot] ?? 0) !== 0;
    assert(inHand, "a provider puts out a context once, after taking it");
    this.#takenInCall[slot] = 0;
    this.#inHand -= 1;
    if (this.contexts.hasFlag(slot, ContextFlag.UNDO)) return; // counted when it failed
    const failed = this.contexts.getU8(slot, U8.STATUS) === ContextStatus.FAILURE;
    this.#counters[failed ? ProviderCounter.ERRORS : ProviderCounter.OUT]! += 1;
  }

  /**
   * After an exception nobody knows how far the provider came with what it took in this call: all of it has failed. One
   * that throws before it takes anything would leave its queue full for good, so what it was to take fails as well; and
   * one that throws again and again will not come back to what it holds from earlier calls either.
   */
  #afterException(error: unknown): void {
    this.#counters[ProviderCounter.EXCEPTIONS]! += 1;
    this.#exceptionsInARow += 1;
    const text = error instanceof Error ? error.message : String(error);
    this.log.error("Provider threw an exception", { provider: this.name, error: text });
    if (this.#allowance === this.workLimit) while (this.dequeue() !== EMPTY) {}
    if (this.#inHand === 0) return;
    const isHopeless = this.#exceptionsInARow >= PROVIDER_EXCEPTIONS_MAX;
    for (let slot = 0; slot < this.#takenInCall.length; slot++) {
      const call = this.#takenInCall[slot]!;
      if (call === 0 || (call !== this.#call && !isHopeless)) continue;
      if (this.contexts.hasFlag(slot, ContextFlag.UNDO)) this.contexts.setFlag(slot, ContextFlag.UNDO_FAILED);
      else this.contexts.fail(slot, DplaneError.PROVIDER_EXCEPTION, text);
      this.enqueue(slot);
    }
  }
}
