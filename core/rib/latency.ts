/** Where the time of an update goes, as histograms by stage. Main thread only. */
import type { Contexts } from "../context/contexts.ts";
import { F64 } from "../context/layout.ts";

/** Upper bounds of the buckets, in milliseconds. */
export const LATENCY_BOUNDS_MS = [
  0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10_000,
] as const;

/** Stages by name: in the incoming queue, through the providers, back to the main thread, and all of it. */
export const LATENCY_STAGES = ["queue", "pipeline", "result", "total"] as const;
export type LatencyStage = (typeof LATENCY_STAGES)[number];

export class LatencyHistogram {
  /** Observations by bucket, not summed up; the last is for what lies above every bound. */
  readonly buckets = new Float64Array(LATENCY_BOUNDS_MS.length + 1);
  sumMs = 0;
  count = 0;
  /** Bucket of the last observation, from where the next is not far. */
  #bucket = 0;

  observe(milliseconds: number): void {
    let bucket = this.#bucket;
    while (bucket > 0 && milliseconds <= LATENCY_BOUNDS_MS[bucket - 1]!) bucket -= 1;
    while (bucket < LATENCY_BOUNDS_MS.length && milliseconds > LATENCY_BOUNDS_MS[bucket]!) bucket += 1;
    this.#bucket = bucket;
    this.buckets[bucket]! += 1;
    this.sumMs += milliseconds;
    this.count += 1;
  }
}

/**
 * The value below which this share of the observations lies, in milliseconds, from their number by bucket; NaN of none.
 * Within a bucket they are taken to be spread evenly.
 */
export function quantileMs(buckets: ArrayLike<number>, share: number): number {
  let count = 0;
  for (let bucket = 0; bucket < buckets.length; bucket++) count += buckets[bucket]!;
  if (count === 0) return Number.NaN;
  const wanted = share * count;
  let below = 0;
  for (const [bucket, bound] of LATENCY_BOUNDS_MS.entries()) {
    const inside = buckets[bucket]!;
    if (inside > 0 && below + inside >= wanted) {
      const lower = bucket === 0 ? 0 : LATENCY_BOUNDS_MS[bucket - 1]!;
      return lower + ((bound - lower) * (wanted - below)) / inside;
    }
    below += inside;
  }
  return LATENCY_BOUNDS_MS.at(-1)!;
}

export type Latencies = Readonly<Record<LatencyStage, LatencyHistogram>>;

export function createLatencies(): Latencies {
  return {
    queue: new LatencyHistogram(),
    pipeline: new LatencyHistogram(),
    result: new LatencyHistogram(),
    total: new LatencyHistogram(),
  };
}

/** Adds the times of a context that has come back and is settled at `time`. */
export function observeLatencies(latencies: Latencies, contexts: Contexts, slot: number, time: number): void {
  const admitted = contexts.getF64(slot, F64.ADMITTED_AT);
  const taken = contexts.getF64(slot, F64.TAKEN_AT);
  const done = contexts.getF64(slot, F64.DONE_AT);
  latencies.total.observe(time - admitted);
  // A context that never reached the dataplane thread has no times of its own.
  if (taken === 0 || done === 0) return;
  latencies.queue.observe(taken - admitted);
  latencies.pipeline.observe(done - taken);
  latencies.result.observe(time - done);
}
