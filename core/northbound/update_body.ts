/**
 * The body of a request with updates: reads it chunk by chunk, finds its format, and takes it apart. Main thread.
 *
 * `while (await body.read())`, and inside, `next` until it says NONE. Nothing is read ahead: what is held is one chunk.
 */
import type { Clock } from "../clock.ts";
import type { AttrsMemo } from "../context/attrs_store.ts";
import type { RouteUpdate } from "../model/route.ts";
import type { NorthboundCounters } from "./counters.ts";
import { BodyFormat, createSplitter, detectFormat } from "./line_splitter.ts";
import { SplitKind, type UpdateSplitter } from "./splitter.ts";
import { UpdateBytesParser } from "./update_bytes.ts";
import type { UpdateError } from "./update_error.ts";
import type { NameResolver, UpdateDefaults } from "./update_rules.ts";
import { isBlankUpdate, parseUpdate } from "./update_text.ts";

/** White space that may come before what tells the body's format. */
const BLANK_HEAD_MAX = 4096;
/**
 * Bytes of a body after which the garbage is collected that it has left: its own bytes, and of updates that were taken as
 * text some four times as much. On its own the runtime would let it grow to twice what the RIB takes.
 */
export const COLLECT_BYTES = 2 << 20;
/** During a shutdown a body that brings nothing for this long, or goes on for that long, is read no further. */
const ENDING_IDLE_MS = 250;
const ENDING_MAX_MS = 2000;

/** How the reading of a body ended. */
export const BodyEnd = {
  /** It has not. */
  OPEN: 0,
  COMPLETE: 1,
  /** The client broke it off. */
  BROKEN: 2,
  /** We read no further. */
  CUT: 3,
} as const;
export type BodyEnd = (typeof BodyEnd)[keyof typeof BodyEnd];

/** What the reading of a body needs. */
export interface UpdateBodyParts {
  counters: NorthboundCounters;
  collectGarbage: () => void;
  dataplane: { readonly clock: Clock };
}

export class UpdateBody {
  end: BodyEnd = BodyEnd.OPEN;
  readonly #contentType: string;
  readonly #reader: ReadableStreamDefaultReader<Uint8Array> | null;
  readonly #parts: UpdateBodyParts;
  readonly #clock: Clock;
  #format: BodyFormat = BodyFormat.UNKNOWN;
  #splitter: UpdateSplitter | null = null;
  /** White space from before the format was known. */
  #head: Uint8Array = new Uint8Array(0);
  readonly #bytesParser = new UpdateBytesParser();
  #chunks = 0;
  #chunk: Uint8Array | null = null;
  #bytesSinceCollection = 0;

  constructor(body: ReadableStream<Uint8Array> | null, contentType: string, parts: UpdateBodyParts) {
    this.#reader = body?.getReader() ?? null;
    this.#contentType = contentType;
    this.#parts = parts;
    this.#clock = parts.dataplane.clock;
  }

  /** Number of the line or array element that {@linkcode next} found, from 1. */
  get line(): number {
    return this.#splitter?.number ?? 0;
  }

  /** Of the update that {@linkcode parse} has filled last: the number of its attributes in the RIB, if that may be known. */
  attrsMemo: AttrsMemo | null = null;

  /** Reads on until there may be updates to take out. False when the body has come to its end, in whichever way. */
  async read(): Promise<boolean> {
    while (this.end === BodyEnd.OPEN) {
      if (this.#bytesSinceCollection >= COLLECT_BYTES) {
        this.#bytesSinceCollection = 0;
        this.#parts.collectGarbage();
      }
      this.#letGo();
      const chunk = await this.#nextChunk();
      if (chunk === null) break;
      this.#chunk = chunk;
      this.#chunks += 1;
      this.#bytesSinceCollection += chunk.length;
      this.#parts.counters.bodyBytes += chunk.length;
      if (this.#splitter !== null) this.#splitter.push(chunk);
      else if (!this.#openSplitter(chunk)) continue;
      return true;
    }
    if (this.end !== BodyEnd.OPEN) return false;
    this.end = BodyEnd.COMPLETE;
    this.#splitter?.end();
    return this.#splitter !== null;
  }

  /** The next update that is not blank; NONE where more of the body is needed, or there are no more. */
  next(): SplitKind {
    const splitter = this.#splitter;
    if (splitter === null) return SplitKind.NONE;
    for (;;) {
      const kind = splitter.next();
      if (kind !== SplitKind.TEXT || !isBlankUpdate(splitter, this.#format)) return kind;
    }
  }

  /** Fills `into` from what {@linkcode next} found, and returns what is wrong with it. */
  parse(kind: SplitKind, into: RouteUpdate, resolver: NameResolver, defaults: UpdateDefaults): UpdateError | null {
    const splitter = this.#splitter!;
    const format = this.#format;
    this.attrsMemo = null;
    if (kind === SplitKind.TEXT && format !== BodyFormat.LINES) {
      const { bytes, from, to } = splitter;
      if (this.#bytesParser.parse(bytes, from, to, into, resolver, defaults)) {
        this.attrsMemo = this.#bytesParser.attrsMemo;
        return null;
      }
    }
    return parseUpdate(kind, splitter, format, into, resolver, defaults);
  }

  /** Reads no further. */
  cut(): void {
    if (this.end === BodyEnd.OPEN) this.end = BodyEnd.CUT;
    this.#reader?.cancel().catch(() => {});
  }

  /** Cuts it when it has brought nothing for a while, or when it goes on all the same. */
  cutSoon(): void {
    this.#cutWhenIdle(ENDING_IDLE_MS, this.#clock.now() + ENDING_MAX_MS);
  }

  /** Cuts it when it has brought nothing for so long. */
  cutWhenIdle(idleMs: number): void {
    this.#cutWhenIdle(idleMs, Number.POSITIVE_INFINITY);
  }

  #cutWhenIdle(idleMs: number, deadline: number): void {
    const seen = this.#chunks;
    const look = (): void => {
      if (this.end !== BodyEnd.OPEN) return;
      if (this.#chunks === seen || this.#clock.now() >= deadline) return this.cut();
      this.#cutWhenIdle(idleMs, deadline);
    };
    this.#clock.setTimeout(look, idleMs).unref();
  }

  /** Frees the bytes that were taken apart at once: the runtime would leave them to a collection that comes when it comes. */
  #letGo(): void {
    const chunk = this.#chunk;
    this.#chunk = null;
    if (chunk !== null && chunk.length === chunk.buffer.byteLength) (chunk.buffer as ArrayBuffer).transfer(0);
  }

  /** The next bytes of the body; null at its end. */
  async #nextChunk(): Promise<Uint8Array | null> {
    if (this.#reader === null) return null;
    try {
      const { value } = await this.#reader.read();
      return value ?? null;
    } catch {
      if (this.end === BodyEnd.OPEN) this.end = BodyEnd.BROKEN;
      return null;
    }
  }

  /** Finds the body's format. False while there is nothing but white space. */
  #openSplitter(chunk: Uint8Array): boolean {
    const head = new Uint8Array(this.#head.length + chunk.length);
    head.set(this.#head);
    head.set(chunk, this.#head.length);
    this.#format = detectFormat(this.#contentType, head);
    if (this.#format === BodyFormat.UNKNOWN) {
      this.#head = head;
      if (head.length < BLANK_HEAD_MAX) return false;
      this.#format = BodyFormat.NDJSON;
    }
    this.#head = new Uint8Array(0);
    this.#splitter = createSplitter(this.#format);
    this.#splitter.push(head);
    return true;
  }
}
