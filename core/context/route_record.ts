/**
 * Routes as bytes in a row, for handing many of them from one thread to another at once: the key, then the attributes
 * just as the attributes arena holds them.
 */

import type { RouteUpdate } from "../model/route.ts";
import { ATTRS, encodeAttrs } from "./attrs.ts";

/** Fields of a record by byte offset. */
export const RECORD = {
  FAMILY: 0,
  PREFIX_LENGTH: 1,
  SOURCE_LENGTH: 2,
  FLAGS: 3,
  TABLE: 4,
  METRIC: 8,
  PREFIX: 16,
  SOURCE: 32,
  ATTRS: 48,
} as const;

/** Bit of the flags: dplaned could not have written such a route. Its key is right, its attributes say nothing. */
export const RECORD_UNREADABLE = 0x01;

/** Writes a record at `offset`, which is a multiple of 16; returns the offset behind it. The caller has made room. */
export function encodeRecord(
  view: DataView,
  bytes: Uint8Array,
  offset: number,
  update: RouteUpdate,
  flags: number,
): number {
  bytes.fill(0, offset, offset + RECORD.ATTRS + ATTRS.CONTENT);
  bytes[offset + RECORD.FAMILY] = update.family;
  bytes[offset + RECORD.PREFIX_LENGTH] = update.prefixLength;
  bytes[offset + RECORD.SOURCE_LENGTH] = update.sourceLength;
  bytes[offset + RECORD.FLAGS] = flags;
  view.setUint32(offset + RECORD.TABLE, update.table, true);
  view.setUint32(offset + RECORD.METRIC, update.metric, true);
  bytes.set(update.prefix, offset + RECORD.PREFIX);
  bytes.set(update.source, offset + RECORD.SOURCE);
  return offset + RECORD.ATTRS + encodeAttrs(view, bytes, offset + RECORD.ATTRS, update);
}

/** Offset of the record after the one at `offset`. */
export function nextRecord(view: DataView, offset: number): number {
  return offset + RECORD.ATTRS + view.getUint32(offset + RECORD.ATTRS + ATTRS.LENGTH, true);
}
