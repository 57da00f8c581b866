/**
 * `make bench`: how fast dplaned is beside other ways to program the same routing tables, in one run on one machine, as
 * ratios of medians, and what it answers meanwhile. Each contender works in a network namespace of its own.
 *
 *   bun tests/bench/bench.ts [--runs N] [--limit N] [--contenders NAME,...] [--smoke] [--write] [--force] [--out FOLDER] [SECTION...]
 *
 * --force measures and writes also while the machine has something else to do.
 * --smoke checks in a minute that all of it works and says nothing about speed; --write puts the results into docs/, --out into
 * copies of those documents.
 */
import { copyFileSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { TABLE_ATTRIBUTION } from "../../scripts/internet_table.ts";
import { skipReason } from "../support/netns.ts";
import { Bench, FULL, type Section, type Sizes, SMOKE } from "./bench_context.ts";
import { DOCUMENTS, type Measured, type Results, targetTable, writeResults } from "./documents.ts";
import { becomesQuiet, describeLoad, describeMachine } from "./machine.ts";
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
/** How often to look whether the machine is idle before numbers of it are written down. */
const FIRST_LOOKS = 150;

interface Options {
  sizes: Sizes;
  sections: readonly Section[];
  smoke: boolean;
  write: boolean;
  force: boolean;
  out: string | undefined;
  /** Parts of the names of those that are compared; all when there is none. */
  contenders: readonly string[];
}

function readOptions(): Options {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      runs: { type: "string" },
      limit: { type: "string" },
      contenders: { type: "string", default: "" },
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
  if (write && (smoke || values.limit !== undefined || values.contenders !== "")) {
    throw new Error(
      "Only numbers of all there is are worth writing down: --write goes without --smoke, --limit and --contenders",
    );
  }
  const sizes = { ...(smoke ? SMOKE : FULL) };
  if (values.runs !== undefined) sizes.runs = sizes.fewRuns = sizes.growthRuns = positive("--runs", values.runs);
  if (values.limit !== undefined) sizes.limit = positive("--limit", values.limit);
  // Somebody who cannot have a quiet machine need not wait for it, only be told.
  if (force) sizes.quietLooks = 1;
  return {
    sizes,
    sections: sections.length > 0 ? sections : SECTIONS.filter(({ isExtra }) => smoke || !isExtra),
    smoke,
    write,
    force,
    out,
    contenders: values.contenders.split(",").filter((part) => part !== ""),
  };
}

function positive(name: string, text: string): number {
  if (!/^[1-9]\d*$/.test(text)) throw new Error(`${name} is a number from 1 on, not "${text}"`);
  return Number(text);
}

async function main(): Promise<void> {
  const { sizes, sections, smoke, write, force, out, contenders } = readOptions();
  const reason = skipReason();
  if (reason) throw new Error(`The benchmarks need network namespaces: ${reason}`);
  const on = `${describeMachine()}, ${describeLoad()}`;
  process.stderr.write(`${on}\n`);
  if (write && !force && !(await becomesQuiet(FIRST_LOOKS))) {
    throw new Error("This machine is not quiet: end what runs on it, or write all the same with FORCE=1");
  }
  const folder = mkdtempSync(join(tmpdir(), "dplaned-bench-"));
  const bench = new Bench(sizes, folder, contenders);
  for (const name of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(name, () => bench.interrupt());
  const target = write ? DOCS : out;
  if (out !== undefined) for (const name of DOCUMENTS) copyFileSync(join(DOCS, name), join(out, name));
  const results = new Map<Section, Measured>();
  try {
    for (const { name, skipped } of bench.contenders) {
      if (skipped !== false) bench.progress(`${name} is left out: ${skipped}`);
    }
    for (const section of sections) {
      bench.progress(`${section.title} (${section.name})`);
      bench.starts = { all: 0, busy: 0 };
      results.set(section, { ...(await section.measure(bench)), starts: bench.starts });
      // Each at once: what comes later may fail, or be interrupted.
      if (target !== undefined) writeResults(target, results, on);
      bench.throwIfInterrupted();
    }
  } catch (error) {
    // What fails because of it says less than the interruption itself.
    bench.throwIfInterrupted();
    throw error;
  } finally {
    rmSync(folder, { recursive: true, force: true });
    if (smoke) process.stdout.write("Smoke test: too little work to say anything about speed.\n\n");
    process.stdout.write(`${targetTable(results)}\n${texts(results)}${TABLE_ATTRIBUTION}\n`);
  }
}

function texts(results: Results): string {
  return Array.from(results, ([{ title }, { text }]) => (text === "" ? "" : `## ${title}\n\n${text}\n`)).join("");
}

try {
  await main();
} catch (error) {
  process.stderr.write(`bench: ${(error as Error).message}\n`);
  process.exitCode = 1;
}
