/** Gathers verdicts into one frame. In the process of a plugin. */
import { createFrame, FRAME_BODY, FromHost, VERDICT_BITS, Verdict } from "./frames.ts";

const PAIR_BYTES = 8;
const TEXT_MAX = 1024;

const encoder = new TextEncoder();

export class VerdictWriter {
  readonly #send: (frame: Uint8Array) => void;
  #pairs = new Uint32Array(1024);
  #count = 0;
  #texts: Uint8Array[] = [];
  #textBytes = 0;

  constructor(send: (frame: Uint8Array) => void) {
    this.#send = send;
  }

  add(slot: number, ticket: number, verdict: Verdict, text: string): void {
    if (2 * this.#count === this.#pairs.length) {
      const grown = new Uint32Array(this.#pairs.length * 2);
      grown.set(this.#pairs);
      this.#pairs = grown;
    }
    this.#pairs[2 * this.#count] = slot;
    this.#pairs[2 * this.#count + 1] = (ticket << VERDICT_BITS) | verdict;
    this.#count += 1;
    if (verdict !== Verdict.FAIL && verdict !== Verdict.UNDECIDED) return;
    const bytes = encoder.encode(text.slice(0, TEXT_MAX));
    this.#texts.push(bytes);
    this.#textBytes += 2 + bytes.length;
  }

  flush(): void {
    if (this.#count === 0) return;
    const frame = createFrame(FromHost.VERDICTS, 4 + this.#count * PAIR_BYTES + this.#textBytes);
    const view = new DataView(frame.buffer);
    view.setUint32(FRAME_BODY, this.#count, true);
    let at = FRAME_BODY + 4;
    frame.set(new Uint8Array(this.#pairs.buffer, 0, this.#count * PAIR_BYTES), at);
    at += this.#count * PAIR_BYTES;
    for (const bytes of this.#texts) {
      view.setUint16(at, bytes.length, true);
      frame.set(bytes, at + 2);
      at += 2 + bytes.length;
    }
    this.#count = 0;
    this.#texts = [];
    this.#textBytes = 0;
    this.#send(frame);
  }
}
