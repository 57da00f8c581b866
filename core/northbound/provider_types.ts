/** The JSON of `/v1/providers`, as core/northbound/api_types.ts has that of the other calls. Types only. Any thread. */
import type { PluginCounterName, PluginMetric } from "../model/plugin_counters.ts";

export interface ProviderJson {
  id: number;
  name: string;
  kind: string;
  priority: string;
  threaded: boolean;
  /** `bypassed`: updates go on without it. */
  state: "starting" | "up" | "bypassed" | "failed";
  in: number;
  inQueued: number;
  inMax: number;
  out: number;
  outQueued: number;
  outMax: number;
  errors: number;
  /** Contexts offered again for undo because a later provider failed them. */
  undone: number;
  yields: number;
  /** Calls that ended in an exception. */
  exceptions: number;
  /** Why it is not up. */
  reason?: string;
  /** Of a plugin. */
  plugin?: PluginJson;
}

/** `GET /v1/providers`. */
export interface ProvidersJson {
  providers: ProviderJson[];
}

/** What `GET /v1/providers` says of a provider that is a plugin. */
export interface PluginJson {
  path: string;
  /** Its process; absent while there is none. */
  pid?: number;
  failClosed: boolean;
  counters: Record<Exclude<PluginCounterName, "pid">, number>;
  /** Its own. */
  metrics: (PluginMetric & { value: number })[];
}

/** `POST /v1/providers/NAME/restart`. */
export interface ProviderRestartJson {
  provider: string;
  restarted: true;
}
