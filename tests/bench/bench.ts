/**
 * `make bench`: how fast dplaned is beside other ways to program the same routing tables, in one run on one machine, as
 * ratios of medians, and what it answers meanwhile. Each contender works in a network namespace of its own.
 *
 *   bun tests/bench/bench.ts [--runs N] [--limit N] [--smoke] [--write [--force]] [--out FOLDER] [SECTION...]
 *
 * --smoke checks in a minute that all of it works and says nothing about speed; --write puts the results into docs/, --out into
 * copies of those documents.
 */
import { copyFileSync, mkdtempSync, rmSync } from "node:fs";
import { cpus, loadavg, release, tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { TABLE_ATTRIBUTION } from "../../scripts/internet_table.ts";
import { skipReason } from "../support/netns.ts";
import { Bench, FULL, idleShare, type Section, type SectionResult, type Sizes, SMOKE } from "./bench_context.ts";
import { DOCUMENTS, type Results, targetTable, writeResults } from "./documents.ts";
import { formatNumber } from "./report.ts";
import { growthSection } from "./sections/growth.ts";
import { heldSection } from "./sections/held.ts";
import { latencySection } from "./sections/latency.ts";
import { familiesSection, loadSection } from "./sections/load.ts";
import { ordersSection } from "./sections/orders.ts";
import { peersSection } from "./sections/peers.ts";
import { pipelineSection } from "./sections/pipeline.ts";
import { stagesSection } from "./sections/stages.ts";

const SECTIONS: readonly Section[] = [
  loadSection,
  familiesSection,
  pipelineSection,
  latencySection,
  heldSection,
  ordersSection,
  growthSection,
  stagesSection,
  peersSection,
];
const DOCS = fileURLToPath(new URL("../../docs", import.meta.url).href);
/** A machine is quiet enough to write numbers down when this share of its time is idle, and its load below that of one process. */
const QUIET_SHARE = 0.95;
const QUIET_LOAD = 0.5;

interface Options {
  sizes: Sizes;
  sections: readonly Section[];
  smoke: boolean;
  write: boolean;
  force: boolean;
  out: string | undefined;
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
      out: { type: "string" },
    },
  });
  const { smoke, write, force, out } = values;
  const sections = positionals.map((name) => {
    const section = SECTIONS.find((each) => each.name === name);
    if (section !== undefined) return section;
    throw new Error(`There is no section "${name}"; there are ${SECTIONS.map((each) => each.name).join(", ")}`);
  });
  if (write && (smoke || values.limit !== undefined)) {
    throw new Error("Only numbers of whole tables are worth writing down: --write goes without --smoke and --limit");
  }
  const sizes = { ...(smoke ? SMOKE : FULL) };
  if (values.runs !== undefined) sizes.runs = sizes.fewRuns = positive("--runs", values.runs);
  if (values.limit !== undefined) sizes.limit = positive("--limit", values.limit);
  return {
    sizes,
    sections: sections.length > 0 ? sections : SECTIONS.filter(({ isExtra }) => smoke || !isExtra),
    smoke,
    write,
    force,
    out,
  };
}

function positive(name: string, text: string): number {
  if (!/^[1-9]\d*$/.test(text)) throw new Error(`${name} is a number from 1 on, not "${text}"`);
  return Number(text);
}

async function main(): Promise<void> {
  const { sizes, sections, smoke, write, force, out } = readOptions();
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
  const bench = new Bench(sizes, folder);
  for (const name of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(name, () => bench.interrupt());
  try {
    bench.progress(quiet);
    const results = await measure(bench, sections);
    if (smoke) process.stdout.write("Smoke test: too little work to say anything about speed.\n\n");
    process.stdout.write(`${targetTable(results)}\n${texts(results)}${TABLE_ATTRIBUTION}\n`);
    const target = write ? DOCS : out;
    if (out !== undefined) for (const name of DOCUMENTS) copyFileSync(join(DOCS, name), join(out, name));
    if (target !== undefined) writeResults(target, results, circumstances(quiet));
  } catch (error) {
    // What fails because of it says less than the interruption itself.
    bench.throwIfInterrupted();
    throw error;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

async function measure(bench: Bench, sections: readonly Section[]): Promise<Results> {
  for (const { name, skipped } of bench.contenders) {
    if (skipped !== false) bench.progress(`${name} is left out: ${skipped}`);
  }
  const results = new Map<Section, SectionResult>();
  for (const section of sections) {
    bench.progress(`${section.title} (${section.name})`);
    results.set(section, await section.measure(bench));
    bench.throwIfInterrupted();
  }
  return results;
}

function texts(results: Results): string {
  return Array.from(results, ([{ title }, { text }]) => (text === "" ? "" : `## ${title}\n\n${text}\n`)).join("");
}

/** What a section was measured by and on, for its document. */
function circumstances(quiet: string): (section: Section) => string {
  const cpu = cpus();
  const machine = `${cpu.length} × ${cpu[0]?.model ?? "unknown processor"}, Linux ${release().split("-")[0]}`;
  return ({ name }) => `\`make bench ONLY=${name}\` on ${machine}; ${quiet}.`;
}

try {
  await main();
} catch (error) {
  process.stderr.write(`bench: ${(error as Error).message}\n`);
  process.exitCode = 1;
}
