/** What is installed beside the binary: the default configuration says the truth about the defaults, the unit runs it. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import { loadConfig } from "../../core/config/config.ts";
import { SECTION_SCHEMAS } from "../../core/config/schema.ts";
import { CONFIG_PATH_DEFAULT, SOCKET_PATH_DEFAULT } from "../../core/constants.ts";

const PACKAGING = fileURLToPath(new URL("../../packaging", import.meta.url).href);
const shipped = readFileSync(join(PACKAGING, "dplaned.toml"), "utf8");

/** Loads `text` as the configuration file, without its path, which differs from run to run. */
function load(text: string) {
  const folder = mkdtempSync(join(tmpdir(), "dplaned-"));
  try {
    writeFileSync(join(folder, "dplaned.toml"), text, { mode: 0o640 });
    const result = loadConfig({ path: join(folder, "dplaned.toml"), environment: {} });
    assert.ok(result.ok, JSON.stringify(result));
    return { ...result.config, path: null };
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** The shipped file with the "#" before its keys and tables removed. */
function uncommented(text: string): string {
  return text.replace(/^#(?=[a-z[])/gm, "");
}

describe("dplaned.toml", () => {
  // Owners and providers have no default: there is none unless one is configured.
  const sections = shipped.slice(0, shipped.indexOf("# Clients that own routes"));

  it("changes nothing as shipped", () => assert.deepEqual(load(shipped), load("")));

  it("is right with every line in use", () => {
    const { owners, providers } = load(uncommented(shipped));
    assert.deepEqual([owners.length, providers.length], [1, 1]);
  });

  it("shows the defaults, and every key", () => {
    assert.deepEqual(load(uncommented(sections)), load(""));
    const shown = [...sections.matchAll(/^#([a-z-]+) =/gm)].map(([, key]) => key);
    assert.deepEqual(
      shown,
      Object.values(SECTION_SCHEMAS).flatMap((section) => Object.keys(section.shape)),
    );
  });
});

describe("dplaned.service", () => {
  const unit = readFileSync(join(PACKAGING, "systemd/dplaned.service"), "utf8");

  it("starts the daemon with the paths that it and its clients use by default", () => {
    assert.match(unit, new RegExp(`^ExecStart=@BINDIR@/dplaned run --config ${CONFIG_PATH_DEFAULT}$`, "m"));
    assert.match(unit, new RegExp(`^RuntimeDirectory=${SOCKET_PATH_DEFAULT.split("/")[2]}$`, "m"));
  });

  it("gives no capability but CAP_NET_ADMIN", () => {
    const granted = [...unit.matchAll(/^(?:CapabilityBoundingSet|AmbientCapabilities)=(.*)$/gm)].map(
      ([, names]) => names,
    );
    assert.deepEqual(granted, ["CAP_NET_ADMIN", "CAP_NET_ADMIN"]);
  });
});

describe("dplaned.8", () => {
  const path = join(PACKAGING, "man/dplaned.8");
  const skip = spawnSync("man", ["--version"]).status === 0 ? false : "no `man` (package man-db)";

  it("is a page that man has nothing to say against", { skip }, () => {
    const env = { ...process.env, MANWIDTH: "80", MANPAGER: "cat", MAN_KEEP_FORMATTING: "", LC_ALL: "C.UTF-8" };
    const { status, stdout, stderr } = spawnSync("man", ["--warnings", "-l", path], { encoding: "utf8", env });
    assert.deepEqual([status, stderr], [0, ""]);
    assert.match(stdout, /^ +dplaned route install 203\.0\.113\.0\/24 via 10\.0\.0\.2 dev v0$/m);
    assert.match(stdout, /^ +dplaned monitor --json \| jq 'select\(\.event == "kernel"\)'$/m);
    // A macro that is misspelt, or words that are none, would be in the text.
    assert.doesNotMatch(stdout, /^ *\.[A-Z][a-z]\b/m);
  });
});
