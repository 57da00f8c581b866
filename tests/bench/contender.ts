/** What `make bench` compares: a program that puts routing tables into the kernel, at work in a namespace. */
import type { Netns } from "../support/netns.ts";
import type { Feeds, Op } from "./feeds.ts";
import type { CpuSeconds } from "./process_cost.ts";

/** One op on all routes of a table. */
export interface Timing {
  /** From the client's first byte until the last route is confirmed. */
  ms: number;
  /** Of the program itself. */
  cpu: CpuSeconds;
  /** Of what feeds it, where that is a process of its own. */
  client?: CpuSeconds;
}

/** A contender at work in one namespace. */
export interface Session {
  run(feeds: Feeds, op: Op): Promise<Timing>;
  /** Most memory that the program has had so far. */
  peakBytes(): number;
  end(): Promise<void>;
}

export interface Contender {
  name: string;
  /** Why it cannot be measured on this machine. */
  skipped: string | false;
  /** By which its routes are told in the kernel. */
  protocol: number;
  open(netns: Netns): Promise<Session>;
}
