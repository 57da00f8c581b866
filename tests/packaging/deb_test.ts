/** The Debian package has what Debian expects of one. tests/binary/deb_install_test.ts installs it. */
import assert from "node:assert/strict";
import { execFileSync, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { arch } from "node:process";
import { after, before, describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import { gunzipSync } from "node:zlib";
import { VERSION } from "../../core/constants.ts";
import { BINARY } from "../../scripts/daemon_process.ts";
import { buildDeb, debContents, debControlFile, debField, debSkipReason } from "../support/deb.ts";

const SOURCES = fileURLToPath(new URL("../../packaging/deb", import.meta.url).href);
const SCRIPTS = ["postinst", "prerm", "postrm"];
const FILE = "-rw-r--r-- root/root";

const skip = debSkipReason();
const lintianSkip =
  skip || (spawnSync("lintian", ["--version"]).status === 0 ? false : "no `lintian` (package lintian)");

describe("dplaned.deb", () => {
  let folder = "";
  let deb = "";
  const readFile = (path: string) => readFileSync(join(folder, "root", path));

  before(() => {
    if (skip) return;
    folder = mkdtempSync(join(tmpdir(), "dplaned-deb-"));
    deb = buildDeb(folder);
    execFileSync("dpkg-deb", ["--extract", deb, join(folder, "root")]);
  });
  after(() => folder && rmSync(folder, { recursive: true }));

  it("has these files, of root, and no others", { skip }, () => {
    const files = [...debContents(deb)].filter(([path]) => !path.endsWith("/"));
    assert.deepEqual(Object.fromEntries(files), {
      "/etc/dplaned/dplaned.toml": "-rw-r----- root/root",
      "/usr/bin/dplaned": "-rwxr-xr-x root/root",
      "/usr/lib/systemd/system/dplaned.service": FILE,
      "/usr/share/bash-completion/completions/dplaned": FILE,
      "/usr/share/doc/dplaned/changelog.gz": FILE,
      "/usr/share/doc/dplaned/copyright": FILE,
      "/usr/share/fish/vendor_completions.d/dplaned.fish": FILE,
      "/usr/share/lintian/overrides/dplaned": FILE,
      "/usr/share/man/man8/dplaned.8.gz": FILE,
      "/usr/share/zsh/vendor-completions/_dplaned": FILE,
    });
  });

  it("says what it is", { skip }, () => {
    assert.equal(debField(deb, "Package"), "dplaned");
    assert.equal(debField(deb, "Version"), VERSION);
    assert.equal(debField(deb, "Architecture"), { x64: "amd64", arm64: "arm64" }[arch as string]);
    assert.match(debField(deb, "Maintainer"), /^.+ <\S+@\S+>$/);
    assert.ok(Number(debField(deb, "Installed-Size")) > 50_000);
    assert.doesNotMatch(debField(deb, ""), /@[A-Z]+@/);
  });

  it("asks for the C library that the program needs", { skip }, () => {
    const wanted = /libc6 \(>= 2\.(\d+)\)/.exec(debField(deb, "Depends"))?.[1];
    const used = [...readFileSync(BINARY, "latin1").matchAll(/\0GLIBC_2\.(\d+)(?=[.\0])/g)].map(([, minor]) =>
      Number(minor),
    );
    assert.equal(Math.max(...used), Number(wanted));
  });

  it("leaves the configuration to the administrator", { skip }, () => {
    assert.equal(debControlFile(deb, "conffiles"), "/etc/dplaned/dplaned.toml\n");
  });

  it("has sums that are true", { skip }, () => {
    const sums = debControlFile(deb, "md5sums").trimEnd().split("\n");
    assert.equal(sums.length, 9);
    const unit = sums.find((line) => line.endsWith("dplaned.service"))!;
    const digest = createHash("md5").update(readFile("/usr/lib/systemd/system/dplaned.service")).digest("hex");
    assert.equal(unit, `${digest}  usr/lib/systemd/system/dplaned.service`);
  });

  it("starts the program where it is", { skip }, () => {
    assert.match(
      readFile("/usr/lib/systemd/system/dplaned.service").toString(),
      /^ExecStart=\/usr\/bin\/dplaned run /m,
    );
  });

  it("names the licence of all that is in the program", { skip }, () => {
    const text = readFile("/usr/share/doc/dplaned/copyright").toString();
    const manifest = JSON.parse(readFileSync(join(SOURCES, "../../package.json"), "utf8"));
    for (const [name, version] of Object.entries(manifest.dependencies)) {
      assert.match(text, new RegExp(`^${name} ${version}: [A-Z]`, "m"));
    }
    assert.match(text, /^ {2}Permission is hereby granted/m);
  });

  it("has the changelog of this version", { skip }, () => {
    const text = gunzipSync(readFile("/usr/share/doc/dplaned/changelog.gz")).toString();
    assert.equal(text.split("\n", 1)[0], `dplaned (${VERSION}) unstable; urgency=medium`);
  });

  it("has scripts that any POSIX shell takes", { skip }, () => {
    for (const script of SCRIPTS) {
      const text = readFileSync(join(SOURCES, script), "utf8");
      assert.match(text, /^#!\/bin\/sh\n(#.*\n)+set -e\n/, script);
      assert.equal(debControlFile(deb, script), text);
      const { status, stderr } = spawnSync("sh", ["-n", join(SOURCES, script)], { encoding: "utf8" });
      assert.equal(status, 0, stderr);
    }
  });

  it("is what lintian wants", { skip: lintianSkip }, () => {
    // The test's package is not compressed; that of `make deb` is.
    const own = "uses-no-compression-for-control-tarball,uses-no-compression-for-data-tarball";
    const args = ["--allow-root", "--no-cfg", "--suppress-tags", own, "--fail-on", "error,warning", deb];
    const { status, stdout, stderr } = spawnSync("lintian", args, { encoding: "utf8" });
    assert.equal(status, 0, stdout + stderr);
  });
});
