/**
 * Interfaces: RTM_NEWLINK, RTM_DELLINK, RTM_GETLINK, RTM_SETLINK and the alternative names of RTM_*LINKPROP
 * (`struct ifinfomsg` of `include/uapi/linux/rtnetlink.h`, `include/uapi/linux/if_link.h`). Pure; any thread.
 *
 * Group RTNLGRP_LINK also carries messages of family AF_BRIDGE, which tell of a port's bridge settings and come as
 * DELLINK when it leaves the bridge: only family AF_UNSPEC speaks of the interface's existence.
 */
import {
  attributeLength,
  attributeType,
  beginNest,
  type CarriedAttribute,
  endNest,
  putBytes,
  putCarried,
  putString,
  putText,
  putU8,
  putU32,
  readBytes,
  readCarried,
  readString,
} from "./attribute.ts";
import {
  IFINFOMSG_LENGTH,
  IFLA_ADDRESS,
  IFLA_ALT_IFNAME,
  IFLA_CARRIER,
  IFLA_IFNAME,
  IFLA_INFO_DATA,
  IFLA_INFO_KIND,
  IFLA_INFO_SLAVE_DATA,
  IFLA_INFO_SLAVE_KIND,
  IFLA_LINK,
  IFLA_LINK_NETNSID,
  IFLA_LINKINFO,
  IFLA_MASTER,
  IFLA_MTU,
  IFLA_NEW_IFINDEX,
  IFLA_NEW_NETNSID,
  IFLA_OPERSTATE,
  IFLA_PROP_LIST,
  IFLA_VRF_PORT_TABLE,
  IFLA_VRF_TABLE,
  NLA_F_NESTED,
  NLA_HDRLEN,
  NLA_TYPE_MASK,
  NLMSG_HDRLEN,
  RTM_DELLINKPROP,
  RTM_NEWLINK,
  RTM_NEWLINKPROP,
  RTM_SETLINK,
} from "./constants.ts";
import { align4, endMessage, type MessageHeader, messageLength, putHeader, readHeader } from "./message.ts";

export interface LinkMessage extends MessageHeader {
  family: number;
  /** ARPHRD_* */
  deviceType: number;
  ifindex: number;
  /** IFF_*; of a request, those bits count that `changeMask` has. */
  linkFlags: number;
  changeMask: number;
  /** Empty if absent, as all strings here. */
  name: string;
  altNames: string[];
  /** 0 if absent. */
  mtu: number;
  /** IF_OPER_*; undefined if absent. */
  operstate: number | undefined;
  carrier: boolean | undefined;
  /** Interface number of the bridge or VRF this one belongs to; 0 for none. */
  master: number;
  /** IFLA_LINK: the lower interface, or the far end of a veth, in namespace `linkNetnsId` if that is there; 0 for none. */
  link: number;
  linkNetnsId: number | undefined;
  /** Where a deleted interface went, if it was moved to another namespace. */
  newNetnsId: number | undefined;
  newIfindex: number | undefined;
  /** IFLA_INFO_KIND ("veth", "vrf") and, of a port, the kind of its master. */
  kind: string;
  slaveKind: string;
  /** Table of this VRF device; 0 if it is none. */
  vrfTable: number;
  /** Table of the VRF this port belongs to; 0 if it belongs to none. */
  slaveVrfTable: number;
  /** Hardware address of any length; empty if absent. */
  address: Uint8Array;
  /** What else there is: some thirty attributes, counters among them unless the dump asked to skip them. */
  carried: CarriedAttribute[];
}

export function createLinkMessage(): LinkMessage {
  return {
    type: RTM_NEWLINK,
    flags: 0,
    sequence: 0,
    portId: 0,
    family: 0,
    deviceType: 0,
    ifindex: 0,
    linkFlags: 0,
    changeMask: 0,
    name: "",
    altNames: [],
    mtu: 0,
    operstate: undefined,
    carrier: undefined,
    master: 0,
    link: 0,
    linkNetnsId: undefined,
    newNetnsId: undefined,
    newIfindex: undefined,
    kind: "",
    slaveKind: "",
    vrfTable: 0,
    slaveVrfTable: 0,
    address: new Uint8Array(0),
    carried: [],
  };
}

/** Writes the message at `offset`; returns its bytes, or 0 if it does not fit. */
export function encodeLink(view: DataView, offset: number, message: LinkMessage): number {
  let at = putHeader(view, offset, message.type, message.flags, message.sequence, message.portId);
  if (at === 0 || at + IFINFOMSG_LENGTH > view.byteLength) return 0;
  // struct ifinfomsg { unsigned char ifi_family, __ifi_pad; unsigned short ifi_type; int ifi_index; unsigned ifi_flags, ifi_change; };
  view.setUint8(at, message.family);
  view.setUint8(at + 1, 0);
  view.setUint16(at + 2, message.deviceType, true);
  view.setInt32(at + 4, message.ifindex, true);
  view.setUint32(at + 8, message.linkFlags, true);
  view.setUint32(at + 12, message.changeMask, true);
  at += IFINFOMSG_LENGTH;
  if (message.mtu !== 0) at = putU32(view, at, IFLA_MTU, message.mtu);
  if (message.name !== "") at = putString(view, at, IFLA_IFNAME, message.name);
  if (message.operstate !== undefined) at = putU8(view, at, IFLA_OPERSTATE, message.operstate);
  if (message.carrier !== undefined) at = putU8(view, at, IFLA_CARRIER, message.carrier ? 1 : 0);
  if (message.master !== 0) at = putU32(view, at, IFLA_MASTER, message.master);
  if (message.link !== 0) at = putU32(view, at, IFLA_LINK, message.link);
  if (message.linkNetnsId !== undefined) at = putU32(view, at, IFLA_LINK_NETNSID, message.linkNetnsId);
  if (message.newNetnsId !== undefined) at = putU32(view, at, IFLA_NEW_NETNSID, message.newNetnsId);
  if (message.newIfindex !== undefined) at = putU32(view, at, IFLA_NEW_IFINDEX, message.newIfindex);
  if (message.address.length > 0) at = putBytes(view, at, IFLA_ADDRESS, message.address, message.address.length);
  if (message.kind !== "" || message.slaveKind !== "") at = putLinkInfo(view, at, message);
  if (message.altNames.length > 0) at = putAltNames(view, at, message.altNames);
  at = putCarried(view, at, message.carried);
  return endMessage(view, offset, at);
}

function putLinkInfo(view: DataView, offset: number, message: LinkMessage): number {
  let at = beginNest(view, offset, IFLA_LINKINFO);
  if (message.kind !== "") at = putText(view, at, IFLA_INFO_KIND, message.kind);
  if (message.vrfTable !== 0) at = putTable(view, at, IFLA_INFO_DATA, IFLA_VRF_TABLE, message.vrfTable);
  if (message.slaveKind !== "") at = putText(view, at, IFLA_INFO_SLAVE_KIND, message.slaveKind);
  if (message.slaveVrfTable !== 0) {
    at = putTable(view, at, IFLA_INFO_SLAVE_DATA, IFLA_VRF_PORT_TABLE, message.slaveVrfTable);
  }
  return endNest(view, offset, at);
}

function putTable(view: DataView, offset: number, nestType: number, type: number, table: number): number {
  return endNest(view, offset, putU32(view, beginNest(view, offset, nestType), type, table));
}

function putAltNames(view: DataView, offset: number, names: readonly string[]): number {
  let at = beginNest(view, offset, IFLA_PROP_LIST | NLA_F_NESTED);
  for (const name of names) at = putString(view, at, IFLA_ALT_IFNAME, name);
  return endNest(view, offset, at);
}

function reset(into: LinkMessage): void {
  into.name = "";
  into.altNames.length = 0;
  into.mtu = 0;
  into.operstate = undefined;
  into.carrier = undefined;
  into.master = 0;
  into.link = 0;
  into.linkNetnsId = undefined;
  into.newNetnsId = undefined;
  into.newIfindex = undefined;
  into.kind = "";
  into.slaveKind = "";
  into.vrfTable = 0;
  into.slaveVrfTable = 0;
  into.address = new Uint8Array(0);
  into.carried.length = 0;
}

/**
 * Reads the message at `offset`, of which `length` bytes are there. Null if it is malformed or of another kind; `into`
 * (overwritten, also then) saves the allocation.
 */
export function decodeLink(
  view: DataView,
  offset: number,
  length: number,
  into: LinkMessage = createLinkMessage(),
): LinkMessage | null {
  const size = messageLength(view, offset, offset + length);
  if (size < NLMSG_HDRLEN + IFINFOMSG_LENGTH) return null;
  readHeader(view, offset, into);
  const { type } = into;
  if ((type < RTM_NEWLINK || type > RTM_SETLINK) && type !== RTM_NEWLINKPROP && type !== RTM_DELLINKPROP) return null;
  reset(into);
  const fixed = offset + NLMSG_HDRLEN;
  into.family = view.getUint8(fixed);
  into.deviceType = view.getUint16(fixed + 2, true);
  into.ifindex = view.getInt32(fixed + 4, true);
  into.linkFlags = view.getUint32(fixed + 8, true);
  into.changeMask = view.getUint32(fixed + 12, true);
  const end = offset + size;
  let nla = 0;
  for (let at = fixed + IFINFOMSG_LENGTH; end - at >= NLA_HDRLEN; at += align4(nla)) {
    nla = attributeLength(view, at, end);
    if (nla === 0 || !readAttribute(view, at, nla, into)) return null;
  }
  return into;
}

function readAttribute(view: DataView, at: number, nla: number, into: LinkMessage): boolean {
  const payload = at + NLA_HDRLEN;
  const length = nla - NLA_HDRLEN;
  switch (attributeType(view, at) & NLA_TYPE_MASK) {
    case IFLA_IFNAME:
      into.name = readString(view, payload, length);
      return true;
    case IFLA_ADDRESS:
      into.address = readBytes(view, payload, length);
      return true;
    case IFLA_LINKINFO:
      return readLinkInfo(view, payload, at + nla, into);
    case IFLA_PROP_LIST:
      return readAltNames(view, payload, at + nla, into.altNames);
    case IFLA_OPERSTATE:
      if (length < 1) return false;
      into.operstate = view.getUint8(payload);
      return true;
    case IFLA_CARRIER:
      if (length < 1) return false;
      into.carrier = view.getUint8(payload) !== 0;
      return true;
    default:
      return readNumber(view, at, nla, into);
  }
}

/** The attributes that are one number of four bytes; anything else is carried. */
function readNumber(view: DataView, at: number, nla: number, into: LinkMessage): boolean {
  const type = attributeType(view, at) & NLA_TYPE_MASK;
  const isNumber =
    type === IFLA_MTU ||
    type === IFLA_MASTER ||
    type === IFLA_LINK ||
    type === IFLA_LINK_NETNSID ||
    type === IFLA_NEW_NETNSID ||
    type === IFLA_NEW_IFINDEX;
  if (!isNumber) {
    into.carried.push(readCarried(view, at, nla));
    return true;
  }
  if (nla !== NLA_HDRLEN + 4) return false;
  const unsigned = view.getUint32(at + NLA_HDRLEN, true);
  if (type === IFLA_MTU) into.mtu = unsigned;
  else if (type === IFLA_MASTER) into.master = unsigned;
  else if (type === IFLA_LINK) into.link = unsigned;
  else if (type === IFLA_NEW_IFINDEX) into.newIfindex = unsigned;
  // Namespace ids are signed: -1 is a namespace that has no id here.
  else if (type === IFLA_LINK_NETNSID) into.linkNetnsId = unsigned | 0;
  else into.newNetnsId = unsigned | 0;
  return true;
}

function readLinkInfo(view: DataView, offset: number, end: number, into: LinkMessage): boolean {
  let dataAt = 0;
  let slaveDataAt = 0;
  let nla = 0;
  for (let at = offset; end - at >= NLA_HDRLEN; at += align4(nla)) {
    nla = attributeLength(view, at, end);
    if (nla === 0) return false;
    const type = attributeType(view, at) & NLA_TYPE_MASK;
    if (type === IFLA_INFO_KIND) into.kind = readString(view, at + NLA_HDRLEN, nla - NLA_HDRLEN);
    else if (type === IFLA_INFO_SLAVE_KIND) into.slaveKind = readString(view, at + NLA_HDRLEN, nla - NLA_HDRLEN);
    else if (type === IFLA_INFO_DATA) dataAt = at;
    else if (type === IFLA_INFO_SLAVE_DATA) slaveDataAt = at;
  }
  // What the data means depends on the kind; only a VRF's concerns us.
  if (into.kind === "vrf" && dataAt !== 0) {
    const table = readTable(view, dataAt, IFLA_VRF_TABLE);
    if (table < 0) return false;
    into.vrfTable = table;
  }
  if (into.slaveKind === "vrf" && slaveDataAt !== 0) {
    const table = readTable(view, slaveDataAt, IFLA_VRF_PORT_TABLE);
    if (table < 0) return false;
    into.slaveVrfTable = table;
  }
  return true;
}

/** The u32 of the given type in the nest at `nest`; 0 if it is not there, -1 if the nest is malformed. */
function readTable(view: DataView, nest: number, type: number): number {
  const end = nest + view.getUint16(nest, true);
  let nla = 0;
  for (let at = nest + NLA_HDRLEN; end - at >= NLA_HDRLEN; at += align4(nla)) {
    nla = attributeLength(view, at, end);
    if (nla === 0) return -1;
    if ((attributeType(view, at) & NLA_TYPE_MASK) !== type) continue;
    return nla === NLA_HDRLEN + 4 ? view.getUint32(at + NLA_HDRLEN, true) : -1;
  }
  return 0;
}

function readAltNames(view: DataView, offset: number, end: number, into: string[]): boolean {
  let nla = 0;
  for (let at = offset; end - at >= NLA_HDRLEN; at += align4(nla)) {
    nla = attributeLength(view, at, end);
    if (nla === 0) return false;
    if ((attributeType(view, at) & NLA_TYPE_MASK) !== IFLA_ALT_IFNAME) continue;
    into.push(readString(view, at + NLA_HDRLEN, nla - NLA_HDRLEN));
  }
  return true;
}
