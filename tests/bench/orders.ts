/** Orders in which the routes of a table may come: the numbers of its routes, each once. */
import { Prng } from "../../core/prng.ts";
import { ADDRESS_BYTES, type RouteTable } from "./route_table.ts";

const SEED = 4711;

/** As the tables are. */
export function byAddress({ count }: RouteTable): Uint32Array {
  return Uint32Array.from({ length: count }, (_, index) => index);
}

export function reversed(table: RouteTable): Uint32Array {
  return byAddress(table).reverse();
}

/** The same each time. */
export function shuffled(table: RouteTable): Uint32Array {
  const indexes = byAddress(table);
  const prng = new Prng(SEED);
  for (let last = indexes.length - 1; last > 0; last--) {
    const other = prng.below(last + 1);
    [indexes[last], indexes[other]] = [indexes[other]!, indexes[last]!];
  }
  return indexes;
}

/** Longest first, and by address within a length, for sorting is stable. */
export function byLength(table: RouteTable): Uint32Array {
  const { lengths } = table;
  return byAddress(table).sort((a, b) => lengths[b]! - lengths[a]!);
}

/** IPv4 by the bits of the address from the last to the first: neighbours come far apart. IPv6 stays by address, and behind. */
export function bitReversed(table: RouteTable): Uint32Array {
  const view = new DataView(table.addresses.buffer, table.addresses.byteOffset);
  const keys = Float64Array.from({ length: table.count }, (_, index) =>
    table.family(index) === 4 ? reverseBits(view.getUint32(index * ADDRESS_BYTES)) : 2 ** 32 + index,
  );
  return byAddress(table).sort((a, b) => keys[a]! - keys[b]!);
}

function reverseBits(value: number): number {
  let bits = value;
  bits = ((bits >>> 1) & 0x5555_5555) | ((bits & 0x5555_5555) << 1);
  bits = ((bits >>> 2) & 0x3333_3333) | ((bits & 0x3333_3333) << 2);
  bits = ((bits >>> 4) & 0x0f0f_0f0f) | ((bits & 0x0f0f_0f0f) << 4);
  bits = ((bits >>> 8) & 0x00ff_00ff) | ((bits & 0x00ff_00ff) << 8);
  return ((bits >>> 16) | (bits << 16)) >>> 0;
}
