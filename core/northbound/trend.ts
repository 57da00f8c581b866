/**
 * What the daemon did in each of the last seconds, so that whoever opens the dashboard sees the last minutes at once.
 * A sample takes some microseconds once a second, whoever looks. Main thread.
 */
import { setInterval } from "node:timers";
import { now } from "../clock.ts";
import type { Dataplane } from "../dataplane/dataplane.ts";
import { LATENCY_STAGES, type LatencyStage, quantileMs } from "../rib/latency.ts";
import type { Rib } from "../rib/rib.ts";

export const TREND_INTERVAL_MS = 1000;
/** Samples that are kept: ten minutes. */
export const TREND_SAMPLES = 600;

/** What is counted, as a rate per second, and how it reads from the daemon's counters. */
const RATES = {
  updates: ({ dataplane }) => dataplane.snapshot().routeUpdates,
  programmed: ({ rib }) => rib.results.fib_programmed,
  failed: ({ rib }) => rib.results.fib_failed,
  held: ({ rib }) => rib.results.rib_programmed,
  superseded: ({ rib }) => rib.results.superseded,
  skipped: ({ rib }) => rib.results.skipped,
  rejected: ({ dataplane }) => dataplane.snapshot().routeUpdateErrors,
  yields: ({ dataplane }) => dataplane.snapshot().yields,
} as const satisfies Readonly<Record<string, (parts: TrendParts) => number>>;

export type TrendRate = keyof typeof RATES;
export const TREND_RATES = Object.keys(RATES) as TrendRate[];

/** Half of a second's updates took no longer, and all but one of a hundred. */
const SHARES = { p50: 0.5, p99: 0.99 } as const;
export type TrendQuantile = `${LatencyStage}${"P50" | "P99"}`;
export const TREND_QUANTILES = LATENCY_STAGES.flatMap((stage) => [
  `${stage}P50`,
  `${stage}P99`,
]) as readonly TrendQuantile[];

export const TREND_COLUMNS = ["time", ...TREND_RATES, "queueDepth", ...TREND_QUANTILES] as const;
export type TrendColumn = (typeof TREND_COLUMNS)[number];

/** Samples by column, oldest first. Times are in milliseconds since 1970, rates per second, quantiles in milliseconds. */
export type TrendJson = Record<TrendColumn, (number | null)[]>;

export interface TrendParts {
  dataplane: Dataplane;
  rib: Rib;
  /** Ends the sampling. */
  shutdown: AbortSignal;
}

export class Trend {
  readonly #parts: TrendParts;
  /** A row of {@linkcode TREND_COLUMNS} for each sample. */
  readonly #samples = new Float64Array(TREND_SAMPLES * TREND_COLUMNS.length);
  readonly #before = new Float64Array(TREND_RATES.length);
  readonly #bucketsBefore: readonly Float64Array[];
  readonly #inSecond: Float64Array;
  #sampledAt = now();
  #total = 0;

  constructor(parts: TrendParts) {
    this.#parts = parts;
    const { latencies } = parts.rib;
    this.#bucketsBefore = LATENCY_STAGES.map((stage) => latencies[stage].buckets.slice());
    this.#inSecond = new Float64Array(latencies.total.buckets.length);
    for (const [index, name] of TREND_RATES.entries()) this.#before[index] = RATES[name](parts);
    const timer = setInterval(() => this.sample(), TREND_INTERVAL_MS);
    timer.unref();
    parts.shutdown.addEventListener("abort", () => clearInterval(timer), { once: true });
  }

  /** Samples that there have ever been: they are numbered from 1. */
  get total(): number {
    return this.#total;
  }

  sample(): void {
    const time = now();
    const seconds = Math.max(time - this.#sampledAt, 1) / 1000;
    this.#sampledAt = time;
    const row = (this.#total % TREND_SAMPLES) * TREND_COLUMNS.length;
    this.#total += 1;
    let at = row;
    this.#samples[at++] = Date.now();
    for (const [index, name] of TREND_RATES.entries()) {
      const count = RATES[name](this.#parts);
      this.#samples[at++] = (count - this.#before[index]!) / seconds;
      this.#before[index] = count;
    }
    this.#samples[at++] = this.#parts.dataplane.snapshot().queueDepth;
    for (const [index, stage] of LATENCY_STAGES.entries()) {
      const { buckets } = this.#parts.rib.latencies[stage];
      const before = this.#bucketsBefore[index]!;
      for (const [bucket, count] of buckets.entries()) this.#inSecond[bucket] = count - before[bucket]!;
      before.set(buckets);
      for (const share of Object.values(SHARES)) this.#samples[at++] = quantileMs(this.#inSecond, share);
    }
  }

  /** The samples from number `first` on that are kept. */
  from(first: number): TrendJson {
    const columns = Object.fromEntries(TREND_COLUMNS.map((name) => [name, []])) as unknown as TrendJson;
    for (let number = Math.max(first, this.#total - TREND_SAMPLES + 1); number <= this.#total; number++) {
      const row = ((number - 1) % TREND_SAMPLES) * TREND_COLUMNS.length;
      for (const [index, name] of TREND_COLUMNS.entries()) columns[name].push(round(this.#samples[row + index]!));
    }
    return columns;
  }
}

/** With a thousandth's grain; null for what was not measured. */
function round(value: number): number | null {
  return Number.isNaN(value) ? null : Math.round(value * 1000) / 1000;
}
