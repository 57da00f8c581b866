#!/usr/bin/env bun
/**
 * Runs a soak (`make soak`), with a sample each ten seconds:
 *
 *   bun tests/soak/run.ts [--minutes N] [--seed S] [--json FILE]
 */
import { writeFileSync } from "node:fs";
import process from "node:process";
import { parseArgs } from "node:util";
import { daemonSkipReason } from "../support/binary.ts";
import { FLAT_FIELDS, type Sample, type SoakFigures } from "./figures.ts";
import { Soak } from "./soak.ts";

const { values } = parseArgs({
  options: {
    minutes: { type: "string", default: "20" },
    seed: { type: "string", default: String(Date.now() % 1_000_000) },
    json: { type: "string" },
  },
});
const ROUND_MS = 10_000;
/** A short soak has shorter rounds, because it takes some samples to say what grows. */
const ROUNDS_MIN = 20;
const ROUNDS_TO_COMPARE = 6;
const WORKERS = 4;

const count = (value: number): string => value.toLocaleString("en-US");
const megabytes = (bytes: number): string => `${(bytes / (1 << 20)).toFixed(0)} MiB`;

function showSample(sample: Sample): void {
  const { atMs, updates, memoryBytes, descriptors, threads, contextsHeld, attributes, routes } = sample;
  process.stderr.write(
    `${(atMs / 1000).toFixed(0)} s: ${count(updates)} updates, ${count(routes)} routes, ${attributes} sets of attributes, ` +
      `${megabytes(memoryBytes)}, ${descriptors} descriptors, ${threads} threads, ${contextsHeld} contexts held\n`,
  );
}

function describe(figures: SoakFigures): string {
  const { seed, seconds, updates, results, resultsLost, contextsLeaked, kernelLeft, courses, violations } = figures;
  const flat = FLAT_FIELDS.map((field) => `${field} ${courses[field].begin} → ${courses[field].end}`).join(", ");
  return [
    `seed ${seed}, ${seconds} s: ${count(updates)} updates, ${count(results)} results, lost: ${resultsLost}`,
    `contexts leaked: ${contextsLeaked}, left in the kernel: ${kernelLeft}, ${flat}`,
    ...violations,
    violations.length === 0 ? "nothing is wrong" : `wrong: ${violations.length}`,
  ].join("\n");
}

const forMs = Number(values.minutes) * 60_000;
if (!(forMs > 0)) throw new Error(`--minutes is a number above 0, not "${values.minutes}"`);
const reason = daemonSkipReason();
if (reason) throw new Error(`A soak needs the compiled daemon and a namespace: ${reason}`);
const soak = new Soak({
  seed: Number(values.seed),
  forMs,
  roundMs: Math.min(ROUND_MS, forMs / ROUNDS_MIN),
  roundsToCompare: ROUNDS_TO_COMPARE,
  workers: WORKERS,
  onSample: showSample,
});
for (const name of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(name, () => soak.interrupt());
try {
  const figures = await soak.run();
  if (values.json !== undefined) writeFileSync(values.json, JSON.stringify(figures));
  process.stdout.write(`${describe(figures)}\n`);
  process.exitCode = figures.violations.length === 0 ? 0 : 1;
} catch (error) {
  process.stderr.write(`soak: ${(error as Error).message}\n`);
  process.exitCode = 1;
} finally {
  await soak.close();
}
