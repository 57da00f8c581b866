/**
 * An FPM server for tests: keeps what it is told in tables of its own, and notes what a client must not do. It can read
 * slowly, not at all, or go away; as SONiC's fpmsyncd it has that program's ways (research: sonic-swss, fpmsyncd/).
 */
import { createServer, type Server, type Socket } from "node:net";
import { clearTimeout, setTimeout } from "node:timers";
import { formatAddress, formatPrefix } from "../../core/model/prefix.ts";
import { Family } from "../../core/model/route.ts";
import { FPM_HEADER_LENGTH, FPM_TYPE_NETLINK, FrameReader, putFrameHeader } from "../../ffi/fpm/frame.ts";
import * as c from "../../ffi/netlink/constants.ts";
import { align4, messageLength, messageType } from "../../ffi/netlink/message.ts";
import { decodeNexthop } from "../../ffi/netlink/nexthop.ts";
import type { RouteMessage } from "../../ffi/netlink/route.ts";
import { decodeRoute } from "../../ffi/netlink/route_decode.ts";

const SONIC_FRAME_MAX = 16_384;

/** A route as the peer was told it. */
export interface PeerRoute {
  /** 0 where it has its nexthops itself. */
  nexthopId: number;
  /** `2.10.0.0.1*1 …`, sorted. */
  hops: string;
  type: number;
  protocol: number;
  mtu: number;
}

type PeerNexthop = { single: string } | { members: { id: number; weight: number }[]; resilient: boolean };

export interface FpmPeerOptions {
  sonic?: boolean;
  /** Pause after each piece that is read. */
  slowMs?: number;
}

export class FpmPeer {
  readonly routes = new Map<string, PeerRoute>();
  readonly nexthops = new Map<number, PeerNexthop>();
  /** What a client must not do. */
  readonly errors: string[] = [];
  readonly messages = { newRoute: 0, delRoute: 0, newNexthop: 0, delNexthop: 0 };
  frames = 0;
  bytes = 0;
  connections = 0;
  port = 0;
  /** Answers each NEWROUTE with itself and these flags. */
  replyFlags = 0;
  slowMs: number;
  readonly #sonic: boolean;
  #server: Server | null = null;
  #socket: Socket | null = null;
  #isPaused = false;
  #timer: ReturnType<typeof setTimeout> | null = null;

  constructor({ sonic = false, slowMs = 0 }: FpmPeerOptions = {}) {
    this.#sonic = sonic;
    this.slowMs = slowMs;
  }

  /** Listens, on the port that it had before if it had one. */
  async listen(): Promise<void> {
    const server = createServer((socket) => this.#accept(socket));
    this.#server = server;
    await new Promise<void>((resolve, reject) => {
      server.once("error", reject);
      server.listen(this.port, "127.0.0.1", resolve);
    });
    this.port = (server.address() as { port: number }).port;
  }

  static async start(options?: FpmPeerOptions): Promise<FpmPeer> {
    const peer = new FpmPeer(options);
    await peer.listen();
    return peer;
  }

  get isConnected(): boolean {
    return this.#socket !== null;
  }

  #accept(socket: Socket): void {
    this.connections += 1;
    this.#socket?.destroy();
    this.#socket = socket;
    const reader = new FrameReader();
    socket.on("data", (chunk: Uint8Array) => {
      if (this.#socket !== socket) return;
      this.bytes += chunk.length;
      reader.push(chunk);
      while (reader.next()) this.#onFrame(reader, socket);
      if (this.slowMs > 0) this.#rest(socket);
    });
    socket.on("error", () => {});
    socket.on("close", () => {
      if (this.#socket === socket) this.#socket = null;
    });
    if (this.#isPaused) socket.pause();
  }

  #rest(socket: Socket): void {
    socket.pause();
    this.#timer = setTimeout(() => this.#isPaused || socket.resume(), this.slowMs);
  }

  /** Reads no more. */
  pause(): void {
    this.#isPaused = true;
    this.#socket?.pause();
  }

  resume(): void {
    this.#isPaused = false;
    this.#socket?.resume();
  }

  sendRaw(bytes: Uint8Array): void {
    this.#socket?.write(bytes);
  }

  /** Goes without a word; its tables stay as they are. */
  async vanish(): Promise<void> {
    if (this.#timer !== null) clearTimeout(this.#timer);
    const server = this.#server;
    this.#server = null;
    this.#socket?.destroy();
    this.#socket = null;
    if (server !== null) await new Promise((resolve) => server.close(resolve));
  }

  /** Forgets everything, as a program that was started again. */
  forget(): void {
    this.routes.clear();
    this.nexthops.clear();
  }

  /** What a route leads to: its own nexthops, or those of its object. */
  leadsTo({ nexthopId, hops, type }: PeerRoute): string {
    if (type !== c.RTN_UNICAST) return `type ${type}`;
    return nexthopId === 0 ? hops : this.#expand(nexthopId);
  }

  #expand(id: number): string {
    const nexthop = this.nexthops.get(id);
    if (nexthop === undefined) return `unknown object ${id}`;
    if ("single" in nexthop) return `${nexthop.single}*1`;
    const hops = nexthop.members.map((member) => {
      const single = this.nexthops.get(member.id);
      return single !== undefined && "single" in single
        ? `${single.single}*${nexthop.members.length === 1 ? 1 : member.weight}`
        : `unknown member ${member.id}`;
    });
    return hops.sort().join(" ");
  }

  /** All routes with what they lead to. */
  table(): Map<string, string> {
    return new Map(Array.from(this.routes, ([key, route]) => [key, this.leadsTo(route)]));
  }

  #onFrame({ view, start, end, type }: FrameReader, socket: Socket): void {
    this.frames += 1;
    if (type !== FPM_TYPE_NETLINK) this.errors.push(`a frame of type ${type}`);
    const length = end - start + FPM_HEADER_LENGTH;
    if (this.#sonic && (length > SONIC_FRAME_MAX || length % 4 !== 0)) this.errors.push(`a frame of ${length} bytes`);
    for (let at = start; at < end; ) {
      const size = messageLength(view, at, end);
      if (size === 0) {
        this.errors.push("a message that does not fit its frame");
        return;
      }
      this.#onMessage(view, at, size, socket);
      at += align4(size);
    }
  }

  #onMessage(view: DataView, at: number, size: number, socket: Socket): void {
    const type = messageType(view, at);
    if (type === c.RTM_NEWROUTE || type === c.RTM_DELROUTE) {
      const route = decodeRoute(view, at, size);
      if (route === null) this.errors.push("a route message that cannot be read");
      else this.#onRoute(route);
      if (type === c.RTM_NEWROUTE && this.replyFlags !== 0) this.#reply(view, at, size, socket);
    } else if (type === c.RTM_NEWNEXTHOP || type === c.RTM_DELNEXTHOP) this.#onNexthop(view, at, size);
    else this.errors.push(`a message of type ${type}`);
  }

  #onRoute(message: RouteMessage): void {
    const { table, family, protocol, nexthopId } = message;
    const prefix = formatPrefix(family as Family, message.destination, 0, message.prefixLength);
    const source =
      message.sourceLength === 0
        ? ""
        : ` from ${formatPrefix(family as Family, message.source, 0, message.sourceLength)}`;
    const key = `${prefix} table ${table} metric ${message.metric ?? 0}${source}`;
    if (this.#sonic && table !== 0) this.errors.push(`${key}: there is no VRF of that number`);
    if (message.type === c.RTM_DELROUTE) {
      this.messages.delRoute += 1;
      this.routes.delete(key);
      return;
    }
    this.messages.newRoute += 1;
    if (protocol === c.RTPROT_KERNEL || protocol === 0) this.errors.push(`${key}: protocol ${protocol}`);
    if ((message.flags & c.NLM_F_REPLACE) === 0) this.errors.push(`${key}: does not replace`);
    if (nexthopId !== 0 && !this.nexthops.has(nexthopId)) {
      this.errors.push(`${key}: nexthop object ${nexthopId} is not known`);
      if (this.#sonic) return;
    }
    const hops = message.nexthops.map(
      ({ ifindex, viaFamily, via, weight }) =>
        `${ifindex}.${describeGateway(viaFamily, via)}*${message.nexthops.length === 1 ? 1 : weight}`,
    );
    this.routes.set(key, {
      nexthopId,
      hops: hops.sort().join(" "),
      type: message.routeType,
      protocol,
      mtu: message.mtu,
    });
  }

  #onNexthop(view: DataView, at: number, size: number): void {
    const message = decodeNexthop(view, at, size);
    if (message === null) {
      this.errors.push("a nexthop message that cannot be read");
      return;
    }
    const { id, group, oif, hasGateway, family, gateway } = message;
    if (message.type === c.RTM_DELNEXTHOP) {
      this.messages.delNexthop += 1;
      const user = this.#userOf(id);
      if (user !== null) this.errors.push(`nexthop object ${id} is deleted while ${user} is on it`);
      this.nexthops.delete(id);
      return;
    }
    this.messages.newNexthop += 1;
    if (group.length > 0) {
      for (const member of group) {
        if (!this.nexthops.has(member.id)) this.errors.push(`member ${member.id} of group ${id} is not known`);
      }
      const members = group.map(({ id: member, weight }) => ({ id: member, weight }));
      if (this.#sonic && members.some(({ weight }) => weight > 255)) this.errors.push(`a weight in group ${id}`);
      this.nexthops.set(id, { members, resilient: message.groupType === c.NEXTHOP_GRP_TYPE_RES });
      return;
    }
    const single = `${oif}.${describeGateway(hasGateway ? family : Family.NONE, gateway)}`;
    const known = this.nexthops.get(id);
    if (this.#sonic && known !== undefined) {
      // fpmsyncd keeps what it has.
      if (!("single" in known) || known.single !== single) this.errors.push(`nexthop object ${id} cannot be changed`);
      return;
    }
    this.nexthops.set(id, { single });
  }

  #userOf(id: number): string | null {
    for (const [key, { nexthopId }] of this.routes) if (nexthopId === id) return key;
    for (const [number, nexthop] of this.nexthops) {
      if ("members" in nexthop && nexthop.members.some((member) => member.id === id)) return `group ${number}`;
    }
    return null;
  }

  /** Sends the route back, as offloaded or not. */
  #reply(view: DataView, at: number, size: number, socket: Socket): void {
    const bytes = new Uint8Array(FPM_HEADER_LENGTH + size);
    const reply = new DataView(bytes.buffer);
    putFrameHeader(reply, 0, bytes.length);
    for (let index = 0; index < size; index++) bytes[FPM_HEADER_LENGTH + index] = view.getUint8(at + index);
    reply.setUint32(FPM_HEADER_LENGTH + c.NLMSG_HDRLEN + 8, this.replyFlags, true);
    socket.write(bytes);
  }
}

export function describeGateway(family: number, via: Uint8Array): string {
  return family === Family.NONE ? "-" : formatAddress(family as Family, via, 0);
}
