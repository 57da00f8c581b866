/**
 * Withdrawals that a session has taken in and that are not admitted yet, because the dataplane has more to do than it can.
 * The kernel's IPv4 table is a trie, and takes half a microsecond for the removal of a route where the longest prefixes go
 * first; in the order of addresses, in which nearly every client sends them, it takes three (`rib/stale_walk.ts`). Within
 * the queue of contexts that order gains nothing: it takes some 200,000 routes to choose from. So they wait here, as eight
 * bytes each, while the client sends on. Main thread.
 *
 * Only IPv4: the kernel is as fast with IPv6 routes as they come. One that nobody is ahead of is admitted at once, and as
 * long as any wait here no other update of the session overtakes them.
 */
import { Family, type RouteUpdate, UpdateOp } from "../model/route.ts";

/** Withdrawals that may wait, of all sessions together: 8 MiB. */
const WAITING_MAX = 1 << 20;
/** Address and line. */
const WORDS = 2;
const CHUNK_WORDS = WORDS * 4096;

/** What all sessions share. */
export class WithdrawalRoom {
  left: number;

  constructor(left = WAITING_MAX) {
    this.left = left;
  }
}

/** Those of one length, first come first served. */
class PrefixQueue {
  readonly #chunks: Uint32Array<ArrayBuffer>[] = [];
  /** Words taken out of the first chunk, and those in the last one. */
  #head = 0;
  #tail = CHUNK_WORDS;

  get isEmpty(): boolean {
    return this.#chunks.length === 0;
  }

  push(address: number, line: number): void {
    if (this.#tail === CHUNK_WORDS) {
      this.#chunks.push(new Uint32Array(CHUNK_WORDS));
      this.#tail = 0;
    }
    const chunk = this.#chunks.at(-1)!;
    chunk[this.#tail] = address;
    chunk[this.#tail + 1] = line;
    this.#tail += WORDS;
  }

  /** Writes the address of the first into `prefix` and returns its line. */
  shift(prefix: Uint8Array): number {
    const chunk = this.#chunks[0]!;
    const address = chunk[this.#head]!;
    const line = chunk[this.#head + 1]!;
    for (let octet = 0; octet < 4; octet++) prefix[octet] = address >>> (24 - 8 * octet);
    this.#head += WORDS;
    const isLast = this.#chunks.length === 1;
    if (this.#head === (isLast ? this.#tail : CHUNK_WORDS)) {
      // Its memory is free at once, not when garbage is collected.
      this.#chunks.shift()!.buffer.transfer(0);
      this.#head = 0;
      if (isLast) this.#tail = CHUNK_WORDS;
    }
    return line;
  }
}

export class Withdrawals {
  /** That wait. */
  count = 0;
  readonly #room: WithdrawalRoom;
  /** By length; made when first needed, for nearly every session is over before one is. */
  readonly #queues: (PrefixQueue | undefined)[] = [];
  /** All that wait have these in common. */
  #table = 0;
  #metric = 0;

  constructor(room: WithdrawalRoom) {
    this.#room = room;
  }

  /** Whether an update may wait here, beside those that do. */
  takes({ op, family, sourceLength, table, metric }: RouteUpdate): boolean {
    if (op !== UpdateOp.DELETE || family !== Family.IPV4 || sourceLength !== 0 || this.#room.left === 0) return false;
    return this.count === 0 || (table === this.#table && metric === this.#metric);
  }

  /** Adds an update that it {@linkcode takes}. */
  push({ prefix, prefixLength, table, metric }: RouteUpdate, line: number): void {
    this.#table = table;
    this.#metric = metric;
    const address = ((prefix[0]! << 24) | (prefix[1]! << 16) | (prefix[2]! << 8) | prefix[3]!) >>> 0;
    this.#queues[prefixLength] ??= new PrefixQueue();
    this.#queues[prefixLength].push(address, line);
    this.count += 1;
    this.#room.left -= 1;
  }

  /** Fills `update` with the one that is best withdrawn next, and returns its line. The caller has looked at {@linkcode count}. */
  next(update: RouteUpdate): number {
    let length = this.#queues.length - 1;
    let queue = this.#queues[length];
    while (queue === undefined || queue.isEmpty) queue = this.#queues[--length];
    update.op = UpdateOp.DELETE;
    update.family = Family.IPV4;
    update.prefixLength = length;
    update.sourceLength = 0;
    update.table = this.#table;
    update.metric = this.#metric;
    this.count -= 1;
    this.#room.left += 1;
    return queue.shift(update.prefix);
  }

  /** Forgets all. */
  clear(): void {
    this.#room.left += this.count;
    this.count = 0;
    this.#queues.length = 0;
  }
}
