/**
 * Fuzzes for as long as one likes: every target of tests/fuzz/table.ts in turn, with another seed each time, until the time is
 * over or something is found. Runs under the bundled bun (`make fuzz`).
 *
 *   bun scripts/fuzz.ts [--minutes N] [--target NAME] [--seed N] [--cases N] [--json FILE]
 */
import { writeFileSync } from "node:fs";
import process from "node:process";
import { parseArgs } from "node:util";
import { FUZZ_TARGETS } from "../tests/fuzz/table.ts";
import { FuzzFailure, type FuzzFigures, type FuzzReport, formatReport, fuzz } from "../tests/support/fuzz.ts";

/** For this long at most one target is fuzzed before the next has its turn. */
const TURN_MS_MAX = 5000;

const { values } = parseArgs({
  options: {
    minutes: { type: "string", default: "5" },
    target: { type: "string", default: "" },
    seed: { type: "string", default: "" },
    cases: { type: "string", default: "" },
    json: { type: "string" },
  },
});
const targets = FUZZ_TARGETS.filter(({ name }) => values.target === "" || name === values.target);
if (targets.length === 0) {
  process.stderr.write(
    `There is no target ${values.target}; there are ${FUZZ_TARGETS.map(({ name }) => name).join(", ")}\n`,
  );
  process.exit(2);
}

const totals = new Map<string, FuzzReport>();

function add(report: FuzzReport): void {
  const total = totals.get(report.target);
  if (total === undefined) totals.set(report.target, report);
  else for (const key of ["cases", "accepted", "bytes", "elapsedMs"] as const) total[key] += report[key];
}

// Everyone has a turn also where there is little time.
const turnMs = Math.min(TURN_MS_MAX, (Number(values.minutes) * 60_000) / targets.length);
const deadline = performance.now() + Number(values.minutes) * 60_000;
let seed = values.seed === "" ? Date.now() & 0x7fff_ffff : Number(values.seed);
let found = "";
try {
  if (values.cases !== "") {
    for (const target of targets) add(await fuzz(target, { seed, cases: Number(values.cases) }));
  } else {
    while (performance.now() < deadline) {
      for (const target of targets) {
        const leftMs = deadline - performance.now();
        if (leftMs <= 0) break;
        add(await fuzz(target, { seed, forMs: Math.min(turnMs, leftMs) }));
      }
      seed = (seed + 0x1234_5677) >>> 0;
    }
  }
} catch (error) {
  if (!(error instanceof FuzzFailure)) throw error;
  found = error.message;
  process.stderr.write(`${found}\n`);
}
const figures: FuzzFigures = { reports: [...totals.values()], found };
if (values.json !== undefined) writeFileSync(values.json, JSON.stringify(figures));
if (found !== "") process.exit(1);
for (const report of figures.reports) process.stdout.write(`${formatReport(report)}\n`);
const sum = (key: "cases" | "bytes"): number => figures.reports.reduce((all, report) => all + report[key], 0);
process.stdout.write(
  `${totals.size} targets, ${sum("cases").toLocaleString("en")} cases, ${(sum("bytes") / 1e6).toFixed(1)} MB: nothing found\n`,
);
process.exit(0);
