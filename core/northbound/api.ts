/**
 * The HTTP API: which call does what. It is a function of its parts and of requests, so tests call it without a server;
 * the sockets are core/northbound/server.ts. Main thread.
 */
import { Hono } from "hono";
import { routePath } from "hono/route";
import { BODY_IDLE_MS, HISTORY_ENTRIES_DEFAULT, OWNER_DEFAULT, RT_TABLE_DEFAULT } from "../constants.ts";
import type { Dataplane } from "../dataplane/dataplane.ts";
import type { Log } from "../log.ts";
import type { LinkTable } from "../model/link_table.ts";
import { describeAddressError, packedFamily, packedLength, parseAddress, parsePrefix } from "../model/prefix.ts";
import { Family } from "../model/route.ts";
import type { Journal } from "../rib/journal.ts";
import { lookUpRoute } from "../rib/lookup.ts";
import type { NexthopGroups } from "../rib/nexthop_groups.ts";
import { NO_ROUTE } from "../rib/route_store.ts";
import { type ResultStatus, UPDATE_CONTENT_TYPES, type WorkerHealthJson } from "./api_types.ts";
import { type AuditParts, describeAudits } from "./audit_api.ts";
import { NorthboundCounters } from "./counters.ts";
import { type Endpoints, type Environment, type Handler, json, METHODS, readContentType } from "./endpoint.ts";
import { type EventFilter, KERNEL_OBJECTS } from "./event_filter.ts";
import { connectResultEvents, streamEvents } from "./event_stream.ts";
import { EVENT_NAMES, type EventBus } from "./events.ts";
import { type FpmParts, fpmEndpoints } from "./fpm_api.ts";
import { LoopLag } from "./loop_lag.ts";
import { createMetrics, registerOwnMetrics } from "./metrics.ts";
import { nexthopGroupEndpoints } from "./nexthop_groups_api.ts";
import { createOpenapiDocument } from "./openapi.ts";
import { OutcomeReader } from "./outcome.ts";
import { overviewEndpoints } from "./overview.ts";
import { namedOwner, OwnerAccess, ownParts, requireWriteAccess, visitingOwner } from "./owner_access.ts";
import { ownerEndpoints } from "./owners_api.ts";
import { Pacer } from "./pacer.ts";
import * as parameters from "./parameters.ts";
import { planUpdates } from "./plan_stream.ts";
import { Problem, problemResponse } from "./problem.ts";
import { type ProvidersParts, providerEndpoints } from "./providers_api.ts";
import { readQuery } from "./query.ts";
import type { AckMode } from "./result_json.ts";
import { describeHistory } from "./route_history.ts";
import { RouteJsonWriter } from "./route_json.ts";
import { FIRST_ROUTE, type PrefixFilter, parseCursor, RouteWalk, streamRoutes } from "./route_list.ts";
import { RouteStream, type RouteStreamParts } from "./route_stream.ts";
import { describeDplane, describeHealth, readinessReasons } from "./status.ts";
import { Trend } from "./trend.ts";
import { type NameResolver, UPDATE_DEFAULTS, type UpdateDefaults } from "./update_rules.ts";
import { webEndpoints } from "./web_files.ts";
import { WithdrawalRoom } from "./withdrawals.ts";

export interface ApiParts extends AuditParts, FpmParts, ProvidersParts {
  /** What happened to routes; it observes the RIB. */
  journal: Journal;
  groups: NexthopGroups;
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
  /** Shares the thread with others than the API's streams, too. */
  pacer?: Pacer;
  /** How long the body of a full-state sync may stand still. */
  bodyIdleMs?: number;
  /** Shared with the sockets, which count what does not come as far as the API. */
  counters?: NorthboundCounters;
  /** Has the thread's garbage collected soon; see ffi/runtime/runtime.ts. */
  collectGarbage?: () => void;
}

export function createApi(parts: ApiParts): Hono<Environment> {
  const { pacer = new Pacer(), counters = new NorthboundCounters() } = parts;
  const lag = new LoopLag(parts.shutdown);
  const trend = new Trend(parts);
  const access = new OwnerAccess(parts.rib.owners, counters, parts.log);
  const outcomes = new OutcomeReader(parts.rib, parts.dataplane, parts.links);
  const streams = createStreamParts(parts, counters, pacer, outcomes);
  connectResultEvents(parts.events, parts.rib, outcomes);
  parts.shutdown.addEventListener("abort", () => parts.events.close(), { once: true });

  const endpoints: Endpoints = {
    "/v1/routes": { GET: listRoutes(parts, pacer), POST: updateRoutes(parts, streams, access) },
    "/v1/routes/history": { GET: showHistory(parts) },
    ...ownerEndpoints(parts, streams, access),
    "/v1/lookup": { GET: lookUp(parts) },
    ...nexthopGroupEndpoints({ ...parts, resolver: createResolver(parts) }),
    ...statusEndpoints(parts),
    ...providerEndpoints(parts),
    ...fpmEndpoints(parts),
    ...overviewEndpoints({ ...parts, counters, lag, trend }),
    "/v1/audit": auditEndpoint(parts),
    "/metrics": { GET: serveMetrics(parts, counters, lag) },
    "/v1/events": { GET: serveEvents(parts) },
    "/openapi.json": { GET: serveDocument(parts.version) },
    ...webEndpoints(),
  };

  const app = new Hono<Environment>();
  app.use(async (context, next) => {
    await next();
    // Neither a script's mistake nor another site's page may take an answer for something else.
    context.res.headers.set("x-content-type-options", "nosniff");
    context.res.headers.set("cross-origin-resource-policy", "same-origin");
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
  for (const method of METHODS) {
    const handler = methods[method];
    if (handler === undefined) continue;
    app.on(method, path, handler);
    allowed.push(...(method === "GET" ? ["GET", "HEAD"] : [method]));
  }
  const allow = allowed.join(", ");
  app.all(path, (context) => {
    throw new Problem(405, `${context.req.path} does not take ${context.req.method}`, `it takes ${allow}`, { allow });
  });
}

/** A number that no owner has; 0 stands for nobody. */
const NO_OWNER = -1;

function createResolver({ links, tableNumber }: ApiParts): NameResolver {
  return {
    deviceIndex: (name) => links.indexOf(name),
    vrfTable: (name) => links.vrfTable(name),
    ...(tableNumber === undefined ? {} : { tableNumber }),
  };
}

function createStreamParts(
  parts: ApiParts,
  counters: NorthboundCounters,
  pacer: Pacer,
  outcomes: OutcomeReader,
): RouteStreamParts {
  const { rib, dataplane, log, shutdown } = parts;
  const { defaults = UPDATE_DEFAULTS, collectGarbage = () => {}, bodyIdleMs = BODY_IDLE_MS } = parts;
  const given = { rib, dataplane, defaults, collectGarbage, log, shutdown, bodyIdleMs };
  const withdrawalRoom = new WithdrawalRoom();
  return { ...given, outcomes, resolver: createResolver(parts), pacer, withdrawalRoom, counters };
}

function updateRoutes({ rib, dataplane, links }: ApiParts, streams: RouteStreamParts, access: OwnerAccess): Handler {
  return (context) => {
    const query = readQuery(context.req.url, parameters.UPDATE_PARAMETERS);
    const { owner: name = OWNER_DEFAULT, ack = "all" } = query;
    const isDryRun = query.dryRun === "true";
    access.require(context, name);
    const contentType = readContentType(context);
    const owner = isDryRun ? visitingOwner(rib.owners, name) : namedOwner(rib.owners, name);
    const parts = ownParts(streams, owner);
    const request = { owner, ack: ack as AckMode, contentType, body: context.req.raw.body };
    const body = isDryRun
      ? planUpdates(parts, new RouteJsonWriter(rib, dataplane, links), request)
      : new RouteStream(parts, request).response;
    return new Response(body, { headers: { "content-type": UPDATE_CONTENT_TYPES.ndjson } });
  };
}

function listRoutes({ rib, dataplane, links }: ApiParts, pacer: Pacer): Handler {
  return (context) => {
    const query = readQuery(context.req.url, parameters.LIST_PARAMETERS);
    const family = { ipv4: Family.IPV4, ipv6: Family.IPV6 }[query.family ?? ""] ?? Family.NONE;
    if (query.longer === "true" && query.prefix === undefined) throw longerAlone();
    const filter = {
      family,
      prefix: query.prefix === undefined ? null : readPrefix(query.prefix),
      longer: query.longer === "true",
      table: query.table === undefined ? null : readTable(query.table, links),
      // An owner that nobody has named yet has no routes; asking for it does not make it.
      owner: query.owner === undefined ? null : (rib.owners.find(query.owner)?.id ?? NO_OWNER),
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

function showHistory(parts: ApiParts): Handler {
  return (context) => {
    const query = readQuery(context.req.url, parameters.HISTORY_PARAMETERS);
    const prefix = readPrefix(query.prefix!);
    const source = query.source === undefined ? null : readPrefix(query.source, "source");
    if (source !== null && prefix.family !== Family.NONE && source.family !== prefix.family) {
      throw new Problem(400, "prefix and source are of different families");
    }
    const history = describeHistory(parts, {
      prefix,
      table: query.table === undefined ? null : readTable(query.table, parts.links),
      metric: query.metric === undefined ? null : Number(query.metric),
      source,
      limit: query.limit === undefined ? HISTORY_ENTRIES_DEFAULT : Number(query.limit),
    });
    return json(history);
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

function readPrefix(text: string, field = "prefix"): PrefixFilter {
  const address = new Uint8Array(16);
  if (text === "default") return { family: Family.NONE, address, length: 0 };
  const packed = parsePrefix(text, address, 0, true);
  if (packed >= 0) return { family: packedFamily(packed), address, length: packedLength(packed) };
  const { message, hint } = describeAddressError(packed, text, "prefix");
  throw new Problem(400, `${field}: ${message}`, hint);
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

function statusEndpoints(parts: ApiParts): Endpoints {
  const { rib, dataplane, version, startedAt, workers, readiness } = parts;
  const withoutParameters = (answer: () => Response): { GET: Handler } => ({
    GET: (context) => {
      readQuery(context.req.url, parameters.NO_PARAMETERS);
      return answer();
    },
  });
  return {
    "/v1/dplane": withoutParameters(() => json(describeDplane(dataplane, rib))),
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

function auditEndpoint(parts: ApiParts): { GET: Handler; POST: Handler } {
  return {
    GET: (context) => {
      readQuery(context.req.url, parameters.NO_PARAMETERS);
      return json(describeAudits(parts));
    },
    POST: async (context) => {
      readQuery(context.req.url, parameters.NO_PARAMETERS);
      try {
        return json(await parts.auditor.audit());
      } catch (error) {
        throw new Problem(503, error instanceof Error ? error.message : String(error), "try again in a moment");
      }
    },
  };
}

function serveMetrics(parts: ApiParts, counters: NorthboundCounters, lag: LoopLag): Handler {
  const isReady = () => readinessReasons(parts.dataplane, parts.readiness()).length === 0;
  const registry = createMetrics({ ...parts, counters, lag, isReady });
  return async () => {
    if (parts.plugins !== undefined) registerOwnMetrics(registry, parts.plugins);
    return new Response(await registry.metrics(), { headers: { "content-type": registry.contentType } });
  };
}

function serveEvents({ events, dataplane, readiness, links }: ApiParts): Handler {
  return (context) => {
    const query = readQuery(context.req.url, parameters.EVENT_PARAMETERS);
    if (query.longer === "true" && query.prefix === undefined) throw longerAlone();
    const filter: EventFilter = {
      names: readNames(query.types, EVENT_NAMES, "events") ?? new Set(EVENT_NAMES),
      objects: readNames(query.objects, KERNEL_OBJECTS, "objects"),
      owner: query.owner ?? null,
      status: (query.status as ResultStatus | undefined) ?? null,
      table: query.table === undefined ? null : readTable(query.table, links),
      prefix: query.prefix === undefined ? null : readPrefix(query.prefix),
      longer: query.longer === "true",
    };
    const stream = streamEvents(events, filter, () => readinessReasons(dataplane, readiness()));
    return new Response(stream, { headers: { "content-type": "text/event-stream", "cache-control": "no-store" } });
  };
}

/** Names with commas between them; null if there is no such parameter. */
function readNames<Name extends string>(
  text: string | undefined,
  known: readonly Name[],
  what: string,
): ReadonlySet<Name> | null {
  if (text === undefined) return null;
  const names = text.split(",");
  const unknown = names.find((name) => !(known as readonly string[]).includes(name));
  if (unknown === undefined) return new Set(names as Name[]);
  throw new Problem(400, `There are no ${what} ${JSON.stringify(unknown)}`, `there are ${known.join(", ")}`);
}

function longerAlone(): Problem {
  return new Problem(400, "longer needs a prefix", "name the prefix, or leave longer out");
}

function serveDocument(version: string): Handler {
  const document = createOpenapiDocument(version);
  return () => json(document);
}
