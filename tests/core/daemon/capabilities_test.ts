import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, it } from "node:test";
import { loadConfig } from "../../../core/config/config.ts";
import { exceeds, hasNetAdmin, neededCapabilities } from "../../../core/daemon/capabilities.ts";

describe("hasNetAdmin", () => {
  it("reads the effective set, and nothing else", () => {
    assert.equal(hasNetAdmin("CapPrm:\t0000000000000000\nCapEff:\t0000000000001000\n"), true);
    assert.equal(
      hasNetAdmin("CapPrm:\t0000000000001000\nCapEff:\t0000000000000000\nCapBnd:\t000001ffffffffff\n"),
      false,
    );
    assert.equal(hasNetAdmin("CapEff:\t000001ffffffffff\n"), true);
    assert.equal(hasNetAdmin("CapEff:\t000001ffffffefff\n"), false, "all but CAP_NET_ADMIN");
  });

  it("lets the kernel decide where it is not told", () => {
    assert.equal(hasNetAdmin(""), true);
  });
});

const NET_ADMIN = 1n << 12n;

function needed(text: string): bigint {
  const directory = mkdtempSync(join(tmpdir(), "dplaned-capabilities-"));
  try {
    const path = join(directory, "dplaned.toml");
    writeFileSync(path, text, { mode: 0o640 });
    const loaded = loadConfig({ path });
    assert.ok(loaded.ok);
    return neededCapabilities(loaded.config);
  } finally {
    rmSync(directory, { recursive: true });
  }
}

describe("neededCapabilities", () => {
  it("are what the configuration asks for", () => {
    assert.equal(needed(""), NET_ADMIN);
    assert.equal(needed('[kernel]\nnetns = "blue"\n'), NET_ADMIN | (1n << 21n));
    assert.equal(needed('[kernel]\nnetns = "/proc/7/ns/net"\n'), NET_ADMIN | (1n << 21n) | (1n << 19n));
    assert.equal(needed('[daemon]\nhttp = "127.0.0.1:443"\n'), NET_ADMIN | (1n << 10n));
    assert.equal(needed('[daemon]\nhttp = "127.0.0.1:0"\n[fpm]\nlisten = "127.0.0.1:1024"\n'), NET_ADMIN);
  });
});

describe("exceeds", () => {
  const status = (permitted: string, noNewPrivileges: number) =>
    `CapPrm:\t${permitted}\nCapEff:\t${permitted}\nNoNewPrivs:\t${noNewPrivileges}\n`;

  it("sees what is permitted and not needed, and what could still be gained", () => {
    assert.equal(exceeds(NET_ADMIN, status("0000000000001000", 1)), false);
    assert.equal(exceeds(NET_ADMIN, status("0000000000000000", 1)), false);
    assert.equal(exceeds(NET_ADMIN, status("0000000000201000", 1)), true);
    assert.equal(exceeds(NET_ADMIN, status("000001ffffffffff", 1)), true);
    assert.equal(exceeds(NET_ADMIN, status("0000000000001000", 0)), true);
    assert.equal(exceeds(NET_ADMIN, ""), false, "nothing is known");
  });
});
