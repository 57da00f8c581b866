/** The JSON of the API as JSON Schema, for the OpenAPI document: core/northbound/api_types.ts says the same in types. Pure. */
import { MPLS_LABEL_VALUE_MAX, MPLS_LABELS_MAX, NEXTHOPS_MAX, SEG6_SEGMENTS_MAX, WEIGHT_MAX } from "../constants.ts";
import { FPM_CLIENT_COUNTERS, FPM_CLIENT_STATES } from "../model/fpm_client_counters.ts";
import { PLUGIN_COUNTERS } from "../model/plugin_counters.ts";
import { ROUTE_TYPE_NAMES, SEG6_MODE_NAMES } from "../model/route.ts";
import type { HistoryEvent } from "./api_types.ts";
import { KERNEL_OBJECTS } from "./event_filter.ts";
import { FPM_COUNTERS } from "./fpm/fpm_counters.ts";
import { IGNORED_REASONS } from "./fpm/fpm_route.ts";
import { BUCKETS_MAX, GROUP_TIMER_MAX, IDLE_TIMER_DEFAULT } from "./nexthop_group_json.ts";
import { overviewSchemas } from "./overview_schemas.ts";
import { RESULT_STATUS_NAMES } from "./result_json.ts";
import { count, object, range, reference, type Schema, string, time, U32_MAX, words } from "./schema.ts";
import { UPDATE_ERRORS } from "./update_error.ts";

const memberActive: Schema = { type: "boolean", description: "Whether the kernel uses it at this moment." };

/** What makes up a nexthop group, with members of this kind. */
function groupFields(member: Schema): Record<string, Schema> {
  const idle = "Seconds without traffic after which a bucket may move to another nexthop.";
  const unbalanced = "Seconds out of balance after which buckets move all the same; 0 is never.";
  return {
    members: { type: "array", items: member, minItems: 1, maxItems: NEXTHOPS_MAX },
    backup: { type: "array", items: member, maxItems: NEXTHOPS_MAX, description: "Used while no member can be." },
    resilient: object(
      {
        buckets: range(1, BUCKETS_MAX, "Buckets over which flows are spread."),
        idleTimer: { ...range(0, GROUP_TIMER_MAX, idle), default: IDLE_TIMER_DEFAULT },
        unbalancedTimer: { ...range(0, GROUP_TIMER_MAX, unbalanced), default: 0 },
      },
      ["idleTimer", "unbalancedTimer"],
    ),
  };
}

const updateFields: Record<string, Schema> = {
  prefix: string("Destination, such as `203.0.113.0/24`; no host bits are set."),
  source: string("Source prefix of a source-specific IPv6 route."),
  table: { ...range(1, U32_MAX, "Routing table."), default: 254 },
  vrf: string("VRF whose table is meant, instead of the table's number."),
  type: { ...words(Object.values(ROUTE_TYPE_NAMES), "Type of the route."), default: "unicast" },
  nexthops: { type: "array", items: reference("Nexthop"), maxItems: NEXTHOPS_MAX },
  nexthopGroup: range(1, U32_MAX, "Number of a nexthop group, instead of nexthops."),
  metric: { ...range(0, U32_MAX, "Metric in the kernel, part of the route's name."), default: 20 },
  distance: range(0, 255, "Administrative distance."),
  protocol: { type: ["string", "integer"], description: "Where the route comes from, as RTPROT_* number or name." },
  tag: range(0, U32_MAX, "Tag; dplaned only keeps it."),
  mtu: range(0, 65_520, "Path MTU."),
  prefsrc: string("Preferred source address."),
};

const outcomeFields: Record<string, Schema> = {
  status: reference("Status"),
  provider: string("Provider that failed it."),
  error: reference("Error"),
  winner: string("Owner whose route is in the FIB instead."),
  waitingFor: string("What the route waits for."),
};

const adopted: Schema = { const: true, description: "Found in the kernel at the start, and nobody's since." };

const resultFields: Record<string, Schema> = {
  op: words(["install", "delete"], "What was asked for."),
  prefix: string("Absent where it could not be read."),
  source: string("Source prefix, where there is one."),
  table: count("Routing table."),
  metric: count("Metric."),
  ...outcomeFields,
  bypassed: {
    type: "array",
    items: string("Name of the provider."),
    minItems: 1,
    description: "Providers that were down, or did not decide: it went on without their word.",
  },
};
const OPTIONAL_OUTCOME = ["provider", "error", "winner", "waitingFor"];

const update: Schema = object(
  { op: { ...words(["install", "delete"], "Install adds or replaces."), default: "install" }, ...updateFields },
  ["op", ...Object.keys(updateFields).filter((name) => name !== "prefix")],
);

const nexthop: Schema = object(
  {
    via: string("Gateway, of either family."),
    dev: string("Interface."),
    weight: { ...range(1, WEIGHT_MAX, "Share of the traffic."), default: 1 },
    onlink: { type: "boolean", description: "The gateway is on the link although no address says so.", default: false },
    labels: {
      type: "array",
      items: range(0, MPLS_LABEL_VALUE_MAX, "Label."),
      minItems: 1,
      maxItems: MPLS_LABELS_MAX,
      description: "MPLS labels to push, outermost first.",
    },
    seg6: object({
      mode: words(SEG6_MODE_NAMES, "How segments are added."),
      segs: { type: "array", items: string("IPv6 address."), minItems: 1, maxItems: SEG6_SEGMENTS_MAX },
    }),
  },
  ["via", "dev", "weight", "onlink", "labels", "seg6"],
);

const fpmPeer: Schema = object(
  {
    address: string("Address that it connects from."),
    owner: string("Owner of its routes."),
    state: words(
      ["replaying", "settled", "down", "gone"],
      "Connected, and not all of its routes may have been told yet; connected; not connected, its routes are kept; nor are they.",
    ),
    since: { ...time, description: "When it came to this state, in milliseconds since 1970." },
    held: count("Routes that its owner wants."),
    nexthopObjects: count("Nexthops and groups that it has told of on this connection."),
    parkedNexthops: count("Of these the ones that routes are on and that are not explained yet."),
    nexthopGroups: count("Nexthop groups that stand for them."),
    ...Object.fromEntries(Object.entries(FPM_COUNTERS).map(([name, meaning]) => [name, count(meaning)])),
    ignored: object(Object.fromEntries(IGNORED_REASONS.map((reason) => [reason, count("Messages left alone.")]))),
    lastError: string("What could not be read last."),
  },
  ["lastError"],
);

const errorCodes = Object.entries(UPDATE_ERRORS).map(([code, meaning]) => `${code}: ${meaning}`);

const summaryFields: Record<string, Schema> = {
  received: count("Updates found in the body."),
  fibProgrammed: count("Confirmed by the kernel."),
  fibFailed: count("Failed."),
  ribProgrammed: count("Held, not programmed."),
  skipped: count("A provider asked to bypass the kernel."),
  superseded: count("Replaced in the queue by a later update of the same route."),
  rejected: count("Invalid, or refused."),
  bypassed: count("Results among them that went on without the word of a provider; absent where there are none."),
  elapsedMs: { type: "number", minimum: 0, description: "From the request to the last result." },
};

const syncSummary: Schema = object(
  {
    ...summaryFields,
    unchanged: count("Routes of the body that did not have to be written."),
    installed: count("Routes of the body that the owner did not have."),
    updated: count("Routes that were changed, or tried again."),
    deleted: count("Routes of the owner that the body does not have."),
    swept: count("Routes found in the kernel at the start, in tables of this owner only, that the body does not have."),
    error: reference("Error"),
  },
  ["bypassed", "error"],
);

const planSummary: Schema = object({
  received: count("Updates found in the body."),
  add: count("Routes that the kernel would get."),
  replace: count("Routes that it would get in place of what it has."),
  delete: count("Routes that it would lose."),
  none: count("Updates by which it would not change."),
  rejected: count("Updates that would be refused."),
  elapsedMs: { type: "number", minimum: 0, description: "From the request to the last line." },
});

const plan: Schema = object(
  {
    line: count("Number of the line or array element, from 1; 0 for what is not in the body."),
    op: words(["install", "delete"], "What was asked for."),
    prefix: string("Prefix."),
    source: string("Source prefix, where there is one."),
    table: count("Routing table."),
    plan: words(["add", "replace", "delete", "none"], "What the kernel would be told."),
    old: reference("Route"),
    new: reference("Route"),
    winner: string("Owner whose route is in the FIB then, where that is another."),
    waitingFor: string("What the route would wait for."),
  },
  ["source", "old", "new", "winner", "waitingFor"],
);

const owner: Schema = object({
  name: string("Name; empty for what was found in the kernel at the start and is nobody's."),
  configured: { type: "boolean", description: "It is in the configuration." },
  distance: range(0, 255, "Administrative distance of its routes that give none."),
  prefixLimit: count("Routes that it may have; 0 for any number."),
  tables: { type: "array", items: range(1, U32_MAX, "Table that it may write to; all of them where none is listed.") },
  takeOver: { type: "boolean", description: "It may replace what others have put into the kernel." },
  hasToken: { type: "boolean", description: "Its clients must show a token to write." },
  hasCertificates: { type: "boolean", description: "Clients with certain certificates may write as it over TCP." },
  routes: count("Routes that it wants."),
  selected: count("Those of them that are for the FIB."),
  held: count("Those behind another owner's."),
  syncing: { type: "boolean", description: "A full-state sync of it is under way." },
  syncedAt: count("When the last one came to its end, in milliseconds since 1970; 0 for never."),
});

const provider: Schema = object(
  {
    id: count("Number."),
    name: string("Name."),
    kind: string("Module."),
    priority: words(["preprocess", "pre-kernel", "kernel", "post-kernel", "postprocess"], "Place in the pipeline."),
    threaded: { type: "boolean", description: "Runs in a thread of its own." },
    state: words(["starting", "up", "bypassed", "failed"], "Whether it works; `bypassed`: updates go on without it."),
    reason: string("Why it is not up."),
    in: count("Contexts given to it."),
    inQueued: count("Contexts in its in queue and hand."),
    inMax: count("Most that has been."),
    out: count("Contexts it has put out."),
    outQueued: count("Contexts in its out queue."),
    outMax: count("Most that has been."),
    errors: count("Contexts that failed in it."),
    undone: count("Contexts offered again, to be undone."),
    yields: count("Calls after which it asked for another cycle."),
    exceptions: count("Calls that ended in an exception."),
    plugin: reference("Plugin"),
  },
  ["reason", "plugin"],
);

const plugin: Schema = object(
  {
    path: string("Its file."),
    pid: count("Its process."),
    failClosed: { type: "boolean", description: "What it does not decide fails." },
    counters: object(
      Object.fromEntries(
        PLUGIN_COUNTERS.filter(([name]) => name !== "pid").map(([name, , help]): [string, Schema] => [
          name,
          { type: "number", minimum: 0, description: help },
        ]),
      ),
    ),
    metrics: {
      type: "array",
      items: object({
        name: string("Name."),
        type: words(["counter", "gauge"], "Whether it only rises."),
        help: string("What it counts."),
        value: { type: "number", description: "Value." },
      }),
      description: "What it counts by itself.",
    },
  },
  ["pid"],
);

const dplane: Schema = object({
  routeUpdates: count("Updates given to the dataplane."),
  routeUpdateErrors: count("Updates refused before they got a context."),
  queueLimit: count("Updates that may wait in the incoming queue."),
  queueDepth: count("Updates that wait there."),
  queueMax: count("Most that has been."),
  yields: count("Cycles that ended with work left over."),
  cycles: count("Cycles of the loop."),
  updatesSkipped: count("Updates that bypassed the kernel."),
  workLimit: count("Contexts that a provider may take in one cycle."),
  pool: object({ size: count("Contexts."), free: count("Free contexts.") }),
  results: object({
    fibProgrammed: count("Confirmed by the kernel."),
    fibFailed: count("Failed."),
    skipped: count("Bypassed the kernel."),
    superseded: count("Replaced by a later update."),
    rejected: count("Refused."),
    ribProgrammed: count("Held, not programmed."),
  }),
  state: words(["running", "starting", "stopping", "failed"], "State of the dataplane."),
  restarts: count("How often its thread was replaced."),
});

const auditFields = {
  routes: count("Routes of dplaned that the kernel holds."),
  missing: count("Found gone; they are installed again."),
  changed: count("Found leading elsewhere; they are replaced."),
  unexpected: count("Found although nobody asked for them; they are removed."),
  nexthops: count("Nexthop objects found gone, changed or used by nobody; they are put right."),
  complete: { type: "boolean", description: "False if others wrote all the time." },
  elapsedMs: count("How long it took."),
} satisfies Record<string, Schema>;
const audit: Schema = object(auditFields);

const health: Schema = object({
  status: words(["ok", "failed"], "Whether every worker lives."),
  version: string("Version of dplaned."),
  uptimeSeconds: { type: "number", minimum: 0 },
  workers: { type: "array", items: reference("Worker") },
});

const worker: Schema = object({
  name: string("Name."),
  alive: { type: "boolean", description: "Whether it runs." },
  heartbeatAgeMs: { type: "number", minimum: 0, description: "How long ago it last showed a sign of life." },
});

const readiness: Schema = object({
  ready: { type: "boolean" },
  reasons: { type: "array", items: string("What is not as it should be.") },
});

const attributeFields = Object.fromEntries(
  Object.entries(updateFields).filter(([name]) => !["prefix", "source", "table", "vrf", "metric"].includes(name)),
);

const claim: Schema = object(
  {
    owner: string("Who wants it; empty for a route that was found in the kernel and that nobody has claimed since."),
    distance: range(0, 255, "Administrative distance: the lowest is selected."),
    selected: { type: "boolean", description: "It is the one for the forwarding plane." },
    notSelected: words(["higher_distance", "came_later", "refused"], "Why it is not."),
    attributes: reference("RouteAttributes"),
    provider: string("Provider that refused it."),
    error: reference("Error"),
  },
  ["notSelected", "provider", "error"],
);

const HISTORY_EVENTS = [
  "result",
  "swept",
  "drift",
  "repair_delayed",
  "promoted",
  "displaced",
  "retried",
] as const satisfies readonly HistoryEvent[];

const milliseconds = (description: string): Schema => ({ type: "number", minimum: 0, description });

const historyEntryFields: Record<string, Schema> = {
  time,
  event: words(HISTORY_EVENTS, "What happened."),
  summary: string("What the rest says, in a sentence for people."),
  owner: string("Who asked, or whose route it is about; absent where the daemon itself wrote."),
  op: words(["install", "delete"], "What was asked for."),
  status: reference("Status"),
  change: words(["new", "replace", "delete", "none"], "What was done in the kernel; none: it held the same already."),
  winner: string("Owner whose route was written, or is there, instead."),
  provider: string("Provider that failed it."),
  error: reference("Error"),
  attributes: reference("RouteAttributes"),
  queueMs: milliseconds("In the incoming queue."),
  kernelMs: milliseconds("From there until the kernel had answered."),
  pipelineMs: milliseconds("From the queue until all providers were done."),
  resultMs: milliseconds("From there until the owner was told."),
  drift: words(["missing", "changed", "replaced"], "How the kernel differs from what is wanted."),
  protocol: string("Protocol of the route that is there instead."),
  other: string("Owner whose route went, or is better."),
  text: string("Who did it, as far as it is known, or the cause."),
  delayMs: count("For how long a repair is put off."),
};

const routeKey: Schema = object(
  {
    prefix: string("Destination."),
    table: count("Routing table."),
    vrf: string("VRF of the table."),
    metric: count("Metric."),
    source: string("Source prefix, where there is one."),
  },
  ["vrf", "source"],
);

const story: Schema = object(
  {
    ...routeKey.properties,
    route: { anyOf: [reference("Route"), { enum: [null] }], description: "What it is now; null if it is gone." },
    claims: { type: "array", items: reference("Claim"), description: "In the order in which they would be selected." },
    kernel: {
      anyOf: [reference("RouteAttributes"), { enum: [null] }],
      description: "What the kernel holds, where that is not what is wanted; null for nothing.",
    },
    nextTryMs: count("When the daemon writes it again by itself."),
    entries: { type: "array", items: reference("HistoryEntry"), description: "What happened, oldest first." },
  },
  ["vrf", "source", "kernel", "nextTryMs"],
);

const historyEntry: Schema = object(
  historyEntryFields,
  Object.keys(historyEntryFields).filter((name) => !["time", "event", "summary"].includes(name)),
);

const nexthopGroup: Schema = object(
  {
    id: range(1, U32_MAX, "The number that clients have given it."),
    ...groupFields({ ...nexthop, properties: { ...nexthop.properties, active: memberActive }, required: ["active"] }),
    status: words(["fib_programmed", "fib_failed", "rib_programmed"], "What became of it."),
    error: reference("Error"),
    provider: string("Provider that refused it."),
    waitingFor: string("What it waits for, such as `link v0`."),
    inline: {
      type: "boolean",
      description: "Its routes have the nexthops themselves: there are no nexthop objects.",
    },
    kernelId: range(1, U32_MAX, "Number of its object in the kernel, for `ip nexthop show id`."),
  },
  ["backup", "resilient", "error", "provider", "waitingFor", "inline", "kernelId"],
);

export const SCHEMAS: Readonly<Record<string, Schema>> = {
  Status: words(RESULT_STATUS_NAMES, "What became of an update."),
  Nexthop: nexthop,
  Update: update,
  NexthopGroupUpdate: object(groupFields(reference("Nexthop")), ["backup", "resilient"]),
  NexthopGroup: nexthopGroup,
  NexthopGroups: object({ nexthopGroups: { type: "array", items: reference("NexthopGroup") } }),
  Error: object(
    {
      code: string(
        `The kernel's errno, such as ENETUNREACH; a code of the dataplane; or, of a rejection: ${errorCodes.join(" ")}`,
      ),
      message: string("What is wrong."),
      field: string("Field of the update that is wrong."),
      hint: string("What to do about it."),
    },
    ["field", "hint"],
  ),
  Result: object({ line: count("Number of the line or array element, from 1."), ...resultFields }, [
    ...Object.keys(resultFields).filter((name) => name !== "status"),
  ]),
  Summary: object(summaryFields, ["bypassed"]),
  SummaryLine: object({ summary: reference("Summary") }),
  SyncSummary: syncSummary,
  SyncSummaryLine: object({ summary: reference("SyncSummary") }),
  Plan: plan,
  PlanSummary: planSummary,
  PlanSummaryLine: object({ summary: reference("PlanSummary") }),
  Owner: owner,
  Fpm: object({
    server: {
      anyOf: [
        { type: ["null"] },
        object({
          listen: string("Address and port."),
          refused: count("Connections of those who are not among the peers."),
          peers: { type: "array", items: reference("FpmPeer") },
        }),
      ],
    },
    clients: { type: "array", items: reference("FpmClient") },
  }),
  FpmReplay: object({ client: string("Name of the provider."), replaying: { type: "boolean" } }),
  FpmClient: object({
    name: string("Name of the provider."),
    address: string("FPM server, HOST:PORT."),
    profile: string("Its dialect."),
    state: words(FPM_CLIENT_STATES, "What the client is about."),
    counters: object(
      Object.fromEntries(
        FPM_CLIENT_COUNTERS.filter(([name]) => name !== "state").map(([name, , meaning]) => [name, count(meaning)]),
      ),
    ),
  }),
  FpmPeer: fpmPeer,
  Owners: object({ owners: { type: "array", items: reference("Owner") } }),
  Route: object({ ...updateFields, owner: string("Owner."), adopted, ...outcomeFields, since: time }, [
    "adopted",
    ...Object.keys(updateFields).filter((name) => !["prefix", "table", "metric", "type"].includes(name)),
    ...OPTIONAL_OUTCOME,
    "since",
  ]),
  RouteList: object(
    {
      routes: { type: "array", items: reference("Route") },
      cursor: string("Where the next page begins, if there is one."),
    },
    ["cursor"],
  ),
  RouteAttributes: object(
    attributeFields,
    Object.keys(attributeFields).filter((name) => name !== "type"),
  ),
  Claim: claim,
  HistoryEntry: historyEntry,
  RouteStory: story,
  RouteHistory: object(
    {
      since: { ...time, description: "What happened before is no longer known, in milliseconds since 1970." },
      omitted: count("Older entries that are known, and were not asked for."),
      routes: { type: "array", items: reference("RouteStory") },
    },
    ["since"],
  ),
  Lookup: object({
    address: string("The address that was asked for."),
    table: count("The table that was looked in."),
    route: { anyOf: [reference("Route"), { enum: [null] }] },
  }),
  Dplane: dplane,
  Provider: provider,
  Plugin: plugin,
  ProviderRestart: object({ provider: string("Name."), restarted: { type: "boolean" } }),
  Providers: object({ providers: { type: "array", items: reference("Provider") } }),
  Health: health,
  Worker: worker,
  Readiness: readiness,
  ResultEvent: object({ time, ...resultFields, owner: string("Owner.") }, ["source", ...OPTIONAL_OUTCOME, "bypassed"]),
  KernelEvent: object(
    {
      time,
      object: words(KERNEL_OBJECTS, "What changed."),
      action: words(["new", "delete"], "How."),
      text: string("The object in iproute2's words."),
      prefix: string("Of a route: its prefix."),
      source: string("Of a route: its source prefix, where there is one."),
      table: count("Of a route: its table."),
      metric: count("Of a route: its metric."),
    },
    ["prefix", "source", "table", "metric"],
  ),
  DriftEvent: object(
    {
      time,
      kind: words(["missing", "changed", "unexpected"], "How the kernel differed."),
      prefix: string("The route's prefix."),
      source: string("Its source prefix."),
      table: count("Its table."),
      metric: count("Its metric."),
      owner: string("Its owner; empty for nobody."),
      by: string("Who was heard to do it: a process, or the kernel."),
      repairInMs: count("When it is repaired; 0 for at once."),
      times: count("How often this route has been found different lately."),
    },
    ["source", "by"],
  ),
  NexthopDriftEvent: object(
    {
      time,
      kind: words(["missing", "changed", "unexpected"], "How the kernel differed."),
      id: count("Number of the nexthop object in the kernel."),
      nexthopGroups: {
        type: "array",
        items: count("Number of a nexthop group."),
        description: "Groups that it stands for, or is a member of.",
      },
      by: string("Who was heard to do it: a process, or the kernel."),
      repairInMs: count("When its groups are repaired; 0 for at once."),
      times: count("How often one of them has been found different lately."),
    },
    ["by"],
  ),
  Audit: audit,
  AuditStatus: object({
    audits: count("Audits since the start."),
    last: { anyOf: [object({ ...auditFields, time }), { enum: [null] }] },
    drift: object({
      missing: count("Routes found gone."),
      changed: count("Routes found leading elsewhere."),
      unexpected: count("Routes found that nobody asked for."),
    }),
    nexthopDrift: object({
      missing: count("Nexthop objects found gone."),
      changed: count("Nexthop objects found with something else in them."),
      unexpected: count("Nexthop objects found that nobody needs."),
    }),
    repairs: object({ queued: count("To be written now."), delayed: count("To be written later.") }),
    failed: count("Routes that the kernel has refused."),
    contested: count("Routes that more than one owner wants."),
    retries: count("Refused routes that were tried again."),
    overruns: count("How often notifications of the kernel were lost."),
  }),
  HealthEvent: object({ time, ready: { type: "boolean" }, reasons: { type: "array", items: string("Reason.") } }),
  LostEvent: object({
    time,
    count: count("Events that are missing here, at least, because somebody did not keep up."),
  }),
  Problem: object(
    {
      type: string("URI of the kind of problem."),
      title: string("Kind of problem."),
      status: count("The HTTP status."),
      detail: string("What is wrong."),
      hint: string("What to do about it."),
      errorCount: count("How many updates of a full-state sync's body are wrong."),
      errors: {
        type: "array",
        items: object({ line: count("Number of the line or array element, from 1."), error: reference("Error") }),
      },
    },
    ["type", "detail", "hint", "errorCount", "errors"],
  ),
  ...overviewSchemas({ dplane, group: nexthopGroup, key: routeKey, entry: historyEntry }),
};
