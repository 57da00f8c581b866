import assert from "node:assert/strict";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import { WEB_FILES } from "../../../core/northbound/web/files.ts";
import { createHarness, type Harness } from "../../support/api_harness.ts";

const FOLDER = fileURLToPath(new URL("../../../core/northbound/web", import.meta.url).href);
const PAGES = Object.keys(WEB_FILES).filter((name) => name.endsWith(".html"));

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
      const response = await harness.app.request(name === "index.html" ? "/" : `/web/${name}`);
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
    assert.deepEqual(PAGES, ["index.html"]);
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
    assert.ok(join(FOLDER, "index.html").length > 0);
  });

  it("find every element that they look for", () => {
    const page = WEB_FILES["index.html"]!;
    const ids = new Set(Array.from(page.matchAll(/\sid="([^"]+)"/g), ([, id]) => id!));
    let found = 0;
    for (const [name, text] of Object.entries(WEB_FILES)) {
      if (name.startsWith("uplot.")) continue;
      for (const [, id] of text.matchAll(/byId\("([^"]+)"\)/g)) {
        found += 1;
        assert.ok(ids.has(id!), `${name} looks for #${id}`);
      }
    }
    assert.ok(found > 20);
    for (const [, id] of page.matchAll(/(?:aria-labelledby|for)="([^"]+)"/g)) assert.ok(ids.has(id!), `#${id}`);
  });
});
