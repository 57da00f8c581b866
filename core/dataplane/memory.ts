/**
 * The shared memory that one life of the dataplane thread works in. When the thread dies, its successor gets new
 * memory, so that nothing a dying thread still does can reach it.
 */
import { createContextStorage, createLongTextStorage } from "../context/contexts.ts";
import { createDoorbellStorage } from "../ring/doorbell.ts";
import { createRingStorage } from "../ring/spsc_ring.ts";
import { createCounterStorage } from "./counters.ts";

export interface DataplaneMemory {
  contexts: SharedArrayBuffer;
  /** Null where no provider has long error texts. */
  longTexts: SharedArrayBuffer | null;
  attrs: SharedArrayBuffer;
  incoming: SharedArrayBuffer;
  results: SharedArrayBuffer;
  /** Rung by the main thread and by threaded providers when the loop has something to do. */
  loopBell: SharedArrayBuffer;
  /** Rung by the loop when there are results, or room in the incoming ring. */
  resultsBell: SharedArrayBuffer;
  counters: SharedArrayBuffer;
  /** Not 0 once the threads are to stop. */
  stop: SharedArrayBuffer;
}

/** The queues of one provider. Each ring holds every context there is, so a push never fails. */
export interface ProviderMemory {
  inRing: SharedArrayBuffer;
  outRing: SharedArrayBuffer;
  /** Wakes the provider's thread. */
  bell: SharedArrayBuffer;
}

/** Contexts to have for these limits: the incoming queue twice over, and a full queue for each of a few providers. */
export function poolSize(queueLimit: number, workLimit: number): number {
  return nextPowerOfTwo(2 * queueLimit + 4 * workLimit);
}

export function createDataplaneMemory(
  slots: number,
  attrs: SharedArrayBuffer,
  hasLongTexts: boolean = false,
): DataplaneMemory {
  return {
    contexts: createContextStorage(slots),
    longTexts: hasLongTexts ? createLongTextStorage(slots) : null,
    attrs,
    incoming: createRingStorage(nextPowerOfTwo(slots)),
    results: createRingStorage(nextPowerOfTwo(slots)),
    loopBell: createDoorbellStorage(),
    resultsBell: createDoorbellStorage(),
    counters: createCounterStorage(),
    stop: new SharedArrayBuffer(4),
  };
}

export function createProviderMemory(slots: number): ProviderMemory {
  return {
    inRing: createRingStorage(nextPowerOfTwo(slots)),
    outRing: createRingStorage(nextPowerOfTwo(slots)),
    bell: createDoorbellStorage(),
  };
}

function nextPowerOfTwo(value: number): number {
  return 1 << Math.ceil(Math.log2(value));
}
