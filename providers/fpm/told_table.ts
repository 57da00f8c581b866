/**
 * The routes of one address family that the peer was told of, or is to be told of, by their keys: 28 bytes for an IPv4
 * route, 52 for an IPv6 one, and about 6 for the index. It outlives connections: a peer may keep what it was told. The
 * thread of the FPM provider.
 *
 * It goes by key and not by the RIB's number, so that a number that another route has by now can mislead nobody.
 */
import { assert } from "../../core/assert.ts";
import { Family } from "../../core/model/route.ts";
import { type RouteKey, SOURCE_WORD } from "./route_key.ts";

/** The number that no entry has. */
export const NO_ENTRY = 0;

/** Bits of an entry. The peer was told of the route, and not yet to delete it. */
export const TOLD = 0x01;
/** The replay under way has come by it. */
export const SEEN = 0x02;
/** It could not be told, because its nexthop object was not known. */
export const UNRESOLVED = 0x04;
/** The peer was told to delete it, but may not have read that yet: if the connection ends now, it may still hold it. */
export const DELETED = 0x08;
/** A write of it was under way when it was asked for: what the peer holds of it may be older than what is known here. */
export const PENDING = 0x10;
/** What makes an entry worth keeping. */
export const KEPT = TOLD | UNRESOLVED | DELETED;

/**
 * Deletions that are remembered: more than fit into all buffers between us and a peer that does not read (1 MiB here, and
 * by Linux' defaults 4 MiB of sending and 6 MiB of receiving), at 48 bytes or more each.
 */
export const DELETED_MAX = 1 << 18;

/** Fields by word, after the two addresses. */
const TABLE = 0;
const METRIC = 1;
const META = 2; // bits << 24 | protocol << 16 | length of the source prefix << 8 | length of the prefix
const OBJECT = 3; // nexthop object of the route; 0 for none
const STAMP = 4; // of one that is DELETED: which deletion it was
const FIELDS = 5;
const META_KEY = 0xffff;

const CHUNK_BITS = 14;
const CHUNK_ENTRIES = 1 << CHUNK_BITS;
const SHARDS = 256;
const SHARD_BITS = 8;
const SHARD_MIN = 16;

export class ToldTable {
  readonly family: Family;
  /** Words of one address. */
  readonly #addressWords: number;
  readonly #stride: number;
  readonly #chunks: Uint32Array[] = [];
  #last = 0;
  readonly #free: number[] = [];
  count = 0;
  toldCount = 0;
  unresolvedCount = 0;
  pendingCount = 0;
  /** Hash index in shards that grow one by one, so that no update waits for all of it to be hashed again. */
  readonly #shards: Uint32Array[] = Array.from({ length: SHARDS }, () => new Uint32Array(SHARD_MIN));
  readonly #shardCounts = new Uint32Array(SHARDS);
  /** A bit for each entry that is to be asked for. */
  #dirty = new Uint32Array(64);
  dirtyCount = 0;

  /** Routes on each nexthop object, which the tables of both families count together. */
  readonly #objectUsers: Map<number, number>;

  /** Entries in the order of their deletions, the latest DELETED_MAX of them; grows up to that. */
  #deletions = new Uint32Array(64);
  #deletionCount = 0;

  constructor(family: Family, objectUsers: Map<number, number>) {
    this.family = family;
    this.#objectUsers = objectUsers;
    this.#addressWords = family === Family.IPV6 ? 4 : 1;
    this.#stride = 2 * this.#addressWords + FIELDS;
  }

  /** Highest number handed out so far. */
  get last(): number {
    return this.#last;
  }

  find(key: RouteKey): number {
    const hash = this.#hashKey(key);
    return this.#shards[hash & (SHARDS - 1)]![this.#locate(key, hash)]!;
  }

  findOrInsert(key: RouteKey): number {
    const hash = this.#hashKey(key);
    const shardIndex = hash & (SHARDS - 1);
    const shard = this.#shards[shardIndex]!;
    const place = this.#locate(key, hash);
    if (shard[place] !== NO_ENTRY) return shard[place]!;
    const entry = this.#free.pop() ?? this.#newNumber();
    const chunk = this.#chunk(entry);
    const base = this.#base(entry);
    const words = this.#addressWords;
    for (let word = 0; word < words; word++) {
      chunk[base + word] = key.words[word]!;
      chunk[base + words + word] = key.words[SOURCE_WORD + word]!;
    }
    chunk[base + 2 * words + TABLE] = key.table;
    chunk[base + 2 * words + METRIC] = key.metric;
    chunk[base + 2 * words + META] = (key.sourceLength << 8) | key.prefixLength;
    chunk[base + 2 * words + OBJECT] = 0;
    chunk[base + 2 * words + STAMP] = 0;
    shard[place] = entry;
    this.count += 1;
    this.#shardCounts[shardIndex]! += 1;
    if (this.#shardCounts[shardIndex]! * 4 > shard.length * 3) this.#growShard(shardIndex);
    return entry;
  }

  remove(entry: number): void {
    this.setBits(entry, 0);
    this.setObject(entry, 0);
    this.clearDirty(entry);
    const hash = this.#hashEntry(entry);
    const shard = this.#shards[hash & (SHARDS - 1)]!;
    const mask = shard.length - 1;
    let hole = (hash >>> SHARD_BITS) & mask;
    while (shard[hole] !== entry) {
      assert(shard[hole] !== NO_ENTRY, "an entry in use is in the index");
      hole = (hole + 1) & mask;
    }
    for (let next = (hole + 1) & mask; shard[next] !== NO_ENTRY; next = (next + 1) & mask) {
      const home = (this.#hashEntry(shard[next]!) >>> SHARD_BITS) & mask;
      if (((next - home) & mask) >= ((next - hole) & mask)) {
        shard[hole] = shard[next]!;
        hole = next;
      }
    }
    shard[hole] = NO_ENTRY;
    this.#shardCounts[hash & (SHARDS - 1)]! -= 1;
    this.count -= 1;
    // No key has lengths like these, which mark a number that is free.
    this.#set(entry, META, META_KEY);
    this.#free.push(entry);
  }

  isUsed(entry: number): boolean {
    return (this.#get(entry, META) & META_KEY) !== META_KEY;
  }

  readKey(entry: number, key: RouteKey): void {
    const chunk = this.#chunk(entry);
    const base = this.#base(entry);
    const words = this.#addressWords;
    key.words.fill(0);
    for (let word = 0; word < words; word++) {
      key.words[word] = chunk[base + word]!;
      key.words[SOURCE_WORD + word] = chunk[base + words + word]!;
    }
    const meta = this.#get(entry, META);
    key.family = this.family;
    key.prefixLength = meta & 0xff;
    key.sourceLength = (meta >>> 8) & 0xff;
    key.table = this.#get(entry, TABLE);
    key.metric = this.#get(entry, METRIC);
  }

  bits(entry: number): number {
    return this.#get(entry, META) >>> 24;
  }

  setBits(entry: number, bits: number): void {
    const meta = this.#get(entry, META);
    const before = meta >>> 24;
    this.toldCount += (bits & TOLD) - (before & TOLD);
    if (((bits ^ before) & PENDING) !== 0) this.pendingCount += (bits & PENDING) !== 0 ? 1 : -1;
    if (((bits ^ before) & UNRESOLVED) !== 0) this.unresolvedCount += (bits & UNRESOLVED) !== 0 ? 1 : -1;
    this.#set(entry, META, ((bits << 24) | (meta & 0xffffff)) >>> 0);
  }

  /** Notes that the peer was told to delete the route; for a while it is not forgotten. */
  setDeleted(entry: number): void {
    this.setBits(entry, DELETED);
    this.setObject(entry, 0);
    this.clearDirty(entry);
    if (this.#deletionCount >= this.#deletions.length && this.#deletions.length < DELETED_MAX) {
      const grown = new Uint32Array(this.#deletions.length * 2);
      grown.set(this.#deletions);
      this.#deletions = grown;
    }
    const place = this.#deletionCount % this.#deletions.length;
    const stamp = (this.#deletionCount - this.#deletions.length) >>> 0;
    const oldest = this.#deletionCount >= this.#deletions.length ? this.#deletions[place]! : NO_ENTRY;
    this.#set(entry, STAMP, this.#deletionCount >>> 0);
    this.#deletions[place] = entry;
    this.#deletionCount += 1;
    if (oldest === NO_ENTRY || !this.isUsed(oldest) || this.#get(oldest, STAMP) !== stamp) return;
    if ((this.bits(oldest) & KEPT) === DELETED && !this.isDirty(oldest)) this.remove(oldest);
  }

  /** The connection has ended: the peer may hold what it was told to delete lately. */
  suspectDeleted(): void {
    for (let entry = 1; entry <= this.#last; entry++) {
      if (this.isUsed(entry) && (this.bits(entry) & DELETED) !== 0) this.setBits(entry, TOLD);
    }
    this.#deletionCount = 0;
  }

  /** RTPROT_* that the peer was told. */
  protocol(entry: number): number {
    return (this.#get(entry, META) >>> 16) & 0xff;
  }

  setProtocol(entry: number, protocol: number): void {
    this.#set(entry, META, ((this.#get(entry, META) & 0xff00ffff) | (protocol << 16)) >>> 0);
  }

  object(entry: number): number {
    return this.#get(entry, OBJECT);
  }

  setObject(entry: number, object: number): void {
    const before = this.#get(entry, OBJECT);
    if (before === object) return;
    this.#set(entry, OBJECT, object);
    if (object !== 0) this.#objectUsers.set(object, (this.#objectUsers.get(object) ?? 0) + 1);
    if (before === 0) return;
    const users = this.#objectUsers.get(before)! - 1;
    if (users === 0) this.#objectUsers.delete(before);
    else this.#objectUsers.set(before, users);
  }

  isDirty(entry: number): boolean {
    return ((this.#dirty[entry >>> 5] ?? 0) & (1 << (entry & 31))) !== 0;
  }

  setDirty(entry: number): void {
    if (this.isDirty(entry)) return;
    const word = entry >>> 5;
    if (word >= this.#dirty.length) {
      const grown = new Uint32Array(Math.max(this.#dirty.length * 2, word + 1));
      grown.set(this.#dirty);
      this.#dirty = grown;
    }
    this.#dirty[word]! |= 1 << (entry & 31);
    this.dirtyCount += 1;
  }

  clearDirty(entry: number): void {
    if (!this.isDirty(entry)) return;
    this.#dirty[entry >>> 5]! &= ~(1 << (entry & 31));
    this.dirtyCount -= 1;
  }

  /** The first dirty entry from this number on; NO_ENTRY if there is none. */
  nextDirty(from: number): number {
    let word = from >>> 5;
    let rest = (this.#dirty[word] ?? 0) & (-1 << (from & 31));
    while (rest === 0) {
      word += 1;
      if (word >= this.#dirty.length) return NO_ENTRY;
      rest = this.#dirty[word]!;
    }
    return word * 32 + (31 - Math.clz32(rest & -rest));
  }

  #get(entry: number, field: number): number {
    return this.#chunk(entry)[this.#base(entry) + 2 * this.#addressWords + field]!;
  }

  #set(entry: number, field: number, value: number): void {
    this.#chunk(entry)[this.#base(entry) + 2 * this.#addressWords + field] = value;
  }

  #chunk(entry: number): Uint32Array {
    return this.#chunks[entry >>> CHUNK_BITS]!;
  }

  #base(entry: number): number {
    return (entry & (CHUNK_ENTRIES - 1)) * this.#stride;
  }

  #newNumber(): number {
    this.#last += 1;
    if (this.#last >>> CHUNK_BITS >= this.#chunks.length) {
      this.#chunks.push(new Uint32Array(CHUNK_ENTRIES * this.#stride));
    }
    return this.#last;
  }

  #hashKey(key: RouteKey): number {
    let hash = ((key.sourceLength << 8) | key.prefixLength) ^ Math.imul(key.table, 0x27d4eb2f) ^ key.metric;
    for (let word = 0; word < this.#addressWords; word++) {
      hash = mix(mix(hash, key.words[word]!), key.words[SOURCE_WORD + word]!);
    }
    return finish(hash);
  }

  #hashEntry(entry: number): number {
    const chunk = this.#chunk(entry);
    const base = this.#base(entry);
    const words = this.#addressWords;
    const lengths = this.#get(entry, META) & META_KEY;
    let hash = lengths ^ Math.imul(this.#get(entry, TABLE), 0x27d4eb2f) ^ this.#get(entry, METRIC);
    for (let word = 0; word < words; word++) hash = mix(mix(hash, chunk[base + word]!), chunk[base + words + word]!);
    return finish(hash);
  }

  /** The place of the key in its shard, or the empty place where it would go. */
  #locate(key: RouteKey, hash: number): number {
    const shard = this.#shards[hash & (SHARDS - 1)]!;
    const mask = shard.length - 1;
    let place = (hash >>> SHARD_BITS) & mask;
    while (shard[place] !== NO_ENTRY && !this.#isKey(shard[place]!, key)) place = (place + 1) & mask;
    return place;
  }

  #isKey(entry: number, key: RouteKey): boolean {
    const chunk = this.#chunk(entry);
    const base = this.#base(entry);
    const words = this.#addressWords;
    const fields = base + 2 * words;
    if ((chunk[fields + META]! & META_KEY) !== ((key.sourceLength << 8) | key.prefixLength)) return false;
    if (chunk[fields + TABLE] !== key.table || chunk[fields + METRIC] !== key.metric) return false;
    for (let word = 0; word < words; word++) {
      if (chunk[base + word] !== key.words[word]) return false;
      if (chunk[base + words + word] !== key.words[SOURCE_WORD + word]) return false;
    }
    return true;
  }

  #growShard(shardIndex: number): void {
    const old = this.#shards[shardIndex]!;
    const shard = new Uint32Array(old.length * 2);
    const mask = shard.length - 1;
    for (const entry of old) {
      if (entry === NO_ENTRY) continue;
      let place = (this.#hashEntry(entry) >>> SHARD_BITS) & mask;
      while (shard[place] !== NO_ENTRY) place = (place + 1) & mask;
      shard[place] = entry;
    }
    this.#shards[shardIndex] = shard;
  }
}

function mix(hash: number, value: number): number {
  const product = Math.imul(hash ^ value, 0x9e3779b1);
  return product ^ (product >>> 15);
}

function finish(hash: number): number {
  let mixed = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35);
  return (mixed ^ (mixed >>> 16)) >>> 0;
}
