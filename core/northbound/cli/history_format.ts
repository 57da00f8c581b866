/** How the story of a route looks as text: the route as in a list, and below it why it is so and what happened. Pure. */
import { RT_TABLE_DEFAULT } from "../../constants.ts";
import type {
  ClaimJson,
  HistoryEntryJson,
  RouteAttributesJson,
  RouteHistoryJson,
  RouteStoryJson,
} from "../api_types.ts";
import { formatClock, formatCount, formatError, formatNexthop, formatRoute } from "./format.ts";

/** Milliseconds below which what the pipeline took behind the kernel is not worth a word. */
const TELLING_MS = 0.1;
/** Below the text of an entry, behind its time. */
const HINT_INDENT = " ".repeat("  2026-03-05 14:02:11.123  ".length);

/** An entry before its sentence is made. */
type Entry = Omit<HistoryEntryJson, "summary">;

export function formatHistory({ routes, since, omitted }: RouteHistoryJson): string {
  let text = "";
  for (const story of routes) {
    text += formatHead(story);
    text += formatClaims(story.claims);
    if (story.route !== null && story.kernel !== undefined) {
      const held = story.kernel === null ? "does not hold it" : `holds ${formatAttributes(story.kernel)}`;
      text += `  the kernel ${held}\n`;
    }
    if (story.nextTryMs !== undefined) text += `  next try in ${formatDelay(story.nextTryMs)}\n`;
    for (const entry of story.entries) text += `  ${formatTime(entry.time)}  ${formatEntry(entry)}\n`;
    if (story.entries.length === 0) text += "  nothing is known of what happened to it\n";
  }
  if (omitted > 0) text += `${formatCount(omitted)} older ${omitted === 1 ? "entry is" : "entries are"} not shown\n`;
  if (since !== undefined) text += `What happened before ${formatTime(since)} is no longer known\n`;
  return text;
}

/** The route as in a list; of one that is gone its key. */
function formatHead({ route, prefix, source, table, metric }: RouteStoryJson): string {
  if (route !== null) return formatRoute(route);
  const from = source === undefined ? "" : ` from ${source}`;
  const inTable = table === RT_TABLE_DEFAULT ? "" : ` table ${table}`;
  return `${prefix}${from}${inTable} metric ${metric} [gone]\n`;
}

/** Who wants the route, a line each in the order of preference; nothing where only one does, which the head tells. */
function formatClaims(claims: readonly ClaimJson[]): string {
  const [selected] = claims;
  if (selected === undefined || claims.length === 1) return "";
  const rows = claims.map((claim) => [
    claim.owner === "" ? "nobody" : `owner ${claim.owner}`,
    `distance ${claim.distance}`,
    formatAttributes(claim.attributes),
    describeSelection(claim, selected.owner),
  ]);
  const widths = [0, 1, 2].map((column) => Math.max(...rows.map((row) => row[column]!.length)));
  return rows
    .map((row) => `  ${row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join("  ")}`.trimEnd())
    .map((line) => `${line}\n`)
    .join("");
}

function describeSelection({ selected, notSelected, error }: ClaimJson, winner: string): string {
  const refused = error === undefined ? "" : `refused: ${formatError(error)}`;
  if (selected) return refused === "" ? "selected" : `selected, ${refused}`;
  if (notSelected === "refused") return `not selected, ${refused}`;
  const because = notSelected === "came_later" ? `${winner} came first` : `${winner} has the lower distance`;
  return refused === "" ? `not selected, ${because}` : `not selected, ${because}, and ${refused}`;
}

/** `via 10.0.0.2 dev v0 mtu 1400`, the words of a route behind its prefix. */
function formatAttributes({ type, nexthops = [], nexthopGroup, prefsrc, mtu }: RouteAttributesJson): string {
  const words: string[] = [];
  if (type !== "unicast") words.push(type);
  if (nexthopGroup !== undefined) words.push(`nhid ${nexthopGroup}`);
  if (nexthops.length === 1) words.push(formatNexthop(nexthops[0]!));
  else for (const nexthop of nexthops) words.push(`nexthop ${formatNexthop(nexthop)} weight ${nexthop.weight ?? 1}`);
  if (prefsrc !== undefined) words.push(`src ${prefsrc}`);
  if (mtu !== undefined) words.push(`mtu ${mtu}`);
  return words.join(" ");
}

/** What happened, and in a line of its own what the operator may do about it. */
function formatEntry(entry: HistoryEntryJson): string {
  if (entry.event !== "result") return formatNote(entry);
  const hint = entry.error?.hint === undefined ? "" : `\n${HINT_INDENT}${entry.error.hint}`;
  return `${formatResultEntry(entry)}${formatStages(entry)}${hint}`;
}

/** What happened, in one sentence. */
export function summarizeEntry(entry: Entry): string {
  return entry.event === "result" ? formatResultEntry(entry) : formatNote(entry);
}

/** `bgp: install via 10.0.0.3 dev v0: programmed`. */
function formatResultEntry(entry: Entry): string {
  const { owner, op, change, winner, attributes } = entry;
  const outcome = describeOutcome(entry);
  if (owner === undefined) {
    const what = change === "delete" ? "delete" : winner === undefined ? "write" : `write ${winner}'s route`;
    return `dplaned: ${[what, ...describe(attributes)].join(" ")}: ${outcome}`;
  }
  // What was written for another owner is told with the outcome.
  const own = winner === undefined || change === undefined ? describe(attributes) : [];
  return `${owner}: ${[op ?? "update", ...own].join(" ")}: ${outcome}`;
}

function describe(attributes: RouteAttributesJson | undefined): string[] {
  return attributes === undefined ? [] : [formatAttributes(attributes)];
}

function describeOutcome(entry: Entry): string {
  const { status, provider, error } = entry;
  const reason = error === undefined ? "" : `: ${formatError(error)}`;
  switch (status) {
    case "fib_programmed":
      return describeProgrammed(entry, reason);
    case "fib_failed":
      return `failed${provider === undefined ? "" : ` in provider ${provider}`}${reason}`;
    case "rib_programmed":
      return describeHeld(entry, reason);
    case "superseded":
      return "superseded by a later update";
    case "skipped":
      return "a provider asked to bypass the kernel";
    default:
      // A newer daemon may tell more than we have words for.
      return status ?? "done";
  }
}

function describeProgrammed({ owner, op, change, winner, attributes }: Entry, reason: string): string {
  if (change === "delete") {
    if (winner === undefined || reason === "") return "deleted";
    return `deleted, because ${winner}'s route could not take its place${reason}`;
  }
  if (owner !== undefined && winner !== undefined && op === "delete") {
    return `${[`${winner}'s route`, ...describe(attributes)].join(" ")} took its place`;
  }
  if (change === "none") return "programmed, as it was";
  return change === "replace" ? "programmed, in the place of what was there" : "programmed";
}

function describeHeld({ op, change, winner, attributes }: Entry, reason: string): string {
  if (winner === undefined) return "held, waiting for its nexthop group";
  if (op === "delete") return `withdrawn, ${winner}'s route stays`;
  if (change === undefined) return `held, ${winner}'s route is preferred`;
  const written = [`${winner}'s route`, ...describe(attributes)].join(" ");
  return reason === "" ? `held, ${written} was programmed` : `held, ${written} was refused${reason}`;
}

/** `, 0.31 ms (queue 0.03, kernel 0.22, result 0.06)`. */
function formatStages({ queueMs, kernelMs, pipelineMs, resultMs }: HistoryEntryJson): string {
  if (queueMs === undefined || pipelineMs === undefined || resultMs === undefined) return "";
  const stages: [string, number][] = [["queue", queueMs]];
  if (kernelMs === undefined) stages.push(["providers", pipelineMs]);
  else {
    const after = pipelineMs - kernelMs;
    stages.push(["kernel", kernelMs]);
    if (after >= TELLING_MS) stages.push(["rest", after]);
  }
  stages.push(["result", resultMs]);
  const total = queueMs + pipelineMs + resultMs;
  return `, ${total.toFixed(2)} ms (${stages.map(([name, time]) => `${name} ${time.toFixed(2)}`).join(", ")})`;
}

function formatNote({ event, owner, other, drift, protocol, text, delayMs }: Entry): string {
  const whose = owner === undefined ? "the route" : `${owner}'s route`;
  const by = text === undefined ? "" : ` by ${text}`;
  switch (event) {
    case "swept":
      return "taken out of the kernel: nobody has claimed it";
    case "drift":
      if (drift === "missing") return by === "" ? "drift: gone from the kernel" : `drift: deleted${by}`;
      if (drift === "replaced") return `drift: replaced by a route of protocol ${protocol ?? "unknown"}${by}`;
      return by === "" ? "drift: changed in the kernel" : `drift: changed${by}`;
    case "repair_delayed":
      return `repair put off for ${formatDelay(delayMs ?? 0)}: ${text ?? "somebody"} keeps on changing the route`;
    case "promoted":
      return `${whose} is selected${other === undefined ? "" : `: ${other}'s is gone`}`;
    case "displaced":
      return `${whose} is no longer selected${other === undefined ? "" : `: ${other}'s is better`}`;
    case "retried":
      return `tried again${text === undefined ? "" : `: ${text}`}`;
    default:
      return event;
  }
}

/** `800 ms`, `12 s`. */
function formatDelay(milliseconds: number): string {
  return milliseconds < 1000 ? `${milliseconds} ms` : `${Math.round(milliseconds / 1000)} s`;
}

/** `2026-03-05 14:02:11.123`, local time. */
export function formatTime(milliseconds: number): string {
  const time = new Date(milliseconds);
  const two = (value: number): string => String(value).padStart(2, "0");
  return `${time.getFullYear()}-${two(time.getMonth() + 1)}-${two(time.getDate())} ${formatClock(milliseconds)}`;
}
