/**
 * The order in which a batch is put to the kernel. The kernel's IPv4 table is a trie whose nodes double as they fill
 * (net/ipv4/fib_trie.c), and routes that arrive in the order of their addresses fill one node after the other: each is
 * grown again and again. Ordered by the reversed bits of their addresses, neighbours come far apart and nodes fill evenly;
 * IPv6 routes are best as they come, which mostly is the order of their addresses. So are deletions: what helps with these is
 * an order over all of them (core/rib/stale_walk.ts), and within one batch none does.
 *
 * Nothing that may depend on another changes places with it: updates of one prefix keep their order, and what routes may
 * need to be taken (a nexthop object, a route to a gateway) is a barrier that nothing crosses. Thread of the provider.
 */

import { CONTEXT_BYTES } from "../../core/constants.ts";
import { ATTRS_NEXTHOP, type AttrsReader, NO_ATTRS } from "../../core/context/attrs.ts";
import type { Contexts } from "../../core/context/contexts.ts";
import { ContextOp, isNexthopOp, U8, U32 } from "../../core/context/layout.ts";
import { Family, RouteType } from "../../core/model/route.ts";

/** Fewer in a row are put as they come. */
const SORT_MIN = 16;
/** A key is the reversed address with the place in the batch behind it: 32 and 13 bits, which a double holds. */
const PLACES = 8192;

export class WriteOrder {
  readonly #contexts: Contexts;
  readonly #attrs: AttrsReader;
  readonly #keys: Float64Array;
  readonly #order: Uint32Array;
  #keyCount = 0;
  #count = 0;

  /** For batches of at most `limit` contexts, which is 8192 or less. */
  constructor(contexts: Contexts, attrs: AttrsReader, limit: number) {
    this.#contexts = contexts;
    this.#attrs = attrs;
    this.#keys = new Float64Array(limit);
    this.#order = new Uint32Array(limit);
  }

  /** The contexts of `slots[0, count)` in the order in which they are to be put; valid until the next call. */
  of(slots: Uint32Array, count: number): Uint32Array {
    this.#count = 0;
    let from = 0;
    for (let at = 0; at < count; at++) {
      if (!this.#isBarrier(slots[at]!)) continue;
      this.#sort(slots, from, at);
      this.#order[this.#count++] = slots[at]!;
      from = at + 1;
    }
    this.#sort(slots, from, count);
    return this.#order;
  }

  #sort(slots: Uint32Array, from: number, to: number): void {
    const order = this.#order;
    if (to - from < SORT_MIN || this.#hasDelete(slots, from, to)) {
      for (let at = from; at < to; at++) order[this.#count++] = slots[at]!;
      return;
    }
    const { u8 } = this.#contexts;
    const keys = this.#keys;
    this.#keyCount = 0;
    for (let at = from; at < to; at++) {
      const base = slots[at]! * CONTEXT_BYTES;
      if (u8[base + U8.FAMILY] !== Family.IPV4) order[this.#count++] = slots[at]!;
      else keys[this.#keyCount++] = reversedBits(u8, base + U8.PREFIX) * PLACES + at;
    }
    keys.subarray(0, this.#keyCount).sort();
    for (let index = 0; index < this.#keyCount; index++) order[this.#count++] = slots[keys[index]! % PLACES]!;
  }

  #hasDelete(slots: Uint32Array, from: number, to: number): boolean {
    const { u8 } = this.#contexts;
    for (let at = from; at < to; at++) {
      if (u8[slots[at]! * CONTEXT_BYTES + U8.OP] === ContextOp.ROUTE_DELETE) return true;
    }
    return false;
  }

  /** Whether what comes after it may depend on it, or it on what comes before. */
  #isBarrier(slot: number): boolean {
    const contexts = this.#contexts;
    const op = contexts.getU8(slot, U8.OP);
    if (isNexthopOp(op)) return true;
    const oldAttrs = contexts.getU32(slot, U32.OLD_ATTRS);
    // What is not known to be there: whatever is may lead to gateways.
    if (op === ContextOp.ROUTE_DELETE) return oldAttrs === NO_ATTRS || this.#leadsToGateways(oldAttrs);
    return (
      this.#leadsToGateways(contexts.getU32(slot, U32.ATTRS)) ||
      (oldAttrs !== NO_ATTRS && this.#leadsToGateways(oldAttrs))
    );
  }

  /** A route over an interface without a gateway: by it the kernel may find the gateways of others. */
  #leadsToGateways(attrs: number): boolean {
    const reader = this.#attrs;
    if (reader.type(attrs) !== RouteType.UNICAST || reader.nexthopGroup(attrs) !== 0) return false;
    if (reader.nexthopCount(attrs) === 0) return true;
    return reader.u8[reader.nexthopOffset(attrs, 0) + ATTRS_NEXTHOP.VIA_FAMILY] === Family.NONE;
  }
}

/** The four bytes at `offset` as a number, last bit first. */
function reversedBits(bytes: Uint8Array, offset: number): number {
  let value = bytes[offset]! | (bytes[offset + 1]! << 8) | (bytes[offset + 2]! << 16) | (bytes[offset + 3]! << 24);
  // Bytes are in place, reversed as a whole; what is left are the bits of each.
  value = ((value & 0x0f0f0f0f) << 4) | ((value >>> 4) & 0x0f0f0f0f);
  value = ((value & 0x33333333) << 2) | ((value >>> 2) & 0x33333333);
  value = ((value & 0x55555555) << 1) | ((value >>> 1) & 0x55555555);
  return value >>> 0;
}
