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
  readonly #names: readonly string[];
  /** Number of the name of each shape; -1 where there is none. */
  readonly #byShape = new Int8Array(SHAPES).fill(-1);

  constructor(names: readonly string[]) {
    this.#names = names;
    for (const [number, name] of names.entries()) {
      assert(name.length <= NAME_BYTES_MAX, "a field's name is short");
      const shape = name.length * 32 + (name.charCodeAt(0) & 31);
      assert(this.#byShape[shape] === -1, "length and first letter tell the fields' names apart");
      this.#byShape[shape] = number;
    }
  }

  /** Number of the name in `bytes[start..end)`; -1 if it is none of them. */
  find(bytes: Uint8Array, start: number, end: number): number {
    const length = end - start;
    if (length < 1 || length > NAME_BYTES_MAX) return -1;
    const number = this.#byShape[length * 32 + (bytes[start]! & 31)]!;
    return number >= 0 && isWord(this.#names[number]!, bytes, start, length) ? number : -1;
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

  /** `bytes[start..end)`, which are ASCII, as a string; null where they are too many. */
  take(bytes: Uint8Array, start: number, end: number): string | null {
    const length = end - start;
    if (length > WORD_BYTES_MAX) return null;
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
