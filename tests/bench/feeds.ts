/**
 * The same work as each contender takes it: files of NDJSON, `ip -batch` lines, a configuration of BIRD, ZAPI messages,
 * FPM frames, or the records of netlink_loop.c. Written when first asked for, so before a contender's time runs.
 */
import { closeSync, openSync, writeSync } from "node:fs";
import { join } from "node:path";
import { METRIC_DEFAULT, RTPROT_DEFAULT } from "../../core/constants.ts";
import { FPM_HEADER_LENGTH, putFrameHeader } from "../../ffi/fpm/frame.ts";
import * as c from "../../ffi/netlink/constants.ts";
import { align4 } from "../../ffi/netlink/message.ts";
import { createRouteMessage, createRouteNexthop, encodeRoute } from "../../ffi/netlink/route.ts";
import { TABLE_DEVICE, type TableFamily } from "../../scripts/internet_table.ts";
import type { TableDigest } from "../../scripts/table_digest.ts";
import { ADDRESS_BYTES, type RouteTable } from "./route_table.ts";
import { NEXTHOP_BYTES, putZapiRoute } from "./zapi.ts";

/** What is done to all routes of a table: put them in, move each to another nexthop, take them out. */
export type Op = "install" | "replace" | "delete";
export const OPS: readonly Op[] = ["install", "replace", "delete"];

export type FeedFormat = "ndjson" | "iproute2" | "bird" | "zapi" | "fpm" | "records";

/** Writes route `index` at `at`, and returns how many bytes that took. */
type PutRoute = (view: DataView, at: number, table: RouteTable, index: number) => number;

const PIECE_BYTES = 1 << 18;
/** No route of any format needs more. */
const ROUTE_MAX = 256;

/** One table as work for all contenders. */
export class Feeds {
  readonly routes: number;
  /** What the kernel holds after each of the two that leave something in it. */
  readonly expected: Readonly<Record<"install" | "replace", Record<TableFamily, TableDigest>>>;
  readonly #folder: string;
  readonly #name: string;
  readonly #tables: Readonly<Record<Op, RouteTable>>;
  readonly #written = new Set<string>();

  /** `name` tells its files from those of other tables in `folder`. */
  constructor(folder: string, name: string, table: RouteTable) {
    this.#folder = folder;
    this.#name = name;
    const moved = table.moved();
    this.#tables = { install: table, replace: moved, delete: table };
    this.routes = table.count;
    this.expected = { install: table.digests(), replace: moved.digests() };
  }

  /** Path of the file; `ifindex` is that of the table's device, for the formats that name it by number. */
  path(format: FeedFormat, op: Op, ifindex = 0): string {
    const path = join(this.#folder, `${this.#name}-${op}-${ifindex}.${format}`);
    if (!this.#written.has(path)) {
      writeFeed(path, format, op, this.#tables[op], ifindex);
      this.#written.add(path);
    }
    return path;
  }
}

export function writeFeed(path: string, format: FeedFormat, op: Op, table: RouteTable, ifindex: number): void {
  const file = openSync(path, "w");
  const bytes = new Uint8Array(PIECE_BYTES);
  const view = new DataView(bytes.buffer);
  const put = FORMATS[format](op, ifindex);
  let end = 0;
  const flush = () => {
    for (let at = 0; at < end; ) at += writeSync(file, bytes, at, end - at);
    end = 0;
  };
  try {
    for (let index = 0; index < table.count; index++) {
      end += put(view, end, table, index);
      if (end > PIECE_BYTES - ROUTE_MAX) flush();
    }
    flush();
  } finally {
    closeSync(file);
  }
}

const encoder = new TextEncoder();

function text(line: (table: RouteTable, index: number) => string): PutRoute {
  return (view, at, table, index) => {
    const bytes = new Uint8Array(view.buffer, at);
    return encoder.encodeInto(line(table, index), bytes).written;
  };
}

const FORMATS: Readonly<Record<FeedFormat, (op: Op, ifindex: number) => PutRoute>> = {
  ndjson: (op) =>
    op === "delete"
      ? text((table, index) => `{"op":"delete","prefix":"${table.prefixText(index)}"}\n`)
      : text((table, index) => {
          const hop = `{"via":"${table.nexthopText(index)}","dev":"${TABLE_DEVICE}"}`;
          return `{"prefix":"${table.prefixText(index)}","nexthops":[${hop}]}\n`;
        }),
  iproute2: (op) => {
    const words = `metric ${METRIC_DEFAULT} proto ${RTPROT_DEFAULT}`;
    return op === "delete"
      ? text((table, index) => `route del ${table.prefixText(index)} ${words}\n`)
      : text((table, index) => {
          const hop = `via ${table.nexthopText(index)} dev ${TABLE_DEVICE}`;
          return `route replace ${table.prefixText(index)} ${hop} ${words}\n`;
        });
  },
  // The table as static protocols, each of one family.
  bird: () =>
    text((table, index) => {
      const family = table.family(index);
      const head = index > 0 && table.family(index - 1) === family ? "" : `protocol static { ipv${family};\n`;
      const tail = index + 1 < table.count && table.family(index + 1) === family ? "" : "}\n";
      return `${head}route ${table.prefixText(index)} via ${table.nexthopText(index)};\n${tail}`;
    }),
  zapi: (op, ifindex) => (view, at, table, index) => putZapiRoute(view, at, table, index, op === "delete", ifindex),
  fpm: putFpmRoute,
  records: () => putRecord,
};

/** As FRR's `dplane_fpm_nl` without nexthop groups sends a route: a frame with one message, the nexthop in it. */
function putFpmRoute(op: Op, ifindex: number): PutRoute {
  const isDelete = op === "delete";
  const message = createRouteMessage();
  message.type = isDelete ? c.RTM_DELROUTE : c.RTM_NEWROUTE;
  message.flags = c.NLM_F_REQUEST | c.NLM_F_CREATE | (isDelete ? 0 : c.NLM_F_REPLACE);
  message.portId = 1;
  message.table = c.RT_TABLE_MAIN;
  message.protocol = c.RTPROT_ZEBRA;
  message.metric = METRIC_DEFAULT;
  message.routeType = isDelete ? c.RTN_UNSPEC : c.RTN_UNICAST;
  const nexthop = createRouteNexthop();
  nexthop.ifindex = ifindex;
  if (!isDelete) message.nexthops = [nexthop];
  return (view, at, table, index) => {
    const family = table.family(index);
    message.family = family === 4 ? c.AF_INET : c.AF_INET6;
    message.prefixLength = table.lengths[index]!;
    message.destination = table.addresses.subarray(index * ADDRESS_BYTES, (index + 1) * ADDRESS_BYTES);
    nexthop.viaFamily = message.family;
    nexthop.via = NEXTHOP_BYTES[family][table.nexthops[index]!]!;
    const length = FPM_HEADER_LENGTH + align4(encodeRoute(view, at + FPM_HEADER_LENGTH, message));
    putFrameHeader(view, at, length);
    return length;
  };
}

/** 36 bytes: family (4 or 6), prefix length, two bytes of zeros, prefix and nexthop of 16 bytes each. */
function putRecord(view: DataView, at: number, table: RouteTable, index: number): number {
  const family = table.family(index);
  view.setUint32(at, 0);
  view.setUint8(at, family);
  view.setUint8(at + 1, table.lengths[index]!);
  const bytes = new Uint8Array(view.buffer, at + 4, 2 * ADDRESS_BYTES);
  bytes.set(table.addresses.subarray(index * ADDRESS_BYTES, (index + 1) * ADDRESS_BYTES));
  bytes.set(NEXTHOP_BYTES[family][table.nexthops[index]!]!, ADDRESS_BYTES);
  return 4 + 2 * ADDRESS_BYTES;
}
