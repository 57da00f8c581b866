/**
 * The HTTP API: which call does what. It is a function of its parts and of requests, so tests call it without a server;
 * the sockets are core/northbound/server.ts. Main thread.
 */
import { createHash } from "node:crypto";
import { type Context, Hono, type MiddlewareHandler } from "hono";
import { routePath } from "hono/route";
import { OWNER_DEFAULT, RT_TABLE_DEFAULT } from "../constants.ts";
import type { Dataplane } from "../dataplane/dataplane.ts";
import type { Log } from "../log.ts";
import type { LinkTable } from "../model/link_table.ts";
import { describeAddressError, packedFamily, packedLength, parseAddress, parsePrefix } from "../model/prefix.ts";
import { Family } from "../model/route.ts";
import { lookUpRoute } from "../rib/lookup.ts";
import type { Rib } from "../rib/rib.ts";
import { NO_ROUTE } from "../rib/route_store.ts";
import { type ResultStatus, UPDATE_CONTENT_TYPES, type WorkerHealthJson } from "./api_types.ts";
import { NorthboundCounters } from "./counters.ts";
import { connectResultEvents, streamEvents } from "./event_stream.ts";
import { EVENT_NAMES, type EventBus, type EventName } from "./events.ts";
import { createMetrics } from "./metrics.ts";
import { createOpenapiDocument } from "./openapi.ts";
import { OutcomeReader } from "./outcome.ts";
import { Pacer } from "./pacer.ts";
import * as parameters from "./parameters.ts";
import { Problem, problemResponse } from "./problem.ts";
import { readQuery } from "./query.ts";
import { RouteJsonWriter } from "./route_json.ts";
import { FIRST_ROUTE, type PrefixFilter, parseCursor, RouteWalk, streamRoutes } from "./route_list.ts";
import { type AckMode, RouteStream } from "./route_stream.ts";
import { describeDplane, describeHealth, describeProviders, readinessReasons } from "./status.ts";
import { type NameResolver, UPDATE_DEFAULTS, type UpdateDefaults } from "./update_rules.ts";
import page from "./web/index.html.txt" with { type: "text" };

export interface ApiParts {
  rib: Rib;
  dataplane: Dataplane;
  links: LinkTable;
  events: EventBus;
  log: Log;
  version: string;
  /** When the process started, on the clock of core/clock.ts. */
  startedAt: number;
  /** The threads of the daemon and whether they live. */
  workers: () => readonly WorkerHealthJson[];
  /** What startup still waits for, in words; empty once it is done. */
  readiness: () => string[];
  /** Aborted when the daemon begins to shut down: streams come to their end. */
  shutdown: AbortSignal;
  /** What updates mean where they do not say; by default DESIGN's. */
  defaults?: UpdateDefaults;
  /** Number of a table that /etc/iproute2/rt_tables names; 0 where it does not. */
  tableNumber?: (name: string) => number;
  /** Has the thread's garbage collected soon; see ffi/runtime/runtime.ts. */
  collectGarbage?: () => void;
}

/** Where a request came in; tests that name nothing are taken for the unix socket. */
export type Listener = "unix" | "tcp";

interface Environment {
  Bindings: { listener?: Listener };
}

type Handler = (context: Context<Environment>) => Response | Promise<Response>;
type Endpoints = Readonly<Record<string, Readonly<{ GET?: Handler; POST?: Handler }>>>;

export function createApi(parts: ApiParts): Hono<Environment> {
  const counters = new NorthboundCounters();
  const pacer = new Pacer();
  const outcomes = new OutcomeReader(parts.rib, parts.dataplane, parts.links);
  connectResultEvents(parts.events, parts.rib, outcomes);
  parts.shutdown.addEventListener("abort", () => parts.events.close(), { once: true });

  const endpoints: Endpoints = {
    "/v1/routes": { GET: listRoutes(parts, pacer), POST: updateRoutes(parts, counters, pacer, outcomes) },
    "/v1/lookup": { GET: lookUp(parts) },
    ...statusEndpoints(parts),
    "/metrics": { GET: serveMetrics(parts, counters) },
    "/v1/events": { GET: serveEvents(parts) },
    "/openapi.json": { GET: serveDocument(parts.version) },
    "/": { GET: servePage() },
  };

  const app = new Hono<Environment>();
  app.use(async (context, next) => {
    await next();
    const route = context.res.status === 404 ? "none" : routePath(context, -1);
    counters.countRequest(route, context.req.method, context.res.status);
  });
  app.use(requireWriteAccess);
  for (const [path, methods] of Object.entries(endpoints)) mount(app, path, methods);
  app.notFound((context) => {
    const detail = `There is no ${context.req.path}`;
    return problemResponse(new Problem(404, detail, "GET /openapi.json lists what there is"));
  });
  app.onError((error) => {
    if (error instanceof Problem) return problemResponse(error);
    parts.log.error("Request failed", { error: error.stack ?? String(error) });
    return problemResponse(new Problem(500, "dplaned could not answer this request; its log says why"));
  });
  return app;
}

function mount(app: Hono<Environment>, path: string, methods: Endpoints[string]): void {
  const allowed: string[] = [];
  if (methods.GET !== undefined) {
    app.get(path, methods.GET);
    allowed.push("GET", "HEAD");
  }
  if (methods.POST !== undefined) {
    app.post(path, methods.POST);
    allowed.push("POST");
  }
  const allow = allowed.join(", ");
  app.all(path, (context) => {
    throw new Problem(405, `${path} does not take ${context.req.method}`, `it takes ${allow}`, { allow });
  });
}

/** Who may write: whoever can open the unix socket. Over TCP nobody can prove anything yet. */
const requireWriteAccess: MiddlewareHandler<Environment> = async (context, next) => {
  const { method } = context.req;
  const isRead = method === "GET" || method === "HEAD";
  if (!isRead && context.env?.listener === "tcp") {
    throw new Problem(
      403,
      `${method} is not allowed over TCP`,
      "use the unix socket, /run/dplaned/dplaned.sock by default",
    );
  }
  await next();
};

function json(body: unknown, status = 200): Response {
  return new Response(`${JSON.stringify(body)}\n`, { status, headers: { "content-type": "application/json" } });
}

const OWNER_NAME = /^[A-Za-z0-9][A-Za-z0-9._:@-]{0,63}$/;

function updateRoutes(parts: ApiParts, counters: NorthboundCounters, pacer: Pacer, outcomes: OutcomeReader): Handler {
  const { rib, dataplane, log, shutdown, links, defaults = UPDATE_DEFAULTS, tableNumber } = parts;
  const { collectGarbage = () => {} } = parts;
  const resolver: NameResolver = {
    deviceIndex: (name) => links.indexOf(name),
    vrfTable: (name) => links.vrfTable(name),
    ...(tableNumber === undefined ? {} : { tableNumber }),
  };
  const streamParts = { rib, dataplane, outcomes, resolver, defaults, pacer, counters, collectGarbage, log, shutdown };
  return (context) => {
    const query = readQuery(context.req.url, parameters.UPDATE_PARAMETERS);
    const { owner: ownerName = OWNER_DEFAULT, ack = "all", dryRun = "false" } = query;
    if (dryRun === "true") throw new Problem(400, "dryRun is not available yet");
    if (!OWNER_NAME.test(ownerName)) {
      throw new Problem(
        400,
        `${JSON.stringify(ownerName)} is no name of an owner`,
        "a name has letters, digits, `.`, `_`, `:`, `@` and `-`, at most 64, and begins with a letter or digit",
      );
    }
    const contentType = context.req.header("content-type") ?? "";
    checkContentType(contentType);
    const owner = rib.ownerId(ownerName);
    if (owner === 0) throw new Problem(503, "There are too many owners", "use the name of one that there is");
    const body = context.req.raw.body;
    const stream = new RouteStream(streamParts, { owner, ack: ack as AckMode, contentType, body });
    return new Response(stream.response, { headers: { "content-type": UPDATE_CONTENT_TYPES.ndjson } });
  };
}

/** Types of which the body's start tells the format: none at all, and what curl and other tools send unasked. */
const NEUTRAL_TYPES = ["", "text/plain", "application/octet-stream", "application/x-www-form-urlencoded"];

function checkContentType(contentType: string): void {
  const mediaType = (contentType.split(";", 1)[0] ?? "").trim().toLowerCase();
  const known: readonly string[] = Object.values(UPDATE_CONTENT_TYPES);
  if (known.includes(mediaType) || NEUTRAL_TYPES.includes(mediaType)) return;
  if (/^application\/(x-)?(ndjson|jsonl|jsonlines|json-lines)$/.test(mediaType)) return;
  throw new Problem(415, `Updates cannot be ${mediaType}`, `they are ${known.join(", ")}`);
}

function listRoutes({ rib, dataplane, links }: ApiParts, pacer: Pacer): Handler {
  return (context) => {
    const query = readQuery(context.req.url, parameters.LIST_PARAMETERS);
    const family = { ipv4: Family.IPV4, ipv6: Family.IPV6 }[query.family ?? ""] ?? Family.NONE;
    if (query.longer === "true" && query.prefix === undefined) {
      throw new Problem(400, "longer needs a prefix", "name the prefix, or leave longer out");
    }
    const filter = {
      family,
      prefix: query.prefix === undefined ? null : readPrefix(query.prefix),
      longer: query.longer === "true",
      table: query.table === undefined ? null : readTable(query.table, links),
      // An owner that nobody has named yet has no routes; asking for it does not make it.
      owner: query.owner === undefined ? null : rib.owners().indexOf(query.owner) + 1,
      status: (query.status as ResultStatus | undefined) ?? null,
    };
    const start = query.cursor === undefined ? FIRST_ROUTE : parseCursor(query.cursor);
    if (start === undefined) throw new Problem(400, `${JSON.stringify(query.cursor)} is no cursor`);
    const isNdjson = (context.req.header("accept") ?? "").includes(UPDATE_CONTENT_TYPES.ndjson);
    const defaultLimit = isNdjson ? Number.POSITIVE_INFINITY : parameters.PAGE_ROUTES_DEFAULT;
    const limit = query.limit === undefined ? defaultLimit : Number(query.limit);
    const walk = new RouteWalk(rib, new RouteJsonWriter(rib, dataplane, links), filter, limit, start);
    const contentType = isNdjson ? UPDATE_CONTENT_TYPES.ndjson : UPDATE_CONTENT_TYPES.json;
    return new Response(streamRoutes(walk, isNdjson ? "ndjson" : "json", pacer), {
      headers: { "content-type": contentType, vary: "accept" },
    });
  };
}

function lookUp({ rib, dataplane, links, defaults = UPDATE_DEFAULTS }: ApiParts): Handler {
  return (context) => {
    const query = readQuery(context.req.url, parameters.LOOKUP_PARAMETERS);
    const address = new Uint8Array(16);
    const family = readAddress(query.address!, "address", address);
    const table = query.table === undefined ? defaults.table : readTable(query.table, links);
    let source: Uint8Array | undefined;
    if (query.source !== undefined) {
      source = new Uint8Array(16);
      if (readAddress(query.source, "source", source) !== family) {
        throw new Problem(400, "address and source are of different families");
      }
    }
    const route = lookUpRoute(rib, family, address, table, source);
    const store = rib.store(family);
    const writer = new RouteJsonWriter(rib, dataplane, links);
    const text = route === NO_ROUTE ? "null" : writer.write(store, route, store.programmed(route));
    const head = JSON.stringify({ address: query.address, table }).slice(0, -1);
    return new Response(`${head},"route":${text}}\n`, { headers: { "content-type": "application/json" } });
  };
}

function readAddress(text: string, field: string, into: Uint8Array): Family {
  const family = parseAddress(text, 0, text.length, into, 0);
  if (family >= 0) return family as Family;
  const { message, hint } = describeAddressError(family, text, "address");
  throw new Problem(400, `${field}: ${message}`, hint);
}

function readPrefix(text: string): PrefixFilter {
  const address = new Uint8Array(16);
  if (text === "default") return { family: Family.NONE, address, length: 0 };
  const packed = parsePrefix(text, address, 0, true);
  if (packed >= 0) return { family: packedFamily(packed), address, length: packedLength(packed) };
  const { message, hint } = describeAddressError(packed, text, "prefix");
  throw new Problem(400, `prefix: ${message}`, hint);
}

function readTable(text: string, links: LinkTable): number {
  if (/^[1-9]\d{0,9}$/.test(text) && Number(text) <= 0xffff_ffff) return Number(text);
  if (text === "main") return RT_TABLE_DEFAULT;
  const table = links.vrfTable(text);
  if (table !== 0) return table;
  throw new Problem(
    400,
    `${JSON.stringify(text)} is neither a table's number nor the name of a VRF`,
    "`ip vrf` lists VRFs",
  );
}

function statusEndpoints({ rib, dataplane, version, startedAt, workers, readiness }: ApiParts): Endpoints {
  const withoutParameters = (answer: () => Response): { GET: Handler } => ({
    GET: (context) => {
      readQuery(context.req.url, parameters.NO_PARAMETERS);
      return answer();
    },
  });
  return {
    "/v1/dplane": withoutParameters(() => json(describeDplane(dataplane, rib))),
    "/v1/providers": withoutParameters(() => json({ providers: describeProviders(dataplane) })),
    // Probes add parameters of their own at times; they are not refused for it.
    "/healthz": {
      GET: () => {
        const health = describeHealth(workers(), version, startedAt);
        return json(health, health.status === "ok" ? 200 : 503);
      },
    },
    "/readyz": {
      GET: () => {
        const reasons = readinessReasons(dataplane, readiness());
        return json({ ready: reasons.length === 0, reasons }, reasons.length === 0 ? 200 : 503);
      },
    },
  };
}

function serveMetrics(parts: ApiParts, counters: NorthboundCounters): Handler {
  const isReady = () => readinessReasons(parts.dataplane, parts.readiness()).length === 0;
  const registry = createMetrics({ ...parts, counters, isReady });
  return async () => new Response(await registry.metrics(), { headers: { "content-type": registry.contentType } });
}

function serveEvents({ events, dataplane, readiness }: ApiParts): Handler {
  return (context) => {
    const { types } = readQuery(context.req.url, parameters.EVENT_PARAMETERS);
    const names = types === undefined ? EVENT_NAMES : types.split(",");
    const unknown = names.find((name) => !(EVENT_NAMES as readonly string[]).includes(name));
    if (unknown !== undefined) {
      throw new Problem(400, `There are no events ${JSON.stringify(unknown)}`, `there are ${EVENT_NAMES.join(", ")}`);
    }
    const stream = streamEvents(events, new Set(names as EventName[]), () => readinessReasons(dataplane, readiness()));
    return new Response(stream, { headers: { "content-type": "text/event-stream", "cache-control": "no-store" } });
  };
}

function serveDocument(version: string): Handler {
  const document = createOpenapiDocument(version);
  return () => json(document);
}

function servePage(): Handler {
  // The page asks nobody but us for anything, and the browser is told to hold it to that.
  const script = /<script>([\s\S]*?)<\/script>/.exec(page)?.[1] ?? "";
  const style = /<style>([\s\S]*?)<\/style>/.exec(page)?.[1] ?? "";
  const policy = [
    "default-src 'none'",
    `script-src '${integrity(script)}'`,
    `style-src '${integrity(style)}'`,
    "connect-src 'self'",
    "img-src data:",
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
  ].join("; ");
  const headers = {
    "content-type": "text/html; charset=utf-8",
    "content-security-policy": policy,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
  };
  return () => new Response(page, { headers });
}

function integrity(text: string): string {
  return `sha256-${createHash("sha256").update(text).digest("base64")}`;
}
