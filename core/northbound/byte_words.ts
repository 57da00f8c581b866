/**
 * Words found by their bytes, so that what a client sends needs no string each time: the names of an object's fields, and
 * the few words that stand as values again and again. Pure; any thread.
 */
import { assert } from "../assert.ts";

/** Lengths and first characters that tell names apart. */
const NAME_BYTES_MAX = 15;
const SHAPES = (NAME_BYTES_MAX + 1) * 32;

/** The names of an object's fields. Length and first letter tell them apart; the rest is compared once. */
export class FieldNames {
  /** Each name as programs write it, from its first quote up to the colon. */
  readonly #written: readonly Uint8Array[];
  /** Number of the name of each shape; -1 where there is none. */
  readonly #byShape = new Int8Array(SHAPES).fill(-1);
  /** What came last behind each of the names, and at the start. */
  readonly #followers: Int8Array;

  constructor(names: readonly string[]) {
    this.#written = names.map((name) => new TextEncoder().encode(`"${name}":`));
    this.#followers = new Int8Array(names.length + 1);
    for (const [number, name] of names.entries()) {
      assert(name.length <= NAME_BYTES_MAX, "a field's name is short");
      const shape = name.length * 32 + (name.charCodeAt(0) & 31);
      assert(this.#byShape[shape] === -1, "length and first letter tell the fields' names apart");
      this.#byShape[shape] = number;
    }
  }

  /**
   * Number of the name that begins at `start`, if it is the one that came behind `previous` the last time and its colon
   * comes at once; -1 otherwise. A program writes its fields in one order, and a guess that is right costs least.
   */
  guess(bytes: Uint8Array, start: number, previous: number): number {
    const number = this.#followers[previous + 1]!;
    const written = this.#written[number]!;
    for (let index = 0; index < written.length; index++) if (bytes[start + index] !== written[index]) return -1;
    return number;
  }

  /** Bytes of a name from its first quote up to the colon. */
  writtenLength(number: number): number {
    return this.#written[number]!.length;
  }

  /** Number of the name in `bytes[start..end)`, which came behind `previous`; -1 if it is none of them. */
  find(bytes: Uint8Array, start: number, end: number, previous: number): number {
    const length = end - start;
    if (length < 1 || length > NAME_BYTES_MAX) return -1;
    const number = this.#byShape[length * 32 + (bytes[start]! & 31)]!;
    if (number < 0) return -1;
    const written = this.#written[number]!;
    for (let index = 0; index < length; index++) if (bytes[start + index] !== written[index + 1]) return -1;
    this.#followers[previous + 1] = number;
    return number;
  }
}

/** Words of the cache, a power of two, and how many of them are looked at for one. */
const WORDS = 256;
const PROBES = 4;
/** Longer words are nobody's: names of interfaces have 15 characters, alternative ones rarely more. */
const WORD_BYTES_MAX = 64;

/**
 * Strings by their bytes. What a word means is for others to say, each time anew: names of interfaces come and go, and
 * nothing here depends on them.
 */
export class WordCache {
  readonly #words: string[] = new Array<string>(WORDS).fill("");
  #last = "";

  /** `bytes[start..end)`, which are ASCII, as a string; null where they are too many. */
  take(bytes: Uint8Array, start: number, end: number): string | null {
    const length = end - start;
    if (this.#last.length === length && isWord(this.#last, bytes, start, length)) return this.#last;
    if (length > WORD_BYTES_MAX) return null;
    this.#last = this.#find(bytes, start, end);
    return this.#last;
  }

  #find(bytes: Uint8Array, start: number, end: number): string {
    const length = end - start;
    // FNV-1a.
    let hash = 0x811c9dc5;
    for (let position = start; position < end; position++) hash = Math.imul(hash ^ bytes[position]!, 0x01000193);
    const home = hash ^ (hash >>> 15);
    for (let probe = 0; probe < PROBES; probe++) {
      const place = (home + probe) & (WORDS - 1);
      const word = this.#words[place]!;
      if (word.length === length && isWord(word, bytes, start, length)) return word;
      if (word === "") return this.#make(place, bytes, start, end);
    }
    return this.#make(home & (WORDS - 1), bytes, start, end);
  }

  #make(place: number, bytes: Uint8Array, start: number, end: number): string {
    const word = String.fromCharCode(...bytes.subarray(start, end));
    this.#words[place] = word;
    return word;
  }
}

function isWord(word: string, bytes: Uint8Array, start: number, length: number): boolean {
  for (let index = 0; index < length; index++) if (word.charCodeAt(index) !== bytes[start + index]) return false;
  return true;
}
