/** `dplaned monitor`: events as they happen, a line each, those that the words ask for. Main thread of a client process. */
import { setTimeout } from "node:timers";
import { escapeControls } from "../../output.ts";
import { suggest } from "../../suggest.ts";
import type { RouteListQuery } from "../api_types.ts";
import { KERNEL_OBJECTS, type KernelObject } from "../event_filter.ts";
import { EVENT_NAMES, type EventName } from "../events.ts";
import { type ApiClient, BrokenOffError, readLines, UnreachableError } from "./client.ts";
import { readEvents } from "./event_stream.ts";
import { formatEvent } from "./format.ts";
import type { CliIo } from "./io.ts";
import { toListQuery, UsageError } from "./route_words.ts";

export interface MonitorCommand {
  words: readonly string[];
  reconnect: boolean;
  json: boolean;
}

/** Pause before the daemon is tried again. */
const RECONNECT_MS = 1000;

/** Words of a filter that have another one behind them. */
const FILTER_WORDS = ["exact", "root", "to", "table", "vrf", "owner", "status"];

/** What `GET /v1/events` is asked for. */
export type EventQuery = Omit<RouteListQuery, "family" | "limit" | "cursor"> & { types?: string; objects?: string };

/** The kinds of events and objects of the kernel, as `ip monitor` takes them, and behind them filters of routes. */
export function toEventQuery(words: readonly string[]): EventQuery {
  const kinds = new Set<EventName>();
  const objects = new Set<KernelObject>();
  let index = 0;
  for (; index < words.length; index++) {
    const word = words[index]!;
    const kind = EVENT_NAMES.find((name) => name === word);
    const object = KERNEL_OBJECTS.find((name) => name === word);
    if (kind !== undefined) kinds.add(kind);
    // That of routes and that of nexthop objects.
    if (kind === "drift") kinds.add("nexthop_drift");
    if (object !== undefined) objects.add(object);
    if (kind === undefined && object === undefined && word !== "all") break;
  }
  const rest = words.slice(index);
  const [first] = rest;
  if (first !== undefined && !FILTER_WORDS.includes(first) && /^[a-z-]+$/.test(first) && first !== "default") {
    const known = [...EVENT_NAMES, ...KERNEL_OBJECTS, "all", ...FILTER_WORDS];
    const meant = suggest(first, known);
    throw new UsageError(
      `Unknown word "${first}"; ${meant === undefined ? `expected ${known.join(", ")}` : `did you mean "${meant}"?`}`,
    );
  }
  const { family: _, limit, ...filter } = toListQuery(rest, { ipv4: false, ipv6: false });
  if (limit !== undefined) throw new UsageError('Events have no "limit"; dplaned monitor | head prints the first');
  // An object alone means the kernel's events of it, and those kinds that are named.
  if (objects.size > 0) kinds.add("kernel");
  return {
    ...(kinds.size === 0 || words.includes("all") ? {} : { types: [...kinds].join(",") }),
    ...(objects.size === 0 || words.includes("all") ? {} : { objects: [...objects].join(",") }),
    ...filter,
  };
}

/** Prints events until the daemon ends them; with `reconnect` until somebody ends the program. */
export async function monitor(command: MonitorCommand, client: ApiClient, io: CliIo): Promise<number> {
  const query = toEventQuery(command.words);
  let hasBegun = false;
  let isLost = false;
  for (;;) {
    try {
      const response = await client.request({
        path: "/v1/events",
        query: { ...query },
        headers: { accept: "text/event-stream" },
      });
      if (isLost) io.stderr("dplaned: it answers again; what happened meanwhile is not known\n");
      hasBegun = true;
      isLost = false;
      for await (const { name, data } of readEvents(readLines(response))) {
        const object = JSON.parse(data) as Record<string, unknown>;
        const text = command.json
          ? `${JSON.stringify({ event: name, ...object })}\n`
          : escapeControls(formatEvent(name, object), "\n");
        io.stdout(text);
      }
      throw new BrokenOffError();
    } catch (error) {
      const isAway = error instanceof BrokenOffError || error instanceof UnreachableError;
      if (!isAway || !command.reconnect || !hasBegun) throw describe(error);
      if (!isLost) io.stderr(`dplaned: ${error.message}; trying again\n`);
      isLost = true;
      await new Promise((wake) => setTimeout(wake, RECONNECT_MS));
    }
  }
}

function describe(error: unknown): unknown {
  if (!(error instanceof BrokenOffError)) return error;
  return new Error(
    "The daemon ended the stream of events; did it stop? journalctl -u dplaned (--reconnect waits for it)",
  );
}
