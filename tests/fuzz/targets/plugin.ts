/** What the process of a plugin sends: frames with verdicts, whose refusals go to clients. */
import assert from "node:assert/strict";
import { formatRefusal, parseRefusal } from "../../../core/context/refusal.ts";
import type { Prng } from "../../../core/prng.ts";
import {
  createFrame,
  FRAME_BODY,
  FROM_HOST_MAX,
  FrameReader,
  FromHost,
  VERDICT_BITS,
  Verdict,
} from "../../../providers/plugin/frames.ts";
import { VerdictReader } from "../../../providers/plugin/verdict_reader.ts";
import { corpusOf, cut, type FuzzTarget, mutate } from "../../support/fuzz.ts";

const SLOTS = 64;
const VERDICTS = Object.values(Verdict);
const TEXTS = corpusOf([
  "",
  "it throws",
  formatRefusal({ code: "BOGON", message: "not routed", hint: "ask for another" }),
]);

export function pluginTarget(): FuzzTarget {
  return {
    name: "plugin",
    reads: ["providers/plugin/frames.ts", "providers/plugin/verdict_reader.ts", "core/context/refusal.ts"],
    smoke: 2000,
    open: () => ({
      run: (prng, feed) => {
        const frames = Array.from({ length: 1 + prng.below(3) }, () => verdictsFrame(prng));
        const bytes = prng.chance(0.3) ? Buffer.concat(frames) : mutate(prng, Buffer.concat(frames), frames);
        feed(bytes);
        const whole = read([bytes]);
        assert.deepEqual(read(cut(prng, bytes)), whole, "the same in chunks as in one piece");
        return whole.taken.length > 0 && whole.refused === "";
      },
    }),
  };
}

function verdictsFrame(prng: Prng): Uint8Array {
  const verdicts = Array.from({ length: 1 + prng.below(5) }, () => prng.pick(VERDICTS));
  const texts = verdicts
    .filter((verdict) => verdict === Verdict.FAIL || verdict === Verdict.UNDECIDED)
    .map(() => prng.pick(TEXTS));
  const length = 4 + 8 * verdicts.length + texts.reduce((sum, text) => sum + 2 + text.length, 0);
  const frame = createFrame(FromHost.VERDICTS, length);
  const view = new DataView(frame.buffer, FRAME_BODY);
  view.setUint32(0, verdicts.length, true);
  for (const [index, verdict] of verdicts.entries()) {
    view.setUint32(4 + 8 * index, prng.below(SLOTS), true);
    view.setUint32(8 + 8 * index, ((index + 1) << VERDICT_BITS) | verdict, true);
  }
  let at = 4 + 8 * verdicts.length;
  for (const text of texts) {
    view.setUint16(at, text.length, true);
    frame.set(text, FRAME_BODY + at + 2);
    at += 2 + text.length;
  }
  return frame;
}

/** All that was taken, and why no more was. */
function read(chunks: readonly Uint8Array[]): { taken: unknown[]; refused: string } {
  const taken: unknown[] = [];
  const verdicts = new VerdictReader(SLOTS);
  const frames = new FrameReader(FROM_HOST_MAX, (type, body) => {
    if (type !== FromHost.VERDICTS) return;
    verdicts.read(body, (slot, ticket, verdict, text) => {
      assert.ok(slot < SLOTS && VERDICTS.includes(verdict), `verdict ${verdict} on context ${slot}`);
      taken.push({ slot, ticket, verdict, text, refusal: parseRefusal(text) });
    });
  });
  try {
    for (const chunk of chunks) frames.push(chunk);
    return { taken, refused: "" };
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    return { taken, refused: error.message };
  }
}
