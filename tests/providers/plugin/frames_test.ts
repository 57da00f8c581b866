import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { Prng } from "../../../core/prng.ts";
import { createFrame, createJsonFrame, FRAME_BODY, FrameReader, readJson } from "../../../providers/plugin/frames.ts";

function concat(frames: readonly Uint8Array[]): Uint8Array {
  const bytes = new Uint8Array(frames.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const frame of frames) {
    bytes.set(frame, at);
    at += frame.length;
  }
  return bytes;
}

describe("frames", () => {
  it("come out as they went in, however the stream is cut", () => {
    const prng = new Prng(3);
    const frames = [...Array(40)].map((_, index) => {
      const frame = createFrame(index, index % 5 === 0 ? 0 : prng.below(300));
      frame.fill(index, FRAME_BODY);
      return frame;
    });
    const stream = concat(frames);
    for (const piece of [1, 2, 7, 8, 9, 300, stream.length]) {
      const seen: string[] = [];
      const reader = new FrameReader(300, (type, body) => {
        assert.equal(body.byteOffset, 0, "a body has memory of its own");
        assert.ok(body.every((byte) => byte === type));
        seen.push(`${type}:${body.length}`);
      });
      for (let at = 0; at < stream.length; at += piece) reader.push(stream.subarray(at, at + piece));
      assert.deepEqual(
        seen,
        frames.map((frame, index) => `${index}:${frame.length - FRAME_BODY}`),
      );
    }
  });

  it("that are longer than any may be are refused before there is memory for them", () => {
    const reader = new FrameReader(10, () => assert.fail("there is no frame"));
    assert.throws(() => reader.push(createFrame(1, 11).subarray(0, FRAME_BODY)), /a frame of 11 bytes/);
  });

  it("carry JSON", () => {
    const bodies: unknown[] = [];
    const reader = new FrameReader(1000, (_, body) => bodies.push(readJson(body)));
    reader.push(createJsonFrame(1, { a: "ü" }));
    assert.deepEqual(bodies, [{ a: "ü" }]);
  });
});
