/** sd_notify against a receiver that the test binds through libc itself: node: has no unix datagrams. */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { after, describe, it } from "node:test";
import { AF_UNIX, MSG_DONTWAIT, SOCK_CLOEXEC, SOCK_DGRAM } from "../../../ffi/libc/constants.ts";
import { ERRNO } from "../../../ffi/libc/errno.ts";
import { encodeUnixAddress, notifySystemd } from "../../../ffi/libc/unix_datagram.ts";
import { selectRuntime } from "../../../ffi/runtime/select.ts";

const libc = (await selectRuntime()).openLibc();
const folder = mkdtempSync(join(tmpdir(), "dplaned-notify-"));

function bindReceiver(path: string): number {
  const fd = libc.socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  const address = encodeUnixAddress(path);
  assert.ok(address);
  assert.equal(libc.bind(fd, address, address.length), 0, `bind: errno ${libc.errno()}`);
  return fd;
}

function receiveText(fd: number): string {
  const buffer = new Uint8Array(4096);
  const bytes = libc.recvfrom(
    fd,
    buffer,
    buffer.length,
    MSG_DONTWAIT,
    new Uint8Array(110),
    new Uint8Array([110, 0, 0, 0]),
  );
  return new TextDecoder().decode(buffer.subarray(0, Math.max(0, bytes)));
}

describe("notifySystemd", () => {
  after(() => rmSync(folder, { recursive: true }));

  for (const path of [join(folder, "notify"), `@dplaned-notify-${process.pid}`]) {
    it(`reaches ${path.startsWith("@") ? "an abstract name" : "a path"}`, () => {
      const fd = bindReceiver(path);
      assert.equal(notifySystemd(libc, path, "READY=1\nSTATUS=läuft"), 0);
      assert.equal(notifySystemd(libc, path, "WATCHDOG=1"), 0);
      assert.equal(receiveText(fd), "READY=1\nSTATUS=läuft");
      assert.equal(receiveText(fd), "WATCHDOG=1");
      libc.close(fd);
    });
  }

  it("does not wait for a manager whose queue is full", () => {
    const path = join(folder, "full");
    const fd = bindReceiver(path);
    let errno = 0;
    for (let i = 0; i < 100_000 && errno === 0; i++) errno = notifySystemd(libc, path, "WATCHDOG=1");
    assert.equal(errno, ERRNO.EAGAIN);
    libc.close(fd);
  });

  it("returns an errno where nobody listens, or the name is none", () => {
    assert.equal(notifySystemd(libc, join(folder, "nobody"), "READY=1"), ERRNO.ENOENT);
    assert.equal(notifySystemd(libc, `/${"x".repeat(107)}`, "READY=1"), ERRNO.ENAMETOOLONG);
    assert.equal(notifySystemd(libc, "vsock:2:1234", "READY=1"), ERRNO.EAFNOSUPPORT);
  });

  it("keeps the three ways to spell an address apart", () => {
    assert.deepEqual([...(encodeUnixAddress("/a") ?? [])], [1, 0, 47, 97, 0]);
    assert.deepEqual([...(encodeUnixAddress("@a") ?? [])], [1, 0, 0, 97]);
    assert.equal(encodeUnixAddress(`/${"x".repeat(106)}`)?.length, 110);
    assert.equal(encodeUnixAddress(`/${"x".repeat(107)}`), undefined);
  });
});
