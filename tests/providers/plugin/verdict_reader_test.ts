import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { Prng } from "../../../core/prng.ts";
import { FRAME_BODY, TICKET_MAX, Verdict } from "../../../providers/plugin/frames.ts";
import { VerdictReader } from "../../../providers/plugin/verdict_reader.ts";
import { VerdictWriter } from "../../../providers/plugin/verdict_writer.ts";

/** The body of the frame that the writer makes of these. */
function bodyOf(verdicts: readonly (readonly [number, number, Verdict, string])[]): Uint8Array<ArrayBuffer> {
  let body: Uint8Array<ArrayBuffer> | null = null;
  const writer = new VerdictWriter((frame) => {
    body = frame.slice(FRAME_BODY) as Uint8Array<ArrayBuffer>;
  });
  for (const verdict of verdicts) writer.add(...verdict);
  writer.flush();
  writer.flush(); // of nothing: sends nothing
  return body!;
}

function read(body: Uint8Array<ArrayBuffer>, slots = 8192): [number, number, Verdict, string][] {
  const seen: [number, number, Verdict, string][] = [];
  new VerdictReader(slots).read(body, (...verdict) => seen.push(verdict));
  return seen;
}

describe("verdicts", () => {
  it("come out as they went in, as many as there are", () => {
    const kinds = Object.values(Verdict);
    const verdicts = [...Array(3000)].map((_, index): [number, number, Verdict, string] => {
      const verdict = kinds[index % kinds.length]!;
      const hasText = verdict === Verdict.FAIL || verdict === Verdict.UNDECIDED;
      return [index, index === 5 ? TICKET_MAX : index * 7, verdict, hasText ? `text ${index} ü` : ""];
    });
    assert.deepEqual(read(bodyOf(verdicts)), verdicts);
  });

  it("have texts that are not longer than anybody would read", () => {
    const [[, , , text]] = read(bodyOf([[1, 1, Verdict.FAIL, "x".repeat(100_000)]])) as [
      [number, number, Verdict, string],
    ];
    assert.equal(text, "x".repeat(1024));
  });

  it("that cannot be are refused, and never read beyond their end", () => {
    const good = bodyOf([
      [1, 2, Verdict.FAIL, "text"],
      [2, 3, Verdict.PASS, ""],
    ]);
    assert.throws(() => read(good, 2), /verdict 0 on context 2/);
    for (let length = 0; length < good.length; length++) {
      assert.throws(() => read(good.slice(0, length) as Uint8Array<ArrayBuffer>), RangeError);
    }
    const kind = good.slice() as Uint8Array<ArrayBuffer>;
    kind[8] = (kind[8]! & ~7) | 7;
    assert.throws(() => read(kind), /verdict 7/);
    const prng = new Prng(11);
    for (let round = 0; round < 20_000; round++) {
      const bytes = Uint8Array.from({ length: prng.below(60) }, () => prng.below(256)) as Uint8Array<ArrayBuffer>;
      if (prng.chance(0.8) && bytes.length >= 4) bytes.set([prng.below(4), 0, 0, 0]);
      try {
        for (const [slot, ticket, verdict] of read(bytes, 16)) {
          assert.ok(slot < 16 && ticket <= TICKET_MAX && kinds.includes(verdict));
        }
      } catch (error) {
        assert.ok(error instanceof RangeError, String(error));
      }
    }
  });

  it("have tickets that begin anew when there are no more", () => {
    const reader = new VerdictReader(1);
    assert.deepEqual([reader.nextTicket(), reader.nextTicket()], [1, 2]);
  });
});

const kinds: readonly number[] = Object.values(Verdict);
