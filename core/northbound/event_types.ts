/** The events of `GET /v1/events`, as JSON. Pure types. */
import type { ResultJson } from "./api_types.ts";

/** Data of the SSE event `result`. */
export interface ResultEventJson extends Omit<ResultJson, "line"> {
  owner: string;
  /** Milliseconds since the Unix epoch. */
  time: number;
}

/** Data of the SSE event `kernel`: a change that somebody made or that happened by itself. */
export interface KernelEventJson {
  time: number;
  object: "link" | "address" | "route" | "nexthop";
  action: "new" | "delete";
  /** The object in iproute2's words, such as `v0 state DOWN` or `203.0.113.0/24 table 254 proto bird metric 0 by bird[9]`. */
  text: string;
  /** Of a route: what names it. */
  prefix?: string;
  source?: string;
  table?: number;
  metric?: number;
}

/** Data of the SSE event `health`: the daemon's state changed. */
export interface HealthEventJson {
  time: number;
  ready: boolean;
  reasons: string[];
}

/** Data of the SSE event `drift`: the kernel was found to hold something else than was confirmed. */
export interface DriftEventJson {
  time: number;
  kind: "missing" | "changed" | "unexpected";
  prefix: string;
  source?: string;
  table: number;
  metric: number;
  owner: string;
  /** Who was heard to do it: a process, or the kernel. */
  by?: string;
  /** When it is repaired; 0 for at once. Later and later for a route that is fought over. */
  repairInMs: number;
  /** How often this route has been found different lately. */
  times: number;
}

/** Data of the SSE event `nexthop_drift`: the same of a nexthop object. */
export interface NexthopDriftEventJson {
  time: number;
  kind: "missing" | "changed" | "unexpected";
  /** Its number in the kernel. */
  id: number;
  /** Groups that it stands for, or is a member of. */
  nexthopGroups: number[];
  by?: string;
  /** When these are repaired; 0 for at once. */
  repairInMs: number;
  /** How often one of them has been found different lately. */
  times: number;
}

/** Data of the SSE event `lost`: the listener did not keep up, and events were left out for it. */
export interface LostEventJson {
  time: number;
  count: number;
}

/** Every SSE event of `GET /v1/events` by its name. */
export interface EventsJson {
  result: ResultEventJson;
  kernel: KernelEventJson;
  drift: DriftEventJson;
  nexthop_drift: NexthopDriftEventJson;
  health: HealthEventJson;
  lost: LostEventJson;
}
