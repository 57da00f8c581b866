import assert from "node:assert/strict";
import { constants } from "node:os";
import { describe, it } from "node:test";
import { ERRNO, errnoName, errnoText, SyscallError } from "../../../ffi/libc/errno.ts";

/** Second names of one number; the table holds the first. */
const ALIASES: Record<string, string> = { EWOULDBLOCK: "EAGAIN", ENOTSUP: "EOPNOTSUPP", EDEADLOCK: "EDEADLK" };

describe("errno", () => {
  it("agrees with the system on every name that node:os knows", () => {
    const ours: Record<string, number> = ERRNO;
    const known = Object.entries(constants.errno);
    assert.ok(known.length > 70, `node:os lists ${known.length} errors`);
    for (const [name, number] of known) assert.equal(ours[ALIASES[name] ?? name], number, name);
  });

  it("covers 1 to 133 without gaps, save for the two numbers that Linux skips", () => {
    for (let errno = 1; errno <= 133; errno++) {
      if (errno === 41 || errno === 58) continue;
      assert.match(errnoName(errno), /^E[A-Z0-9]+$/, `${errno}`);
      assert.notEqual(errnoText(errno), "unknown error");
    }
    assert.equal(Object.keys(ERRNO).length, 132);
    assert.equal(new Set(Object.values(ERRNO)).size, 132);
  });

  it("names numbers outside the table by themselves", () => {
    assert.equal(errnoName(524), "ENOTSUPP");
    assert.equal(errnoName(58), "errno 58");
    assert.equal(errnoName(4095), "errno 4095");
    assert.equal(errnoText(0), "unknown error");
  });

  it("words a failed call as action, cause, what to do", () => {
    const error = new SyscallError("open netlink socket", ERRNO.EPERM, "CAP_NET_ADMIN is missing");
    assert.equal(error.message, "Cannot open netlink socket: EPERM (CAP_NET_ADMIN is missing)");
    assert.deepEqual([error.op, error.errno, error.code], ["open netlink socket", 1, "EPERM"]);
    const plain = new SyscallError("open netlink socket", ERRNO.EMFILE);
    assert.equal(plain.message, "Cannot open netlink socket: EMFILE (too many open files in this process)");
  });
});
