/**
 * How the daemon and the process of a plugin talk: frames over a socket, each a length, a type and a body, in the machine's
 * byte order (little endian on all that dplaned runs on). What comes from a plugin's process is believed in nothing: whoever reads a frame from there checks
 * each number in it. Pure; any thread of either process.
 *
 * Updates travel as copies of their contexts (core/context/layout.ts) and of the records of attributes that these name
 * (core/context/attrs.ts), so that the far end reads them with the same code. In a copy
 *
 * - ATTRS and OLD_ATTRS say where in the body the record is, in units of ATTRS_ALIGN, and 0 for none;
 * - LINE and SESSION hold the number of the context and a ticket, which come back with the verdict;
 * - the record of attributes has its number in the arena in the place of its references, so that it is decoded once.
 */
import { assert } from "../../core/assert.ts";
import { CONTEXT_BYTES } from "../../core/constants.ts";
import { ATTRS_ALIGN } from "../../core/context/attrs.ts";
import { U32 } from "../../core/context/layout.ts";
import type { PluginMetric } from "../../core/model/plugin_counters.ts";

/** From the daemon. */
export const ToHost = {
  /** {@linkcode Hello}: whom to load. */
  HELLO: 1,
  /** All that was loaded may start. */
  START: 2,
  /** Contexts of updates and nexthop objects, in order; an answer is expected to each update. */
  UPDATES: 3,
  /** Contexts of updates that a later provider has failed. */
  UNDO: 4,
  /**
   * All nexthop objects that there are, as core/context/route_export.ts tells them, behind a header of ATTRS_ALIGN bytes; and
   * behind them the numbers, 4 bytes each, of those that are being written, of which contexts tell.
   */
  OBJECTS: 5,
  /** {@linkcode Names}: what interfaces and owners are called. */
  NAMES: 6,
  /** Routes for `export`: records of core/context/route_export.ts behind a header of ATTRS_ALIGN bytes. */
  EXPORT: 7,
  /** A number that comes back with a report. */
  PING: 8,
  /** One byte: 1 for early, 0 for the end. */
  FINISH: 9,
} as const;

/** From the process of a plugin. */
export const FromHost = {
  /** It runs, and begins to load. */
  HERE: 10,
  /** {@linkcode Loaded}. */
  LOADED: 1,
  /** {@linkcode Failure}: it could not be loaded, or not be started. */
  REFUSED: 2,
  STARTED: 3,
  /** What became of updates. */
  VERDICTS: 4,
  /** The number of a ping, and what is counted: doubles. */
  REPORT: 5,
  /** {@linkcode Line}. */
  LOG: 6,
  /** {@linkcode Failure}: exceptions of the plugin since the last. */
  ERROR: 7,
  /** What came with EXPORT is told; one byte: 0 if it failed, and is to be told again. */
  EXPORTED: 8,
  FINISHED: 9,
} as const;

export interface Hello {
  path: string;
  name: string;
  priority: string;
  options: Record<string, unknown>;
  version: string;
  timeBudgetMs: number;
}

/** What a plugin wants. */
export interface Loaded {
  decides: boolean;
  undoes: boolean;
  exports: boolean;
  metrics: PluginMetric[];
}

export interface Failure {
  message: string;
  /** How many there were. */
  count: number;
}

export interface Line {
  level: "debug" | "info" | "warn" | "error";
  message: string;
  fields: Record<string, unknown>;
}

export interface Names {
  /** By number. */
  links: Record<string, string>;
  /** By number, the first is number 1. */
  owners: string[];
}

/** What became of an update; of one to be undone, whether that was done. */
export const Verdict = {
  PASS: 0,
  /** Its text is a refusal (core/context/refusal.ts). */
  FAIL: 1,
  SKIP_KERNEL: 2,
  SUCCEED: 3,
  /** The plugin threw an exception over it, which its text tells. */
  UNDECIDED: 4,
} as const;
export type Verdict = (typeof Verdict)[keyof typeof Verdict];
/** Bits of a verdict; those of the ticket are above. */
export const VERDICT_BITS = 3;
export const TICKET_MAX = 2 ** (32 - VERDICT_BITS) - 1;

/** Where copies keep what comes back with the verdict. */
export const COPY_SLOT = U32.LINE;
export const COPY_TICKET = U32.SESSION;

/** In front of copies of contexts; as long as one, so that the number of a copy is its place. */
export const COPIES_HEADER = CONTEXT_BYTES;
/** The header's words. */
export const COPIES_COUNT = 0;

/** Of a report: the ping's number and what the plugin's process counts, before the plugin's own metrics. */
export const REPORT_FIELDS = ["ping", "calls", "overBudget", "longestCallMs", "errors", "exported"] as const;
export type ReportField = (typeof REPORT_FIELDS)[number];

/** The header of OBJECTS and EXPORT, by word: how many there are; of EXPORT flags, of OBJECTS how many are being written. */
export const RECORDS_COUNT = 0;
export const RECORDS_FLAGS = 1;
export const OBJECTS_PENDING = 1;
/** The first, and the last of all routes that there are. */
export const RECORDS_FIRST = 0x1;
export const RECORDS_LAST = 0x2;

const HEADER_BYTES = 8;
/** Longest body from the process of a plugin: a refusal for each context that it may have. */
export const FROM_HOST_MAX = 4 << 20;
export const TO_HOST_MAX = 256 << 20;

assert(CONTEXT_BYTES % ATTRS_ALIGN === 0, "records of attributes behind copies are aligned");

const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** A frame with a body of `length` bytes, which begins at FRAME_BODY. */
export const FRAME_BODY = HEADER_BYTES;

export function createFrame(type: number, length: number): Uint8Array<ArrayBuffer> {
  const frame = new Uint8Array(HEADER_BYTES + length);
  writeHeader(frame, type, length);
  return frame;
}

export function writeHeader(frame: Uint8Array, type: number, length: number): void {
  const view = new DataView(frame.buffer, frame.byteOffset, HEADER_BYTES);
  view.setUint32(0, length, true);
  view.setUint32(4, type, true);
}

export function createJsonFrame(type: number, body: object): Uint8Array<ArrayBuffer> {
  const bytes = encoder.encode(JSON.stringify(body));
  const frame = createFrame(type, bytes.length);
  frame.set(bytes, FRAME_BODY);
  return frame;
}

export function readJson(body: Uint8Array): unknown {
  return JSON.parse(decoder.decode(body));
}

/** Cuts a stream of bytes into frames. Each body is a copy with memory of its own. */
export class FrameReader {
  readonly #bodyMax: number;
  readonly #onFrame: (type: number, body: Uint8Array<ArrayBuffer>) => void;
  readonly #header = new Uint8Array(HEADER_BYTES);
  readonly #headerView = new DataView(this.#header.buffer);
  #headerLength = 0;
  #body: Uint8Array<ArrayBuffer> | null = null;
  #bodyLength = 0;

  constructor(bodyMax: number, onFrame: (type: number, body: Uint8Array<ArrayBuffer>) => void) {
    this.#bodyMax = bodyMax;
    this.#onFrame = onFrame;
  }

  /** Takes what has come. Throws a RangeError at a frame that is longer than any may be. */
  push(chunk: Uint8Array): void {
    let at = 0;
    while (at < chunk.length) {
      if (this.#body === null) {
        while (this.#headerLength < HEADER_BYTES && at < chunk.length)
          this.#header[this.#headerLength++] = chunk[at++]!;
        if (this.#headerLength < HEADER_BYTES) return;
        const length = this.#headerView.getUint32(0, true);
        if (length > this.#bodyMax) throw new RangeError(`a frame of ${length} bytes`);
        this.#body = new Uint8Array(length);
        this.#bodyLength = 0;
      }
      const taken = Math.min(this.#body.length - this.#bodyLength, chunk.length - at);
      this.#body.set(chunk.subarray(at, at + taken), this.#bodyLength);
      this.#bodyLength += taken;
      at += taken;
      if (this.#bodyLength < this.#body.length) return;
      this.#emit(this.#body);
    }
  }

  #emit(body: Uint8Array<ArrayBuffer>): void {
    this.#body = null;
    this.#headerLength = 0;
    this.#onFrame(this.#headerView.getUint32(4, true), body);
  }
}
