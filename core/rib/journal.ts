/**
 * What happened to routes lately: a ring of the last outcomes, and of what the daemon noticed and did by itself. Main
 * thread only.
 *
 * An entry names its route by the whole key and not by its number in the RIB, because numbers are used again. So the
 * story of a prefix goes on over its deletion and never mixes with another's. An entry holds no memory but its own: it
 * names attributes by number and epoch, and they can be told for as long as some route has them.
 */
import { assert } from "../assert.ts";
import { epochOffset } from "../clock.ts";
import { CONTEXT_BYTES, JOURNAL_ENTRIES, JOURNAL_TEXTS, TROUBLES_MAX } from "../constants.ts";
import { NO_ATTRS } from "../context/attrs.ts";
import type { Contexts } from "../context/contexts.ts";
import {
  CONTEXT_DOUBLES,
  CONTEXT_WORDS,
  ContextFlag,
  ContextOp,
  ContextStatus,
  F64,
  U8,
  U32,
} from "../context/layout.ts";
import { Family, type UpdateOp } from "../model/route.ts";
import { Outcome, type RibObserver } from "./outcome.ts";
import { RecentTexts } from "./recent_texts.ts";
import type { Rib } from "./rib.ts";
import { FAILURES_MAX, OWNERS_MAX } from "./route_store.ts";

/** What an entry tells. The first five are outcomes, the others notes. */
export const JournalKind = {
  FIB_PROGRAMMED: 0,
  FIB_FAILED: 1,
  RIB_PROGRAMMED: 2,
  SKIPPED: 3,
  SUPERSEDED: 4,
  /** Nobody has claimed it, or asked for it; it is taken away. */
  SWEPT: 5,
  /** The kernel does not hold it. */
  DRIFT_MISSING: 6,
  /** The kernel holds something else under our protocol. */
  DRIFT_CHANGED: 7,
  /** The kernel holds a route of another protocol in its place. */
  DRIFT_REPLACED: 8,
  /** It is repaired later, because somebody else keeps on changing it. */
  REPAIR_DELAYED: 9,
  /** An owner's route is selected, because that of another (`other`) went. */
  PROMOTED: 10,
  /** An owner's route is no longer selected: that of another (`other`) is better. */
  DISPLACED: 11,
  /** It is tried again, because what it failed for may have gone away. */
  RETRIED: 12,
} as const;
export type JournalKind = (typeof JournalKind)[keyof typeof JournalKind];

export type OutcomeKind =
  | typeof JournalKind.FIB_PROGRAMMED
  | typeof JournalKind.FIB_FAILED
  | typeof JournalKind.RIB_PROGRAMMED
  | typeof JournalKind.SKIPPED
  | typeof JournalKind.SUPERSEDED;
export type NoteKind = Exclude<JournalKind, OutcomeKind>;

/** What a note tells beside its kind. */
export interface NoteDetail {
  /** Number of the owner whose route it is about. */
  owner?: number;
  /** Number of the other owner, of PROMOTED and DISPLACED. */
  other?: number;
  /** RTPROT_* of what is there instead, of DRIFT_REPLACED. */
  protocol?: number;
  /** Who did it, or the cause. */
  text?: string;
  /** How long a repair is put off. */
  delayMs?: number;
}

/** What an outcome or a note was about. Times are in milliseconds; NaN where a stage was not reached. */
export interface JournalEntry {
  kind: JournalKind;
  /** On the clock of core/clock.ts. */
  time: number;
  table: number;
  metric: number;
  source: Uint8Array;
  sourceLength: number;
  /** Who asked; 0 for the daemon itself. Of a note: whose route it is about. */
  owner: number;
  /** Owner whose route was written, or is there, instead; of a note as in {@linkcode NoteDetail}. */
  other: number;
  /** What was asked for; 0 if the daemon itself wanted it. */
  asked: UpdateOp | 0;
  /** What was done in the forwarding plane; NONE if nothing was. */
  op: ContextOp;
  /** The kernel held the same already. */
  isUnchanged: boolean;
  /** Number in the RIB's list of failures; 0 for none. Of a success: why what was tried before it had failed. */
  failure: number;
  /** What was asked for or written; NO_ATTRS if no route has these attributes any more. */
  attrs: number;
  /** From admission until the dataplane thread took it. */
  queueMs: number;
  /** From there until the kernel had answered, and until all providers were done. */
  kernelMs: number;
  pipelineMs: number;
  /** From there until its owner was told. */
  resultMs: number;
  protocol: number;
  text: string;
  delayMs: number;
}

/** An entry with its place in the order of all, and its route. */
export interface NumberedEntry extends JournalEntry {
  number: number;
  family: Family;
  /** 16 bytes. */
  prefix: Uint8Array;
  prefixLength: number;
}

/** Which entries are wanted; null for any. */
export interface JournalQuery {
  family: Family;
  /** 16 bytes, masked. */
  prefix: Uint8Array;
  prefixLength: number;
  table: number | null;
  metric: number | null;
  source: { address: Uint8Array; length: number } | null;
}

/** Difference from the system's clock that is not taken for somebody setting it. */
const CLOCK_GRAIN_MS = 10;

/** Bytes of an entry: one cache line. */
const ENTRY_BYTES = 64;
const ENTRY_WORDS = ENTRY_BYTES / 4;
const ENTRY_DOUBLES = ENTRY_BYTES / 8;

/** Fields by double, by word, and by float in the place of a word. */
const TIME = 0;
const PREFIX = 2;
const TABLE = 6;
const METRIC = 7;
/** What was asked << 30 | what was done << 28 | kind << 24 | other owner << 12 | owner. */
const WHAT = 8;
/** Unchanged << 26 | has a source << 25 | IPv6 << 24 | prefix length << 16 | failure. */
const KEY = 9;
/** Number and epoch of the attributes; of a note, number of its text and protocol. */
const ATTRS = 10;
const EPOCH = 11;
const TEXT = ATTRS;
const PROTOCOL = EPOCH;
const QUEUE = 12;
const KERNEL = 13;
const PIPELINE = 14;
const RESULT = 15;
const DELAY = QUEUE;

const IPV6 = 1 << 24;
const HAS_SOURCE = 1 << 25;
const UNCHANGED = 1 << 26;
/** The bits of KEY that tell the prefix. */
const PREFIX_MASK = IPV6 | (0xff << 16);

/** Words of a source prefix: its address and length. */
const SOURCE_WORDS = 5;

assert(OWNERS_MAX <= 0xfff && FAILURES_MAX <= 0xffff, "owners and failures fit their bits of an entry");
assert(Math.max(...Object.values(JournalKind)) <= 0xf, "a kind fits its bits of an entry");
assert((JOURNAL_ENTRIES & (JOURNAL_ENTRIES - 1)) === 0, "places in the ring are found by a mask");

const KIND_OF_OUTCOME: Readonly<Record<Outcome, OutcomeKind>> = {
  [Outcome.FIB_PROGRAMMED]: JournalKind.FIB_PROGRAMMED,
  [Outcome.FIB_FAILED]: JournalKind.FIB_FAILED,
  [Outcome.RIB_PROGRAMMED]: JournalKind.RIB_PROGRAMMED,
  [Outcome.SKIPPED]: JournalKind.SKIPPED,
  [Outcome.SUPERSEDED]: JournalKind.SUPERSEDED,
};

/** The journal of a daemon. */
export function createJournal(rib: Rib): Journal {
  return new Journal(rib, JOURNAL_ENTRIES, new Journal(rib, TROUBLES_MAX));
}

export class Journal implements RibObserver {
  readonly #rib: Rib;
  readonly #mask: number;
  readonly #f64: Float64Array;
  readonly #u32: Uint32Array;
  readonly #f32: Float32Array;
  /** Source prefixes of the entries that have one; made when the first does. */
  #sources: Uint32Array | null = null;
  readonly #texts = new RecentTexts(JOURNAL_TEXTS);
  readonly #addressBytes = new Uint8Array(32);
  readonly #address = new Uint32Array(this.#addressBytes.buffer);
  /** Where failures and drift go as well, so that a load of successes does not push them out. */
  readonly #troubles: Journal | null;
  /** Place of the next entry, and how many there are. */
  #next = 0;
  #count = 0;
  #total = 0;
  #isWrapped = false;
  /** Time of the last entry: times never go back. */
  #latest = 0;
  #epochOffset = epochOffset();

  /** `entries` is a power of two. */
  constructor(rib: Rib, entries: number, troubles: Journal | null = null) {
    this.#rib = rib;
    this.#troubles = troubles;
    this.#mask = entries - 1;
    const storage = new ArrayBuffer(entries * ENTRY_BYTES);
    this.#f64 = new Float64Array(storage);
    this.#u32 = new Uint32Array(storage);
    this.#f32 = new Float32Array(storage);
  }

  /** Entries that are kept. */
  get count(): number {
    return this.#count;
  }

  /** Entries that there have ever been: they are numbered from 1. */
  get total(): number {
    return this.#total;
  }

  /** The failures and the drift among them, in a journal of their own. */
  get troubles(): Journal | null {
    return this.#troubles;
  }

  /** Since when nothing is missing, on the clock of core/clock.ts; 0 while nothing is gone yet. */
  get since(): number {
    return this.#isWrapped ? this.#f64[this.#next * ENTRY_DOUBLES + TIME]! : 0;
  }

  /**
   * What to add to an entry's time to get milliseconds since 1970. It follows when the system's clock is set, but not the
   * clock's grain: the same entry is told with the same time again and again.
   */
  get epochOffset(): number {
    const offset = epochOffset();
    if (Math.abs(offset - this.#epochOffset) > CLOCK_GRAIN_MS) this.#epochOffset = offset;
    return this.#epochOffset;
  }

  onOutcome(slot: number, outcome: Outcome, contexts: Contexts): void {
    const to32 = this.#u32;
    const toFloat = this.#f32;
    const { u8, u32, f64 } = contexts;
    const byte = slot * CONTEXT_BYTES;
    const word = slot * CONTEXT_WORDS;
    const double = slot * CONTEXT_DOUBLES;
    const admitted = f64[double + F64.ADMITTED_AT]!;
    const taken = f64[double + F64.TAKEN_AT]! || Number.NaN;
    const done = f64[double + F64.DONE_AT]! || Number.NaN;
    // Of what never went to the dataplane, the result comes with the admission, or with that of the update before it.
    const time = Math.max(this.#rib.settledAt, admitted);
    const place = this.#push(time);
    const base = place * ENTRY_WORDS;

    const isIpv6 = u8[byte + U8.FAMILY] === Family.IPV6;
    this.#putAddress(base, isIpv6, u32, word + U32.PREFIX);
    to32[base + TABLE] = u32[word + U32.TABLE]!;
    to32[base + METRIC] = u32[word + U32.METRIC]!;

    const isHeld = (u8[byte + U8.FLAGS]! & ContextFlag.HELD) !== 0;
    const attrs = isHeld ? this.#heldAttrs(slot, outcome, contexts) : u32[word + U32.ATTRS]!;
    to32[base + ATTRS] = attrs;
    to32[base + EPOCH] = attrs === NO_ATTRS ? 0 : this.#rib.attrs.reader.epoch(attrs);

    const op = isHeld ? ContextOp.NONE : u8[byte + U8.OP]!;
    const what = (u32[word + U32.CLIENT_OP]! << 30) | (op << 28) | (KIND_OF_OUTCOME[outcome] << 24);
    to32[base + WHAT] = what | (u32[word + U32.WINNER]! << 12) | u32[word + U32.OWNER]!;
    let key = (u8[byte + U8.PREFIX_LENGTH]! << 16) | this.#failureOf(slot, contexts);
    if (isIpv6) key |= IPV6;
    if (attrs !== NO_ATTRS && attrs === u32[word + U32.OLD_ATTRS]) key |= UNCHANGED;
    const sourceLength = u8[byte + U8.SOURCE_LENGTH]!;
    if (sourceLength > 0) key |= this.#putSource(place, u32, word + U32.SOURCE, sourceLength);
    to32[base + KEY] = key;

    toFloat[base + QUEUE] = taken - admitted;
    toFloat[base + KERNEL] = (f64[double + F64.PROGRAMMED_AT]! || Number.NaN) - taken;
    toFloat[base + PIPELINE] = done - taken;
    toFloat[base + RESULT] = time - done;
    if (outcome === Outcome.FIB_FAILED) this.#troubles?.onOutcome(slot, outcome, contexts);
  }

  onSelection(family: Family, route: number, before: number, after: number, isWithdrawal: boolean): void {
    if (isWithdrawal) this.note(JournalKind.PROMOTED, family, route, { owner: after, other: before });
    else this.note(JournalKind.DISPLACED, family, route, { owner: before, other: after });
  }

  /** Notes something else that happened to a route of the RIB. */
  note(kind: NoteKind, family: Family, route: number, detail: NoteDetail = {}): void {
    const { owner = 0, other = 0, protocol = 0, text = "", delayMs = Number.NaN } = detail;
    const u32 = this.#u32;
    const store = this.#rib.store(family);
    const { table, metric, source, sourceLength } = this.#rib.keyClass(store, route);
    const place = this.#push(this.#rib.clock.now());
    const base = place * ENTRY_WORDS;
    store.address(route, this.#addressBytes);
    this.#putAddress(base, family === Family.IPV6, this.#address, 0);
    u32[base + TABLE] = table;
    u32[base + METRIC] = metric;
    u32[base + WHAT] = (kind << 24) | (other << 12) | owner;
    let key = store.prefixLength(route) << 16;
    if (family === Family.IPV6) key |= IPV6;
    if (sourceLength > 0) {
      this.#addressBytes.set(source, 16);
      key |= this.#putSource(place, this.#address, 4, sourceLength);
    }
    u32[base + KEY] = key;
    u32[base + TEXT] = this.#texts.intern(text);
    u32[base + PROTOCOL] = protocol;
    this.#f32[base + DELAY] = delayMs;
    if (kind >= JournalKind.DRIFT_MISSING && kind <= JournalKind.REPAIR_DELAYED) {
      this.#troubles?.note(kind, family, route, detail);
    }
  }

  /** The latest `max` entries of a prefix, oldest first, and how many there are beside. */
  find(query: JournalQuery, max: number): { entries: JournalEntry[]; omitted: number } {
    const words = new Uint32Array(query.prefix.slice(0, 16).buffer);
    const key = (query.prefixLength << 16) | (query.family === Family.IPV6 ? IPV6 : 0);
    const entries: JournalEntry[] = [];
    let omitted = 0;
    for (let back = 1; back <= this.#count; back++) {
      const place = (this.#next - back) & this.#mask;
      const base = place * ENTRY_WORDS;
      if (this.#u32[base + PREFIX] !== words[0] || (this.#u32[base + KEY]! & PREFIX_MASK) !== key) continue;
      if (!this.#isWanted(place, words, query)) continue;
      if (entries.length < max) entries.push(this.#read(place));
      else omitted += 1;
    }
    return { entries: entries.reverse(), omitted };
  }

  /** The entries from number `first` on that are kept, oldest first, each with its number and the prefix of its route. */
  *from(first: number): Generator<NumberedEntry> {
    for (let number = Math.max(first, this.#total - this.#count + 1); number <= this.#total; number++) {
      const place = (this.#next - 1 - (this.#total - number)) & this.#mask;
      const base = place * ENTRY_WORDS;
      const key = this.#u32[base + KEY]!;
      const family = (key & IPV6) === 0 ? Family.IPV4 : Family.IPV6;
      const prefix = new Uint8Array(16);
      // The words behind an IPv4 address are those of an earlier entry.
      const bytes = new Uint8Array(this.#u32.buffer, (base + PREFIX) * 4, family === Family.IPV4 ? 4 : 16);
      prefix.set(bytes);
      yield { ...this.#read(place), number, family, prefix, prefixLength: (key >>> 16) & 0xff };
    }
  }

  /** Takes the place of the oldest entry. */
  #push(time: number): number {
    const place = this.#next;
    this.#next = (place + 1) & this.#mask;
    this.#total += 1;
    if (this.#count <= this.#mask) this.#count += 1;
    else this.#isWrapped = true;
    if (time > this.#latest) this.#latest = time;
    this.#f64[place * ENTRY_DOUBLES + TIME] = this.#latest;
    return place;
  }

  #putAddress(base: number, isIpv6: boolean, words: Uint32Array, at: number): void {
    const u32 = this.#u32;
    u32[base + PREFIX] = words[at]!;
    if (!isIpv6) return;
    u32[base + PREFIX + 1] = words[at + 1]!;
    u32[base + PREFIX + 2] = words[at + 2]!;
    u32[base + PREFIX + 3] = words[at + 3]!;
  }

  #putSource(place: number, words: Uint32Array, at: number, length: number): number {
    this.#sources ??= new Uint32Array((this.#mask + 1) * SOURCE_WORDS);
    const base = place * SOURCE_WORDS;
    for (let word = 0; word < 4; word++) this.#sources[base + word] = words[at + word]!;
    this.#sources[base + 4] = length;
    return HAS_SOURCE;
  }

  /** What the owner of an update that is only held wants, unless that has changed since. */
  #heldAttrs(slot: number, outcome: Outcome, contexts: Contexts): number {
    if (outcome === Outcome.SUPERSEDED) return NO_ATTRS;
    const { claims } = this.#rib;
    const family = contexts.getU8(slot, U8.FAMILY) as Family;
    const route = contexts.getU32(slot, U32.ENTRY);
    return claims.wantedBy(family, this.#rib.store(family), route, contexts.getU32(slot, U32.OWNER));
  }

  /** Why it failed, which the RIB has just recorded, or why another owner's route did that was tried before. */
  #failureOf(slot: number, contexts: Contexts): number {
    if (contexts.getU8(slot, U8.STATUS) !== ContextStatus.FAILURE) return contexts.getU32(slot, U32.FAILURE);
    return this.#rib.store(contexts.getU8(slot, U8.FAMILY)).failure(contexts.getU32(slot, U32.ENTRY));
  }

  /** Whether the rest of the key is what is asked for, too. */
  #isWanted(place: number, prefix: Uint32Array, { family, table, metric, source }: JournalQuery): boolean {
    const base = place * ENTRY_WORDS;
    const u32 = this.#u32;
    if (table !== null && u32[base + TABLE] !== table) return false;
    if (metric !== null && u32[base + METRIC] !== metric) return false;
    if (family === Family.IPV6) {
      for (let word = 1; word < 4; word++) if (u32[base + PREFIX + word] !== prefix[word]) return false;
    }
    if (source === null) return true;
    const found = this.#sourceAt(place);
    if (found.length !== source.length) return false;
    return found.length === 0 || found.address.every((byte, index) => byte === source.address[index]);
  }

  #sourceAt(place: number): { address: Uint8Array; length: number } {
    const hasSource = (this.#u32[place * ENTRY_WORDS + KEY]! & HAS_SOURCE) !== 0;
    if (!hasSource || this.#sources === null) return { address: new Uint8Array(16), length: 0 };
    const words = this.#sources.slice(place * SOURCE_WORDS, (place + 1) * SOURCE_WORDS);
    return { address: new Uint8Array(words.buffer, 0, 16), length: words[4]! };
  }

  #read(place: number): JournalEntry {
    const base = place * ENTRY_WORDS;
    const word = (field: number): number => this.#u32[base + field]!;
    const what = word(WHAT);
    const kind = ((what >>> 24) & 0xf) as JournalKind;
    const source = this.#sourceAt(place);
    const isNote = kind > JournalKind.SUPERSEDED;
    const attrs = isNote || !this.#rib.attrs.isHeld(word(ATTRS), word(EPOCH)) ? NO_ATTRS : word(ATTRS);
    const stage = (field: number): number => (isNote ? Number.NaN : Math.max(0, this.#f32[base + field]!));
    return {
      kind,
      time: this.#f64[place * ENTRY_DOUBLES + TIME]!,
      table: word(TABLE),
      metric: word(METRIC),
      source: source.address,
      sourceLength: source.length,
      owner: what & 0xfff,
      other: (what >>> 12) & 0xfff,
      asked: (what >>> 30) as UpdateOp | 0,
      op: ((what >>> 28) & 3) as ContextOp,
      isUnchanged: (word(KEY) & UNCHANGED) !== 0,
      failure: word(KEY) & 0xffff,
      attrs,
      queueMs: stage(QUEUE),
      kernelMs: stage(KERNEL),
      pipelineMs: stage(PIPELINE),
      resultMs: stage(RESULT),
      protocol: isNote ? word(PROTOCOL) : 0,
      text: isNote ? this.#texts.get(word(TEXT)) : "",
      delayMs: isNote ? this.#f32[base + DELAY]! : Number.NaN,
    };
  }
}
