import assert from "node:assert/strict";
import { chmodSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import { formatConfigProblem, loadConfig } from "../../../core/config/config.ts";
import { checkPluginFiles } from "../../../core/config/plugin_files.ts";
import { PluginFolder } from "../../support/plugin_host.ts";

const folder = new PluginFolder();
after(() => folder.remove());

function problemsOf(text: string): string[] {
  const path = join(folder.path, "dplaned.toml");
  writeFileSync(path, text, { mode: 0o640 });
  const loaded = loadConfig({ path });
  assert.ok(loaded.ok, JSON.stringify(loaded));
  return checkPluginFiles(loaded.config).map((problem) =>
    formatConfigProblem(problem).replaceAll(`${folder.path}/`, ""),
  );
}

describe("checkPluginFiles", () => {
  it("finds nothing where there is no plugin, or each is in good hands", () => {
    folder.write("good.ts", "");
    assert.deepEqual(problemsOf(""), []);
    assert.deepEqual(problemsOf('[[provider]]\nkind = "test"\n[[provider]]\nkind = "plugin"\npath = "good.ts"\n'), []);
  });

  it("names the place in the configuration, the file, and what to do", () => {
    chmodSync(folder.write("open.ts", ""), 0o666);
    const plugin = (path: string) => `[[provider]]\nkind = "plugin"\npath = "${path}"\n`;
    assert.deepEqual(problemsOf(`[[provider]]\nkind = "test"\n${plugin("gone.ts")}${plugin("open.ts")}`), [
      "dplaned.toml:5:1: [[provider]] path: cannot run gone.ts: there is no such file",
      "dplaned.toml:8:1: [[provider]] path: cannot run open.ts: others may write to it (chmod go-w open.ts)",
    ]);
  });
});
