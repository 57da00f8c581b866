/**
 * What is counted of a plugin, in the memory that the main thread reads (core/model/plugin_counters.ts). Its process counts from
 * 0 in each life; here counters go on. On the provider's thread.
 */
import {
  PLUGIN_COUNTER,
  PLUGIN_METRICS_FROM,
  PLUGIN_METRICS_MAX,
  type PluginCounterName,
  type PluginMetric,
} from "../../core/model/plugin_counters.ts";
import type { ReportField } from "./frames.ts";

/** What the process counts. */
const COUNTED = ["calls", "overBudget", "errors", "exported"] as const satisfies readonly (ReportField &
  PluginCounterName)[];

export class PluginTally {
  readonly #values: Float64Array;
  #metrics: readonly PluginMetric[] = [];
  /** What the last report said. */
  #counts: Readonly<Record<ReportField, number>> | null = null;
  /** Counters of the plugin's own, of lives that are over, by name. */
  readonly #past = new Map<string, number>();

  constructor(storage: SharedArrayBuffer) {
    this.#values = new Float64Array(storage);
  }

  add(name: PluginCounterName, by: number): void {
    this.#values[PLUGIN_COUNTER[name]]! += by;
  }

  set(name: PluginCounterName, value: number): void {
    this.#values[PLUGIN_COUNTER[name]] = value;
  }

  /** A process begins, with these metrics. */
  begin(metrics: readonly PluginMetric[], pid: number): void {
    this.#metrics = metrics;
    this.#counts = null;
    this.#values.fill(0, PLUGIN_METRICS_FROM, PLUGIN_METRICS_FROM + PLUGIN_METRICS_MAX);
    for (const [index, { name }] of metrics.entries()) {
      this.#values[PLUGIN_METRICS_FROM + index] = this.#past.get(name) ?? 0;
    }
    this.set("pid", pid);
  }

  /** What the process has counted so far. */
  report(counts: Readonly<Record<ReportField, number>>, metricValues: Float64Array): void {
    for (const name of COUNTED) this.add(name, counts[name] - (this.#counts?.[name] ?? 0));
    this.set("longestCallMs", counts.longestCallMs);
    this.#counts = { ...counts };
    for (const [index, { name, type }] of this.#metrics.entries()) {
      const past = type === "counter" ? (this.#past.get(name) ?? 0) : 0;
      this.#values[PLUGIN_METRICS_FROM + index] = past + metricValues[index]!;
    }
  }

  /** The process is gone. */
  end(): void {
    for (const [index, { name, type }] of this.#metrics.entries()) {
      if (type === "counter") this.#past.set(name, this.#values[PLUGIN_METRICS_FROM + index]!);
    }
    for (const name of ["pid", "memoryBytes", "held"] as const) this.set(name, 0);
  }
}
