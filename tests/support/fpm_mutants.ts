/**
 * Streams of FPM bytes that no sender should send: recorded ones, changed, cut, repeated and put together anew, and cut into
 * chunks as a socket might. For fuzz tests of whatever reads FPM.
 */
import type { Prng } from "../../core/prng.ts";
import { FPM_HEADER_LENGTH, putFrameHeader } from "../../ffi/fpm/frame.ts";
import { fpmStream } from "./golden_fpm.ts";

/** Bytes that are often something else than others: lengths, limits, flags. */
const TELLING_BYTES = [0, 1, 2, 3, 4, 5, 8, 16, 24, 25, 0x7f, 0x80, 0xfe, 0xff] as const;

const FRAMES_MAX = 24;

/** What a mutated stream is made by, each with its own probability a frame. */
const CHANGES: readonly { probability: number; change: (prng: Prng, frame: Uint8Array) => Uint8Array }[] = [
  { probability: 0.4, change: changeBytes },
  { probability: 0.1, change: resize },
  { probability: 0.1, change: changeMessageLength },
  { probability: 0.05, change: joinTwice },
  { probability: 0.03, change: changeHeader },
];

/** Some bytes behind the frame's header become others. */
function changeBytes(prng: Prng, frame: Uint8Array): Uint8Array {
  for (let count = 1 + prng.below(4); count > 0 && frame.length > FPM_HEADER_LENGTH; count--) {
    const at = FPM_HEADER_LENGTH + prng.below(frame.length - FPM_HEADER_LENGTH);
    frame[at] = prng.chance(0.5) ? prng.pick(TELLING_BYTES) : prng.below(256);
  }
  return frame;
}

/** Cut or extended, with a header that counts right: the messages in it do not. */
function resize(prng: Prng, frame: Uint8Array): Uint8Array {
  const other = new Uint8Array(Math.max(FPM_HEADER_LENGTH, frame.length - 32 + prng.below(48)));
  other.set(frame.subarray(0, other.length));
  putFrameHeader(new DataView(other.buffer), 0, other.length);
  return other;
}

/** The first message says another length. */
function changeMessageLength(prng: Prng, frame: Uint8Array): Uint8Array {
  if (frame.length < FPM_HEADER_LENGTH + 4) return frame;
  const length = prng.pick([0, 1, 15, 16, 17, frame.length, frame.length + 4, 0x7fff_ffff, 0xffff_ffff]);
  new DataView(frame.buffer).setUint32(FPM_HEADER_LENGTH, length, true);
  return frame;
}

/** All messages of the frame twice, in one. */
function joinTwice(_prng: Prng, frame: Uint8Array): Uint8Array {
  const content = frame.subarray(FPM_HEADER_LENGTH);
  const other = new Uint8Array(frame.length + content.length);
  other.set(frame);
  other.set(content, frame.length);
  putFrameHeader(new DataView(other.buffer), 0, other.length);
  return other;
}

/** The frame's own header becomes something else: mostly nothing after it can be read. */
function changeHeader(prng: Prng, frame: Uint8Array): Uint8Array {
  frame[prng.below(FPM_HEADER_LENGTH)] = prng.pick(TELLING_BYTES);
  return frame;
}

/** Streams without end, each as the chunks in which it arrives. `captures` are lists of frames with their headers. */
export function* mutatedStreams(
  prng: Prng,
  captures: readonly (readonly Uint8Array[])[],
): Generator<Uint8Array[], never> {
  const frames = captures.flat();
  for (;;) {
    const chosen: Uint8Array[] = [];
    for (let count = 1 + prng.below(FRAMES_MAX); count > 0; count--) {
      let frame = Uint8Array.from(prng.pick(frames));
      for (const { probability, change } of CHANGES) {
        if (prng.chance(probability)) frame = Uint8Array.from(change(prng, frame));
      }
      chosen.push(frame);
    }
    const stream = fpmStream(chosen);
    yield cut(prng, prng.chance(0.2) ? stream.subarray(0, prng.below(stream.length + 1)) : stream);
  }
}

/** Cuts a stream into chunks of any length. */
function cut(prng: Prng, stream: Uint8Array): Uint8Array[] {
  const chunks: Uint8Array[] = [];
  const longest = prng.pick([1, 7, 60, 4096]);
  for (let at = 0; at < stream.length; ) {
    const length = 1 + prng.below(longest);
    // A copy each: nothing of the stream lies behind a chunk.
    chunks.push(stream.slice(at, at + length));
    at += length;
  }
  return chunks;
}
