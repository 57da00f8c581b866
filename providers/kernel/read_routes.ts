/**
 * Reads routes out of the kernel as dplaned's own model, for taking over at the start what an earlier life of the
 * daemon has left. Blocks the thread that calls it, so it runs in the monitor thread.
 */
import { METRIC_IPV6_ZERO } from "../../core/constants.ts";
import { encodeRecord } from "../../core/context/route_record.ts";
import {
  createNexthop,
  createRouteUpdate,
  EncapType,
  Family,
  type Nexthop,
  ROUTE_TYPE_NAMES,
  RouteType,
  type RouteUpdate,
} from "../../core/model/route.ts";
import * as c from "../../ffi/netlink/constants.ts";
import { type DumpResult, type DumpSocket, dump } from "../../ffi/netlink/dump.ts";
import { endMessage, putHeader } from "../../ffi/netlink/message.ts";
import { createRouteMessage, encodeRoute, type RouteMessage, type RouteNexthop } from "../../ffi/netlink/route.ts";
import { decodeRoute } from "../../ffi/netlink/route_decode.ts";

/** Records are handed over in buffers of about this size. */
const CHUNK_BYTES = 256 << 10;
/** Longest record: key, attributes, 512 nexthops with 16 segments each. */
const RECORD_BYTES_MAX = 160 << 10;
const REQUEST_BYTES = 64;
/** As much as a dump takes at once. */
const ANSWER_BYTES = 64 << 10;
const ANSWER_TIMEOUT_MS = 1000;

/** Routes in a row, as core/context/route_record.ts writes them. */
export type RouteChunk = (records: ArrayBuffer, count: number) => void;

/** What a reading came to. */
export interface ReadResult {
  dump: DumpResult;
  routes: number;
  /** Routes that dplaned could not have written, such as ones with realms or another tunnel. */
  unreadable: number;
}

/**
 * Reads all routes of one family that bear `protocol`. Uses up sequence numbers from `sequence` on, one more than there
 * are tries. Runs again if the table changed meanwhile: then a route may be
 * handed over twice.
 */
export function readRoutes(
  socket: DumpSocket,
  witness: DumpSocket,
  family: Family,
  protocol: number,
  sequence: number,
  onChunk: RouteChunk,
): ReadResult {
  const message = createRouteMessage();
  const update = createRouteUpdate();
  const buffer = new Uint8Array(CHUNK_BYTES + RECORD_BYTES_MAX);
  const view = new DataView(buffer.buffer);
  let length = 0;
  let count = 0;
  const result = { routes: 0, unreadable: 0 };
  const handOver = (): void => {
    if (count > 0) onChunk(buffer.buffer.slice(0, length), count);
    length = 0;
    count = 0;
  };
  prime(socket, sequence);
  const answer = dump(
    socket,
    encodeRequest(family, protocol, sequence + 1),
    {
      onMessage: (bytes, offset, messageBytes) => {
        const decoded = decodeRoute(bytes, offset, messageBytes, message);
        // The kernel filters by protocol only for sockets with strict checking; so do we, for certain.
        if (decoded === null || decoded.protocol !== protocol || (decoded.routeFlags & c.RTM_F_CLONED) !== 0) return;
        if (!toUpdate(decoded, update)) {
          result.unreadable += 1;
          return;
        }
        length = encodeRecord(view, buffer, length, update);
        count += 1;
        result.routes += 1;
        if (length >= CHUNK_BYTES) handOver();
      },
      onRestart: () => {
        length = 0;
        count = 0;
        result.routes = 0;
        result.unreadable = 0;
      },
    },
    { witness },
  );
  handOver();
  return { dump: answer, ...result };
}

/**
 * Has the kernel see how much this socket takes at once. Before it has, it makes the first piece of a dump as small as a
 * page, and where the first route does not fit into that, the dump is empty and no error tells.
 */
function prime(socket: DumpSocket, sequence: number): void {
  const request = new Uint8Array(c.NLMSG_HDRLEN);
  const view = new DataView(request.buffer);
  endMessage(view, 0, putHeader(view, 0, c.NLMSG_NOOP, c.NLM_F_REQUEST | c.NLM_F_ACK, sequence, 0));
  const answer = new Uint8Array(ANSWER_BYTES);
  if (socket.send(request, request.length) === 0 && socket.poll(ANSWER_TIMEOUT_MS)) socket.receive(answer);
}

function encodeRequest(family: Family, protocol: number, sequence: number): Uint8Array {
  const message = createRouteMessage();
  message.type = c.RTM_GETROUTE;
  message.flags = c.NLM_F_REQUEST | c.NLM_F_DUMP;
  message.sequence = sequence;
  message.family = family;
  message.protocol = protocol;
  const bytes = new Uint8Array(REQUEST_BYTES);
  return bytes.subarray(0, encodeRoute(new DataView(bytes.buffer), 0, message));
}

/** Fills `update` with what the kernel says of a route; false if an update could not have said it. */
export function toUpdate(message: RouteMessage, update: RouteUpdate): boolean {
  const known = message.family === Family.IPV4 || message.family === Family.IPV6;
  if (!known || !(message.routeType in ROUTE_TYPE_NAMES)) return false;
  if (message.tos !== 0 || message.realm !== 0 || message.metrics.length > 0 || message.metricsLock !== 0) return false;
  update.family = message.family as Family;
  update.prefix.set(message.destination);
  update.prefixLength = message.prefixLength;
  update.source.set(message.source);
  update.sourceLength = message.sourceLength;
  update.table = message.table;
  update.metric = message.metric ?? (message.family === Family.IPV6 ? METRIC_IPV6_ZERO : 0);
  update.type = message.routeType as RouteUpdate["type"];
  update.mtu = message.mtu;
  update.prefsrcFamily = message.prefsrcFamily as Family;
  update.prefsrc.set(message.prefsrc);
  update.nexthops = [];
  // A blackhole of IPv6 has the loopback device in the kernel, which nobody asked for.
  if (update.type !== RouteType.UNICAST) return true;
  // Of a route by a nexthop object the kernel may tell the number only (net.ipv4.nexthop_compat_mode = 0).
  if (message.nexthops.length === 0) return false;
  for (const hop of message.nexthops) {
    const nexthop = toNexthop(hop);
    if (nexthop === null) return false;
    update.nexthops.push(nexthop);
  }
  return true;
}

function toNexthop(hop: RouteNexthop): Nexthop | null {
  if (hop.realm !== 0) return null;
  const nexthop = createNexthop();
  nexthop.ifindex = hop.ifindex;
  nexthop.viaFamily = hop.viaFamily as Family;
  nexthop.via.set(hop.via);
  nexthop.weight = hop.weight;
  nexthop.onlink = (hop.flags & c.RTNH_F_ONLINK) !== 0;
  if (hop.encap === undefined) return nexthop;
  if (hop.encap.labels.length > 0 && hop.encap.ttl === undefined) {
    nexthop.encap = EncapType.MPLS;
    nexthop.labels = hop.encap.labels;
  } else if (hop.encap.segments.length > 0) {
    nexthop.encap = EncapType.SEG6;
    nexthop.seg6Mode = hop.encap.seg6Mode;
    nexthop.segments = hop.encap.segments;
  } else {
    return null;
  }
  return nexthop;
}
