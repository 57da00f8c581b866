/**
 * Counters that one thread writes and others read: 64-bit floats in shared memory, one writer each. Aligned 64-bit
 * stores are whole on the machines we run on, so a reader sees an old or a new value, never a mixture.
 */
import { PROVIDERS_MAX } from "../constants.ts";

/** Counters of the loop, by index; written by the dataplane thread. */
export const LoopCounter = {
  CYCLES: 0,
  /** Cycles that ended with work left over and asked for another. */
  YIELDS: 1,
  /** Contexts taken from the incoming queue. */
  TAKEN: 2,
  ERRORS: 3,
  DONE: 4,
  /** Time of core/clock.ts at the start of the last cycle. */
  HEARTBEAT: 5,
} as const;

/** Counters of one provider, by index. IN is the loop's to write, the others belong to the thread that runs it. */
export const ProviderCounter = {
  IN: 0,
  OUT: 1,
  ERRORS: 2,
  YIELDS: 3,
  UNDONE: 4,
  EXCEPTIONS: 5,
  HEARTBEAT: 6,
  /** Deepest that in queue and hand together have been. */
  QUEUED_MAX: 7,
} as const;

const LOOP_COUNTERS = 16;
const PROVIDER_COUNTERS = 16;

export function createCounterStorage(): SharedArrayBuffer {
  return new SharedArrayBuffer((LOOP_COUNTERS + (PROVIDERS_MAX + 1) * PROVIDER_COUNTERS) * 8);
}

/** The loop's counters. */
export function loopCounters(storage: SharedArrayBuffer): Float64Array {
  return new Float64Array(storage, 0, LOOP_COUNTERS);
}

/** The counters of provider `id`. */
export function providerCounters(storage: SharedArrayBuffer, id: number): Float64Array {
  return new Float64Array(storage, (LOOP_COUNTERS + id * PROVIDER_COUNTERS) * 8, PROVIDER_COUNTERS);
}
