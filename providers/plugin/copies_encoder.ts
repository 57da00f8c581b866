/**
 * Puts contexts into a frame for the process of a plugin (providers/plugin/frames.ts): copies of the contexts, then each record of
 * attributes that they name, once. On the provider's thread, for each update: nothing is allocated but the frame.
 */
import { CONTEXT_BYTES, ERROR_TEXT_BYTES } from "../../core/constants.ts";
import { ATTRS, ATTRS_ALIGN, type AttrsReader, NO_ATTRS } from "../../core/context/attrs.ts";
import { Contexts } from "../../core/context/contexts.ts";
import { CONTEXT_WORDS, ContextStatus, U8, U32 } from "../../core/context/layout.ts";
import { copyAttrs } from "../../core/context/route_export.ts";
import { COPIES_COUNT, COPIES_HEADER, COPY_SLOT, COPY_TICKET, createFrame, FRAME_BODY } from "./frames.ts";

const RECORDS_BYTES = 64 << 10;

export class CopiesEncoder {
  readonly #contexts: Contexts;
  readonly #reader: AttrsReader;
  readonly #copies: Contexts<ArrayBuffer>;
  #records = new Uint8Array(RECORDS_BYTES);
  #recordsView = new DataView(this.#records.buffer);
  #recordsLength = 0;
  /** Where records are that were copied for this frame, in units of ATTRS_ALIGN behind the copies, by number. */
  readonly #places = new Map<number, number>();
  #count = 0;

  /** For frames of at most `countMax` contexts. */
  constructor(contexts: Contexts, reader: AttrsReader, countMax: number) {
    this.#contexts = contexts;
    this.#reader = reader;
    this.#copies = new Contexts(new ArrayBuffer(COPIES_HEADER + countMax * CONTEXT_BYTES));
  }

  get count(): number {
    return this.#count;
  }

  add(slot: number, ticket: number): void {
    const index = ++this.#count;
    const from = this.#contexts.u32;
    const to = this.#copies.u32;
    const base = slot * CONTEXT_WORDS;
    const at = index * CONTEXT_WORDS;
    for (let word = 0; word < CONTEXT_WORDS; word++) to[at + word] = from[base + word]!;
    to[at + U32.ATTRS] = this.#place(from[base + U32.ATTRS]!);
    to[at + U32.OLD_ATTRS] = this.#place(from[base + U32.OLD_ATTRS]!);
    to[at + COPY_SLOT] = slot;
    to[at + COPY_TICKET] = ticket;
    if (this.#copies.getU8(index, U8.STATUS) === ContextStatus.FAILURE) this.#shortenText(slot, index);
  }

  /** The frame, with which the next one begins. */
  finish(type: number): Uint8Array {
    const count = this.#count;
    const copiesLength = COPIES_HEADER + count * CONTEXT_BYTES;
    const { u8, u32 } = this.#copies;
    u32[COPIES_COUNT] = count;
    for (let index = 1; index <= count; index++) {
      const at = index * CONTEXT_WORDS;
      // Places were counted from 1; now it is known what they lie behind.
      if (u32[at + U32.ATTRS] !== 0) u32[at + U32.ATTRS]! += copiesLength / ATTRS_ALIGN - 1;
      if (u32[at + U32.OLD_ATTRS] !== 0) u32[at + U32.OLD_ATTRS]! += copiesLength / ATTRS_ALIGN - 1;
    }
    const frame = createFrame(type, copiesLength + this.#recordsLength);
    frame.set(u8.subarray(0, copiesLength), FRAME_BODY);
    frame.set(this.#records.subarray(0, this.#recordsLength), FRAME_BODY + copiesLength);
    this.#count = 0;
    this.#recordsLength = 0;
    this.#places.clear();
    return frame;
  }

  /** Where the copy of a record is, from 1; 0 for none. */
  #place(attrs: number): number {
    if (attrs === NO_ATTRS) return 0;
    const known = this.#places.get(attrs);
    if (known !== undefined) return known;
    const length = this.#reader.view.getUint32(this.#reader.offset(attrs) + ATTRS.LENGTH, true);
    const at = this.#recordsLength;
    this.#recordsLength += length;
    if (this.#recordsLength > this.#records.length) this.#grow();
    copyAttrs(this.#reader, attrs, this.#records, at, length);
    this.#recordsView.setUint32(at + ATTRS.REFERENCES, attrs, true);
    const place = at / ATTRS_ALIGN + 1;
    this.#places.set(attrs, place);
    return place;
  }

  #grow(): void {
    const grown = new Uint8Array(this.#recordsLength * 2);
    grown.set(this.#records);
    this.#records = grown;
    this.#recordsView = new DataView(grown.buffer);
  }

  /** A text that is longer than fits a context stays behind, but for its beginning. */
  #shortenText(slot: number, index: number): void {
    if (this.#copies.getU8(index, U8.ERROR_TEXT_LENGTH) <= ERROR_TEXT_BYTES) return;
    this.#copies.fail(index, this.#copies.getU32(index, U32.ERROR), this.#contexts.errorText(slot));
  }
}
