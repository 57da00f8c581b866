/** The JSON of `GET /v1/overview`, which the dashboard and `dplaned top` are made of. Pure types. */
import type { LatencyStage } from "../rib/latency.ts";
import type {
  AuditStatusJson,
  DplaneJson,
  FpmJson,
  HistoryEntryJson,
  NexthopGroupJson,
  OwnerJson,
  RouteKeyJson,
  WorkerHealthJson,
} from "./api_types.ts";
import type { ProviderJson } from "./provider_types.ts";
import type { TrendJson } from "./trend.ts";

/** A failure or a drift, and whose route it is about. */
export type TroubleJson = RouteKeyJson & HistoryEntryJson;

/** Nexthop groups, those first that are not as they should be; of each the first members. */
export interface NexthopGroupsOverviewJson {
  count: number;
  failed: number;
  waiting: number;
  /** Nexthop objects of dplaned in the kernel. */
  objects: number;
  groups: (NexthopGroupJson & { memberCount: number })[];
}

export interface LatenciesJson {
  /** Upper bounds of the buckets, in milliseconds; behind the last there is one more bucket. */
  boundsMs: readonly number[];
  /** Observations since the start by stage and bucket. */
  stages: Record<LatencyStage, { count: number; sumMs: number; buckets: number[] }>;
}

/** `GET /v1/overview`. */
export interface OverviewJson {
  /** Milliseconds since the Unix epoch: now, and when the daemon started. */
  time: number;
  startedAt: number;
  version: string;
  ready: boolean;
  reasons: string[];
  workers: WorkerHealthJson[];
  process: { rssBytes: number; cpuSeconds: number; loopLagMaxMs: number };
  dplane: DplaneJson & { resultsQueued: number };
  providers: ProviderJson[];
  /** Streams of updates since the start and open now; bytes read of them; listeners to the stream of events. */
  clients: { streams: number; streamsOpen: number; bytes: number; eventListeners: number };
  /** The owners with the most routes. */
  owners: OwnerJson[];
  ownerCount: number;
  /** Routes of the RIB by family, and those of them that were found in the kernel and are nobody's. */
  routes: { ipv4: number; ipv6: number; adopted: number };
  nexthopGroups: NexthopGroupsOverviewJson;
  kernel: AuditStatusJson;
  fpm: FpmJson;
  latencies: LatenciesJson;
  /** By second: all that are kept, or those that came behind the request's cursor. */
  trend: TrendJson;
  /** Failures and drift, oldest first, as with the trend. */
  troubles: TroubleJson[];
  /** For the next request. */
  cursor: string;
}
