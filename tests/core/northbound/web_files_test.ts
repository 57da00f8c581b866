import assert from "node:assert/strict";
import { readdirSync } from "node:fs";
import { after, before, describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import { WEB_FILES } from "../../../core/northbound/web/files.ts";
import { createHarness, type Harness } from "../../support/api_harness.ts";

const FOLDER = fileURLToPath(new URL("../../../core/northbound/web", import.meta.url).href);
const PAGES = Object.keys(WEB_FILES).filter((name) => name.endsWith(".html"));

/** The scripts of a page, and those that they import. */
function scriptsOf(page: string): Set<string> {
  const scripts = new Set(Array.from(page.matchAll(/src="\/web\/([^"]+)"/g), ([, name]) => name!));
  scripts.delete("uplot.js");
  for (const name of scripts) {
    for (const [, imported] of WEB_FILES[name]!.matchAll(/from "\.\/([^"]+)"/g)) scripts.add(imported!);
  }
  return scripts;
}

let harness: Harness;
before(async () => {
  harness = await createHarness();
});
after(() => harness.close());

describe("the dashboard's files", () => {
  it("are served with their type, and held to our own server", async () => {
    const types: Readonly<Record<string, string>> = { js: "text/javascript", css: "text/css", svg: "image/svg+xml" };
    for (const [name, text] of Object.entries(WEB_FILES)) {
      const isPage = name.endsWith(".html");
      const path = { "index.html": "/", "docs.html": "/docs" }[name] ?? `/web/${name}`;
      const response = await harness.app.request(path);
      assert.equal(response.status, 200, name);
      assert.equal(await response.text(), text, name);
      const type = isPage ? "text/html" : types[name.slice(name.lastIndexOf(".") + 1)];
      assert.equal(response.headers.get("content-type")!.split(";")[0], type, name);
      assert.equal(response.headers.get("x-content-type-options"), "nosniff");
      const policy = response.headers.get("content-security-policy")!;
      for (const rule of ["default-src 'none'", "script-src 'self'", "connect-src 'self'", "frame-ancestors 'none'"]) {
        assert.ok(policy.includes(rule), `${name}: ${rule}`);
      }
      assert.doesNotMatch(policy, /unsafe/);
    }
  });

  it("are not sent again to who has them", async () => {
    const first = await harness.app.request("/web/app.js");
    const etag = first.headers.get("etag")!;
    const ask = (value: string) => harness.app.request("/web/app.js", { headers: { "if-none-match": value } });
    const again = await ask(`"other", ${etag}`);
    assert.deepEqual([again.status, await again.text()], [304, ""]);
    assert.equal((await ask('"other"')).status, 200);
    assert.notEqual((await harness.app.request("/web/style.css")).headers.get("etag"), etag);
  });

  it("are all there are, and nothing else is served", async () => {
    const own = readdirSync(FOLDER).filter((name) => !/\.ts$|^tsconfig\.json$/.test(name));
    assert.deepEqual(
      Object.keys(WEB_FILES).filter((name) => !name.startsWith("uplot.")),
      own.sort(),
    );
    for (const name of ["files.ts", "constructor", "..%2Fapi.ts", ""]) {
      assert.equal((await harness.app.request(`/web/${name}`)).status, 404, name);
    }
  });

  it("ask nobody else for anything, and have no script or style inside of a page", () => {
    for (const [name, text] of Object.entries(WEB_FILES)) {
      const code = text.replaceAll("http://www.w3.org/2000/svg", "").replace(/^\/\*! https:\/\/github\.com\S*/, "");
      assert.doesNotMatch(code, /https?:\/\/|["']\/\/\w|@import/, name);
    }
    assert.deepEqual(PAGES.sort(), ["docs.html", "index.html"]);
    for (const name of PAGES) {
      assert.doesNotMatch(WEB_FILES[name]!, /<style|<script(?![^>]* src=")[^>]*>|\sstyle=|\son[a-z]+=/, name);
    }
  });

  it("name each other rightly", () => {
    const named = /(?:src|href)="\/web\/([^"]+)"|from "\.\/([^"]+)"|import "\.\/([^"]+)"/g;
    for (const [name, text] of Object.entries(WEB_FILES)) {
      if (name === "uplot.js") continue;
      for (const [, ...names] of text.matchAll(named)) {
        const target = names.find((each) => each !== undefined)!;
        assert.ok(target in WEB_FILES, `${name} names ${target}`);
      }
    }
  });

  it("find every element that they look for", () => {
    const idsOf = (page: string): Set<string> => new Set(Array.from(page.matchAll(/\sid="([^"]+)"/g), ([, id]) => id!));
    const all = PAGES.map((name) => ({ name, text: WEB_FILES[name]!, ids: idsOf(WEB_FILES[name]!) }));
    for (const { name, text, ids } of all) {
      for (const [, id] of text.matchAll(/(?:aria-labelledby|for)="([^"]+)"/g))
        assert.ok(ids.has(id!), `${name}: #${id}`);
      let found = 0;
      for (const script of scriptsOf(text)) {
        for (const [, id] of WEB_FILES[script]!.matchAll(/byId\("([^"]+)"\)/g)) {
          found += 1;
          assert.ok(ids.has(id!), `${script} looks for #${id} of ${name}`);
        }
      }
      assert.ok(found > 8, `${name}: ${found}`);
    }
  });
});
