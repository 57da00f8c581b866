/** The service manager's end of sd_notify, bound through libc itself: node: has no unix datagrams. */
import assert from "node:assert/strict";
import { AF_UNIX, MSG_DONTWAIT, SOCK_CLOEXEC, SOCK_DGRAM } from "../../ffi/libc/constants.ts";
import type { Libc } from "../../ffi/libc/symbols.ts";
import { encodeUnixAddress } from "../../ffi/libc/unix_datagram.ts";
import { selectRuntime } from "../../ffi/runtime/select.ts";

export class NotifySocket {
  readonly #libc: Libc;
  readonly #fd: number;

  static async bind(path: string): Promise<NotifySocket> {
    return new NotifySocket((await selectRuntime()).openLibc(), path);
  }

  constructor(libc: Libc, path: string) {
    this.#libc = libc;
    this.#fd = libc.socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    const address = encodeUnixAddress(path);
    assert.ok(address);
    assert.equal(libc.bind(this.#fd, address, address.length), 0, `bind: errno ${libc.errno()}`);
  }

  /** The oldest message that was not received yet; empty where there is none. */
  receive(): string {
    const buffer = new Uint8Array(4096);
    const length = new Uint8Array([110, 0, 0, 0]);
    const bytes = this.#libc.recvfrom(this.#fd, buffer, buffer.length, MSG_DONTWAIT, new Uint8Array(110), length);
    return new TextDecoder().decode(buffer.subarray(0, Math.max(0, bytes)));
  }

  close(): void {
    this.#libc.close(this.#fd);
  }
}
