/** The calls about shared nexthop groups. Main thread. */
import type { Context } from "hono";
import { FPM_GROUP_MIN, LINE_BYTES_MAX } from "../constants.ts";
import type { Dataplane } from "../dataplane/dataplane.ts";
import type { LinkTable } from "../model/link_table.ts";
import type { NexthopGroup } from "../rib/nexthop_group.ts";
import type { NexthopGroups } from "../rib/nexthop_groups.ts";
import type { NexthopGroupsJson } from "./api_types.ts";
import { describeNexthopGroup, parseNexthopGroup } from "./nexthop_group_json.ts";
import { NO_PARAMETERS } from "./parameters.ts";
import { Problem } from "./problem.ts";
import { readQuery } from "./query.ts";
import type { NameResolver } from "./update_rules.ts";
import { U32_MAX } from "./update_values.ts";

export interface NexthopGroupParts {
  groups: NexthopGroups;
  dataplane: Dataplane;
  links: LinkTable;
  resolver: NameResolver;
  /** Aborted when the daemon begins to stop. */
  shutdown: AbortSignal;
}

type Handler = (context: Context) => Response | Promise<Response>;

export const NEXTHOP_GROUPS_PATH = "/v1/nexthop-groups";

/** Their handlers by path and method. */
export function nexthopGroupEndpoints(parts: NexthopGroupParts): Record<string, Record<string, Handler>> {
  const { groups, dataplane, links, shutdown } = parts;
  const describe = (group: NexthopGroup) =>
    describeNexthopGroup(group, groups, links, (id) => dataplane.providerName(id));
  const list: Handler = (context) => {
    readQuery(context.req.url, NO_PARAMETERS);
    const sorted = Array.from(groups.list()).sort((a, b) => a.number - b.number);
    return json({ nexthopGroups: sorted.map(describe) } satisfies NexthopGroupsJson);
  };
  const get: Handler = (context) => {
    readQuery(context.req.url, NO_PARAMETERS);
    const number = readNumber(context);
    const group = groups.get(number);
    if (group === undefined) throw unknownGroup(number);
    return json(describe(group));
  };
  const put: Handler = async (context) => {
    readQuery(context.req.url, NO_PARAMETERS);
    const number = readOwnNumber(context);
    const definition = parseNexthopGroup(await readJson(context.req.raw), parts.resolver);
    if ("code" in definition) {
      const { field, message, hint, code } = definition;
      throw new Problem(400, `${field === "" ? "" : `${field}: `}${message} (${code})`, hint);
    }
    if (shutdown.aborted || !dataplane.isAccepting())
      throw new Problem(503, "dplaned takes no more work", "see GET /readyz");
    return json(describe(await groups.set(number, definition)));
  };
  const remove: Handler = async (context) => {
    readQuery(context.req.url, NO_PARAMETERS);
    const number = readOwnNumber(context);
    if (groups.get(number) === undefined) throw unknownGroup(number);
    const { count, example } = await groups.delete(number);
    if (count > 0) {
      const users = count === 1 ? `the route ${example} is on it` : `${count} routes are on it, such as ${example}`;
      throw new Problem(409, `Nexthop group ${number} is in use: ${users}`, "delete these routes or move them first");
    }
    return new Response(null, { status: 204 });
  };
  return {
    [NEXTHOP_GROUPS_PATH]: { GET: list },
    [`${NEXTHOP_GROUPS_PATH}/:id`]: { GET: get, PUT: put, DELETE: remove },
  };
}

function readNumber(context: Context): number {
  const text = context.req.param("id") ?? "";
  const number = Number(text);
  if (/^[1-9]\d{0,9}$/.test(text) && number <= U32_MAX) return number;
  throw new Problem(
    400,
    `${JSON.stringify(text)} is no number of a nexthop group`,
    `it is a number from 1 to ${U32_MAX}`,
  );
}

/** The number of a group that a client may define. */
function readOwnNumber(context: Context): number {
  const number = readNumber(context);
  if (number < FPM_GROUP_MIN) return number;
  throw new Problem(
    409,
    `Nexthop groups from ${FPM_GROUP_MIN} on stand for nexthops of FPM peers`,
    "choose a lower number",
  );
}

function unknownGroup(number: number): Problem {
  return new Problem(404, `There is no nexthop group ${number}`, `GET ${NEXTHOP_GROUPS_PATH} lists those there are`);
}

/** The body, which is read no further than it may be long. */
async function readJson(request: Request): Promise<unknown> {
  const pieces: Uint8Array[] = [];
  let length = 0;
  try {
    for await (const piece of request.body ?? []) {
      length += piece.length;
      if (length > LINE_BYTES_MAX) {
        throw new Problem(413, `The nexthop group is longer than ${LINE_BYTES_MAX} bytes`);
      }
      pieces.push(piece);
    }
  } catch (error) {
    // Its client is gone; that is no fault of ours.
    throw error instanceof Problem ? error : new Problem(400, "The body broke off", "nothing was changed");
  }
  const bytes = new Uint8Array(length);
  let at = 0;
  for (const piece of pieces) {
    bytes.set(piece, at);
    at += piece.length;
  }
  try {
    return JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new Problem(400, `The body is not JSON: ${reason}`, 'such as {"members":[{"via":"10.0.0.2","dev":"v0"}]}');
  }
}

function json(body: unknown): Response {
  return new Response(`${JSON.stringify(body)}\n`, { headers: { "content-type": "application/json" } });
}
