/** The query parameters of each call: what requests are checked against, and what the OpenAPI document shows. Pure. */
import { HISTORY_ENTRIES_DEFAULT, HISTORY_ENTRIES_MAX, OWNER_DEFAULT, RT_TABLE_DEFAULT } from "../constants.ts";
import { RESULT_STATUS_NAMES } from "./result_json.ts";

/** Routes of a page of JSON, where the request does not say. */
export const PAGE_ROUTES_DEFAULT = 1000;

export const NO_PARAMETERS = {} as const;

const ACKS = ["all", "errors", "none"] as const;

const DRY_RUN = {
  description:
    "Answer what the kernel would be told, and change nothing. Then ack=errors leaves out the updates that would change " +
    "nothing, and all is the default.",
  schema: { type: "boolean", default: false },
} as const;

export const UPDATE_PARAMETERS = {
  owner: {
    description: "Whose routes these are: letters, digits, `.`, `_`, `:`, `@` and `-`.",
    schema: { type: "string", maxLength: 64, default: OWNER_DEFAULT },
  },
  ack: {
    description: "Which results are sent: all, those of updates that failed or were rejected, or none but the summary.",
    schema: { type: "string", enum: ACKS, default: "all" },
  },
  dryRun: DRY_RUN,
} as const;

export const SYNC_PARAMETERS = {
  ack: {
    description:
      "Which results are sent: all, those of routes that failed, or none but the summary. Most routes of a sync are " +
      "unchanged, which the summary counts; with all each of them has a line, too.",
    schema: { type: "string", enum: ACKS, default: "errors" },
  },
  dryRun: DRY_RUN,
} as const;

export const LIST_PARAMETERS = {
  prefix: { description: "Routes to this prefix; `default` stands for the default route.", schema: { type: "string" } },
  longer: {
    description: "With prefix: it, and everything more specific.",
    schema: { type: "boolean", default: false },
  },
  table: { description: "Routes in this table: its number, or the name of a VRF.", schema: { type: "string" } },
  owner: { description: "What this owner wants, selected or not.", schema: { type: "string" } },
  status: { description: "Routes with this status.", schema: { type: "string", enum: RESULT_STATUS_NAMES } },
  family: { description: "Routes of this family.", schema: { type: "string", enum: ["ipv4", "ipv6"] } },
  limit: {
    description: `Most routes to list, each with what all its owners want. As JSON it is ${PAGE_ROUTES_DEFAULT} where nothing is said, as NDJSON there is no limit then.`,
    schema: { type: "integer", minimum: 1, maximum: 100_000_000 },
  },
  cursor: { description: "Where to go on: the `cursor` of the page before.", schema: { type: "string" } },
} as const;

export const HISTORY_PARAMETERS = {
  prefix: {
    description: "The prefix; `default` stands for the default route.",
    required: true,
    schema: { type: "string" },
  },
  table: { description: "Routes in this table: its number, or the name of a VRF.", schema: { type: "string" } },
  source: { description: "Routes for this source prefix.", schema: { type: "string" } },
  metric: {
    description: "Routes with this metric.",
    schema: { type: "integer", minimum: 0, maximum: 0xffff_ffff },
  },
  limit: {
    description: "Most entries to tell: the latest.",
    schema: { type: "integer", minimum: 1, maximum: HISTORY_ENTRIES_MAX, default: HISTORY_ENTRIES_DEFAULT },
  },
} as const;

export const LOOKUP_PARAMETERS = {
  address: { description: "The address to look up.", required: true, schema: { type: "string" } },
  table: {
    description: "The table to look in: its number, or the name of a VRF.",
    schema: { type: "string", default: String(RT_TABLE_DEFAULT) },
  },
  source: {
    description: "The packet's IPv6 source address, for tables with routes for some sources only.",
    schema: { type: "string" },
  },
} as const;

export const OVERVIEW_PARAMETERS = {
  cursor: {
    description: "The `cursor` of the answer before: leaves out the trend and the troubles that it told.",
    schema: { type: "string" },
  },
} as const;

export const EVENT_PARAMETERS = {
  types: {
    description:
      "Events to send, with commas between them: result, kernel, drift, nexthop_drift, health. All of them if it is left out.",
    schema: { type: "string" },
  },
  objects: {
    description:
      "What events `kernel` are to be about, with commas between them: link, address, route, nexthop. All of them if it is left out.",
    schema: { type: "string" },
  },
  owner: { description: "Only events of this owner's routes.", schema: { type: "string" } },
  status: { description: "Only results with this status.", schema: { type: "string", enum: RESULT_STATUS_NAMES } },
  prefix: {
    description: "Only events of routes to this prefix; `default` stands for the default route.",
    schema: { type: "string" },
  },
  longer: {
    description: "With prefix: it, and everything more specific.",
    schema: { type: "boolean", default: false },
  },
  table: {
    description: "Only events of routes in this table: its number, or the name of a VRF.",
    schema: { type: "string" },
  },
} as const;
