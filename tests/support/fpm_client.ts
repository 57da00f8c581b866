/** What FRR is to the FPM server, as far as a test needs it: frames of netlink messages over TCP, and what comes back. */
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { packedFamily, packedLength, parseAddress, parsePrefix } from "../../core/model/prefix.ts";
import type { Family } from "../../core/model/route.ts";
import { FPM_HEADER_LENGTH, FrameReader, putFrameHeader } from "../../ffi/fpm/frame.ts";
import * as c from "../../ffi/netlink/constants.ts";
import { align4 } from "../../ffi/netlink/message.ts";
import { createNexthopMessage, encodeNexthop } from "../../ffi/netlink/nexthop.ts";
import { createRouteMessage, createRouteNexthop, encodeRoute, type RouteMessage } from "../../ffi/netlink/route.ts";
import { decodeRoute } from "../../ffi/netlink/route_decode.ts";
import { until } from "./wait.ts";

/** RTPROT_BGP, as FRR marks its routes. */
const RTPROT_BGP = 186;

export interface FpmRoute {
  prefix: string;
  /** Gateways, over interface 2. */
  via?: readonly string[];
  nexthopId?: number;
  table?: number;
  protocol?: number;
  type?: number;
  ifindex?: number;
  metric?: number;
  /** Of the gateways. */
  weights?: readonly number[];
}

export class FpmClient {
  readonly #socket: Socket;
  readonly #portId: number;
  /** Answers, such as `10.0.0.0/8 OFFLOAD`. */
  readonly replies: RouteMessage[] = [];
  closed = false;

  constructor(socket: Socket, portId: number) {
    this.#socket = socket;
    this.#portId = portId;
    const reader = new FrameReader();
    socket.on("error", () => {});
    socket.on("close", () => {
      this.closed = true;
    });
    socket.on("data", (chunk: Uint8Array) => {
      reader.push(chunk);
      while (reader.next()) {
        const message = decodeRoute(reader.view, reader.start, reader.end - reader.start);
        if (message !== null) this.replies.push(message);
      }
    });
  }

  /** `portId`: the sender's netlink port, by which a restarted one is told. */
  static async connect(port: number, portId = 4711): Promise<FpmClient> {
    const socket = connect(port, "127.0.0.1");
    await once(socket, "connect");
    return new FpmClient(socket, portId);
  }

  /** Sends messages in one frame. */
  frame(...messages: readonly Uint8Array[]): void {
    this.bytes(frameOf(...messages));
  }

  bytes(bytes: Uint8Array): void {
    this.#socket.write(bytes);
  }

  /** Sends bytes, and waits while the server does not take them. False if the connection is over. */
  async write(bytes: Uint8Array): Promise<boolean> {
    if (!this.closed && !this.#socket.write(bytes)) {
      await until("the server reads", () => this.closed || !this.#socket.writableNeedDrain);
    }
    return !this.closed;
  }

  /** Ends the connection after what was sent. */
  async end(): Promise<void> {
    this.#socket.end();
    await until("the connection is closed", () => this.closed);
  }

  add(route: FpmRoute): Uint8Array {
    return encode(route, c.RTM_NEWROUTE, this.#portId);
  }

  delete(route: FpmRoute): Uint8Array {
    // As FRR does: the destination and its metric, no type, no protocol's nexthops.
    return encode(
      { prefix: route.prefix, ...(route.table === undefined ? {} : { table: route.table }) },
      c.RTM_DELROUTE,
      this.#portId,
    );
  }

  nexthop(id: number, via: string, ifindex = 2): Uint8Array {
    const message = { ...createNexthopMessage(), id, oif: ifindex, protocol: c.RTPROT_ZEBRA, portId: this.#portId };
    message.family = parseAddress(via, 0, via.length, message.gateway, 0);
    message.hasGateway = true;
    return encodeNexthopMessage(message);
  }

  blackhole(id: number): Uint8Array {
    const message = { ...createNexthopMessage(), id, blackhole: true, family: c.AF_INET, portId: this.#portId };
    return encodeNexthopMessage(message);
  }

  group(id: number, members: readonly number[]): Uint8Array {
    const group = members.map((member) => ({ id: member, weight: 1 }));
    return encodeNexthopMessage({ ...createNexthopMessage(), id, group, portId: this.#portId });
  }

  deleteNexthop(id: number): Uint8Array {
    return encodeNexthopMessage({ ...createNexthopMessage(), type: c.RTM_DELNEXTHOP, id, portId: this.#portId });
  }
}

/** A frame around messages. */
export function frameOf(...messages: readonly Uint8Array[]): Uint8Array {
  const length = messages.reduce((sum, message) => sum + align4(message.length), FPM_HEADER_LENGTH);
  const bytes = new Uint8Array(length);
  putFrameHeader(new DataView(bytes.buffer), 0, length);
  let at = FPM_HEADER_LENGTH;
  for (const message of messages) {
    bytes.set(message, at);
    at += align4(message.length);
  }
  return bytes;
}

function encodeNexthopMessage(message: ReturnType<typeof createNexthopMessage>): Uint8Array {
  const view = new DataView(new ArrayBuffer(8192));
  message.flags = c.NLM_F_REQUEST | c.NLM_F_CREATE | c.NLM_F_REPLACE;
  return new Uint8Array(view.buffer.slice(0, encodeNexthop(view, 0, message)));
}

function encode(route: FpmRoute, type: number, portId: number): Uint8Array {
  const { prefix, via = [], nexthopId = 0, table = 254, protocol = RTPROT_BGP, ifindex = 2, metric = 20 } = route;
  const message = createRouteMessage();
  const packed = parsePrefix(prefix, message.destination, 0, true);
  const isDelete = type === c.RTM_DELROUTE;
  Object.assign(message, {
    type,
    flags: c.NLM_F_REQUEST | c.NLM_F_CREATE | c.NLM_F_REPLACE,
    portId,
    family: packedFamily(packed),
    prefixLength: packedLength(packed),
    table,
    protocol,
    metric,
    nexthopId,
    routeType: isDelete ? 0 : (route.type ?? c.RTN_UNICAST),
  });
  for (const [index, gateway] of via.entries()) {
    const nexthop = createRouteNexthop();
    nexthop.weight = route.weights?.[index] ?? 1;
    nexthop.ifindex = ifindex;
    nexthop.viaFamily = parseAddress(gateway, 0, gateway.length, nexthop.via, 0) as Family;
    message.nexthops.push(nexthop);
  }
  const view = new DataView(new ArrayBuffer(8192));
  return new Uint8Array(view.buffer.slice(0, encodeRoute(view, 0, message)));
}
