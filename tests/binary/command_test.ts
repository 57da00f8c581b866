/** The compiled binary by itself: it starts, says what is wrong, and takes nothing from the directory that it starts in. */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import { VERSION } from "../../core/constants.ts";
import { binarySkipReason, runBinary } from "../support/binary.ts";

const skip = binarySkipReason();

describe("the compiled binary", () => {
  const folder = mkdtempSync(join(tmpdir(), "dplaned-binary-"));
  after(() => rmSync(folder, { recursive: true }));

  it("says its version", { skip }, async () => {
    for (const args of [["version"], ["--version"]]) {
      assert.deepEqual(await runBinary(args), { status: 0, signal: null, stdout: `dplaned ${VERSION}\n`, stderr: "" });
    }
  });

  it("refuses a wrong command line with status 2", { skip }, async () => {
    const { status, stdout, stderr } = await runBinary(["route", "instal", "10.0.0.0/8"]);
    assert.equal(status, 2);
    assert.equal(stdout, "");
    assert.match(stderr, /^dplaned: .*instal/);
  });

  it("says with status 3 that no daemon answers", { skip }, async () => {
    const socket = join(folder, "nobody.sock");
    const { status, stderr } = await runBinary(["show", "dplane", "--socket", socket]);
    assert.equal(status, 3);
    assert.equal(
      stderr,
      `dplaned: Cannot reach dplaned at ${socket}: ENOENT (is it running? systemctl status dplaned)\n`,
    );
  });

  it("does not run with a broken configuration, and names the lines", { skip }, async () => {
    const config = join(folder, "broken.toml");
    writeFileSync(config, '[daemon]\nsocket = "here"\n[kernel]\nmetrik = 20\n');
    const run = await runBinary(["run", "--config", config]);
    assert.equal(run.status, 2);
    assert.match(run.stderr, /broken\.toml:2\b.*absolute path/);
    assert.match(run.stderr, /broken\.toml:4\b.*metrik.*metric/);
    const check = await runBinary(["check-config", config]);
    assert.equal(check.status, 1);
    assert.equal(check.stderr, run.stderr);
  });

  it("does not run with a configuration file that is not there", { skip }, async () => {
    const { status, stderr } = await runBinary(["run", "--config", join(folder, "none.toml")]);
    assert.equal(status, 2);
    assert.match(stderr, /none\.toml/);
  });
});
