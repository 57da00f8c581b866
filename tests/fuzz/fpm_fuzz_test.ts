/** Readers of FPM against recorded streams that were changed and cut at random: they may refuse, but never throw otherwise. */
import assert from "node:assert/strict";
import process from "node:process";
import { describe, it } from "node:test";
import { Prng } from "../../core/prng.ts";
import { FPM_HEADER_LENGTH, FrameError, FrameReader } from "../../ffi/fpm/frame.ts";
import { align4, messageLength } from "../../ffi/netlink/message.ts";
import { decodeNexthop } from "../../ffi/netlink/nexthop.ts";
import { decodeRoute } from "../../ffi/netlink/route_decode.ts";
import { mutatedStreams } from "../support/fpm_mutants.ts";
import { fpmFrames, fpmTopics } from "../support/golden_fpm.ts";

/** Streams in `make test`; FPM_FUZZ_STREAMS for more. */
const STREAMS = Number(process.env["FPM_FUZZ_STREAMS"] ?? 2000);
/** FPM_FUZZ_SEED repeats a run. */
const SEED = Number(process.env["FPM_FUZZ_SEED"] ?? Date.now() % 0x7fff_ffff);
const CAPTURES = fpmTopics().map(fpmFrames);

interface Read {
  frames: number;
  messages: number;
  /** Of them, those that were neither a route nor a nexthop that can be read. */
  refused: number;
  /** The stream could not be read any further. */
  broken: boolean;
}

/** The messages of a frame, each decoded alone and with the rest of the buffer behind it, which must not matter. */
function readMessages(reader: FrameReader, read: Read): void {
  const { view, start, end } = reader;
  for (let at = start, length = 0; at < end; at += align4(length)) {
    length = messageLength(view, at, end);
    if (length === 0) break;
    assert.ok(at + length <= end, "a message ends with its frame");
    read.messages++;
    const from = view.byteOffset + at;
    const alone = new DataView(view.buffer.slice(from, from + length));
    const route = decodeRoute(view, at, length);
    const nexthop = decodeNexthop(view, at, length);
    assert.deepEqual(route, decodeRoute(alone, 0, length));
    assert.deepEqual(nexthop, decodeNexthop(alone, 0, length));
    if (route === null && nexthop === null) read.refused++;
  }
}

/** Reads a stream to its end, as a session does. Throws where a reader does what it must not. */
function readStream(chunks: readonly Uint8Array[], read: Read): void {
  const reader = new FrameReader();
  let given = 0;
  let taken = 0;
  for (const chunk of chunks) {
    reader.push(chunk);
    given += chunk.length;
    try {
      while (reader.next()) {
        assert.ok(reader.start <= reader.end && reader.end <= reader.view.byteLength, "a frame lies in what has come");
        taken += reader.end - reader.start + FPM_HEADER_LENGTH;
        read.frames++;
        readMessages(reader, read);
      }
    } catch (error) {
      if (!(error instanceof FrameError)) throw error;
      read.broken = true;
      return;
    }
    assert.equal(taken + reader.buffered, given, "every byte is in a frame, or waits");
  }
}

describe(`FPM streams from nowhere (FPM_FUZZ_SEED=${SEED})`, () => {
  it("readers refuse what they cannot read, and read nothing outside of it", () => {
    const streams = mutatedStreams(new Prng(SEED), CAPTURES);
    const total = { frames: 0, messages: 0, refused: 0, broken: 0 };
    for (let count = 0; count < STREAMS; count++) {
      const read: Read = { frames: 0, messages: 0, refused: 0, broken: false };
      try {
        readStream(streams.next().value, read);
      } catch (error) {
        throw new Error(`Stream ${count} of FPM_FUZZ_SEED=${SEED}: ${(error as Error).message}`, { cause: error });
      }
      total.frames += read.frames;
      total.messages += read.messages;
      total.refused += read.refused;
      total.broken += Number(read.broken);
    }
    const report = JSON.stringify(total);
    assert.ok(total.refused > total.messages / 100, `too tame to test much: ${report}`);
    assert.ok(total.refused < total.messages / 2, `too wild to test much: ${report}`);
    assert.ok(total.broken > STREAMS / 100 && total.broken < STREAMS / 2, `broken streams: ${report}`);
  });

  it("streams are the same again with the same seed", () => {
    const [one, other] = [mutatedStreams(new Prng(SEED), CAPTURES), mutatedStreams(new Prng(SEED), CAPTURES)];
    for (let count = 0; count < 20; count++) assert.deepEqual(one.next().value, other.next().value);
  });

  it("finds a reader that reads too much (canary)", () => {
    const streams = mutatedStreams(new Prng(SEED), CAPTURES);
    /** Trusts each message's own length. */
    const readsTooMuch = (chunks: readonly Uint8Array[]): void => {
      const reader = new FrameReader();
      for (const chunk of chunks) {
        reader.push(chunk);
        while (reader.next()) {
          const { view, start, end } = reader;
          if (end - start < 4) continue;
          decodeRoute(view, start, Math.min(view.getUint32(start, true), end - start));
          view.getUint8(start + view.getUint32(start, true) - 1);
        }
      }
    };
    const isCaught = Array.from({ length: 200 }, () => streams.next().value).some((chunks) => {
      try {
        readsTooMuch(chunks);
        return false;
      } catch (error) {
        return !(error instanceof FrameError);
      }
    });
    assert.ok(isCaught);
  });
});
