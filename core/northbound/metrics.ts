/**
 * `GET /metrics`: everything that is counted, in Prometheus' text format. Nothing is counted twice for it: each metric
 * here is read off the daemon's own counters when somebody scrapes. Main thread.
 */

import process from "node:process";
import { type Metric, Registry } from "@prometheus-io/client";
import { epochOffset } from "../clock.ts";
import type { Dataplane } from "../dataplane/dataplane.ts";
import type { ProviderSnapshot } from "../dataplane/registry.ts";
import { FPM_CLIENT_COUNTERS, readFpmClientCounters } from "../model/fpm_client_counters.ts";
import { PLUGIN_COUNTERS } from "../model/plugin_counters.ts";
import { LATENCY_BOUNDS_MS, LATENCY_STAGES, type LatencyHistogram, type LatencyStage } from "../rib/latency.ts";
import type { NexthopGroups } from "../rib/nexthop_groups.ts";
import type { FpmPeerJson, FpmServerJson } from "./api_types.ts";
import type { AuditParts } from "./audit_api.ts";
import type { NorthboundCounters } from "./counters.ts";
import { EVENT_NAMES, type EventBus } from "./events.ts";
import { FPM_COUNTERS, type FpmCounter } from "./fpm/fpm_counters.ts";
import type { FpmClient } from "./fpm_client_json.ts";
import type { LoopLag } from "./loop_lag.ts";
import type { Plugins } from "./plugins.ts";

export interface MetricsParts extends AuditParts {
  groups: NexthopGroups;
  fpmClients?: readonly FpmClient[];
  plugins?: Plugins;
  dataplane: Dataplane;
  counters: NorthboundCounters;
  events: EventBus;
  version: string;
  /** When the process started, on the clock of core/clock.ts. */
  startedAt: number;
  isReady: () => boolean;
  /** The FPM server; null where there is none. */
  fpmServer?: () => FpmServerJson | null;
  lag: LoopLag;
}

interface Sample {
  labels?: Readonly<Record<string, string | number>>;
  value: number;
  /** Where it differs from the metric's: a histogram's `_bucket`, `_sum` and `_count`. */
  metricName?: string;
}

interface Source {
  name: string;
  help: string;
  type: "counter" | "gauge" | "histogram";
  read: () => Sample[];
}

export function createMetrics(parts: MetricsParts): Registry {
  const registry = new Registry();
  const sources = [
    ...processSources(parts),
    ...dataplaneSources(parts),
    ...providerSources(parts),
    ...ribSources(parts),
    ...kernelSources(parts),
    ...fpmClientSources(parts),
    ...pluginSources(parts),
    ...northboundSources(parts),
    ...fpmSources(parts),
  ];
  for (const source of sources) register(registry, source);
  return registry;
}

function register(registry: Registry, { name, help, type, read }: Source): void {
  const get = async () => ({ name, help, type, aggregator: "sum", values: read().map(completeSample) });
  // The registry asks a metric for nothing but this; ours keep no values of their own.
  registry.registerMetric({ name, get } as unknown as Metric<string>);
}

/** Adds what plugins count by themselves, which is known when they are up: `bogons` is dplaned_plugin_bogons_total. */
export function registerOwnMetrics(registry: Registry, plugins: Plugins): void {
  for (const metric of plugins.ownMetrics().values()) {
    const name = `dplaned_plugin_${metric.name}${metric.type === "counter" ? "_total" : ""}`;
    if (registry.getSingleMetric(name) !== undefined) continue;
    const read = () => plugins.ownValues(metric).map(({ provider, value }) => ({ labels: { provider }, value }));
    register(registry, { name, help: metric.help, type: metric.type, read });
  }
}

function completeSample({ labels = {}, ...rest }: Sample): Sample {
  return { labels, ...rest };
}

function counter(name: string, help: string, read: () => number): Source {
  return { name, help, type: "counter", read: () => [{ value: read() }] };
}

function gauge(name: string, help: string, read: () => number): Source {
  return { name, help, type: "gauge", read: () => [{ value: read() }] };
}

function processSources({ version, startedAt, isReady, lag }: MetricsParts): Source[] {
  const runtime = "Deno" in globalThis ? "deno" : "bun";
  return [
    {
      name: "dplaned_build_info",
      help: "1, with the version of dplaned and the runtime that it runs on.",
      type: "gauge",
      read: () => [{ labels: { version, runtime }, value: 1 }],
    },
    gauge("dplaned_ready", "1 if startup is done and all providers are up, else 0.", () => (isReady() ? 1 : 0)),
    gauge("process_resident_memory_bytes", "Resident memory of the process.", () => process.memoryUsage.rss()),
    gauge("process_start_time_seconds", "When the process started, in seconds since 1970.", () =>
      Math.round((startedAt + epochOffset()) / 1000),
    ),
    {
      name: "process_cpu_seconds_total",
      help: "Processor time of all threads of the process.",
      type: "counter",
      read: () => {
        const { user, system } = process.cpuUsage();
        return [{ value: (user + system) / 1e6 }];
      },
    },
    gauge("dplaned_event_loop_lag_seconds", "How late the main thread's last timer came.", () => lag.last / 1000),
    gauge(
      "dplaned_event_loop_lag_max_seconds",
      "How late a timer of the main thread came at worst, lately.",
      () => lag.max() / 1000,
    ),
  ];
}

function dataplaneSources({ dataplane, rib }: MetricsParts): Source[] {
  const snapshot = () => dataplane.snapshot();
  const name = (suffix: string) => `dplaned_dplane_${suffix}`;
  return [
    counter(name("route_updates_total"), "Updates given to the dataplane.", () => snapshot().routeUpdates),
    counter(
      name("route_update_errors_total"),
      "Updates that failed or were refused.",
      () => snapshot().routeUpdateErrors + rib.results.fib_failed,
    ),
    gauge(name("queue_limit"), "Updates that may wait in the incoming queue.", () => snapshot().queueLimit),
    gauge(name("queue_depth"), "Updates that wait in the incoming queue.", () => snapshot().queueDepth),
    gauge(name("queue_max"), "Most updates that have ever waited in the incoming queue.", () => snapshot().queueMax),
    counter(name("yields_total"), "Cycles that ended with work left over.", () => snapshot().yields),
    counter(name("cycles_total"), "Cycles of the dataplane loop.", () => snapshot().cycles),
    gauge(name("work_limit"), "Contexts that a provider may take in one cycle.", () => snapshot().workLimit),
    gauge(name("pool_size"), "Contexts in the pool.", () => snapshot().poolSize),
    gauge(name("pool_free"), "Contexts that are free.", () => snapshot().poolFree),
    gauge(name("results_queued"), "Results that the main thread has not taken yet.", () => snapshot().resultsQueued),
    counter(
      name("restarts_total"),
      "How often a dataplane thread that had ended was replaced.",
      () => snapshot().restarts,
    ),
    gauge(
      name("heartbeat_age_seconds"),
      "How long ago the dataplane thread last began a cycle.",
      () => dataplane.heartbeatAgeMs() / 1000,
    ),
  ];
}

/** Metrics of each provider: name, help, type, and where the value is. */
const PROVIDER_METRICS = [
  ["in_total", "Contexts that the provider was given.", "counter", (provider) => provider.in],
  ["out_total", "Contexts that the provider has put out.", "counter", (provider) => provider.out],
  ["errors_total", "Contexts that failed in the provider.", "counter", (provider) => provider.errors],
  ["undone_total", "Contexts offered again to be undone.", "counter", (provider) => provider.undone],
  ["yields_total", "Calls after which the provider asked for another cycle.", "counter", (provider) => provider.yields],
  ["exceptions_total", "Calls that ended in an exception.", "counter", (provider) => provider.exceptions],
  ["in_queue_depth", "Contexts in the provider's in queue and hand.", "gauge", (provider) => provider.inQueued],
  ["in_queue_max", "Most contexts in its in queue and hand so far.", "gauge", (provider) => provider.inMax],
  ["out_queue_depth", "Contexts in the provider's out queue.", "gauge", (provider) => provider.outQueued],
  ["out_queue_max", "Most contexts in its out queue so far.", "gauge", (provider) => provider.outMax],
  ["up", "1 if the provider is up, else 0.", "gauge", (provider) => (provider.state === "up" ? 1 : 0)],
] as const satisfies readonly (readonly [
  string,
  string,
  "counter" | "gauge",
  (provider: ProviderSnapshot) => number,
])[];

function providerSources({ dataplane }: MetricsParts): Source[] {
  return PROVIDER_METRICS.map(([suffix, help, type, valueIn]) => ({
    name: `dplaned_provider_${suffix}`,
    help,
    type,
    read: () =>
      dataplane.providers().map((provider) => ({
        labels: { provider: provider.name, kind: provider.kind, priority: provider.priority },
        value: valueIn(provider),
      })),
  }));
}

/** What FPM clients count, named after the counter: `bytesRead` is dplaned_fpm_client_bytes_read_total. */
function fpmClientSources({ fpmClients = [] }: MetricsParts): Source[] {
  return FPM_CLIENT_COUNTERS.map(([name, type, help]) => {
    const words = name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
    return {
      name: `dplaned_fpm_client_${words}${type === "counter" ? "_total" : ""}`,
      help,
      type,
      read: () =>
        fpmClients.map(({ name: client, address, profile, counters }) => ({
          labels: { client, address, profile },
          value: readFpmClientCounters(counters)[name],
        })),
    };
  });
}

/** What is counted of plugins, named after the counter: `overBudget` is dplaned_provider_plugin_over_budget_total. */
function pluginSources({ plugins }: MetricsParts): Source[] {
  return PLUGIN_COUNTERS.filter(([name]) => name !== "pid").map(([counterName, type, help]) => {
    const isTime = counterName === "longestCallMs";
    const words = counterName.replace(/Ms$/, "Seconds").replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
    return {
      name: `dplaned_provider_plugin_${words}${type === "counter" ? "_total" : ""}`,
      help: `Plugin: ${isTime ? help.replace("milliseconds", "seconds") : help}`,
      type,
      read: () =>
        (plugins?.counters() ?? []).map(({ name, counters }) => ({
          labels: { provider: name },
          value: counters[counterName] / (isTime ? 1000 : 1),
        })),
    };
  });
}

/** What keeps the RIB true to the kernel. */
function kernelSources({ rib, auditor, drift, retrier }: MetricsParts): Source[] {
  return [
    {
      name: "dplaned_drift_total",
      help: "Routes that the kernel was found to hold otherwise than confirmed, by how they differed.",
      type: "counter",
      read: () => Object.entries(drift.counts).map(([kind, value]) => ({ labels: { kind }, value })),
    },
    {
      name: "dplaned_nexthop_drift_total",
      help: "Nexthop objects that the kernel was found to hold otherwise than confirmed, by how they differed.",
      type: "counter",
      read: () => Object.entries(drift.nexthopCounts).map(([kind, value]) => ({ labels: { kind }, value })),
    },
    counter("dplaned_audits_total", "Comparisons of the kernel with the RIB.", () => auditor.audits),
    gauge("dplaned_audit_last_timestamp_seconds", "When the last one ended; 0 for never.", () =>
      Math.round((auditor.lastAudit?.time ?? 0) / 1000),
    ),
    gauge(
      "dplaned_audit_duration_seconds",
      "How long the last one took.",
      () => (auditor.lastAudit?.elapsedMs ?? 0) / 1000,
    ),
    counter(
      "dplaned_kernel_overruns_total",
      "How often notifications of the kernel were lost, and it was read instead.",
      () => auditor.overruns,
    ),
    counter("dplaned_retries_total", "Refused routes that were tried again.", () => retrier.retries),
    gauge("dplaned_routes_refused", "Routes that the kernel has refused.", () => rib.failedCount),
    gauge("dplaned_routes_contested", "Routes that more than one owner wants.", () => rib.claims.contested),
    gauge("dplaned_repairs_queued", "Routes that dplaned is to write by itself now.", () => rib.reconciler.queued),
    gauge(
      "dplaned_repairs_delayed",
      "Routes that dplaned is to write by itself later, because they are fought over.",
      () => rib.reconciler.delayed,
    ),
  ];
}

function ribSources({ rib, groups, dataplane }: MetricsParts): Source[] {
  return [
    {
      name: "dplaned_results_total",
      help: "Results of updates, by status.",
      type: "counter",
      read: () => [
        ...Object.entries(rib.results).map(([status, value]) => ({ labels: { status }, value })),
        { labels: { status: "rejected" }, value: dataplane.snapshot().routeUpdateErrors },
      ],
    },
    {
      name: "dplaned_rib_routes",
      help: "Routes in the RIB, by family.",
      type: "gauge",
      read: () => {
        const { ipv4, ipv6 } = rib.counts();
        return [
          { labels: { family: "ipv4" }, value: ipv4 },
          { labels: { family: "ipv6" }, value: ipv6 },
        ];
      },
    },
    {
      name: "dplaned_owner_routes",
      help: "Routes that an owner wants: those selected for the FIB, and those held behind another owner's.",
      type: "gauge",
      read: () =>
        rib.owners.values().flatMap(({ name, routes, selected }) => [
          { labels: { owner: name, state: "selected" }, value: selected },
          { labels: { owner: name, state: "held" }, value: routes - selected },
        ]),
    },
    gauge(
      "dplaned_rib_adopted_routes",
      "Routes found in the kernel at the start that nobody has claimed.",
      () => rib.owners.nobody.selected,
    ),
    gauge("dplaned_nexthop_groups", "Nexthop groups that clients have defined.", () => groups.count),
    gauge("dplaned_nexthop_objects", "Nexthop objects of ours in the kernel.", () => groups.objects.count),
    {
      name: "dplaned_nexthop_object_writes_total",
      help: "Nexthop objects that the kernel was asked to make or change, or to delete.",
      type: "counter",
      read: () => [
        { labels: { op: "install" }, value: groups.writer.installs },
        { labels: { op: "delete" }, value: groups.writer.deletes },
      ],
    },
    gauge("dplaned_rib_attributes", "Distinct sets of attributes and nexthops in use.", () => rib.counts().attrs),
    gauge("dplaned_rib_attributes_bytes", "Memory that sets of attributes have needed.", () => rib.counts().attrsBytes),
    {
      name: "dplaned_update_duration_seconds",
      help: "Where the time of updates goes: queue, pipeline, result, and total.",
      type: "histogram",
      read: () => LATENCY_STAGES.flatMap((stage) => histogramSamples(stage, rib.latencies[stage])),
    },
  ];
}

function histogramSamples(stage: LatencyStage, { buckets, sumMs, count }: LatencyHistogram): Sample[] {
  const name = "dplaned_update_duration_seconds";
  const samples: Sample[] = [];
  let below = 0;
  for (const [index, bound] of LATENCY_BOUNDS_MS.entries()) {
    below += buckets[index]!;
    samples.push({ metricName: `${name}_bucket`, labels: { stage, le: bound / 1000 }, value: below });
  }
  samples.push({ metricName: `${name}_bucket`, labels: { stage, le: "+Inf" }, value: count });
  samples.push({ metricName: `${name}_sum`, labels: { stage }, value: sumMs / 1000 });
  samples.push({ metricName: `${name}_count`, labels: { stage }, value: count });
  return samples;
}

/** What the FPM server counts, by peer. */
function fpmSources({ fpmServer = () => null }: MetricsParts): Source[] {
  const peers = (read: (peer: FpmPeerJson) => number) => (): Sample[] =>
    (fpmServer()?.peers ?? []).map((peer) => ({
      labels: { peer: peer.address, owner: peer.owner },
      value: read(peer),
    }));
  return [
    {
      name: "dplaned_fpm_peer_up",
      help: "Whether an FPM peer is connected.",
      type: "gauge",
      read: peers(({ state }) => Number(state === "replaying" || state === "settled")),
    },
    {
      name: "dplaned_fpm_peer_settled",
      help: "Whether an FPM peer is connected and its replay is over.",
      type: "gauge",
      read: peers(({ state }) => Number(state === "settled")),
    },
    {
      name: "dplaned_fpm_parked_nexthops",
      help: "Nexthops that routes of an FPM peer are on and that it has not explained yet.",
      type: "gauge",
      read: peers(({ parkedNexthops }) => parkedNexthops),
    },
    ...Object.entries(FPM_COUNTERS).map(([counterName, help]): Source => {
      const name = `dplaned_fpm_${counterName.replaceAll(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)}_total`;
      return {
        name,
        help: `FPM peer: ${help}`,
        type: "counter",
        read: peers((peer) => peer[counterName as FpmCounter]),
      };
    }),
    {
      name: "dplaned_fpm_ignored_total",
      help: "Messages of an FPM peer that are left alone, by reason.",
      type: "counter",
      read: () =>
        (fpmServer()?.peers ?? []).flatMap(({ address: peer, owner, ignored }) =>
          Object.entries(ignored).map(([reason, value]) => ({ labels: { peer, owner, reason }, value })),
        ),
    },
  ];
}

function northboundSources({ counters, events }: MetricsParts): Source[] {
  return [
    {
      name: "dplaned_http_requests_total",
      help: "Answers begun, by route of the API, method and status.",
      type: "counter",
      read: () =>
        Array.from(counters.requests.values(), ({ route, method, status, count }) => ({
          labels: { route, method, status },
          value: count,
        })),
    },
    {
      name: "dplaned_http_refused_total",
      help: "Requests and connections turned away, by reason: malformed, too_large, host, cross_site, rate, connections, timeout, tls, credentials.",
      type: "counter",
      read: () => Object.entries(counters.refused).map(([reason, value]) => ({ labels: { reason }, value })),
    },
    {
      name: "dplaned_http_connections",
      help: "Connections open now, by listener.",
      type: "gauge",
      read: () =>
        Object.entries(counters.connections).map(([listener, read]) => ({ labels: { listener }, value: read() })),
    },
    counter("dplaned_update_streams_total", "Streams of updates opened.", () => counters.streamsOpened),
    gauge("dplaned_update_streams_open", "Streams of updates open now.", () => counters.streamsOpen),
    counter(
      "dplaned_update_streams_abandoned_total",
      "Streams of updates whose client went away before the summary.",
      () => counters.streamsAbandoned,
    ),
    {
      name: "dplaned_syncs_total",
      help: "Full-state syncs that have ended, by how: complete, refused for their body, broken off by the client, or ended early by the daemon.",
      type: "counter",
      read: () => Object.entries(counters.syncs).map(([outcome, value]) => ({ labels: { outcome }, value })),
    },
    counter("dplaned_update_bytes_total", "Bytes read of streams of updates.", () => counters.bodyBytes),
    gauge("dplaned_event_listeners", "Listeners to the stream of events.", () => events.subscribers),
    {
      name: "dplaned_events_total",
      help: "Events made for listeners, by type.",
      type: "counter",
      read: () => EVENT_NAMES.map((type) => ({ labels: { type }, value: events.published[type] })),
    },
    counter(
      "dplaned_events_dropped_total",
      "Events that listeners did not get, because they did not keep up.",
      () => events.dropped,
    ),
  ];
}
