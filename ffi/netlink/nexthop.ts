/**
 * Nexthop objects: RTM_NEWNEXTHOP, RTM_DELNEXTHOP, RTM_GETNEXTHOP (`include/uapi/linux/nexthop.h`): single nexthops,
 * groups, resilient groups. Pure; any thread.
 */
import {
  attributeLength,
  attributeType,
  beginNest,
  type CarriedAttribute,
  endNest,
  putAttribute,
  putBytes,
  putCarried,
  putFlag,
  putU16,
  putU32,
  readAddress,
  readCarried,
} from "./attribute.ts";
import {
  AF_INET,
  AF_INET6,
  NEXTHOP_GRP_LENGTH,
  NEXTHOP_GRP_TYPE_MPATH,
  NHA_BLACKHOLE,
  NHA_ENCAP,
  NHA_ENCAP_TYPE,
  NHA_FDB,
  NHA_GATEWAY,
  NHA_GROUP,
  NHA_GROUP_TYPE,
  NHA_ID,
  NHA_OIF,
  NHA_OP_FLAG_RESP_GRP_RESVD_0,
  NHA_OP_FLAGS,
  NHA_RES_GROUP,
  NHA_RES_GROUP_BUCKETS,
  NHA_RES_GROUP_IDLE_TIMER,
  NHA_RES_GROUP_UNBALANCED_TIME,
  NHA_RES_GROUP_UNBALANCED_TIMER,
  NHMSG_LENGTH,
  NLA_F_NESTED,
  NLA_HDRLEN,
  NLA_TYPE_MASK,
  NLMSG_HDRLEN,
  RTM_DELNEXTHOP,
  RTM_GETNEXTHOP,
  RTM_NEWNEXTHOP,
} from "./constants.ts";
import { type Encap, putEncap, readEncap } from "./encap.ts";
import { align4, endMessage, type MessageHeader, messageLength, putHeader, readHeader } from "./message.ts";

export interface NexthopGroupMember {
  id: number;
  /**
   * 1..65536; the kernel stores weight - 1. Weights above 256 need kernel 6.12. Older ones may leave garbage in the
   * upper byte of what they tell, so it counts only where NHA_OP_FLAGS, or the caller of the decoder, vouches for it.
   */
  weight: number;
}

/** Timers are in clock_t: CLOCK_T_PER_SECOND of them make a second. Undefined if absent. */
export interface ResilientGroup {
  buckets: number | undefined;
  idleTimer: number | undefined;
  unbalancedTimer: number | undefined;
  /** How long the group has been unbalanced; the kernel's to say. */
  unbalancedTime: number | undefined;
}

export interface NexthopMessage extends MessageHeader {
  /** Of the gateway; AF_UNSPEC for a group. */
  family: number;
  /** RT_SCOPE_*, the kernel's to say. */
  scope: number;
  /** RTPROT_* */
  protocol: number;
  /** RTNH_F_* */
  nexthopFlags: number;
  /** 0 lets the kernel choose. */
  id: number;
  /** Interface number; 0 if absent. */
  oif: number;
  hasGateway: boolean;
  /** 16 bytes, network order; IPv4 uses the first four. */
  gateway: Uint8Array;
  blackhole: boolean;
  /** Nexthop of a bridge's forwarding table, not of routes. */
  fdb: boolean;
  encap: Encap | undefined;
  /** Empty if this is a single nexthop. */
  group: NexthopGroupMember[];
  /** NEXTHOP_GRP_TYPE_* */
  groupType: number;
  resilient: ResilientGroup | undefined;
  /** NHA_OP_FLAG_*; 0 if absent. */
  opFlags: number;
  carried: CarriedAttribute[];
}

export function createNexthopMessage(): NexthopMessage {
  return {
    type: RTM_NEWNEXTHOP,
    flags: 0,
    sequence: 0,
    portId: 0,
    family: 0,
    scope: 0,
    protocol: 0,
    nexthopFlags: 0,
    id: 0,
    oif: 0,
    hasGateway: false,
    gateway: new Uint8Array(16),
    blackhole: false,
    fdb: false,
    encap: undefined,
    group: [],
    groupType: NEXTHOP_GRP_TYPE_MPATH,
    resilient: undefined,
    opFlags: 0,
    carried: [],
  };
}

/**
 * `struct nhmsg { unsigned char nh_family, nh_scope, nh_protocol, resvd; unsigned int nh_flags; }`. The kernel refuses
 * a scope in every request, and a DELNEXTHOP or GETNEXTHOP of one object with anything but a family in it.
 */
export function putNexthopHeader(
  view: DataView,
  offset: number,
  family: number,
  scope: number,
  protocol: number,
  nexthopFlags: number,
): number {
  if (offset === 0 || offset + NHMSG_LENGTH > view.byteLength) return 0;
  view.setUint8(offset, family);
  view.setUint8(offset + 1, scope);
  view.setUint8(offset + 2, protocol);
  view.setUint8(offset + 3, 0);
  view.setUint32(offset + 4, nexthopFlags, true);
  return offset + NHMSG_LENGTH;
}

/** `struct nexthop_grp { __u32 id; __u8 weight; __u8 weight_high; __u16 resvd2; }`, inside of NHA_GROUP. */
export function putGroupMember(view: DataView, offset: number, id: number, weight: number): number {
  if (offset === 0 || offset + NEXTHOP_GRP_LENGTH > view.byteLength) return 0;
  view.setUint32(offset, id, true);
  view.setUint16(offset + 4, weight - 1, true);
  view.setUint16(offset + 6, 0, true);
  return offset + NEXTHOP_GRP_LENGTH;
}

/**
 * Writes the message at `offset`; returns its bytes, or 0 if it does not fit. A DELNEXTHOP says no more than the id,
 * because the kernel refuses more.
 */
export function encodeNexthop(view: DataView, offset: number, message: NexthopMessage): number {
  const { type, family } = message;
  let at = putHeader(view, offset, type, message.flags, message.sequence, message.portId);
  if (type === RTM_NEWNEXTHOP) {
    at = putNexthopHeader(view, at, family, message.scope, message.protocol, message.nexthopFlags);
  } else {
    at = putNexthopHeader(view, at, family, 0, 0, 0);
  }
  if (message.id !== 0) at = putU32(view, at, NHA_ID, message.id);
  if (type === RTM_DELNEXTHOP) return endMessage(view, offset, at);
  if (message.group.length > 0) at = putGroup(view, at, message);
  if (message.blackhole) at = putFlag(view, at, NHA_BLACKHOLE);
  if (message.hasGateway) at = putBytes(view, at, NHA_GATEWAY, message.gateway, family === AF_INET ? 4 : 16);
  if (message.fdb) at = putFlag(view, at, NHA_FDB);
  if (message.encap !== undefined) at = putEncap(view, at, NHA_ENCAP, NHA_ENCAP_TYPE, message.encap);
  if (message.oif !== 0) at = putU32(view, at, NHA_OIF, message.oif);
  if (message.opFlags !== 0) at = putU32(view, at, NHA_OP_FLAGS, message.opFlags);
  at = putCarried(view, at, message.carried);
  return endMessage(view, offset, at);
}

function putGroup(view: DataView, offset: number, message: NexthopMessage): number {
  let at = putAttribute(view, offset, NHA_GROUP, message.group.length * NEXTHOP_GRP_LENGTH);
  for (const { id, weight } of message.group) at = putGroupMember(view, at, id, weight);
  if (message.resilient !== undefined) at = putResilient(view, at, message.resilient);
  if (message.groupType !== NEXTHOP_GRP_TYPE_MPATH) at = putU16(view, at, NHA_GROUP_TYPE, message.groupType);
  return at;
}

function putResilient(view: DataView, offset: number, resilient: ResilientGroup): number {
  const { buckets, idleTimer, unbalancedTimer, unbalancedTime } = resilient;
  let at = beginNest(view, offset, NHA_RES_GROUP | NLA_F_NESTED);
  if (buckets !== undefined) at = putU16(view, at, NHA_RES_GROUP_BUCKETS, buckets);
  if (idleTimer !== undefined) at = putU32(view, at, NHA_RES_GROUP_IDLE_TIMER, idleTimer);
  if (unbalancedTimer !== undefined) at = putU32(view, at, NHA_RES_GROUP_UNBALANCED_TIMER, unbalancedTimer);
  if (unbalancedTime !== undefined) at = putU64(view, at, NHA_RES_GROUP_UNBALANCED_TIME, unbalancedTime);
  return endNest(view, offset, at);
}

function putU64(view: DataView, offset: number, type: number, value: number): number {
  const at = putAttribute(view, offset, type, 8);
  if (at === 0) return 0;
  view.setUint32(at, value % 0x1_0000_0000, true);
  view.setUint32(at + 4, value / 0x1_0000_0000, true);
  return at + 8;
}

function reset(into: NexthopMessage): void {
  into.id = 0;
  into.oif = 0;
  into.hasGateway = false;
  into.gateway.fill(0);
  into.blackhole = false;
  into.fdb = false;
  into.encap = undefined;
  into.group.length = 0;
  into.groupType = NEXTHOP_GRP_TYPE_MPATH;
  into.resilient = undefined;
  into.opFlags = 0;
  into.carried.length = 0;
}

/** Attributes that can be read only when all the others are known. Offsets, 0 for absent. */
interface Deferred {
  groupAt: number;
  encapAt: number;
  encapType: number;
}

/**
 * Reads the message at `offset`, of which `length` bytes are there. Null if it is malformed or of another kind; `into`
 * (overwritten, also then) saves the allocation. `wideWeights` says that the sender is known to mean the upper byte of
 * weights: FRR, say. (NLM_F_REQUEST does not tell: kernel notifications repeat the flags of the request behind them.)
 */
export function decodeNexthop(
  view: DataView,
  offset: number,
  length: number,
  into: NexthopMessage = createNexthopMessage(),
  wideWeights = false,
): NexthopMessage | null {
  const size = messageLength(view, offset, offset + length);
  if (size < NLMSG_HDRLEN + NHMSG_LENGTH) return null;
  readHeader(view, offset, into);
  if (into.type < RTM_NEWNEXTHOP || into.type > RTM_GETNEXTHOP) return null;
  reset(into);
  const fixed = offset + NLMSG_HDRLEN;
  into.family = view.getUint8(fixed);
  into.scope = view.getUint8(fixed + 1);
  into.protocol = view.getUint8(fixed + 2);
  into.nexthopFlags = view.getUint32(fixed + 4, true);
  const end = offset + size;
  const deferred: Deferred = { groupAt: 0, encapAt: 0, encapType: 0 };
  let nla = 0;
  for (let at = fixed + NHMSG_LENGTH; end - at >= NLA_HDRLEN; at += align4(nla)) {
    nla = attributeLength(view, at, end);
    if (nla === 0 || !readAttribute(view, at, nla, into, deferred)) return null;
  }
  if (deferred.groupAt !== 0 && !readGroup(view, deferred.groupAt, into, wideWeights)) return null;
  if (deferred.encapAt !== 0) {
    const encapLength = attributeLength(view, deferred.encapAt, end) - NLA_HDRLEN;
    into.encap = readEncap(view, deferred.encapAt + NLA_HDRLEN, encapLength, deferred.encapType);
  }
  return into;
}

function readAttribute(view: DataView, at: number, nla: number, into: NexthopMessage, deferred: Deferred): boolean {
  const payload = at + NLA_HDRLEN;
  const length = nla - NLA_HDRLEN;
  switch (attributeType(view, at) & NLA_TYPE_MASK) {
    case NHA_ID:
      if (length !== 4) return false;
      into.id = view.getUint32(payload, true);
      return true;
    case NHA_OIF:
      if (length !== 4) return false;
      into.oif = view.getUint32(payload, true);
      return true;
    case NHA_OP_FLAGS:
      if (length !== 4) return false;
      into.opFlags = view.getUint32(payload, true);
      return true;
    case NHA_GATEWAY:
      if (length !== (into.family === AF_INET ? 4 : into.family === AF_INET6 ? 16 : -1)) return false;
      readAddress(view, payload, length, into.gateway);
      into.hasGateway = true;
      return true;
    case NHA_GROUP_TYPE:
      if (length !== 2) return false;
      into.groupType = view.getUint16(payload, true);
      return true;
    case NHA_ENCAP_TYPE:
      if (length !== 2) return false;
      deferred.encapType = view.getUint16(payload, true);
      return true;
    case NHA_RES_GROUP:
      into.resilient = readResilient(view, payload, at + nla);
      return into.resilient !== undefined;
    case NHA_BLACKHOLE:
      into.blackhole = true;
      return true;
    case NHA_FDB:
      into.fdb = true;
      return true;
    case NHA_GROUP:
      deferred.groupAt = at;
      return true;
    case NHA_ENCAP:
      deferred.encapAt = at;
      return true;
    default:
      into.carried.push(readCarried(view, at, nla));
      return true;
  }
}

function readGroup(view: DataView, groupAt: number, into: NexthopMessage, wideWeights: boolean): boolean {
  const length = view.getUint16(groupAt, true) - NLA_HDRLEN;
  if (length % NEXTHOP_GRP_LENGTH !== 0) return false;
  const wide = wideWeights || (into.opFlags & NHA_OP_FLAG_RESP_GRP_RESVD_0) !== 0;
  const first = groupAt + NLA_HDRLEN;
  for (let at = first; at < first + length; at += NEXTHOP_GRP_LENGTH) {
    const stored = wide ? view.getUint16(at + 4, true) : view.getUint8(at + 4);
    into.group.push({ id: view.getUint32(at, true), weight: stored + 1 });
  }
  return true;
}

function readResilient(view: DataView, offset: number, end: number): ResilientGroup | undefined {
  const resilient: ResilientGroup = {
    buckets: undefined,
    idleTimer: undefined,
    unbalancedTimer: undefined,
    unbalancedTime: undefined,
  };
  let nla = 0;
  for (let at = offset; end - at >= NLA_HDRLEN; at += align4(nla)) {
    nla = attributeLength(view, at, end);
    if (nla === 0) return undefined;
    const payload = at + NLA_HDRLEN;
    const length = nla - NLA_HDRLEN;
    switch (attributeType(view, at) & NLA_TYPE_MASK) {
      case NHA_RES_GROUP_BUCKETS:
        if (length !== 2) return undefined;
        resilient.buckets = view.getUint16(payload, true);
        break;
      case NHA_RES_GROUP_IDLE_TIMER:
        if (length !== 4) return undefined;
        resilient.idleTimer = view.getUint32(payload, true);
        break;
      case NHA_RES_GROUP_UNBALANCED_TIMER:
        if (length !== 4) return undefined;
        resilient.unbalancedTimer = view.getUint32(payload, true);
        break;
      case NHA_RES_GROUP_UNBALANCED_TIME:
        if (length !== 8) return undefined;
        // Exact up to 2^53 hundredths of a second.
        resilient.unbalancedTime = view.getUint32(payload, true) + view.getUint32(payload + 4, true) * 0x1_0000_0000;
        break;
    }
  }
  return resilient;
}
