/** The runtime that runs this test calls the real libc: harmless calls that need neither root nor a network. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { O_RDONLY, SOCK_CLOEXEC, SOCK_RAW } from "../../../ffi/libc/constants.ts";
import { ERRNO } from "../../../ffi/libc/errno.ts";
import { selectRuntime } from "../../../ffi/runtime/select.ts";

const AF_NETLINK = 16;

const runtime = await selectRuntime();
const libc = runtime.openLibc();

describe(`runtime ${runtime.name}`, () => {
  it("names itself", () => {
    assert.equal(runtime.name, "Deno" in globalThis ? "deno" : "bun");
    assert.match(runtime.version, /^\d+\.\d+\.\d+/);
  });

  it("leaves alone what is in use when it is asked to collect garbage", () => {
    const kept = new Uint8Array(1 << 20).fill(7);
    runtime.collectGarbage();
    assert.ok(kept.every((byte) => byte === 7));
  });

  it("reads the errno of the call just made, again and again", () => {
    const missing = new TextEncoder().encode("/nonexistent\0");
    for (let i = 0; i < 10_000; i++) {
      assert.equal(libc.open(missing, O_RDONLY), -1);
      assert.equal(libc.errno(), ERRNO.ENOENT);
      assert.equal(libc.close(-1), -1);
      assert.equal(libc.errno(), ERRNO.EBADF);
    }
  });

  it("lets C write into private, shared and offset views alike", () => {
    const fd = libc.socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, 0);
    assert.ok(fd >= 0);
    const shared = new Uint8Array(new SharedArrayBuffer(64));
    for (const address of [new Uint8Array(12), shared.subarray(0, 12), shared.subarray(20, 32)]) {
      const length = new Uint8Array([12, 0, 0, 0]);
      assert.equal(libc.getsockname(fd, address, length), 0);
      assert.equal(address[0], AF_NETLINK);
    }
    assert.deepEqual(
      [...shared].filter((byte) => byte !== 0),
      [AF_NETLINK, AF_NETLINK],
    );
    assert.equal(shared[20], AF_NETLINK);
    assert.equal(libc.close(fd), 0);
  });

  it("gives the address of a view, offset included", () => {
    const bytes = new Uint8Array(new ArrayBuffer(256));
    assert.equal(libc.addressOf(bytes.subarray(100)) - libc.addressOf(bytes), 100n);
  });
});
