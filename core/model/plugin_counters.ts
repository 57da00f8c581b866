/**
 * What is counted of a plugin: one table of names, from which its shared memory, the API, the metrics and the documentation
 * follow; behind them the plugin's own metrics. The provider's thread writes them, any thread reads (as
 * core/dataplane/counters.ts). Pure; any thread.
 */

/** Name as a key of JSON, whether it only rises, and what it is. */
export const PLUGIN_COUNTERS = [
  ["decided", "counter", "Updates that the plugin has decided."],
  ["refused", "counter", "Updates among them that it has failed."],
  ["skipped", "counter", "Updates among them that it had bypass the kernel."],
  ["bypassed", "counter", "Updates that went on without the plugin's word."],
  ["undecided", "counter", "Updates that failed because the plugin gave no word, where it may not be bypassed."],
  ["held", "gauge", "Updates that the plugin has and has not decided yet."],
  ["calls", "counter", "Calls of the plugin."],
  ["overBudget", "counter", "Calls that took longer than time-budget."],
  ["longestCallMs", "gauge", "Longest call since its process was started, in milliseconds."],
  ["errors", "counter", "Exceptions of the plugin, and updates that it did not decide within answer-time."],
  ["starts", "counter", "How often a process was started for it."],
  ["failures", "counter", "How often its process ended by itself or had to be ended."],
  ["exported", "counter", "Routes and changes that its export has taken."],
  ["exportRetries", "counter", "Batches that its export did not take, and that were offered again."],
  ["memoryBytes", "gauge", "Memory of its process, without files and what it shares with others."],
  ["pid", "gauge", "Number of its process; 0 for none."],
] as const satisfies readonly (readonly [string, "counter" | "gauge", string])[];

export type PluginCounterName = (typeof PLUGIN_COUNTERS)[number][0];

/** Index of each counter in the shared memory. */
export const PLUGIN_COUNTER = Object.fromEntries(PLUGIN_COUNTERS.map(([name], index) => [name, index])) as Readonly<
  Record<PluginCounterName, number>
>;

/** Metrics that a plugin may have of its own. */
export const PLUGIN_METRICS_MAX = 64;

/** One of them. */
export interface PluginMetric {
  name: string;
  type: "counter" | "gauge";
  help: string;
}

export function createPluginCounterStorage(): SharedArrayBuffer {
  return new SharedArrayBuffer((PLUGIN_COUNTERS.length + PLUGIN_METRICS_MAX) * Float64Array.BYTES_PER_ELEMENT);
}

/** Where the plugin's own metrics begin. */
export const PLUGIN_METRICS_FROM = PLUGIN_COUNTERS.length;

/** All counters by name. */
export function readPluginCounters(storage: SharedArrayBuffer): Record<PluginCounterName, number> {
  const values = new Float64Array(storage);
  return Object.fromEntries(PLUGIN_COUNTERS.map(([name], index) => [name, values[index]!])) as Record<
    PluginCounterName,
    number
  >;
}

/** What a plugin's provider and the main thread tell each other besides what they export. */
export type PluginTold =
  /** A process of the plugin is up; it has these metrics. */
  | { type: "plugin-up"; metrics: PluginMetric[] }
  /** What came of a restart that was asked for; `error` is empty if it went well. */
  | { type: "plugin-restarted"; token: number; error: string };
/** From the main thread: a new process takes over from the one that runs. */
export interface PluginRestart {
  type: "plugin-restart";
  token: number;
}
