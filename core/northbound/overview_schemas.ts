/** The JSON of `GET /v1/overview` as JSON Schema: core/northbound/overview_types.ts says the same in types. Pure. */
import { LATENCY_STAGES } from "../rib/latency.ts";
import { count, object, reference, type Schema, string, time } from "./schema.ts";
import { TREND_COLUMNS, TREND_QUANTILES, TREND_RATES, type TrendColumn } from "./trend.ts";

const number = (description: string): Schema => ({ type: "number", minimum: 0, description });
const list = (name: string): Schema => ({ type: "array", items: reference(name) });

function column(name: TrendColumn): Schema {
  const item: Schema = (TREND_QUANTILES as readonly string[]).includes(name)
    ? { anyOf: [number("Milliseconds."), { enum: [null] }] }
    : number((TREND_RATES as readonly string[]).includes(name) ? "Per second." : "At that moment.");
  return { type: "array", items: item };
}

const histogram = object({
  count: count("Observations."),
  sumMs: number("Their sum in milliseconds."),
  buckets: { type: "array", items: count("Observations in the bucket.") },
});

/** `members` are the fields of a nexthop group, `key` those that name a route, `entry` those of an entry of its story. */
export function overviewSchemas(parts: {
  dplane: Schema;
  group: Schema;
  key: Schema;
  entry: Schema;
}): Record<string, Schema> {
  const { dplane, group, key, entry } = parts;
  return {
    Overview: object({
      time,
      startedAt: { ...time, description: "When the daemon started, in milliseconds since 1970." },
      version: string("Version of dplaned."),
      ready: { type: "boolean", description: "As `GET /readyz` says." },
      reasons: { type: "array", items: string("Why it is not.") },
      workers: list("Worker"),
      process: object({
        rssBytes: count("Resident memory."),
        cpuSeconds: number("Processor time of all threads."),
        loopLagMaxMs: number("How late a timer of the main thread came at worst, lately."),
      }),
      dplane: object({ ...dplane.properties, resultsQueued: count("Results that the main thread has not taken yet.") }),
      providers: list("Provider"),
      clients: object({
        streams: count("Streams of updates since the start."),
        streamsOpen: count("Streams of updates that are open."),
        bytes: count("Bytes read of streams of updates."),
        eventListeners: count("Listeners to the stream of events."),
      }),
      owners: { ...list("Owner"), description: "Those with the most routes." },
      ownerCount: count("How many owners there are."),
      routes: object({
        ipv4: count("IPv4 routes in the RIB."),
        ipv6: count("IPv6 routes in the RIB."),
        adopted: count("Those of them that were found in the kernel at the start and are nobody's."),
      }),
      nexthopGroups: object({
        count: count("Nexthop groups."),
        failed: count("Those that the kernel has refused."),
        waiting: count("Those that wait for a link."),
        objects: count("Nexthop objects of dplaned in the kernel."),
        groups: { ...list("NexthopGroupOverview"), description: "Some of them, first those with trouble." },
      }),
      kernel: reference("AuditStatus"),
      fpm: reference("Fpm"),
      latencies: object({
        boundsMs: {
          type: "array",
          items: number("Upper bound of a bucket; there is one more bucket behind the last."),
        },
        stages: object(Object.fromEntries(LATENCY_STAGES.map((stage) => [stage, histogram]))),
      }),
      trend: object(Object.fromEntries(TREND_COLUMNS.map((name) => [name, column(name)]))),
      troubles: { ...list("Trouble"), description: "Failures and drift, oldest first." },
      cursor: string("For the next request."),
    }),
    NexthopGroupOverview: {
      ...group,
      properties: { ...group.properties, memberCount: count("How many members it has; the first are listed.") },
      required: [...(group.required ?? []), "memberCount"],
    },
    Trouble: {
      ...entry,
      properties: { ...key.properties, ...entry.properties },
      required: [...(key.required ?? []), ...(entry.required ?? [])],
    },
  };
}
