/**
 * Netlink attributes (`struct nlattr { __u16 nla_len; __u16 nla_type; }`, payload, padding to 4): writers for the hot
 * path, readers for decoders. Pure functions, no allocation where the result is not an object; any thread.
 *
 * Writers follow the convention of message.ts: offset in, offset behind out, 0 for "does not fit", 0 in gives 0 out.
 */
import { NLA_HDRLEN } from "./constants.ts";
import { align4 } from "./message.ts";

const textEncoder = new TextEncoder();
const textDecoder = new TextDecoder();

/** `nla_len` has 16 bits. */
const NLA_LENGTH_MAX = 0xffff;

/** An attribute that a codec does not interpret but hands on. `type` has the NLA_F_* bits, so that it can be sent again. */
export interface CarriedAttribute {
  type: number;
  bytes: Uint8Array;
}

/** Attribute header and room for `length` payload bytes, padding zeroed; returns the payload's offset. */
export function putAttribute(view: DataView, offset: number, type: number, length: number): number {
  const space = NLA_HDRLEN + align4(length);
  if (offset === 0 || offset + space > view.byteLength || length > NLA_LENGTH_MAX - NLA_HDRLEN) return 0;
  // The padding lies in the last word, which the payload overwrites as far as it goes.
  view.setUint32(offset + space - 4, 0, true);
  view.setUint16(offset, NLA_HDRLEN + length, true);
  view.setUint16(offset + 2, type, true);
  return offset + NLA_HDRLEN;
}

export function putFlag(view: DataView, offset: number, type: number): number {
  return putAttribute(view, offset, type, 0);
}

export function putU8(view: DataView, offset: number, type: number, value: number): number {
  if (offset === 0 || offset + 8 > view.byteLength) return 0;
  view.setUint16(offset, 5, true);
  view.setUint16(offset + 2, type, true);
  view.setUint32(offset + 4, value & 0xff, true);
  return offset + 8;
}

export function putU16(view: DataView, offset: number, type: number, value: number): number {
  if (offset === 0 || offset + 8 > view.byteLength) return 0;
  view.setUint16(offset, 6, true);
  view.setUint16(offset + 2, type, true);
  view.setUint32(offset + 4, value & 0xffff, true);
  return offset + 8;
}

export function putU32(view: DataView, offset: number, type: number, value: number): number {
  if (offset === 0 || offset + 8 > view.byteLength) return 0;
  view.setUint16(offset, 8, true);
  view.setUint16(offset + 2, type, true);
  view.setUint32(offset + 4, value, true);
  return offset + 8;
}

/** The first `length` bytes of `bytes`: an address from its 16-byte array, say. */
export function putBytes(view: DataView, offset: number, type: number, bytes: Uint8Array, length: number): number {
  const payload = putAttribute(view, offset, type, length);
  if (payload === 0) return 0;
  for (let i = 0; i < length; i++) view.setUint8(payload + i, bytes[i]!);
  return payload + align4(length);
}

/** NUL-terminated, as the kernel wants names of interfaces. */
export function putString(view: DataView, offset: number, type: number, text: string): number {
  const bytes = textEncoder.encode(`${text}\0`);
  return putBytes(view, offset, type, bytes, bytes.length);
}

/** Not terminated, as iproute2 sends IFLA_INFO_KIND. */
export function putText(view: DataView, offset: number, type: number, text: string): number {
  const bytes = textEncoder.encode(text);
  return putBytes(view, offset, type, bytes, bytes.length);
}

export function putCarried(view: DataView, offset: number, attributes: readonly CarriedAttribute[]): number {
  let at = offset;
  for (const { type, bytes } of attributes) at = putBytes(view, at, type, bytes, bytes.length);
  return at;
}

/** Opens an attribute that holds attributes. `type` includes NLA_F_NESTED where the kernel wants that. */
export function beginNest(view: DataView, offset: number, type: number): number {
  return putAttribute(view, offset, type, 0);
}

/** Closes the nest that was opened at `start`; 0 also when its content is longer than an attribute can be. */
export function endNest(view: DataView, start: number, offset: number): number {
  if (offset === 0 || offset - start > NLA_LENGTH_MAX) return 0;
  view.setUint16(start, offset - start, true);
  return offset;
}

/**
 * Length of the attribute at `offset`, header included, if it is whole before `end`; else 0. Loops over attributes go
 * `for (at = first; end - at >= NLA_HDRLEN; at += align4(length))`: like the kernel, they ignore a tail shorter than a header.
 */
export function attributeLength(view: DataView, offset: number, end: number): number {
  const length = view.getUint16(offset, true);
  return length >= NLA_HDRLEN && length <= end - offset ? length : 0;
}

/** `nla_type` with its NLA_F_* bits; mask with NLA_TYPE_MASK to compare. */
export function attributeType(view: DataView, offset: number): number {
  return view.getUint16(offset + 2, true);
}

/** A copy of `length` bytes at `offset`. */
export function readBytes(view: DataView, offset: number, length: number): Uint8Array {
  return new Uint8Array(view.buffer, view.byteOffset + offset, length).slice();
}

/** Copies an address into an array of 16, and zeroes the rest of it. */
export function readAddress(view: DataView, offset: number, length: number, into: Uint8Array): void {
  for (let i = 0; i < length; i++) into[i] = view.getUint8(offset + i);
  for (let i = length; i < into.length; i++) into[i] = 0;
}

/** Text up to a NUL or the end of the payload; bytes that are not UTF-8 become U+FFFD. */
export function readString(view: DataView, offset: number, length: number): string {
  let end = 0;
  while (end < length && view.getUint8(offset + end) !== 0) end++;
  return textDecoder.decode(readBytes(view, offset, end));
}

export function readCarried(view: DataView, offset: number, length: number): CarriedAttribute {
  return { type: attributeType(view, offset), bytes: readBytes(view, offset + NLA_HDRLEN, length - NLA_HDRLEN) };
}

/** All attributes between `offset` and `end`, as they are; null if one is malformed. */
export function readAllCarried(view: DataView, offset: number, end: number): CarriedAttribute[] | null {
  const attributes: CarriedAttribute[] = [];
  let length = 0;
  for (let at = offset; end - at >= NLA_HDRLEN; at += align4(length)) {
    length = attributeLength(view, at, end);
    if (length === 0) return null;
    attributes.push(readCarried(view, at, length));
  }
  return attributes;
}
