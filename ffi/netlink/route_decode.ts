/**
 * Decoder of route messages; the message and its encoder are in route.ts. It reads what the kernel dumps and announces
 * and what FPM peers send, so it takes hostile bytes: it checks every length, never throws, and its depth is fixed
 * (message, multipath, nexthop, tunnel). Given an object to fill, it allocates nothing for an ordinary route. Any thread.
 */
import { attributeLength, attributeType, readAddress, readCarried } from "./attribute.ts";
import {
  AF_INET,
  AF_INET6,
  AF_MPLS,
  MPLS_LABEL_BITS,
  NLA_HDRLEN,
  NLA_TYPE_MASK,
  NLMSG_HDRLEN,
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
  RTNH_F_MASK,
  RTNH_LENGTH,
} from "./constants.ts";
import { readEncap, readLabels } from "./encap.ts";
import { align4, messageLength, readHeader } from "./message.ts";
import {
  addressLength,
  createRouteMessage,
  createRouteNexthop,
  type RouteCacheInfo,
  type RouteMessage,
  type RouteNexthop,
} from "./route.ts";

/**
 * Nexthops that shrinking messages gave back and growing ones take, so that a dump in which routes with one and with
 * several paths alternate does not allocate for each.
 */
const spareNexthops: RouteNexthop[] = [];
const SPARE_NEXTHOPS_MAX = 1024;

/**
 * Reads the message at `offset`, of which `length` bytes are there. Null if it is malformed or of another kind.
 * `into` is overwritten (also then), and with it everything it refers to.
 */
export function decodeRoute(
  view: DataView,
  offset: number,
  length: number,
  into: RouteMessage = createRouteMessage(),
): RouteMessage | null {
  const size = messageLength(view, offset, offset + length);
  if (size < NLMSG_HDRLEN + RTMSG_LENGTH) return null;
  readHeader(view, offset, into);
  if (into.type < RTM_NEWROUTE || into.type > RTM_GETROUTE) return null;
  reset(into);
  const fixed = offset + NLMSG_HDRLEN;
  into.family = view.getUint8(fixed);
  into.prefixLength = view.getUint8(fixed + 1);
  into.sourceLength = view.getUint8(fixed + 2);
  into.tos = view.getUint8(fixed + 3);
  into.table = view.getUint8(fixed + 4);
  into.protocol = view.getUint8(fixed + 5);
  into.scope = view.getUint8(fixed + 6);
  into.routeType = view.getUint8(fixed + 7);
  const flags = view.getUint32(fixed + 8, true);
  const prefixMax = prefixLengthMax(into.family);
  if (into.prefixLength > prefixMax || into.sourceLength > prefixMax) return null;
  const end = offset + size;
  if (!readAttributes(view, fixed + RTMSG_LENGTH, end, into)) return null;
  const single = into.nexthops.length === 1 ? into.nexthops[0] : undefined;
  if (single === undefined) {
    into.routeFlags = flags;
  } else {
    single.flags |= flags & RTNH_F_MASK;
    into.routeFlags = (flags & ~RTNH_F_MASK) >>> 0;
  }
  return into;
}

function prefixLengthMax(family: number): number {
  if (family === AF_MPLS) return MPLS_LABEL_BITS;
  const length = addressLength(family);
  // Of a family that we do not know, no address is read; its lengths say nothing to us.
  return length === 0 ? 0xff : length * 8;
}

function reset(into: RouteMessage): void {
  // A call to fill a few bytes takes longer than what it does.
  clearAddress(into.destination);
  clearAddress(into.source);
  into.metric = undefined;
  if (into.prefsrcFamily !== 0) clearAddress(into.prefsrc);
  into.prefsrcFamily = 0;
  into.mtu = 0;
  into.metricsLock = 0;
  into.metrics.length = 0;
  into.nexthopId = 0;
  resizeNexthops(into.nexthops, 0);
  into.inInterface = 0;
  into.realm = 0;
  into.preference = undefined;
  into.expires = undefined;
  into.cacheInfo = undefined;
  into.ttlPropagate = undefined;
  into.carried.length = 0;
}

function clearAddress(address: Uint8Array): void {
  for (let at = 0; at < 16; at++) address[at] = 0;
}

function resizeNexthops(nexthops: RouteNexthop[], count: number): void {
  while (nexthops.length > count) {
    const nexthop = nexthops.pop()!;
    if (spareNexthops.length < SPARE_NEXTHOPS_MAX) spareNexthops.push(nexthop);
  }
}

function addNexthop(nexthops: RouteNexthop[]): RouteNexthop {
  const nexthop = spareNexthops.pop() ?? createRouteNexthop();
  nexthop.ifindex = 0;
  nexthop.viaFamily = 0;
  clearAddress(nexthop.via);
  nexthop.weight = 1;
  nexthop.flags = 0;
  nexthop.realm = 0;
  nexthop.newLabels.length = 0;
  nexthop.encap = undefined;
  nexthop.carried.length = 0;
  nexthops.push(nexthop);
  return nexthop;
}

function readAttributes(view: DataView, offset: number, end: number, into: RouteMessage): boolean {
  let inlineAt = 0;
  let multipathAt = 0;
  let nla = 0;
  for (let at = offset; end - at >= NLA_HDRLEN; at += align4(nla)) {
    nla = attributeLength(view, at, end);
    if (nla === 0) return false;
    const type = attributeType(view, at) & NLA_TYPE_MASK;
    if (type === RTA_MULTIPATH) multipathAt = at;
    else if (isNexthopAttribute(type)) inlineAt = at;
    else if (!readRouteAttribute(view, at, nla, into)) return false;
  }
  // RTA_MULTIPATH makes the kernel ignore an inline nexthop.
  if (multipathAt !== 0) return readMultipath(view, multipathAt, into);
  if (inlineAt === 0) return true;
  return readNexthopAttributes(view, offset, end, into.family, addNexthop(into.nexthops), true);
}

/** Attributes that describe a nexthop, whether they are the route's own or inside of RTA_MULTIPATH. */
function isNexthopAttribute(type: number): boolean {
  return (
    type === RTA_OIF ||
    type === RTA_GATEWAY ||
    type === RTA_VIA ||
    type === RTA_ENCAP ||
    type === RTA_ENCAP_TYPE ||
    type === RTA_NEWDST
  );
}

/** True if it was read or carried; false if its length is wrong. */
function readRouteAttribute(view: DataView, at: number, nla: number, into: RouteMessage): boolean {
  const payload = at + NLA_HDRLEN;
  const length = nla - NLA_HDRLEN;
  const type = attributeType(view, at) & NLA_TYPE_MASK;
  switch (type) {
    case RTA_DST:
    case RTA_SRC:
      // Of a family that we do not know, addresses are bytes.
      if (addressLength(into.family) === 0) into.carried.push(readCarried(view, at, nla));
      else
        return readFamilyAddress(view, payload, length, into.family, type === RTA_DST ? into.destination : into.source);
      return true;
    case RTA_PREFSRC:
      if (length !== 4 && length !== 16) return false;
      into.prefsrcFamily = length === 4 ? AF_INET : AF_INET6;
      readAddress(view, payload, length, into.prefsrc);
      return true;
    case RTA_METRICS:
      return readMetrics(view, payload, at + nla, into);
    case RTA_CACHEINFO:
      if (length < 32) return false;
      into.cacheInfo = readCacheInfo(view, payload);
      return true;
    case RTA_PREF:
      if (length !== 1) return false;
      into.preference = view.getUint8(payload);
      return true;
    case RTA_TTL_PROPAGATE:
      if (length !== 1) return false;
      into.ttlPropagate = view.getUint8(payload);
      return true;
    case RTA_TABLE:
    case RTA_PRIORITY:
    case RTA_NH_ID:
    case RTA_IIF:
    case RTA_FLOW:
    case RTA_EXPIRES:
      if (length !== 4) return false;
      setNumber(into, type, view.getUint32(payload, true));
      return true;
    default:
      into.carried.push(readCarried(view, at, nla));
      return true;
  }
}

function setNumber(into: RouteMessage, type: number, value: number): void {
  if (type === RTA_TABLE) into.table = value;
  else if (type === RTA_PRIORITY) into.metric = value;
  else if (type === RTA_NH_ID) into.nexthopId = value;
  else if (type === RTA_IIF) into.inInterface = value;
  else if (type === RTA_FLOW) into.realm = value;
  else into.expires = value;
}

function readFamilyAddress(view: DataView, at: number, length: number, family: number, into: Uint8Array): boolean {
  if (length === 0 || length !== addressLength(family)) return false;
  readAddress(view, at, length, into);
  return true;
}

function readMetrics(view: DataView, offset: number, end: number, into: RouteMessage): boolean {
  let nla = 0;
  for (let at = offset; end - at >= NLA_HDRLEN; at += align4(nla)) {
    nla = attributeLength(view, at, end);
    if (nla === 0) return false;
    const type = attributeType(view, at) & NLA_TYPE_MASK;
    if (type !== RTAX_MTU && type !== RTAX_LOCK) {
      into.metrics.push(readCarried(view, at, nla));
      continue;
    }
    if (nla !== NLA_HDRLEN + 4) return false;
    const value = view.getUint32(at + NLA_HDRLEN, true);
    if (type === RTAX_MTU) into.mtu = value;
    else into.metricsLock = value;
  }
  return true;
}

function readCacheInfo(view: DataView, at: number): RouteCacheInfo {
  return {
    references: view.getUint32(at, true),
    lastUse: view.getUint32(at + 4, true),
    expires: view.getInt32(at + 8, true),
    error: view.getInt32(at + 12, true),
    used: view.getUint32(at + 16, true),
    id: view.getUint32(at + 20, true),
    timestamp: view.getUint32(at + 24, true),
    timestampAge: view.getUint32(at + 28, true),
  };
}

function readMultipath(view: DataView, multipathAt: number, into: RouteMessage): boolean {
  const end = multipathAt + view.getUint16(multipathAt, true);
  let length = 0;
  for (let at = multipathAt + NLA_HDRLEN; end - at >= RTNH_LENGTH; at += align4(length)) {
    length = view.getUint16(at, true);
    if (length < RTNH_LENGTH || length > end - at) return false;
    const nexthop = addNexthop(into.nexthops);
    nexthop.flags = view.getUint8(at + 2);
    nexthop.weight = view.getUint8(at + 3) + 1;
    nexthop.ifindex = view.getInt32(at + 4, true);
    if (!readNexthopAttributes(view, at + RTNH_LENGTH, at + length, into.family, nexthop, false)) return false;
  }
  return true;
}

/** The nexthop attributes among those between `offset` and `end`; RTA_OIF and RTA_FLOW depend on where we are. */
function readNexthopAttributes(
  view: DataView,
  offset: number,
  end: number,
  family: number,
  nexthop: RouteNexthop,
  inline: boolean,
): boolean {
  let encapAt = 0;
  let encapType = 0;
  let nla = 0;
  for (let at = offset; end - at >= NLA_HDRLEN; at += align4(nla)) {
    nla = attributeLength(view, at, end);
    if (nla === 0) return false;
    const payload = at + NLA_HDRLEN;
    const length = nla - NLA_HDRLEN;
    switch (attributeType(view, at) & NLA_TYPE_MASK) {
      case RTA_GATEWAY:
        if (!readFamilyAddress(view, payload, length, family, nexthop.via)) return false;
        nexthop.viaFamily = family;
        break;
      case RTA_VIA:
        if (!readVia(view, payload, length, nexthop)) return false;
        break;
      case RTA_OIF:
        if (length !== 4) return false;
        if (inline) nexthop.ifindex = view.getInt32(payload, true);
        break;
      case RTA_FLOW:
        if (length !== 4) return false;
        if (!inline) nexthop.realm = view.getUint32(payload, true);
        break;
      case RTA_NEWDST: {
        const labels = readLabels(view, payload, length);
        if (labels === null) return false;
        nexthop.newLabels = labels;
        break;
      }
      case RTA_ENCAP_TYPE:
        if (length !== 2) return false;
        encapType = view.getUint16(payload, true);
        break;
      case RTA_ENCAP:
        encapAt = at;
        break;
      default:
        if (!inline) nexthop.carried.push(readCarried(view, at, nla));
    }
  }
  if (encapAt !== 0) {
    const length = view.getUint16(encapAt, true) - NLA_HDRLEN;
    nexthop.encap = readEncap(view, encapAt + NLA_HDRLEN, length, encapType);
  }
  return true;
}

function readVia(view: DataView, at: number, length: number, nexthop: RouteNexthop): boolean {
  if (length < 2) return false;
  const family = view.getUint16(at, true);
  if (!readFamilyAddress(view, at + 2, length - 2, family, nexthop.via)) return false;
  nexthop.viaFamily = family;
  return true;
}
