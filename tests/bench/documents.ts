/** Puts what the sections found into the documents: each between two comments that bear its name, and its plots beside. */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { findSection, replaceSections } from "../../scripts/docs_sections.ts";
import type { Bench, Section, SectionResult } from "./bench_context.ts";
import { findingRows, formatTable } from "./report.ts";

const MAKER = "make bench";
/** The table of all targets is a section of its own. */
const TARGETS = { document: "benchmarks.md", name: "targets" } as const;
export const DOCUMENTS = ["benchmarks.md", "performance.md"] as const;

export interface Measured extends SectionResult {
  starts: Bench["starts"];
}

export type Results = ReadonlyMap<Section, Measured>;

/** Each target with the section that measures it. Rows of `before`, of an earlier run, stay where there is no result now. */
export function targetTable(results: Results, before: readonly (readonly string[])[] = []): string {
  const bySection = new Map<string, (readonly string[])[]>();
  for (const row of before) bySection.set(row[0]!, [...(bySection.get(row[0]!) ?? []), row]);
  for (const [{ name }, { findings }] of results) {
    bySection.set(
      name,
      findingRows(findings).map((row) => [name, ...row]),
    );
  }
  return formatTable(["section", "what", "measured", "target", ""], [...bySection.values()].flat(), 2);
}

/** Writes results into the documents in `folder`; sections that were not measured stay as they are. `on` names the machine. */
export function writeResults(folder: string, results: Results, on: string): void {
  for (const document of DOCUMENTS) {
    const path = join(folder, document);
    const before = readFileSync(path, "utf8");
    const bodies = new Map<string, string>();
    if (document === TARGETS.document) bodies.set(TARGETS.name, targetTable(results, readTargets(before)));
    for (const [section, { text, plots = [], starts }] of results) {
      if (section.document !== document) continue;
      const images = plots.map(({ name, title }) => `![${title}](${name}.svg)\n\n`);
      bodies.set(section.name, `${circumstances(section.name, on, starts)}\n\n${images.join("")}${text}`);
      for (const { name, svg } of plots) writeFileSync(join(folder, `${name}.svg`), svg);
    }
    writeFileSync(path, replaceSections(before, bodies, MAKER));
  }
}

/** What a section was measured by and on, and whether something else was going on. */
export function circumstances(section: string, on: string, { all, busy }: Bench["starts"]): string {
  const disturbed = busy === 0 ? `none of ${all} measurements` : `${busy} of ${all} measurements`;
  return `\`make bench ONLY=${section}\` on ${on}; ${disturbed} began while the machine had something else to do.`;
}

/** The rows that the table of targets has now. */
function readTargets(markdown: string): string[][] {
  const lines = findSection(markdown, TARGETS.name, MAKER).body.split("\n");
  return lines
    .filter((line) => line.startsWith("| "))
    .slice(2)
    .map((line) =>
      line
        .slice(2, -2)
        .split(" | ")
        .map((cell) => cell.trim()),
    );
}
