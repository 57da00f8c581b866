/**
 * Plugins as the main thread knows them: what they count, which metrics they have of their own, and having one started anew.
 * Everything else about them is their provider's (providers/plugin/provider.ts). Main thread.
 */
import { clearTimeout, setTimeout } from "node:timers";
import {
  PLUGIN_METRICS_FROM,
  type PluginMetric,
  type PluginRestart,
  type PluginTold,
  readPluginCounters,
} from "../model/plugin_counters.ts";
import type { PluginJson } from "./provider_types.ts";

/** A new process is loaded, and the old one ends, within less. */
const RESTART_DEADLINE_MS = 120_000;

export interface PluginInfo {
  /** Of its provider. */
  id: number;
  name: string;
  path: string;
  failClosed: boolean;
  /** Memory of core/model/plugin_counters.ts. */
  counters: SharedArrayBuffer;
}

interface Entry extends PluginInfo {
  metrics: readonly PluginMetric[];
}

export class Plugins {
  readonly #tell: (id: number, message: PluginRestart) => void;
  readonly #entries: Entry[] = [];
  readonly #restarts = new Map<number, (error: string) => void>();
  #token = 0;
  /** Called when a plugin has come up, at the start and each time after. */
  onUp: () => void = () => {};

  constructor(tell: (id: number, message: PluginRestart) => void) {
    this.#tell = tell;
  }

  add(info: PluginInfo): void {
    this.#entries.push({ ...info, metrics: [] });
  }

  has(id: number): boolean {
    return this.#entries.some((entry) => entry.id === id);
  }

  /** Takes what the provider of a plugin has told. */
  onMessage(id: number, told: PluginTold): void {
    if (told.type === "plugin-restarted") {
      this.#restarts.get(told.token)?.(told.error);
      return;
    }
    const entry = this.#entries.find((each) => each.id === id);
    if (entry !== undefined) entry.metrics = told.metrics;
    this.onUp();
  }

  /** Has a new process take over; resolves with why that failed, empty if it did not, undefined if there is no such plugin. */
  async restart(name: string): Promise<string | undefined> {
    const entry = this.#entries.find((each) => each.name === name);
    if (entry === undefined) return undefined;
    const token = ++this.#token;
    const { promise, resolve } = Promise.withResolvers<string>();
    const timer = setTimeout(() => resolve("its provider does not answer"), RESTART_DEADLINE_MS);
    this.#restarts.set(token, resolve);
    this.#tell(entry.id, { type: "plugin-restart", token });
    const error = await promise;
    clearTimeout(timer);
    this.#restarts.delete(token);
    return error;
  }

  names(): string[] {
    return this.#entries.map(({ name }) => name);
  }

  /** What `GET /v1/providers` says of a provider that is a plugin; undefined for any other. */
  describe(id: number): PluginJson | undefined {
    const entry = this.#entries.find((each) => each.id === id);
    if (entry === undefined) return undefined;
    const { pid, ...counters } = readPluginCounters(entry.counters);
    const metrics = entry.metrics.map((metric, index) => ({ ...metric, value: metricValue(entry, index) }));
    const { path, failClosed } = entry;
    return { path, ...(pid === 0 ? {} : { pid }), failClosed, counters, metrics };
  }

  /** Each plugin with its counters, for metrics. */
  counters(): { name: string; counters: ReturnType<typeof readPluginCounters> }[] {
    return this.#entries.map(({ name, counters }) => ({ name, counters: readPluginCounters(counters) }));
  }

  /** The plugins' own metrics by name; what plugins call alike is one, with the type and help of the first. */
  ownMetrics(): Map<string, PluginMetric> {
    const found = new Map<string, PluginMetric>();
    for (const metric of this.#entries.flatMap(({ metrics }) => metrics)) {
      if (!found.has(metric.name)) found.set(metric.name, metric);
    }
    return found;
  }

  /** The values of one of them, by plugin. */
  ownValues({ name, type }: PluginMetric): { provider: string; value: number }[] {
    return this.#entries.flatMap((entry) => {
      const index = entry.metrics.findIndex((each) => each.name === name && each.type === type);
      return index === -1 ? [] : [{ provider: entry.name, value: metricValue(entry, index) }];
    });
  }
}

function metricValue({ counters }: Entry, index: number): number {
  return new Float64Array(counters)[PLUGIN_METRICS_FROM + index]!;
}
