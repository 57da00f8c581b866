/**
 * Takes a request's body apart into updates as its bytes arrive, in chunks that end anywhere. Main thread.
 *
 * The reader pulls: `push` a chunk, then call `next` until it says NONE, pausing in between for as long as the queue is
 * full. Nothing is decoded before it is asked for, so what waits inside is one chunk and at most one unfinished update.
 */
import { LINE_BYTES_MAX } from "../constants.ts";

/** What {@linkcode UpdateSplitter.next} found. */
export const SplitKind = {
  /** More bytes are needed, or after `end`, there are no more. */
  NONE: 0,
  /** `text` is an update, perhaps a blank one. */
  TEXT: 1,
  /** An update is longer than `LINE_BYTES_MAX`; it was skipped. */
  TOO_LONG: 2,
  /** An update has bytes that are not UTF-8. */
  INVALID_UTF8: 3,
  /** The body ended inside of an update. */
  TRUNCATED: 4,
} as const;
export type SplitKind = (typeof SplitKind)[keyof typeof SplitKind];

export interface UpdateSplitter {
  /** The update, after `next` returned TEXT. */
  readonly text: string;
  /** Number of the line or array element that `next` found, from 1. */
  readonly number: number;
  /** Takes the next bytes; the previous ones must have been taken out until NONE. The chunk may be reused after NONE. */
  push(chunk: Uint8Array): void;
  /** The body is complete: what is left is its last update. */
  end(): void;
  next(): SplitKind;
}

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
const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const COMMA = 0x2c;
const OPEN_BRACKET = 0x5b;
const CLOSE_BRACKET = 0x5d;
const OPEN_BRACE = 0x7b;
const CLOSE_BRACE = 0x7d;

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
  const hasMark = start[0] === 0xef && start[1] === 0xbb && start[2] === 0xbf;
  for (let index = hasMark ? 3 : 0; index < start.length; index++) {
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

function isSpace(byte: number): boolean {
  return byte === 0x20 || (byte >= 0x09 && byte <= 0x0d);
}

/** Bytes of unfinished lines: they grow by doubling, up to the longest line. */
class ByteBuffer {
  #bytes = new Uint8Array(4096);
  length = 0;

  append(bytes: Uint8Array): void {
    const length = this.length + bytes.length;
    if (length > this.#bytes.length) {
      const grown = new Uint8Array(Math.max(length, this.#bytes.length * 2));
      grown.set(this.#bytes.subarray(0, this.length));
      this.#bytes = grown;
    }
    this.#bytes.set(bytes, this.length);
    this.length = length;
  }

  /** What is inside, until the next append. */
  view(): Uint8Array {
    return this.#bytes.subarray(0, this.length);
  }
}

// The mark at the start of a file is removed by hand, because a decoder would remove it at the start of every line.
const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

function decode(bytes: Uint8Array): string | null {
  try {
    return decoder.decode(bytes);
  } catch {
    return null;
  }
}

/**
 * Bytes decoded at once: one decoder call for many lines, which are then slices of its string. A longer string would be
 * in memory for longer, and more of them would outlive a collection of young garbage.
 */
const WINDOW_BYTES = Math.min(1 << 14, LINE_BYTES_MAX);

/** Splits at newlines; a carriage return before one is not part of the line. */
export class LineSplitter implements UpdateSplitter {
  text = "";
  number = 0;
  /** Whether a backslash at a line's end joins the next line to it, as in `ip -batch`. */
  readonly #joinsLines: boolean;
  /** Lines that wait for the rest of them. */
  #joined = "";
  #joinedNumber = 0;
  #lineCount = 0;
  #chunk: Uint8Array = new Uint8Array(0);
  #position = 0;
  /** A decoded piece of the chunk, which ends with a newline. */
  #window = "";
  #windowPosition = 0;
  /** Up to here the chunk has bad bytes somewhere and is decoded line by line. */
  #badWindowEnd = 0;
  readonly #carry = new ByteBuffer();
  #isSkipping = false;
  #hasEnded = false;

  constructor(joinsLines = false) {
    this.#joinsLines = joinsLines;
  }

  push(chunk: Uint8Array): void {
    this.#chunk = chunk;
    this.#position = 0;
    this.#badWindowEnd = 0;
  }

  end(): void {
    this.#hasEnded = true;
  }

  next(): SplitKind {
    let kind = this.#nextLine();
    while (this.#joinsLines && kind === SplitKind.TEXT) {
      // As in `ip -batch`, a comment swallows the backslash.
      const continues = this.text.endsWith("\\") && !this.text.includes("#");
      if (!continues && this.#joined === "") break;
      if (this.#joined === "") this.#joinedNumber = this.#lineCount;
      this.#joined += continues ? this.text.slice(0, -1) : this.text;
      if (!continues) return this.#takeJoined(SplitKind.TEXT);
      // Something must be left, or a line of nothing but a backslash would not count as begun.
      if (this.#joined === "") this.#joined = " ";
      kind = this.#nextLine();
    }
    if (this.#joined !== "" && (kind !== SplitKind.NONE || this.#hasEnded)) {
      return this.#takeJoined(kind === SplitKind.NONE ? SplitKind.TRUNCATED : kind);
    }
    this.number = this.#lineCount;
    return kind;
  }

  /** The joined line, under the number of its first part; `kind` is what ended it, which may have spoilt it. */
  #takeJoined(kind: SplitKind): SplitKind {
    this.text = this.#joined;
    this.number = this.#joinedNumber;
    this.#joined = "";
    return kind === SplitKind.TEXT && this.text.length > LINE_BYTES_MAX ? SplitKind.TOO_LONG : kind;
  }

  #nextLine(): SplitKind {
    for (;;) {
      if (this.#windowPosition < this.#window.length) {
        const end = this.#window.indexOf("\n", this.#windowPosition);
        const line = this.#window.slice(this.#windowPosition, end);
        this.#windowPosition = end + 1;
        return this.#found(line);
      }
      if (this.#position === this.#chunk.length) break;
      if (this.#carry.length > 0 || this.#isSkipping) {
        const kind = this.#finishCarry();
        if (kind !== SplitKind.NONE) return kind;
      } else {
        const kind = this.#openWindow();
        if (kind !== SplitKind.NONE) return kind;
      }
    }
    if (!this.#hasEnded || this.#carry.length === 0) return SplitKind.NONE;
    return this.#foundBytes(this.#takeCarry());
  }

  /** Appends the chunk up to its first newline to the line that an earlier one began. */
  #finishCarry(): SplitKind {
    const newline = this.#chunk.indexOf(NEWLINE, this.#position);
    const end = newline < 0 ? this.#chunk.length : newline;
    const start = this.#position;
    this.#position = newline < 0 ? end : newline + 1;
    if (this.#isSkipping) {
      this.#isSkipping = newline < 0;
      return SplitKind.NONE;
    }
    if (this.#carry.length + end - start > LINE_BYTES_MAX) {
      this.#carry.length = 0;
      this.#isSkipping = newline < 0;
      this.#lineCount++;
      return SplitKind.TOO_LONG;
    }
    this.#carry.append(this.#chunk.subarray(start, end));
    return newline < 0 ? SplitKind.NONE : this.#foundBytes(this.#takeCarry());
  }

  #takeCarry(): Uint8Array {
    const bytes = this.#carry.view();
    this.#carry.length = 0;
    return bytes;
  }

  /** Decodes the complete lines of the next window at once. Where it has none, or bad bytes, goes on line by line. */
  #openWindow(): SplitKind {
    const windowEnd = Math.min(this.#position + WINDOW_BYTES, this.#chunk.length);
    const newline = this.#chunk.lastIndexOf(NEWLINE, windowEnd - 1);
    if (newline < this.#position) {
      // The carry must not stay empty, or this would be tried again.
      this.#carry.append(this.#chunk.subarray(this.#position, windowEnd));
      this.#position = windowEnd;
      return SplitKind.NONE;
    }
    if (this.#position >= this.#badWindowEnd) {
      const window = decode(this.#chunk.subarray(this.#position, newline + 1));
      if (window !== null) {
        this.#window = window;
        this.#windowPosition = 0;
        this.#position = newline + 1;
        return SplitKind.NONE;
      }
      this.#badWindowEnd = newline + 1;
    }
    const lineEnd = this.#chunk.indexOf(NEWLINE, this.#position);
    const line = this.#chunk.subarray(this.#position, lineEnd);
    this.#position = lineEnd + 1;
    return this.#foundBytes(line);
  }

  #foundBytes(bytes: Uint8Array): SplitKind {
    const line = decode(bytes);
    if (line !== null) return this.#found(line);
    this.#lineCount++;
    return SplitKind.INVALID_UTF8;
  }

  #found(line: string): SplitKind {
    this.#lineCount++;
    const start = this.#lineCount === 1 && line.charCodeAt(0) === 0xfeff ? 1 : 0;
    const end = line.endsWith("\r") ? line.length - 1 : line.length;
    this.text = start === 0 && end === line.length ? line : line.slice(start, end);
    return SplitKind.TEXT;
  }
}

const EMPTY_ELEMENT = Uint8Array.of(COMMA);

/** Where a {@linkcode JsonSplitter} is. */
const State = {
  /** Before the first byte that tells an array from a sequence of objects. */
  START: 0,
  /** Between updates. */
  BETWEEN: 1,
  INSIDE: 2,
  STRING: 3,
  ESCAPE: 4,
  /** Behind the array's end. */
  DONE: 5,
} as const;
type State = (typeof State)[keyof typeof State];

/**
 * Splits an array at the commas between its elements, and a sequence of objects at their ends. It looks at brackets,
 * commas and strings only: whether an element is JSON, and one object, is for its parser to say.
 */
export class JsonSplitter implements UpdateSplitter {
  text = "";
  number = 0;
  #state: State = State.START;
  #isArray = false;
  /** Brackets that are open inside of the element. */
  #depth = 0;
  /** An array's element is due: behind a comma, which must not be the last thing in it. */
  #isElementDue = false;
  #chunk: Uint8Array = new Uint8Array(0);
  #position = 0;
  #elementStart = 0;
  readonly #carry = new ByteBuffer();
  #isTooLong = false;
  #hasEnded = false;

  push(chunk: Uint8Array): void {
    this.#chunk = chunk;
    this.#position = 0;
    this.#elementStart = 0;
  }

  end(): void {
    this.#hasEnded = true;
  }

  next(): SplitKind {
    while (this.#position < this.#chunk.length) {
      const isComplete = this.#isInElement() ? this.#scanElement() : this.#scanBetween();
      if (isComplete) return this.#takeElement();
    }
    this.#keepElement();
    if (!this.#hasEnded) return SplitKind.NONE;
    // An array must be closed; a sequence just must not stop inside of an object.
    const isInElement = this.#isInElement();
    const isTruncated = this.#isArray ? this.#state !== State.DONE : isInElement;
    const isScalar = !this.#isArray && this.#state === State.INSIDE && this.#depth === 0;
    this.#state = State.DONE;
    if (!isTruncated) return SplitKind.NONE;
    if (isScalar) return this.#takeElement();
    this.#carry.length = 0;
    this.number++;
    return SplitKind.TRUNCATED;
  }

  #isInElement(): boolean {
    return this.#state === State.INSIDE || this.#state === State.STRING || this.#state === State.ESCAPE;
  }

  /** Skips to the next element. Returns true where an empty one was found: `[1,,2]`, `[1,]`. */
  #scanBetween(): boolean {
    const byte = this.#chunk[this.#position]!;
    if (isSpace(byte) || (this.#state === State.START && (byte === 0xef || byte === 0xbb || byte === 0xbf))) {
      this.#position++;
      return false;
    }
    if (this.#state === State.START) {
      this.#isArray = byte === OPEN_BRACKET;
      this.#state = State.BETWEEN;
      if (this.#isArray) this.#position++;
      return false;
    }
    this.#elementStart = this.#position;
    if (this.#state === State.BETWEEN && this.#isArray && (byte === COMMA || byte === CLOSE_BRACKET)) {
      const isEmptyElement = byte === COMMA || this.#isElementDue;
      // Nothing at all would pass for a blank line.
      if (isEmptyElement) this.#carry.append(EMPTY_ELEMENT);
      this.#endElement(byte);
      return isEmptyElement;
    }
    // What stands behind an array is no part of it, and goes on as a sequence.
    if (this.#state === State.DONE) this.#isArray = false;
    this.#state = State.INSIDE;
    this.#depth = 0;
    return false;
  }

  /** Goes to the element's end or the chunk's. Returns whether the element is complete. */
  #scanElement(): boolean {
    const chunk = this.#chunk;
    let state: State = this.#state;
    let depth = this.#depth;
    let position = this.#position;
    for (; position < chunk.length; position++) {
      const byte = chunk[position]!;
      if (state === State.STRING) {
        if (byte === QUOTE) state = State.INSIDE;
        else if (byte === BACKSLASH) state = State.ESCAPE;
      } else if (state === State.ESCAPE) {
        state = State.STRING;
      } else if (byte === QUOTE) {
        state = State.STRING;
      } else if (byte === OPEN_BRACE || byte === OPEN_BRACKET) {
        depth++;
      } else if (byte === CLOSE_BRACE || byte === CLOSE_BRACKET) {
        if (depth === 0 && byte === CLOSE_BRACKET && this.#isArray) break;
        depth = Math.max(0, depth - 1);
        if (depth === 0 && !this.#isArray) break;
      } else if (depth === 0 && (this.#isArray ? byte === COMMA : byte === NEWLINE)) {
        break;
      }
    }
    this.#state = state;
    this.#depth = depth;
    this.#position = position;
    if (position - this.#elementStart + this.#carry.length > LINE_BYTES_MAX) this.#isTooLong = true;
    if (position === chunk.length) return false;
    this.#endElement(chunk[position]!);
    return true;
  }

  /** Steps over the byte that ends an element; in a sequence that byte belongs to it. */
  #endElement(byte: number): void {
    this.#keepElement();
    if (!this.#isArray && !this.#isTooLong)
      this.#carry.append(this.#chunk.subarray(this.#position, this.#position + 1));
    this.#position++;
    this.#isElementDue = byte === COMMA;
    this.#state = this.#isArray && byte === CLOSE_BRACKET ? State.DONE : State.BETWEEN;
  }

  /** Puts the element's bytes of this chunk with those of earlier ones. */
  #keepElement(): void {
    if (!this.#isInElement()) return;
    if (this.#isTooLong) this.#carry.length = 0;
    else this.#carry.append(this.#chunk.subarray(this.#elementStart, this.#position));
    this.#elementStart = this.#position;
  }

  #takeElement(): SplitKind {
    this.number++;
    const isTooLong = this.#isTooLong;
    const text = isTooLong ? "" : decode(this.#carry.view());
    this.#isTooLong = false;
    this.#carry.length = 0;
    if (isTooLong) return SplitKind.TOO_LONG;
    if (text === null) return SplitKind.INVALID_UTF8;
    this.text = text;
    return SplitKind.TEXT;
  }
}
