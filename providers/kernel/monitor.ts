/**
 * Listens to the kernel: links and addresses always, routes of others while somebody wants to hear of them. Has a thread
 * of its own, because waiting on a socket blocks it. At the start it also reads what the kernel holds: the links, and
 * the routes that an earlier life of the daemon has left.
 */
import { now } from "../../core/clock.ts";
import { createRecordLog, type Log } from "../../core/log.ts";
import type { FromMonitor, KernelChange, MonitorStart } from "../../core/model/kernel_event.ts";
import type { Link } from "../../core/model/link_table.ts";
import { formatPrefix } from "../../core/model/prefix.ts";
import { Family } from "../../core/model/route.ts";
import { errnoName } from "../../ffi/libc/errno.ts";
import type { Libc } from "../../ffi/libc/symbols.ts";
import { createAddressMessage, decodeAddress, ownAddress } from "../../ffi/netlink/address.ts";
import * as c from "../../ffi/netlink/constants.ts";
import { dump } from "../../ffi/netlink/dump.ts";
import { createLinkMessage, decodeLink, encodeLink, type LinkMessage } from "../../ffi/netlink/link.ts";
import { align4, messageLength, messageType } from "../../ffi/netlink/message.ts";
import { createRouteMessage } from "../../ffi/netlink/route.ts";
import { decodeRoute } from "../../ffi/netlink/route_decode.ts";
import { type NetlinkSocket, openNetlinkSocket, RECEIVE_OVERRUN, RECEIVE_TRUNCATED } from "../../ffi/netlink/socket.ts";
import { readRoutes } from "./read_routes.ts";

const BUFFER_BYTES = 64 << 10;
const LISTEN_BUFFER_BYTES = 8 << 20;
const DUMP_BUFFER_BYTES = 1 << 20;
/** Chunks of routes that may wait for the main thread, 256 KB each: it takes them slower than the kernel gives them. */
const CHUNKS_AHEAD_MAX = 8;
/** How long a wait for notifications lasts before the thread looks whether it is to stop. */
const POLL_MS = 20;
const IFF_UP = 0x1;
const IFF_LOWER_UP = 0x10000;

/** Runs the monitor role until it is told to stop. Throws if the kernel cannot be listened to. */
export function runMonitor(
  start: MonitorStart,
  libc: Libc,
  post: (message: FromMonitor, transfer?: ArrayBuffer[]) => void,
): void {
  new Monitor(start, libc, post).run();
}

class Monitor {
  readonly #start: MonitorStart;
  readonly #libc: Libc;
  readonly #post: (message: FromMonitor, transfer?: ArrayBuffer[]) => void;
  readonly #log: Log;
  readonly #links: NetlinkSocket;
  /** Apart from the links, whose notifications a flood of routes must not push out. */
  #routes: NetlinkSocket | null = null;
  #filteredPortId = 0;
  readonly #buffer = new Uint8Array(BUFFER_BYTES);
  readonly #view = new DataView(this.#buffer.buffer);
  readonly #link = createLinkMessage();
  readonly #address = createAddressMessage();
  readonly #route = createRouteMessage();
  #sequence = 1;
  #chunks = 0;

  constructor(start: MonitorStart, libc: Libc, post: (message: FromMonitor, transfer?: ArrayBuffer[]) => void) {
    this.#start = start;
    this.#libc = libc;
    this.#post = post;
    this.#log = createRecordLog("monitor", (record) => post({ type: "log", record }));
    this.#links = this.#listen([c.RTNLGRP_LINK, c.RTNLGRP_IPV4_IFADDR, c.RTNLGRP_IPV6_IFADDR]);
  }

  run(): void {
    const stop = new Int32Array(this.#start.stop);
    const wantRoutes = new Int32Array(this.#start.wantRoutes);
    // Listening began before this look, so a change in between is seen twice rather than never.
    this.#readLinks();
    this.#adoptRoutes();
    const heartbeat = new Float64Array(this.#start.heartbeat);
    while (Atomics.load(stop, 0) === 0) {
      heartbeat[0] = now();
      this.#watchRoutes(Atomics.load(wantRoutes, 0) !== 0);
      if (this.#links.poll(this.#routes === null ? POLL_MS : 0)) this.#drain(this.#links);
      if (this.#routes?.poll(POLL_MS)) this.#drain(this.#routes);
    }
    this.#links.close();
    this.#routes?.close();
  }

  #listen(groups: number[]): NetlinkSocket {
    return openNetlinkSocket(this.#libc, {
      netns: this.#start.netns,
      groups,
      receiveBufferBytes: LISTEN_BUFFER_BYTES,
    });
  }

  /** Opens or closes the ear for routes, and keeps our own changes out of it. */
  #watchRoutes(wanted: boolean): void {
    if (wanted && this.#routes === null) {
      this.#routes = this.#listen([c.RTNLGRP_IPV4_ROUTE, c.RTNLGRP_IPV6_ROUTE]);
      this.#filteredPortId = 0;
    } else if (!wanted && this.#routes !== null) {
      this.#routes.close();
      this.#routes = null;
    }
    const portId = this.#ownPortId();
    if (this.#routes === null || portId === this.#filteredPortId || portId === 0) return;
    this.#routes.setEchoFilter([portId]);
    this.#filteredPortId = portId;
  }

  /** Port id of the kernel provider's socket; 0 before it has one. */
  #ownPortId(): number {
    return Atomics.load(new Int32Array(this.#start.portIdCell), 0) >>> 0;
  }

  /** Reads what waits in a socket, at most for a while, so that the other one gets its turn. */
  #drain(socket: NetlinkSocket): void {
    for (let turn = 0; turn < 64; turn++) {
      const bytes = socket.receive(this.#buffer);
      if (bytes === 0) return;
      if (bytes === RECEIVE_OVERRUN || bytes === RECEIVE_TRUNCATED) {
        this.#log.warn("Notifications of the kernel were lost; reading anew", { reason: errnoName(-bytes) });
        if (socket === this.#links) this.#readLinks();
        continue;
      }
      if (bytes < 0) throw new Error(`Cannot read notifications of the kernel: ${errnoName(-bytes)}`);
      let length = 0;
      for (let offset = 0; offset < bytes; offset += align4(length)) {
        length = messageLength(this.#view, offset, bytes);
        if (length === 0) break;
        const change = this.#decode(offset, length);
        if (change !== null) this.#post({ type: "change", change });
      }
    }
  }

  #decode(offset: number, length: number): KernelChange | null {
    const type = messageType(this.#view, offset);
    switch (type) {
      case c.RTM_NEWLINK:
      case c.RTM_DELLINK: {
        const message = decodeLink(this.#view, offset, length, this.#link);
        // A port that leaves its bridge is "deleted" in family AF_BRIDGE; the interface itself stays.
        if (message === null || message.family !== 0) return null;
        return { kind: "link", action: type === c.RTM_NEWLINK ? "new" : "delete", link: toLink(message) };
      }
      case c.RTM_NEWADDR:
      case c.RTM_DELADDR: {
        const message = decodeAddress(this.#view, offset, length, this.#address);
        if (message === null) return null;
        const address = formatPrefix(message.family as Family, ownAddress(message), 0, message.prefixLength);
        return {
          kind: "address",
          action: type === c.RTM_NEWADDR ? "new" : "delete",
          ifindex: message.ifindex,
          address,
        };
      }
      case c.RTM_NEWROUTE:
      case c.RTM_DELROUTE: {
        const message = decodeRoute(this.#view, offset, length, this.#route);
        if (message === null || (message.family !== Family.IPV4 && message.family !== Family.IPV6)) return null;
        // A provider that has just started anew is not in the filter yet.
        if (message.portId !== 0 && message.portId === this.#ownPortId()) return null;
        return {
          kind: "route",
          action: type === c.RTM_NEWROUTE ? "new" : "delete",
          prefix: formatPrefix(message.family, message.destination, 0, message.prefixLength),
          table: message.table,
          metric: message.metric ?? 0,
          protocol: message.protocol,
          portId: message.portId,
        };
      }
      default:
        return null;
    }
  }

  #readLinks(): void {
    const socket = openNetlinkSocket(this.#libc, { netns: this.#start.netns, receiveBufferBytes: DUMP_BUFFER_BYTES });
    let links: Link[] = [];
    const request = createLinkMessage();
    request.type = c.RTM_GETLINK;
    request.flags = c.NLM_F_REQUEST | c.NLM_F_DUMP;
    request.sequence = this.#sequence++;
    const bytes = new Uint8Array(64);
    const length = encodeLink(new DataView(bytes.buffer), 0, request);
    const { errno } = dump(socket, bytes.subarray(0, length), {
      onMessage: (view, offset, size) => {
        const message = decodeLink(view, offset, size, this.#link);
        if (message !== null && message.type === c.RTM_NEWLINK) links.push(toLink(message));
      },
      onRestart: () => {
        links = [];
      },
    });
    socket.close();
    if (errno !== 0) throw new Error(`Cannot read the links of the kernel: ${errnoName(errno)}`);
    this.#post({ type: "links", links });
  }

  #adoptRoutes(): void {
    const { netns, protocol } = this.#start;
    const socket = openNetlinkSocket(this.#libc, { netns, strictCheck: true, receiveBufferBytes: DUMP_BUFFER_BYTES });
    let routes = 0;
    let unreadable = 0;
    for (const [family, group] of [
      [Family.IPV4, c.RTNLGRP_IPV4_ROUTE],
      [Family.IPV6, c.RTNLGRP_IPV6_ROUTE],
    ] as const) {
      const witness = this.#listen([group]);
      const result = readRoutes(socket, witness, family, protocol, this.#sequence, (records, count) =>
        this.#postRoutes(records, count),
      );
      this.#sequence += result.dump.restarts + 2;
      witness.close();
      if (result.dump.errno !== 0) {
        const reason = errnoName(result.dump.errno);
        this.#log.error("Routes of an earlier life of the daemon could not be read", { family, reason });
      }
      routes += result.routes;
      unreadable += result.unreadable;
    }
    socket.close();
    this.#post({ type: "synced", routes, unreadable });
  }

  /** Hands on a chunk of routes, and waits for the main thread where too many of them lie before it. */
  #postRoutes(records: ArrayBuffer, count: number): void {
    this.#post({ type: "routes", records, count }, [records]);
    this.#chunks += 1;
    const stop = new Int32Array(this.#start.stop);
    const takenCell = new Int32Array(this.#start.taken);
    const heartbeat = new Float64Array(this.#start.heartbeat);
    for (;;) {
      const taken = Atomics.load(takenCell, 0);
      if (this.#chunks - taken <= CHUNKS_AHEAD_MAX || Atomics.load(stop, 0) !== 0) return;
      heartbeat[0] = now();
      Atomics.wait(takenCell, 0, taken, POLL_MS);
    }
  }
}

function toLink(message: LinkMessage): Link {
  return {
    ifindex: message.ifindex,
    name: message.name,
    altNames: [...message.altNames],
    up: (message.linkFlags & IFF_UP) !== 0,
    carrier: (message.linkFlags & IFF_LOWER_UP) !== 0,
    kind: message.kind,
    mtu: message.mtu,
    master: message.master,
    vrfTable: message.vrfTable,
  };
}
