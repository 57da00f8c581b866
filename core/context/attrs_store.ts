/**
 * Keeps each distinct set of route attributes once. The main thread's alone: it interns what clients send, counts who
 * uses it, and takes the space back when nobody does. Other threads only read (core/context/attrs.ts).
 */
import { assert } from "../assert.ts";
import { ATTRS_ARENA_BYTES, MPLS_LABELS_MAX, NEXTHOPS_MAX, SEG6_SEGMENTS_MAX } from "../constants.ts";
import type { RouteUpdate } from "../model/route.ts";
import {
  ARENA_HAS_GROUP_MTU,
  ATTRS,
  ATTRS_ALIGN,
  ATTRS_NEXTHOP,
  AttrsReader,
  encodeAttrs,
  NO_ATTRS,
  NOT_SHARED,
} from "./attrs.ts";

/** Longest record that there can be. */
const ENCAP_BYTES_MAX = Math.max(MPLS_LABELS_MAX * 4, SEG6_SEGMENTS_MAX * 16);
const RECORD_BYTES_MAX = ATTRS.NEXTHOPS + NEXTHOPS_MAX * (ATTRS_NEXTHOP.BYTES + ENCAP_BYTES_MAX);
assert(RECORD_BYTES_MAX / 4 <= 0xffff, "ENCAP_WORD reaches the end of every record");

/** The index grows shard by shard, so that the main thread never rehashes more than this part of it at a time. */
const SHARDS = 64;
const SHARD_BITS = 6;
const SHARD_MIN = 16;

/** Free space is merged only when this part of the arena has become free since: a full arena would do nothing else. */
const MERGE_PART = 64;

/** The arena begins with this much and grows by as much. */
const GROWTH_BYTES = 1 << 20;
assert(RECORD_BYTES_MAX <= GROWTH_BYTES, "a record fits what the arena grows by");

/**
 * Shared storage for route attributes, which {@linkcode AttrsStore} lets grow up to `bytes`. It does not begin with all of
 * them, because the runtime counts them as used: with so much to its name, a thread's heap would hardly ever be collected.
 */
export function createAttrsStorage(bytes: number = ATTRS_ARENA_BYTES): SharedArrayBuffer {
  return new SharedArrayBuffer(Math.min(bytes, GROWTH_BYTES), { maxByteLength: bytes });
}

/** Remembers under which number the same attributes were interned before, for whoever interns them again and again. */
export interface AttrsMemo {
  attrs: number;
  /** As of when: {@linkcode AttrsStore.generation}. */
  generation: number;
}

export class AttrsStore {
  readonly reader: AttrsReader;
  readonly #words: Uint32Array;
  /** Where a record is written before it is known whether there is an equal one. */
  readonly #scratch = new Uint8Array(RECORD_BYTES_MAX);
  readonly #scratchWords = new Uint32Array(this.#scratch.buffer);
  readonly #scratchView = new DataView(this.#scratch.buffer);
  /** Next byte that no record has used yet. The first unit stays empty, so that number 0 means "none". */
  #brk = ATTRS_ALIGN;
  /** Free places by length: their numbers, last in, first out. */
  readonly #freeByLength = new Map<number, number[]>();
  #freedSinceMerge = 0;
  /** Open-addressing hash sets of attrs numbers; 0 is an empty place. */
  readonly #shards = Array.from({ length: SHARDS }, () => new Uint32Array(SHARD_MIN));
  readonly #shardCounts = new Uint32Array(SHARDS);
  #count = 0;
  #epoch = 0;
  /** Changes whenever a number may have come to mean something else, because a record was freed. */
  generation = 1;
  /** A record that is shared has one reference left, which is that of whoever shares it. */
  onUnused: () => void = () => {};

  constructor(storage: SharedArrayBuffer) {
    this.reader = new AttrsReader(storage);
    this.#words = new Uint32Array(storage);
  }

  /** Distinct records in use. */
  get count(): number {
    return this.#count;
  }

  /** Bytes of the arena that have ever been used. */
  get usedBytes(): number {
    return this.#brk;
  }

  references(attrs: number): number {
    return this.#words[(attrs * ATTRS_ALIGN + ATTRS.REFERENCES) >> 2]!;
  }

  /** True while the record of this number is still the one that had this epoch, for those who keep no reference. */
  isHeld(attrs: number, epoch: number): boolean {
    if (attrs === NO_ATTRS || attrs * ATTRS_ALIGN >= this.#brk || this.reader.epoch(attrs) !== epoch) return false;
    // What was written over a freed record may look like one; the index has only those in use.
    const hash = this.#hashOf(attrs);
    const shard = this.#shards[hash & (SHARDS - 1)]!;
    const mask = shard.length - 1;
    let place = (hash >>> SHARD_BITS) & mask;
    while (shard[place] !== NO_ATTRS && shard[place] !== attrs) place = (place + 1) & mask;
    return shard[place] === attrs;
  }

  /**
   * The number of the record with these attributes, made if there is none, with one reference more.
   * {@linkcode NO_ATTRS} if the arena is full.
   */
  intern(update: RouteUpdate): number {
    return this.#internScratch(encodeAttrs(this.#scratchView, this.#scratch, 0, update));
  }

  /** As {@linkcode intern}, of an update whose attributes are always the same with this memo. */
  internAgain(update: RouteUpdate, memo: AttrsMemo): number {
    if (memo.generation === this.generation && memo.attrs !== NO_ATTRS) {
      this.acquire(memo.attrs);
      return memo.attrs;
    }
    memo.attrs = this.intern(update);
    memo.generation = this.generation;
    return memo.attrs;
  }

  /** As {@linkcode intern}, for a record that another thread has encoded with `encodeAttrs` at `offset` of `bytes`. */
  internEncoded(bytes: Uint8Array, offset: number, length: number): number {
    for (let at = 0; at < length; at++) this.#scratch[at] = bytes[offset + at]!;
    return this.#internScratch(length);
  }

  #internScratch(length: number): number {
    const words = this.#scratchWords;
    const hash = hashRecord(words, length);
    const shardIndex = hash & (SHARDS - 1);
    const shard = this.#shards[shardIndex]!;
    const place = this.#find(shard, length, hash);
    const existing = shard[place]!;
    if (existing !== NO_ATTRS) {
      this.acquire(existing);
      return existing;
    }
    const attrs = this.#allocate(length);
    if (attrs === NO_ATTRS) return NO_ATTRS;
    this.#epoch = (this.#epoch + 1) >>> 0 || 1;
    words[ATTRS.EPOCH >> 2] = this.#epoch;
    words[ATTRS.REFERENCES >> 2] = 1;
    words[ATTRS.HASH >> 2] = hash;
    words[ATTRS.OBJECT >> 2] = NOT_SHARED;
    const base = (attrs * ATTRS_ALIGN) >> 2;
    for (let word = 0; word < length >> 2; word++) this.#words[base + word] = words[word]!;
    if (words[ATTRS.MTU >> 2] !== 0 && words[ATTRS.NEXTHOP_GROUP >> 2] !== 0) this.reader.u8[ARENA_HAS_GROUP_MTU] = 1;
    shard[place] = attrs;
    this.#count += 1;
    this.#shardCounts[shardIndex]! += 1;
    if (this.#shardCounts[shardIndex]! * 2 > shard.length) this.#growShard(shardIndex);
    return attrs;
  }

  /** One reference more; returns how many there are. */
  acquire(attrs: number): number {
    const at = (attrs * ATTRS_ALIGN + ATTRS.REFERENCES) >> 2;
    const references = this.#words[at]! + 1;
    this.#words[at] = references;
    return references;
  }

  /** What {@linkcode ATTRS.OBJECT} says of the record. */
  object(attrs: number): number {
    return this.#words[(attrs * ATTRS_ALIGN + ATTRS.OBJECT) >> 2]!;
  }

  setObject(attrs: number, object: number): void {
    this.#words[(attrs * ATTRS_ALIGN + ATTRS.OBJECT) >> 2] = object;
  }

  /** One reference less; the last one frees the record. */
  release(attrs: number): void {
    const base = attrs * ATTRS_ALIGN;
    const references = this.#words[(base + ATTRS.REFERENCES) >> 2]!;
    assert(references > 0, "attrs are released no more often than they were taken");
    this.#words[(base + ATTRS.REFERENCES) >> 2] = references - 1;
    if (references > 1) {
      if (references === 2 && this.#words[(base + ATTRS.OBJECT) >> 2] !== NOT_SHARED) this.onUnused();
      return;
    }
    this.#remove(attrs);
    this.generation += 1;
    const length = this.#words[(base + ATTRS.LENGTH) >> 2]!;
    this.#freedSinceMerge += length;
    this.#giveBack(attrs, length);
  }

  #allocate(length: number): number {
    const exact = this.#freeByLength.get(length)?.pop();
    if (exact !== undefined) return exact;
    if (this.#hasEnd(length)) {
      const attrs = this.#brk / ATTRS_ALIGN;
      this.#brk += length;
      return attrs;
    }
    const part = this.#allocatePart(length);
    if (part !== NO_ATTRS || this.#freedSinceMerge * MERGE_PART < this.reader.storage.maxByteLength) return part;
    this.#merge();
    return this.#hasEnd(length) ? this.#allocate(length) : this.#allocatePart(length);
  }

  /** Whether the arena's end has room, which it is made to have where the arena may grow. */
  #hasEnd(length: number): boolean {
    const { storage } = this.reader;
    const end = this.#brk + length;
    if (end <= storage.byteLength) return true;
    if (end > storage.maxByteLength) return false;
    storage.grow(Math.min(storage.byteLength + GROWTH_BYTES, storage.maxByteLength));
    return true;
  }

  /** Takes the beginning of the shortest free place that is longer, for an arena with no end left to take from. */
  #allocatePart(length: number): number {
    let shortest = Number.POSITIVE_INFINITY;
    for (const [free, places] of this.#freeByLength) {
      if (places.length > 0 && free >= length && free < shortest) shortest = free;
    }
    if (shortest === Number.POSITIVE_INFINITY) return NO_ATTRS;
    const attrs = this.#freeByLength.get(shortest)!.pop()!;
    if (shortest > length) this.#addFree(attrs + length / ATTRS_ALIGN, shortest - length);
    return attrs;
  }

  /** Makes one place of those that lie side by side. */
  #merge(): void {
    this.#freedSinceMerge = 0;
    const places = Array.from(this.#freeByLength, ([length, all]) => all.map((attrs) => ({ attrs, length }))).flat();
    places.sort((a, b) => a.attrs - b.attrs);
    this.#freeByLength.clear();
    let open: { attrs: number; length: number } | undefined;
    for (const place of places) {
      if (open !== undefined && open.attrs * ATTRS_ALIGN + open.length === place.attrs * ATTRS_ALIGN) {
        open.length += place.length;
        continue;
      }
      if (open !== undefined) this.#addFree(open.attrs, open.length);
      open = place;
    }
    if (open !== undefined) this.#giveBack(open.attrs, open.length);
  }

  #giveBack(attrs: number, length: number): void {
    if (attrs * ATTRS_ALIGN + length === this.#brk) this.#brk -= length;
    else this.#addFree(attrs, length);
  }

  #addFree(attrs: number, length: number): void {
    const places = this.#freeByLength.get(length);
    if (places === undefined) this.#freeByLength.set(length, [attrs]);
    else places.push(attrs);
  }

  /** The place of the record equal to the scratch, or the empty place where it would go. */
  #find(shard: Uint32Array, length: number, hash: number): number {
    const mask = shard.length - 1;
    let place = (hash >>> SHARD_BITS) & mask;
    while (shard[place] !== NO_ATTRS && !this.#isScratch(shard[place]!, length, hash)) place = (place + 1) & mask;
    return place;
  }

  #isScratch(attrs: number, length: number, hash: number): boolean {
    const base = (attrs * ATTRS_ALIGN) >> 2;
    if (this.#words[base + (ATTRS.HASH >> 2)] !== hash) return false;
    if (this.#words[base + (ATTRS.LENGTH >> 2)] !== length) return false;
    for (let word = ATTRS.CONTENT >> 2; word < length >> 2; word++) {
      if (this.#words[base + word] !== this.#scratchWords[word]) return false;
    }
    return true;
  }

  #hashOf(attrs: number): number {
    return this.#words[(attrs * ATTRS_ALIGN + ATTRS.HASH) >> 2]!;
  }

  /** Linear probing's deletion: later records of the same run move up, so that no tombstones pile up. */
  #remove(attrs: number): void {
    const hash = this.#hashOf(attrs);
    const shardIndex = hash & (SHARDS - 1);
    const shard = this.#shards[shardIndex]!;
    const mask = shard.length - 1;
    let hole = (hash >>> SHARD_BITS) & mask;
    while (shard[hole] !== attrs) {
      assert(shard[hole] !== NO_ATTRS, "attrs in use are in the index");
      hole = (hole + 1) & mask;
    }
    for (let next = (hole + 1) & mask; shard[next] !== NO_ATTRS; next = (next + 1) & mask) {
      const home = (this.#hashOf(shard[next]!) >>> SHARD_BITS) & mask;
      if (((next - home) & mask) >= ((next - hole) & mask)) {
        shard[hole] = shard[next]!;
        hole = next;
      }
    }
    shard[hole] = NO_ATTRS;
    this.#count -= 1;
    this.#shardCounts[shardIndex]! -= 1;
  }

  #growShard(shardIndex: number): void {
    const old = this.#shards[shardIndex]!;
    const shard = new Uint32Array(old.length * 2);
    const mask = shard.length - 1;
    for (let from = 0; from < old.length; from++) {
      const attrs = old[from]!;
      if (attrs === NO_ATTRS) continue;
      let place = (this.#hashOf(attrs) >>> SHARD_BITS) & mask;
      while (shard[place] !== NO_ATTRS) place = (place + 1) & mask;
      shard[place] = attrs;
    }
    this.#shards[shardIndex] = shard;
  }
}

/** FNV-1a over the content's words, with a final mix because shards and places use the low bits. */
function hashRecord(words: Uint32Array, length: number): number {
  let hash = 0x811c9dc5;
  for (let word = ATTRS.CONTENT >> 2; word < length >> 2; word++) hash = Math.imul(hash ^ words[word]!, 0x01000193);
  hash ^= hash >>> 15;
  hash = Math.imul(hash, 0x2c1b3c6d);
  return (hash ^ (hash >>> 12)) >>> 0;
}
