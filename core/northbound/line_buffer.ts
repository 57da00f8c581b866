/** Lines of an answer as bytes, put together piece by piece, with no string for each. Main thread. */

const CAPACITY_MIN = 4096;

const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** `text` as bytes, for {@linkcode putBytes}. */
export function bytesOf(text: string): Uint8Array {
  return encoder.encode(text);
}

export class LineBuffer {
  /** Valid up to `length`; another array after {@linkcode reserve}. */
  bytes = new Uint8Array(CAPACITY_MIN);
  length = 0;

  /** Makes room for so many more bytes. */
  reserve(count: number): void {
    const wanted = this.length + count;
    if (wanted <= this.bytes.length) return;
    let capacity = this.bytes.length;
    while (capacity < wanted) capacity *= 2;
    const bytes = new Uint8Array(capacity);
    bytes.set(this.bytes.subarray(0, this.length));
    this.bytes = bytes;
  }

  /** Adds text of any characters; a lone surrogate is written as U+FFFD. */
  text(text: string): void {
    // A character of UTF-16 has at most three bytes of UTF-8.
    this.reserve(text.length * 3);
    this.length += encoder.encodeInto(text, this.bytes.subarray(this.length)).written;
  }

  /** What has been put together, as an array of its own; the next begins empty. */
  take(): Uint8Array<ArrayBuffer> {
    const taken = this.bytes.slice(0, this.length);
    this.length = 0;
    return taken;
  }

  /** The same as text. */
  takeText(): string {
    const text = decoder.decode(this.bytes.subarray(0, this.length));
    this.length = 0;
    return text;
  }

  clear(): void {
    this.length = 0;
  }
}

/** `piece` into `out` from `start` on; returns the position behind it. Of so few bytes faster than `set`. */
export function putBytes(out: Uint8Array, start: number, piece: Uint8Array): number {
  for (let index = 0; index < piece.length; index++) out[start + index] = piece[index]!;
  return start + piece.length;
}

/** Digits of a number up to 2 ** 32 - 1. */
export const NUMBER_TEXT_MAX = 10;

/** A whole number from 0 to 2 ** 32 - 1 in digits; returns the position behind them. */
export function putNumber(out: Uint8Array, start: number, number: number): number {
  let end = start + 1;
  for (let bound = 10; bound <= number; bound *= 10) end++;
  let rest = number;
  for (let at = end - 1; at >= start; at--) {
    const tenth = Math.floor(rest / 10);
    out[at] = 0x30 + rest - tenth * 10;
    rest = tenth;
  }
  return end;
}
