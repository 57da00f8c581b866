import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { OutputLines } from "../../../providers/plugin/output_lines.ts";

const encode = (text: string): Uint8Array => new TextEncoder().encode(text);

describe("what a plugin prints", () => {
  it("becomes lines, however it comes", () => {
    const seen: string[] = [];
    const lines = new OutputLines((line) => seen.push(line));
    const bytes = encode("one\ntwo ü\n\n  \nthree");
    for (const byte of bytes) lines.push(Uint8Array.of(byte));
    assert.deepEqual(seen, ["one", "two ü"]);
    lines.push(encode("\n"));
    assert.deepEqual(seen, ["one", "two ü", "three"]);
  });

  it("is cut where nobody would read it all, and no memory is lost to a line without an end", () => {
    const seen: string[] = [];
    const lines = new OutputLines((line) => seen.push(line));
    for (let round = 0; round < 50; round++) lines.push(encode("x".repeat(10_000)));
    assert.ok(seen.every((line) => line.length <= 1001));
    assert.ok(seen.length <= 50);
    const many: string[] = [];
    const flood = new OutputLines((line) => many.push(line));
    flood.push(encode("y\n".repeat(100_000)));
    assert.equal(many.length, 100);
  });
});
