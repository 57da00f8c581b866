/**
 * What all splitters share: what they find, and bytes of unfinished updates. Main thread.
 *
 * The reader pulls: `push` a chunk, then call `next` until it says NONE, pausing in between for as long as the queue is
 * full. What waits inside is one chunk and at most one unfinished update. An update is found as bytes, in the chunk where
 * they are; text is made of them only where it is asked for, because mostly it is not (`update_bytes.ts`).
 */

/** What {@linkcode UpdateSplitter.next} found. */
export const SplitKind = {
  /** More bytes are needed, or after `end`, there are no more. */
  NONE: 0,
  /** An update, perhaps a blank one. */
  TEXT: 1,
  /** An update is longer than `LINE_BYTES_MAX`; it was skipped. */
  TOO_LONG: 2,
  /** Lines that may have to be joined have bytes that are not UTF-8. Of other updates, `text` tells. */
  INVALID_UTF8: 3,
  /** The body ended inside of an update. */
  TRUNCATED: 4,
} as const;
export type SplitKind = (typeof SplitKind)[keyof typeof SplitKind];

export interface UpdateSplitter {
  /**
   * After `next` returned TEXT, and until it is called again, `bytes[from..to)` is the update. A route command may have
   * been joined of several lines, and then is to be had as text alone.
   */
  readonly bytes: Uint8Array;
  readonly from: number;
  readonly to: number;
  /** The update as text; null where it is not UTF-8. */
  readonly text: string | null;
  /** Number of the line or array element that `next` found, from 1. */
  readonly number: number;
  /** Takes the next bytes; the previous ones must have been taken out until NONE. The chunk may be reused after NONE. */
  push(chunk: Uint8Array): void;
  /** The body is complete: what is left is its last update. */
  end(): void;
  next(): SplitKind;
}

/** Bytes of unfinished lines: they grow by doubling, up to the longest line. */
export class ByteBuffer {
  #bytes = new Uint8Array(4096);
  length = 0;

  append(bytes: Uint8Array): void {
    const length = this.length + bytes.length;
    if (length > this.#bytes.length) {
      const grown = new Uint8Array(Math.max(length, this.#bytes.length * 2));
      grown.set(this.#bytes.subarray(0, this.length));
      this.#bytes = grown;
    }
    this.#bytes.set(bytes, this.length);
    this.length = length;
  }

  /** What is inside is the first `length` of these, until the next append. */
  get bytes(): Uint8Array {
    return this.#bytes;
  }
}

// The mark at the start of a file is removed by hand, because a decoder would remove it at the start of every line.
const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** The text of bytes; null where they are not UTF-8. */
export function decode(bytes: Uint8Array): string | null {
  try {
    return decoder.decode(bytes);
  } catch {
    return null;
  }
}

/** What may stand between updates, and around them. */
export function isSpace(byte: number): boolean {
  return byte === 0x20 || (byte >= 0x09 && byte <= 0x0d);
}

/** Whether the bytes begin with the mark that some editors put at the start of a file. */
export function hasByteOrderMark(bytes: Uint8Array, start: number, end: number): boolean {
  return end - start >= 3 && bytes[start] === 0xef && bytes[start + 1] === 0xbb && bytes[start + 2] === 0xbf;
}
