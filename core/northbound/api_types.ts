/**
 * The JSON that the HTTP API and its clients (the command line, the dashboard, tests) exchange. Types only, so that both
 * ends compile against the same contract; DESIGN section 1 fixes the names. Any thread.
 */

/** What became of one update; the wire's spelling. */
export type ResultStatus = "fib_programmed" | "fib_failed" | "rib_programmed" | "skipped" | "superseded" | "rejected";

/** Words of a route's type, in iproute2's spelling. */
export type RouteTypeName = "unicast" | "blackhole" | "unreachable" | "prohibit" | "throw";

/** Content types of a body of updates: what `POST /v1/routes` and a full-state sync take. */
export const UPDATE_CONTENT_TYPES = {
  ndjson: "application/x-ndjson",
  json: "application/json",
  /** Lines as `ip -batch` takes them: `route add|replace|del …`. */
  iproute2: "text/x-iproute2",
} as const;
export type UpdateFormat = keyof typeof UPDATE_CONTENT_TYPES;

export const PROBLEM_CONTENT_TYPE = "application/problem+json";

export interface NexthopJson {
  via?: string;
  dev?: string;
  weight?: number;
  onlink?: boolean;
  labels?: number[];
  seg6?: { mode: string; segs: string[] };
}

/** One update as a client writes it, and the fields with which a held route is shown. */
export interface UpdateJson {
  op?: "install" | "delete";
  prefix: string;
  source?: string;
  table?: number;
  vrf?: string;
  type?: RouteTypeName;
  nexthops?: NexthopJson[];
  nexthopGroup?: number;
  metric?: number;
  distance?: number;
  protocol?: number | string;
  tag?: number;
  mtu?: number;
  prefsrc?: string;
}

export interface ErrorJson {
  /** An errno name of the kernel's answer, or a code of dplaned's own (`syntax`, `unknown_field`, …). */
  code: string;
  message: string;
  /** Field of the update that is wrong; given with `rejected`. */
  field?: string;
  /** What the administrator may do about it. */
  hint?: string;
}

/** A result line: exactly one for each update. */
export interface ResultJson {
  /** Number of the update's line (or array element) in the request's body, from 1. */
  line: number;
  op?: "install" | "delete";
  /** Absent where the line could not be read so far. */
  prefix?: string;
  source?: string;
  table?: number;
  metric?: number;
  status: ResultStatus;
  provider?: string;
  error?: ErrorJson;
  /** With `rib_programmed`: the owner whose route is in the FIB instead, or what the route waits for. */
  winner?: string;
  waitingFor?: string;
}

/** Counts of a request's results. */
export interface SummaryJson {
  received: number;
  fibProgrammed: number;
  fibFailed: number;
  ribProgrammed: number;
  skipped: number;
  superseded: number;
  rejected: number;
  elapsedMs: number;
}

/** The last line of an answer to `POST /v1/routes`. */
export interface SummaryLineJson {
  summary: SummaryJson;
}

/** `application/problem+json` (RFC 9457), for every error of the API. */
export interface ProblemJson {
  type?: string;
  title: string;
  status: number;
  detail?: string;
  hint?: string;
}

/** A route as `GET /v1/routes` shows it: the update's own fields, and what became of it. */
export interface RouteJson extends UpdateJson {
  table: number;
  metric: number;
  type: RouteTypeName;
  owner: string;
  status: ResultStatus;
  provider?: string;
  error?: ErrorJson;
  winner?: string;
  waitingFor?: string;
  /** When the status was reached, in milliseconds since the Unix epoch. */
  since?: number;
}

/** `GET /v1/routes` as JSON; as NDJSON it is one {@linkcode RouteJson} a line, without a page's end. */
export interface RouteListJson {
  routes: RouteJson[];
  /** Present when there are more: the `cursor` of the next request. */
  cursor?: string;
}

/** Query parameters of `GET /v1/routes`. */
export interface RouteListQuery {
  prefix?: string;
  /** With `prefix`: it and everything more specific. */
  longer?: "true";
  /** Table number, or the name of a VRF. */
  table?: string;
  owner?: string;
  status?: ResultStatus;
  family?: "ipv4" | "ipv6";
  limit?: string;
  cursor?: string;
}

/** `GET /v1/lookup`. */
export interface LookupJson {
  address: string;
  table: number;
  route: RouteJson | null;
}

/** `GET /v1/dplane`. */
export interface DplaneJson {
  routeUpdates: number;
  routeUpdateErrors: number;
  queueLimit: number;
  queueDepth: number;
  queueMax: number;
  yields: number;
  cycles: number;
  updatesSkipped: number;
  workLimit: number;
  pool: { size: number; free: number };
  results: {
    fibProgrammed: number;
    fibFailed: number;
    skipped: number;
    superseded: number;
    rejected: number;
    ribProgrammed: number;
  };
  state: "running" | "starting" | "stopping" | "failed";
  /** How often a failed dataplane thread was replaced. */
  restarts: number;
}

export interface ProviderJson {
  id: number;
  name: string;
  kind: string;
  priority: string;
  threaded: boolean;
  state: "up" | "failed" | "stuck";
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
}

/** `GET /v1/providers`. */
export interface ProvidersJson {
  providers: ProviderJson[];
}

export interface WorkerHealthJson {
  name: string;
  alive: boolean;
  heartbeatAgeMs: number;
}

/** `GET /healthz`; the same body with 200 and 503. */
export interface HealthJson {
  status: "ok" | "failed";
  version: string;
  uptimeSeconds: number;
  workers: WorkerHealthJson[];
}

/** `GET /readyz`; the same body with 200 and 503. */
export interface ReadyJson {
  ready: boolean;
  reasons: string[];
}

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
  /** The object in iproute2's words, such as `v0 state DOWN` or `203.0.113.0/24 via 10.0.0.2 dev v0`. */
  text: string;
}

/** Data of the SSE event `health`: the daemon's state changed. */
export interface HealthEventJson {
  time: number;
  ready: boolean;
  reasons: string[];
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
  health: HealthEventJson;
  lost: LostEventJson;
}
