/** The parts of `make reliability`: what each runs, and its figures as a text for docs/reliability.md. */
import { availableParallelism } from "node:os";
import { formatTable } from "../tests/bench/report.ts";
import type { CanaryFigures } from "../tests/sim/canary_search.ts";
import { CANARY_SEEDS } from "../tests/sim/canary_search.ts";
import { FAULT_KINDS } from "../tests/sim/faults.ts";
import { type SimulationFigures, Totals } from "../tests/sim/totals.ts";
import type { Course, SoakFigures } from "../tests/soak/figures.ts";
import type { FuzzFigures } from "../tests/support/fuzz.ts";
import type { Programs } from "./reliability_programs.ts";

export interface Sizes {
  /** Of simulations. */
  seeds: number;
  /** Of soak. */
  minutes: number;
  fuzzMinutes: number;
}

export interface PartResult {
  text: string;
  /** Nothing was found that must not be. */
  isFine: boolean;
}

export interface Part {
  name: string;
  title: string;
  /** How its size is given to make. */
  variable: (sizes: Sizes) => string;
  run: (programs: Programs, sizes: Sizes) => Promise<PartResult>;
}

export const PARTS: readonly Part[] = [
  {
    name: "simulation",
    title: "Simulations",
    variable: ({ seeds }) => ` SEEDS=${seeds}`,
    run: async (programs, { seeds }) => {
      const totals = new Totals();
      const shares = splitSeeds(seeds, availableParallelism());
      const all = shares.map(({ from, count }) =>
        programs.run<SimulationFigures>("tests/sim/run.ts", ["--seeds", String(count), "--from", String(from)]),
      );
      for (const figures of await settle(all)) totals.merge(figures);
      return describeSimulations(totals.figures);
    },
  },
  {
    name: "canaries",
    title: "Canaries",
    variable: () => "",
    run: async (programs) => describeCanaries(await programs.run<CanaryFigures>("tests/sim/run.ts", ["--canaries"])),
  },
  {
    name: "fuzzing",
    title: "Fuzzing",
    variable: ({ fuzzMinutes }) => ` FUZZ_MINUTES=${fuzzMinutes}`,
    run: async (programs, { fuzzMinutes }) =>
      describeFuzzing(await programs.run<FuzzFigures>("scripts/fuzz.ts", ["--minutes", String(fuzzMinutes)])),
  },
  {
    name: "soak",
    title: "Soak",
    variable: ({ minutes }) => ` MINUTES=${minutes}`,
    run: async (programs, { minutes }) =>
      describeSoak(await programs.run<SoakFigures>("tests/soak/run.ts", ["--minutes", String(minutes)])),
  },
];

/** Ranges of seeds from 1 on, as equal as may be and none of them empty. */
export function splitSeeds(seeds: number, processes: number): { from: number; count: number }[] {
  const shares = Math.min(seeds, processes);
  return Array.from({ length: shares }, (_, index) => {
    const from = Math.floor((seeds * index) / shares);
    return { from: from + 1, count: Math.floor((seeds * (index + 1)) / shares) - from };
  });
}

/** Waits for all of them, and then tells the first error. */
async function settle<Value>(running: readonly Promise<Value>[]): Promise<Value[]> {
  await Promise.allSettled(running);
  return await Promise.all(running);
}

const count = (value: number): string => value.toLocaleString("en-US");
const megabytes = (bytes: number): string => `${(bytes / 1e6).toFixed(1)} MB`;

export function describeSimulations(figures: SimulationFigures): PartResult {
  const { seeds, failedSeeds, steps, updates, requests, elapsedMs, faults } = figures;
  const injected = FAULT_KINDS.reduce((sum, kind) => sum + faults[kind], 0);
  const rows = [
    ["seeds run", count(seeds)],
    ["seeds failed", failedSeeds.length === 0 ? "0" : `${failedSeeds.length}: ${failedSeeds.slice(0, 10).join(", ")}`],
    ["simulated time", `${count(Math.round(elapsedMs / 3_600_000))} h`],
    ["steps, with checks after each", count(steps)],
    ["updates of clients", count(updates)],
    ["requests to the kernel", count(requests)],
    ["faults injected", count(injected)],
  ];
  const kinds = FAULT_KINDS.map((kind) => [`\`${kind}\``, count(faults[kind])]);
  return {
    text: `${formatTable(["simulations", "count"], rows)}\n${formatTable(["kind of fault", "injected"], kinds)}`,
    isFine: failedSeeds.length === 0,
  };
}

export function describeCanaries(figures: CanaryFigures): PartResult {
  const rows = Object.entries(figures).map(([name, seed]) => [name, seed === null ? "not found" : count(seed)]);
  const found = Object.values(figures).filter((seed) => seed !== null).length;
  const all = `${found} of ${rows.length} planted bugs were found within ${count(CANARY_SEEDS)} seeds.`;
  return {
    text: `${all}\n\n${formatTable(["a daemon that", "is found by seed"], rows)}`,
    isFine: found === rows.length,
  };
}

export function describeFuzzing({ reports, found }: FuzzFigures): PartResult {
  const sum = (key: "cases" | "bytes"): number => reports.reduce((all, report) => all + report[key], 0);
  const rows = reports.map(({ target, cases, bytes }) => [target, count(cases), megabytes(bytes)]);
  rows.push(["all", count(sum("cases")), megabytes(sum("bytes"))]);
  const verdict = found === "" ? "Nothing was found." : `Something was found: \`${found.split("\n")[0]}\``;
  return { text: `${verdict}\n\n${formatTable(["target", "cases", "fed"], rows)}`, isFine: found === "" };
}

export function describeSoak(figures: SoakFigures): PartResult {
  const { seconds, statuses, courses, violations } = figures;
  const course = ({ begin, end }: Course, show: (value: number) => string = count) => `${show(begin)} → ${show(end)}`;
  const rows = [
    ["time", `${(seconds / 60).toFixed(1)} min`],
    ["updates whose client waited for all results", count(figures.updates)],
    ["results for them", count(figures.results)],
    ["results lost", count(figures.resultsLost)],
    ...Object.entries(statuses)
      .sort(([, a], [, b]) => b - a)
      .map(([status, times]) => [`results \`${status}\``, count(times)]),
    ["full syncs", count(figures.syncs)],
    ["changes of nexthop groups", count(figures.groupChanges)],
    ["clients that went away in the middle", count(figures.brokenOff)],
    ["routes sent by FPM peers", count(figures.fpmRoutes)],
    ["disturbances by others", count(figures.disturbances)],
    ["comparisons of kernel and RIB", count(figures.comparisons)],
    ["contexts (slots)", count(figures.contexts)],
    ["slots leaked", count(figures.contextsLeaked)],
    ["sets of attributes left after all was withdrawn", count(figures.attributesLeft)],
    ["routes and nexthop objects left in the kernel", count(figures.kernelLeft)],
    ["resident memory, warmed up → at the end", course(courses.memoryBytes, megabytes)],
    ["descriptors, warmed up → at the end", course(courses.descriptors)],
    ["threads, warmed up → at the end", course(courses.threads)],
  ];
  const verdict =
    violations.length === 0
      ? "Nothing was wrong."
      : `Wrong was: ${violations.map((each) => `\`${each}\``).join(", ")}.`;
  return { text: `${verdict}\n\n${formatTable(["soak", "figure"], rows)}`, isFine: violations.length === 0 };
}
