/** How withNetns behaves when the kernel refuses; the real thing is in tests/live/netlink_socket_live_test.ts. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { ERRNO } from "../../../ffi/libc/errno.ts";
import { withNetns } from "../../../ffi/libc/netns.ts";
import type { Libc } from "../../../ffi/libc/symbols.ts";

/** Namespaces 100 (home) and 101 (any path opened later); `refuse` gives an errno for a call, or 0. */
function fakeLibc(refuse: (call: string) => number) {
  const calls: string[] = [];
  let errno = 0;
  const attempt = (call: string, value: number) => {
    calls.push(call);
    errno = refuse(call);
    return errno === 0 ? value : -1;
  };
  const libc = {
    open: (path: Uint8Array) => {
      const name = new TextDecoder().decode(path.subarray(0, -1));
      return attempt(`open ${name}`, name.startsWith("/proc/thread-self") ? 100 : 101);
    },
    setns: (fd: number) => attempt(`setns ${fd}`, 0),
    close: (fd: number) => attempt(`close ${fd}`, 0),
    errno: () => errno,
  } as unknown as Libc;
  return { libc, calls };
}

const ENTERED = [
  "open /proc/thread-self/ns/net",
  "open /run/netns/blue",
  "setns 101",
  "close 101",
  "setns 100",
  "close 100",
];

describe("withNetns", () => {
  it("enters, works, returns and closes everything", () => {
    const { libc, calls } = fakeLibc(() => 0);
    assert.equal(
      withNetns(libc, "blue", () => "result"),
      "result",
    );
    assert.deepEqual(calls, ENTERED);
  });

  it("returns and closes everything when the work throws", () => {
    const { libc, calls } = fakeLibc(() => 0);
    const work = () => {
      throw new Error("from the work");
    };
    assert.throws(() => withNetns(libc, "blue", work), /from the work/);
    assert.deepEqual(calls, ENTERED);
  });

  it("takes a path as it is", () => {
    const { libc, calls } = fakeLibc(() => 0);
    withNetns(libc, "/proc/1/ns/net", () => 0);
    assert.equal(calls[1], "open /proc/1/ns/net");
  });

  const refusals: [string, string, number, string][] = [
    [
      "blue",
      "open /run/netns/blue",
      ERRNO.ENOENT,
      'Cannot enter network namespace "blue": ENOENT (no /run/netns/blue; `ip netns add blue` makes it)',
    ],
    ["/x/y", "open /x/y", ERRNO.ENOENT, 'Cannot enter network namespace "/x/y": ENOENT (no /x/y)'],
    [
      "blue",
      "open /run/netns/blue",
      ERRNO.EACCES,
      'Cannot enter network namespace "blue": EACCES (permission denied: /run/netns/blue)',
    ],
    ["blue", "setns 101", ERRNO.EPERM, 'Cannot enter network namespace "blue": EPERM (CAP_SYS_ADMIN is missing)'],
    [
      "/etc/hosts",
      "setns 101",
      ERRNO.EINVAL,
      'Cannot enter network namespace "/etc/hosts": EINVAL (/etc/hosts is not a network namespace)',
    ],
  ];
  for (const [netns, call, errno, message] of refusals) {
    it(`says: ${message}`, () => {
      const { libc, calls } = fakeLibc((attempted) => (attempted === call ? errno : 0));
      const work = () => assert.fail("the work must not run");
      assert.throws(() => withNetns(libc, netns, work), { message });
      assert.ok(!calls.includes("setns 100"), "there is nowhere to return from");
      assert.equal(calls.at(-1), "close 100");
    });
  }

  it("does not hide that the thread could not return", () => {
    const { libc } = fakeLibc((call) => (call === "setns 100" ? ERRNO.ENOMEM : 0));
    assert.throws(() => withNetns(libc, "blue", () => 0), /Cannot return from network namespace "blue" .*ENOMEM/);
  });
});
