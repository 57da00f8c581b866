/** Files of plugins that somebody else could change are not run, and neither is what they import. */
import assert from "node:assert/strict";
import { chmodSync, mkdirSync, realpathSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import { findPluginDistrust } from "../../../core/plugin/plugin_file.ts";
import { PluginFolder } from "../../support/plugin_host.ts";

const folder = new PluginFolder();
const root = realpathSync(folder.path);
after(() => folder.remove());

function distrust(name: string): string {
  const result = findPluginDistrust(join(root, name));
  return result.ok ? "" : result.message.replaceAll(`${root}/`, "");
}

describe("the file of a plugin", () => {
  it("is run where nobody else may write to it, and where links lead to such a file", () => {
    folder.writeFile("good.ts", "export default {};\n");
    symlinkSync("good.ts", join(root, "link.ts"));
    assert.equal(distrust("good.ts"), "");
    assert.deepEqual(findPluginDistrust(join(root, "link.ts")), { ok: true, path: join(root, "good.ts") });
  });

  it("is not run where it is missing, no file, or others may write to it", () => {
    chmodSync(folder.writeFile("open.ts", ""), 0o664);
    mkdirSync(join(root, "folder.ts"));
    assert.equal(distrust("gone.ts"), "there is no such file");
    assert.equal(distrust("folder.ts"), "it is a directory");
    assert.equal(distrust("open.ts"), "others may write to it (chmod go-w open.ts)");
  });

  it("is not run where that holds of what it imports, however deep and in whatever way", () => {
    mkdirSync(join(root, "lib"));
    chmodSync(folder.writeFile("lib/open.ts", ""), 0o646);
    const imports: [name: string, text: string][] = [
      ["a.ts", 'import { x } from "./lib/open.ts";'],
      ["b.ts", "import x from './lib/open';"],
      ["c.ts", "export * from './lib/../lib/open.ts'"],
      ["d.ts", "const x = await import(`./lib/open.ts`);"],
      ["e.js", 'const x = require("./lib/open.ts");'],
      ["f.ts", 'import "./a.ts";'],
      ["g.ts", 'import type { X } from "./lib/open.ts?query";'],
      ["h.ts", `import x from "${root}/lib/open.ts";`],
    ];
    for (const [name, text] of imports) {
      folder.writeFile(name, `${text}\n`);
      assert.match(distrust(name), /^it imports lib\/open\.ts: others may write to it/, name);
    }
    // That an import is not there is said when the plugin is loaded.
    folder.writeFile("i.ts", 'import x from "./nowhere.ts"; import y from "node:fs"; import z from "package";\n');
    assert.equal(distrust("i.ts"), "");
    // Circles end.
    folder.writeFile("j.ts", 'import "./k.ts";\n');
    folder.writeFile("k.ts", 'import "./j.ts";\n');
    assert.equal(distrust("j.ts"), "");
  });
});
