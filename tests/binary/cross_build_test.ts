/** `make build ARCH=…` makes a program for another machine than this. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { closeSync, openSync, readSync } from "node:fs";
import { join } from "node:path";
import { describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import { ARCHITECTURES, type Architecture, binaryPath, fetchRuntime, isNative } from "../../packaging/architectures.ts";

const ROOT = fileURLToPath(new URL("../..", import.meta.url).href);
const FOREIGN = (Object.keys(ARCHITECTURES) as Architecture[]).filter((name) => !isNative(name));
/** EM_* of elf.h. */
const ELF_MACHINES = { amd64: 62, arm64: 183 };

/** Why it cannot be built here: its runtime comes from npm. */
function buildSkipReason(architecture: Architecture): string | false {
  try {
    fetchRuntime(architecture);
    return false;
  } catch (error) {
    return (error as Error).message;
  }
}

/** The machine that a program is for. */
function elfMachine(path: string): number {
  const header = Buffer.alloc(20);
  const file = openSync(path, "r");
  readSync(file, header, 0, header.length, 0);
  closeSync(file);
  assert.equal(header.toString("latin1", 0, 4), "\x7fELF");
  return header.readUInt16LE(18);
}

describe("cross build", () => {
  for (const architecture of FOREIGN) {
    it(`makes a program for ${architecture}`, { skip: buildSkipReason(architecture) }, () => {
      const options = { cwd: ROOT, encoding: "utf8" } as const;
      const { status, stdout, stderr } = spawnSync(process.execPath, ["packaging/build.ts", architecture], options);
      assert.equal(status, 0, stderr);
      assert.match(stdout, new RegExp(`^${binaryPath(architecture)}: [\\d.]+ MB\n$`));
      assert.equal(elfMachine(join(ROOT, binaryPath(architecture))), ELF_MACHINES[architecture]);
      assert.notEqual(elfMachine(process.execPath), ELF_MACHINES[architecture]);
    });
  }
});
