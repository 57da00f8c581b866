/** `dplaned route show PREFIX`: the story of the routes to one prefix. Main thread of a client process. */
import type { RouteHistoryJson, RouteHistoryQuery, RouteListQuery } from "../api_types.ts";
import type { ApiClient } from "./client.ts";
import { EXIT_FAILED } from "./grammar.ts";
import { formatHistory, formatTime } from "./history_format.ts";
import type { CliIo } from "./io.ts";

/** The history that filters ask for which name one prefix, and at most its table; undefined if they ask for a list. */
export function toHistoryQuery({ family, prefix, table, ...others }: RouteListQuery): RouteHistoryQuery | undefined {
  if (prefix === undefined || Object.keys(others).length > 0) return undefined;
  const query: RouteHistoryQuery = { prefix, ...(table === undefined ? {} : { table }) };
  if (family === undefined) return query;
  if (prefix === "default") return { ...query, prefix: family === "ipv6" ? "::/0" : "0.0.0.0/0" };
  return prefix.includes(":") === (family === "ipv6") ? query : undefined;
}

/** Prints the story; fails if there is none. */
export async function showHistory(
  query: RouteHistoryQuery,
  json: boolean,
  client: ApiClient,
  io: CliIo,
): Promise<number> {
  const history = await client.getJson<RouteHistoryJson>("/v1/routes/history", { ...query });
  const { routes, since } = history;
  if (json) io.stdout(`${JSON.stringify(history)}\n`);
  else if (routes.length > 0) io.stdout(formatHistory(history));
  else {
    const known = since === undefined ? "" : ` since ${formatTime(since)}`;
    io.stderr(`Nobody wants a route to ${query.prefix}, and nothing happened to one${known}\n`);
  }
  return routes.length > 0 ? 0 : EXIT_FAILED;
}
