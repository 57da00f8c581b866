/** How answers of the API look as text: iproute2's words where it has them, FRR's for the dataplane's counters. Pure. */
import { RT_TABLE_DEFAULT } from "../../constants.ts";
import type {
  AuditJson,
  AuditStatusJson,
  DplaneJson,
  ErrorJson,
  HealthJson,
  LookupJson,
  NexthopGroupJson,
  NexthopGroupMemberJson,
  NexthopJson,
  OwnerJson,
  OwnersJson,
  PlanJson,
  PlanSummaryJson,
  ReadyJson,
  ResultJson,
  RouteJson,
  SummaryJson,
  SyncSummaryJson,
} from "../api_types.ts";
import type { EventsJson } from "../event_types.ts";
import type { PluginJson, ProvidersJson } from "../provider_types.ts";

/** `203.0.113.0/24 via 10.0.0.2 dev v0 metric 20 [owner default, fib_programmed]`; several nexthops take a line each. */
export function formatRoute(route: RouteJson): string {
  return formatWords(route, describeState(route).join(", "));
}

/** A route in iproute2's words, with what it has none for in brackets. */
function formatWords(route: RouteJson, state: string): string {
  const nexthops = route.nexthops ?? [];
  const words: string[] = [];
  if (route.type !== "unicast") words.push(route.type);
  words.push(route.prefix);
  if (route.source !== undefined) words.push("from", route.source);
  if (route.nexthopGroup !== undefined) words.push("nhid", String(route.nexthopGroup));
  if (nexthops.length === 1) words.push(formatNexthop(nexthops[0]!));
  if (route.table !== RT_TABLE_DEFAULT) words.push("table", String(route.table));
  if (route.protocol !== undefined) words.push("proto", String(route.protocol));
  if (route.prefsrc !== undefined) words.push("src", route.prefsrc);
  words.push("metric", String(route.metric));
  if (route.mtu !== undefined) words.push("mtu", String(route.mtu));
  if (state !== "") words.push(`[${state}]`);

  const lines = [words.join(" ")];
  if (nexthops.length > 1) {
    for (const nexthop of nexthops) lines.push(`\tnexthop ${formatNexthop(nexthop)} weight ${nexthop.weight ?? 1}`);
  }
  return `${lines.join("\n")}\n`;
}

/**
 * A line of a dry run as a diff has it: `+` for a route that the kernel would get, `-` for one that it would lose, `~` for
 * one in whose place it would get the one behind `->`. With a space first, what would change nothing.
 */
export function formatPlan({ op, plan, prefix, table, old, new: next, winner, waitingFor }: PlanJson): string {
  // Only where another owner's route is concerned, too, does it matter whose they are.
  const isShared = winner !== undefined || (old !== undefined && next !== undefined && old.owner !== next.owner);
  const describe = (route: RouteJson): string => formatWords(route, isShared ? formatOwner(route.owner) : "");
  switch (plan) {
    case "add":
      return `+ ${describe(next!)}`;
    case "delete":
      return `- ${describe(old!)}`;
    case "replace":
      return `~ ${describe(old!)}  -> ${describe(next!)}`;
    case "none": {
      const name = `  ${prefix} table ${table === RT_TABLE_DEFAULT ? "main" : table}`;
      if (winner !== undefined && op === "delete") return `${name}: withdrawn, ${winner}'s route stays\n`;
      if (winner !== undefined) return `${name}: held, ${winner} has a better route\n`;
      return `${name}: ${waitingFor === undefined ? "no change" : `held, waiting for ${waitingFor}`}\n`;
    }
  }
}

/** `dry run of 4 updates: 1 to add, 1 to replace, 2 unchanged; nothing was done`. */
export function formatPlanSummary(summary: PlanSummaryJson): string {
  const words = [
    [summary.add, "to add"],
    [summary.replace, "to replace"],
    [summary.delete, "to delete"],
    [summary.none, "unchanged"],
    [summary.rejected, "rejected"],
  ] as const;
  const counts = words.filter(([count]) => count > 0).map(([count, word]) => `${formatCount(count)} ${word}`);
  const head = `dry run of ${formatCount(summary.received)} update${summary.received === 1 ? "" : "s"}`;
  return `${counts.length === 0 ? head : `${head}: ${counts.join(", ")}`}; nothing was done\n`;
}

/** `564,580 routes in 1.12 s: 5,646 updated, 558,934 unchanged`, and what failed of it. */
export function formatSyncSummary(summary: SyncSummaryJson): string {
  const words = [
    [summary.installed, "installed"],
    [summary.updated, "updated"],
    [summary.deleted + summary.swept, "deleted"],
    [summary.unchanged, "unchanged"],
    [summary.ribProgrammed, "held"],
    [summary.superseded, "superseded"],
    [summary.fibFailed, "failed"],
    [summary.rejected, "not done"],
  ] as const;
  const counts = words.filter(([count]) => count > 0).map(([count, word]) => `${formatCount(count)} ${word}`);
  if (summary.bypassed !== undefined) counts.push(`${formatCount(summary.bypassed)} without the word of a provider`);
  const routes = `${formatCount(summary.received)} route${summary.received === 1 ? "" : "s"}`;
  const head = `${routes} in ${(summary.elapsedMs / 1000).toFixed(2)} s`;
  return `${counts.length === 0 ? head : `${head}: ${counts.join(", ")}`}\n`;
}

function formatOwner(owner: string): string {
  return owner === "" ? "adopted, no owner" : `owner ${owner}`;
}

/** What iproute2 has no words for. */
function describeState({ owner, distance, tag, status, winner, waitingFor, error }: RouteJson): string[] {
  const parts = [formatOwner(owner)];
  if (distance !== undefined && distance !== 0) parts.push(`distance ${distance}`);
  if (tag !== undefined && tag !== 0) parts.push(`tag ${tag}`);
  parts.push(error === undefined ? status : `${status}: ${formatError(error)}`);
  if (winner !== undefined) parts.push(`winner ${winner}`);
  if (waitingFor !== undefined) parts.push(`waiting for ${waitingFor}`);
  return parts;
}

export function formatNexthop({ via, dev, onlink, labels, seg6 }: NexthopJson): string {
  const words: string[] = [];
  if (labels !== undefined) words.push("encap mpls", labels.join("/"));
  if (seg6 !== undefined) words.push(`encap seg6 mode ${seg6.mode} segs ${seg6.segs.join(",")}`);
  if (via !== undefined) words.push("via", via);
  if (dev !== undefined) words.push("dev", dev);
  if (onlink === true) words.push("onlink");
  return words.join(" ");
}

/** The group on a line, then each nexthop on one of its own. */
export function formatNexthopGroup(group: NexthopGroupJson): string {
  const { id, members, backup = [], resilient, status, kernelId, inline, waitingFor, error } = group;
  const words = [`nexthop group ${id}`];
  if (resilient !== undefined) {
    const { buckets, idleTimer, unbalancedTimer } = resilient;
    words.push(`type resilient buckets ${buckets} idle_timer ${idleTimer} unbalanced_timer ${unbalancedTimer}`);
  }
  const state: string[] = [status];
  if (kernelId !== undefined) state.push(`kernel id ${kernelId}`);
  if (inline === true) state.push("routes have the nexthops themselves");
  if (waitingFor !== undefined) state.push(`waiting for ${waitingFor}`);
  const lines = [`${words.join(" ")} [${state.join(", ")}]`];
  if (error !== undefined) {
    const place = error.field === undefined ? "" : `${error.field}: `;
    lines.push(`\t${place}${formatError(error)}${error.hint === undefined ? "" : `; ${error.hint}`}`);
  }
  for (const member of members) lines.push(`\tnexthop ${formatMember(member)}`);
  for (const member of backup) lines.push(`\tbackup ${formatMember(member)}`);
  return `${lines.join("\n")}\n`;
}

function formatMember(member: NexthopGroupMemberJson): string {
  return `${formatNexthop(member)} weight ${member.weight ?? 1}${member.active ? "" : " [not in use]"}`;
}

/** `Nexthop has invalid gateway (ENETUNREACH)`. */
export function formatError({ message, code }: ErrorJson): string {
  return `${message} (${code})`;
}

/** `203.0.113.0/24 table main: programmed`, and why not where it is not. */
export function formatResult(result: Omit<ResultJson, "line">): string {
  const table = result.table === undefined || result.table === RT_TABLE_DEFAULT ? "main" : String(result.table);
  const name = result.prefix === undefined ? "" : `${result.prefix} table ${table}: `;
  const hint = result.error?.hint === undefined ? "" : `; ${result.error.hint}`;
  const bypassed = result.bypassed === undefined ? "" : ` (without the word of ${result.bypassed.join(", ")})`;
  return `${name}${describeResult(result)}${bypassed}${hint}`;
}

function describeResult({ op, status, provider, error, winner, waitingFor }: Omit<ResultJson, "line">): string {
  const reason = error === undefined ? "" : `: ${formatError(error)}`;
  switch (status) {
    case "fib_programmed":
      if (op !== "delete") return "programmed";
      return winner === undefined ? "deleted" : `withdrawn; ${winner}'s route took its place`;
    case "fib_failed":
      return `failed${provider === undefined ? "" : ` in provider ${provider}`}${reason}`;
    case "rib_programmed":
      if (winner !== undefined && op === "delete") return `withdrawn; ${winner}'s route stays`;
      if (winner !== undefined) return `held, not programmed: ${winner} has a better route`;
      return waitingFor === undefined ? "held, not programmed" : `held, waiting for ${waitingFor}`;
    case "skipped":
      return "skipped: a provider asked to bypass the kernel";
    case "superseded":
      return "superseded by a later update of the same route";
    case "rejected":
      return `rejected${error?.field === undefined ? "" : `, field ${error.field}`}${reason}`;
  }
}

/** `table.ndjson:17: 203.0.113.0/24: Nexthop has invalid gateway (ENETUNREACH); is it a connected address?` */
export function formatFailure(file: string, { line, prefix, status, error }: ResultJson): string {
  const what = error === undefined ? status : formatError(error);
  const hint = error?.hint === undefined ? "" : `; ${error.hint}`;
  // A full-state sync deletes what has no line.
  const place = line === 0 ? "" : `${file}:${line}: `;
  return `${place}${prefix === undefined ? "" : `${prefix}: `}${what}${hint}\n`;
}

const SUMMARY_WORDS = [
  ["fibProgrammed", "programmed"],
  ["ribProgrammed", "held"],
  ["skipped", "skipped"],
  ["superseded", "superseded"],
  ["fibFailed", "failed"],
  ["rejected", "rejected"],
] as const satisfies readonly (readonly [keyof SummaryJson, string])[];

/** `564,580 updates in 1.52 s (371,434/s): 564,578 programmed, 2 failed`. */
export function formatSummary(summary: SummaryJson): string {
  const counts = SUMMARY_WORDS.filter(([key]) => summary[key] > 0).map(
    ([key, word]) => `${formatCount(summary[key])} ${word}`,
  );
  const seconds = summary.elapsedMs / 1000;
  if (summary.bypassed !== undefined) counts.push(`${formatCount(summary.bypassed)} without the word of a provider`);
  const rate = summary.elapsedMs > 0 ? ` (${formatCount(Math.round(summary.received / seconds))}/s)` : "";
  const head = `${formatCount(summary.received)} update${summary.received === 1 ? "" : "s"} in ${seconds.toFixed(2)} s${rate}`;
  return `${counts.length === 0 ? head : `${head}: ${counts.join(", ")}`}\n`;
}

/** `564580` as `564,580`. */
export function formatCount(count: number): string {
  return String(count).replace(/\B(?=(?:\d{3})+$)/g, ",");
}

/** The counters of `show zebra dplane` with its words and alignment, then ours. */
export function formatDplane(dplane: DplaneJson): string {
  const rows: [string, string | number][] = [
    ["Route updates:", dplane.routeUpdates],
    ["Route update errors:", dplane.routeUpdateErrors],
    ["Route update queue limit:", dplane.queueLimit],
    ["Route update queue depth:", dplane.queueDepth],
    ["Route update queue max:", dplane.queueMax],
    ["Route update yields:", dplane.yields],
    ["Route updates skipped:", dplane.updatesSkipped],
    ["Work limit:", dplane.workLimit],
    ["Cycles:", dplane.cycles],
    ["Contexts free:", `${dplane.pool.free} of ${dplane.pool.size}`],
    ["FIB programmed:", dplane.results.fibProgrammed],
    ["FIB failed:", dplane.results.fibFailed],
    ["RIB programmed:", dplane.results.ribProgrammed],
    ["Skipped:", dplane.results.skipped],
    ["Superseded:", dplane.results.superseded],
    ["Rejected:", dplane.results.rejected],
    ["State:", dplane.state],
    ["Restarts:", dplane.restarts],
  ];
  return `Dataplane:\n${formatRows(rows)}`;
}

/** `5 routes compared in 12 ms: the kernel holds what it should`, and what of that is known to be absent. */
export function formatAudit(report: AuditJson, { failed, repairs }: AuditStatusJson): string {
  const { routes, missing, changed, unexpected, nexthops, complete, elapsedMs } = report;
  const head = `${formatCount(routes)} routes compared in ${formatCount(elapsedMs)} ms`;
  const found =
    missing + changed + unexpected + nexthops === 0
      ? `the kernel holds what ${failed + repairs.delayed === 0 ? "it should" : "was confirmed"}`
      : `${formatCount(missing)} missing and ${formatCount(changed)} changed are repaired, ${formatCount(unexpected)} unexpected removed${nexthops > 0 ? `, ${formatCount(nexthops)} nexthop objects put right` : ""}`;
  const wanting = [
    [failed, "refused by the kernel: dplaned route list status fib_failed"],
    [repairs.delayed, "put off, because somebody keeps on changing it"],
  ] as const;
  const absent = wanting.filter(([count]) => count > 0).map(([count, why]) => `; ${formatCount(count)} ${why}`);
  const tail = complete ? "" : "; somebody changed routes all the while, so there may be more: run it again";
  return `${head}: ${found}${absent.join("")}${tail}\n`;
}

/** `NAME (ID): in: N, q_max: N, out: N, q_max: N`; what is not as it should be follows on a line of its own. */
export function formatProviders({ providers }: ProvidersJson): string {
  let text = "";
  for (const { name, id, in: taken, inMax, out, outMax, state, reason, errors, undone, plugin } of providers) {
    text += `${name} (${id}): in: ${taken}, q_max: ${inMax}, out: ${out}, q_max: ${outMax}\n`;
    if (state !== "up" || errors > 0) text += `  state: ${state}, errors: ${errors}, undone: ${undone}\n`;
    if (reason !== undefined) text += `  ${reason}\n`;
    if (plugin !== undefined) text += formatPlugin(plugin);
  }
  return text;
}

/** `plugin FILE: pid N, 11M, decided: N, bypassed: N, …`, and on a line of their own what it counts by itself. */
function formatPlugin({ path, pid, counters, metrics }: PluginJson): string {
  const { memoryBytes, decided, bypassed, undecided, held, exported, errors, overBudget, starts } = counters;
  const parts = pid === undefined ? ["no process"] : [`pid ${pid}`, `${Math.round(memoryBytes / 2 ** 20)}M`];
  const counts = { decided, bypassed, undecided, held, exported, errors, "over budget": overBudget, starts };
  for (const [name, count] of Object.entries(counts))
    if (count > 0 || name === "decided") parts.push(`${name}: ${count}`);
  const own = metrics.map(({ name, value }) => `${name}: ${value}`).join(", ");
  return `  plugin ${path}: ${parts.join(", ")}\n${own === "" ? "" : `  ${own}\n`}`;
}

/** A line for each owner, and one for what is nobody's, where there is any. */
export function formatOwners({ owners }: OwnersJson): string {
  return owners
    .filter(({ name, routes }) => name !== "" || routes > 0)
    .map((owner) => `${owner.name || "[adopted, no owner]"}: ${describeOwner(owner).join(", ")}\n`)
    .join("");
}

function describeOwner(owner: OwnerJson): string[] {
  const { name, routes, held, distance, prefixLimit, tables, takeOver, syncing, syncedAt } = owner;
  const parts = [`routes: ${routes}`];
  if (name === "") return parts;
  parts.push(`held: ${held}`, `distance: ${distance}`);
  if (prefixLimit > 0) parts.push(`prefix-limit: ${prefixLimit}`);
  if (tables.length > 0) parts.push(`tables: ${tables.join(" ")}`);
  if (takeOver) parts.push("take-over");
  if (owner.hasToken) parts.push("token");
  if (owner.hasCertificates) parts.push("certificates");
  if (syncing) parts.push("syncing");
  else parts.push(`synced: ${syncedAt === 0 ? "never" : new Date(syncedAt).toISOString()}`);
  return parts;
}

export function formatHealth(health: HealthJson, ready: ReadyJson): string {
  const rows: [string, string][] = [
    ["Health:", health.status],
    ["Ready:", ready.ready ? "yes" : `no: ${ready.reasons.join("; ")}`],
    ["Version:", health.version],
    ["Uptime:", formatUptime(health.uptimeSeconds)],
  ];
  for (const { name, alive, heartbeatAgeMs } of health.workers) {
    rows.push([`Worker ${name}:`, `${alive ? "alive" : "dead"}, heartbeat ${Math.round(heartbeatAgeMs)} ms ago`]);
  }
  return formatRows(rows);
}

function formatRows(rows: readonly (readonly [string, string | number])[]): string {
  const width = Math.max(...rows.map(([label]) => label.length)) + 1;
  return rows.map(([label, value]) => `${label.padEnd(width)}${value}\n`).join("");
}

/** `3d 4h 5m 6s`, from the largest unit that is not zero. */
export function formatUptime(seconds: number): string {
  const whole = Math.floor(seconds);
  const parts = [
    `${Math.floor(whole / 86_400)}d`,
    `${Math.floor(whole / 3600) % 24}h`,
    `${Math.floor(whole / 60) % 60}m`,
    `${whole % 60}s`,
  ];
  const first = parts.findIndex((part) => !part.startsWith("0"));
  return parts.slice(first === -1 ? 3 : first).join(" ");
}

export function formatLookup({ address, table, route }: LookupJson): string {
  if (route !== null) return formatRoute(route);
  return `No programmed route to ${address} in table ${table === RT_TABLE_DEFAULT ? "main" : table}\n`;
}

/** One line for an event of the daemon's stream: the time, what it is about, and what happened. */
export function formatEvent(name: string, data: unknown): string {
  const { time } = data as { time?: number };
  const clock = time === undefined ? "" : `${formatClock(time)} `;
  const word = name === "nexthop_drift" ? "drift" : name;
  return `${clock}${word.padEnd(6)} ${describeEvent(name, data)}\n`;
}

/** `14:02:11.123`, local time. */
export function formatClock(milliseconds: number): string {
  const time = new Date(milliseconds);
  const clock = [time.getHours(), time.getMinutes(), time.getSeconds()].map((part) => String(part).padStart(2, "0"));
  return `${clock.join(":")}.${String(time.getMilliseconds()).padStart(3, "0")}`;
}

/** `203.0.113.0/24 table main missing, by ip[4711]; repaired at once`. */
function describeDrift(event: EventsJson["drift"]): string {
  const { prefix, table } = event;
  return describeDifference(`${prefix} table ${table === RT_TABLE_DEFAULT ? "main" : table}`, event);
}

/** `nexthop object 250000003 of group 7 missing, by ip[4711]; repaired at once`. */
function describeNexthopDrift(event: EventsJson["nexthop_drift"]): string {
  const { id, nexthopGroups } = event;
  const of = nexthopGroups.length === 0 ? "" : ` of group ${nexthopGroups.join(", ")}`;
  return describeDifference(`nexthop object ${id}${of}`, event);
}

function describeDifference(
  what: string,
  { kind, by, repairInMs, times }: Pick<EventsJson["drift"], "kind" | "by" | "repairInMs" | "times">,
): string {
  const repair =
    repairInMs === 0
      ? "repaired at once"
      : `repair in ${(repairInMs / 1000).toFixed(1)} s, because it is the ${ordinal(times)} time`;
  return `${what} ${kind}${by === undefined ? "" : `, by ${by}`}; ${repair}`;
}

/** `1st`, `2nd`, `11th`. */
function ordinal(value: number): string {
  const last = value % 100 >= 11 && value % 100 <= 13 ? 0 : value % 10;
  return `${value}${["th", "st", "nd", "rd"][last] ?? "th"}`;
}

function describeEvent(name: string, data: unknown): string {
  switch (name) {
    case "result": {
      const result = data as EventsJson["result"];
      return `${formatResult(result)} [owner ${result.owner}]`;
    }
    case "kernel": {
      const { object, action, text } = data as EventsJson["kernel"];
      return `${object} ${action} ${text}`;
    }
    case "drift":
      return describeDrift(data as EventsJson["drift"]);
    case "nexthop_drift":
      return describeNexthopDrift(data as EventsJson["nexthop_drift"]);
    case "health": {
      const { ready, reasons } = data as EventsJson["health"];
      return ready ? "ready" : `not ready: ${reasons.join("; ")}`;
    }
    case "lost":
      return `${formatCount((data as EventsJson["lost"]).count)} events, because this reader did not keep up`;
    default:
      // A newer daemon may say more than we have words for.
      return JSON.stringify(data);
  }
}
