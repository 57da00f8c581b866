#!/usr/bin/env bun
/**
 * Runs simulations (`make sim`):
 *
 *   bun tests/sim/run.ts [--seeds N] [--from S]     as many, from this seed on; what fails is told, the first of it shrunk
 *   bun tests/sim/run.ts --seed S [--trace]         one, with all that happens
 *       [--without KIND,…] [--deeds N]              without these faults, and with fewer deeds: what shrinking came to
 *   bun tests/sim/run.ts --canaries                 which seed finds each of the planted bugs
 *
 * With --json FILE the figures of many, or the seeds that find canaries, are written there too.
 */
import { writeFileSync } from "node:fs";
import process from "node:process";
import { parseArgs } from "node:util";
import { CANARIES } from "./canaries.ts";
import { type CanaryFigures, findCanary } from "./canary_search.ts";
import { FAULT_KINDS, type FaultKind } from "./faults.ts";
import { shrink } from "./shrink.ts";
import { runSimulation, type SimulationOptions } from "./simulation.ts";
import { Totals } from "./totals.ts";

const { values } = parseArgs({
  options: {
    seeds: { type: "string", default: "1000" },
    from: { type: "string", default: "1" },
    seed: { type: "string" },
    without: { type: "string", default: "" },
    deeds: { type: "string" },
    trace: { type: "boolean", default: false },
    canaries: { type: "boolean", default: false },
    json: { type: "string" },
  },
});

/** How often long runs say how far they are. */
const PROGRESS_MS = 30_000;

function write(text: string): void {
  process.stdout.write(`${text}\n`);
}

function writeJson(figures: unknown): void {
  if (values.json !== undefined) writeFileSync(values.json, JSON.stringify(figures));
}

/** How to see a shrunk failure. */
function commandFor({ seed, without = new Set(), deedsMax }: SimulationOptions): string {
  const words = [`bun tests/sim/run.ts --seed ${seed} --trace`];
  if (without.size > 0) words.push(`--without ${[...without].join(",")}`);
  if (deedsMax !== undefined) words.push(`--deeds ${deedsMax}`);
  return words.join(" ");
}

async function runOne(seed: number): Promise<boolean> {
  const without = new Set(FAULT_KINDS.filter((kind) => values.without.split(",").includes(kind)));
  const options: SimulationOptions = { seed, without: without as ReadonlySet<FaultKind>, keepsTrace: values.trace };
  if (values.deeds !== undefined) options.deedsMax = Number(values.deeds);
  const result = await runSimulation(options);
  for (const line of result.trace) write(line);
  write(`seed ${seed}: ${result.violation || "nothing is wrong"} (${result.steps} steps, trace ${result.hash})`);
  return result.violation === "";
}

async function runMany(from: number, count: number): Promise<boolean> {
  const totals = new Totals();
  const { failedSeeds } = totals.figures;
  let toldAt = performance.now();
  for (let seed = from; seed < from + count; seed++) {
    const result = await runSimulation({ seed });
    totals.add(result);
    if (performance.now() - toldAt > PROGRESS_MS) {
      process.stderr.write(`${seed - from + 1} of ${count} seeds from ${from} on: ${failedSeeds.length} failed\n`);
      toldAt = performance.now();
    }
    if (result.violation === "") continue;
    write(`seed ${seed}: ${result.violation}`);
    if (failedSeeds.length > 1) continue;
    const { options, result: shorter } = await shrink({ seed }, result);
    write(`${commandFor(options)}: ${shorter.violation.split("\n")[0]} (${shorter.steps} steps)`);
  }
  for (const line of totals.describe()) write(line);
  writeJson(totals.figures);
  return failedSeeds.length === 0;
}

async function runCanaries(): Promise<boolean> {
  const figures: CanaryFigures = {};
  for (const name of Object.keys(CANARIES)) {
    figures[name] = (await findCanary(name))?.seed ?? null;
    write(`the daemon ${name}: ${figures[name] === null ? "not found" : `found by seed ${figures[name]}`}`);
  }
  writeJson(figures);
  return !Object.values(figures).includes(null);
}

async function main(): Promise<boolean> {
  if (values.canaries) return await runCanaries();
  if (values.seed !== undefined) return await runOne(Number(values.seed));
  return await runMany(Number(values.from), Number(values.seeds));
}

process.exit((await main()) ? 0 : 1);
