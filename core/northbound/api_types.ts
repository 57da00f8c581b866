/**
 * The JSON that the HTTP API and its clients (the command line, the dashboard, tests) exchange. Types only, so that both
 * ends compile against the same contract; DESIGN section 1 fixes the names. Any thread.
 */

import type { FpmCounter } from "./fpm/fpm_counters.ts";
import type { IgnoredReason } from "./fpm/fpm_route.ts";
import type { FpmClientJson } from "./fpm_client_json.ts";

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
  /** Providers that were down, or did not decide: it went on without their word. */
  bypassed?: string[];
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
  /** Results among them that say `bypassed`; absent where none does. */
  bypassed?: number;
  elapsedMs: number;
}

/** The last line of an answer to `POST /v1/routes`. */
export interface SummaryLineJson {
  summary: SummaryJson;
}

/** Counts of a full-state sync: those of its writes, and what became of the body's routes. */
export interface SyncSummaryJson extends SummaryJson {
  /** Nothing had to be written. */
  unchanged: number;
  installed: number;
  updated: number;
  deleted: number;
  /** Found in the kernel at the start, in tables of this owner only, and not claimed: taken away. */
  swept: number;
  /** Why the sync did not come to its end. What it had not come to is as before, and nothing more was deleted. */
  error?: ErrorJson;
}

/** What an update would have the kernel do. */
export type PlanName = "add" | "replace" | "delete" | "none";

/** A line of a dry run: exactly one for each update that would be taken, and of a sync one for each route it would delete. */
export interface PlanJson {
  /** As in results; 0 for what is not in the body. */
  line: number;
  op: "install" | "delete";
  prefix: string;
  source?: string;
  table: number;
  plan: PlanName;
  /** What the kernel holds, with `replace` and `delete`. */
  old?: RouteJson;
  /** What it would hold, with `add` and `replace`. */
  new?: RouteJson;
  /** Owner whose route is in the FIB then, where that is another. */
  winner?: string;
  waitingFor?: string;
}

export interface PlanSummaryJson {
  received: number;
  add: number;
  replace: number;
  delete: number;
  none: number;
  rejected: number;
  elapsedMs: number;
}

/** An entry of `GET /v1/owners`. */
export interface OwnerJson {
  /** Empty for what was found in the kernel at the start and is nobody's. */
  name: string;
  /** It is in the configuration. */
  configured: boolean;
  distance: number;
  /** 0 for none. */
  prefixLimit: number;
  /** Empty for all. */
  tables: number[];
  takeOver: boolean;
  /** Its clients must show a token to write. */
  hasToken: boolean;
  /** Clients with certain certificates may write as it over TCP. */
  hasCertificates: boolean;
  /** Routes that it wants; those of them that are for the FIB, and those behind another owner's. */
  routes: number;
  selected: number;
  held: number;
  /** A full-state sync of it is under way. */
  syncing: boolean;
  /** When its last one came to its end, in milliseconds since the Unix epoch; 0 for never. */
  syncedAt: number;
}

/** `GET /v1/owners`. */
export interface OwnersJson {
  owners: OwnerJson[];
}

/** `application/problem+json` (RFC 9457), for every error of the API. */
export interface ProblemJson {
  type?: string;
  title: string;
  status: number;
  detail?: string;
  hint?: string;
  /** With a full-state sync that was refused: how many updates of its body are wrong, and the first of them. */
  errorCount?: number;
  errors?: LineErrorJson[];
}

/** What is wrong with one update of a body. */
export interface LineErrorJson {
  line: number;
  error: ErrorJson;
}

/** A route as `GET /v1/routes` shows it: the update's own fields, and what became of it. */
export interface RouteJson extends UpdateJson {
  table: number;
  metric: number;
  type: RouteTypeName;
  owner: string;
  /** Found in the kernel at the start, and nobody's since. */
  adopted?: true;
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

/** What makes a group resilient: flows keep their nexthop while it lives. Timers are in seconds. */
export interface ResilientJson {
  buckets: number;
  /** How long a bucket carries nothing before it may move to another nexthop; 120 where nothing is said. */
  idleTimer?: number;
  /** How long the group may be unbalanced before buckets move all the same; 0, the default, is for ever. */
  unbalancedTimer?: number;
}

/** `PUT /v1/nexthop-groups/ID`. */
export interface NexthopGroupUpdateJson {
  members: NexthopJson[];
  /** Used while no member can be. */
  backup?: NexthopJson[];
  resilient?: ResilientJson;
}

/** A nexthop of a group as it stands. */
export interface NexthopGroupMemberJson extends NexthopJson {
  /** Whether the kernel uses it at this moment. */
  active: boolean;
}

/** A nexthop group as it stands. */
export interface NexthopGroupJson {
  id: number;
  members: NexthopGroupMemberJson[];
  backup?: NexthopGroupMemberJson[];
  resilient?: ResilientJson;
  /** `rib_programmed`: it waits, or each of its routes has the nexthops itself (`inline`). */
  status: "fib_programmed" | "fib_failed" | "rib_programmed";
  error?: ErrorJson;
  provider?: string;
  waitingFor?: string;
  inline?: true;
  /** Number of its object in the kernel, for `ip nexthop show id`. */
  kernelId?: number;
}

/** `GET /v1/nexthop-groups`. */
export interface NexthopGroupsJson {
  nexthopGroups: NexthopGroupJson[];
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

/** What a route says besides its key. */
export type RouteAttributesJson = Omit<UpdateJson, "op" | "prefix" | "source" | "table" | "vrf" | "metric"> & {
  type: RouteTypeName;
};

/** What one owner wants of a route. */
export interface ClaimJson {
  /** Empty for a route that was found in the kernel at the start, and that nobody has claimed since. */
  owner: string;
  distance: number;
  /** It is the one for the forwarding plane. */
  selected: boolean;
  /** Why it is not: another's distance is lower, or as low and it came first, or the kernel refuses this one. */
  notSelected?: "higher_distance" | "came_later" | "refused";
  attributes: RouteAttributesJson;
  /** Why it was refused. */
  provider?: string;
  error?: ErrorJson;
}

export type HistoryEvent = "result" | "swept" | "drift" | "repair_delayed" | "promoted" | "displaced" | "retried";

/** Something that happened to a route. */
export interface HistoryEntryJson {
  /** Milliseconds since the Unix epoch. */
  time: number;
  event: HistoryEvent;
  /** What the rest says, in a sentence for people. */
  summary: string;
  /** Who asked; absent where the daemon itself wrote. Of other events: whose route it is about. */
  owner?: string;
  /** Of a result: what was asked for, and what became of it. */
  op?: "install" | "delete";
  status?: ResultStatus;
  /** Of a result: what was done in the kernel; `none` where it held the same already. */
  change?: "new" | "replace" | "delete" | "none";
  /** Of a result: the owner whose route was written, or is there, instead. */
  winner?: string;
  /** Of a failure; of a success, why what was tried before it failed. */
  provider?: string;
  error?: ErrorJson;
  /** What was asked for or written; absent once no route has these attributes any more. */
  attributes?: RouteAttributesJson;
  /** Time in the queue, from there to the kernel's answer, to the end of all providers, and from there to the result. */
  queueMs?: number;
  kernelMs?: number;
  pipelineMs?: number;
  resultMs?: number;
  /** Of `drift`: how the kernel differs, and of which protocol the route is that is there instead. */
  drift?: "missing" | "changed" | "replaced";
  protocol?: string;
  /** Of `promoted` and `displaced`: the owner whose route went, or is better. */
  other?: string;
  /** Who did it, as far as it is known, or the cause. */
  text?: string;
  /** Of `repair_delayed`: for how long. */
  delayMs?: number;
}

/** What names a route. */
export interface RouteKeyJson {
  prefix: string;
  table: number;
  vrf?: string;
  metric: number;
  source?: string;
}

/** One route and its story; it may be gone by now. */
export interface RouteStoryJson extends RouteKeyJson {
  route: RouteJson | null;
  /** In the order in which they would be selected. */
  claims: ClaimJson[];
  /** What the kernel holds, where that is not what is wanted; null for nothing. */
  kernel?: RouteAttributesJson | null;
  /** When the daemon writes it again by itself. */
  nextTryMs?: number;
  /** Oldest first. */
  entries: HistoryEntryJson[];
}

/** `GET /v1/routes/history`. */
export interface RouteHistoryJson {
  /** What happened before is no longer known, in milliseconds since the Unix epoch; absent if everything is. */
  since?: number;
  /** Older entries of these routes that are known, and were not asked for. */
  omitted: number;
  routes: RouteStoryJson[];
}

/** Query parameters of `GET /v1/routes/history`. */
export interface RouteHistoryQuery {
  prefix: string;
  table?: string;
  source?: string;
  metric?: string;
  limit?: string;
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

/** What an audit came to: the kernel's routes compared with what was confirmed. */
export interface AuditJson {
  /** Routes of dplaned that the kernel holds. */
  routes: number;
  /** Found gone; they are installed again. */
  missing: number;
  /** Found leading elsewhere; they are replaced. */
  changed: number;
  /** Found although nobody asked for them; they are removed. */
  unexpected: number;
  /** Nexthop objects found gone, changed or used by nobody; they are put right. */
  nexthops: number;
  /** False if others wrote all the time, so that the next audit may find more. */
  complete: boolean;
  elapsedMs: number;
}

/** `GET /v1/audit`. */
export interface AuditStatusJson {
  /** Audits since the start. */
  audits: number;
  last: (AuditJson & { time: number }) | null;
  /** Differences found since the start. */
  drift: { missing: number; changed: number; unexpected: number };
  /** The same of nexthop objects. */
  nexthopDrift: { missing: number; changed: number; unexpected: number };
  /** Routes that are to be written by dplaned itself, now and later. */
  repairs: { queued: number; delayed: number };
  /** Routes that the kernel has refused. */
  failed: number;
  /** Routes that more than one owner wants. */
  contested: number;
  /** Refused routes that were tried again. */
  retries: number;
  /** How often notifications of the kernel were lost, after which it is read. */
  overruns: number;
}

/** One peer of the FPM server, over all of its connections. */
export interface FpmPeerJson extends Record<FpmCounter, number> {
  address: string;
  owner: string;
  /** `replaying`: connected, not all may have been told yet; `settled`; `down`: gone, its routes are kept; `gone`: they are not. */
  state: "replaying" | "settled" | "down" | "gone";
  /** When it came to this state, in milliseconds since the Unix epoch. */
  since: number;
  /** Routes of the owner. */
  held: number;
  /** Nexthops and groups that the peer has told of. */
  nexthopObjects: number;
  /** Of these the ones that routes are on and that are not explained yet. */
  parkedNexthops: number;
  /** Groups of ours that stand for them. */
  nexthopGroups: number;
  /** Messages that are left alone, by reason. */
  ignored: Record<IgnoredReason, number>;
  /** What could not be read last. */
  lastError?: string;
}

export interface FpmServerJson {
  listen: string;
  /** Connections of those who may not. */
  refused: number;
  peers: FpmPeerJson[];
}

/** `POST /v1/fpm/clients/NAME/replay`: all is sent again, from now on. */
export interface FpmReplayJson {
  client: string;
  replaying: true;
}

/** `GET /v1/fpm`. */
export interface FpmJson {
  /** Null when `[fpm] listen` is off. */
  server: FpmServerJson | null;
  /** Providers that export to an FPM server. */
  clients: FpmClientJson[];
}
