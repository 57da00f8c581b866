/** What the process of a plugin counts, and the plugin's own metrics. In the process of a plugin. */
import { createFrame, FRAME_BODY, FromHost, type Loaded, REPORT_FIELDS, type ReportField } from "./frames.ts";

/** Time between two warnings that a call took too long. */
const WARN_PAUSE_MS = 1000;

export class HostCounters {
  calls = 0;
  overBudget = 0;
  longestCallMs = 0;
  errors = 0;
  exported = 0;
  readonly #metrics: Loaded["metrics"];
  readonly #indexes: ReadonlyMap<string, number>;
  readonly #values: Float64Array;
  #warnedAt = Number.NEGATIVE_INFINITY;

  constructor(metrics: Loaded["metrics"]) {
    this.#metrics = metrics;
    this.#indexes = new Map(metrics.map(({ name }, index) => [name, index]));
    this.#values = new Float64Array(metrics.length);
  }

  count(metric: string, by: number): void {
    const index = this.#index(metric);
    checkNumber("count", metric, by);
    if (by < 0 && this.#metrics[index]!.type === "counter") {
      throw new RangeError(`count: ${metric} is a counter, which only rises`);
    }
    this.#values[index]! += by;
  }

  set(metric: string, value: number): void {
    const index = this.#index(metric);
    checkNumber("set", metric, value);
    if (this.#metrics[index]!.type === "counter") throw new TypeError(`set: ${metric} is a counter; use count`);
    this.#values[index] = value;
  }

  /** Notes how long a call took. True if that is worth a warning. */
  endCall(elapsedMs: number, budgetMs: number): boolean {
    this.calls += 1;
    if (elapsedMs > this.longestCallMs) this.longestCallMs = elapsedMs;
    if (elapsedMs <= budgetMs) return false;
    this.overBudget += 1;
    const time = performance.now();
    if (time - this.#warnedAt < WARN_PAUSE_MS) return false;
    this.#warnedAt = time;
    return true;
  }

  /** Everything, in answer to a ping. */
  report(ping: Uint8Array): Uint8Array {
    const { calls, overBudget, longestCallMs, errors, exported } = this;
    const number = new DataView(ping.buffer, ping.byteOffset).getUint32(0, true);
    const fields: Record<ReportField, number> = { ping: number, calls, overBudget, longestCallMs, errors, exported };
    const values = [...REPORT_FIELDS.map((field) => fields[field]), ...this.#values];
    const frame = createFrame(FromHost.REPORT, values.length * 8);
    frame.set(new Uint8Array(new Float64Array(values).buffer), FRAME_BODY);
    return frame;
  }

  #index(metric: string): number {
    const index = this.#indexes.get(metric);
    if (index === undefined) {
      const names = this.#metrics.map(({ name }) => name).join(", ");
      throw new TypeError(
        `there is no metric ${JSON.stringify(metric)}; the provider's metrics are ${names || "none"}`,
      );
    }
    return index;
  }
}

function checkNumber(call: string, metric: string, value: unknown): void {
  if (typeof value !== "number" || !Number.isFinite(value))
    throw new TypeError(`${call}: ${metric}: ${String(value)} is no number`);
}
