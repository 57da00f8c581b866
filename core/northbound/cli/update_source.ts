/**
 * A file or standard input of updates on its way to the daemon: finds out its format, counts what passes, and can end early
 * after a whole line. Main thread of a client process.
 */
import { createReadStream, statSync } from "node:fs";
import type { Readable } from "node:stream";
import { LINE_BYTES_MAX } from "../../constants.ts";
import { errorCode } from "../../output.ts";
import type { UpdateFormat } from "../api_types.ts";

const READ_BYTES = 1 << 18;

const NEWLINE = 0x0a;
const HASH = 0x23;
const OPEN_BRACKET = 0x5b;
const OPEN_BRACE = 0x7b;
/** Bytes before the first significant one: blanks, line ends and the UTF-8 byte order mark. */
const BLANKS = new Set([0x09, 0x0a, 0x0d, 0x20, 0xef, 0xbb, 0xbf]);

/** The updates cannot be read. It has no `code`, so that it cannot pass for an error of the connection. */
export class InputError extends Error {
  override name = "InputError";
}

export class UpdateSource {
  /** Name for messages. */
  readonly name: string;
  /** Undefined for what is not a regular file. */
  readonly totalBytes: number | undefined;
  bytes = 0;
  lines = 0;
  stopped = false;
  #closed = false;
  readonly #stream: Readable;
  readonly #pieces: AsyncIterator<Uint8Array>;
  /** Read to find out the format, and not sent yet. */
  #head: Uint8Array[] = [];

  constructor(name: string, stream: Readable, totalBytes: number | undefined) {
    this.name = name;
    this.totalBytes = totalBytes;
    this.#stream = stream;
    this.#pieces = stream[Symbol.asyncIterator]();
  }

  /** Opens `file`; `-` is standard input. */
  static open(file: string, stdin: () => Readable): UpdateSource {
    if (file === "-") return new UpdateSource("stdin", stdin(), undefined);
    try {
      const stat = statSync(file);
      if (stat.isDirectory()) throw new InputError(`Cannot read ${file}: it is a directory`);
      return new UpdateSource(
        file,
        createReadStream(file, { highWaterMark: READ_BYTES }),
        stat.isFile() ? stat.size : undefined,
      );
    } catch (error) {
      throw describeInputError(file, error);
    }
  }

  /** The format, told by the first significant character; without one there are no updates, in any format. */
  async detectFormat(): Promise<UpdateFormat> {
    const detector = new FormatDetector();
    for (;;) {
      const piece = await this.#next();
      if (piece === undefined) return "ndjson";
      this.#head.push(piece);
      const format = detector.take(piece);
      if (format !== undefined) return format;
    }
  }

  /** The updates in pieces that end with a line, so that {@linkcode stop} leaves no update cut in two. */
  async *pieces(format: UpdateFormat): AsyncGenerator<Uint8Array> {
    let tail: Uint8Array = new Uint8Array(0);
    for (;;) {
      const piece = this.#head.shift() ?? (await this.#next());
      if (this.#closed) return;
      if (piece === undefined) break;
      // A JSON array may be one single line, which must not be gathered here.
      const end = format === "json" ? piece.length : piece.lastIndexOf(NEWLINE) + 1;
      const whole = end === 0 ? new Uint8Array(0) : concat(tail, piece.subarray(0, end));
      tail = end === 0 ? concat(tail, piece) : piece.subarray(end);
      if (whole.length > 0) yield this.#count(whole);
      if (tail.length <= LINE_BYTES_MAX) continue;
      yield this.#count(tail);
      tail = new Uint8Array(0);
    }
    if (tail.length === 0) return;
    this.lines++;
    yield this.#count(tail);
  }

  /** Ends the updates after the last whole line that was read. */
  stop(): void {
    this.stopped = true;
    this.close();
  }

  /** Reads no more. */
  close(): void {
    this.#closed = true;
    this.#stream.destroy();
  }

  async #next(): Promise<Uint8Array | undefined> {
    try {
      const { done, value } = await this.#pieces.next();
      return done === true ? undefined : value;
    } catch (error) {
      // Closing destroys the stream, which its reader may see as an error.
      if (this.#closed) return undefined;
      throw describeInputError(this.name, error);
    }
  }

  #count(piece: Uint8Array): Uint8Array {
    this.bytes += piece.length;
    for (let at = piece.indexOf(NEWLINE); at !== -1; at = piece.indexOf(NEWLINE, at + 1)) this.lines++;
    return piece;
  }
}

/** Looks for the first byte that is neither blank nor in a comment, across pieces. */
class FormatDetector {
  #inComment = false;

  take(piece: Uint8Array): UpdateFormat | undefined {
    for (const byte of piece) {
      if (this.#inComment) {
        this.#inComment = byte !== NEWLINE;
      } else if (byte === HASH) {
        this.#inComment = true;
      } else if (!BLANKS.has(byte)) {
        if (byte === OPEN_BRACE) return "ndjson";
        return byte === OPEN_BRACKET ? "json" : "iproute2";
      }
    }
    return undefined;
  }
}

function concat(first: Uint8Array, second: Uint8Array): Uint8Array {
  if (first.length === 0) return second;
  const both = new Uint8Array(first.length + second.length);
  both.set(first);
  both.set(second, first.length);
  return both;
}

function describeInputError(name: string, error: unknown): InputError {
  if (error instanceof InputError) return error;
  return new InputError(`Cannot read ${name}: ${errorCode(error) ?? String(error)}`);
}
