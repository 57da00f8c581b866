/** Starting again with less rights, on the runtime at hand; what the daemon makes of it is in tests/binary/privileges_test.ts. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import process from "node:process";
import { describe, it } from "node:test";
import { ERRNO } from "../../../ffi/libc/errno.ts";
import { restartConfined } from "../../../ffi/libc/privileges.ts";
import type { Libc } from "../../../ffi/libc/symbols.ts";

const SCRIPT = new URL("../../support/confine_script.ts", import.meta.url).pathname;
const RUNTIME_ARGUMENTS = process.versions["deno"] === undefined ? [] : ["run", "-A", "--no-check", "--quiet"];
const skip = process.getuid?.() === 0 ? false : "not root, so there are no rights to give up";

describe("restartConfined", () => {
  it("becomes the same program with the rights, groups and environment that are left", { skip }, () => {
    const child = spawnSync(process.execPath, [...RUNTIME_ARGUMENTS, SCRIPT, "an argument"], {
      encoding: "utf8",
      env: { ...process.env, GONE: "1" },
    });
    assert.equal(child.status, 0, child.stderr);
    const set = "0000000000001000";
    assert.deepEqual(JSON.parse(child.stdout), {
      pid: child.pid,
      again: "ü = 1",
      gone: null,
      last: "an argument",
      fields: { CapEff: set, CapPrm: set, CapBnd: set, NoNewPrivs: "1", Groups: "7" },
    });
  });

  it("says which step the kernel refuses", () => {
    const refusing = (name: string) =>
      ({
        prctl: () => (name === "prctl" ? -1 : 0),
        capset: () => (name === "capset" ? -1 : 0),
        setgroups: () => -1,
        execve: () => -1,
        addressOf: () => 0n,
        errno: () => ERRNO.EPERM,
      }) as unknown as Libc;
    const attempt = (name: string) => () =>
      restartConfined(
        refusing(name),
        { path: "/x", commandLine: Uint8Array.of(120, 0) },
        { capabilities: 0n, groups: [], environment: {} },
      );
    assert.throws(attempt("prctl"), /^SyscallError: Cannot give up new privileges: EPERM/);
    assert.throws(attempt("capset"), /^SyscallError: Cannot give up capabilities: EPERM/);
    assert.throws(attempt("execve"), /^SyscallError: Cannot start again with less rights: EPERM/);
  });
});
