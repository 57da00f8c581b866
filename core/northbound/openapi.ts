/**
 * The OpenAPI document at `/openapi.json`. It is written by hand, because the calls that matter stream both ways, and is
 * held to the truth by tests that compare it with the API's routes and its answers. Pure.
 */
import { PROBLEM_CONTENT_TYPE, UPDATE_CONTENT_TYPES } from "./api_types.ts";
import { reference, SCHEMAS, type Schema } from "./openapi_schemas.ts";
import * as parameters from "./parameters.ts";
import type { QueryParameters } from "./query.ts";

interface Answer {
  description: string;
  content?: Readonly<Record<string, { schema: Schema }>>;
}

interface Operation {
  operationId: string;
  summary: string;
  description?: string;
  parameters?: readonly object[];
  requestBody?: { required: boolean; content: Readonly<Record<string, { schema: Schema }>> };
  responses: Readonly<Record<string, Answer>>;
}

export interface OpenapiDocument {
  openapi: "3.1.0";
  info: { title: string; version: string; description: string; license: { name: string; identifier: string } };
  paths: Readonly<Record<string, Readonly<{ get?: Operation; post?: Operation }>>>;
  components: { schemas: Readonly<Record<string, Schema>> };
}

const TEXT: Schema = { type: "string" };
const { ndjson: NDJSON, json: JSON_TYPE, iproute2: IPROUTE2 } = UPDATE_CONTENT_TYPES;

function answer(description: string, contentType: string, schema: Schema): Answer {
  return { description, content: { [contentType]: { schema } } };
}

const jsonAnswer = (description: string, name: string): Answer => answer(description, JSON_TYPE, reference(name));
const problem = (description: string): Answer => answer(description, PROBLEM_CONTENT_TYPE, reference("Problem"));
const badQuery = problem("A query parameter is wrong.");

function queryParameters(table: QueryParameters): object[] {
  return Object.entries(table).map(([name, { description, required = false, schema }]) => ({
    name,
    in: "query",
    required,
    description,
    schema,
  }));
}

function get(
  operationId: string,
  summary: string,
  table: QueryParameters,
  responses: Operation["responses"],
): Operation {
  const hasParameters = Object.keys(table).length > 0;
  return { operationId, summary, ...(hasParameters ? { parameters: queryParameters(table) } : {}), responses };
}

const updateRoutes: Operation = {
  operationId: "updateRoutes",
  summary: "A stream of updates in, a stream of results out",
  description:
    "Updates are applied as they arrive and each gets exactly one result line: in the order of admission for one route, " +
    "in any order between routes. The summary comes last. One bad line never stops the others. The body may go on for " +
    "as long as the client likes; it is read as fast as the dataplane takes it, and not while results are left unread. " +
    "Over TCP this call is forbidden.",
  parameters: queryParameters(parameters.UPDATE_PARAMETERS),
  requestBody: {
    required: false,
    content: {
      [NDJSON]: { schema: reference("Update") },
      [JSON_TYPE]: { schema: { anyOf: [{ type: "array", items: reference("Update") }, reference("Update")] } },
      [IPROUTE2]: { schema: { ...TEXT, description: "Lines as `ip -batch` takes them: `route add|replace|del …`." } },
    },
  },
  responses: {
    200: answer("Result lines, and the summary as the last one.", NDJSON, {
      anyOf: [reference("Result"), reference("SummaryLine")],
    }),
    400: badQuery,
    403: problem("Writes are not allowed over TCP."),
    415: problem("Updates cannot be of this content type."),
    503: problem("There are too many owners."),
  },
};

const listRoutes: Operation = get(
  "listRoutes",
  "The routes that owners want, and what became of them",
  parameters.LIST_PARAMETERS,
  {
    200: {
      description: "A page of routes in no particular order; all of them, one a line, if `Accept` names NDJSON.",
      content: { [JSON_TYPE]: { schema: reference("RouteList") }, [NDJSON]: { schema: reference("Route") } },
    },
    400: badQuery,
  },
);

const events: Operation = get(
  "streamEvents",
  "Results, kernel changes and health as they happen",
  parameters.EVENT_PARAMETERS,
  {
    200: answer(
      "Server-sent events: `result`, `kernel`, `health`, and `lost` where the reader did not keep up.",
      "text/event-stream",
      {
        description: "The `data` of each event.",
        anyOf: [reference("ResultEvent"), reference("KernelEvent"), reference("HealthEvent"), reference("LostEvent")],
      },
    ),
    400: badQuery,
  },
);

export function createOpenapiDocument(version: string): OpenapiDocument {
  const none = parameters.NO_PARAMETERS;
  return {
    openapi: "3.1.0",
    info: {
      title: "dplaned",
      version,
      description: "The HTTP API of dplaned, a dataplane daemon for Linux. Every error is an application/problem+json.",
      license: { name: "Apache License 2.0", identifier: "Apache-2.0" },
    },
    paths: {
      "/v1/routes": { get: listRoutes, post: updateRoutes },
      "/v1/lookup": {
        get: get("lookUp", "Longest-prefix match in what is programmed", parameters.LOOKUP_PARAMETERS, {
          200: jsonAnswer("The route that the kernel uses, or null.", "Lookup"),
          400: badQuery,
        }),
      },
      "/v1/dplane": {
        get: get("showDplane", "Counters of the dataplane", none, {
          200: jsonAnswer("Counters.", "Dplane"),
          400: badQuery,
        }),
      },
      "/v1/providers": {
        get: get("showProviders", "The providers in the order of the pipeline", none, {
          200: jsonAnswer("Providers.", "Providers"),
          400: badQuery,
        }),
      },
      "/v1/events": { get: events },
      "/healthz": {
        get: get("health", "Whether the process works", none, {
          200: jsonAnswer("Every worker lives.", "Health"),
          503: jsonAnswer("A worker is dead or stuck.", "Health"),
        }),
      },
      "/readyz": {
        get: get("readiness", "Whether startup is done and all providers are up", none, {
          200: jsonAnswer("Ready.", "Readiness"),
          503: jsonAnswer("Not ready, or shutting down.", "Readiness"),
        }),
      },
      "/metrics": {
        get: get("metrics", "Every counter, for Prometheus", none, {
          200: answer("Metrics in the text format.", "text/plain", TEXT),
        }),
      },
      "/openapi.json": {
        get: get("document", "This document", none, { 200: answer("OpenAPI 3.1.", JSON_TYPE, { type: "object" }) }),
      },
      "/": {
        get: get("page", "A page that shows the dataplane and its providers", none, {
          200: answer("HTML.", "text/html", TEXT),
        }),
      },
    },
    components: { schemas: SCHEMAS },
  };
}
