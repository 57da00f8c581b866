/** What happened between two answers of `GET /v1/overview`, as `dplaned top` shows it and prints it with --json. Pure. */
import { LATENCY_STAGES, type LatencyStage, quantileMs } from "../../rib/latency.ts";
import type { OverviewJson, TroubleJson } from "../overview_types.ts";

export interface ProviderSample {
  name: string;
  kind: string;
  priority: string;
  state: string;
  reason?: string;
  inPerSecond: number;
  outPerSecond: number;
  errorsPerSecond: number;
  inQueued: number;
  inMax: number;
  outQueued: number;
  outMax: number;
  errors: number;
}

export interface OwnerSample {
  /** Empty for what is nobody's. */
  name: string;
  routes: number;
  held: number;
  /** How its routes have become more or fewer. */
  routesPerSecond: number;
  distance: number;
  prefixLimit: number;
  syncing: boolean;
  syncedAt: number;
}

/** A line of `dplaned top --json`. Rates are per second over the interval; quantiles are null where nothing was measured. */
export interface TopSample {
  /** Milliseconds since 1970, and the length of the interval. */
  time: number;
  seconds: number;
  version: string;
  uptimeSeconds: number;
  ready: boolean;
  reasons: string[];
  rates: Record<
    "updates" | "programmed" | "failed" | "held" | "superseded" | "skipped" | "rejected" | "yields",
    number
  >;
  queue: { depth: number; limit: number; max: number; results: number };
  routes: { ipv4: number; ipv6: number; adopted: number; refused: number; contested: number };
  latencyMs: Record<LatencyStage, { p50: number | null; p99: number | null }>;
  kernel: { drift: number; repairs: number; retries: number; audits: number; lastAudit: number | null };
  providers: ProviderSample[];
  owners: OwnerSample[];
  nexthopGroups: { count: number; failed: number; waiting: number };
  process: { rssBytes: number; cpuPercent: number; loopLagMaxMs: number; streamsOpen: number };
  /** Failures and drift that were new in the interval, oldest first. */
  troubles: TroubleJson[];
}

/** `now` and `before` are of one life of the daemon. */
export function compareOverviews(now: OverviewJson, before: OverviewJson): TopSample {
  const seconds = Math.max(1, now.time - before.time) / 1000;
  const rate = (read: (overview: OverviewJson) => number): number => round((read(now) - read(before)) / seconds);
  const result = (name: keyof OverviewJson["dplane"]["results"]): number => rate(({ dplane }) => dplane.results[name]);
  const { dplane, kernel, routes, nexthopGroups } = now;
  return {
    time: now.time,
    seconds: round(seconds),
    version: now.version,
    uptimeSeconds: round((now.time - now.startedAt) / 1000),
    ready: now.ready,
    reasons: now.reasons,
    rates: {
      updates: rate(({ dplane }) => dplane.routeUpdates),
      programmed: result("fibProgrammed"),
      failed: result("fibFailed"),
      held: result("ribProgrammed"),
      superseded: result("superseded"),
      skipped: result("skipped"),
      rejected: result("rejected"),
      yields: rate(({ dplane }) => dplane.yields),
    },
    queue: {
      depth: dplane.queueDepth,
      limit: dplane.queueLimit,
      max: dplane.queueMax,
      results: dplane.resultsQueued,
    },
    routes: { ...routes, refused: kernel.failed, contested: kernel.contested },
    latencyMs: compareLatencies(now, before),
    kernel: {
      drift: sum(kernel.drift) + sum(kernel.nexthopDrift),
      repairs: kernel.repairs.queued + kernel.repairs.delayed,
      retries: kernel.retries,
      audits: kernel.audits,
      lastAudit: kernel.last?.time ?? null,
    },
    providers: compareProviders(now, before, seconds),
    owners: compareOwners(now, before, seconds),
    nexthopGroups: { count: nexthopGroups.count, failed: nexthopGroups.failed, waiting: nexthopGroups.waiting },
    process: {
      rssBytes: now.process.rssBytes,
      cpuPercent: round(100 * rate(({ process }) => process.cpuSeconds)),
      loopLagMaxMs: now.process.loopLagMaxMs,
      streamsOpen: now.clients.streamsOpen,
    },
    troubles: now.troubles,
  };
}

function compareLatencies(now: OverviewJson, before: OverviewJson): TopSample["latencyMs"] {
  const stages = LATENCY_STAGES.map((stage) => {
    const earlier = before.latencies.stages[stage].buckets;
    const buckets = now.latencies.stages[stage].buckets.map((count, index) => count - (earlier[index] ?? 0));
    const quantile = (share: number): number | null => {
      const value = quantileMs(buckets, share);
      return Number.isNaN(value) ? null : round(value);
    };
    return [stage, { p50: quantile(0.5), p99: quantile(0.99) }] as const;
  });
  return Object.fromEntries(stages) as TopSample["latencyMs"];
}

function compareProviders(now: OverviewJson, before: OverviewJson, seconds: number): ProviderSample[] {
  return now.providers.map((provider) => {
    const { name, kind, priority, state, reason, inQueued, inMax, outQueued, outMax, errors } = provider;
    const earlier = before.providers.find(({ id }) => id === provider.id) ?? provider;
    return {
      name,
      kind,
      priority,
      state,
      ...(reason === undefined ? {} : { reason }),
      inPerSecond: round((provider.in - earlier.in) / seconds),
      outPerSecond: round((provider.out - earlier.out) / seconds),
      errorsPerSecond: round((errors - earlier.errors) / seconds),
      inQueued,
      inMax,
      outQueued,
      outMax,
      errors,
    };
  });
}

function compareOwners(now: OverviewJson, before: OverviewJson, seconds: number): OwnerSample[] {
  const earlier = new Map(before.owners.map(({ name, routes }) => [name, routes]));
  return now.owners.map(({ name, routes, held, distance, prefixLimit, syncing, syncedAt }) => {
    const routesPerSecond = round((routes - (earlier.get(name) ?? 0)) / seconds);
    return { name, routes, held, routesPerSecond, distance, prefixLimit, syncing, syncedAt };
  });
}

function sum(counts: Readonly<Record<string, number>>): number {
  return Object.values(counts).reduce((total, value) => total + value, 0);
}

function round(value: number): number {
  return Math.round(value * 1000) / 1000;
}
