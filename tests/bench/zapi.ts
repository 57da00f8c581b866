/**
 * Messages to FRR's zebra in its own protocol, ZAPI version 6 as FRR 8.2 to 8.5 speak it: a header (length, marker 254,
 * version, VRF, command), then the body, all in network order. Only what the benchmarks need: to say hello, and to add and
 * delete routes. tests/bench/contenders/feed.c sends them and counts what zebra answers.
 */

import { ADDRESS_BYTES, NEXTHOP_BYTES, type RouteTable } from "./route_table.ts";

const MARKER = 254;
const VERSION = 6;
const HEADER_BYTES = 10;
const Command = { ROUTE_ADD: 8, ROUTE_DELETE: 9, HELLO: 18 } as const;
/** ZEBRA_ROUTE_STATIC, whose routes the kernel has as protocol 196. */
const ROUTE_TYPE = 3;
export const ZEBRA_STATIC_PROTOCOL = 196;
const SAFI_UNICAST = 1;
/** The body has nexthops. */
const MESSAGE_NEXTHOP = 1;
/** A gateway with its interface. */
const NEXTHOP_TYPES = { 4: 3, 6: 5 } as const;
const AF = { 4: 2, 6: 10 } as const;

function putHeader(view: DataView, at: number, length: number, command: number): void {
  view.setUint16(at, length);
  view.setUint8(at + 2, MARKER);
  view.setUint8(at + 3, VERSION);
  view.setUint32(at + 4, 0);
  view.setUint16(at + 8, command);
}

/** What a client says first. With `notify` zebra tells it what became of each route. */
export function zapiHello(notify: boolean): Uint8Array {
  const view = new DataView(new ArrayBuffer(HEADER_BYTES + 9));
  putHeader(view, 0, view.byteLength, Command.HELLO);
  view.setUint8(HEADER_BYTES, ROUTE_TYPE);
  view.setUint8(HEADER_BYTES + 7, notify ? 1 : 0);
  return new Uint8Array(view.buffer);
}

/** Writes the message for a route of the table, and returns its length. */
export function putZapiRoute(
  view: DataView,
  at: number,
  table: RouteTable,
  index: number,
  isDelete: boolean,
  ifindex: number,
): number {
  const family = table.family(index);
  const bits = table.lengths[index]!;
  let end = at + HEADER_BYTES;
  view.setUint8(end, ROUTE_TYPE);
  // Instance, flags.
  view.setUint16(end + 1, 0);
  view.setUint32(end + 3, 0);
  view.setUint32(end + 7, isDelete ? 0 : MESSAGE_NEXTHOP);
  view.setUint8(end + 11, SAFI_UNICAST);
  view.setUint8(end + 12, AF[family]);
  view.setUint8(end + 13, bits);
  end += 14;
  const from = index * ADDRESS_BYTES;
  for (let byte = 0; byte < (bits + 7) >> 3; byte++) view.setUint8(end++, table.addresses[from + byte]!);
  if (!isDelete) {
    // One nexthop, of the default VRF.
    view.setUint16(end, 1);
    view.setUint32(end + 2, 0);
    view.setUint8(end + 6, NEXTHOP_TYPES[family]);
    view.setUint8(end + 7, 0);
    end += 8;
    const gateway = NEXTHOP_BYTES[family][table.nexthops[index]!]!;
    for (let byte = 0; byte < (family === 4 ? 4 : 16); byte++) view.setUint8(end++, gateway[byte]!);
    view.setUint32(end, ifindex);
    end += 4;
  }
  putHeader(view, at, end - at, isDelete ? Command.ROUTE_DELETE : Command.ROUTE_ADD);
  return end - at;
}
