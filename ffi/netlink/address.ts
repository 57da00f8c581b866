/** Interface addresses: RTM_NEWADDR, RTM_DELADDR, RTM_GETADDR (`include/uapi/linux/if_addr.h`). Pure; any thread. */
import {
  attributeLength,
  attributeType,
  type CarriedAttribute,
  putBytes,
  putCarried,
  putString,
  putU32,
  readAddress,
  readCarried,
  readString,
} from "./attribute.ts";
import {
  AF_INET,
  AF_INET6,
  IFA_ADDRESS,
  IFA_FLAGS,
  IFA_LABEL,
  IFA_LOCAL,
  IFADDRMSG_LENGTH,
  NLA_HDRLEN,
  NLA_TYPE_MASK,
  NLMSG_HDRLEN,
  RTM_GETADDR,
  RTM_NEWADDR,
} from "./constants.ts";
import { align4, endMessage, type MessageHeader, messageLength, putHeader, readHeader } from "./message.ts";

export interface AddressMessage extends MessageHeader {
  family: number;
  prefixLength: number;
  /** RT_SCOPE_* */
  scope: number;
  /** IFA_F_*, from IFA_FLAGS where present, else from the eight bits of the header. */
  addressFlags: number;
  ifindex: number;
  /** IFA_LOCAL: the interface's own address. IPv6 sends it only with a peer. 16 bytes, network order. */
  local: Uint8Array;
  hasLocal: boolean;
  /** IFA_ADDRESS: the peer's address on a point-to-point link, else the interface's own. */
  address: Uint8Array;
  hasAddress: boolean;
  /** IFA_LABEL; empty if absent. */
  label: string;
  carried: CarriedAttribute[];
}

export function createAddressMessage(): AddressMessage {
  return {
    type: RTM_NEWADDR,
    flags: 0,
    sequence: 0,
    portId: 0,
    family: 0,
    prefixLength: 0,
    scope: 0,
    addressFlags: 0,
    ifindex: 0,
    local: new Uint8Array(16),
    hasLocal: false,
    address: new Uint8Array(16),
    hasAddress: false,
    label: "",
    carried: [],
  };
}

/** The address that the interface itself has. */
export function ownAddress(message: AddressMessage): Uint8Array {
  return message.hasLocal ? message.local : message.address;
}

/** Writes the message at `offset`; returns its bytes, or 0 if it does not fit. */
export function encodeAddress(view: DataView, offset: number, message: AddressMessage): number {
  let at = putHeader(view, offset, message.type, message.flags, message.sequence, message.portId);
  if (at === 0 || at + IFADDRMSG_LENGTH > view.byteLength) return 0;
  // struct ifaddrmsg { __u8 ifa_family, ifa_prefixlen, ifa_flags, ifa_scope; __u32 ifa_index; };
  const wideFlags = message.addressFlags > 0xff;
  view.setUint8(at, message.family);
  view.setUint8(at + 1, message.prefixLength);
  view.setUint8(at + 2, wideFlags ? 0 : message.addressFlags);
  view.setUint8(at + 3, message.scope);
  view.setUint32(at + 4, message.ifindex, true);
  at += IFADDRMSG_LENGTH;
  const length = message.family === AF_INET ? 4 : 16;
  if (message.hasLocal) at = putBytes(view, at, IFA_LOCAL, message.local, length);
  if (wideFlags) at = putU32(view, at, IFA_FLAGS, message.addressFlags);
  if (message.hasAddress) at = putBytes(view, at, IFA_ADDRESS, message.address, length);
  if (message.label !== "") at = putString(view, at, IFA_LABEL, message.label);
  at = putCarried(view, at, message.carried);
  return endMessage(view, offset, at);
}

function reset(into: AddressMessage): void {
  into.hasLocal = false;
  into.local.fill(0);
  into.hasAddress = false;
  into.address.fill(0);
  into.label = "";
  into.carried.length = 0;
}

/**
 * Reads the message at `offset`, of which `length` bytes are there. Null if it is malformed or of another kind; `into`
 * (overwritten, also then) saves the allocation.
 */
export function decodeAddress(
  view: DataView,
  offset: number,
  length: number,
  into: AddressMessage = createAddressMessage(),
): AddressMessage | null {
  const size = messageLength(view, offset, offset + length);
  if (size < NLMSG_HDRLEN + IFADDRMSG_LENGTH) return null;
  readHeader(view, offset, into);
  if (into.type < RTM_NEWADDR || into.type > RTM_GETADDR) return null;
  reset(into);
  const fixed = offset + NLMSG_HDRLEN;
  into.family = view.getUint8(fixed);
  into.prefixLength = view.getUint8(fixed + 1);
  into.addressFlags = view.getUint8(fixed + 2);
  into.scope = view.getUint8(fixed + 3);
  into.ifindex = view.getUint32(fixed + 4, true);
  const end = offset + size;
  let nla = 0;
  for (let at = fixed + IFADDRMSG_LENGTH; end - at >= NLA_HDRLEN; at += align4(nla)) {
    nla = attributeLength(view, at, end);
    if (nla === 0 || !readAttribute(view, at, nla, into)) return null;
  }
  return into;
}

function readAttribute(view: DataView, at: number, nla: number, into: AddressMessage): boolean {
  const payload = at + NLA_HDRLEN;
  const length = nla - NLA_HDRLEN;
  switch (attributeType(view, at) & NLA_TYPE_MASK) {
    case IFA_LOCAL:
      if (!isAddressLength(into.family, length)) return false;
      readAddress(view, payload, length, into.local);
      into.hasLocal = true;
      return true;
    case IFA_ADDRESS:
      if (!isAddressLength(into.family, length)) return false;
      readAddress(view, payload, length, into.address);
      into.hasAddress = true;
      return true;
    case IFA_FLAGS:
      if (length !== 4) return false;
      into.addressFlags = view.getUint32(payload, true);
      return true;
    case IFA_LABEL:
      into.label = readString(view, payload, length);
      return true;
    default:
      into.carried.push(readCarried(view, at, nla));
      return true;
  }
}

function isAddressLength(family: number, length: number): boolean {
  return (family === AF_INET && length === 4) || (family === AF_INET6 && length === 16);
}
