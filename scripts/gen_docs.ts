/**
 * Writes the sections of the documentation that are made from the program's tables. tests/docs/docs_test.ts fails when one is
 * out of date.
 *
 *   bun scripts/gen_docs.ts
 */
import { readFileSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import process from "node:process";
import { createSections, replaceSections } from "./docs_sections.ts";

const ROOT = resolve(import.meta.dirname, "..");

for (const [document, sections] of await createSections()) {
  const path = join(ROOT, document);
  const before = readFileSync(path, "utf8");
  const text = replaceSections(before, sections);
  if (text === before) continue;
  writeFileSync(path, text);
  process.stdout.write(`${document}: written\n`);
}
process.exit(0);
