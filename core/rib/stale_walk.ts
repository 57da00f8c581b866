/**
 * The order in which many routes are taken away. The kernel's IPv4 table is a trie, and takes half a microsecond for the
 * removal of a route where the longest prefixes go first, those of one length in the order of their addresses; in the order
 * of addresses alone it takes three (net/ipv4/fib_trie.c: resize; tests/bench has the figures). So the table is walked once
 * for each length that there is. IPv6 routes are best as they lie. Main thread only.
 */
import { Family } from "../model/route.ts";
import type { Rib } from "./rib.ts";
import { NO_ROUTE, type RouteStore } from "./route_store.ts";

/** Routes of other lengths that one step passes at most. */
const SKIPPED_MAX = 1024;
const IPV4_LENGTH_MAX = 32;

export class StaleWalk {
  /** Where the last step stood; NO_ROUTE where it found none. */
  family: Family = Family.IPV4;
  route = NO_ROUTE;
  readonly #rib: Rib;
  /** Lengths of IPv4 prefixes that are still to come, the longest last. */
  readonly #lengths: number[];
  #at = NO_ROUTE;

  constructor(rib: Rib) {
    this.#rib = rib;
    const isThere = new Uint8Array(IPV4_LENGTH_MAX + 1);
    for (const { family, byLength } of rib.classes.values()) {
      if (family !== Family.IPV4) continue;
      for (let length = 0; length <= IPV4_LENGTH_MAX; length++) if (byLength[length]! > 0) isThere[length] = 1;
    }
    this.#lengths = Array.from(isThere.keys()).filter((length) => isThere[length] === 1);
  }

  /** Goes on by a few routes. False at the end. */
  next(): boolean {
    this.route = NO_ROUTE;
    const store = this.#rib.store(this.family);
    if (this.family === Family.IPV6) {
      this.#at += 1;
      if (this.#at > store.last) return false;
      this.route = this.#at;
      return true;
    }
    const length = this.#lengths.at(-1);
    if (length !== undefined) this.#nextOfLength(store, length);
    else this.family = Family.IPV6;
    return true;
  }

  #nextOfLength(store: RouteStore, length: number): void {
    for (let skipped = 0; skipped < SKIPPED_MAX; skipped++) {
      this.#at += 1;
      if (this.#at > store.last) {
        this.#lengths.pop();
        this.#at = NO_ROUTE;
        return;
      }
      if (store.prefixLength(this.#at) !== length || !store.isUsed(this.#at)) continue;
      this.route = this.#at;
      return;
    }
  }
}
