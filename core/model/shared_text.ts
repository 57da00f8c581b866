/**
 * A text that one thread writes again and again and others read as a whole, in shared memory: never half of the old and half
 * of the new. The writer makes the version odd while it writes (V1), and even again (V2); a reader that has seen the same
 * even version before (V3) and after (V4) has read what was written between. Any thread.
 */
import { assert } from "../assert.ts";

const VERSION = 0;
const LENGTH = 1;
const HEADER_BYTES = 64;

const encoder = new TextEncoder();

export function createSharedTextStorage(bytes: number): SharedArrayBuffer {
  return new SharedArrayBuffer(HEADER_BYTES + bytes);
}

/** There is one, in one thread. */
export class SharedTextWriter {
  readonly #header: Int32Array;
  readonly #bytes: Uint8Array;

  constructor(storage: SharedArrayBuffer) {
    this.#header = new Int32Array(storage, 0, 2);
    this.#bytes = new Uint8Array(storage, HEADER_BYTES);
  }

  /** Writes the text; false, and nothing is changed, if it is longer than there is room. */
  write(text: string): boolean {
    const bytes = encoder.encode(text);
    if (bytes.length > this.#bytes.length) return false;
    Atomics.add(this.#header, VERSION, 1); // V1
    this.#bytes.set(bytes);
    this.#header[LENGTH] = bytes.length;
    Atomics.add(this.#header, VERSION, 1); // V2
    return true;
  }
}

export class SharedTextReader {
  readonly #header: Int32Array;
  readonly #bytes: Uint8Array;

  constructor(storage: SharedArrayBuffer) {
    this.#header = new Int32Array(storage, 0, 2);
    this.#bytes = new Uint8Array(storage, HEADER_BYTES);
  }

  /** Another with each text; 0 while there is none. It says nothing of a text that is being written. */
  get version(): number {
    return Atomics.load(this.#header, VERSION) & ~1;
  }

  /** The text as bytes, with its version; waits for the moment that it takes to write one. */
  read(): { version: number; bytes: Uint8Array<ArrayBuffer> } {
    for (;;) {
      const version = Atomics.load(this.#header, VERSION); // V3
      if ((version & 1) === 1) continue;
      const length = this.#header[LENGTH]!;
      assert(length <= this.#bytes.length, "a text lies in its storage");
      const bytes = this.#bytes.slice(0, length) as Uint8Array<ArrayBuffer>;
      if (Atomics.load(this.#header, VERSION) === version) return { version, bytes }; // V4
    }
  }
}
