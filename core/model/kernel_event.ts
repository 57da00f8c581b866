/** What the thread that listens to the kernel tells the main thread: plain data. */
import type { LogRecord } from "../log.ts";
import type { Link } from "./link_table.ts";

export type KernelAction = "new" | "delete";

/** A change in the kernel that dplaned did not make. */
export type KernelChange =
  | { kind: "link"; action: KernelAction; link: Link }
  | { kind: "address"; action: KernelAction; ifindex: number; address: string }
  | {
      kind: "route";
      action: KernelAction;
      prefix: string;
      table: number;
      metric: number;
      /** RTPROT_* of the route. */
      protocol: number;
      /** netlink port of who asked for it; 0 for the kernel itself. */
      portId: number;
    };

/** From the monitor thread. */
export type FromMonitor =
  /** All interfaces, at the start and after an overrun. */
  | { type: "links"; links: Link[] }
  | { type: "change"; change: KernelChange }
  /** Routes of ours that the kernel already held: `count` records of core/context/route_record.ts. */
  | { type: "routes"; records: ArrayBuffer; count: number }
  /** The first look at the kernel is complete. */
  | { type: "synced"; routes: number; unreadable: number }
  | { type: "log"; record: LogRecord };

/** Starts the monitor thread. */
export interface MonitorStart {
  role: "monitor";
  netns: string | undefined;
  /** RTPROT_* of our routes. */
  protocol: number;
  /** Where the kernel provider publishes its socket's port id (one Int32). */
  portIdCell: SharedArrayBuffer;
  /** Not 0 while somebody wants to hear of route changes (one Int32). */
  wantRoutes: SharedArrayBuffer;
  /** Chunks of routes that the main thread has put away (one Int32); the thread does not read far ahead of them. */
  taken: SharedArrayBuffer;
  /** When the thread last looked around, on the clock of core/clock.ts (one Float64). */
  heartbeat: SharedArrayBuffer;
  /** Not 0 once the thread is to stop (one Int32). */
  stop: SharedArrayBuffer;
}
