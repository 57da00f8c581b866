/**
 * Splits a body that is a JSON array, or JSON objects that may span lines. Main thread.
 */
import { LINE_BYTES_MAX } from "../constants.ts";
import { ByteBuffer, decode, isSpace, SplitKind, type UpdateSplitter } from "./splitter.ts";

const NEWLINE = 0x0a;
const QUOTE = 0x22;
const COMMA = 0x2c;
const OPEN_BRACKET = 0x5b;
const BACKSLASH = 0x5c;
const CLOSE_BRACKET = 0x5d;
const OPEN_BRACE = 0x7b;
const CLOSE_BRACE = 0x7d;

/** What stands for an element that is not there: nothing at all would pass for a blank line. */
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
  bytes: Uint8Array = EMPTY_ELEMENT;
  from = 0;
  to = 0;
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

  get text(): string | null {
    return decode(this.bytes.subarray(this.from, this.to));
  }

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
    if (isScalar) {
      this.#locate(this.#position);
      return this.#takeElement();
    }
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
      this.#endElement(byte);
      this.bytes = EMPTY_ELEMENT;
      this.from = 0;
      this.to = 1;
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
    if (this.#isInElement()) this.#locate(this.#isArray ? this.#position : this.#position + 1);
    this.#position++;
    this.#isElementDue = byte === COMMA;
    this.#state = this.#isArray && byte === CLOSE_BRACKET ? State.DONE : State.BETWEEN;
  }

  /** Notes where the element is whose last byte is before `end`: here, or in the carry if earlier chunks began it. */
  #locate(end: number): void {
    if (this.#isTooLong) return;
    this.bytes = this.#chunk;
    this.from = this.#elementStart;
    this.to = end;
    if (this.#carry.length === 0) return;
    this.#carry.append(this.#chunk.subarray(this.#elementStart, end));
    this.bytes = this.#carry.bytes;
    this.from = 0;
    this.to = this.#carry.length;
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
    this.#isTooLong = false;
    this.#carry.length = 0;
    return isTooLong ? SplitKind.TOO_LONG : SplitKind.TEXT;
  }
}
