/**
 * The routes of one address family, held as words in chunks: 24 bytes for an IPv4 route, 36 for an IPv6 one, and about
 * 6 for the index. Main thread only.
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
const SHARD_MIN = 16;

export class RouteStore {
  /** Words of an address: 1 or 4. */
  readonly addressWords: number;
  readonly #stride: number;
  readonly #chunks: Uint32Array[] = [];
  /** Numbers handed out so far, and those given back. */
  #last = 0;
  readonly #free: number[] = [];
  #count = 0;
  /** Hash index in shards that grow one by one: route numbers, 0 for an empty place. */
  readonly #shards: Uint32Array[];
  readonly #shardCounts = new Uint32Array(SHARDS);
  readonly #wanted: Uint32Array;

  constructor(addressBytes: 4 | 16) {
    this.addressWords = addressBytes / 4;
    this.#stride = this.addressWords + FIELDS;
    this.#shards = Array.from({ length: SHARDS }, () => new Uint32Array(SHARD_MIN));
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
    const hash = this.#hashWanted(address, key);
    const shard = this.#shards[hash & (SHARDS - 1)]!;
    return shard[this.#locate(shard, hash, key)]!;
  }

  /** Adds a route that is not there yet: nothing desired or programmed, queued. */
  insert(address: Uint8Array, prefixLength: number, keyClass: number): number {
    const key = ((keyClass << 8) | prefixLength) >>> 0;
    const hash = this.#hashWanted(address, key);
    const shardIndex = hash & (SHARDS - 1);
    const shard = this.#shards[shardIndex]!;
    const place = this.#locate(shard, hash, key);
    assert(shard[place] === NO_ROUTE, "a route is inserted once");
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
    shard[place] = route;
    this.#count += 1;
    this.#shardCounts[shardIndex]! += 1;
    if (this.#shardCounts[shardIndex]! * 4 > shard.length * 3) this.#growShard(shardIndex);
    return route;
  }

  remove(route: number): void {
    const hash = this.#hashOf(route);
    const shardIndex = hash & (SHARDS - 1);
    const shard = this.#shards[shardIndex]!;
    const mask = shard.length - 1;
    let hole = (hash >>> 9) & mask;
    while (shard[hole] !== route) {
      assert(shard[hole] !== NO_ROUTE, "a route in use is in the index");
      hole = (hole + 1) & mask;
    }
    for (let next = (hole + 1) & mask; shard[next] !== NO_ROUTE; next = (next + 1) & mask) {
      const home = (this.#hashOf(shard[next]!) >>> 9) & mask;
      if (((next - home) & mask) >= ((next - hole) & mask)) {
        shard[hole] = shard[next]!;
        hole = next;
      }
    }
    shard[hole] = NO_ROUTE;
    this.#shardCounts[shardIndex]! -= 1;
    this.#count -= 1;
    this.#chunk(route)[this.#field(route) + STATUS] = 0;
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
      into[at] = value;
      into[at + 1] = value >>> 8;
      into[at + 2] = value >>> 16;
      into[at + 3] = value >>> 24;
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

  /** Reads the address into words and hashes it with the key. */
  #hashWanted(address: Uint8Array, key: number): number {
    let hash = key;
    for (let word = 0; word < this.addressWords; word++) {
      const at = word * 4;
      const value =
        (address[at]! | (address[at + 1]! << 8) | (address[at + 2]! << 16) | (address[at + 3]! << 24)) >>> 0;
      this.#wanted[word] = value;
      hash = mix(hash, value);
    }
    return finish(hash);
  }

  #hashOf(route: number): number {
    const chunk = this.#chunk(route);
    const base = this.#base(route);
    let hash = chunk[base + this.addressWords + KEY]!;
    for (let word = 0; word < this.addressWords; word++) hash = mix(hash, chunk[base + word]!);
    return finish(hash);
  }

  /** The place of the wanted key in the shard, or the empty place where it would go. */
  #locate(shard: Uint32Array, hash: number, key: number): number {
    const mask = shard.length - 1;
    let place = (hash >>> 9) & mask;
    while (shard[place] !== NO_ROUTE && !this.#isWanted(shard[place]!, key)) place = (place + 1) & mask;
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
    const shard = new Uint32Array(old.length * 2);
    const mask = shard.length - 1;
    for (let from = 0; from < old.length; from++) {
      const route = old[from]!;
      if (route === NO_ROUTE) continue;
      let place = (this.#hashOf(route) >>> 9) & mask;
      while (shard[place] !== NO_ROUTE) place = (place + 1) & mask;
      shard[place] = route;
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
