/** `/v1/owners`: who owns routes, and making an owner's routes exactly those of a list. Main thread. */
import { now } from "../clock.ts";
import type { Owner } from "../rib/owners.ts";
import type { Rib } from "../rib/rib.ts";
import { RouteSync } from "../rib/sync.ts";
import type { ApiParts } from "./api.ts";
import { type OwnerJson, type OwnersJson, UPDATE_CONTENT_TYPES } from "./api_types.ts";
import { type Endpoints, type Handler, json, readContentType } from "./endpoint.ts";
import { namedOwner, type OwnerAccess, ownParts, visitingOwner } from "./owner_access.ts";
import * as parameters from "./parameters.ts";
import { planSync } from "./plan_stream.ts";
import { Problem, problemResponse } from "./problem.ts";
import { readQuery } from "./query.ts";
import type { AckMode } from "./result_json.ts";
import { RouteJsonWriter } from "./route_json.ts";
import type { RouteStreamParts } from "./route_stream.ts";
import { stageBody } from "./sync_staging.ts";
import { SyncStream } from "./sync_stream.ts";
import { UpdateBody } from "./update_body.ts";

export function ownerEndpoints(parts: ApiParts, streams: RouteStreamParts, access: OwnerAccess): Endpoints {
  return {
    "/v1/owners": {
      GET: (context) => {
        readQuery(context.req.url, parameters.NO_PARAMETERS);
        return json(describeOwners(parts.rib));
      },
    },
    "/v1/owners/:owner/routes": {
      PUT: syncRoutes(parts, streams, access, false),
      DELETE: syncRoutes(parts, streams, access, true),
    },
  };
}

/** Makes the owner's routes exactly those of the body; of a withdrawal those of none, whatever its body has. */
function syncRoutes(parts: ApiParts, streams: RouteStreamParts, access: OwnerAccess, isWithdrawal: boolean): Handler {
  const { owners } = parts.rib;
  return (context) => {
    const query = readQuery(context.req.url, parameters.SYNC_PARAMETERS);
    const name = context.req.param("owner") ?? "";
    const isDryRun = query.dryRun === "true";
    access.require(context, name);
    const contentType = isWithdrawal ? "" : readContentType(context);
    if (isWithdrawal && owners.find(name) === undefined) {
      throw new Problem(404, `There is no owner ${name}`, "GET /v1/owners lists those that there are");
    }
    const body = isWithdrawal ? null : context.req.raw.body;
    const ack = (query.ack ?? (isDryRun ? "all" : "errors")) as AckMode;
    if (isDryRun) {
      const owner = visitingOwner(owners, name);
      return planRoutes(parts, ownParts(streams, owner), new UpdateBody(body, contentType, streams), owner, ack);
    }
    const owner = namedOwner(owners, name);
    if (owner.isSyncing) {
      throw new Problem(
        409,
        `A full-state sync of owner ${name} is under way`,
        "wait for its summary, and send it again",
      );
    }
    return new SyncStream(ownParts(streams, owner), { owner, ack, contentType, body }).respond();
  };
}

async function planRoutes(
  { rib, dataplane, links }: ApiParts,
  streams: RouteStreamParts,
  body: UpdateBody,
  owner: Owner,
  ack: AckMode,
): Promise<Response> {
  const startedAt = now();
  const sync = new RouteSync(rib, owner, { keepsAll: ack === "all", isDryRun: true });
  const release = async (): Promise<void> => {
    for (const _ of sync.release()) if (streams.pacer.isOver()) await streams.pacer.pause();
  };
  const problem = await stageBody(streams, sync, body).catch(async (error: unknown) => {
    await release();
    throw error;
  });
  if (problem !== null) {
    await release();
    return problemResponse(problem);
  }
  const plan = planSync(streams, new RouteJsonWriter(rib, dataplane, links), sync, ack, startedAt);
  return new Response(plan, { headers: { "content-type": UPDATE_CONTENT_TYPES.ndjson } });
}

export function describeOwners({ owners }: Rib): OwnersJson {
  const { nobody } = owners;
  return {
    owners: [...owners.values().map(describeOwner), { ...describeOwner(nobody), routes: nobody.selected, held: 0 }],
  };
}

function describeOwner({ name, isConfigured, settings, routes, selected, isSyncing, syncedAt }: Owner): OwnerJson {
  const { distance, prefixLimit, tables, takeOver, token, certificates } = settings;
  return {
    name,
    configured: isConfigured,
    distance,
    prefixLimit,
    tables: [...tables],
    takeOver,
    hasToken: token !== null,
    hasCertificates: certificates.length > 0,
    routes,
    selected,
    held: routes - selected,
    syncing: isSyncing,
    syncedAt,
  };
}
