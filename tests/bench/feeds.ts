/**
 * The same work as each contender takes it: files of NDJSON, `ip -batch` lines, a configuration of BIRD, ZAPI messages,
 * FPM frames, or the records of netlink_loop.c. Written when first asked for, so before a contender's time runs.
 */
import { closeSync, openSync, rmSync, writeSync } from "node:fs";
import { join } from "node:path";
import { METRIC_DEFAULT, RTPROT_DEFAULT } from "../../core/constants.ts";
import { TABLE_DEVICE, type TableFamily } from "../../scripts/internet_table.ts";
import type { TableDigest } from "../../scripts/table_digest.ts";
import { fpmNexthops, fpmRoute } from "./fpm.ts";
import { ADDRESS_BYTES, NEXTHOP_BYTES, type RouteTable } from "./route_table.ts";
import { putZapiRoute } from "./zapi.ts";

/** What is done to all routes of a table: put them in, move each to another nexthop, take them out. */
export type Op = "install" | "replace" | "delete";
export const OPS: readonly Op[] = ["install", "replace", "delete"];

/** A route in a format of text. */
type FormatRoute = (table: RouteTable, index: number) => string;
/** Writes a route at `at` in a format of bytes, and returns how many that were. */
type PutRoute = (view: DataView, at: number, table: RouteTable, index: number) => number;

/** One table as work for all contenders. */
export class Feeds {
  readonly routes: number;
  readonly #folder: string;
  readonly #name: string;
  readonly #table: RouteTable;
  #moved: RouteTable | undefined;
  readonly #digests = new Map<Op, Record<TableFamily, TableDigest>>();
  readonly #written = new Set<string>();

  /** `name` tells its files from those of other tables in `folder`. */
  constructor(folder: string, name: string, table: RouteTable) {
    this.#folder = folder;
    this.#name = name;
    this.#table = table;
    this.routes = table.count;
  }

  /** What the kernel holds after the op. */
  expected(op: "install" | "replace"): Record<TableFamily, TableDigest> {
    let digests = this.#digests.get(op);
    if (digests === undefined) {
      digests = this.#tableOf(op).digests();
      this.#digests.set(op, digests);
    }
    return digests;
  }

  /** Path of the file; `ifindex` is that of the table's device, for the formats that name it by number. */
  path(format: FeedFormat, op: Op, ifindex = 0): string {
    const path = join(this.#folder, `${this.#name}-${op}-${ifindex}.${format}`);
    if (!this.#written.has(path)) {
      writeFeed(path, format, op, this.#tableOf(op), ifindex);
      this.#written.add(path);
    }
    return path;
  }

  /** Removes its files. */
  remove(): void {
    for (const path of this.#written) rmSync(path);
    this.#written.clear();
  }

  #tableOf(op: Op): RouteTable {
    if (op !== "replace") return this.#table;
    this.#moved ??= this.#table.moved();
    return this.#moved;
  }
}

const PIECE_BYTES = 1 << 18;
/** No route of any format needs more. */
const ROUTE_MAX = 256;

export function writeFeed(path: string, format: FeedFormat, op: Op, table: RouteTable, ifindex: number): void {
  const file = openSync(path, "w");
  const write = (bytes: Uint8Array) => {
    for (let at = 0; at < bytes.length; ) at += writeSync(file, bytes, at);
  };
  try {
    if (format === "fpm" && op === "install") write(fpmNexthops(table, ifindex));
    if (format in BYTES) writeBytes(table, BYTES[format as keyof typeof BYTES](op, ifindex), write);
    else writeText(table, TEXTS[format as keyof typeof TEXTS](op), write);
  } finally {
    closeSync(file);
  }
}

function writeText(table: RouteTable, format: FormatRoute, write: (bytes: Uint8Array) => void): void {
  let piece = "";
  for (let index = 0; index < table.count; index++) {
    piece += format(table, index);
    if (piece.length > PIECE_BYTES) {
      write(Buffer.from(piece, "latin1"));
      piece = "";
    }
  }
  write(Buffer.from(piece, "latin1"));
}

function writeBytes(table: RouteTable, put: PutRoute, write: (bytes: Uint8Array) => void): void {
  const bytes = new Uint8Array(PIECE_BYTES);
  const view = new DataView(bytes.buffer);
  let end = 0;
  for (let index = 0; index < table.count; index++) {
    end += put(view, end, table, index);
    if (end > PIECE_BYTES - ROUTE_MAX) {
      write(bytes.subarray(0, end));
      end = 0;
    }
  }
  write(bytes.subarray(0, end));
}

const TEXTS = {
  ndjson: (op: Op): FormatRoute =>
    op === "delete"
      ? (table, index) => `{"op":"delete","prefix":"${table.prefixText(index)}"}\n`
      : (table, index) => {
          const hop = `{"via":"${table.nexthopText(index)}","dev":"${TABLE_DEVICE}"}`;
          return `{"prefix":"${table.prefixText(index)}","nexthops":[${hop}]}\n`;
        },
  iproute2: (op: Op): FormatRoute => {
    const words = `metric ${METRIC_DEFAULT} proto ${RTPROT_DEFAULT}`;
    return op === "delete"
      ? (table, index) => `route del ${table.prefixText(index)} ${words}\n`
      : (table, index) => {
          const hop = `via ${table.nexthopText(index)} dev ${TABLE_DEVICE}`;
          return `route replace ${table.prefixText(index)} ${hop} ${words}\n`;
        };
  },
  // The table as static protocols, each of one family.
  bird: (): FormatRoute => (table, index) => {
    const family = table.family(index);
    const head = index > 0 && table.family(index - 1) === family ? "" : `protocol static { ipv${family};\n`;
    const tail = index + 1 < table.count && table.family(index + 1) === family ? "" : "}\n";
    return `${head}route ${table.prefixText(index)} via ${table.nexthopText(index)};\n${tail}`;
  },
};

const BYTES = {
  zapi: (op: Op, ifindex: number): PutRoute => {
    const isDelete = op === "delete";
    return (view, at, table, index) => putZapiRoute(view, at, table, index, isDelete, ifindex);
  },
  fpm: (op: Op): PutRoute => fpmRoute(op === "delete"),
  records: (): PutRoute => putRecord,
};

export type FeedFormat = keyof typeof TEXTS | keyof typeof BYTES;

/** 36 bytes: family (4 or 6), prefix length, two bytes of zeros, prefix and nexthop of 16 bytes each. */
function putRecord(view: DataView, at: number, table: RouteTable, index: number): number {
  const family = table.family(index);
  view.setUint32(at, 0);
  view.setUint8(at, family);
  view.setUint8(at + 1, table.lengths[index]!);
  const bytes = new Uint8Array(view.buffer, at + 4, 2 * ADDRESS_BYTES);
  bytes.set(table.address(index));
  bytes.set(NEXTHOP_BYTES[family][table.nexthops[index]!]!, ADDRESS_BYTES);
  return 4 + 2 * ADDRESS_BYTES;
}
