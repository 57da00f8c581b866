/** A 32-bit word for each route of both families, in pages that exist only where one is not 0. Main thread only. */
import { Family } from "../model/route.ts";

const PAGE_BITS = 12;
const PAGE_WORDS = 1 << PAGE_BITS;

export class RouteWords {
  readonly #ipv4: (Uint32Array | undefined)[] = [];
  readonly #ipv6: (Uint32Array | undefined)[] = [];

  get(family: Family, route: number): number {
    return this.#pages(family)[route >>> PAGE_BITS]?.[route & (PAGE_WORDS - 1)] ?? 0;
  }

  set(family: Family, route: number, word: number): void {
    const pages = this.#pages(family);
    const number = route >>> PAGE_BITS;
    pages[number] ??= new Uint32Array(PAGE_WORDS);
    pages[number][route & (PAGE_WORDS - 1)] = word;
  }

  #pages(family: Family): (Uint32Array | undefined)[] {
    return family === Family.IPV6 ? this.#ipv6 : this.#ipv4;
  }
}
