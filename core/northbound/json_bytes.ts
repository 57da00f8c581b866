/**
 * JSON in bytes, as far as programs write it: white space, plain strings, whole numbers. Pure; any thread.
 *
 * Functions take the position where something begins and return the one behind it, or UNUSUAL where it is not that, or
 * not as plain. They do not know where the bytes end that are meant, and may go on into what lies behind them: that is for
 * their caller to find out.
 */

export const QUOTE = 0x22;
export const COMMA = 0x2c;
const ZERO = 0x30;
const COLON = 0x3a;
export const OPEN_BRACKET = 0x5b;
const BACKSLASH = 0x5c;
export const CLOSE_BRACKET = 0x5d;
export const OPEN_BRACE = 0x7b;
export const CLOSE_BRACE = 0x7d;

/** What a position is where the rest is for others to read. */
export const UNUSUAL = -1;

/** Before the first field of an object. */
export const NO_FIELD = -1;

/** White space as JSON has it. */
export function isJsonSpace(byte: number): boolean {
  return byte === 0x20 || byte === 0x0a || byte === 0x0d || byte === 0x09;
}

/** Behind white space, where there is some. */
export function skipSpace(bytes: Uint8Array, start: number): number {
  let position = start;
  // Nearly always there is none.
  while (bytes[position]! <= 0x20 && isJsonSpace(bytes[position]!)) position++;
  return position;
}

/** 1 for each byte before which a plain string stops: its end, an escape, and what is no printable ASCII. */
const STOPS = Uint8Array.from({ length: 256 }, (_, byte) =>
  byte < 0x20 || byte >= 0x80 || byte === QUOTE || byte === BACKSLASH ? 1 : 0,
);

/** Where the string that begins at `start` has its closing quote; UNUSUAL if it has anything but plain ASCII. */
export function endOfString(bytes: Uint8Array, start: number): number {
  if (bytes[start] !== QUOTE) return UNUSUAL;
  let position = start + 1;
  // At the end of all bytes it stops too.
  while (STOPS[bytes[position]!] === 0) position++;
  return bytes[position] === QUOTE ? position : UNUSUAL;
}

/** Where the value begins that follows a field's name. */
export function startOfValue(bytes: Uint8Array, start: number): number {
  const position = skipSpace(bytes, start);
  return bytes[position] === COLON ? skipSpace(bytes, position + 1) : UNUSUAL;
}

const TRUE = Uint8Array.of(0x74, 0x72, 0x75, 0x65);
const FALSE = Uint8Array.of(0x66, 0x61, 0x6c, 0x73, 0x65);

/** Behind `true` or `false`; which of them it is, its first letter tells. */
export function endOfBoolean(bytes: Uint8Array, start: number): number {
  const literal = bytes[start] === TRUE[0] ? TRUE : FALSE;
  for (let index = 0; index < literal.length; index++) if (bytes[start + index] !== literal[index]) return UNUSUAL;
  return start + literal.length;
}

/** A number that is read. */
export class NumberReader {
  /** The number that was read last. */
  value = 0;

  /** A whole number from `min` to `max`, in digits alone; what may follow it, the caller knows. */
  read(bytes: Uint8Array, start: number, min: number, max: number): number {
    let position = start;
    let number = 0;
    for (; ; position++) {
      const digit = bytes[position]! - ZERO;
      if (!(digit >= 0 && digit <= 9)) break;
      number = number * 10 + digit;
      if (number > max) return UNUSUAL;
    }
    if (position === start || number < min) return UNUSUAL;
    if (bytes[start] === ZERO && position > start + 1) return UNUSUAL;
    this.value = number;
    return position;
  }
}
