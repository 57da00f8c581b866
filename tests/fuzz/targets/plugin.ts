/** What the process of a plugin sends: frames with verdicts, whose refusals go to clients, and what it says of itself. */
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
import { readFailure, readLine, readLoaded, readReport } from "../../../providers/plugin/host_words.ts";
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

/** What it says in words and numbers, in bodies of frames. */
const WORDS = corpusOf([
  ...[
    { decides: true, undoes: false, exports: true, metrics: [{ name: "bogons", type: "counter", help: "Refused" }] },
    { decides: false, undoes: true, exports: false, metrics: [] },
    { level: "warn", message: "slow", fields: { ms: 3, of: ["a"], deep: { er: null } } },
    { message: "it throws", count: 3 },
  ].map((value) => JSON.stringify(value)),
  '{"message":"for ever","count":1e999}',
]);

export function pluginWordsTarget(): FuzzTarget {
  return {
    name: "plugin-words",
    reads: ["providers/plugin/host_words.ts"],
    smoke: 2000,
    open: () => ({
      run: (prng, feed) => {
        const bytes = prng.chance(0.2) ? prng.pick(WORDS) : mutate(prng, prng.pick(WORDS), WORDS);
        feed(bytes);
        const loaded = attempt(() => readLoaded(bytes));
        const line = attempt(() => readLine(bytes));
        const failure = attempt(() => readFailure(bytes));
        const metrics = prng.below(3);
        const report = attempt(() => readReport(new Uint8Array(bytes), metrics));
        for (const { name, type } of loaded?.metrics ?? []) {
          assert.match(name, /^[a-z0-9_]{0,64}$/);
          assert.ok(type === "gauge" || type === "counter");
        }
        if (line !== null) assert.ok(line.message.length <= 4096 && typeof line.fields === "object");
        if (failure !== null) assert.ok(failure.count >= 1 && failure.count < 2 ** 32);
        for (const value of report ?? []) assert.ok(Number.isFinite(value));
        return loaded !== null || line !== null;
      },
    }),
  };
}

/** Null where it is refused. */
function attempt<T>(read: () => T): T | null {
  try {
    return read();
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    return null;
  }
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
