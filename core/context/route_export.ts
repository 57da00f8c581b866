/**
 * What an exporting provider and the main thread say to each other: the provider asks, a piece at a time and only when it
 * has room, for what the kernel holds; the main thread answers with records. There is at most one question of a provider
 * under way. The main thread's side is core/rib/export.ts. Pure; any thread.
 *
 * A record is that of core/context/route_record.ts, whose attributes are copied from the arena as they are there: with
 * their epoch, and their number in place of the count of references, so that the far end knows those it has seen.
 */
import type { Family } from "../model/route.ts";
import { ATTRS, ATTRS_ALIGN, type AttrsReader, NO_ATTRS } from "./attrs.ts";
import { RECORD } from "./route_record.ts";

/** Bits of a record's flags, besides that of core/context/route_record.ts: the kernel does not hold the route. */
export const RECORD_ABSENT = 0x02;
/** A write of the route is under way: what the kernel holds is told when that has its result. */
export const RECORD_PENDING = 0x04;

/** Routes in one answer, nexthop objects in one answer, and the bytes after which an answer ends early. */
export const EXPORT_ROUTES_MAX = 1024;
export const EXPORT_OBJECTS_MAX = 256;
export const EXPORT_BYTES = 256 << 10;

/** Where an answer's record has the number of its attributes. */
export const RECORD_ATTRS_NUMBER = RECORD.ATTRS + ATTRS.REFERENCES;
export const RECORD_ATTRS_EPOCH = RECORD.ATTRS + ATTRS.EPOCH;

/** Bytes in front of the attributes of a nexthop object, which begin with its number. */
export const OBJECT_HEADER = 16;

/** From the provider. `token` comes back with the answer. */
export type ExportQuestion =
  /**
   * A new life of the provider: forgets what was to be told to the old one. Of which routes it is told that they have changed:
   * those of which no context told (to whoever reads contexts), all, or none.
   */
  | { type: "begin"; wantsFailed: boolean; routes: "untold" | "all" | "none" }
  /** Nexthop objects from the `from`th on. */
  | { type: "objects"; token: number; from: number }
  /** Routes by their numbers, from this one on. */
  | { type: "walk"; token: number; family: Family; from: number }
  /**
   * The routes of `count` keys, which are the first RECORD.ATTRS bytes of records. An answer that would be too long ends
   * before the last of them.
   */
  | { type: "keys"; token: number; keys: ArrayBuffer; count: number }
  /** Routes that have changed without a context having passed. */
  | { type: "changes"; token: number };

/** From the main thread. */
export type ExportAnswer =
  /** Nexthop objects; `next` is 0 after the last ones. Those in `pending` are being written; contexts tell of them. */
  | { type: "objects"; token: number; objects: ArrayBuffer; count: number; next: number; pending: number[] }
  /**
   * Records in the first `length` bytes. Of a walk, `next` is where to go on, 0 at the end; of changes, 1 if there are more.
   */
  | { type: "routes"; token: number; records: ArrayBuffer; length: number; count: number; next: number }
  /** There are changes to ask for: of routes, of nexthop objects. */
  | { type: "changed"; routes: boolean; objects: boolean }
  /** Somebody wants all to be sent again. */
  | { type: "replay" };

/** Records in a buffer that grows, for one answer. */
export class RecordWriter {
  #bytes: Uint8Array<ArrayBuffer>;
  #view: DataView;
  #length = 0;
  count = 0;

  /** `bytes` are there at first. */
  constructor(bytes: number) {
    this.#bytes = new Uint8Array(bytes);
    this.#view = new DataView(this.#bytes.buffer);
  }

  /** No more should be written into this answer. */
  get isFull(): boolean {
    return this.count >= EXPORT_ROUTES_MAX || this.#length >= EXPORT_BYTES;
  }

  /** Appends a record with a key to be filled in at the offset that is returned, and these attributes or flags instead. */
  add(reader: AttrsReader, attrs: number, flags: number): number {
    const length =
      attrs === NO_ATTRS ? ATTRS.CONTENT : reader.view.getUint32(reader.offset(attrs) + ATTRS.LENGTH, true);
    const at = this.#reserve(RECORD.ATTRS + length);
    const bytes = this.#bytes;
    bytes.fill(0, at, at + RECORD.ATTRS + ATTRS.CONTENT);
    bytes[at + RECORD.FLAGS] = flags;
    if (attrs === NO_ATTRS) this.#view.setUint32(at + RECORD.ATTRS + ATTRS.LENGTH, length, true);
    else {
      copyAttrs(reader, attrs, bytes, at + RECORD.ATTRS, length);
      this.#view.setUint32(at + RECORD_ATTRS_NUMBER, attrs, true);
    }
    return at;
  }

  get bytes(): Uint8Array {
    return this.#bytes;
  }

  get length(): number {
    return this.#length;
  }

  get view(): DataView {
    return this.#view;
  }

  /** The buffer, for handing it over; the writer is of no use after that. */
  take(): ArrayBuffer {
    return this.#bytes.buffer;
  }

  #reserve(length: number): number {
    const at = this.#length;
    this.#length += length;
    this.count += 1;
    if (this.#length > this.#bytes.length) {
      const grown = new Uint8Array(this.#length * 2);
      grown.set(this.#bytes.subarray(0, at));
      this.#bytes = grown;
      this.#view = new DataView(grown.buffer);
    }
    return at;
  }
}

/** Word by word, because a view of the arena at its place would be garbage for each record. */
export function copyAttrs(reader: AttrsReader, attrs: number, into: Uint8Array, offset: number, length: number): void {
  const base = attrs * ATTRS_ALIGN;
  const { u8 } = reader;
  for (let at = 0; at < length; at++) into[offset + at] = u8[base + at]!;
}
