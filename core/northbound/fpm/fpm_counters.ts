/** What is counted of one FPM peer, over all of its connections: the API, the metrics and the CLI derive from this table. */
import { IGNORED_REASONS, type IgnoredReason } from "./fpm_route.ts";

/** Each counter with its meaning. */
export const FPM_COUNTERS = {
  connects: "Connections begun.",
  closes: "Connections ended.",
  bytesRead: "Bytes read.",
  bytesSent: "Bytes sent back.",
  frames: "Frames read.",
  routes: "Routes that were told.",
  deletes: "Deletions of routes that were told.",
  nexthops: "Nexthops that were told of or deleted.",
  programmed: "Updates that the kernel has confirmed.",
  failed: "Updates that failed.",
  unchanged: "Routes that were just so already, and of which nothing was written.",
  replaced: "Deletions and installs of one frame that were carried out as one change.",
  deferred: "Routes noted for later, because the dataplane had no room for a second.",
  swept: "Routes removed because they were not told again after a reconnect, or the peer stayed away.",
  errors: "Messages and frames that could not be read, and routes that could not be taken.",
} as const;
export type FpmCounter = keyof typeof FPM_COUNTERS;

export type FpmCounters = Record<FpmCounter, number> & { readonly ignored: Record<IgnoredReason, number> };

export function createFpmCounters(): FpmCounters {
  const zeros = <K extends string>(names: readonly K[]) =>
    Object.fromEntries(names.map((name) => [name, 0])) as Record<K, number>;
  return { ...zeros(Object.keys(FPM_COUNTERS) as FpmCounter[]), ignored: zeros(IGNORED_REASONS) };
}
