/** The JSON of the API as JSON Schema, for the OpenAPI document: core/northbound/api_types.ts says the same in types. Pure. */
import { MPLS_LABEL_VALUE_MAX, MPLS_LABELS_MAX, NEXTHOPS_MAX, SEG6_SEGMENTS_MAX, WEIGHT_MAX } from "../constants.ts";
import { ROUTE_TYPE_NAMES, SEG6_MODE_NAMES } from "../model/route.ts";
import { RESULT_STATUS_NAMES } from "./result_json.ts";
import { UPDATE_ERRORS } from "./update_error.ts";

/** As much of JSON Schema as is used here. */
export interface Schema {
  $ref?: string;
  type?: "object" | "array" | "string" | "integer" | "number" | "boolean" | readonly string[];
  description?: string;
  properties?: Readonly<Record<string, Schema>>;
  required?: readonly string[];
  additionalProperties?: false;
  items?: Schema;
  enum?: readonly (string | number | null)[];
  const?: boolean;
  anyOf?: readonly Schema[];
  minimum?: number;
  maximum?: number;
  minItems?: number;
  maxItems?: number;
  default?: unknown;
}

const U32_MAX = 0xffff_ffff;
const string = (description: string): Schema => ({ type: "string", description });
const count = (description: string): Schema => ({ type: "integer", minimum: 0, description });
const range = (minimum: number, maximum: number, description: string): Schema => ({
  type: "integer",
  minimum,
  maximum,
  description,
});
const words = (names: readonly string[], description: string): Schema => ({ type: "string", enum: names, description });
export const reference = (name: string): Schema => ({ $ref: `#/components/schemas/${name}` });

/** An object that has these members and no others; those named in `optional` may be missing. */
function object(properties: Readonly<Record<string, Schema>>, optional: readonly string[] = []): Schema {
  const required = Object.keys(properties).filter((name) => !optional.includes(name));
  return { type: "object", properties, required, additionalProperties: false };
}

const time = count("Milliseconds since 1970.");

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

const resultFields: Record<string, Schema> = {
  op: words(["install", "delete"], "What was asked for."),
  prefix: string("Absent where it could not be read."),
  source: string("Source prefix, where there is one."),
  table: count("Routing table."),
  metric: count("Metric."),
  ...outcomeFields,
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

const errorCodes = Object.entries(UPDATE_ERRORS).map(([code, meaning]) => `${code}: ${meaning}`);

const summary: Schema = object({
  received: count("Updates found in the body."),
  fibProgrammed: count("Confirmed by the kernel."),
  fibFailed: count("Failed."),
  ribProgrammed: count("Held, not programmed."),
  skipped: count("A provider asked to bypass the kernel."),
  superseded: count("Replaced in the queue by a later update of the same route."),
  rejected: count("Invalid, or refused."),
  elapsedMs: { type: "number", minimum: 0, description: "From the request to the last result." },
});

const provider: Schema = object(
  {
    id: count("Number."),
    name: string("Name."),
    kind: string("Module."),
    priority: words(["preprocess", "pre-kernel", "kernel", "post-kernel", "postprocess"], "Place in the pipeline."),
    threaded: { type: "boolean", description: "Runs in a thread of its own." },
    state: words(["starting", "up", "failed"], "Whether it works."),
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
  },
  ["reason"],
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

const health: Schema = object({
  status: words(["ok", "failed"], "Whether every worker lives."),
  version: string("Version of dplaned."),
  uptimeSeconds: { type: "number", minimum: 0 },
  workers: {
    type: "array",
    items: object({
      name: string("Name."),
      alive: { type: "boolean" },
      heartbeatAgeMs: { type: "number", minimum: 0, description: "How long ago it last showed a sign of life." },
    }),
  },
});

const readiness: Schema = object({
  ready: { type: "boolean" },
  reasons: { type: "array", items: string("What is not as it should be.") },
});

export const SCHEMAS: Readonly<Record<string, Schema>> = {
  Status: words(RESULT_STATUS_NAMES, "What became of an update."),
  Nexthop: nexthop,
  Update: update,
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
  Summary: summary,
  SummaryLine: object({ summary: reference("Summary") }),
  Route: object({ ...updateFields, owner: string("Owner."), ...outcomeFields, since: time }, [
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
  Lookup: object({
    address: string("The address that was asked for."),
    table: count("The table that was looked in."),
    route: { anyOf: [reference("Route"), { enum: [null] }] },
  }),
  Dplane: dplane,
  Provider: provider,
  Providers: object({ providers: { type: "array", items: reference("Provider") } }),
  Health: health,
  Readiness: readiness,
  ResultEvent: object({ time, ...resultFields, owner: string("Owner.") }, ["source", ...OPTIONAL_OUTCOME]),
  KernelEvent: object({
    time,
    object: words(["link", "address", "route", "nexthop"], "What changed."),
    action: words(["new", "delete"], "How."),
    text: string("The object in iproute2's words."),
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
    },
    ["type", "detail", "hint"],
  ),
};
