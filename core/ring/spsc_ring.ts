/**
 * A queue of u32 slot numbers between two threads, one that produces and one that consumes, in shared memory.
 *
 * Indexes run freely over 32 bits and are masked on access, so full and empty need no spare element and differences
 * stay right across overflow (DPDK `rte_ring`). Head and tail lie on cache lines of their own, and each side caches
 * the other's index and reloads it only when the ring looks full or empty (LMAX Disruptor).
 *
 * Ordering edges: the producer writes elements, then stores TAIL (P1); the consumer loads TAIL (C1, pairs with P1)
 * before it reads them. The consumer stores HEAD after it has read them (C2); the producer loads HEAD (P2, pairs with
 * C2) before it writes over them. Whatever the producer wrote to a context before P1 is seen by the consumer after C1:
 * this hands the context's ownership over.
 */
import { assert } from "../assert.ts";

const HEAD = 0;
const TAIL = 16;
const HIGH_WATER = 32;
const PRODUCER_CLAIMED = 48;
const CONSUMER_CLAIMED = 49;
const ELEMENTS = 64;

/** Returned by a pop from an empty ring. */
export const EMPTY = -1;

/** Shared storage for a ring; `capacity` is a power of two. */
export function createRingStorage(capacity: number): SharedArrayBuffer {
  assert(capacity > 0 && (capacity & (capacity - 1)) === 0, `ring capacity ${capacity} is a power of two`);
  return new SharedArrayBuffer((ELEMENTS + capacity) * 4);
}

function capacityOf(storage: SharedArrayBuffer): number {
  return storage.byteLength / 4 - ELEMENTS;
}

/**
 * Elements in the ring, a moment old when it is read from a third thread. Head is loaded first: the other way round a
 * consumer that comes in between could make it look less than empty. This way it can look more than full.
 */
function ringDepth(cells: Int32Array, capacity: number): number {
  const head = Atomics.load(cells, HEAD);
  const depth = (Atomics.load(cells, TAIL) - head) | 0;
  return Math.min(depth, capacity);
}

/** The producing side; there is one a ring, and one thread uses it. */
export class RingProducer {
  readonly #cells: Int32Array;
  readonly #mask: number;
  readonly #capacity: number;
  #tail: number;
  #headCache: number;
  #highWater: number;

  constructor(storage: SharedArrayBuffer) {
    this.#cells = new Int32Array(storage);
    this.#capacity = capacityOf(storage);
    this.#mask = this.#capacity - 1;
    assert(Atomics.exchange(this.#cells, PRODUCER_CLAIMED, 1) === 0, "a ring has one producer");
    this.#tail = Atomics.load(this.#cells, TAIL);
    this.#headCache = Atomics.load(this.#cells, HEAD);
    this.#highWater = this.#cells[HIGH_WATER]!;
  }

  /** Appends one element; false if the ring is full. */
  push(element: number): boolean {
    if (((this.#tail - this.#headCache) | 0) >= this.#capacity) {
      this.#headCache = Atomics.load(this.#cells, HEAD); // P2
      if (((this.#tail - this.#headCache) | 0) >= this.#capacity) return false;
    }
    this.#cells[ELEMENTS + (this.#tail & this.#mask)] = element;
    this.#publish((this.#tail + 1) | 0);
    return true;
  }

  /** Appends as many of `elements[from, from + count)` as fit and returns their number. */
  pushMany(elements: Uint32Array, from: number, count: number): number {
    let room = this.#capacity - ((this.#tail - this.#headCache) | 0);
    if (room < count) {
      this.#headCache = Atomics.load(this.#cells, HEAD); // P2
      room = this.#capacity - ((this.#tail - this.#headCache) | 0);
    }
    const taken = Math.min(count, room);
    for (let index = 0; index < taken; index++) {
      this.#cells[ELEMENTS + ((this.#tail + index) & this.#mask)] = elements[from + index]!;
    }
    if (taken > 0) this.#publish((this.#tail + taken) | 0);
    return taken;
  }

  get depth(): number {
    return (this.#tail - Atomics.load(this.#cells, HEAD)) | 0;
  }

  #publish(tail: number): void {
    this.#tail = tail;
    Atomics.store(this.#cells, TAIL, tail); // P1
    const depth = (tail - this.#headCache) | 0;
    // The cached head can be old, which would overstate the depth: reload before believing in a new record.
    if (depth > this.#highWater) {
      this.#headCache = Atomics.load(this.#cells, HEAD);
      const exact = (tail - this.#headCache) | 0;
      if (exact > this.#highWater) {
        this.#highWater = exact;
        this.#cells[HIGH_WATER] = exact;
      }
    }
  }
}

/** The consuming side; there is one a ring, and one thread uses it. */
export class RingConsumer {
  readonly #cells: Int32Array;
  readonly #mask: number;
  #head: number;
  #tailCache: number;

  constructor(storage: SharedArrayBuffer) {
    this.#cells = new Int32Array(storage);
    this.#mask = capacityOf(storage) - 1;
    assert(Atomics.exchange(this.#cells, CONSUMER_CLAIMED, 1) === 0, "a ring has one consumer");
    this.#head = Atomics.load(this.#cells, HEAD);
    this.#tailCache = Atomics.load(this.#cells, TAIL);
  }

  /** Takes the oldest element, or {@linkcode EMPTY}. */
  pop(): number {
    if (this.#head === this.#tailCache) {
      this.#tailCache = Atomics.load(this.#cells, TAIL); // C1
      if (this.#head === this.#tailCache) return EMPTY;
    }
    const element = this.#cells[ELEMENTS + (this.#head & this.#mask)]! >>> 0;
    this.#head = (this.#head + 1) | 0;
    Atomics.store(this.#cells, HEAD, this.#head); // C2
    return element;
  }

  /** Takes up to `limit` of the oldest elements into `into[at…]` and returns their number. */
  popMany(into: Uint32Array, at: number, limit: number): number {
    let available = (this.#tailCache - this.#head) | 0;
    if (available < limit) {
      this.#tailCache = Atomics.load(this.#cells, TAIL); // C1
      available = (this.#tailCache - this.#head) | 0;
    }
    const taken = Math.min(available, limit);
    for (let index = 0; index < taken; index++) {
      into[at + index] = this.#cells[ELEMENTS + ((this.#head + index) & this.#mask)]!;
    }
    if (taken > 0) {
      this.#head = (this.#head + taken) | 0;
      Atomics.store(this.#cells, HEAD, this.#head); // C2
    }
    return taken;
  }

  get depth(): number {
    return (Atomics.load(this.#cells, TAIL) - this.#head) | 0;
  }
}

/** Reads a ring from outside, for counters and for collecting what a dead thread left behind. */
export class RingObserver {
  readonly #cells: Int32Array;
  readonly #mask: number;

  constructor(storage: SharedArrayBuffer) {
    this.#cells = new Int32Array(storage);
    this.#mask = capacityOf(storage) - 1;
  }

  get depth(): number {
    return ringDepth(this.#cells, this.#mask + 1);
  }

  /** Deepest that the ring has been. */
  get highWater(): number {
    return this.#cells[HIGH_WATER]!;
  }

  /** The elements, oldest first; exact only while neither side moves. */
  elements(): number[] {
    const head = Atomics.load(this.#cells, HEAD);
    const depth = this.depth;
    const found: number[] = [];
    for (let index = 0; index < depth; index++)
      found.push(this.#cells[ELEMENTS + ((head + index) & this.#mask)]! >>> 0);
    return found;
  }
}
