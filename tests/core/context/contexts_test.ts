import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { CONTEXT_BYTES, ERROR_TEXT_BYTES, LONG_TEXT_BYTES } from "../../../core/constants.ts";
import { Contexts, createContextStorage, createLongTextStorage } from "../../../core/context/contexts.ts";
import { ContextFlag, ContextStatus, F64, U8, U32 } from "../../../core/context/layout.ts";
import { ContextPool, NO_SLOT } from "../../../core/context/pool.ts";

function createPool(slots: number): ContextPool {
  return new ContextPool(new Contexts(createContextStorage(slots)));
}

describe("contexts", () => {
  it("keep every field apart from every other, and from the neighbours", () => {
    const contexts = new Contexts(createContextStorage(3));
    // 16-byte fields and text are named by their first byte.
    const bytes = Object.values(U8).filter((field) => field < U8.PREFIX);
    const words = Object.values(U32).filter((field) => field !== U32.PREFIX && field !== U32.SOURCE);
    bytes.forEach((field, index) => {
      contexts.setU8(1, field, index + 1);
    });
    words.forEach((field, index) => {
      contexts.setU32(1, field, 0xffff_0000 + index);
    });
    Object.values(F64).forEach((field, index) => {
      contexts.setF64(1, field, index + 0.5);
    });
    contexts.u8.fill(0xaa, CONTEXT_BYTES + U8.PREFIX, CONTEXT_BYTES + U8.PREFIX + 32);
    contexts.u8.fill(0xbb, CONTEXT_BYTES + U8.ERROR_TEXT, CONTEXT_BYTES + U8.ERROR_TEXT + ERROR_TEXT_BYTES);
    assert.deepEqual(
      bytes.map((field) => contexts.getU8(1, field)),
      bytes.map((_, index) => index + 1),
    );
    assert.deepEqual(
      words.map((field) => contexts.getU32(1, field)),
      words.map((_, index) => 0xffff_0000 + index),
    );
    assert.deepEqual(
      Object.values(F64).map((field) => contexts.getF64(1, field)),
      Object.values(F64).map((_, index) => index + 0.5),
    );
    const others = [...contexts.u8.subarray(0, CONTEXT_BYTES), ...contexts.u8.subarray(2 * CONTEXT_BYTES)];
    assert.ok(others.every((byte) => byte === 0));
  });

  it("carry a failure with its text, cut at a whole character", () => {
    const contexts = new Contexts(createContextStorage(2));
    contexts.fail(0, 101, "Nexthop has invalid gateway", 36);
    assert.equal(contexts.getU8(0, U8.STATUS), ContextStatus.FAILURE);
    assert.equal(contexts.getU32(0, U32.ERROR), 101);
    assert.equal(contexts.getU32(0, U32.ERROR_OFFSET), 36);
    assert.equal(contexts.errorText(0), "Nexthop has invalid gateway");
    contexts.fail(0, 22, "ü".repeat(200));
    assert.equal(contexts.errorText(0), "ü".repeat(ERROR_TEXT_BYTES / 2));
    contexts.fail(0, 22);
    assert.equal(contexts.errorText(0), "");
    assert.equal(contexts.errorText(1), "");
  });

  it("carry a text that is longer where there is memory for it", () => {
    const contexts = new Contexts(createContextStorage(2), createLongTextStorage(2));
    const fitting = "x".repeat(ERROR_TEXT_BYTES);
    contexts.fail(0, 22, fitting);
    assert.equal(contexts.errorText(0), fitting);
    contexts.fail(0, 22, `${fitting}ü`);
    contexts.fail(1, 22, "ü".repeat(200));
    assert.equal(contexts.errorText(0), `${fitting}ü`);
    assert.equal(contexts.errorText(1), "ü".repeat(Math.floor(LONG_TEXT_BYTES / 2)));
    contexts.fail(1, 22, "short");
    assert.equal(contexts.errorText(1), "short");
  });

  it("keep flags apart", () => {
    const contexts = new Contexts(createContextStorage(1));
    contexts.setFlag(0, ContextFlag.SKIP_KERNEL);
    contexts.setFlag(0, ContextFlag.KNOWN);
    for (const flag of Object.values(ContextFlag)) {
      const wanted = flag === ContextFlag.SKIP_KERNEL || flag === ContextFlag.KNOWN;
      assert.equal(contexts.hasFlag(0, flag), wanted);
    }
  });
});

describe("context pool", () => {
  it("gives each context to one owner, and none when all are taken", () => {
    const pool = createPool(64);
    const slots = new Set(Array.from({ length: 64 }, () => pool.acquire()));
    assert.equal(slots.size, 64);
    assert.ok([...slots].every((slot) => slot >= 0 && slot < 64));
    assert.equal(pool.free, 0);
    assert.equal(pool.acquire(), NO_SLOT);
    for (const slot of slots) pool.release(slot);
    assert.equal(pool.free, pool.size);
  });

  it("invariant 1: refuses to take back a context that is free, which would give it two owners", () => {
    const pool = createPool(4);
    const slot = pool.acquire();
    pool.release(slot);
    assert.throws(() => pool.release(slot), /released once/);
    assert.throws(() => pool.release(3), /released once/);
    assert.throws(() => pool.release(-1), /released once/);
    assert.throws(() => pool.release(4), /released once/);
    assert.equal(pool.free, 4);
  });

  it("hands out the last one returned first, emptied", () => {
    const pool = createPool(8);
    const [first, second] = [pool.acquire(), pool.acquire()];
    pool.contexts.u8.fill(0xff, second * CONTEXT_BYTES, (second + 1) * CONTEXT_BYTES);
    pool.release(first);
    pool.release(second);
    assert.equal(pool.acquire(), second);
    const bytes = pool.contexts.u8.subarray(second * CONTEXT_BYTES, (second + 1) * CONTEXT_BYTES);
    assert.ok(bytes.every((byte) => byte === 0));
    assert.equal(pool.contexts.getU8(second, U8.STATUS), ContextStatus.QUEUED);
  });

  it("moves to other storage with what is taken still taken", () => {
    const pool = createPool(4);
    const slot = pool.acquire();
    const next = new Contexts(createContextStorage(4));
    pool.moveTo(next);
    assert.equal(pool.contexts, next);
    assert.equal(pool.free, 3);
    pool.release(slot);
    assert.throws(() => pool.moveTo(new Contexts(createContextStorage(8))), /same size/);
  });
});
