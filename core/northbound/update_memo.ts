/**
 * Updates that say the same of different prefixes: a table has a million lines, and what stands in them before and behind
 * the prefix is one of a few hundred texts, byte for byte. What such a text means is kept here, so that it is compared
 * instead of read. Main thread.
 *
 * What a text means also depends on the prefix's family, which is part of what is looked for, and on names, which whoever
 * finds it looks up again.
 */
import { NO_ATTRS } from "../context/attrs.ts";
import type { AttrsMemo } from "../context/attrs_store.ts";
import { type Family, type Nexthop, type RouteUpdate, UpdateOp } from "../model/route.ts";

/** Places for texts, a power of two, and how many of them are looked at for one. */
const PLACES = 512;
const PROBES = 4;
const PLACE_SHIFT = 23;
/** Texts that are kept have so many bytes each, and together; a nexthop in them is some ten times its text. */
const TEXT_BYTES_MAX = 4096;
const ALL_BYTES_MAX = 128 << 10;
const HEAD_BYTES_MAX = 64;
/** Where texts do not come again, only so many are noted, and then one in so many lines is looked at. */
const LEARN_AHEAD = 1024;
const LEARN_SAMPLE = 64;

/** What an update says besides its prefix. */
export interface MemoEntry {
  generation: number;
  family: Family;
  /** What stands behind the prefix is the first `length` of these. */
  bytes: Uint8Array;
  view: DataView;
  length: number;
  op: UpdateOp;
  table: number;
  metric: number;
  type: RouteUpdate["type"];
  protocol: number;
  distance: number;
  tag: number;
  mtu: number;
  nexthopGroup: number;
  /** The number of all that in the RIB. */
  readonly memo: AttrsMemo;
  /** They are lent to the update that is filled, and never written. */
  nexthops: Nexthop[];
  /** Names of the interfaces of `nexthops`; empty where one has none. */
  devices: string[];
}

export class UpdateMemo {
  readonly #entries: (MemoEntry | undefined)[] = [];
  /** Entries of earlier generations mean nothing any more. */
  #generation = 1;
  /** Of all entries, also those that mean nothing any more. */
  #heldBytes = 0;
  #found = 0;
  #learned = 0;
  #asked = 0;
  /** What stands before the prefix. */
  readonly #head = new Uint8Array(HEAD_BYTES_MAX);
  #headLength = 0;
  /** Of `#viewed`: four bytes at a time. */
  #view: DataView = new DataView(this.#head.buffer);
  #viewed: Uint8Array = this.#head;

  /** Forgets what is known; its memory serves for what comes. */
  clear(): void {
    this.#generation += 1;
  }

  /** False where texts hardly ever come again, so that looking for them and noting them is work for nothing. */
  isWorthwhile(): boolean {
    if (this.#learned <= this.#found + LEARN_AHEAD) return true;
    this.#asked += 1;
    return this.#asked % LEARN_SAMPLE === 0;
  }

  /** Where the prefix begins, if what stands before it is what stood before those that are known; -1 otherwise. */
  prefixStart(bytes: Uint8Array, from: number): number {
    const length = this.#headLength;
    for (let index = 0; index < length; index++) if (bytes[from + index] !== this.#head[index]) return -1;
    return length === 0 ? -1 : from + length;
  }

  /** What `bytes[start..end)` mean behind a prefix of `family`; null if that is not known. */
  find(bytes: Uint8Array, start: number, end: number, family: Family): MemoEntry | null {
    const length = end - start;
    if (length < 4 || length > TEXT_BYTES_MAX) return null;
    const view = this.#viewOf(bytes);
    const home = hashOf(view, start, end) >>> PLACE_SHIFT;
    for (let probe = 0; probe < PROBES; probe++) {
      const entry = this.#entries[(home + probe) & (PLACES - 1)];
      if (entry === undefined || entry.generation !== this.#generation) return null;
      if (entry.length === length && entry.family === family && isSame(entry.view, view, start, end)) {
        this.#found += 1;
        return entry;
      }
    }
    return null;
  }

  /**
   * Notes that `bytes[prefixEnd..to)` behind the prefix, and `bytes[from..prefixStart)` before it, mean what `update` says.
   * Returns an entry to be filled with it, perhaps one that was used before; null where this is the first update with
   * such a beginning, or where it is none to keep.
   */
  learn(bytes: Uint8Array, from: number, prefixStart: number, prefixEnd: number, to: number): MemoEntry | null {
    if (this.prefixStart(bytes, from) !== prefixStart) {
      this.clear();
      const length = prefixStart - from;
      this.#headLength = length > HEAD_BYTES_MAX ? 0 : length;
      for (let index = 0; index < this.#headLength; index++) this.#head[index] = bytes[from + index]!;
      return null;
    }
    this.#learned += 1;
    const length = to - prefixEnd;
    if (length < 4 || length > TEXT_BYTES_MAX) return null;
    if (this.#heldBytes + length > ALL_BYTES_MAX) {
      this.#entries.length = 0;
      this.#heldBytes = 0;
    }
    const home = hashOf(this.#viewOf(bytes), prefixEnd, to) >>> PLACE_SHIFT;
    let place = home;
    for (let probe = 0; probe < PROBES; probe++) {
      const probed = (home + probe) & (PLACES - 1);
      if (this.#entries[probed]?.generation === this.#generation) continue;
      place = probed;
      break;
    }
    const entry = this.#entries[place] ?? createEntry();
    this.#entries[place] = entry;
    entry.generation = this.#generation;
    entry.memo.attrs = NO_ATTRS;
    if (entry.bytes.length < length) {
      entry.bytes = new Uint8Array(Math.max(64, length));
      entry.view = new DataView(entry.bytes.buffer);
    }
    this.#heldBytes += length - entry.length;
    entry.length = length;
    for (let index = 0; index < length; index++) entry.bytes[index] = bytes[prefixEnd + index]!;
    return entry;
  }

  #viewOf(bytes: Uint8Array): DataView {
    if (bytes !== this.#viewed) {
      this.#viewed = bytes;
      this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    }
    return this.#view;
  }
}

function createEntry(): MemoEntry {
  const bytes = new Uint8Array(0);
  return {
    generation: 0,
    family: 0,
    bytes,
    view: new DataView(bytes.buffer),
    length: 0,
    op: UpdateOp.INSTALL,
    table: 0,
    metric: 0,
    type: 1,
    protocol: 0,
    distance: 0,
    tag: 0,
    mtu: 0,
    nexthopGroup: 0,
    memo: { attrs: NO_ATTRS, generation: 0 },
    nexthops: [],
    devices: [],
  };
}

/** Of at least four bytes, two times four of them at once; the last four may overlap those before. */
function hashOf(view: DataView, start: number, end: number): number {
  let even = end - start;
  let odd = view.getInt32(end - 4, true);
  let position = start;
  for (; position <= end - 8; position += 8) {
    even = Math.imul(even ^ view.getInt32(position, true), 0x9e3779b1);
    odd = Math.imul(odd ^ view.getInt32(position + 4, true), 0x85ebca6b);
  }
  if (position <= end - 4) even = Math.imul(even ^ view.getInt32(position, true), 0x9e3779b1);
  const hash = even ^ (odd >>> 15) ^ (odd << 17);
  return Math.imul(hash ^ (hash >>> 15), 0x85ebca6b);
}

/** Whether `entry` has the same bytes as `view` from `start` to `end`; they are as many. */
function isSame(entry: DataView, view: DataView, start: number, end: number): boolean {
  const last = end - 4;
  for (let position = start; position < last; position += 4) {
    if (entry.getInt32(position - start, true) !== view.getInt32(position, true)) return false;
  }
  return entry.getInt32(last - start, true) === view.getInt32(last, true);
}
