/**
 * Routing tables of any size, the same each time: prefixes drawn from the address space that is in use, with the mix of
 * lengths that the Internet's tables have, three of four of them IPv4.
 */
import { Prng } from "../../core/prng.ts";
import { NEXTHOP_COUNT, type TableFamily } from "../../scripts/internet_table.ts";
import { ADDRESS_BYTES, RouteTable } from "./route_table.ts";

const SEED = 20_180_929;
const IPV4_SHARE = 0.75;

/** Prefix lengths and how many of a thousand prefixes have them. */
const LENGTHS: Readonly<Record<TableFamily, readonly (readonly [length: number, perMille: number])[]>> = {
  4: [
    [24, 596],
    [23, 102],
    [22, 112],
    [21, 52],
    [20, 46],
    [19, 27],
    [18, 15],
    [17, 10],
    [16, 27],
    [15, 6],
    [14, 4],
    [13, 2],
    [12, 1],
  ],
  6: [
    [48, 462],
    [47, 26],
    [46, 31],
    [45, 20],
    [44, 102],
    [42, 31],
    [40, 88],
    [36, 62],
    [34, 20],
    [33, 20],
    [32, 105],
    [30, 5],
    [29, 28],
  ],
};

/** First bits of IPv6 addresses that registries hand out: blocks of twelve bits. */
const IPV6_BLOCKS = [0x200, 0x240, 0x260, 0x280, 0x2a0, 0x2c0];
const IPV6_BLOCK_BITS = 12;
/** No prefix is longer, so that this many bits tell it. */
const IPV6_BITS = 48;
/** IPv4 addresses from 1.0.0.0 to 223.255.255.255. */
const IPV4_FIRST = 1 << 24;
const IPV4_COUNT = 223 * (1 << 24);
/** Above a prefix length in a number that tells a prefix. */
const LENGTH_STEP = 64;

/** `count` routes, each prefix once, in the order of their addresses, IPv4 first. */
export function syntheticTable(count: number): RouteTable {
  const table = new RouteTable(count);
  const view = new DataView(table.addresses.buffer);
  const prng = new Prng(SEED);
  const ipv4Count = Math.round(count * IPV4_SHARE);
  let index = 0;
  for (const [family, familyCount] of [
    [4, ipv4Count],
    [6, count - ipv4Count],
  ] as const) {
    for (const key of drawPrefixes(prng, family, familyCount)) {
      const address = Math.floor(key / LENGTH_STEP);
      table.families[index] = family;
      table.lengths[index] = key % LENGTH_STEP;
      table.nexthops[index] = prng.below(NEXTHOP_COUNT);
      const at = index * ADDRESS_BYTES;
      if (family === 4) view.setUint32(at, address);
      else {
        view.setUint32(at, Math.floor(address / 0x1_0000));
        view.setUint16(at + 4, address % 0x1_0000);
      }
      index++;
    }
  }
  return table;
}

/** Sorted; each is an address (its first 32 or 48 bits) times 64, and the length. */
function drawPrefixes(prng: Prng, family: TableFamily, count: number): Float64Array {
  const keys = new Set<number>();
  const total = LENGTHS[family].reduce((sum, [, share]) => sum + share, 0);
  while (keys.size < count) {
    let draw = prng.below(total);
    let length = 0;
    for (const [each, share] of LENGTHS[family]) {
      length = each;
      draw -= share;
      if (draw < 0) break;
    }
    const hostSize = 2 ** ((family === 4 ? 32 : IPV6_BITS) - length);
    const address = drawAddress(prng, family);
    keys.add((address - (address % hostSize)) * LENGTH_STEP + length);
  }
  return Float64Array.from(keys).sort();
}

function drawAddress(prng: Prng, family: TableFamily): number {
  if (family === 4) return IPV4_FIRST + prng.below(IPV4_COUNT);
  const block = IPV6_BLOCKS[prng.below(IPV6_BLOCKS.length)]!;
  const rest = prng.below(2 ** (IPV6_BITS - IPV6_BLOCK_BITS - 16)) * 0x1_0000 + prng.below(0x1_0000);
  return block * 2 ** (IPV6_BITS - IPV6_BLOCK_BITS) + rest;
}
