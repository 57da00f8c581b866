/** The real routing table as BIRD announces it and as FRR then has it, for the live test of a full table over FPM. */
import { prefixOf, readTable, type TableFamily } from "../../scripts/internet_table.ts";
import type { FeedRoute } from "./bird.ts";
import { type Fib, formatHops } from "./fib.ts";

/** Gateways of each family, by the AS that announces a prefix; those on v2 are the second half. */
const GATEWAYS: Readonly<Record<TableFamily, readonly string[]>> = {
  4: Array.from({ length: 16 }, (_, index) => `10.0.${index >> 3}.${100 + index}`),
  6: Array.from({ length: 16 }, (_, index) => `2001:db8:${index < 8 ? "" : "1:"}:${100 + index}`),
};

export interface TableOptions {
  /** Routes of each family. */
  limits: Readonly<Record<TableFamily, number>>;
  /** Every how many of the prefixes there is one; 1 for all. */
  every?: number;
  /** Moves every route to another gateway. */
  shift?: number;
}

/** The first routes of the table. Of two with the same prefix the first counts. */
export function* tableRoutes({ limits, every = 1, shift = 0 }: TableOptions): Generator<FeedRoute> {
  for (const family of [4, 6] as const) {
    const gateways = GATEWAYS[family];
    let last = "";
    let count = 0;
    for (const route of readTable(family, limits[family])) {
      const prefix = prefixOf(route);
      if (prefix === last) continue;
      last = prefix;
      if (count++ % every !== 0) continue;
      yield { family, prefix, gateway: gateways[(route.asn + shift) % gateways.length]! };
    }
  }
}

/** The FIB that has these routes and nothing else. */
export function tableFib(routes: Iterable<FeedRoute>): Fib {
  const fib: Fib = new Map();
  for (const { prefix, gateway } of routes) {
    const dev = /^(?:10\.0\.1\.|2001:db8:1:)/.test(gateway) ? "v2" : "v0";
    fib.set(`${prefix} table 254`, formatHops([{ gateway, dev, weight: 1 }]));
  }
  return fib;
}
