/**
 * The contract between dplaned and a provider of your own, version 1. `dplaned provider types` prints this file.
 *
 * A provider is a TypeScript or JavaScript module whose default export is a {@link Provider}:
 *
 *     import type { Provider } from "./dplaned.d.ts";
 *
 *     export default {
 *       apiVersion: 1,
 *       update(update) {
 *         if (update.prefixLength > 24) update.fail("TOO_LONG", "prefixes are at most 24 bits long here");
 *       },
 *     } satisfies Provider;
 *
 * It runs in a process of its own, started by dplaned from this same file after each failure, so nothing that it does can
 * harm the daemon or another provider. It stands where `priority` puts it, and takes part in one of two ways, or in both:
 *
 * - `update` or `process` are in the way of each update: what they do not let go on waits. They decide.
 * - `export` is told beside the way, as fast as it can take it, what the forwarding plane holds. It decides nothing.
 */

/** What a provider is: the default export of its module. All members but `apiVersion` may be left out. */
export interface Provider<Options = Record<string, unknown>> {
  /** The version of this contract for which it was written. */
  apiVersion: 1;

  /**
   * Checks the table `options` of the configuration, and returns what `dplaned.options` is to be. To refuse it throws an
   * Error, whose message is shown: say which option is wrong, and what it should be. Without it, any table will do.
   */
  options?(table: Record<string, unknown>): Options;

  /** Counters and gauges of its own, by name: small letters, digits and underscores. */
  metrics?: Readonly<Record<string, Metric>>;

  /** Once, before everything else; what it returns is waited for. An exception means that the provider is down. */
  start?(dplaned: Dplaned<Options>): void | Promise<void>;

  /**
   * Each update of a route, one by one, in order. One of which it says nothing goes on when it returns, or when the promise
   * that it returns is fulfilled. An exception, and a promise that is rejected, leave the update undecided: it goes on and
   * its result says so, or it fails, where the configuration has `fail-closed`.
   */
  update?(update: Update, dplaned: Dplaned<Options>): void | Promise<void>;

  /** In place of `update`: all updates that have come, in order. This is faster where there are many. */
  process?(updates: readonly Update[], dplaned: Dplaned<Options>): void | Promise<void>;

  /**
   * A later provider, most often the kernel, has failed an update that this one had let go on: its part is to be taken
   * back. `update.error` says why.
   */
  undo?(update: Update, dplaned: Dplaned<Options>): void | Promise<void>;

  /** A nexthop object, which routes may share, was made, changed or removed; once at the start for each that there is. */
  nexthop?(object: NexthopObject, dplaned: Dplaned<Options>): void;

  /**
   * What the forwarding plane holds. First all of it, in batches, then what changes; what changes meanwhile is told later,
   * once, as it is then. The next batch comes when the promise is fulfilled, so it may take its time: updates do not wait
   * for it. When it fails the same batch is offered again, after 1 s, then later and later, up to 30 s.
   */
  export?(batch: ExportBatch, dplaned: Dplaned<Options>): void | Promise<void>;

  /** Twice: `early` when no more updates will come, then at the end, when everything is to be let go of. */
  finish?(dplaned: Dplaned<Options>, early: boolean): void | Promise<void>;
}

export interface Metric {
  /** A counter only rises; its name in `/metrics` ends with `_total`. */
  type: "counter" | "gauge";
  /** One sentence that says what is counted. */
  help: string;
}

/** The daemon, as a provider sees it. */
export interface Dplaned<Options = Record<string, unknown>> {
  readonly apiVersion: 1;
  /** Of the daemon. */
  readonly version: string;
  /** Name of the provider in the configuration, and its place in the pipeline. */
  readonly name: string;
  readonly priority: Priority;
  /** The table `options` of the configuration, as `Provider.options` returned it. */
  readonly options: Options;
  /** Lines in the daemon's log. What varies belongs into `fields`: repeated messages are written once a second. */
  readonly log: Log;
  /** Aborted when the provider is to end; for `fetch` and the like. */
  readonly signal: AbortSignal;
  /** Adds to a counter, or to a gauge. */
  count(metric: string, by?: number): void;
  /** Sets a gauge. */
  set(metric: string, value: number): void;
  /** The nexthop object of this number, as far as it is known. */
  nexthop(id: number): NexthopObject | undefined;
}

export type Priority = "preprocess" | "pre-kernel" | "kernel" | "post-kernel" | "postprocess";

export interface Log {
  debug(message: string, fields?: Readonly<Record<string, unknown>>): void;
  info(message: string, fields?: Readonly<Record<string, unknown>>): void;
  warn(message: string, fields?: Readonly<Record<string, unknown>>): void;
  error(message: string, fields?: Readonly<Record<string, unknown>>): void;
}

/** What tells one route from another. */
export interface RouteKey {
  readonly family: 4 | 6;
  /** Such as `203.0.113.0/24`. */
  readonly prefix: string;
  /** The prefix in its parts: 4 or 16 bytes, and its length. */
  readonly address: Uint8Array;
  readonly prefixLength: number;
  /** Source prefix of a source-specific IPv6 route; undefined for any source. */
  readonly source: string | undefined;
  /** Number of the kernel's table; `main` is 254. */
  readonly table: number;
  readonly metric: number;
}

/**
 * One update on its way through the pipeline. There is at most one of a route at a time. It may be kept, but holds on to
 * the memory of all that came together with it; `toJSON` is smaller.
 */
export interface Update extends RouteKey {
  /** Rises by the order in which updates were admitted. */
  readonly sequence: number;
  /** What is to be done: a route that was not there, another in place of one that was, or none any more. */
  readonly op: "install" | "replace" | "delete";
  /** The route as it is to be; undefined with `delete`. */
  readonly route: Route | undefined;
  /** The route as it is programmed; undefined if there is none. */
  readonly oldRoute: Route | undefined;
  /** Whose route it is, and who asked: another, where one owner's deletion lets another's route take over. Empty for dplaned itself. */
  readonly owner: string;
  readonly requestedBy: string;
  /** `programmed` behind the kernel; `failed` in `undo`. */
  readonly status: "queued" | "programmed" | "failed";
  /** Why it has failed, in `undo`: an errno's name or dplaned's own, and the text. */
  readonly error: UpdateError | undefined;
  /** Some provider before this one wants it to bypass the kernel. */
  readonly skipsKernel: boolean;
  /** Some provider before this one was down, and gave no word on it. */
  readonly isBypassed: boolean;
  /** The dataplane had to start anew: it may have come before. */
  readonly isReplayed: boolean;
  /** Its owner may replace what others have put into the kernel. */
  readonly takesOver: boolean;
  /** When it was admitted, in milliseconds since 1970. */
  readonly admittedAt: number;

  /** Lets it go on; for one that was kept. */
  pass(): void;
  /**
   * Fails it. Its result has the code (capital letters, digits and underscores), the message and what may be done about
   * it; all three together have room for about 250 bytes. Use few different messages: the daemon remembers each.
   */
  fail(code: string, message: string, hint?: string): void;
  /** Has it bypass the kernel: its result will be `skipped`. Before the kernel only. */
  skipKernel(): void;
  /** Says that it is programmed. Only with priority `kernel`, for who programs something else than the kernel. */
  succeed(): void;
  /** Keeps it beyond the call; it is decided later, within `answer-time`. A promise keeps all that it was given. */
  keep(): void;

  /** As the HTTP API takes it: `JSON.stringify(update)` is a line for `dplaned route load`. */
  toJSON(): UpdateJson;
}

export interface UpdateError {
  readonly code: string;
  readonly message: string;
}

/** What a route says besides its key. */
export interface Route {
  readonly type: "unicast" | "blackhole" | "unreachable" | "prohibit" | "throw";
  /** Where packets go; of a route by a nexthop object, as it is now. */
  readonly nexthops: readonly Nexthop[];
  /** Number of the nexthop object in the kernel that it goes by; 0 for none. */
  readonly nexthopObject: number;
  /** Where it comes from, as RTPROT_* number, and which instance of that; 0 where nothing is known. */
  readonly protocol: number;
  readonly instance: number;
  readonly distance: number;
  readonly tag: number;
  /** 0 for none. */
  readonly mtu: number;
  readonly prefsrc: string | undefined;
}

export interface Nexthop {
  /** Gateway, of either family; undefined where there is none. */
  readonly via: string | undefined;
  /** Interface, by name, undefined where that is not known, and by number, 0 where none was named. */
  readonly dev: string | undefined;
  readonly ifindex: number;
  /** 1 to 256. */
  readonly weight: number;
  readonly onlink: boolean;
  /** MPLS labels to push, outermost first. */
  readonly labels: readonly number[];
  readonly seg6: { readonly mode: string; readonly segs: readonly string[] } | undefined;
}

/** A nexthop object of the kernel. */
export interface NexthopObject {
  readonly id: number;
  /** `removed`: it is no more. */
  readonly kind: "single" | "group" | "resilient" | "removed";
  /** Where packets go that routes send to it. */
  readonly nexthops: readonly Nexthop[];
  /** Of a group, the single objects that it is made of. */
  readonly members: readonly { readonly id: number; readonly weight: number }[];
}

export interface ExportBatch {
  readonly changes: readonly Change[];
  /** The first batch of all that there is: whatever was told before is to be forgotten. */
  readonly isFirst: boolean;
  /** The last batch of all that there is; from then on come changes. */
  readonly isLast: boolean;
}

/** What the forwarding plane holds under one key. */
export interface Change extends RouteKey {
  /** Undefined if it holds nothing any more. */
  readonly route: Route | undefined;
  toJSON(): UpdateJson;
}

/** An update as the HTTP API takes it. */
export interface UpdateJson {
  op: "install" | "delete";
  prefix: string;
  source?: string;
  table: number;
  metric: number;
  type?: Route["type"];
  nexthops?: {
    via?: string;
    dev?: string;
    weight: number;
    onlink?: true;
    labels?: number[];
    seg6?: { mode: string; segs: string[] };
  }[];
  protocol?: number;
  distance?: number;
  tag?: number;
  mtu?: number;
  prefsrc?: string;
}
