import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { bunSymbols, denoSymbols, LIBC_SYMBOLS } from "../../../ffi/libc/symbols.ts";

describe("libc symbols", () => {
  it("give bun:ffi its shape", () => {
    const symbols = bunSymbols();
    assert.deepEqual(Object.keys(symbols), Object.keys(LIBC_SYMBOLS));
    assert.deepEqual(symbols["recvfrom"], { args: ["i32", "ptr", "usize", "i32", "ptr", "ptr"], returns: "i32" });
    assert.deepEqual(symbols["__errno_location"], { args: [], returns: "ptr" });
  });

  it("give Deno.dlopen its shape", () => {
    const symbols = denoSymbols();
    assert.deepEqual(Object.keys(symbols), Object.keys(LIBC_SYMBOLS));
    assert.deepEqual(symbols["recvfrom"], {
      parameters: ["i32", "buffer", "usize", "i32", "buffer", "buffer"],
      result: "i32",
    });
    assert.deepEqual(symbols["__errno_location"], { parameters: [], result: "pointer" });
  });
});
