/**
 * `GET /v1/overview`: all that the dashboard and `dplaned top` show, in one answer a second that is cheap to make. With
 * the cursor of the answer before, it leaves out what that one told already. Main thread.
 */
import process from "node:process";
import { LATENCY_BOUNDS_MS, LATENCY_STAGES } from "../rib/latency.ts";
import type { NexthopGroup } from "../rib/nexthop_group.ts";
import type { ApiParts } from "./api.ts";
import { describeAudits } from "./audit_api.ts";
import type { NorthboundCounters } from "./counters.ts";
import { type Endpoints, json } from "./endpoint.ts";
import { readFpmClients } from "./fpm_client_json.ts";
import type { LoopLag } from "./loop_lag.ts";
import { describeNexthopGroup } from "./nexthop_group_json.ts";
import type { LatenciesJson, NexthopGroupsOverviewJson, OverviewJson } from "./overview_types.ts";
import { describeOwners } from "./owners_api.ts";
import { OVERVIEW_PARAMETERS } from "./parameters.ts";
import { Problem } from "./problem.ts";
import { readQuery } from "./query.ts";
import { describeTroubles } from "./route_history.ts";
import { describeDplane, describeProviders, readinessReasons } from "./status.ts";
import type { Trend } from "./trend.ts";

const OWNERS_SHOWN = 100;
const GROUPS_SHOWN = 20;
const MEMBERS_SHOWN = 16;

export interface OverviewParts extends ApiParts {
  counters: NorthboundCounters;
  lag: LoopLag;
  trend: Trend;
}

export function overviewEndpoints(parts: OverviewParts): Endpoints {
  return {
    "/v1/overview": {
      GET: (context) => {
        const { cursor } = readQuery(context.req.url, OVERVIEW_PARAMETERS);
        return json(describeOverview(parts, cursor));
      },
    },
  };
}

function describeOverview(parts: OverviewParts, cursor: string | undefined): OverviewJson {
  const { rib, dataplane, journal, events, counters, lag, trend, version, fpmServer = () => null } = parts;
  const startedAt = Math.round(parts.startedAt);
  const seen = readCursor(cursor, startedAt);
  const { user, system } = process.cpuUsage();
  const reasons = readinessReasons(dataplane, parts.readiness());
  const owners = describeOwners(rib).owners.filter(({ name, routes }) => name !== "" || routes > 0);
  const { ipv4, ipv6 } = rib.counts();
  return {
    time: Date.now(),
    startedAt,
    version,
    ready: reasons.length === 0,
    reasons,
    workers: [...parts.workers()],
    process: {
      rssBytes: process.memoryUsage.rss(),
      cpuSeconds: (user + system) / 1e6,
      loopLagMaxMs: Math.round(lag.max() * 1000) / 1000,
    },
    dplane: { ...describeDplane(dataplane, rib), resultsQueued: dataplane.snapshot().resultsQueued },
    providers: describeProviders(dataplane, parts.plugins),
    clients: {
      streams: counters.streamsOpened,
      streamsOpen: counters.streamsOpen,
      bytes: counters.bodyBytes,
      eventListeners: events.subscribers,
    },
    owners: owners.sort((a, b) => b.routes - a.routes).slice(0, OWNERS_SHOWN),
    ownerCount: owners.length,
    routes: { ipv4, ipv6, adopted: rib.owners.nobody.selected },
    nexthopGroups: describeGroups(parts),
    kernel: describeAudits(parts),
    fpm: { server: fpmServer(), clients: readFpmClients(parts.fpmClients ?? []) },
    latencies: describeLatencies(parts),
    trend: trend.from(seen.samples + 1),
    troubles: describeTroubles(parts, seen.troubles + 1),
    cursor: `${startedAt}.${trend.total}.${journal.troubles?.total ?? 0}`,
  };
}

/** How much a client has seen; nothing where its cursor is of an earlier life of the daemon. */
function readCursor(cursor: string | undefined, startedAt: number): { samples: number; troubles: number } {
  if (cursor === undefined) return { samples: 0, troubles: 0 };
  const match = /^(\d{1,16})\.(\d{1,16})\.(\d{1,16})$/.exec(cursor);
  if (match === null) throw new Problem(400, `${JSON.stringify(cursor)} is no cursor`);
  const [life, samples, troubles] = match.slice(1).map(Number) as [number, number, number];
  return life === startedAt ? { samples, troubles } : { samples: 0, troubles: 0 };
}

function describeGroups({ groups, dataplane, links }: OverviewParts): NexthopGroupsOverviewJson {
  const failed: NexthopGroup[] = [];
  const waiting: NexthopGroup[] = [];
  const others: NexthopGroup[] = [];
  const answer = { count: groups.count, failed: 0, waiting: 0, objects: groups.objects.count };
  for (const group of groups.list()) {
    const isProgrammed = groups.isInline || (group.object !== null && group.accepted === group.wanted);
    if (!isProgrammed && group.failure !== null) answer.failed += 1;
    else if (!isProgrammed) answer.waiting += 1;
    const list = isProgrammed ? others : group.failure !== null ? failed : waiting;
    if (list.length < GROUPS_SHOWN) list.push(group);
  }
  const shown = [...failed, ...waiting, ...others].slice(0, GROUPS_SHOWN).map((group) => ({
    ...describeNexthopGroup(group, groups, links, (id) => dataplane.providerName(id), MEMBERS_SHOWN),
    memberCount: group.wanted.members.length,
  }));
  return { ...answer, groups: shown };
}

function describeLatencies({ rib }: OverviewParts): LatenciesJson {
  const stages = LATENCY_STAGES.map((stage) => {
    const { count, sumMs, buckets } = rib.latencies[stage];
    return [stage, { count, sumMs: Math.round(sumMs * 1000) / 1000, buckets: [...buckets] }] as const;
  });
  return { boundsMs: LATENCY_BOUNDS_MS, stages: Object.fromEntries(stages) as LatenciesJson["stages"] };
}
