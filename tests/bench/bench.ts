/**
 * `make bench`: how fast dplaned is beside other ways to program the same routing tables, in one run on one machine, as
 * ratios of medians, and what it answers meanwhile. Each contender works in a network namespace of its own.
 *
 *   bun tests/bench/bench.ts [--runs N] [--limit N] [--smoke] [--write [--force]] [SECTION...]
 *
 * --smoke checks in seconds that all of it works and says nothing about speed; --write also writes docs/benchmarks.md.
 */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { cpus, loadavg, release, tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { TABLE_ATTRIBUTION } from "../../scripts/internet_table.ts";
import { skipReason } from "../support/netns.ts";
import { Bench, FULL, idleShare, type Section, type SectionResult, type Sizes, SMOKE } from "./bench_context.ts";
import { findingRows, formatNumber, formatTable } from "./report.ts";
import { heldSection } from "./sections/held.ts";
import { latencySection } from "./sections/latency.ts";
import { familiesSection, loadSection } from "./sections/load.ts";
import { pipelineSection } from "./sections/pipeline.ts";

const SECTIONS: readonly Section[] = [loadSection, familiesSection, pipelineSection, latencySection, heldSection];
const DOCUMENT = fileURLToPath(new URL("../../docs/benchmarks.md", import.meta.url).href);
/** A machine is quiet enough to write numbers down when this share of its time is idle, and its load below that of one process. */
const QUIET_SHARE = 0.95;
const QUIET_LOAD = 0.5;

interface Options {
  sizes: Sizes;
  sections: readonly Section[];
  smoke: boolean;
  write: boolean;
  force: boolean;
}

function readOptions(): Options {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      runs: { type: "string" },
      limit: { type: "string" },
      smoke: { type: "boolean", default: false },
      write: { type: "boolean", default: false },
      force: { type: "boolean", default: false },
    },
  });
  const { smoke, write, force } = values;
  const sections = positionals.map((name) => {
    const section = SECTIONS.find((each) => each.name === name);
    if (section === undefined) {
      throw new Error(`There is no section "${name}"; there are ${SECTIONS.map((each) => each.name).join(", ")}`);
    }
    return section;
  });
  if (write && (smoke || values.limit !== undefined || sections.length > 0)) {
    throw new Error(
      "Only numbers of everything are worth writing down: --write goes without --smoke, --limit and sections",
    );
  }
  const sizes = { ...(smoke ? SMOKE : FULL) };
  if (values.runs !== undefined) sizes.runs = sizes.familyRuns = positive("--runs", values.runs);
  if (values.limit !== undefined) sizes.limit = positive("--limit", values.limit);
  return { sizes, sections: sections.length === 0 ? SECTIONS : sections, smoke, write, force };
}

function positive(name: string, text: string): number {
  if (!/^[1-9]\d*$/.test(text)) throw new Error(`${name} is a number from 1 on, not "${text}"`);
  return Number(text);
}

async function main(): Promise<void> {
  const { sizes, sections, smoke, write, force } = readOptions();
  const reason = skipReason();
  if (reason) throw new Error(`The benchmarks need network namespaces: ${reason}`);
  const [load, idle] = [loadavg()[0]!, await idleShare()];
  const quiet = `load average ${formatNumber(load)}, ${formatNumber(100 * idle)} % idle at the start`;
  if (write && !force && (load > QUIET_LOAD || idle < QUIET_SHARE)) {
    throw new Error(
      `This machine is not quiet (${quiet}): wait, end what runs on it, or write all the same with FORCE=1`,
    );
  }
  const folder = mkdtempSync(join(tmpdir(), "dplaned-bench-"));
  try {
    const bench = new Bench(sizes, folder);
    bench.progress(quiet);
    const skipped = bench.contenders.filter((contender) => contender.skipped !== false);
    for (const contender of skipped) bench.progress(`${contender.name} is left out: ${contender.skipped}`);
    const results = new Map<Section, SectionResult>();
    for (const section of sections) {
      bench.progress(`${section.title} (${section.name})`);
      results.set(section, await section.measure(bench));
    }
    const text = report(results);
    if (smoke) process.stdout.write("Smoke test: too little work to say anything about speed.\n\n");
    process.stdout.write(`${text}\n${TABLE_ATTRIBUTION}\n`);
    if (write) writeFileSync(DOCUMENT, document(text, sizes, quiet));
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function report(results: ReadonlyMap<Section, SectionResult>): string {
  const rows = [...results.values()].flatMap(({ findings }) => findingRows(findings));
  const targets = rows.length === 0 ? "" : `${formatTable(["what", "measured", "target", ""], rows)}\n`;
  const texts = Array.from(results, ([{ title }, { text }]) => (text === "" ? "" : `## ${title}\n\n${text}\n`));
  return targets + texts.join("");
}

function document(text: string, sizes: Sizes, quiet: string): string {
  const cpu = cpus();
  return `# Benchmarks

Written by \`make bench WRITE=1\` on ${cpu.length} × ${cpu[0]?.model ?? "unknown processor"}, Linux ${release().split("-")[0]}; ${quiet}. Compare
the ratios of one run, not the seconds of two machines. Each contender loads the same table (${sizes.runs} runs, in turn) into a fresh network
namespace, moves all routes to other nexthops and takes them out again; what the kernel then holds is compared with the table each time.

${text}
${TABLE_ATTRIBUTION}
`;
}

try {
  await main();
} catch (error) {
  process.stderr.write(`bench: ${(error as Error).message}\n`);
  process.exitCode = 1;
}
