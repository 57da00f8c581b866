/**
 * Takes a request's body apart into updates as its bytes arrive, in chunks that end anywhere: finds how it is written, and
 * splits lines. Main thread.
 */
import { LINE_BYTES_MAX } from "../constants.ts";
import { JsonSplitter } from "./json_splitter.ts";
import { ByteBuffer, decode, hasByteOrderMark, isSpace, SplitKind, type UpdateSplitter } from "./splitter.ts";

/** How a body is written. */
export const BodyFormat = {
  /** Not enough bytes to tell. */
  UNKNOWN: 0,
  /** One JSON object a line. */
  NDJSON: 1,
  /** An array of objects, or objects that may span lines. */
  JSON: 2,
  /** Route commands as `ip -batch` takes them. */
  LINES: 3,
} as const;
export type BodyFormat = (typeof BodyFormat)[keyof typeof BodyFormat];

const NEWLINE = 0x0a;
const CARRIAGE_RETURN = 0x0d;
const OPEN_BRACKET = 0x5b;
const OPEN_BRACE = 0x7b;

/**
 * The format of a body. Content types that leave no choice decide; otherwise the first byte that is no white space does:
 * `[` begins an array, `{` NDJSON, and anything else a route command. Objects that span lines need
 * `Content-Type: application/json`, because only then a line's end ends nothing.
 */
export function detectFormat(contentType: string, start: Uint8Array): BodyFormat {
  const mediaType = (contentType.split(";", 1)[0] ?? "").trim().toLowerCase();
  if (mediaType === "text/x-iproute2") return BodyFormat.LINES;
  if (mediaType === "application/json") return BodyFormat.JSON;
  const isNdjson = /^application\/(x-)?(ndjson|jsonl|jsonlines|json-lines)$/.test(mediaType);
  for (let index = hasByteOrderMark(start, 0, start.length) ? 3 : 0; index < start.length; index++) {
    const byte = start[index]!;
    if (isSpace(byte)) continue;
    if (byte === OPEN_BRACKET && !isNdjson) return BodyFormat.JSON;
    return byte === OPEN_BRACE || isNdjson ? BodyFormat.NDJSON : BodyFormat.LINES;
  }
  return BodyFormat.UNKNOWN;
}

/** The splitter for a format that {@linkcode detectFormat} found. */
export function createSplitter(format: BodyFormat): UpdateSplitter {
  return format === BodyFormat.JSON ? new JsonSplitter() : new LineSplitter(format === BodyFormat.LINES);
}

/**
 * Bytes decoded at once: one decoder call for many lines, which are then slices of its string. A longer string would be
 * in memory for longer, and more of them would outlive a collection of young garbage.
 */
const WINDOW_BYTES = 1 << 14;

/** A chunk's bytes as text, decoded piece by piece where one is asked for. */
class ChunkText {
  #chunk: Uint8Array = new Uint8Array(0);
  /** The chunk from `#start` to `#end`, of characters that are one byte each. */
  #window = "";
  #start = 0;
  #end = 0;
  /** Up to here the chunk has other characters somewhere. */
  #mixedEnd = 0;

  reset(chunk: Uint8Array): void {
    this.#chunk = chunk;
    this.#window = "";
    this.#start = 0;
    this.#end = 0;
    this.#mixedEnd = 0;
  }

  /** The text of bytes that lie behind those of the call before; null where they are not UTF-8. */
  slice(start: number, end: number): string | null {
    if (end > this.#end && start >= this.#mixedEnd) this.#open(start);
    if (end > this.#end) return decode(this.#chunk.subarray(start, end));
    return this.#window.slice(start - this.#start, end - this.#start);
  }

  #open(start: number): void {
    const end = Math.min(start + WINDOW_BYTES, this.#chunk.length);
    const window = decode(this.#chunk.subarray(start, end));
    if (window === null || window.length !== end - start) {
      this.#mixedEnd = end;
      return;
    }
    this.#window = window;
    this.#start = start;
    this.#end = end;
  }
}

/** Splits at newlines; a carriage return before one is not part of the line. */

export class LineSplitter implements UpdateSplitter {
  bytes: Uint8Array = new Uint8Array(0);
  from = 0;
  to = 0;
  number = 0;
  /** Whether a backslash at a line's end joins the next line to it, as in `ip -batch`. */
  readonly #joinsLines: boolean;
  /** Lines that wait for the rest of them. */
  #joined = "";
  #joinedNumber = 0;
  /** The text, where lines are joined. */
  #text: string | null = null;
  #lineCount = 0;
  #chunk: Uint8Array = new Uint8Array(0);
  #position = 0;
  readonly #chunkText = new ChunkText();
  /** What earlier chunks had of an unfinished line. */
  readonly #carry = new ByteBuffer();
  #isSkipping = false;
  #hasEnded = false;

  constructor(joinsLines = false) {
    this.#joinsLines = joinsLines;
  }

  get text(): string | null {
    return this.#joinsLines ? this.#text : this.#lineText();
  }

  push(chunk: Uint8Array): void {
    this.#chunk = chunk;
    this.#position = 0;
    this.#chunkText.reset(chunk);
  }

  end(): void {
    this.#hasEnded = true;
  }

  next(): SplitKind {
    if (this.#joinsLines) return this.#nextJoined();
    const kind = this.#nextLine();
    this.number = this.#lineCount;
    return kind;
  }

  #nextJoined(): SplitKind {
    let kind = this.#nextText();
    while (kind === SplitKind.TEXT) {
      const text = this.#text!;
      // As in `ip -batch`, a comment swallows the backslash.
      const continues = text.endsWith("\\") && !text.includes("#");
      if (!continues && this.#joined === "") break;
      if (this.#joined === "") this.#joinedNumber = this.#lineCount;
      this.#joined += continues ? text.slice(0, -1) : text;
      if (!continues) return this.#takeJoined(SplitKind.TEXT);
      // Something must be left, or a line of nothing but a backslash would not count as begun.
      if (this.#joined === "") this.#joined = " ";
      kind = this.#nextText();
    }
    if (this.#joined !== "" && (kind !== SplitKind.NONE || this.#hasEnded)) {
      return this.#takeJoined(kind === SplitKind.NONE ? SplitKind.TRUNCATED : kind);
    }
    this.number = this.#lineCount;
    return kind;
  }

  /** The joined line, under the number of its first part; `kind` is what ended it, which may have spoilt it. */
  #takeJoined(kind: SplitKind): SplitKind {
    this.#text = this.#joined;
    this.number = this.#joinedNumber;
    this.#joined = "";
    return kind === SplitKind.TEXT && this.#text.length > LINE_BYTES_MAX ? SplitKind.TOO_LONG : kind;
  }

  /** The next line, as text. */
  #nextText(): SplitKind {
    const kind = this.#nextLine();
    if (kind !== SplitKind.TEXT) return kind;
    this.#text = this.#lineText();
    return this.#text === null ? SplitKind.INVALID_UTF8 : SplitKind.TEXT;
  }

  #lineText(): string | null {
    if (this.bytes === this.#chunk) return this.#chunkText.slice(this.from, this.to);
    return decode(this.bytes.subarray(this.from, this.to));
  }

  /** The next line, as bytes: in the chunk if it has all of them, in the carry if earlier chunks began it. */
  #nextLine(): SplitKind {
    const chunk = this.#chunk;
    while (this.#position < chunk.length) {
      const start = this.#position;
      const newline = chunk.indexOf(NEWLINE, start);
      const end = newline < 0 ? chunk.length : newline;
      this.#position = newline < 0 ? end : newline + 1;
      if (this.#isSkipping) {
        this.#isSkipping = newline < 0;
        continue;
      }
      if (this.#carry.length + end - start > LINE_BYTES_MAX) {
        this.#carry.length = 0;
        this.#isSkipping = newline < 0;
        this.#lineCount++;
        return SplitKind.TOO_LONG;
      }
      if (newline >= 0 && this.#carry.length === 0) return this.#found(chunk, start, end);
      this.#carry.append(chunk.subarray(start, end));
      if (newline >= 0) return this.#foundCarry();
    }
    return this.#hasEnded && this.#carry.length > 0 ? this.#foundCarry() : SplitKind.NONE;
  }

  #foundCarry(): SplitKind {
    const { bytes, length } = this.#carry;
    this.#carry.length = 0;
    return this.#found(bytes, 0, length);
  }

  #found(bytes: Uint8Array, start: number, end: number): SplitKind {
    this.#lineCount++;
    const hasMark = this.#lineCount === 1 && hasByteOrderMark(bytes, start, end);
    this.bytes = bytes;
    this.from = hasMark ? start + 3 : start;
    this.to = end > this.from && bytes[end - 1] === CARRIAGE_RETURN ? end - 1 : end;
    return SplitKind.TEXT;
  }
}
