import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, it } from "node:test";
import { loadConfig } from "../../../core/config/config.ts";
import { findUnsupported } from "../../../core/config/unsupported.ts";

/** The keys of the problems that a file with this content has. */
function keysOf(content: string): string[] {
  const folder = mkdtempSync(join(tmpdir(), "dplaned-config-"));
  try {
    const path = join(folder, "dplaned.toml");
    writeFileSync(path, content);
    const loaded = loadConfig({ path });
    assert.ok(loaded.ok, JSON.stringify(loaded));
    return findUnsupported(loaded.config).map(({ key, origin }) => {
      assert.equal(origin, path);
      return key;
    });
  } finally {
    rmSync(folder, { recursive: true });
  }
}

describe("findUnsupported", () => {
  it("finds nothing in an empty file, nor in what this version does", () => {
    assert.deepEqual(keysOf(""), []);
    assert.deepEqual(keysOf('[kernel]\nprotocol = 99\n[[provider]]\nkind = "test"\n'), []);
    assert.deepEqual(keysOf('[fpm]\nlisten = "127.0.0.1:2620"\n'), []);
    assert.deepEqual(keysOf('[[provider]]\nkind = "fpm"\naddress = "127.0.0.1:2620"\n'), []);
    assert.deepEqual(keysOf('[[owner]]\nname = "bgp"\ntables = [100]\n'), []);
  });

  it("finds each setting that nothing would come of", () => {
    const plugin = '[[provider]]\nkind = "plugin"\npath = "/etc/dplaned/p.ts"\n';
    assert.deepEqual(keysOf(plugin), ['[[provider]] kind = "plugin"']);
  });
});
