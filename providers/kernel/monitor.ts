/**
 * Listens to the kernel: to links and addresses, and to routes and nexthop objects that others change; and reads on
 * request what the kernel holds of ours. Has a thread of its own, because waiting on a socket blocks it.
 */
import { type Clock, SYSTEM_CLOCK } from "../../core/clock.ts";
import { createRecordLog, type Log } from "../../core/log.ts";
import {
  FIRST_READING,
  type FromMonitor,
  type KernelChange,
  type MonitorStart,
  READING_REQUEST,
  type ReadingIsComplete,
} from "../../core/model/kernel_event.ts";
import { Family } from "../../core/model/route.ts";
import { errnoName, SyscallError } from "../../ffi/libc/errno.ts";
import type { Libc } from "../../ffi/libc/symbols.ts";
import * as c from "../../ffi/netlink/constants.ts";
import { block, DUMP_BUFFER_BYTES, type DumpResult, type Steps } from "../../ffi/netlink/dump.ts";
import { align4, messageLength } from "../../ffi/netlink/message.ts";
import {
  createPollfds,
  type NetlinkSocket,
  openNetlinkSocket,
  pollSockets,
  RECEIVE_OVERRUN,
  RECEIVE_TRUNCATED,
} from "../../ffi/netlink/socket.ts";
import { ChangeDecoder } from "./changes.ts";
import { readLinks } from "./read_links.ts";
import { readNexthops } from "./read_nexthops.ts";
import { createScratch, type ReadResult, readRoutes } from "./read_routes.ts";

const BUFFER_BYTES = 64 << 10;
const LISTEN_BUFFER_BYTES = 8 << 20;
const DUMP_RECEIVE_BYTES = 1 << 20;
/** Chunks of routes that may wait for the main thread, 256 KB each: it takes them slower than the kernel gives them. */
const CHUNKS_AHEAD_MAX = 8;
/** How long a wait for notifications lasts before the thread looks whether it is to stop or to read. */
const POLL_MS = 50;
/** So many notifications of one socket are taken before the other gets its turn, and told in one message. */
const CHANGES_MAX = 512;
/** Port ids that the kernel provider has had, latest last. What it asked for under an old one may still be on its way. */
const OWN_PORT_IDS_MAX = 16;
/**
 * How often a reading of IPv6 routes starts over because the table changed. At the start nothing of ours changes; later
 * a client may be writing all the time, and then the next reading has a better chance than one more try.
 */
const LATER_RESTARTS_MAX = 2;

type PostFromMonitor = (message: FromMonitor, transfer?: ArrayBuffer[]) => void;

/** Runs the monitor role until it is told to stop. Throws if the kernel cannot be listened to. */
export function runMonitor(start: MonitorStart, libc: Libc, post: PostFromMonitor, clock?: Clock): void {
  block(monitor(start, libc, post, clock));
}

/** The same, step by step. */
export function monitor(start: MonitorStart, libc: Libc, post: PostFromMonitor, clock = SYSTEM_CLOCK): Steps<void> {
  return new Monitor(start, libc, post, clock).run();
}

class Monitor {
  readonly #start: MonitorStart;
  readonly #libc: Libc;
  readonly #post: PostFromMonitor;
  readonly #clock: Clock;
  readonly #dumpOptions = { now: () => this.#clock.now(), buffer: new Uint8Array(DUMP_BUFFER_BYTES) };
  readonly #scratch = createScratch();
  readonly #log: Log;
  readonly #links: NetlinkSocket;
  /** Apart from the links, whose notifications a flood of routes must not push out. */
  readonly #routes: NetlinkSocket;
  readonly #pollfds: Uint8Array;
  readonly #decoder: ChangeDecoder;
  readonly #heartbeat: Float64Array;
  readonly #portIdCell: Int32Array;
  readonly #ownPortIds: number[] = [];
  readonly #buffer = new Uint8Array(BUFFER_BYTES);
  readonly #view = new DataView(this.#buffer.buffer);
  /** What was heard and not told yet. */
  #changes: KernelChange[] = [];
  #areLinksLost = false;
  /** The main thread knows that notifications were lost, and has not asked for a reading since. */
  #isOverrunTold = false;
  #sequence = 1;
  /** Chunks of routes handed on so far. */
  #chunks = 0;

  constructor(start: MonitorStart, libc: Libc, post: PostFromMonitor, clock: Clock) {
    this.#start = start;
    this.#libc = libc;
    this.#post = post;
    this.#clock = clock;
    this.#log = createRecordLog("monitor", (record) => post({ type: "log", record }));
    this.#heartbeat = new Float64Array(start.heartbeat);
    this.#portIdCell = new Int32Array(start.portIdCell);
    const wantRoutes = new Int32Array(start.wantRoutes);
    this.#decoder = new ChangeDecoder({
      protocol: start.protocol,
      isOwnPort: (portId) => portId !== 0 && (portId === this.#currentPortId() || this.#ownPortIds.includes(portId)),
      wantsAllRoutes: () => Atomics.load(wantRoutes, 0) !== 0,
    });
    this.#links = this.#listen([c.RTNLGRP_LINK, c.RTNLGRP_IPV4_IFADDR, c.RTNLGRP_IPV6_IFADDR], LISTEN_BUFFER_BYTES);
    const groups = [c.RTNLGRP_IPV4_ROUTE, c.RTNLGRP_IPV6_ROUTE, c.RTNLGRP_NEXTHOP];
    this.#routes = this.#listen(groups, LISTEN_BUFFER_BYTES);
    this.#pollfds = createPollfds([this.#links, this.#routes]);
  }

  *run(): Steps<void> {
    const stop = new Int32Array(this.#start.stop);
    // Listening began before this look, so a change in between is seen twice rather than never.
    const errno = yield* this.#readLinks();
    if (errno !== 0) throw new Error(`Cannot read the links of the kernel: ${errnoName(errno)}`);
    yield* this.#read(FIRST_READING, 0);
    let done = FIRST_READING;
    while (Atomics.load(stop, 0) === 0) {
      yield;
      pollSockets(this.#libc, this.#pollfds, POLL_MS);
      this.#hear();
      if (this.#areLinksLost) this.#areLinksLost = !(yield* this.#tryToReadLinks());
      const { number, ifindex } = this.#request();
      if (number === done) continue;
      yield* this.#tryToRead(number, ifindex);
      done = number;
    }
    this.#links.close();
    this.#routes.close();
  }

  #listen(groups: number[], receiveBufferBytes: number): NetlinkSocket {
    return openNetlinkSocket(this.#libc, { netns: this.#start.netns, groups, receiveBufferBytes });
  }

  /** The reading that was last asked for. */
  #request(): { number: number; ifindex: number } {
    const words = new Int32Array(this.#start.request);
    for (;;) {
      const number = Atomics.load(words, READING_REQUEST.NUMBER);
      const ifindex = Atomics.load(words, READING_REQUEST.IFINDEX);
      if (Atomics.load(words, READING_REQUEST.NUMBER) === number) return { number, ifindex };
    }
  }

  /** Port id of the kernel provider's socket; 0 before it has one. */
  #currentPortId(): number {
    return Atomics.load(this.#portIdCell, 0) >>> 0;
  }

  /** Tells what waits in both sockets, at most for a while. */
  #hear(): void {
    this.#heartbeat[0] = this.#clock.now();
    this.#filterEchoes();
    this.#drain(this.#links);
    this.#drain(this.#routes);
  }

  /** Has the kernel keep the provider's changes out of the socket, where they would take the room of others'. */
  #filterEchoes(): void {
    const portId = this.#currentPortId();
    if (portId === 0 || portId === this.#ownPortIds.at(-1)) return;
    this.#ownPortIds.push(portId);
    if (this.#ownPortIds.length > OWN_PORT_IDS_MAX) this.#ownPortIds.shift();
    this.#routes.setEchoFilter(this.#ownPortIds);
  }

  #drain(socket: NetlinkSocket): void {
    for (let turn = 0; turn < CHANGES_MAX; turn++) {
      const bytes = socket.receive(this.#buffer);
      if (bytes === 0) break;
      if (bytes === RECEIVE_OVERRUN || bytes === RECEIVE_TRUNCATED) {
        if (socket === this.#links) this.#areLinksLost = true;
        this.#tellOverrun(errnoName(-bytes));
        continue;
      }
      if (bytes < 0) throw new Error(`Cannot read notifications of the kernel: ${errnoName(-bytes)}`);
      for (let offset = 0, length = 0; offset < bytes; offset += align4(length)) {
        length = messageLength(this.#view, offset, bytes);
        if (length === 0) break;
        const change = this.#decoder.decode(this.#view, offset, length);
        if (change !== null) this.#changes.push(change);
      }
    }
    this.#tellChanges();
  }

  #tellChanges(): void {
    if (this.#changes.length === 0) return;
    this.#post({ type: "changes", changes: this.#changes });
    this.#changes = [];
  }

  #tellOverrun(reason: string): void {
    if (this.#isOverrunTold) return;
    this.#isOverrunTold = true;
    this.#log.warn("Notifications of the kernel were lost; what it holds is read anew", { reason });
    this.#post({ type: "overrun" });
  }

  /** Tells of all interfaces; returns 0, or why they could not be read. */
  *#readLinks(): Steps<number> {
    // The answer knows better than what was heard before it.
    let bytes: number;
    do bytes = this.#links.receive(this.#buffer);
    while (bytes > 0 || bytes === RECEIVE_OVERRUN || bytes === RECEIVE_TRUNCATED);
    const { netns } = this.#start;
    const socket = openNetlinkSocket(this.#libc, { netns, receiveBufferBytes: DUMP_RECEIVE_BYTES });
    const { dump, links } = yield* readLinks(socket, this.#sequence, this.#dumpOptions);
    socket.close();
    this.#sequence += dump.restarts + 1;
    if (dump.errno === 0) this.#post({ type: "links", links });
    return dump.errno;
  }

  /** Reads what the kernel holds of our protocol. */
  *#read(reading: number, ifindex: number): Steps<void> {
    // What is lost from now on may be missing in what is read.
    this.#isOverrunTold = false;
    const { netns, protocol } = this.#start;
    const socket = openNetlinkSocket(this.#libc, { netns, strictCheck: true, receiveBufferBytes: DUMP_RECEIVE_BYTES });
    try {
      yield* this.#readWith(socket, protocol, reading, ifindex);
    } finally {
      socket.close();
    }
  }

  *#readWith(socket: NetlinkSocket, protocol: number, reading: number, ifindex: number): Steps<void> {
    const { dump, objects } = yield* readNexthops(socket, protocol, this.#sequence, this.#dumpOptions);
    this.#sequence += dump.restarts + 1;
    this.#post({ type: "nexthops", reading, objects });
    const ipv4 = yield* this.#readRoutes(socket, reading, ifindex, Family.IPV4);
    const ipv6 = yield* this.#readRoutes(socket, reading, ifindex, Family.IPV6);
    const complete: ReadingIsComplete = {
      ipv4: isComplete(ipv4.dump),
      ipv6: isComplete(ipv6.dump),
      nexthops: isComplete(dump),
    };
    this.#complainOf("nexthop objects", dump);
    this.#complainOf("IPv4 routes", ipv4.dump);
    this.#complainOf("IPv6 routes", ipv6.dump);
    const routes = ipv4.routes + ipv6.routes;
    this.#post({ type: "read", reading, routes, unreadable: ipv4.unreadable + ipv6.unreadable, complete });
  }

  /** A reading for which no socket can be had, as when clients have all descriptors, is one that came to nothing. */
  *#tryToRead(reading: number, ifindex: number): Steps<void> {
    try {
      yield* this.#read(reading, ifindex);
    } catch (error) {
      if (!(error instanceof SyscallError)) throw error;
      this.#log.error("The kernel could not be read", { what: "anything", reason: error.message });
      const complete: ReadingIsComplete = { ipv4: false, ipv6: false, nexthops: false };
      this.#post({ type: "read", reading, routes: 0, unreadable: 0, complete });
    }
  }

  *#tryToReadLinks(): Steps<boolean> {
    try {
      return (yield* this.#readLinks()) === 0;
    } catch (error) {
      if (error instanceof SyscallError) return false;
      throw error;
    }
  }

  *#readRoutes(socket: NetlinkSocket, reading: number, ifindex: number, family: Family): Steps<ReadResult> {
    // A dump of IPv4 routes goes on by key and misses nothing that is there all the time (ffi/netlink/dump.ts).
    const witness = family === Family.IPV6 ? this.#listen([c.RTNLGRP_IPV6_ROUTE], BUFFER_BYTES) : undefined;
    const options = {
      ...this.#dumpOptions,
      ...(witness === undefined ? {} : { witness }),
      ...(reading === FIRST_READING ? {} : { restartsMax: LATER_RESTARTS_MAX }),
    };
    const sequence = this.#sequence;
    const result = yield* readRoutes(
      socket,
      { family, protocol: this.#start.protocol, ifindex, sequence, options, scratch: this.#scratch },
      {
        onChunk: (records, count) => this.#postRoutes(reading, records, count),
        onRestart: () => this.#post({ type: "restarted", reading, family }),
        onProgress: () => this.#hear(),
      },
    );
    this.#sequence += result.dump.restarts + 2;
    witness?.close();
    return result;
  }

  /** Hands on a chunk of routes, and waits for the main thread where too many of them lie before it. */
  #postRoutes(reading: number, records: ArrayBuffer, count: number): void {
    this.#post({ type: "routes", reading, records, count }, [records]);
    this.#chunks += 1;
    const stop = new Int32Array(this.#start.stop);
    const takenCell = new Int32Array(this.#start.taken);
    for (;;) {
      const taken = Atomics.load(takenCell, 0);
      if (this.#chunks - taken <= CHUNKS_AHEAD_MAX || Atomics.load(stop, 0) !== 0) return;
      this.#heartbeat[0] = this.#clock.now();
      Atomics.wait(takenCell, 0, taken, POLL_MS);
    }
  }

  #complainOf(what: string, { errno }: DumpResult): void {
    if (errno !== 0) this.#log.error("The kernel could not be read", { what, reason: errnoName(errno) });
  }
}

function isComplete({ errno, interrupted }: DumpResult): boolean {
  return errno === 0 && !interrupted;
}
