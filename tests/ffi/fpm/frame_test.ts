import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { Prng } from "../../../core/prng.ts";
import {
  FPM_HEADER_LENGTH,
  FPM_TYPE_NETLINK,
  FrameError,
  FrameReader,
  putFrameHeader,
} from "../../../ffi/fpm/frame.ts";

function frame(content: readonly number[]): Uint8Array {
  const bytes = new Uint8Array(FPM_HEADER_LENGTH + content.length);
  putFrameHeader(new DataView(bytes.buffer), 0, bytes.length);
  bytes.set(content, FPM_HEADER_LENGTH);
  return bytes;
}

function contents(reader: FrameReader): number[][] {
  const found: number[][] = [];
  while (reader.next()) {
    const { view, start, end } = reader;
    found.push(Array.from({ length: end - start }, (_, index) => view.getUint8(start + index)));
  }
  return found;
}

describe("FPM frames", () => {
  it("putFrameHeader() writes version, type and the big-endian length with the header in it", () => {
    assert.deepEqual([...frame([9, 8, 7, 6])], [1, 1, 0, 8, 9, 8, 7, 6]);
    const bytes = new Uint8Array(4);
    putFrameHeader(new DataView(bytes.buffer), 0, 0x1234);
    assert.deepEqual([...bytes], [1, 1, 0x12, 0x34]);
  });

  it("FrameReader finds the same frames however the stream is cut", () => {
    const prng = new Prng(7);
    const frames = Array.from({ length: 200 }, (_, index) =>
      Array.from({ length: 4 * prng.below(index % 10 === 0 ? 300 : 12) }, () => prng.below(256)),
    );
    const stream = new Uint8Array(frames.flatMap((content) => [...frame(content)]));
    for (let round = 0; round < 50; round++) {
      const reader = new FrameReader();
      const found: number[][] = [];
      for (let at = 0; at < stream.length; ) {
        const length = 1 + prng.below(round === 0 ? 1 : 700);
        reader.push(stream.subarray(at, at + length));
        found.push(...contents(reader));
        at += length;
      }
      assert.deepEqual(found, frames);
      assert.equal(reader.buffered, 0);
    }
  });

  it("FrameReader throws where no frame can begin, and shows what came before", () => {
    for (const [header, message] of [
      [[9, 9, 0, 8], /version 9 and type 9/],
      [[1, 1, 0, 3], /3 bytes is shorter than its header/],
      [[1, 1, 0, 0], /0 bytes/],
    ] as const) {
      const reader = new FrameReader();
      reader.push(new Uint8Array([...frame([1, 2, 3, 4]), ...header, 0, 0, 0, 0]));
      assert.ok(reader.next());
      assert.throws(
        () => reader.next(),
        (error) => error instanceof FrameError && message.test(error.message),
      );
    }
  });

  it("FrameReader goes by version or type, as FRR does", () => {
    const reader = new FrameReader();
    reader.push(new Uint8Array([2, FPM_TYPE_NETLINK, 0, 4, 1, 77, 0, 4]));
    assert.ok(reader.next());
    assert.ok(reader.next());
    assert.equal(reader.type, 77);
    assert.equal(reader.next(), false);
  });
});
