import assert from "node:assert/strict";
import { globSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import { createBom } from "../../scripts/sbom.ts";
import { findImports, tokenize } from "../support/source_lexer.ts";

const ROOT = fileURLToPath(new URL("../..", import.meta.url).href);
const lock = readFileSync(join(ROOT, "package-lock.json"), "utf8");
const bom = createBom(lock);
const names = bom.components.map(({ name }) => name);

describe("the bill of materials", () => {
  it("has every package that the program imports, and the runtime", () => {
    const imported = new Set(
      ["main.ts", ...globSync("{core,providers,ffi}/**/*.ts", { cwd: ROOT })].flatMap((path) =>
        findImports(tokenize(readFileSync(join(ROOT, path), "utf8")))
          .filter(({ specifier, typeOnly }) => !typeOnly && !/^(?:\.|node:|bun)/.test(specifier))
          .map(({ specifier }) => specifier.split("/", specifier.startsWith("@") ? 2 : 1).join("/")),
      ),
    );
    assert.ok(imported.size >= 7);
    for (const name of imported) assert.ok(names.includes(name), name);
    assert.ok(names.includes("bun"));
  });

  it("has nothing that is only there for development", () => {
    for (const name of ["typescript", "fast-check", "@biomejs/biome", "deno"]) assert.ok(!names.includes(name), name);
  });

  it("names each by version, licence and hash, and says what depends on what", () => {
    for (const { name, version, purl, hashes, licenses } of bom.components) {
      assert.equal(decodeURIComponent(purl), `pkg:npm/${name}@${version}`);
      assert.match(licenses[0]!.expression, /^[A-Z][\w. ()-]*$/i);
      assert.equal(hashes?.[0]?.alg, "SHA-512", name);
      assert.match(hashes[0].content, /^[0-9a-f]{128}$/);
    }
    const references = new Set([bom.metadata.component["bom-ref"], ...bom.components.map((each) => each["bom-ref"])]);
    assert.deepEqual(new Set(bom.dependencies.map(({ ref }) => ref)), references);
    for (const { dependsOn } of bom.dependencies) for (const each of dependsOn) assert.ok(references.has(each), each);
    assert.equal(bom.metadata.component.version, JSON.parse(readFileSync(join(ROOT, "package.json"), "utf8")).version);
  });

  it("is the same for the same packages, and names no place from which they came", () => {
    assert.deepEqual(createBom(lock), bom);
    assert.doesNotMatch(JSON.stringify(bom), /https?:|timestamp|serialNumber/);
  });
});
