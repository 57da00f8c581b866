/**
 * Routing tables as the benchmarks use them: in typed arrays, so that four million routes cost little and can be put into
 * another order, and each prefix once. The real ones are those of scripts/internet_table.ts.
 */
import { formatPrefix, parseAddress } from "../../core/model/prefix.ts";
import { Family } from "../../core/model/route.ts";
import {
  NEXTHOP_COUNT,
  readTable,
  TABLE_NEXTHOPS,
  type TableFamily,
  type TableRoute,
} from "../../scripts/internet_table.ts";
import { TableDigest } from "../../scripts/table_digest.ts";

export const ADDRESS_BYTES = 16;

/** Addresses of the table's nexthops, sixteen bytes each. */
export const NEXTHOP_BYTES: Readonly<Record<TableFamily, readonly Uint8Array[]>> = {
  4: TABLE_NEXTHOPS[4].map(toBytes),
  6: TABLE_NEXTHOPS[6].map(toBytes),
};

function toBytes(text: string): Uint8Array {
  const bytes = new Uint8Array(ADDRESS_BYTES);
  parseAddress(text, 0, text.length, bytes, 0);
  return bytes;
}

export class RouteTable {
  readonly count: number;
  /** Of each route 4 or 6. */
  readonly families: Uint8Array;
  readonly lengths: Uint8Array;
  /** Of each route sixteen bytes, in network order; IPv4 uses the first four, and the others are zero. */
  readonly addresses: Uint8Array;
  /** Of each route the number of its nexthop, from 0 to NEXTHOP_COUNT - 1. */
  readonly nexthops: Uint8Array;
  #prefixTexts: string[] | undefined;

  constructor(count: number) {
    this.count = count;
    this.families = new Uint8Array(count);
    this.lengths = new Uint8Array(count);
    this.addresses = new Uint8Array(count * ADDRESS_BYTES);
    this.nexthops = new Uint8Array(count);
  }

  family(index: number): TableFamily {
    return this.families[index] as TableFamily;
  }

  address(index: number): Uint8Array {
    return this.addresses.subarray(index * ADDRESS_BYTES, (index + 1) * ADDRESS_BYTES);
  }

  prefixText(index: number): string {
    this.#prefixTexts ??= Array.from(this.lengths, (length, at) => {
      const family = this.family(at) === 4 ? Family.IPV4 : Family.IPV6;
      return formatPrefix(family, this.addresses, at * ADDRESS_BYTES, length);
    });
    return this.#prefixTexts[index]!;
  }

  nexthopText(index: number): string {
    return TABLE_NEXTHOPS[this.family(index)][this.nexthops[index]!]!;
  }

  /** The same routes, each by way of the nexthop after its own. */
  moved(): RouteTable {
    const table = new RouteTable(this.count);
    table.families.set(this.families);
    table.lengths.set(this.lengths);
    table.addresses.set(this.addresses);
    for (let index = 0; index < table.count; index++) {
      table.nexthops[index] = (this.nexthops[index]! + 1) % NEXTHOP_COUNT;
    }
    table.#prefixTexts = this.#prefixTexts;
    return table;
  }

  ofFamily(family: TableFamily): RouteTable {
    const indexes = new Uint32Array(this.count);
    let count = 0;
    for (let index = 0; index < this.count; index++) if (this.families[index] === family) indexes[count++] = index;
    return this.picked(indexes.subarray(0, count));
  }

  /** The routes of these numbers, in their order. */
  picked(indexes: Uint32Array): RouteTable {
    const table = new RouteTable(indexes.length);
    for (let to = 0; to < indexes.length; to++) {
      const from = indexes[to]!;
      table.families[to] = this.families[from]!;
      table.lengths[to] = this.lengths[from]!;
      table.nexthops[to] = this.nexthops[from]!;
      table.addresses.set(this.address(from), to * ADDRESS_BYTES);
    }
    return table;
  }

  /** What a kernel holds that has all of it. */
  digests(): Record<TableFamily, TableDigest> {
    const digests = { 4: new TableDigest(), 6: new TableDigest() };
    for (let index = 0; index < this.count; index++) {
      digests[this.family(index)].add(this.prefixText(index), this.nexthopText(index));
    }
    return digests;
  }
}

/** The real tables in the order of their addresses, at most `limit` routes of each. */
export function realTable(families: readonly TableFamily[], limit?: number): RouteTable {
  return tableOf(families.flatMap((family) => [...readTable(family, limit)]));
}

/** Of two neighbours with the same prefix the later counts. */
export function tableOf(routes: readonly TableRoute[]): RouteTable {
  const isReplaced = ({ family, address, length }: TableRoute, next: TableRoute | undefined) =>
    next?.family === family && next.address === address && next.length === length;
  const unique = routes.filter((route, index) => !isReplaced(route, routes[index + 1]));
  const table = new RouteTable(unique.length);
  const view = new DataView(table.addresses.buffer);
  for (const [index, { family, address, length, asn }] of unique.entries()) {
    table.families[index] = family;
    table.lengths[index] = length;
    table.nexthops[index] = asn % NEXTHOP_COUNT;
    const at = index * ADDRESS_BYTES;
    if (family === 4) view.setUint32(at, Number(address));
    else {
      view.setBigUint64(at, address >> 64n);
      view.setBigUint64(at + 8, address & 0xffff_ffff_ffff_ffffn);
    }
  }
  return table;
}
