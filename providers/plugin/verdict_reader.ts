/** Takes verdicts out of a frame, and believes nothing that cannot be. On the provider's thread. */
import { TICKET_MAX, VERDICT_BITS, Verdict } from "./frames.ts";

const PAIR_WORDS = 2;
const VERDICT_MASK = (1 << VERDICT_BITS) - 1;
const VERDICT_LAST = Math.max(...Object.values(Verdict));

const decoder = new TextDecoder();

export class VerdictReader {
  readonly #slots: number;
  #ticket = 0;

  constructor(slots: number) {
    this.#slots = slots;
  }

  /** A number for a copy, by which the answer to it is told from that to an earlier one of the same context. */
  nextTicket(): number {
    this.#ticket = this.#ticket === TICKET_MAX ? 1 : this.#ticket + 1;
    return this.#ticket;
  }

  /** Calls `take` for each verdict. Throws a RangeError at what is none; those before it have been taken. */
  read(
    body: Uint8Array<ArrayBuffer>,
    take: (slot: number, ticket: number, verdict: Verdict, text: string) => void,
  ): void {
    const view = new DataView(body.buffer);
    const count = body.length >= 4 ? view.getUint32(0, true) : 0;
    if (count === 0 || body.length < 4 + count * PAIR_WORDS * 4) throw new RangeError("verdicts that are cut off");
    const pairs = new Uint32Array(body.buffer, 4, count * PAIR_WORDS);
    let textAt = 4 + pairs.byteLength;
    for (let index = 0; index < count; index++) {
      const slot = pairs[2 * index]!;
      const packed = pairs[2 * index + 1]!;
      const verdict = packed & VERDICT_MASK;
      if (slot >= this.#slots || verdict > VERDICT_LAST) throw new RangeError(`verdict ${verdict} on context ${slot}`);
      let text = "";
      if (verdict === Verdict.FAIL || verdict === Verdict.UNDECIDED) {
        if (textAt + 2 > body.length) throw new RangeError("a verdict without its text");
        const end = textAt + 2 + view.getUint16(textAt, true);
        if (end > body.length) throw new RangeError("a verdict whose text is cut off");
        text = decoder.decode(body.subarray(textAt + 2, end));
        textAt = end;
      }
      take(slot, packed >>> VERDICT_BITS, verdict as Verdict, text);
    }
  }
}
