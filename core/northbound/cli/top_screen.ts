/** The screen of `dplaned top`, as lines for a terminal of a given size. Pure. */
import { RT_TABLE_DEFAULT } from "../../constants.ts";
import type { TroubleJson } from "../overview_types.ts";
import { formatClock, formatCount, formatUptime } from "./format.ts";
import {
  type Column,
  formatTable,
  joinFitting,
  type Line,
  lengthOf,
  type Span,
  type Style,
  span,
} from "./styled_text.ts";
import type { OwnerSample, ProviderSample, TopSample } from "./top_sample.ts";

export const OWNER_ORDERS = ["routes", "changes", "name"] as const;
export type OwnerOrder = (typeof OWNER_ORDERS)[number];

/** What the reader has chosen, and what is known beside the last sample. */
export interface TopView {
  order: OwnerOrder;
  isPaused: boolean;
  showsHelp: boolean;
  intervalMs: number;
  /** Why the daemon does not answer; empty if it does. */
  loss: string;
  /** Updates per second lately, oldest first. */
  history: readonly number[];
  /** Oldest first. */
  troubles: readonly TroubleJson[];
  /** Whether the terminal shows more than ASCII. */
  isUnicode: boolean;
}

export interface ScreenSize {
  columns: number;
  rows: number;
}

export const TOP_KEYS = [
  ["q", "quit (as Ctrl-C)"],
  ["p", "pause and go on (as the space bar)"],
  ["s", "sort owners by the next of: routes, changes, name"],
  ["r c n", "sort owners by routes, by changes, by name"],
  ["+ -", "ask more often, less often"],
  ["h", "this help, and back (as ?)"],
] as const;

/** The screen, of at most `rows` lines. The last one tells the keys. */
export function formatScreen(sample: TopSample, view: TopView, { columns, rows }: ScreenSize): Line[] {
  const title = formatTitle(sample, view, columns);
  if (view.showsHelp) return [title, [], ...formatHelp(view)].slice(0, rows);
  const body = rows - 2;
  // With few rows, what matters least goes first.
  const facts = formatFacts(sample, view, columns);
  const factCount = Math.max(1, Math.min(facts.length, body - 4));
  const kept = facts.filter(({ rank }) => rank < factCount).map(({ line }) => line);
  const tables = formatTables(sample, view, columns, Math.max(0, body - kept.length));
  const lines = [title, ...kept, ...tables].slice(0, Math.max(1, rows - 1));
  while (lines.length < rows - 1) lines.push([]);
  return rows > 1 ? [...lines, formatFooter(view, columns)] : lines;
}

function formatTitle(
  { version, uptimeSeconds, ready, reasons, time }: TopSample,
  view: TopView,
  columns: number,
): Line {
  const state =
    view.loss !== ""
      ? span(`disconnected: ${view.loss}`, "bad")
      : ready
        ? span("ready", "good")
        : span(`not ready: ${reasons.join("; ")}`, "bad");
  const left = joinFitting(
    [
      span(`dplaned ${version}`, "bold"),
      span(`up ${formatUptime(uptimeSeconds)}`),
      ...(view.isPaused ? [span("paused", "warn")] : []),
      state,
    ],
    columns,
  );
  const clock = formatSecond(time);
  const gap = columns - lengthOf(left) - clock.length;
  return gap < 2 ? left : [...left, span(" ".repeat(gap)), span(clock)];
}

/** Facts by line, with how dispensable each is: 0 is the last to go. */
function formatFacts(sample: TopSample, view: TopView, columns: number): { rank: number; line: Line }[] {
  const { rates, queue, routes, latencyMs, kernel, process, nexthopGroups } = sample;
  const label = (text: string): Span => span(text.padEnd(8), "dim");
  const bad = (count: number, style: Style = "bad"): Style | undefined => (count > 0 ? style : undefined);
  const line = (name: string, spans: readonly Span[]): Line => joinFitting([label(name), ...spans], columns);
  const { queue: inQueue, pipeline, result, total } = latencyMs;
  const updates = line("Updates", [
    span(`${formatRate(rates.updates)}/s`, "bold"),
    span(`programmed ${formatRate(rates.programmed)}/s`),
    span(`failed ${formatRate(rates.failed)}/s`, bad(rates.failed)),
    span(`rejected ${formatRate(rates.rejected)}/s`, bad(rates.rejected, "warn")),
    span(`superseded ${formatRate(rates.superseded)}/s`),
  ]);
  const waiting = line("Queue", [
    span(`${formatCount(queue.depth)} of ${formatCount(queue.limit)}`, "bold"),
    span(`most ${formatCount(queue.max)}`),
    span(`yields ${formatRate(rates.yields)}/s`),
  ]);
  const room = columns - lengthOf(waiting) - 2;
  const spark = view.isUnicode && room >= 8 ? [span("  "), span(formatSpark(view.history, room), "dim")] : [];
  return [
    { rank: 0, line: updates },
    { rank: 2, line: [...waiting, ...spark] },
    {
      rank: 1,
      line: line("Routes", [
        span(`${formatCount(routes.ipv4)} IPv4`, "bold"),
        span(`${formatCount(routes.ipv6)} IPv6`, "bold"),
        span(`refused ${formatCount(routes.refused)}`, bad(routes.refused)),
        span(`contested ${formatCount(routes.contested)}`),
        span(`adopted ${formatCount(routes.adopted)}`),
      ]),
    },
    {
      rank: 3,
      line: line("Latency", [
        span(`p50 ${formatMs(total.p50)}`, "bold"),
        span(`p99 ${formatMs(total.p99)}`, "bold"),
        span(`p99 of queue ${formatMs(inQueue.p99)}`),
        span(`providers ${formatMs(pipeline.p99)}`),
        span(`result ${formatMs(result.p99)}`),
      ]),
    },
    {
      rank: 4,
      line: line("Kernel", [
        span(`drift ${formatCount(kernel.drift)}`, bad(kernel.drift, "warn")),
        span(`repairs ${formatCount(kernel.repairs)}`, bad(kernel.repairs, "warn")),
        span(`retried ${formatCount(kernel.retries)}`),
        span(kernel.lastAudit === null ? "no audit yet" : `audit ${formatAge(sample.time - kernel.lastAudit)} ago`),
        span(`groups ${formatCount(nexthopGroups.count)}`),
        ...(nexthopGroups.failed > 0 ? [span(`failed ${formatCount(nexthopGroups.failed)}`, "bad")] : []),
      ]),
    },
    {
      rank: 5,
      line: line("Process", [
        span(`${formatCount(Math.round(process.rssBytes / 1e6))} MB`),
        span(`cpu ${process.cpuPercent.toFixed(0)} %`),
        span(`streams ${formatCount(process.streamsOpen)}`),
        span(`main thread late ${formatMs(process.loopLagMaxMs)}`),
      ]),
    },
  ];
}

const PROVIDER_COLUMNS: readonly Column<ProviderSample>[] = [
  { title: "PROVIDER", spare: 0, cell: ({ name }) => span(name) },
  { title: "PRIORITY", spare: 7, cell: ({ priority }) => span(priority, "dim") },
  {
    title: "STATE",
    spare: 0,
    cell: ({ state }) => span(state === "up" ? "up" : `${state}`, state === "up" ? "good" : "bad"),
  },
  { title: "IN/S", align: "right", spare: 3, cell: ({ inPerSecond }) => span(formatRate(inPerSecond)) },
  { title: "QUEUED", align: "right", spare: 2, cell: ({ inQueued }) => span(formatCount(inQueued)) },
  { title: "MOST", align: "right", spare: 5, cell: ({ inMax }) => span(formatCount(inMax)) },
  { title: "OUT/S", align: "right", spare: 0, cell: ({ outPerSecond }) => span(formatRate(outPerSecond)) },
  { title: "QUEUED", align: "right", spare: 4, cell: ({ outQueued }) => span(formatCount(outQueued)) },
  { title: "MOST", align: "right", spare: 6, cell: ({ outMax }) => span(formatCount(outMax)) },
  {
    title: "ERRORS",
    align: "right",
    spare: 1,
    cell: ({ errors, errorsPerSecond }) =>
      span(formatCount(errors), errorsPerSecond > 0 ? "bad" : errors > 0 ? "warn" : undefined),
  },
];

function ownerColumns(time: number): readonly Column<OwnerSample>[] {
  return [
    { title: "OWNER", spare: 0, cell: ({ name }) => (name === "" ? span("[nobody's]", "dim") : span(name)) },
    { title: "ROUTES", align: "right", spare: 0, cell: ({ routes }) => span(formatCount(routes)) },
    {
      title: "CHANGE/S",
      align: "right",
      spare: 1,
      cell: ({ routesPerSecond: change }) => span(change > 0 ? `+${formatRate(change)}` : formatRate(change)),
    },
    { title: "HELD", align: "right", spare: 3, cell: ({ held }) => span(formatCount(held)) },
    { title: "DIST", align: "right", spare: 4, cell: ({ distance }) => span(distance) },
    {
      title: "LIMIT",
      align: "right",
      spare: 5,
      cell: ({ prefixLimit: limit, routes }) =>
        span(limit === 0 ? "-" : formatCount(limit), limit > 0 && routes >= limit ? "bad" : undefined),
    },
    {
      title: "SYNC",
      spare: 2,
      cell: ({ syncing, syncedAt }) =>
        syncing ? span("under way", "warn") : span(syncedAt === 0 ? "never" : `${formatAge(time - syncedAt)} ago`),
    },
  ];
}

/** Providers, owners and troubles in `rows` lines. */
function formatTables(sample: TopSample, view: TopView, columns: number, rows: number): Line[] {
  const providers = formatTable(PROVIDER_COLUMNS, sample.providers, columns);
  for (const { state, reason } of sample.providers.toReversed()) {
    if (state === "up" || reason === undefined) continue;
    const at = providers.findIndex((line) => line.some(({ text }) => text === state));
    if (at >= 0) providers.splice(at + 1, 0, [span(`  ${reason}`, "bad")]);
  }
  const lines = providers.slice(0, rows);
  const left = rows - lines.length;
  if (left < 2) return lines;
  const troubles = formatTroubles(view.troubles, columns);
  const owners = sortOwners(sample.owners, view.order);
  // Troubles get at least half of what is left, if there are so many.
  const forTroubles = Math.min(troubles.length, Math.max(Math.ceil(left / 2), left - owners.length - 1));
  const forOwners = left - forTroubles;
  if (forOwners >= 2) lines.push(...formatTable(ownerColumns(sample.time), owners.slice(0, forOwners - 1), columns));
  return [...lines, ...troubles.slice(0, forTroubles)];
}

export function sortOwners(owners: readonly OwnerSample[], order: OwnerOrder): OwnerSample[] {
  const byName = (a: OwnerSample, b: OwnerSample): number => (a.name < b.name ? -1 : 1);
  const size =
    order === "changes"
      ? (owner: OwnerSample) => Math.abs(owner.routesPerSecond)
      : (owner: OwnerSample) => owner.routes;
  return owners.toSorted((a, b) => (order === "name" ? 0 : size(b) - size(a)) || byName(a, b));
}

/** The latest first, those together that say the same. */
function formatTroubles(troubles: readonly TroubleJson[], columns: number): Line[] {
  const kinds = new Map<string, { latest: TroubleJson; prefixes: Set<string> }>();
  for (const trouble of troubles.toReversed()) {
    const { event, error, drift, text, owner } = trouble;
    const key = JSON.stringify([event, error, drift, text, owner]);
    const known = kinds.get(key);
    if (known === undefined) kinds.set(key, { latest: trouble, prefixes: new Set([trouble.prefix]) });
    else known.prefixes.add(trouble.prefix);
  }
  if (kinds.size === 0) return [];
  const lines: Line[] = [[{ text: "FAILURES AND DRIFT, LATEST FIRST".padEnd(columns), style: "head" }]];
  for (const { latest, prefixes } of kinds.values()) {
    const { time, event, prefix, table, error, summary } = latest;
    const where = table === RT_TABLE_DEFAULT ? prefix : `${prefix} table ${table}`;
    const others = prefixes.size - 1;
    const which = others === 0 ? where : `${where} and ${formatCount(others)} more`;
    const why = error === undefined ? summary : `${error.message} (${error.code})`;
    const style = event === "result" ? "bad" : "warn";
    lines.push([span(`${formatSecond(time)} `, "dim"), span(which, style), span(`: ${why}`)]);
    if (error?.hint !== undefined) lines.push([span(`         ${error.hint}`, "dim")]);
  }
  return lines;
}

function formatHelp({ intervalMs, order }: TopView): Line[] {
  return [
    ...TOP_KEYS.map(([keys, what]) => [span(`  ${keys.padEnd(8)}`, "bold"), span(what)]),
    [],
    [span(`  every ${formatSeconds(intervalMs)} s, owners by ${order}`)],
  ];
}

function formatFooter({ order, intervalMs, isPaused }: TopView, columns: number): Line {
  const keys = [
    span("q quit"),
    span(isPaused ? "p go on" : "p pause"),
    span(`s sort (${order})`),
    span(`+ - every ${formatSeconds(intervalMs)} s`),
    span("h help"),
  ];
  return joinFitting(keys, columns).map(({ text }) => ({ text, style: "dim" }));
}

function formatSeconds(milliseconds: number): string {
  return String(Number((milliseconds / 1000).toPrecision(3)));
}

const BARS = "▁▂▃▄▅▆▇█";

/** The last values as bars, the highest as high as it goes; blank where nothing was. */
export function formatSpark(values: readonly number[], columns: number): string {
  const shown = values.slice(-columns);
  const most = Math.max(...shown, 1);
  return shown
    .map((value) => (value <= 0 ? " " : BARS[Math.min(BARS.length - 1, Math.floor((value / most) * BARS.length))]))
    .join("")
    .padStart(columns);
}

/** `0`, `0.4`, `12`, `151,260`. */
export function formatRate(value: number): string {
  if (value !== 0 && Math.abs(value) < 10) return value.toFixed(1);
  return value < 0 ? `-${formatCount(Math.round(-value))}` : formatCount(Math.round(value));
}

/** `0.31 ms`, `24 ms`, `1.2 s`; `-` where nothing was measured. */
export function formatMs(value: number | null): string {
  if (value === null) return "-";
  if (value < 10) return `${Number(value.toPrecision(2))} ms`;
  return value < 1000 ? `${Math.round(value)} ms` : `${(value / 1000).toFixed(1)} s`;
}

/** `now`, `12 s`, `3 min`, `2 h`, `5 d`. */
function formatAge(milliseconds: number): string {
  const seconds = Math.max(0, Math.round(milliseconds / 1000));
  if (seconds < 120) return `${seconds} s`;
  if (seconds < 7200) return `${Math.floor(seconds / 60)} min`;
  return seconds < 172_800 ? `${Math.floor(seconds / 3600)} h` : `${Math.floor(seconds / 86_400)} d`;
}

/** `19:35:11`, local time. */
function formatSecond(milliseconds: number): string {
  return formatClock(milliseconds).slice(0, -".000".length);
}

/** One line for a pipe. */
export function formatSampleLine(sample: TopSample): string {
  const { time, ready, reasons, rates, queue, routes, latencyMs, kernel, process } = sample;
  const { p50, p99 } = latencyMs.total;
  const parts = [
    ready ? "ready" : `not ready (${reasons.join("; ")})`,
    `updates ${formatRate(rates.updates)}/s`,
    `programmed ${formatRate(rates.programmed)}/s`,
    `failed ${formatRate(rates.failed)}/s`,
    `rejected ${formatRate(rates.rejected)}/s`,
    `queue ${formatCount(queue.depth)} of ${formatCount(queue.limit)}`,
    `routes ${formatCount(routes.ipv4 + routes.ipv6)}`,
    `refused ${formatCount(routes.refused)}`,
    `drift ${formatCount(kernel.drift)}`,
    `p50 ${formatMs(p50)}`,
    `p99 ${formatMs(p99)}`,
    `${formatCount(Math.round(process.rssBytes / 1e6))} MB`,
    `cpu ${process.cpuPercent.toFixed(0)} %`,
  ];
  return `${formatSecond(time)} ${parts.join(", ")}\n`;
}
