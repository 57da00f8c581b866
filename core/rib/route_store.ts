/**
 * The routes of one address family, held as words in chunks: 24 bytes for an IPv4 route, 36 for an IPv6 one, and about
 * 10 for the index. Main thread only.
 *
 * Memory is what looking for a route costs, so the index is made to touch little of it. It holds with each route's number
 * the bits of its key's hash: a route that is not there is mostly found missing without a look at any record, and the
 * index grows and closes gaps without one. And routes whose addresses are near one another are in the same shard, which
 * is in the cache then as long as updates come in some order.
 *
 * Nothing here ever copies or rehashes more than one 512th of the table at a time, because the main thread must answer
 * a health probe in between.
 */
import { assert } from "../assert.ts";

/** The number that no route has. */
export const NO_ROUTE = 0;

/** What is known of a route's outcome; WAITING: there is nothing yet that could be written. */
export const RouteState = { QUEUED: 1, PROGRAMMED: 2, FAILED: 3, SKIPPED: 4, WAITING: 5 } as const;
export type RouteState = (typeof RouteState)[keyof typeof RouteState];

/** Fields of a record by word, after the address. */
const KEY = 0; // key class << 8 | prefix length
const DESIRED = 1; // attrs that the owner wants; 0 if it wants the route gone
const PROGRAMMED = 2; // attrs that the kernel has confirmed; 0 for none
const STATUS = 3; // in flight << 31 | state << 28 | owner << 16 | failure
const SINCE = 4; // seconds since 1970 of the last result
const FIELDS = 5;

export const OWNERS_MAX = 0xfff;
export const FAILURES_MAX = 0xffff;
export const KEY_CLASSES_MAX = 0xffffff;

const CHUNK_BITS = 14;
const CHUNK_ROUTES = 1 << CHUNK_BITS;
const SHARDS = 512;
const SHARD_MIN = 64;
/** So many bits of a prefix may differ, its last ones, for routes to be in the same shard. */
const NEAR_BITS = 10;
/** Bits of a place in the index that are a route's number; above them are bits of the hash. */
const NUMBER_BITS = 25;
const NUMBER_MASK = (1 << NUMBER_BITS) - 1;
/** Most routes of a family that there can be. */
export const ROUTES_MAX = NUMBER_MASK;

export class RouteStore {
  /** Words of an address: 1 or 4. */
  readonly addressWords: number;
  readonly #stride: number;
  readonly #chunks: Uint32Array[] = [];
  /** Numbers handed out so far, and those given back. */
  #last = 0;
  readonly #free: number[] = [];
  #count = 0;
  /** Hash index in shards that grow one by one: route numbers below bits of the hash, 0 for an empty place. */
  readonly #shards: Uint32Array[];
  /** By place of each shard: the bits of the hash by which the route has it. */
  readonly #homes: Uint16Array[];
  readonly #shardCounts = new Uint32Array(SHARDS);
  /** The address that {@linkcode find} looked for last, in words, and where it is in the index, or would be. */
  readonly #wanted: Uint32Array;
  #wantedKey = 0;
  #wantedHash = 0;
  #wantedShard = 0;
  #wantedPlace = 0;

  constructor(addressBytes: 4 | 16) {
    this.addressWords = addressBytes / 4;
    this.#stride = this.addressWords + FIELDS;
    this.#shards = Array.from({ length: SHARDS }, () => new Uint32Array(SHARD_MIN));
    this.#homes = Array.from({ length: SHARDS }, () => new Uint16Array(SHARD_MIN));
    this.#wanted = new Uint32Array(this.addressWords);
  }

  get count(): number {
    return this.#count;
  }

  /** Highest number in use or free: the end of a walk over all routes. */
  get last(): number {
    return this.#last;
  }

  /** The route with this key, or {@linkcode NO_ROUTE}. `address` is in network order and masked. */
  find(address: Uint8Array, prefixLength: number, keyClass: number): number {
    const key = ((keyClass << 8) | prefixLength) >>> 0;
    const wanted = this.#wanted;
    for (let word = 0; word < this.addressWords; word++) {
      const at = word * 4;
      wanted[word] = (address[at]! << 24) | (address[at + 1]! << 16) | (address[at + 2]! << 8) | address[at + 3]!;
    }
    const hash = this.#hash(wanted, 0, key);
    const shardIndex = this.#shardOf(wanted, 0, key);
    const place = this.#locate(shardIndex, hash, key);
    this.#wantedKey = key;
    this.#wantedHash = hash;
    this.#wantedShard = shardIndex;
    this.#wantedPlace = place;
    return this.#shards[shardIndex]![place]! & NUMBER_MASK;
  }

  /** Whether there may be one more route. */
  get hasRoom(): boolean {
    return this.#free.length > 0 || this.#last < ROUTES_MAX;
  }

  /**
   * Adds the route that {@linkcode find} has just looked for in vain: nothing desired or programmed, queued. The caller
   * has asked {@linkcode hasRoom}.
   */
  insertMissing(): number {
    const key = this.#wantedKey;
    const hash = this.#wantedHash;
    const shardIndex = this.#wantedShard;
    const shard = this.#shards[shardIndex]!;
    const place = this.#wantedPlace;
    assert(shard[place] === NO_ROUTE, "a route is inserted once, after it was looked for");
    const route = this.#free.pop() ?? this.#newNumber();
    const chunk = this.#chunk(route);
    const base = this.#base(route);
    for (let word = 0; word < this.addressWords; word++) chunk[base + word] = this.#wanted[word]!;
    const fields = base + this.addressWords;
    chunk[fields + KEY] = key;
    chunk[fields + DESIRED] = 0;
    chunk[fields + PROGRAMMED] = 0;
    chunk[fields + STATUS] = (RouteState.QUEUED << 28) >>> 0;
    chunk[fields + SINCE] = 0;
    shard[place] = placed(route, hash);
    this.#homes[shardIndex]![place] = hash;
    this.#count += 1;
    this.#shardCounts[shardIndex]! += 1;
    if (this.#shardCounts[shardIndex]! * 4 > shard.length * 3) this.#growShard(shardIndex);
    return route;
  }

  remove(route: number): void {
    const chunk = this.#chunk(route);
    const base = this.#base(route);
    const key = chunk[base + this.addressWords + KEY]!;
    const hash = this.#hash(chunk, base, key);
    const shardIndex = this.#shardOf(chunk, base, key);
    const shard = this.#shards[shardIndex]!;
    const homes = this.#homes[shardIndex]!;
    const mask = shard.length - 1;
    let hole = hash & mask;
    const wanted = placed(route, hash);
    while (shard[hole] !== wanted) {
      assert(shard[hole] !== NO_ROUTE, "a route in use is in the index");
      hole = (hole + 1) & mask;
    }
    for (let next = (hole + 1) & mask; shard[next] !== NO_ROUTE; next = (next + 1) & mask) {
      const home = homes[next]! & mask;
      if (((next - home) & mask) >= ((next - hole) & mask)) {
        shard[hole] = shard[next]!;
        homes[hole] = homes[next]!;
        hole = next;
      }
    }
    shard[hole] = NO_ROUTE;
    this.#shardCounts[shardIndex]! -= 1;
    this.#count -= 1;
    chunk[base + this.addressWords + STATUS] = 0;
    this.#free.push(route);
  }

  /** False for a number that is free. */
  isUsed(route: number): boolean {
    return this.#chunk(route)[this.#field(route) + STATUS] !== 0;
  }

  /** Writes the route's address into `into` at `offset`, in network order. */
  address(route: number, into: Uint8Array, offset = 0): void {
    const chunk = this.#chunk(route);
    const base = this.#base(route);
    for (let word = 0; word < this.addressWords; word++) {
      const value = chunk[base + word]!;
      const at = offset + word * 4;
      into[at] = value >>> 24;
      into[at + 1] = value >>> 16;
      into[at + 2] = value >>> 8;
      into[at + 3] = value;
    }
  }

  prefixLength(route: number): number {
    return this.#get(route, KEY) & 0xff;
  }

  keyClass(route: number): number {
    return this.#get(route, KEY) >>> 8;
  }

  desired(route: number): number {
    return this.#get(route, DESIRED);
  }

  setDesired(route: number, attrs: number): void {
    this.#set(route, DESIRED, attrs);
  }

  programmed(route: number): number {
    return this.#get(route, PROGRAMMED);
  }

  setProgrammed(route: number, attrs: number): void {
    this.#set(route, PROGRAMMED, attrs);
  }

  state(route: number): RouteState {
    return ((this.#get(route, STATUS) >>> 28) & 7) as RouteState;
  }

  owner(route: number): number {
    return (this.#get(route, STATUS) >>> 16) & OWNERS_MAX;
  }

  setOwner(route: number, owner: number): void {
    this.#set(route, STATUS, ((this.#get(route, STATUS) & ~(OWNERS_MAX << 16)) | (owner << 16)) >>> 0);
  }

  /** The failure's number in the RIB's list; 0 for none. */
  failure(route: number): number {
    return this.#get(route, STATUS) & FAILURES_MAX;
  }

  setOutcome(route: number, state: RouteState, failure: number, sinceSeconds: number): void {
    const kept = this.#get(route, STATUS) & (0x80000000 | (OWNERS_MAX << 16));
    this.#set(route, STATUS, (kept | (state << 28) | failure) >>> 0);
    this.#set(route, SINCE, sinceSeconds);
  }

  since(route: number): number {
    return this.#get(route, SINCE);
  }

  /** An update of this route is with the dataplane. */
  isInFlight(route: number): boolean {
    return this.#get(route, STATUS) >>> 31 === 1;
  }

  setInFlight(route: number, inFlight: boolean): void {
    const rest = this.#get(route, STATUS) & 0x7fffffff;
    this.#set(route, STATUS, inFlight ? (rest | 0x80000000) >>> 0 : rest);
  }

  #get(route: number, field: number): number {
    return this.#chunk(route)[this.#field(route) + field]!;
  }

  #set(route: number, field: number, value: number): void {
    this.#chunk(route)[this.#field(route) + field] = value;
  }

  #chunk(route: number): Uint32Array {
    return this.#chunks[route >>> CHUNK_BITS]!;
  }

  #base(route: number): number {
    return (route & (CHUNK_ROUTES - 1)) * this.#stride;
  }

  #field(route: number): number {
    return this.#base(route) + this.addressWords;
  }

  #newNumber(): number {
    this.#last += 1;
    if (this.#last >>> CHUNK_BITS >= this.#chunks.length)
      this.#chunks.push(new Uint32Array(CHUNK_ROUTES * this.#stride));
    return this.#last;
  }

  /** Of a key with its address in words from `base` on. */
  #hash(words: Uint32Array, base: number, key: number): number {
    let hash = key;
    for (let word = 0; word < this.addressWords; word++) hash = mix(hash, words[base + word]!);
    return finish(hash);
  }

  /** The shard of a key: the same for those that differ only in the last bits of their prefixes. */
  #shardOf(words: Uint32Array, base: number, key: number): number {
    const length = key & 0xff;
    if (length <= NEAR_BITS) return finish(key) & (SHARDS - 1);
    const bits = length - NEAR_BITS;
    let hash = key;
    let word = 0;
    for (; (word + 1) * 32 <= bits; word++) hash = mix(hash, words[base + word]!);
    const rest = bits - word * 32;
    if (rest > 0) hash = mix(hash, words[base + word]! >>> (32 - rest));
    return finish(hash) & (SHARDS - 1);
  }

  /** The place of the wanted key in the shard, or the empty place where it would go. */
  #locate(shardIndex: number, hash: number, key: number): number {
    const shard = this.#shards[shardIndex]!;
    const mask = shard.length - 1;
    const tag = hash >>> NUMBER_BITS;
    let place = hash & mask;
    for (let found = shard[place]!; found !== NO_ROUTE; found = shard[place]!) {
      if (found >>> NUMBER_BITS === tag && this.#isWanted(found & NUMBER_MASK, key)) return place;
      place = (place + 1) & mask;
    }
    return place;
  }

  #isWanted(route: number, key: number): boolean {
    const chunk = this.#chunk(route);
    const base = this.#base(route);
    if (chunk[base + this.addressWords + KEY] !== key) return false;
    for (let word = 0; word < this.addressWords; word++) {
      if (chunk[base + word] !== this.#wanted[word]) return false;
    }
    return true;
  }

  #growShard(shardIndex: number): void {
    const old = this.#shards[shardIndex]!;
    const oldHomes = this.#homes[shardIndex]!;
    const shard = new Uint32Array(old.length * 2);
    const homes = new Uint16Array(old.length * 2);
    const mask = shard.length - 1;
    for (let from = 0; from < old.length; from++) {
      const found = old[from]!;
      if (found === NO_ROUTE) continue;
      const home = oldHomes[from]!;
      let place = home & mask;
      while (shard[place] !== NO_ROUTE) place = (place + 1) & mask;
      shard[place] = found;
      homes[place] = home;
    }
    this.#shards[shardIndex] = shard;
    this.#homes[shardIndex] = homes;
  }
}

/** What stands in the index for a route whose key has this hash. */
function placed(route: number, hash: number): number {
  return ((hash & ~NUMBER_MASK) | route) >>> 0;
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
