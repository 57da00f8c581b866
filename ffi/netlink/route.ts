/**
 * Routes: RTM_NEWROUTE, RTM_DELROUTE, RTM_GETROUTE of IPv4, IPv6 and MPLS (`struct rtmsg`, `enum rtattr_type_t` of
 * `include/uapi/linux/rtnetlink.h`): the message as an object, and its encoder. Its decoder is route_decode.ts. Pure; any thread.
 *
 * The exported `put…` functions are for code that writes route messages straight from its own memory.
 */
import {
  beginNest,
  type CarriedAttribute,
  endNest,
  putAttribute,
  putBytes,
  putCarried,
  putU8,
  putU32,
} from "./attribute.ts";
import {
  AF_INET,
  AF_INET6,
  AF_MPLS,
  AF_PACKET,
  RT_TABLE_UNSPEC,
  RTA_CACHEINFO,
  RTA_DST,
  RTA_ENCAP,
  RTA_ENCAP_TYPE,
  RTA_EXPIRES,
  RTA_FLOW,
  RTA_GATEWAY,
  RTA_IIF,
  RTA_METRICS,
  RTA_MULTIPATH,
  RTA_NEWDST,
  RTA_NH_ID,
  RTA_OIF,
  RTA_PREF,
  RTA_PREFSRC,
  RTA_PRIORITY,
  RTA_SRC,
  RTA_TABLE,
  RTA_TTL_PROPAGATE,
  RTA_VIA,
  RTAX_LOCK,
  RTAX_MTU,
  RTM_GETROUTE,
  RTM_NEWROUTE,
  RTMSG_LENGTH,
  RTNH_LENGTH,
} from "./constants.ts";
import { type Encap, putEncap, putLabels } from "./encap.ts";
import { align4, endMessage, type MessageHeader, putHeader } from "./message.ts";

/** Families of multicast routes (`include/uapi/linux/rtnetlink.h`: RTNL_FAMILY_IPMR, RTNL_FAMILY_IP6MR). */
const RTNL_FAMILY_IPMR = 128;
const RTNL_FAMILY_IP6MR = 129;
/** An Ethernet address, as MPLS routes have in RTA_VIA with family AF_PACKET. */
const ETH_ALEN = 6;

/** A path of a route that is written in the route itself. */
export interface RouteNexthop {
  /** 0 if absent. */
  ifindex: number;
  /** Family of `via`; AF_UNSPEC if the nexthop is only a device. */
  viaFamily: number;
  /** 16 bytes, network order; a shorter address uses the first of them. */
  via: Uint8Array;
  /** 1..256, the kernel's `rtnh_hops` + 1; meaningless if the route has one nexthop. */
  weight: number;
  /** RTNH_F_* */
  flags: number;
  /** RTA_FLOW inside RTA_MULTIPATH; 0 if absent. */
  realm: number;
  /** RTA_NEWDST: labels an MPLS route puts in place of its own; empty to pop. */
  newLabels: number[];
  encap: Encap | undefined;
  /** Other attributes inside RTA_MULTIPATH. */
  carried: CarriedAttribute[];
}

/** `struct rta_cacheinfo`, of IPv6 routes and of answers to RTM_GETROUTE. */
export interface RouteCacheInfo {
  references: number;
  lastUse: number;
  /** In clock_t, signed; 0 for never. */
  expires: number;
  /** Errno, positive or negative depending on family; 0 for a good route. */
  error: number;
  used: number;
  id: number;
  timestamp: number;
  timestampAge: number;
}

export interface RouteMessage extends MessageHeader {
  family: number;
  /** 16 bytes, network order; of an MPLS route, the first four are a label stack entry. */
  destination: Uint8Array;
  prefixLength: number;
  source: Uint8Array;
  /** 0 if the route is for all sources. */
  sourceLength: number;
  tos: number;
  /** RTA_TABLE, or the header's where that is absent. */
  table: number;
  /** RTPROT_* */
  protocol: number;
  /** RT_SCOPE_* */
  scope: number;
  /** RTN_* */
  routeType: number;
  /** RTM_F_*; also the RTNH_F_* of the header, unless the route has one inline nexthop, which has them then. */
  routeFlags: number;
  /** RTA_PRIORITY; undefined if absent: 0 and absent differ in what an IPv6 delete matches. */
  metric: number | undefined;
  /** AF_UNSPEC if absent. */
  prefsrcFamily: number;
  prefsrc: Uint8Array;
  /** RTAX_MTU; 0 if absent. */
  mtu: number;
  /** RTAX_LOCK: bit n locks metric n; 0 if absent. */
  metricsLock: number;
  /** All other RTA_METRICS. */
  metrics: CarriedAttribute[];
  /** RTA_NH_ID; 0 if absent. */
  nexthopId: number;
  nexthops: RouteNexthop[];
  /** RTA_IIF; 0 if absent. */
  inInterface: number;
  /** RTA_FLOW of the route; 0 if absent. */
  realm: number;
  /** RTA_PREF, an ICMPV6_ROUTER_PREF_* (0 medium, 1 high, 3 low); undefined if absent. */
  preference: number | undefined;
  /** RTA_EXPIRES in seconds, of requests; undefined if absent. */
  expires: number | undefined;
  cacheInfo: RouteCacheInfo | undefined;
  /** RTA_TTL_PROPAGATE; undefined if absent. */
  ttlPropagate: number | undefined;
  carried: CarriedAttribute[];
}

export function createRouteNexthop(): RouteNexthop {
  return {
    ifindex: 0,
    viaFamily: 0,
    via: new Uint8Array(16),
    weight: 1,
    flags: 0,
    realm: 0,
    newLabels: [],
    encap: undefined,
    carried: [],
  };
}

export function createRouteMessage(): RouteMessage {
  return {
    type: RTM_NEWROUTE,
    flags: 0,
    sequence: 0,
    portId: 0,
    family: 0,
    destination: new Uint8Array(16),
    prefixLength: 0,
    source: new Uint8Array(16),
    sourceLength: 0,
    tos: 0,
    table: 0,
    protocol: 0,
    scope: 0,
    routeType: 0,
    routeFlags: 0,
    metric: undefined,
    prefsrcFamily: 0,
    prefsrc: new Uint8Array(16),
    mtu: 0,
    metricsLock: 0,
    metrics: [],
    nexthopId: 0,
    nexthops: [],
    inInterface: 0,
    realm: 0,
    preference: undefined,
    expires: undefined,
    cacheInfo: undefined,
    ttlPropagate: undefined,
    carried: [],
  };
}

/** Bytes of an address of this family in a route message; 0 for a family that has none. */
export function addressLength(family: number): number {
  switch (family) {
    case AF_INET:
    case AF_MPLS:
    case RTNL_FAMILY_IPMR:
      return 4;
    case AF_INET6:
    case RTNL_FAMILY_IP6MR:
      return 16;
    case AF_PACKET:
      return ETH_ALEN;
    default:
      return 0;
  }
}

/**
 * `struct rtmsg { unsigned char rtm_family, rtm_dst_len, rtm_src_len, rtm_tos, rtm_table, rtm_protocol, rtm_scope,
 * rtm_type; unsigned rtm_flags; }`. A table above 255 is 0 here and follows as RTA_TABLE.
 */
export function putRouteHeader(
  view: DataView,
  offset: number,
  family: number,
  prefixLength: number,
  sourceLength: number,
  tos: number,
  table: number,
  protocol: number,
  scope: number,
  routeType: number,
  flags: number,
): number {
  if (offset === 0 || offset + RTMSG_LENGTH > view.byteLength) return 0;
  view.setUint8(offset, family);
  view.setUint8(offset + 1, prefixLength);
  view.setUint8(offset + 2, sourceLength);
  view.setUint8(offset + 3, tos);
  view.setUint8(offset + 4, table > 0xff ? RT_TABLE_UNSPEC : table);
  view.setUint8(offset + 5, protocol);
  view.setUint8(offset + 6, scope);
  view.setUint8(offset + 7, routeType);
  view.setUint32(offset + 8, flags, true);
  return offset + RTMSG_LENGTH;
}

/** RTA_GATEWAY, or RTA_VIA (`struct rtvia { sa_family_t rtvia_family; __u8 rtvia_addr[]; }`) if the families differ. */
export function putVia(view: DataView, offset: number, family: number, viaFamily: number, via: Uint8Array): number {
  const length = addressLength(viaFamily);
  if (family === viaFamily) return putBytes(view, offset, RTA_GATEWAY, via, length);
  const at = putAttribute(view, offset, RTA_VIA, 2 + length);
  if (at === 0) return 0;
  view.setUint16(at, viaFamily, true);
  for (let i = 0; i < length; i++) view.setUint8(at + 2 + i, via[i]!);
  return at + align4(2 + length);
}

/**
 * `struct rtnexthop { unsigned short rtnh_len; unsigned char rtnh_flags, rtnh_hops; int rtnh_ifindex; }`, inside of
 * RTA_MULTIPATH. Attributes of the nexthop follow; {@linkcode endNest} with the same start closes it, its length being
 * in the same place as an attribute's.
 */
export function beginRouteNexthop(
  view: DataView,
  offset: number,
  flags: number,
  weight: number,
  ifindex: number,
): number {
  if (offset === 0 || offset + RTNH_LENGTH > view.byteLength) return 0;
  view.setUint16(offset, RTNH_LENGTH, true);
  view.setUint8(offset + 2, flags);
  view.setUint8(offset + 3, weight - 1);
  view.setInt32(offset + 4, ifindex, true);
  return offset + RTNH_LENGTH;
}

/**
 * Writes the message at `offset`; returns its bytes, or 0 if it does not fit: into the view, or into the 64 KiB that
 * RTA_MULTIPATH can hold. One nexthop is written inline, several as RTA_MULTIPATH.
 */
export function encodeRoute(view: DataView, offset: number, message: RouteMessage): number {
  const { family, nexthops, prefsrcFamily } = message;
  const inline = nexthops.length === 1 ? nexthops[0] : undefined;
  let at = putHeader(view, offset, message.type, message.flags, message.sequence, message.portId);
  at = putRouteHeader(
    view,
    at,
    family,
    message.prefixLength,
    message.sourceLength,
    message.tos,
    message.table,
    message.protocol,
    message.scope,
    message.routeType,
    inline === undefined ? message.routeFlags : message.routeFlags | inline.flags,
  );
  const length = addressLength(family);
  // A dump request must not name a destination, not even 0/0; a route always does.
  if (length > 0 && (message.type !== RTM_GETROUTE || message.prefixLength > 0)) {
    at = putBytes(view, at, RTA_DST, message.destination, length);
  }
  if (length > 0 && message.sourceLength > 0) at = putBytes(view, at, RTA_SRC, message.source, length);
  if (message.table > 0xff) at = putU32(view, at, RTA_TABLE, message.table);
  if (message.metric !== undefined) at = putU32(view, at, RTA_PRIORITY, message.metric);
  if (prefsrcFamily !== 0) at = putBytes(view, at, RTA_PREFSRC, message.prefsrc, addressLength(prefsrcFamily));
  if (message.nexthopId !== 0) at = putU32(view, at, RTA_NH_ID, message.nexthopId);
  if (inline !== undefined) at = putNexthopAttributes(view, at, family, inline);
  if (message.realm !== 0) at = putU32(view, at, RTA_FLOW, message.realm);
  if (message.expires !== undefined) at = putU32(view, at, RTA_EXPIRES, message.expires);
  if (message.preference !== undefined) at = putU8(view, at, RTA_PREF, message.preference);
  if (message.ttlPropagate !== undefined) at = putU8(view, at, RTA_TTL_PROPAGATE, message.ttlPropagate);
  if (message.inInterface !== 0) at = putU32(view, at, RTA_IIF, message.inInterface);
  if (inline !== undefined && inline.ifindex !== 0) at = putU32(view, at, RTA_OIF, inline.ifindex);
  if (message.mtu !== 0 || message.metricsLock !== 0 || message.metrics.length > 0) at = putMetrics(view, at, message);
  if (nexthops.length > 1) at = putMultipath(view, at, family, nexthops);
  if (message.cacheInfo !== undefined) at = putCacheInfo(view, at, message.cacheInfo);
  at = putCarried(view, at, message.carried);
  return endMessage(view, offset, at);
}

/** What an inline nexthop and one of RTA_MULTIPATH have in common. */
function putNexthopAttributes(view: DataView, offset: number, family: number, nexthop: RouteNexthop): number {
  let at = offset;
  if (nexthop.newLabels.length > 0) at = putLabels(view, at, RTA_NEWDST, nexthop.newLabels);
  if (nexthop.viaFamily !== 0) at = putVia(view, at, family, nexthop.viaFamily, nexthop.via);
  if (nexthop.encap !== undefined) at = putEncap(view, at, RTA_ENCAP, RTA_ENCAP_TYPE, nexthop.encap);
  return at;
}

function putMultipath(view: DataView, offset: number, family: number, nexthops: readonly RouteNexthop[]): number {
  let at = beginNest(view, offset, RTA_MULTIPATH);
  for (const nexthop of nexthops) {
    const start = at;
    at = beginRouteNexthop(view, start, nexthop.flags, nexthop.weight, nexthop.ifindex);
    at = putNexthopAttributes(view, at, family, nexthop);
    if (nexthop.realm !== 0) at = putU32(view, at, RTA_FLOW, nexthop.realm);
    at = putCarried(view, at, nexthop.carried);
    at = endNest(view, start, at);
  }
  return endNest(view, offset, at);
}

function putMetrics(view: DataView, offset: number, message: RouteMessage): number {
  let at = beginNest(view, offset, RTA_METRICS);
  if (message.mtu !== 0) at = putU32(view, at, RTAX_MTU, message.mtu);
  at = putCarried(view, at, message.metrics);
  if (message.metricsLock !== 0) at = putU32(view, at, RTAX_LOCK, message.metricsLock);
  return endNest(view, offset, at);
}

function putCacheInfo(view: DataView, offset: number, info: RouteCacheInfo): number {
  const at = putAttribute(view, offset, RTA_CACHEINFO, 32);
  if (at === 0) return 0;
  view.setUint32(at, info.references, true);
  view.setUint32(at + 4, info.lastUse, true);
  view.setInt32(at + 8, info.expires, true);
  view.setInt32(at + 12, info.error, true);
  view.setUint32(at + 16, info.used, true);
  view.setUint32(at + 20, info.id, true);
  view.setUint32(at + 24, info.timestamp, true);
  view.setUint32(at + 28, info.timestampAge, true);
  return at + 32;
}
