/** What the thread that listens to the kernel tells the main thread, and is asked by it: plain data. */
import type { NexthopObject } from "../context/nexthop_object.ts";
import type { LogRecord } from "../log.ts";
import type { Link } from "./link_table.ts";
import type { Family } from "./route.ts";

export type KernelAction = "new" | "delete";

/** A change in the kernel that dplaned did not make. */
export type KernelChange = LinkChange | AddressChange | RouteChange | NexthopChange;

export interface LinkChange {
  kind: "link";
  action: KernelAction;
  link: Link;
}

export interface AddressChange {
  kind: "address";
  action: KernelAction;
  ifindex: number;
  family: Family;
  /** With its prefix length, as text. */
  address: string;
}

/** Who made a change of a route or a nexthop object. */
export interface ChangeAuthor {
  /** netlink port of who asked for it; 0 for the kernel itself. */
  portId: number;
  /** The process, as far as it can be told: `ip[4711]`, `netlink port 4711`, or `the kernel`. */
  by: string;
}

export interface RouteChange extends ChangeAuthor {
  kind: "route";
  action: KernelAction;
  family: Family;
  /** 16 bytes each, masked; a `sourceLength` of 0 is none. */
  prefix: Uint8Array;
  prefixLength: number;
  source: Uint8Array;
  sourceLength: number;
  table: number;
  /** As updates have it: an IPv6 metric is never 0. */
  metric: number;
  /** RTPROT_* of the route. */
  protocol: number;
  /**
   * It may concern a route of ours: it bears our protocol, or it was put in the place of another, or beside it
   * (NLM_F_REPLACE, NLM_F_APPEND). Others are told only while somebody listens to all changes.
   */
  isOurs: boolean;
}

export interface NexthopChange extends ChangeAuthor {
  kind: "nexthop";
  action: KernelAction;
  id: number;
  /** RTPROT_* of the object. */
  protocol: number;
}

/** A nexthop object in the kernel that bears our protocol or has a number of ours. */
export interface HeldNexthopObject {
  id: number;
  /** It bears our protocol. Whoever replaces an object puts his own on it, and its routes stay on it. */
  isOurs: boolean;
  /** Null for one that dplaned could not have written. */
  object: NexthopObject | null;
}

/** How far what a reading of the kernel does not show can be taken for absent. */
export interface ReadingIsComplete {
  ipv4: boolean;
  ipv6: boolean;
  nexthops: boolean;
}

/** From the monitor thread. */
export type FromMonitor =
  /** All interfaces, at the start and after an overrun. */
  | { type: "links"; links: Link[] }
  | { type: "changes"; changes: KernelChange[] }
  /** Notifications of routes or nexthops were lost: only a reading tells what the kernel holds. */
  | { type: "overrun" }
  /** `count` routes of our protocol in records of core/context/route_record.ts, found by a reading. */
  | { type: "routes"; reading: number; records: ArrayBuffer; count: number }
  /** The nexthop objects of our protocol and with our numbers, all of them, before a reading's routes. */
  | { type: "nexthops"; reading: number; objects: HeldNexthopObject[] }
  /** A reading of one family starts over: what it has told of that family's routes is void. */
  | { type: "restarted"; reading: number; family: Family }
  /** A reading is at its end. */
  | { type: "read"; reading: number; routes: number; unreadable: number; complete: ReadingIsComplete }
  | { type: "log"; record: LogRecord };

/** The reading that the thread begins with, unasked. */
export const FIRST_READING = 0;

/** Words of {@linkcode MonitorStart.request}. The next reading is asked for only when the last has ended, so they agree. */
export const READING_REQUEST = {
  /** Number of the last reading that was asked for; rising. Written last. */
  NUMBER: 0,
  /** Interface whose routes are to be read; 0 for all. */
  IFINDEX: 1,
  WORDS: 2,
} as const;

/** Starts the monitor thread. */
export interface MonitorStart {
  role: "monitor";
  netns: string | undefined;
  /** RTPROT_* of our routes. */
  protocol: number;
  /** Where the kernel provider publishes its socket's port id (one Int32). */
  portIdCell: SharedArrayBuffer;
  /** Not 0 while somebody wants to hear of all route changes (one Int32). */
  wantRoutes: SharedArrayBuffer;
  /** Chunks of routes that the main thread has put away (one Int32); the thread does not read far ahead of them. */
  taken: SharedArrayBuffer;
  /** Asks for a reading of the kernel ({@linkcode READING_REQUEST}, Int32). */
  request: SharedArrayBuffer;
  /** When the thread last looked around, on the clock of core/clock.ts (one Float64). */
  heartbeat: SharedArrayBuffer;
  /** Not 0 once the thread is to stop (one Int32). */
  stop: SharedArrayBuffer;
}
