/** Files that others can change or replace are refused, whichever step of the path it is by. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import {
  chmodSync,
  chownSync,
  lchownSync,
  mkdirSync,
  mkdtempSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { afterEach, beforeEach, describe, it } from "node:test";
import { readTrustedFile, resolveTrustedFile } from "../../core/trusted_file.ts";

const needsRoot = { skip: process.getuid?.() === 0 ? false : "not root, so no file can be given to another user" };
const STRANGER = 12345;

let directory: string;
beforeEach(() => {
  directory = realpathSync(mkdtempSync(join(tmpdir(), "dplaned-trust-")));
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

function write(name: string, mode = 0o640): string {
  const path = join(directory, name);
  writeFileSync(path, "text");
  chmodSync(path, mode);
  return path;
}

function folder(name: string, mode = 0o755): string {
  const path = join(directory, name);
  mkdirSync(path);
  chmodSync(path, mode);
  return path;
}

/** Why the file is refused; empty if it is read. */
function refusal(path: string, isSecret = false): string {
  const read = readTrustedFile(path, { isSecret });
  const resolved = resolveTrustedFile(path, { isSecret });
  assert.equal(resolved.ok, read.ok, "both judge alike");
  if (!read.ok) return read.message;
  assert.equal(read.text, "text");
  return "";
}

describe("a trusted file", () => {
  it("is one that only its owner may write", () => {
    assert.equal(refusal(write("a", 0o644)), "");
    assert.equal(refusal(write("group", 0o664)), `others may write to it (chmod go-w ${directory}/group)`);
    assert.match(refusal(write("others", 0o646)), /^others may write to it/);
  });

  it("is readable by its owner and group alone, if it is a secret", () => {
    assert.equal(refusal(write("a", 0o640), true), "");
    assert.match(refusal(write("b", 0o644), true), /^others may read it, and it is a secret \(chmod o= /);
    assert.match(refusal(write("c", 0o641), true), /^others may read/);
  });

  it("belongs to root or to the process's user", needsRoot, () => {
    const path = write("a");
    chownSync(path, STRANGER, 0);
    assert.equal(refusal(path), `it belongs to user ${STRANGER} (chown root ${path})`);
  });

  it("lies in directories where nobody else can put another in its place", needsRoot, () => {
    for (const mode of [0o775, 0o757]) {
      const open = folder(`open-${mode}`, mode);
      mkdirSync(join(open, "inner"));
      const path = write(`open-${mode}/inner/a`);
      assert.equal(refusal(path), `others may write to its directory ${open} (chmod go-w ${open})`);
    }
    const foreign = folder("foreign");
    const path = write("foreign/a");
    chownSync(foreign, STRANGER, 0);
    assert.equal(refusal(path), `its directory ${foreign} belongs to user ${STRANGER} (chown root ${foreign})`);
  });

  it("may lie in a sticky directory, where what is somebody else's is refused", needsRoot, () => {
    const shared = folder("shared", 0o1777);
    assert.equal(refusal(write("shared/a")), "");
    chownSync(join(shared, "a"), STRANGER, 0);
    assert.match(refusal(join(shared, "a")), /belongs to user 12345/);
  });

  it("may be named by links that nobody else can turn elsewhere", () => {
    const real = folder("real");
    write("real/a");
    symlinkSync("real/../real/a", join(directory, "relative"));
    symlinkSync(real, join(directory, "folder"));
    assert.equal(refusal(join(directory, "relative")), "");
    assert.equal(refusal(join(directory, "folder", ".", "a")), "");
    assert.deepEqual(resolveTrustedFile(join(directory, "folder/a")), { ok: true, path: join(real, "a") });
  });

  it("is refused behind a link of somebody else, and behind one into an open directory", needsRoot, () => {
    const link = join(directory, "link");
    symlinkSync(write("a"), link);
    lchownSync(link, STRANGER, 0);
    assert.equal(refusal(link), `the link ${link} belongs to user ${STRANGER}`);
    folder("open", 0o777);
    write("open/b");
    symlinkSync(join(directory, "open/b"), join(directory, "into"));
    assert.match(refusal(join(directory, "into")), /^others may write to its directory .*\/open /);
  });

  it("is a file that can be read to its end", () => {
    assert.equal(refusal(join(directory, "none")), "ENOENT");
    assert.equal(refusal(directory), "EISDIR");
    assert.equal(refusal(`${write("a")}/b`), "ENOTDIR");
    symlinkSync("loop", join(directory, "loop"));
    assert.equal(refusal(join(directory, "loop")), "ELOOP");
    const fifo = join(directory, "fifo");
    if (spawnSync("mkfifo", [fifo]).status === 0) assert.equal(refusal(fifo), "not a regular file");
    assert.equal(refusal("/dev/null"), "not a regular file");
  });
});
