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
import { type Finding, formatNumber, median } from "../report.ts";

interface Held {
  files: HeldFiles;
  tables: readonly HeldTable[];
  /** Milliseconds, by `net.ipv4.nexthop_compat_mode`. */
  groupChanges: Readonly<Record<0 | 1, readonly number[]>>;
}

export const heldSection: Section = {
  name: "held",
  title: "Tables that are held",
  measure: async (bench) => ({ text: "", findings: findingsOf(await measureHeld(bench)) }),
};

async function measureHeld(bench: Bench): Promise<Held> {
  const { runs, limit } = bench.sizes;
  const files = writeHeldFiles(bench.folder, limit);
  const tables: HeldTable[] = [];
  const groupChanges: Record<0 | 1, number[]> = { 0: [], 1: [] };
  for (let run = 1; run <= runs; run++) {
    await bench.untilQuiet();
    tables.push(await withNamespace((netns) => measureHeldTable(netns, files)));
    for (const mode of [0, 1] as const) {
      await bench.untilQuiet();
      groupChanges[mode].push(...(await withNamespace((netns) => measureGroupChanges(netns, files, mode))));
    }
    bench.progress(`run ${run} of ${runs}: held tables`);
  }
  return { files, tables, groupChanges };
}

/** Everything with a target, beside its target. */
function findingsOf({ files, tables, groupChanges }: Held): Finding[] {
  const middle = (value: (table: HeldTable) => number): number => median(tables.map(value));
  const atMost = (what: string, value: number, target: number, unit: string): Finding => {
    return { what, value, target, unit, atLeast: false };
  };
  const { ipv4, ipv6, changed } = files.routes;
  const table = `${formatNumber(ipv4)} IPv4 routes`;
  return [
    atMost(
      `sync of ${table}, 1 % changed`,
      middle(({ changedSync }) => changedSync.ms / 1000),
      1.5,
      " s",
    ),
    atMost(
      "the same: routes written",
      middle(({ changedSync }) => changedSync.writes),
      changed,
      "",
    ),
    atMost(
      "sync with nothing changed",
      middle(({ unchangedSync }) => unchangedSync.ms / 1000),
      1.5,
      " s",
    ),
    atMost(
      "the same: kernel writes",
      middle(({ unchangedSync }) => unchangedSync.writes),
      0,
      "",
    ),
    atMost(
      "restart after SIGKILL, until both tables are adopted",
      middle(({ restart }) => restart.ms / 1000),
      3,
      " s",
    ),
    atMost(
      "the same: kernel writes",
      middle(({ restart }) => restart.writes),
      0,
      "",
    ),
    atMost(
      "sync that claims the adopted IPv4 routes",
      middle(({ claimingSync }) => claimingSync.ms / 1000),
      1.5,
      " s",
    ),
    atMost(
      "the same: kernel writes",
      middle(({ claimingSync }) => claimingSync.writes),
      0,
      "",
    ),
    atMost(`group change under ${table}, compat mode 0`, median(groupChanges[0]), 5, " ms"),
    atMost("the same, nexthop_compat_mode = 1", median(groupChanges[1]), 5, " ms"),
    atMost(
      "resident memory a route above the idle daemon",
      middle(({ heldBytes, idleBytes }) => (heldBytes - idleBytes) / (ipv4 + ipv6)),
      100,
      " bytes",
    ),
    atMost(
      "resident memory with both tables held",
      middle(({ heldBytes }) => heldBytes / 1e6),
      160,
      " MB",
    ),
    atMost(
      "peak, with an audit and two syncs",
      middle(({ peakBytes }) => peakBytes / 1e6),
      160,
      " MB",
    ),
    atMost(
      "peak after the restart, the same",
      middle(({ restartedPeakBytes }) => restartedPeakBytes / 1e6),
      160,
      " MB",
    ),
  ];
}
