/**
 * Views over the shared pool of contexts. Every thread that handles contexts makes one over the same storage; which
 * thread may touch which slot is settled by the rings (core/ring), never here.
 */
import { CONTEXT_BYTES, ERROR_TEXT_BYTES, LONG_TEXT_BYTES } from "../constants.ts";
import { CONTEXT_DOUBLES, CONTEXT_WORDS, ContextStatus, U8, U32 } from "./layout.ts";

const textEncoder = new TextEncoder();
const textDecoder = new TextDecoder();

/** Shared storage for `slots` contexts. */
export function createContextStorage(slots: number): SharedArrayBuffer {
  return new SharedArrayBuffer(slots * CONTEXT_BYTES);
}

/** More shared storage, for error texts that do not fit a context. */
export function createLongTextStorage(slots: number): SharedArrayBuffer {
  return new SharedArrayBuffer(slots * LONG_TEXT_BYTES);
}

/** Typed views over context storage, or over a copy of contexts; a field is read as `contexts.u32[slot * CONTEXT_WORDS + U32.TABLE]`. */
export class Contexts<Storage extends ArrayBufferLike = SharedArrayBuffer> {
  readonly storage: Storage;
  readonly slots: number;
  readonly u8: Uint8Array;
  readonly u32: Uint32Array;
  readonly f64: Float64Array;
  /** Texts of more than ERROR_TEXT_BYTES, as a whole; null where those are cut. */
  readonly #longTexts: Uint8Array | null;

  constructor(storage: Storage, longTexts: SharedArrayBuffer | null = null) {
    this.storage = storage;
    this.#longTexts = longTexts === null ? null : new Uint8Array(longTexts);
    this.slots = storage.byteLength / CONTEXT_BYTES;
    this.u8 = new Uint8Array(storage);
    this.u32 = new Uint32Array(storage);
    this.f64 = new Float64Array(storage);
  }

  /** Reads the byte field `field` of {@linkcode U8}. */
  getU8(slot: number, field: number): number {
    return this.u8[slot * CONTEXT_BYTES + field]!;
  }

  setU8(slot: number, field: number, value: number): void {
    this.u8[slot * CONTEXT_BYTES + field] = value;
  }

  /** Reads the word field `field` of {@linkcode U32}. */
  getU32(slot: number, field: number): number {
    return this.u32[slot * CONTEXT_WORDS + field]!;
  }

  setU32(slot: number, field: number, value: number): void {
    this.u32[slot * CONTEXT_WORDS + field] = value;
  }

  /** Reads the float field `field` of the layout's F64. */
  getF64(slot: number, field: number): number {
    return this.f64[slot * CONTEXT_DOUBLES + field]!;
  }

  setF64(slot: number, field: number, value: number): void {
    this.f64[slot * CONTEXT_DOUBLES + field] = value;
  }

  hasFlag(slot: number, flag: number): boolean {
    return (this.u8[slot * CONTEXT_BYTES + U8.FLAGS]! & flag) !== 0;
  }

  setFlag(slot: number, flag: number): void {
    this.u8[slot * CONTEXT_BYTES + U8.FLAGS]! |= flag;
  }

  /** Notes that the update went on without the word of some providers, each with its bit. */
  passBy(slot: number, providers: number): void {
    this.u32[slot * CONTEXT_WORDS + U32.BYPASSED]! |= providers;
  }

  /** Empties the record, so that nothing of its last use can be taken for this one. */
  clear(slot: number): void {
    this.u32.fill(0, slot * CONTEXT_WORDS, (slot + 1) * CONTEXT_WORDS);
  }

  succeed(slot: number): void {
    this.setU8(slot, U8.STATUS, ContextStatus.SUCCESS);
  }

  /** Marks the update failed with an errno or DplaneError and a text for the client; text that does not fit is cut. */
  fail(slot: number, error: number, text = "", offset = 0): void {
    this.setU8(slot, U8.STATUS, ContextStatus.FAILURE);
    this.setU32(slot, U32.ERROR, error);
    this.setU32(slot, U32.ERROR_OFFSET, offset);
    const base = slot * CONTEXT_BYTES + U8.ERROR_TEXT;
    let { read, written } = textEncoder.encodeInto(text, this.u8.subarray(base, base + ERROR_TEXT_BYTES));
    if (read < text.length && this.#longTexts !== null) {
      const at = slot * LONG_TEXT_BYTES;
      ({ written } = textEncoder.encodeInto(text, this.#longTexts.subarray(at, at + LONG_TEXT_BYTES)));
    }
    this.setU8(slot, U8.ERROR_TEXT_LENGTH, written);
  }

  errorText(slot: number): string {
    const length = this.getU8(slot, U8.ERROR_TEXT_LENGTH);
    if (length === 0) return "";
    if (length > ERROR_TEXT_BYTES) {
      const at = slot * LONG_TEXT_BYTES;
      return textDecoder.decode(this.#longTexts!.slice(at, at + length));
    }
    const base = slot * CONTEXT_BYTES + U8.ERROR_TEXT;
    // A copy, because TextDecoder refuses shared memory.
    return textDecoder.decode(this.u8.slice(base, base + length));
  }
}
