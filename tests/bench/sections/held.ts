/** A table that is held: synced, found again by a new daemon, moved to other nexthops by its group; and what it takes of memory. */
import type { Bench, Section } from "../bench_context.ts";
import { withNamespace } from "../comparison.ts";
import {
  type HeldFiles,
  type HeldTable,
  measureGroupChanges,
  measureHeldTable,
  writeHeldFiles,
} from "../held_table.ts";
import { formatNumber, formatRange, formatTable, median } from "../report.ts";

interface Held {
  files: HeldFiles;
  tables: readonly HeldTable[];
  /** Milliseconds, by `net.ipv4.nexthop_compat_mode`. */
  groupChanges: Readonly<Record<0 | 1, readonly number[]>>;
}

/** What was measured of one thing in all runs, and the most that it may be. */
interface Row {
  what: string;
  values: readonly number[];
  unit: string;
  target: number;
}

export const heldSection: Section = {
  name: "held",
  title: "Tables that are held",
  document: "benchmarks.md",
  measure: async (bench) => {
    const held = await measureHeld(bench);
    const rows = [...workRows(held), ...memoryRows(held)];
    const cells = rows.map(({ what, values, unit }) => [
      what,
      `${formatNumber(median(values))}${unit}`,
      formatRange(values),
    ]);
    return {
      text: formatTable(["what", "median", "all runs"], cells),
      findings: rows.map(({ what, values, unit, target }) => {
        return { what, value: median(values), unit, target, atLeast: false };
      }),
    };
  },
};

async function measureHeld(bench: Bench): Promise<Held> {
  const { fewRuns, limit } = bench.sizes;
  const files = writeHeldFiles(bench.folder, limit);
  const tables: HeldTable[] = [];
  const groupChanges: Record<0 | 1, number[]> = { 0: [], 1: [] };
  for (let run = 1; run <= fewRuns; run++) {
    await bench.untilQuiet();
    tables.push(await withNamespace((netns) => measureHeldTable(bench, netns, files)));
    for (const mode of [0, 1] as const) {
      await bench.untilQuiet();
      groupChanges[mode].push(...(await withNamespace((netns) => measureGroupChanges(bench, netns, files, mode))));
    }
    bench.progress(`run ${run} of ${fewRuns}: held tables`);
  }
  return { files, tables, groupChanges };
}

function workRows({ files, tables, groupChanges }: Held): Row[] {
  const { ipv4, changed } = files.routes;
  const seconds = (
    what: string,
    key: "changedSync" | "unchangedSync" | "restart" | "claimingSync",
    target: number,
  ): Row => {
    return { what, values: tables.map((table) => table[key].ms / 1000), unit: " s", target };
  };
  const writes = (
    what: string,
    key: "changedSync" | "unchangedSync" | "restart" | "claimingSync",
    target: number,
  ): Row => {
    return { what, values: tables.map((table) => table[key].writes), unit: "", target };
  };
  const milliseconds = (what: string, values: readonly number[]): Row => ({ what, values, unit: " ms", target: 5 });
  const routes = `${formatNumber(ipv4)} IPv4 routes`;
  return [
    seconds(`sync of ${routes}, 1 % changed`, "changedSync", 1.5),
    writes("the same: routes written", "changedSync", changed),
    seconds("sync with nothing changed", "unchangedSync", 1.5),
    writes("the same: kernel writes", "unchangedSync", 0),
    seconds("restart after SIGKILL, until both tables are adopted", "restart", 3),
    writes("the same: kernel writes", "restart", 0),
    seconds("sync that claims the adopted IPv4 routes", "claimingSync", 1.5),
    writes("the same: kernel writes", "claimingSync", 0),
    milliseconds(`group change under ${routes}, compat mode 0`, groupChanges[0]),
    milliseconds("the same, nexthop_compat_mode = 1", groupChanges[1]),
  ];
}

function memoryRows({ files, tables }: Held): Row[] {
  const { ipv4, ipv6 } = files.routes;
  const megabytes = (what: string, value: (table: HeldTable) => number): Row => {
    return { what, values: tables.map((table) => value(table) / 1e6), unit: " MB", target: 160 };
  };
  return [
    {
      what: "resident memory a route above the idle daemon",
      values: tables.map(({ heldBytes, idleBytes }) => (heldBytes - idleBytes) / (ipv4 + ipv6)),
      unit: " bytes",
      target: 100,
    },
    megabytes("resident memory with both tables held", ({ heldBytes }) => heldBytes),
    megabytes("peak, with an audit and two syncs", ({ peakBytes }) => peakBytes),
    megabytes("peak after the restart, the same", ({ restartedPeakBytes }) => restartedPeakBytes),
  ];
}
