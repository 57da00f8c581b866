/** How much the systemd unit leaves to a daemon that somebody has taken over, by systemd's own reckoning. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, it } from "node:test";
import { allowedSyscalls, analyzeSkipReason, UNIT } from "../support/unit_file.ts";

const EXPOSURE_MAX = 2.5;
const skip = analyzeSkipReason();

function exposure(unit: string): number {
  const directory = mkdtempSync(join(tmpdir(), "dplaned-unit-"));
  try {
    const path = join(directory, "dplaned.service");
    writeFileSync(path, unit.replaceAll("@BINDIR@", "/usr/bin"));
    const args = ["--no-pager", "security", "--offline=true", path];
    const { stdout, stderr } = spawnSync("systemd-analyze", args, { encoding: "utf8" });
    const level = /Overall exposure level for \S+: ([\d.]+)/.exec(stdout)?.[1];
    assert.ok(level !== undefined, stderr);
    return Number(level);
  } finally {
    rmSync(directory, { recursive: true });
  }
}

describe("dplaned.service", () => {
  it(`has an exposure of ${EXPOSURE_MAX} at most`, { skip }, () => {
    const level = exposure(UNIT);
    assert.ok(level <= EXPOSURE_MAX, `it is ${level}`);
    // The figure means something: with the hardening left out it is not met.
    const bare = UNIT.replace(/^(?:Protect|Private|Restrict|SystemCall|Capability|NoNew|Lock|Remove)\w*=.*\n/gm, "");
    assert.ok(exposure(bare) > 8);
  });

  it("allows no system call that gives rights, loads code into the kernel, or handles keys", { skip }, () => {
    const allowed = allowedSyscalls();
    assert.ok(allowed.has("sendmsg") && allowed.has("mprotect"));
    for (const name of ["setuid", "bpf", "init_module", "keyctl", "ptrace", "mount", "io_uring_setup", "chown"]) {
      assert.ok(!allowed.has(name), name);
    }
  });
});
