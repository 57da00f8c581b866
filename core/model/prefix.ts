/**
 * IPv4 and IPv6 addresses and prefixes as text and as bytes. Parsing is strict and allocates nothing: octal and short
 * forms, leading zeros, zone ids, netmasks and host bits are refused instead of being guessed at. Bytes are in network
 * order in 16-byte fields, of which IPv4 uses the first four and leaves the rest zero. Pure; any thread.
 */
import { Family } from "./route.ts";

/**
 * Why a text is no address or prefix. Parsers return `-(position * 32 + code)`, which
 * {@linkcode describeAddressError} turns into words; codes are therefore 1..31.
 */
export const AddressError = {
  EMPTY: 1,
  BAD_CHARACTER: 2,
  OCTET_MISSING: 3,
  OCTET_RANGE: 4,
  OCTET_LEADING_ZERO: 5,
  OCTET_COUNT: 6,
  GROUP_TOO_LONG: 7,
  GROUP_COUNT: 8,
  DOUBLE_COLON_TWICE: 9,
  STRAY_COLON: 10,
  ZONE: 11,
  NOT_AN_ADDRESS: 12,
  LENGTH_MISSING: 13,
  LENGTH_NOT_A_NUMBER: 14,
  LENGTH_LEADING_ZERO: 15,
  LENGTH_RANGE: 16,
  NETMASK: 17,
  HOST_BITS: 18,
  UNEXPECTED_LENGTH: 19,
} as const;
export type AddressError = (typeof AddressError)[keyof typeof AddressError];

const DOT = 0x2e;
const COLON = 0x3a;
const PERCENT = 0x25;
const SLASH = 0x2f;
const ZERO = 0x30;
const LOWER_A = 0x61;

/** The {@linkcode AddressError} in a parser's negative result. */
export function addressErrorCode(result: number): AddressError {
  return (-result & 31) as AddressError;
}

/** The family in the result of {@linkcode parsePrefix}. */
export function packedFamily(packed: number): Family {
  return (packed >> 8) as Family;
}

/** The prefix length in the result of {@linkcode parsePrefix}. */
export function packedLength(packed: number): number {
  return packed & 0xff;
}

/** Bits of an address of `family`. */
export function addressBits(family: Family): number {
  return family === Family.IPV4 ? 32 : 128;
}

function failure(code: AddressError, position: number): number {
  return -(position * 32 + code);
}

/** Where short texts are put as bytes. The longest address with a length is 49 characters long. */
const scratch = new Uint8Array(64);

/** The characters of `text` as bytes, until the next call; what is not ASCII as a byte that no address has. */
function bytesOf(text: string): Uint8Array {
  const { length } = text;
  const bytes = length <= scratch.length ? scratch : new Uint8Array(length);
  for (let index = 0; index < length; index++) {
    const character = text.charCodeAt(index);
    bytes[index] = character < 0x80 ? character : 0xff;
  }
  return bytes;
}

/** {@linkcode parseAddressBytes} of a text. */
export function parseAddress(text: string, start: number, end: number, out: Uint8Array, offset: number): number {
  return parseAddressBytes(bytesOf(text), start, end, out, offset);
}

/** {@linkcode parsePrefixBytes} of a text. */
export function parsePrefix(text: string, out: Uint8Array, offset: number, bareIsHost = false): number {
  return parsePrefixBytes(bytesOf(text), 0, text.length, out, offset, bareIsHost);
}

/**
 * Parses `bytes[start..end)`, which are ASCII, as an address into the 16 bytes at `out[offset]` and returns its family,
 * or a negative error, after which the 16 bytes mean nothing.
 */
export function parseAddressBytes(
  bytes: Uint8Array,
  start: number,
  end: number,
  out: Uint8Array,
  offset: number,
): number {
  if (start >= end) return failure(AddressError.EMPTY, start);
  // The first dot or colon decides: an embedded IPv4 address follows a colon.
  for (let position = start; position < end; position++) {
    const character = bytes[position]!;
    if (character === DOT) {
      clear(out, offset + 4, offset + 16);
      const error = parseIpv4(bytes, start, end, out, offset);
      return error < 0 ? error : Family.IPV4;
    }
    if (character === COLON) {
      const error = parseIpv6(bytes, start, end, out, offset);
      return error < 0 ? error : Family.IPV6;
    }
  }
  return failure(AddressError.NOT_AN_ADDRESS, start);
}

/**
 * Parses a prefix (`10.0.0.0/8`) in `bytes[start..end)` into the 16 bytes at `out[offset]` and returns
 * `family << 8 | length`, to be read with {@linkcode packedFamily} and {@linkcode packedLength}, or a negative error.
 * Where `bareIsHost` is set, an address without a length stands for its host prefix, as iproute2 takes it.
 */
export function parsePrefixBytes(
  bytes: Uint8Array,
  start: number,
  end: number,
  out: Uint8Array,
  offset: number,
  bareIsHost: boolean,
): number {
  let slash = start;
  while (slash < end && bytes[slash] !== SLASH) slash++;
  const family = parseAddressBytes(bytes, start, slash, out, offset);
  if (family < 0) return family;
  const bits = family === Family.IPV4 ? 32 : 128;
  if (slash === end) return bareIsHost ? (family << 8) | bits : failure(AddressError.LENGTH_MISSING, end);
  const length = parseLength(bytes, slash + 1, end, bits);
  if (length < 0) return length;
  if (!isHostBitsZero(out, offset, length, bits)) return failure(AddressError.HOST_BITS, slash);
  return (family << 8) | length;
}

function parseLength(bytes: Uint8Array, start: number, end: number, bits: number): number {
  if (start === end) return failure(AddressError.LENGTH_MISSING, start);
  let length = 0;
  for (let position = start; position < end; position++) {
    const character = bytes[position]!;
    const digit = character - ZERO;
    if (digit < 0 || digit > 9) {
      const isNetmask = character === DOT || character === COLON;
      return failure(isNetmask ? AddressError.NETMASK : AddressError.LENGTH_NOT_A_NUMBER, position);
    }
    if (length === 0 && position > start) return failure(AddressError.LENGTH_LEADING_ZERO, start);
    length = length * 10 + digit;
    // A netmask is told from a length only by what follows, so digits go on past the range as long as one may come.
    if (length > 255) return failure(AddressError.LENGTH_RANGE, start);
  }
  return length > bits ? failure(AddressError.LENGTH_RANGE, start) : length;
}

/** `Uint8Array.fill` costs more than so few stores. */
function clear(bytes: Uint8Array, start: number, end: number): void {
  for (let index = start; index < end; index++) bytes[index] = 0;
}

/** Four decimal octets into `out[offset..offset+4)`. */
function parseIpv4(bytes: Uint8Array, start: number, end: number, out: Uint8Array, offset: number): number {
  let octet = -1;
  let octetStart = start;
  let index = 0;
  for (let position = start; position < end; position++) {
    const character = bytes[position]!;
    const digit = character - ZERO;
    if (digit >= 0 && digit <= 9) {
      if (octet === 0) return failure(AddressError.OCTET_LEADING_ZERO, octetStart);
      if (octet < 0) {
        octet = digit;
        octetStart = position;
      } else {
        octet = octet * 10 + digit;
        if (octet > 255) return failure(AddressError.OCTET_RANGE, octetStart);
      }
    } else if (character === DOT) {
      if (octet < 0) return failure(AddressError.OCTET_MISSING, position);
      if (index === 3) return failure(AddressError.OCTET_COUNT, position);
      out[offset + index++] = octet;
      octet = -1;
    } else {
      return failure(AddressError.BAD_CHARACTER, position);
    }
  }
  if (index !== 3) return failure(AddressError.OCTET_COUNT, end);
  if (octet < 0) return failure(AddressError.OCTET_MISSING, end);
  out[offset + 3] = octet;
  return 0;
}

/** Eight groups, or fewer around one `::`, the last two perhaps as an IPv4 address, into `out[offset..offset+16)`. */
function parseIpv6(bytes: Uint8Array, start: number, end: number, out: Uint8Array, offset: number): number {
  let position = start;
  let groups = 0;
  let gap = -1;
  if (bytes[position]! === COLON) {
    if (position + 1 >= end || bytes[position + 1]! !== COLON) return failure(AddressError.STRAY_COLON, start);
    gap = 0;
    position += 2;
  }
  while (position < end) {
    const groupStart = position;
    let value = 0;
    let digit = hexDigit(bytes[position]!);
    while (digit >= 0) {
      if (position - groupStart === 4) return failure(AddressError.GROUP_TOO_LONG, groupStart);
      value = (value << 4) | digit;
      position++;
      digit = position < end ? hexDigit(bytes[position]!) : -1;
    }
    const character = position < end ? bytes[position]! : COLON;
    if (character === DOT && position > groupStart) {
      if (groups > 6) return failure(AddressError.GROUP_COUNT, groupStart);
      const error = parseIpv4(bytes, groupStart, end, out, offset + groups * 2);
      if (error < 0) return error;
      groups += 2;
      break;
    }
    if (character === PERCENT) return failure(AddressError.ZONE, position);
    if (character !== COLON) return failure(AddressError.BAD_CHARACTER, position);
    if (position === groupStart) return failure(AddressError.STRAY_COLON, position);
    if (groups === 8) return failure(AddressError.GROUP_COUNT, groupStart);
    out[offset + groups * 2] = value >> 8;
    out[offset + groups * 2 + 1] = value & 0xff;
    groups++;
    if (position === end) break;
    if (++position === end) return failure(AddressError.STRAY_COLON, position - 1);
    if (bytes[position]! === COLON) {
      if (gap >= 0) return failure(AddressError.DOUBLE_COLON_TWICE, position - 1);
      gap = groups;
      position++;
    }
  }
  if (gap < 0) return groups === 8 ? 0 : failure(AddressError.GROUP_COUNT, end);
  // `::` stands for at least one group.
  if (groups > 7) return failure(AddressError.GROUP_COUNT, end);
  // The groups behind the gap go to the end, the last one first.
  let from = offset + groups * 2;
  let to = offset + 16;
  while (from > offset + gap * 2) out[--to] = out[--from]!;
  clear(out, from, to);
  return 0;
}

function hexDigit(character: number): number {
  const digit = character - ZERO;
  if (digit >= 0 && digit <= 9) return digit;
  const letter = (character | 0x20) - 0x61;
  return letter >= 0 && letter <= 5 ? letter + 10 : -1;
}

/** Whether all bits of the address at `bytes[offset]` from bit `length` up to bit `bits` are zero. */
export function isHostBitsZero(bytes: Uint8Array, offset: number, length: number, bits: number): boolean {
  const end = offset + (bits >> 3);
  let index = offset + (length >> 3);
  if ((length & 7) !== 0 && (bytes[index++]! & (0xff >> (length & 7))) !== 0) return false;
  while (index < end) if (bytes[index++] !== 0) return false;
  return true;
}

/** Clears all bits of the 16-byte field at `bytes[offset]` from bit `length` on. */
export function maskHostBits(bytes: Uint8Array, offset: number, length: number): void {
  let index = offset + (length >> 3);
  if ((length & 7) !== 0) bytes[index++]! &= 0xff00 >> (length & 7);
  bytes.fill(0, index, offset + 16);
}

/** Whether two 16-byte fields hold the same. */
export function isSameAddress(a: Uint8Array, aOffset: number, b: Uint8Array, bOffset: number): boolean {
  for (let index = 0; index < 16; index++) if (a[aOffset + index] !== b[bOffset + index]) return false;
  return true;
}

/** Order of two 16-byte fields by address; of two prefixes of one address the shorter comes first. */
export function comparePrefixes(
  a: Uint8Array,
  aOffset: number,
  aLength: number,
  b: Uint8Array,
  bOffset: number,
  bLength: number,
): number {
  for (let index = 0; index < 16; index++) {
    const difference = a[aOffset + index]! - b[bOffset + index]!;
    if (difference !== 0) return difference;
  }
  return aLength - bLength;
}

/** Of each octet how many digits it has, and then the digits. */
const OCTET_DIGITS = new Uint8Array(256 * 4);
for (let octet = 0; octet < 256; octet++) {
  const text = String(octet);
  OCTET_DIGITS[octet * 4] = text.length;
  for (let digit = 0; digit < text.length; digit++) OCTET_DIGITS[octet * 4 + 1 + digit] = text.charCodeAt(digit);
}

/** The longest address with its length, in characters. */
export const PREFIX_TEXT_MAX = 49;

const written = new Uint8Array(PREFIX_TEXT_MAX);
const decoder = new TextDecoder();

/**
 * The address as iproute2 prints it: RFC 5952, with the dotted form where glibc's inet_ntop takes it, which is
 * `::ffff:0:0/96` and addresses whose first 96 bits, but not the next 16, are zero.
 */
export function formatAddress(family: Family, bytes: Uint8Array, offset: number): string {
  return decoder.decode(written.subarray(0, putAddress(written, 0, family, bytes, offset)));
}

/** The prefix as text, always with its length. */
export function formatPrefix(family: Family, bytes: Uint8Array, offset: number, length: number): string {
  return decoder.decode(written.subarray(0, putPrefix(written, 0, family, bytes, offset, length)));
}

/** {@linkcode formatPrefix} into `out` from `start` on, as ASCII; returns the position behind it. */
export function putPrefix(
  out: Uint8Array,
  start: number,
  family: Family,
  bytes: Uint8Array,
  offset: number,
  length: number,
): number {
  const at = putAddress(out, start, family, bytes, offset);
  out[at] = SLASH;
  return putOctet(out, at + 1, length);
}

function putAddress(out: Uint8Array, start: number, family: Family, bytes: Uint8Array, offset: number): number {
  return family === Family.IPV4 ? putIpv4(out, start, bytes, offset) : putIpv6(out, start, bytes, offset);
}

function putIpv4(out: Uint8Array, start: number, bytes: Uint8Array, offset: number): number {
  let at = putOctet(out, start, bytes[offset]!);
  for (let octet = 1; octet < 4; octet++) {
    out[at] = DOT;
    at = putOctet(out, at + 1, bytes[offset + octet]!);
  }
  return at;
}

function putOctet(out: Uint8Array, start: number, octet: number): number {
  const digits = OCTET_DIGITS[octet * 4]!;
  for (let digit = 0; digit < digits; digit++) out[start + digit] = OCTET_DIGITS[octet * 4 + 1 + digit]!;
  return start + digits;
}

function putIpv6(out: Uint8Array, start: number, bytes: Uint8Array, offset: number): number {
  let runStart = -1;
  let runLength = 1; // RFC 5952 4.2.2: a single zero group is not shortened, so a run must be longer than this.
  for (let group = 0; group < 8; ) {
    let end = group;
    while (end < 8 && groupAt(bytes, offset, end) === 0) end++;
    if (end - group > runLength) {
      runStart = group;
      runLength = end - group;
    }
    group = end + 1;
  }
  const isMapped = runStart === 0 && runLength === 5 && groupAt(bytes, offset, 5) === 0xffff;
  const isDotted = isMapped || (runStart === 0 && runLength === 6);
  const groups = isDotted ? 6 : 8;
  let at = start;
  for (let group = 0; group < groups; ) {
    if (group === runStart) {
      out[at++] = COLON;
      out[at++] = COLON;
      group += runLength;
    } else {
      at = putGroup(out, putColon(out, start, at), groupAt(bytes, offset, group));
      group += 1;
    }
  }
  return isDotted ? putIpv4(out, putColon(out, start, at), bytes, offset + 12) : at;
}

/** The colon between two groups: where something stands before, and no colon yet. */
function putColon(out: Uint8Array, start: number, at: number): number {
  if (at === start || out[at - 1] === COLON) return at;
  out[at] = COLON;
  return at + 1;
}

function putGroup(out: Uint8Array, start: number, group: number): number {
  let at = start;
  if (group >= 0x1000) out[at++] = lowerHex(group >> 12);
  if (group >= 0x100) out[at++] = lowerHex((group >> 8) & 0xf);
  if (group >= 0x10) out[at++] = lowerHex((group >> 4) & 0xf);
  out[at++] = lowerHex(group & 0xf);
  return at;
}

/** The digit as a character. */
function lowerHex(value: number): number {
  return value < 10 ? ZERO + value : LOWER_A + value - 10;
}

function groupAt(bytes: Uint8Array, offset: number, group: number): number {
  return (bytes[offset + group * 2]! << 8) | bytes[offset + group * 2 + 1]!;
}

const REASONS: Readonly<Record<AddressError, string>> = {
  [AddressError.EMPTY]: "it is empty",
  [AddressError.BAD_CHARACTER]: "unexpected character",
  [AddressError.OCTET_MISSING]: "a number is missing beside a dot",
  [AddressError.OCTET_RANGE]: "an IPv4 number is above 255",
  [AddressError.OCTET_LEADING_ZERO]: "an IPv4 number has a leading zero, which some programs read as octal",
  [AddressError.OCTET_COUNT]: "an IPv4 address has four numbers",
  [AddressError.GROUP_TOO_LONG]: "an IPv6 group has more than four digits",
  [AddressError.GROUP_COUNT]: 'an IPv6 address has eight groups, or fewer and one "::"',
  [AddressError.DOUBLE_COLON_TWICE]: 'there is more than one "::"',
  [AddressError.STRAY_COLON]: "a colon without a group beside it",
  [AddressError.ZONE]: "it has a zone id",
  [AddressError.NOT_AN_ADDRESS]: "it has neither a dot nor a colon",
  [AddressError.LENGTH_MISSING]: "the prefix length is missing",
  [AddressError.LENGTH_NOT_A_NUMBER]: "the prefix length is not a number",
  [AddressError.LENGTH_LEADING_ZERO]: "the prefix length has a leading zero",
  [AddressError.LENGTH_RANGE]: "the prefix length is too large",
  [AddressError.NETMASK]: "a netmask stands where the prefix length belongs",
  [AddressError.HOST_BITS]: "it has host bits set",
  [AddressError.UNEXPECTED_LENGTH]: "it has a prefix length",
};

/** A parser's negative result in words. */
export interface AddressErrorText {
  message: string;
  hint?: string;
}

/**
 * Puts a negative result of {@linkcode parsePrefix} or {@linkcode parseAddress} (called for all of `text`) into words:
 * what is wrong, where, and where it can be told, what to write instead.
 */
export function describeAddressError(result: number, text: string, wanted: "prefix" | "address"): AddressErrorText {
  const slash = text.indexOf("/");
  let code = addressErrorCode(result);
  // A prefix where an address is wanted fails at its slash.
  if (wanted === "address" && slash >= 0) code = AddressError.UNEXPECTED_LENGTH;
  const shown = JSON.stringify(text.length > 64 ? `${text.slice(0, 64)}…` : text);
  const hint = hintOf(code, text, slash);
  if (code === AddressError.HOST_BITS) return { message: `${shown} has host bits set`, hint: hint! };
  const article = wanted === "prefix" ? "a prefix" : "an address";
  const position = -result >> 5;
  const where = position > 0 && position < text.length ? ` (character ${position + 1})` : "";
  const message = `${shown} is not ${article}: ${REASONS[code]}${where}`;
  return hint === undefined ? { message } : { message, hint };
}

function hintOf(code: AddressError, text: string, slash: number): string | undefined {
  const bytes = new Uint8Array(16);
  const family = parseAddress(text, 0, slash < 0 ? text.length : slash, bytes, 0);
  switch (code) {
    case AddressError.HOST_BITS: {
      const length = Number(text.slice(slash + 1));
      maskHostBits(bytes, 0, length);
      return `did you mean ${formatPrefix(family as Family, bytes, 0, length)}?`;
    }
    case AddressError.LENGTH_MISSING:
      if (family < 0) return undefined;
      return `for the host alone write ${formatAddress(family as Family, bytes, 0)}/${addressBits(family as Family)}`;
    case AddressError.LENGTH_RANGE:
      return family === Family.IPV4 ? "IPv4 lengths are 0 to 32" : "IPv6 lengths are 0 to 128";
    case AddressError.NETMASK:
      return "write the length in bits, such as /24 for 255.255.255.0";
    case AddressError.UNEXPECTED_LENGTH:
      return family < 0 ? undefined : `did you mean ${formatAddress(family as Family, bytes, 0)}?`;
    case AddressError.ZONE:
      return "name the interface with dev instead";
    default:
      return undefined;
  }
}
