/**
 * Answers: NLMSG_ERROR (an error, or an acknowledgement if its errno is 0) and NLMSG_DONE, with the kernel's words where
 * NETLINK_EXT_ACK is on. Pure; any thread. The first three functions are for the hot path, which reads thousands of
 * answers and mostly needs to know which request failed and how.
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
  putU32,
  readAllCarried,
  readBytes,
  readString,
} from "./attribute.ts";
import {
  NLA_F_NESTED,
  NLA_HDRLEN,
  NLA_TYPE_MASK,
  NLM_F_ACK_TLVS,
  NLM_F_CAPPED,
  NLMSG_DONE,
  NLMSG_ERROR,
  NLMSG_HDRLEN,
  NLMSGERR_ATTR_COOKIE,
  NLMSGERR_ATTR_MISS_NEST,
  NLMSGERR_ATTR_MISS_TYPE,
  NLMSGERR_ATTR_MSG,
  NLMSGERR_ATTR_OFFS,
  NLMSGERR_ATTR_POLICY,
} from "./constants.ts";
import {
  align4,
  endMessage,
  type MessageHeader,
  messageFlags,
  messageLength,
  messageSequence,
  messageType,
  putHeader,
  readHeader,
} from "./message.ts";

/** Header and errno: what an NLMSG_DONE has, and an NLMSG_ERROR before the request it repeats. */
const ERRNO_END = NLMSG_HDRLEN + 4;
/** `struct nlmsgerr { int error; struct nlmsghdr msg; }` behind its own header: a capped answer without attributes. */
const ERROR_END = ERRNO_END + NLMSG_HDRLEN;

/** True if the message, which {@linkcode messageLength} found to be whole, is an NLMSG_ERROR with all that it must have. */
export function isAck(view: DataView, offset: number, length: number): boolean {
  return messageType(view, offset) === NLMSG_ERROR && length >= ERROR_END;
}

/** Sequence number of the request that an {@linkcode isAck} message answers. */
export function ackSequence(view: DataView, offset: number): number {
  return messageSequence(view, offset);
}

/** Errno of an {@linkcode isAck} message as a positive number; 0 if the request succeeded. */
export function ackErrno(view: DataView, offset: number): number {
  return -view.getInt32(offset + NLMSG_HDRLEN, true) | 0;
}

/** Fields of extended acks are undefined where the kernel did not give them. */
export interface AckMessage extends MessageHeader {
  /** Positive; 0 for success. */
  errno: number;
  /** What the request's header said; zeros in an NLMSG_DONE. */
  requestType: number;
  requestFlags: number;
  requestLength: number;
  /** The request itself; undefined if the answer is capped (NLM_F_CAPPED: all successes, or NETLINK_CAP_ACK). */
  request: Uint8Array | undefined;
  /** What the kernel says about it, for humans. */
  text: string | undefined;
  /** Offset, in the request, of the attribute that is at fault. */
  offset: number | undefined;
  /** Type of an attribute that is missing, and offset of the nest it is missing from. */
  missingType: number | undefined;
  missingNest: number | undefined;
  cookie: Uint8Array | undefined;
  /** What the kernel would accept in place of the attribute at `offset`, as NL_POLICY_TYPE_ATTR_*. */
  policy: CarriedAttribute[] | undefined;
}

export function createAckMessage(): AckMessage {
  return {
    type: NLMSG_ERROR,
    flags: 0,
    sequence: 0,
    portId: 0,
    errno: 0,
    requestType: 0,
    requestFlags: 0,
    requestLength: 0,
    request: undefined,
    text: undefined,
    offset: undefined,
    missingType: undefined,
    missingNest: undefined,
    cookie: undefined,
    policy: undefined,
  };
}

/** Reads an NLMSG_ERROR or NLMSG_DONE at `offset`, of which `length` bytes are there; null if it is malformed or neither. */
export function decodeAck(view: DataView, offset: number, length: number): AckMessage | null {
  const size = messageLength(view, offset, offset + length);
  if (size < ERRNO_END) return null;
  const message = createAckMessage();
  readHeader(view, offset, message);
  message.errno = ackErrno(view, offset);
  const end = offset + size;
  if (message.type === NLMSG_DONE) return readExtendedAck(view, offset + ERRNO_END, end, message) ? message : null;
  if (message.type !== NLMSG_ERROR || size < ERROR_END) return null;
  const requestAt = offset + ERRNO_END;
  message.requestLength = view.getUint32(requestAt, true);
  message.requestType = messageType(view, requestAt);
  message.requestFlags = messageFlags(view, requestAt);
  let attributesAt = offset + ERROR_END;
  if ((message.flags & NLM_F_CAPPED) === 0) {
    const requestLength = messageLength(view, requestAt, end);
    if (requestLength === 0) return null;
    message.request = readBytes(view, requestAt, requestLength);
    attributesAt = requestAt + align4(requestLength);
  }
  return readExtendedAck(view, attributesAt, end, message) ? message : null;
}

function readExtendedAck(view: DataView, offset: number, end: number, into: AckMessage): boolean {
  if ((into.flags & NLM_F_ACK_TLVS) === 0) return true;
  let nla = 0;
  for (let at = offset; end - at >= NLA_HDRLEN; at += align4(nla)) {
    nla = attributeLength(view, at, end);
    if (nla === 0) return false;
    const payload = at + NLA_HDRLEN;
    const length = nla - NLA_HDRLEN;
    const type = attributeType(view, at) & NLA_TYPE_MASK;
    if (type === NLMSGERR_ATTR_MSG) {
      into.text = readString(view, payload, length);
    } else if (type === NLMSGERR_ATTR_COOKIE) {
      into.cookie = readBytes(view, payload, length);
    } else if (type === NLMSGERR_ATTR_POLICY) {
      const policy = readAllCarried(view, payload, at + nla);
      if (policy === null) return false;
      into.policy = policy;
    } else if (isNumber(type)) {
      if (length !== 4) return false;
      const value = view.getUint32(payload, true);
      if (type === NLMSGERR_ATTR_OFFS) into.offset = value;
      else if (type === NLMSGERR_ATTR_MISS_TYPE) into.missingType = value;
      else into.missingNest = value;
    }
  }
  return true;
}

function isNumber(type: number): boolean {
  return type === NLMSGERR_ATTR_OFFS || type === NLMSGERR_ATTR_MISS_TYPE || type === NLMSGERR_ATTR_MISS_NEST;
}

/**
 * Writes an answer as the kernel does, for whoever plays the kernel. `flags` must agree with the rest: NLM_F_CAPPED if
 * there is no `request`, NLM_F_ACK_TLVS if there is any attribute.
 */
export function encodeAck(view: DataView, offset: number, message: AckMessage): number {
  let at = putHeader(view, offset, message.type, message.flags, message.sequence, message.portId);
  if (at === 0 || at + 4 > view.byteLength) return 0;
  view.setInt32(at, -message.errno, true);
  at += 4;
  if (message.type === NLMSG_ERROR) at = putRequest(view, at, message);
  // The kernel's own order.
  if (message.text !== undefined) at = putString(view, at, NLMSGERR_ATTR_MSG, message.text);
  if (message.cookie !== undefined) {
    at = putBytes(view, at, NLMSGERR_ATTR_COOKIE, message.cookie, message.cookie.length);
  }
  if (message.offset !== undefined) at = putU32(view, at, NLMSGERR_ATTR_OFFS, message.offset);
  if (message.policy !== undefined) {
    const start = at;
    at = beginNest(view, start, NLMSGERR_ATTR_POLICY | NLA_F_NESTED);
    at = endNest(view, start, putCarried(view, at, message.policy));
  }
  if (message.missingType !== undefined) at = putU32(view, at, NLMSGERR_ATTR_MISS_TYPE, message.missingType);
  if (message.missingNest !== undefined) at = putU32(view, at, NLMSGERR_ATTR_MISS_NEST, message.missingNest);
  return endMessage(view, offset, at);
}

/** The request as it was, or what an answer that does not repeat it has: its header. */
function putRequest(view: DataView, offset: number, message: AckMessage): number {
  const { request } = message;
  if (request === undefined) {
    const end = putHeader(view, offset, message.requestType, message.requestFlags, message.sequence, 0);
    if (end !== 0) view.setUint32(offset, message.requestLength, true);
    return end;
  }
  const end = offset + align4(request.length);
  if (end > view.byteLength) return 0;
  for (let i = 0; i < end - offset; i++) view.setUint8(offset + i, request[i] ?? 0);
  return end;
}
