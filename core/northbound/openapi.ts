/**
 * The OpenAPI document at `/openapi.json`. It is written by hand, because the calls that matter stream both ways, and is
 * held to the truth by tests that compare it with the API's routes and its answers. Pure.
 */
import { PROBLEM_CONTENT_TYPE, UPDATE_CONTENT_TYPES } from "./api_types.ts";
import { curlExamples } from "./openapi_examples.ts";
import { SCHEMAS } from "./openapi_schemas.ts";
import * as parameters from "./parameters.ts";
import type { QueryParameters } from "./query.ts";
import { reference, type Schema } from "./schema.ts";

interface Answer {
  description: string;
  content?: Readonly<Record<string, { schema: Schema }>>;
}

export interface Operation {
  operationId: string;
  tags?: readonly string[];
  summary: string;
  description?: string;
  parameters?: readonly object[];
  requestBody?: { required: boolean; content: Readonly<Record<string, { schema: Schema }>> };
  responses: Readonly<Record<string, Answer>>;
  /** Commands that make the call, as several readers of OpenAPI know them. */
  "x-codeSamples"?: readonly { lang: "Shell"; label: string; source: string }[];
}

export interface OpenapiDocument {
  openapi: "3.1.0";
  info: { title: string; version: string; description: string; license: { name: string; identifier: string } };
  paths: Readonly<Record<string, Readonly<Partial<Record<"get" | "post" | "put" | "delete", Operation>>>>>;
  tags: readonly { name: string; description: string }[];
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

/** A body of updates in each of its formats. */
const updates: Operation["requestBody"] = {
  required: false,
  content: {
    [NDJSON]: { schema: reference("Update") },
    [JSON_TYPE]: { schema: { anyOf: [{ type: "array", items: reference("Update") }, reference("Update")] } },
    [IPROUTE2]: { schema: { ...TEXT, description: "Lines as `ip -batch` takes them: `route add|replace|del …`." } },
  },
};

const badToken = problem("The owner needs a token, and it was not shown.");
const overTcp = problem("Writes are not allowed over TCP, but as an owner with a token or the client's certificate.");
const tooManyTokens = problem("Too many wrong tokens of the owner have come from the same address.");
/** What may become of any request before it is looked at. */
const turnedAway = problem(
  "The request was turned away: it is malformed (400, 505), too large (414, 431) or too slow (408), for another host (421) " +
    "or made by a web page of somebody else (403), one of too many (429), or on one of too many connections (503).",
);

const updateRoutes: Operation = {
  operationId: "updateRoutes",
  summary: "A stream of updates in, a stream of results out",
  description:
    "Updates are applied as they arrive and each gets exactly one result line: in the order of admission for one route, " +
    "in any order between routes. The summary comes last. One bad line never stops the others. The body may go on for " +
    "as long as the client likes; it is read as fast as the dataplane takes it, and not while results are left unread. " +
    "Over TCP this call needs the owner's token, or a client certificate that the owner names. With dryRun it only tells what it would do.",
  parameters: queryParameters(parameters.UPDATE_PARAMETERS),
  requestBody: updates,
  responses: {
    200: answer("Result lines, or those of a plan, and the summary as the last one.", NDJSON, {
      anyOf: [reference("Result"), reference("SummaryLine"), reference("Plan"), reference("PlanSummaryLine")],
    }),
    400: badQuery,
    401: badToken,
    403: overTcp,
    429: tooManyTokens,
    415: problem("Updates cannot be of this content type."),
    503: problem("There are too many owners."),
  },
};

const ownerInPath = { name: "owner", in: "path", required: true, description: "Name of the owner.", schema: TEXT };

const syncAnswer = answer("Result lines, or those of a plan, and the summary as the last one.", NDJSON, {
  anyOf: [reference("Result"), reference("SyncSummaryLine"), reference("Plan"), reference("PlanSummaryLine")],
});

const syncRoutes: Operation = {
  operationId: "syncRoutes",
  summary: "Makes the routes of an owner exactly those of the body",
  description:
    "The whole body is read before anything is done; if any of it is wrong, or it breaks off, nothing is changed. Then " +
    "new and changed routes are written, in the body's order, and when the kernel has answered all of them, routes that " +
    "the body does not have are deleted (line 0 of the answer). Unchanged routes are not written. Updates of the owner " +
    "that come meanwhile win over the body. With dryRun it only tells what it would do.",
  parameters: [ownerInPath, ...queryParameters(parameters.SYNC_PARAMETERS)],
  requestBody: updates,
  responses: {
    200: syncAnswer,
    400: problem("A query parameter is wrong, or the body is, or it broke off. `errors` has the first wrong lines."),
    401: badToken,
    403: overTcp,
    429: tooManyTokens,
    408: problem("The body stood still."),
    409: problem("Another full-state sync of the owner is under way."),
    413: problem("There are more routes in the body than the owner may have, or than there is room for."),
    415: problem("Updates cannot be of this content type."),
    422: problem("Updates of the body are wrong. `errors` has the first of them."),
    503: problem("There are too many owners, or the dataplane takes no more updates."),
  },
};

const withdrawRoutes: Operation = {
  operationId: "withdrawRoutes",
  summary: "Withdraws all routes of an owner",
  description: "The same as a full-state sync without routes.",
  parameters: [ownerInPath, ...queryParameters(parameters.SYNC_PARAMETERS)],
  responses: {
    200: syncAnswer,
    400: badQuery,
    401: badToken,
    403: overTcp,
    429: tooManyTokens,
    404: problem("Nobody has named this owner."),
    409: problem("A full-state sync of the owner is under way."),
    503: problem("The dataplane takes no more updates."),
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
  "Results, kernel changes, drift and health as they happen",
  parameters.EVENT_PARAMETERS,
  {
    200: answer(
      "Server-sent events: `result`, `kernel`, `drift`, `nexthop_drift`, `health`, and `lost` where the reader did not keep up.",
      "text/event-stream",
      {
        description: "The `data` of each event.",
        anyOf: [
          reference("ResultEvent"),
          reference("KernelEvent"),
          reference("DriftEvent"),
          reference("NexthopDriftEvent"),
          reference("HealthEvent"),
          reference("LostEvent"),
        ],
      },
    ),
    400: badQuery,
  },
);

const groupNumber = {
  name: "id",
  in: "path",
  required: true,
  description: "The number that clients have given the group.",
  schema: { type: "integer", minimum: 1, maximum: 0xffff_ffff },
};
const noGroup = problem("There is no group of this number.");

const showNexthopGroup: Operation = {
  operationId: "showNexthopGroup",
  summary: "A shared nexthop group as it stands",
  parameters: [groupNumber],
  responses: {
    200: jsonAnswer("The group.", "NexthopGroup"),
    400: problem("This is no number of a group."),
    404: noGroup,
  },
};

const setNexthopGroup: Operation = {
  operationId: "setNexthopGroup",
  summary: "Defines a shared nexthop group, or changes it: every route on it moves at once",
  description:
    "The answer comes when the kernel has confirmed the group or refused it. A refused change is kept as what is wanted, " +
    "and tried again when its links or addresses change; until then the kernel keeps what it had. Over TCP this call is " +
    "forbidden.",
  parameters: [groupNumber],
  requestBody: { required: true, content: { [JSON_TYPE]: { schema: reference("NexthopGroupUpdate") } } },
  responses: {
    200: jsonAnswer("The group; its status and error say what the kernel has answered.", "NexthopGroup"),
    400: problem("The group is wrong; the detail begins with the field."),
    403: problem("Writes are not allowed over TCP."),
    409: problem("Groups of this number stand for nexthops of FPM peers."),
    413: problem("The body is too long."),
    503: problem("The dataplane takes no more work."),
  },
};

const deleteNexthopGroup: Operation = {
  operationId: "deleteNexthopGroup",
  summary: "Deletes a shared nexthop group that no route is on",
  parameters: [groupNumber],
  responses: {
    204: { description: "It is gone." },
    400: problem("This is no number of a group."),
    403: problem("Writes are not allowed over TCP."),
    404: noGroup,
    409: problem("Routes are on it, or it stands for nexthops of an FPM peer."),
  },
};

const replayFpm: Operation = {
  operationId: "replayFpm",
  summary: "Sends everything again to the FPM server that a provider exports to",
  parameters: [
    { name: "client", in: "path", required: true, description: "Name of the provider.", schema: { type: "string" } },
  ],
  responses: {
    202: jsonAnswer("It has begun.", "FpmReplay"),
    400: badQuery,
    403: problem("Writes are not allowed over TCP."),
    404: problem("There is no such provider."),
    503: problem("The dataplane takes no more work."),
  },
};

const restartProvider: Operation = {
  operationId: "restartProvider",
  summary: "Has a new process of a plugin take over from the one that runs, when it is loaded",
  parameters: [
    { name: "provider", in: "path", required: true, description: "Name of the provider.", schema: { type: "string" } },
  ],
  responses: {
    200: jsonAnswer("It has taken over.", "ProviderRestart"),
    400: badQuery,
    403: problem("Writes are not allowed over TCP."),
    404: problem("There is no such plugin."),
    409: problem("The plugin cannot be loaded or started; the detail says why."),
  },
};

const providerPaths: OpenapiDocument["paths"] = {
  "/v1/providers": {
    get: get("showProviders", "The providers in the order of the pipeline", parameters.NO_PARAMETERS, {
      200: jsonAnswer("Providers.", "Providers"),
      400: badQuery,
    }),
  },
  "/v1/providers/{provider}/restart": { post: restartProvider },
};

const webFile: Operation = {
  operationId: "webFile",
  summary: "A script, style or picture of the pages",
  parameters: [{ name: "file", in: "path", required: true, description: "Its name.", schema: TEXT }],
  responses: {
    200: {
      description: "The file.",
      content: {
        "text/javascript": { schema: TEXT },
        "text/css": { schema: TEXT },
        "text/html": { schema: TEXT },
        "image/svg+xml": { schema: TEXT },
      },
    },
    304: { description: "As it was when `If-None-Match` was got." },
    400: badQuery,
    404: problem("There is no such file."),
  },
};

/** What people read rather than programs, and this document. */
const pagePaths: OpenapiDocument["paths"] = {
  "/openapi.json": {
    get: get("document", "This document", parameters.NO_PARAMETERS, {
      200: answer("OpenAPI 3.1.", JSON_TYPE, { type: "object" }),
    }),
  },
  "/": {
    get: get("page", "The dashboard", parameters.NO_PARAMETERS, {
      200: answer("HTML.", "text/html", TEXT),
      304: { description: "As it was when `If-None-Match` was got." },
    }),
  },
  "/docs": {
    get: get("reference", "This document as a page, on which calls that read can be made", parameters.NO_PARAMETERS, {
      200: answer("HTML.", "text/html", TEXT),
      304: { description: "As it was when `If-None-Match` was got." },
    }),
  },
  "/web/{file}": { get: webFile },
};

/** Groups of calls, by where their paths begin; the first that fits is it. */
const TAGS = [
  {
    name: "Routes",
    description: "Updates in, results out; what there is, and why.",
    paths: ["/v1/routes", "/v1/lookup"],
  },
  {
    name: "Owners",
    description: "Whose routes these are, and making them exactly those of a list.",
    paths: ["/v1/owners"],
  },
  { name: "Nexthop groups", description: "Nexthops that routes share.", paths: ["/v1/nexthop-groups"] },
  { name: "Events", description: "What happens, as it happens.", paths: ["/v1/events"] },
  {
    name: "Dataplane",
    description: "The pipeline and its providers.",
    paths: ["/v1/overview", "/v1/dplane", "/v1/providers"],
  },
  { name: "Kernel", description: "Whether the kernel holds what it should.", paths: ["/v1/audit"] },
  {
    name: "FPM",
    description: "Peers that send their routes, and servers that routes are exported to.",
    paths: ["/v1/fpm"],
  },
  { name: "Health", description: "Probes and metrics.", paths: ["/healthz", "/readyz", "/metrics"] },
  { name: "Pages", description: "For people, and this document.", paths: ["/"] },
] as const;

/** Puts each call into its group, adds the commands that make it, and what becomes of any request that is turned away. */
function complete(paths: OpenapiDocument["paths"]): OpenapiDocument["paths"] {
  const completed = Object.entries(paths).map(([path, methods]) => {
    const tag = TAGS.find(({ paths: begins }) => begins.some((begin) => path.startsWith(begin)));
    const operations = Object.entries(methods).map(([method, operation]) => {
      const samples = curlExamples(operation.operationId).map(({ label, command }) => ({
        lang: "Shell" as const,
        label,
        source: command,
      }));
      const added = samples.length === 0 ? {} : { "x-codeSamples": samples };
      const responses = { ...operation.responses, default: turnedAway };
      return [method, { ...operation, responses, tags: [tag?.name ?? "Pages"], ...added }] as const;
    });
    return [path, Object.fromEntries(operations)] as const;
  });
  return Object.fromEntries(completed);
}

export function createOpenapiDocument(version: string): OpenapiDocument {
  return {
    openapi: "3.1.0",
    info: {
      title: "dplaned",
      version,
      description: "The HTTP API of dplaned, a dataplane daemon for Linux. Every error is an application/problem+json.",
      license: { name: "Apache License 2.0", identifier: "Apache-2.0" },
    },
    tags: TAGS.map(({ name, description }) => ({ name, description })),
    paths: complete(createPaths()),
    components: { schemas: SCHEMAS },
  };
}

function createPaths(): OpenapiDocument["paths"] {
  const none = parameters.NO_PARAMETERS;
  return {
    "/v1/routes": { get: listRoutes, post: updateRoutes },
    "/v1/routes/history": {
      get: get(
        "showHistory",
        "What happened to the routes of one prefix, and why they are as they are",
        parameters.HISTORY_PARAMETERS,
        {
          200: jsonAnswer(
            "Its routes, those that are gone too as long as they are remembered, each with its story.",
            "RouteHistory",
          ),
          400: badQuery,
        },
      ),
    },
    "/v1/owners": {
      get: get("listOwners", "Who owns routes, on which terms, and how many", none, {
        200: jsonAnswer("Owners, and last what is nobody's.", "Owners"),
        400: badQuery,
      }),
    },
    "/v1/owners/{owner}/routes": { put: syncRoutes, delete: withdrawRoutes },
    "/v1/lookup": {
      get: get("lookUp", "Longest-prefix match in what is programmed", parameters.LOOKUP_PARAMETERS, {
        200: jsonAnswer("The route that the kernel uses, or null.", "Lookup"),
        400: badQuery,
      }),
    },
    "/v1/nexthop-groups": {
      get: get("listNexthopGroups", "All shared nexthop groups, by number", none, {
        200: jsonAnswer("The groups.", "NexthopGroups"),
        400: badQuery,
      }),
    },
    "/v1/nexthop-groups/{id}": { get: showNexthopGroup, put: setNexthopGroup, delete: deleteNexthopGroup },
    "/v1/overview": {
      get: get("showOverview", "What the dashboard shows, in one answer", parameters.OVERVIEW_PARAMETERS, {
        200: jsonAnswer("Counters, state, the last minutes by second, and the latest troubles.", "Overview"),
        400: badQuery,
      }),
    },
    "/v1/dplane": {
      get: get("showDplane", "Counters of the dataplane", none, {
        200: jsonAnswer("Counters.", "Dplane"),
        400: badQuery,
      }),
    },
    ...providerPaths,
    "/v1/fpm": {
      get: get("showFpm", "The FPM server with its peers, and the providers that export to another one", none, {
        200: jsonAnswer("Peers and clients, with their counters since the daemon's start.", "Fpm"),
        400: badQuery,
      }),
    },
    "/v1/fpm/clients/{client}/replay": { post: replayFpm },
    "/v1/audit": {
      get: get("showAudits", "What audits have found, and what is being repaired", none, {
        200: jsonAnswer("Counts.", "AuditStatus"),
        400: badQuery,
      }),
      post: {
        operationId: "audit",
        summary: "Compare the kernel with what it should hold, and repair what differs",
        description:
          "Answers when the kernel has been read and compared; repairs follow at once. Over TCP this call is forbidden.",
        responses: {
          200: jsonAnswer("What was found.", "Audit"),
          400: badQuery,
          403: problem("Writes are not allowed over TCP."),
          503: problem("The kernel could not be read."),
        },
      },
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
    ...pagePaths,
  };
}
