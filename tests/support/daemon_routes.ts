/** What tests ask of a running daemon about its routes, and whether the kernel agrees. */
import type { ResultJson, RouteJson, SyncSummaryJson } from "../../core/northbound/api_types.ts";
import { readLines } from "../../core/northbound/cli/client.ts";
import type { DaemonProcess } from "../../scripts/daemon_process.ts";
import type { Netns } from "./netns.ts";

export interface Answer {
  /** By line: the daemon tells of different routes in any order. */
  results: ResultJson[];
  /** Of a sync; the summary of updates has no more than the first half of it. */
  summary: SyncSummaryJson;
}

/** Sends lines of `ip -batch` to `POST /v1/routes`, or wherever `path` says. */
export async function sendUpdates(
  daemon: DaemonProcess,
  lines: readonly string[],
  { owner, method = "POST", path = "/v1/routes" }: { owner?: string; method?: "POST" | "PUT"; path?: string } = {},
): Promise<Answer> {
  const response = await daemon.client.request({
    method,
    path,
    query: { owner },
    headers: { "content-type": "text/x-iproute2" },
    body: lines.map((line) => `${line}\n`).join(""),
  });
  const results: ResultJson[] = [];
  let summary: SyncSummaryJson | undefined;
  for await (const line of readLines(response)) {
    const answer = JSON.parse(line);
    if ("summary" in answer) summary = answer.summary;
    else results.push(answer);
  }
  if (summary === undefined) throw new Error("The daemon ended its answer without a summary");
  results.sort((a, b) => a.line - b.line);
  return { results, summary };
}

/** All routes of the RIB. */
export async function ribRoutes(daemon: DaemonProcess): Promise<RouteJson[]> {
  const response = await daemon.client.request({ path: "/v1/routes", headers: { accept: "application/x-ndjson" } });
  const routes: RouteJson[] = [];
  for await (const line of readLines(response)) if (line !== "") routes.push(JSON.parse(line));
  return routes;
}

/** What `ip` shows of the daemon's routes in a namespace, by family, table, prefix and metric. */
function kernelRoutes(ns: Netns): Map<string, string> {
  const routes = new Map<string, string>();
  for (const family of ["-4", "-6"]) {
    for (const route of ns.ipJson("-N", family, "route", "show", "table", "all", "proto", "210")) {
      const { dst, table = "254", metric = 0, gateway, dev, via, nexthops = [{ gateway, dev, via }], type } = route;
      const hops = (nexthops as { gateway?: string; via?: { host: string }; dev?: string }[])
        .map((hop) => `${hop.gateway ?? hop.via?.host ?? ""}@${hop.dev ?? ""}`)
        .sort();
      const prefix = dst === "default" ? (family === "-4" ? "0.0.0.0/0" : "::/0") : dst;
      const name = prefix.includes("/") ? prefix : `${prefix}/${family === "-4" ? 32 : 128}`;
      const kind = type === undefined || type === "1" ? hops.join(" ") : `type ${type}`;
      routes.set(`${name} table ${table} metric ${metric}`, kind);
    }
  }
  return routes;
}

/** A nexthop without interface is one over whichever the kernel found. */
function leadsTo(held: string, wanted: string | undefined): boolean {
  if (wanted === undefined) return false;
  const [heldHops, wantedHops] = [held.split(" "), wanted.split(" ")];
  return (
    heldHops.length === wantedHops.length &&
    wantedHops.every((hop, index) => (hop.endsWith("@") ? heldHops[index]!.startsWith(hop) : heldHops[index] === hop))
  );
}

const TYPE_NUMBERS: Readonly<Record<string, string>> = { blackhole: "6", unreachable: "7", prohibit: "8", throw: "9" };

/**
 * Where the RIB and the kernel disagree, in words; empty if they do not. What the RIB says is programmed must be there
 * and lead there, and nothing else of ours may be. A route by a nexthop group is compared by its members in `groups`.
 */
export async function agreement(
  daemon: DaemonProcess,
  ns: Netns,
  groups: ReadonlyMap<number, string> = new Map(),
): Promise<string[]> {
  const kernel = kernelRoutes(ns);
  const differences: string[] = [];
  for (const route of await ribRoutes(daemon)) {
    if (route.status !== "fib_programmed") continue;
    const { prefix, table, metric, type, nexthops = [], nexthopGroup } = route;
    const name = `${prefix} table ${table} metric ${metric}`;
    const hops = nexthops.map(({ via = "", dev = "" }) => `${via}@${dev}`).sort();
    const inline = type === "unicast" ? hops.join(" ") : `type ${TYPE_NUMBERS[type]}`;
    const wanted = nexthopGroup === undefined ? inline : groups.get(nexthopGroup);
    const held = kernel.get(name);
    if (held === undefined) differences.push(`${name} is not in the kernel`);
    else if (!leadsTo(held, wanted)) differences.push(`${name} leads to ${held}, not to ${wanted}`);
    kernel.delete(name);
  }
  for (const name of kernel.keys()) differences.push(`${name} is in the kernel, and the RIB does not say so`);
  return differences;
}
