/**
 * The key of a route, filled again for each that comes: from a context, from a record of an answer, or from the table of
 * what the peer was told. The thread of the FPM provider.
 */
import { CONTEXT_BYTES } from "../../core/constants.ts";
import type { Contexts } from "../../core/context/contexts.ts";
import { U8, U32 } from "../../core/context/layout.ts";
import { RECORD } from "../../core/context/route_record.ts";
import { Family } from "../../core/model/route.ts";

/** Where the source prefix begins in the bytes, and in the words. */
const SOURCE_BYTE = 16;
export const SOURCE_WORD = SOURCE_BYTE / 4;

export class RouteKey {
  family: Family = Family.IPV4;
  prefixLength = 0;
  sourceLength = 0;
  table = 0;
  metric = 0;
  /** Prefix and source prefix in network order, 16 bytes each, and the same as words. */
  readonly bytes = new Uint8Array(2 * SOURCE_BYTE);
  readonly words: Uint32Array = new Uint32Array(this.bytes.buffer);

  fromContext(contexts: Contexts, slot: number): void {
    const { u8 } = contexts;
    const base = slot * CONTEXT_BYTES;
    this.family = u8[base + U8.FAMILY] as Family;
    this.prefixLength = u8[base + U8.PREFIX_LENGTH]!;
    this.sourceLength = u8[base + U8.SOURCE_LENGTH]!;
    this.table = contexts.getU32(slot, U32.TABLE);
    this.metric = contexts.getU32(slot, U32.METRIC);
    for (let at = 0; at < SOURCE_BYTE; at++) {
      this.bytes[at] = u8[base + U8.PREFIX + at]!;
      this.bytes[SOURCE_BYTE + at] = u8[base + U8.SOURCE + at]!;
    }
  }

  fromRecord(bytes: Uint8Array, view: DataView, offset: number): void {
    this.family = bytes[offset + RECORD.FAMILY] as Family;
    this.prefixLength = bytes[offset + RECORD.PREFIX_LENGTH]!;
    this.sourceLength = bytes[offset + RECORD.SOURCE_LENGTH]!;
    this.table = view.getUint32(offset + RECORD.TABLE, true);
    this.metric = view.getUint32(offset + RECORD.METRIC, true);
    for (let at = 0; at < SOURCE_BYTE; at++) {
      this.bytes[at] = bytes[offset + RECORD.PREFIX + at]!;
      this.bytes[SOURCE_BYTE + at] = bytes[offset + RECORD.SOURCE + at]!;
    }
  }

  /** Writes the first RECORD.ATTRS bytes of a record. */
  toRecord(bytes: Uint8Array, view: DataView, offset: number): void {
    bytes[offset + RECORD.FAMILY] = this.family;
    bytes[offset + RECORD.PREFIX_LENGTH] = this.prefixLength;
    bytes[offset + RECORD.SOURCE_LENGTH] = this.sourceLength;
    view.setUint32(offset + RECORD.TABLE, this.table, true);
    view.setUint32(offset + RECORD.METRIC, this.metric, true);
    bytes.set(this.bytes, offset + RECORD.PREFIX);
  }

  /** Fills the key of a context with it, in the table that the peer knows it by. */
  toContext(contexts: Contexts, slot: number, table: number): void {
    const { u8 } = contexts;
    const base = slot * CONTEXT_BYTES;
    u8[base + U8.FAMILY] = this.family;
    u8[base + U8.PREFIX_LENGTH] = this.prefixLength;
    u8[base + U8.SOURCE_LENGTH] = this.sourceLength;
    contexts.setU32(slot, U32.TABLE, table);
    contexts.setU32(slot, U32.METRIC, this.metric);
    for (let at = 0; at < SOURCE_BYTE; at++) {
      u8[base + U8.PREFIX + at] = this.bytes[at]!;
      u8[base + U8.SOURCE + at] = this.bytes[SOURCE_BYTE + at]!;
    }
  }
}
