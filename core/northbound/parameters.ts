/** The query parameters of each call: what requests are checked against, and what the OpenAPI document shows. Pure. */
import { OWNER_DEFAULT, RT_TABLE_DEFAULT } from "../constants.ts";
import { RESULT_STATUS_NAMES } from "./result_json.ts";

/** Routes of a page of JSON, where the request does not say. */
export const PAGE_ROUTES_DEFAULT = 1000;

export const NO_PARAMETERS = {} as const;

export const UPDATE_PARAMETERS = {
  owner: {
    description: "Whose routes these are: letters, digits, `.`, `_`, `:`, `@` and `-`.",
    schema: { type: "string", maxLength: 64, default: OWNER_DEFAULT },
  },
  ack: {
    description: "Which results are sent: all, those of updates that failed or were rejected, or none but the summary.",
    schema: { type: "string", enum: ["all", "errors", "none"], default: "all" },
  },
  dryRun: {
    description: "Not available yet: true is refused.",
    schema: { type: "boolean", default: false },
  },
} as const;

export const LIST_PARAMETERS = {
  prefix: { description: "Routes to this prefix; `default` stands for the default route.", schema: { type: "string" } },
  longer: {
    description: "With prefix: it, and everything more specific.",
    schema: { type: "boolean", default: false },
  },
  table: { description: "Routes in this table: its number, or the name of a VRF.", schema: { type: "string" } },
  owner: { description: "Routes of this owner.", schema: { type: "string" } },
  status: { description: "Routes with this status.", schema: { type: "string", enum: RESULT_STATUS_NAMES } },
  family: { description: "Routes of this family.", schema: { type: "string", enum: ["ipv4", "ipv6"] } },
  limit: {
    description: `Most routes to list. As JSON it is ${PAGE_ROUTES_DEFAULT} where nothing is said, as NDJSON there is no limit then.`,
    schema: { type: "integer", minimum: 1, maximum: 100_000_000 },
  },
  cursor: { description: "Where to go on: the `cursor` of the page before.", schema: { type: "string" } },
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

export const EVENT_PARAMETERS = {
  types: {
    description: "Events to send, with commas between them: result, kernel, health. All of them if it is left out.",
    schema: { type: "string" },
  },
} as const;
