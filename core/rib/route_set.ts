/** A set of routes of both families, a bit each. Main thread only. */
import { Family } from "../model/route.ts";

const FIRST_WORDS = 1024;

export class RouteSet {
  #ipv4 = new Uint32Array(0);
  #ipv6 = new Uint32Array(0);
  #size = 0;

  get size(): number {
    return this.#size;
  }

  has(family: Family, route: number): boolean {
    const bits = family === Family.IPV6 ? this.#ipv6 : this.#ipv4;
    return ((bits[route >>> 5] ?? 0) & (1 << (route & 31))) !== 0;
  }

  /** True if it was not there yet. */
  add(family: Family, route: number): boolean {
    const word = route >>> 5;
    let bits = family === Family.IPV6 ? this.#ipv6 : this.#ipv4;
    if (word >= bits.length) bits = this.#grow(family, word);
    const before = bits[word]!;
    bits[word] = before | (1 << (route & 31));
    if (bits[word] === before) return false;
    this.#size += 1;
    return true;
  }

  delete(family: Family, route: number): void {
    if (!this.has(family, route)) return;
    const bits = family === Family.IPV6 ? this.#ipv6 : this.#ipv4;
    bits[route >>> 5]! &= ~(1 << (route & 31));
    this.#size -= 1;
  }

  /** Takes all routes of one family out. */
  clear(family: Family): void {
    const bits = family === Family.IPV6 ? this.#ipv6 : this.#ipv4;
    for (const word of bits) for (let rest = word; rest !== 0; rest &= rest - 1) this.#size -= 1;
    bits.fill(0);
  }

  /** The first route of the family from this number on; 0 if there is none. */
  next(family: Family, from: number): number {
    const bits = family === Family.IPV6 ? this.#ipv6 : this.#ipv4;
    let word = from >>> 5;
    let rest = (bits[word] ?? 0) & (-1 << (from & 31));
    while (rest === 0) {
      word += 1;
      if (word >= bits.length) return 0;
      rest = bits[word]!;
    }
    return word * 32 + (31 - Math.clz32(rest & -rest));
  }

  #grow(family: Family, word: number): Uint32Array<ArrayBuffer> {
    const bits = family === Family.IPV6 ? this.#ipv6 : this.#ipv4;
    const grown = new Uint32Array(Math.max(FIRST_WORDS, bits.length * 2, word + 1));
    grown.set(bits);
    if (family === Family.IPV6) this.#ipv6 = grown;
    else this.#ipv4 = grown;
    return grown;
  }
}
