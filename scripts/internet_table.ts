/**
 * A real Internet routing table for the demo, the benchmarks and tests: the address ranges of the npm package
 * `@ip-location-db/asn`, split into prefixes, each with a nexthop chosen by the AS that announces it. Data: RouteViews,
 * DB-IP and NRO, licensed under CC BY 4.0; {@linkcode TABLE_ATTRIBUTION} goes wherever results of it are shown.
 *
 *   bun scripts/internet_table.ts [--format ndjson|iproute2] [--op install|delete] [--family 4|6] [--limit N] [--out FILE]
 */
import { closeSync, openSync, readFileSync, writeSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { formatPrefix, parseAddress } from "../core/model/prefix.ts";
import { Family } from "../core/model/route.ts";
import { TableDigest } from "./table_digest.ts";

export const TABLE_ATTRIBUTION =
  "Routing table: RouteViews (routeviews.org), DB-IP (db-ip.com) and NRO (nro.net) by way of @ip-location-db/asn, CC BY 4.0";

/** Routes in the whole table, and how many of them the kernel holds: the last of those with the same prefix counts. */
export const TABLE_ROUTES = { 4: 564_580, 6: 167_903 } as const;
export const TABLE_PREFIXES = { 4: 564_579, 6: 167_903 } as const;

/** Nexthops of each family; the AS number modulo this is a route's nexthop. */
export const NEXTHOP_COUNT = 64;
/** Interface that leads to the nexthops, and the addresses on it. Both ends of the veth are in the same namespace. */
export const TABLE_DEVICE = "veth0";
const DEVICE_ADDRESSES = { 4: "10.64.0.1/24", 6: "2001:db8:64::1/64" } as const;
export const TABLE_NEXTHOPS = {
  4: Array.from({ length: NEXTHOP_COUNT }, (_, index) => `10.64.0.${100 + index}`),
  6: Array.from({ length: NEXTHOP_COUNT }, (_, index) => `2001:db8:64::${(0x100 + index).toString(16)}`),
} as const;

/** Lines for `ip -batch` that make the nexthops reachable in an empty namespace. */
export const TABLE_DEVICE_COMMANDS: readonly string[] = [
  "link set lo up",
  `link add ${TABLE_DEVICE} type veth peer name veth1`,
  "link set veth1 up",
  `link set ${TABLE_DEVICE} up`,
  `address add ${DEVICE_ADDRESSES[4]} dev ${TABLE_DEVICE}`,
  `address add ${DEVICE_ADDRESSES[6]} dev ${TABLE_DEVICE} nodad`,
];

export type TableFamily = 4 | 6;
export type TableFormat = "ndjson" | "iproute2";

export interface TableRoute {
  family: TableFamily;
  address: bigint;
  length: number;
  asn: number;
}

export interface TablePrefix {
  address: bigint;
  length: number;
}

/** The fewest prefixes that cover the addresses from `first` to `last` and no others, in address order. */
export function* splitRange(first: bigint, last: bigint, bits: number): Generator<TablePrefix> {
  let address = first;
  while (address <= last) {
    // The largest block that begins here (the lowest bit set), halved until it ends in the range.
    let length = bits - trailingZeros(address, bits);
    let size = 1n << BigInt(bits - length);
    while (address + size - 1n > last) {
      size >>= 1n;
      length++;
    }
    yield { address, length };
    address += size;
  }
}

function trailingZeros(value: bigint, bits: number): number {
  let shifted = value;
  for (let zeros = 0; zeros < bits; zeros += 32) {
    const word = Number(shifted & 0xffff_ffffn);
    if (word !== 0) return zeros + 31 - Math.clz32(word & -word);
    shifted >>= 32n;
  }
  return bits;
}

const CSV_FOLDER = fileURLToPath(new URL("../node_modules/@ip-location-db/asn", import.meta.url).href);

/** The routes of one family in the table's order, which is that of their addresses; at most `limit` of them. */
export function* readTable(family: TableFamily, limit = Number.POSITIVE_INFINITY): Generator<TableRoute> {
  const text = readFileSync(join(CSV_FOLDER, `asn-ipv${family}.csv`), "utf8");
  const bits = family === 4 ? 32 : 128;
  let count = 0;
  for (let start = 0; start < text.length; ) {
    const end = lineEnd(text, start);
    // first,last,AS number,"name, which may hold commas"
    const [first, last, asn] = text.slice(start, end).split(",", 3);
    start = end + 1;
    for (const { address, length } of splitRange(parseBits(first!, family), parseBits(last!, family), bits)) {
      if (count++ >= limit) return;
      yield { family, address, length, asn: Number(asn) };
    }
  }
}

function lineEnd(text: string, start: number): number {
  const end = text.indexOf("\n", start);
  return end === -1 ? text.length : end;
}

const scratch = new Uint8Array(16);
const scratchView = new DataView(scratch.buffer);

function parseBits(text: string, family: TableFamily): bigint {
  const parsed = parseAddress(text, 0, text.length, scratch, 0);
  if (parsed !== (family === 4 ? Family.IPV4 : Family.IPV6)) throw new Error(`Not an IPv${family} address: ${text}`);
  if (family === 4) return BigInt(scratchView.getUint32(0));
  return (scratchView.getBigUint64(0) << 64n) | scratchView.getBigUint64(8);
}

/** Puts an address in network order into the 16-byte scratch. */
function storeAddress({ family, address }: TableRoute): void {
  if (family === 4) {
    scratchView.setUint32(0, Number(address));
    return;
  }
  scratchView.setBigUint64(0, address >> 64n);
  scratchView.setBigUint64(8, address & 0xffff_ffff_ffff_ffffn);
}

export function prefixOf(route: TableRoute): string {
  storeAddress(route);
  return formatPrefix(route.family === 4 ? Family.IPV4 : Family.IPV6, scratch, 0, route.length);
}

export function nexthopOf({ family, asn }: TableRoute): string {
  return TABLE_NEXTHOPS[family][asn % NEXTHOP_COUNT]!;
}

export interface WriteTableOptions {
  /** Both when absent, IPv4 first. */
  families?: readonly TableFamily[] | undefined;
  /** Routes of each family at most. */
  limit?: number | undefined;
  op?: "install" | "delete" | undefined;
  /** Further words on each iproute2 line, such as `metric 20 proto 210`. */
  words?: string | undefined;
  /** One route for each prefix, as a full-state sync wants it: of two with the same prefix the first. */
  unique?: boolean | undefined;
  /** Has one of so many routes lead to another nexthop than the table says. */
  changeEvery?: number | undefined;
}

export interface WrittenTable {
  /** Updates written, of each family. */
  updates: Record<TableFamily, number>;
  /** What a kernel holds that was given all of them (or, of a table of deletes, what they remove from it). */
  digests: Record<TableFamily, TableDigest>;
  bytes: number;
}

const PIECE_LENGTH = 1 << 18;

/**
 * Writes the table to `path` (`-` for standard output) in one of these formats: `ndjson` and `iproute2` as `dplaned route load`
 * takes them, the latter also for `ip -batch`. Where the table holds a prefix twice, one after the other because of its
 * order, there are two installs, the later of which replaces the earlier, but only one delete.
 */
export function writeTable(path: string, format: TableFormat, options: WriteTableOptions = {}): WrittenTable {
  const { families = [4, 6], limit, op = "install", words = "", unique = false, changeEvery } = options;
  const writer = new PieceWriter(path);
  const encode = ENCODERS[format];
  const updates = { 4: 0, 6: 0 };
  const digests = { 4: new TableDigest(), 6: new TableDigest() };
  try {
    for (const family of families) {
      let [lastPrefix, lastNexthop] = ["", ""];
      for (const route of readTable(family, limit)) {
        const prefix = prefixOf(route);
        if (unique && prefix === lastPrefix) continue;
        const isChanged = changeEvery !== undefined && updates[family] % changeEvery === 0;
        const nexthop = nexthopOf(isChanged ? { ...route, asn: route.asn + 1 } : route);
        if (prefix === lastPrefix) {
          digests[family].remove(prefix, lastNexthop);
          digests[family].add(prefix, nexthop);
          if (op === "delete") continue;
        } else {
          digests[family].add(prefix, nexthop);
        }
        writer.write(encode({ prefix, nexthop, op, words }));
        updates[family]++;
        [lastPrefix, lastNexthop] = [prefix, nexthop];
      }
    }
    writer.flush();
  } finally {
    writer.close();
  }
  return { updates, digests, bytes: writer.bytes };
}

/** Writes small texts in large pieces. */
class PieceWriter {
  bytes = 0;
  readonly #file: number;
  #piece = "";

  constructor(path: string) {
    this.#file = path === "-" ? process.stdout.fd : openSync(path, "w");
  }

  write(text: string): void {
    this.#piece += text;
    if (this.#piece.length >= PIECE_LENGTH) this.flush();
  }

  flush(): void {
    const bytes = Buffer.from(this.#piece);
    for (let at = 0; at < bytes.length; ) at += writeSync(this.#file, bytes, at);
    this.bytes += bytes.length;
    this.#piece = "";
  }

  close(): void {
    if (this.#file !== process.stdout.fd) closeSync(this.#file);
  }
}

interface Update {
  prefix: string;
  nexthop: string;
  op: "install" | "delete";
  words: string;
}

const ENCODERS: Readonly<Record<TableFormat, (update: Update) => string>> = {
  ndjson: ({ op, prefix, nexthop }) =>
    op === "delete"
      ? `{"op":"delete","prefix":"${prefix}"}\n`
      : `{"prefix":"${prefix}","nexthops":[{"via":"${nexthop}","dev":"${TABLE_DEVICE}"}]}\n`,
  iproute2: ({ op, prefix, nexthop, words }) => {
    const tail = words === "" ? "" : ` ${words}`;
    return op === "delete"
      ? `route del ${prefix}${tail}\n`
      : `route replace ${prefix} via ${nexthop} dev ${TABLE_DEVICE}${tail}\n`;
  },
};

function main(): void {
  const { values } = parseArgs({
    options: {
      format: { type: "string", default: "ndjson" },
      op: { type: "string", default: "install" },
      family: { type: "string" },
      limit: { type: "string" },
      out: { type: "string", default: "-" },
    },
  });
  const { format, op, family, limit, out } = values;
  if (!Object.hasOwn(ENCODERS, format)) throw new TypeError(`--format is ndjson or iproute2, not ${format}`);
  if (op !== "install" && op !== "delete") throw new TypeError(`--op is install or delete, not ${op}`);
  if (family !== undefined && family !== "4" && family !== "6")
    throw new TypeError(`--family is 4 or 6, not ${family}`);
  if (limit !== undefined && !/^\d+$/.test(limit)) throw new TypeError(`--limit is a number of routes, not ${limit}`);
  const { updates, bytes } = writeTable(out, format as TableFormat, {
    op,
    families: family === undefined ? undefined : [Number(family) as TableFamily],
    limit: limit === undefined ? undefined : Number(limit),
  });
  process.stderr.write(`${updates[4]} IPv4 and ${updates[6]} IPv6 updates, ${bytes} bytes\n${TABLE_ATTRIBUTION}\n`);
}

if (import.meta.main) {
  try {
    main();
  } catch (error) {
    process.stderr.write(`internet_table: ${(error as Error).message}\n`);
    process.exitCode = 2;
  }
}
