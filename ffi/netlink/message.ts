/**
 * The netlink message: header, alignment, finding messages in a datagram. Pure functions over a DataView that belongs to
 * the caller; any thread.
 *
 * Writers share one convention with attribute.ts: they take the offset where to write and return the offset behind what
 * they wrote, or 0 if it does not fit in the view; given offset 0 they do nothing and return 0. So a chain of writers
 * needs one check, at its end. (0 is free for this, because every message begins with a header.)
 */
import { NLMSG_HDRLEN } from "./constants.ts";

// The kernel speaks host byte order; every codec of this folder writes little-endian.
if (new Uint8Array(Uint16Array.of(1).buffer)[0] !== 1) {
  throw new Error("Cannot use netlink: this machine is big-endian, and only little-endian machines are supported");
}

/** `#define NLMSG_ALIGN(len) (((len) + 3) & ~3)`, which NLA_ALIGN and RTNH_ALIGN equal. */
export function align4(length: number): number {
  return (length + 3) & ~3;
}

/**
 * `struct nlmsghdr { __u32 nlmsg_len; __u16 nlmsg_type; __u16 nlmsg_flags; __u32 nlmsg_seq; __u32 nlmsg_pid; }`.
 * Starts a message; {@linkcode endMessage} fills in its length. The only writer for which offset 0 is a place.
 */
export function putHeader(
  view: DataView,
  offset: number,
  type: number,
  flags: number,
  sequence: number,
  portId: number,
): number {
  if (offset + NLMSG_HDRLEN > view.byteLength) return 0;
  view.setUint32(offset, NLMSG_HDRLEN, true);
  view.setUint16(offset + 4, type, true);
  view.setUint16(offset + 6, flags, true);
  view.setUint32(offset + 8, sequence, true);
  view.setUint32(offset + 12, portId, true);
  return offset + NLMSG_HDRLEN;
}

/** Ends the message that began at `start`; returns its bytes, or 0 if something of it did not fit. */
export function endMessage(view: DataView, start: number, offset: number): number {
  if (offset === 0) return 0;
  view.setUint32(start, offset - start, true);
  return offset - start;
}

/**
 * Bytes of the message at `offset`, as its header tells, if all of it lies before `end`; else 0. The next message
 * begins `align4` of that further on.
 */
export function messageLength(view: DataView, offset: number, end: number): number {
  if (offset < 0 || end > view.byteLength || end - offset < NLMSG_HDRLEN) return 0;
  const length = view.getUint32(offset, true);
  return length >= NLMSG_HDRLEN && length <= end - offset ? length : 0;
}

export function messageType(view: DataView, offset: number): number {
  return view.getUint16(offset + 4, true);
}

export function messageFlags(view: DataView, offset: number): number {
  return view.getUint16(offset + 6, true);
}

export function messageSequence(view: DataView, offset: number): number {
  return view.getUint32(offset + 8, true);
}

export function messagePortId(view: DataView, offset: number): number {
  return view.getUint32(offset + 12, true);
}

/** What every decoded message has. */
export interface MessageHeader {
  /** RTM_* */
  type: number;
  /** NLM_F_* */
  flags: number;
  sequence: number;
  /** Port of the socket that asked, or that caused a notification; 0 if the kernel did so by itself. */
  portId: number;
}

/** Fills the header fields of a decoded message. */
export function readHeader(view: DataView, offset: number, into: MessageHeader): void {
  into.type = messageType(view, offset);
  into.flags = messageFlags(view, offset);
  into.sequence = messageSequence(view, offset);
  into.portId = messagePortId(view, offset);
}
