/** The real tables into the kernel, to other nexthops, and out again: dplaned beside its peers. */
import type { Bench, Plot, Section, SectionResult, TableName } from "../bench_context.ts";
import { type Comparison, compare, OP_NAMES } from "../comparison.ts";
import { BIRD } from "../contenders/bird.ts";
import { DPLANED_FPM, DPLANED_HTTP } from "../contenders/dplaned.ts";
import { FRR } from "../contenders/frr.ts";
import { IP_BATCH, NETLINK_LOOP } from "../contenders/process.ts";
import { OPS, type Op } from "../feeds.ts";
import { barPlot } from "../plot.ts";
import { type Finding, formatNumber, formatRange, formatTable, median } from "../report.ts";

const TITLES: Readonly<Record<TableName, string>> = {
  both: "both families",
  ipv4: "IPv4 alone",
  ipv6: "IPv6 alone",
};
/** How many times as fast as these dplaned is to be, with both families. */
const INSTALL_TARGETS: Readonly<Record<string, number>> = { [FRR]: 4, [BIRD]: 4.5, [IP_BATCH]: 8, [NETLINK_LOOP]: 2.2 };
const WITHDRAW_TARGETS: Readonly<Record<string, number>> = { [NETLINK_LOOP]: 2.5 };

export const loadSection: Section = {
  name: "load",
  title: "Both real tables, IPv4 and IPv6",
  document: "benchmarks.md",
  measure: async (bench) => {
    const comparison = await compareOn(bench, "both", bench.sizes.runs, OPS);
    return {
      text: comparisonTables(comparison, bench, "both"),
      findings: [...ratioFindings(comparison, bench), ...memoryFindings(comparison)],
      plots: [plotOf(comparison, "both")],
    };
  },
};

export const familiesSection: Section = {
  name: "families",
  title: "The IPv4 and the IPv6 table alone",
  document: "benchmarks.md",
  measure: async (bench): Promise<SectionResult> => {
    let text = "";
    const plots: Plot[] = [];
    for (const name of bench.sizes.families) {
      const comparison = await compareOn(bench, name, bench.sizes.fewRuns, ["install", "delete"]);
      text += comparisonTables(comparison, bench, name);
      plots.push(plotOf(comparison, name));
    }
    return { text, findings: [], plots };
  },
};

async function compareOn(bench: Bench, name: TableName, runs: number, ops: readonly Op[]): Promise<Comparison> {
  const feeds = bench.feeds(name);
  const lanes = bench.contenders.map((contender) => ({ name: contender.name, contender, feeds }));
  bench.progress(`${formatNumber(feeds.routes)} routes, ${TITLES[name]}`);
  return await compare(bench, lanes, runs, ops);
}

/** The ops that were measured. */
function opsOf(comparison: Comparison): Op[] {
  return OPS.filter((op) => comparison.values().every(({ timings }) => timings[op].length > 0));
}

function plotOf(comparison: Comparison, name: TableName): Plot {
  const title = `Seconds to program the real tables, ${TITLES[name]}: median, and least to most`;
  const groups = opsOf(comparison).map((op) => {
    const bars = Array.from(comparison, ([contender, { timings }]) => {
      const seconds = timings[op].map(({ ms }) => ms / 1000);
      const [least, most] = [Math.min(...seconds), Math.max(...seconds)];
      return { label: contender, value: median(seconds), least, most, own: contender.startsWith("dplaned") };
    });
    return { title: OP_NAMES[op], bars };
  });
  return { name: `benchmarks-${name}`, title, svg: barPlot(title, groups, (seconds) => `${formatNumber(seconds)} s`) };
}

/** A table for each op: seconds, rate, how much of dplaned's time that is, processor time, memory. */
function comparisonTables(comparison: Comparison, bench: Bench, name: TableName): string {
  const { routes } = bench.feeds(name);
  const ours = comparison.get(DPLANED_HTTP);
  return opsOf(comparison)
    .map((op) => {
      const ourMedian = ours === undefined ? undefined : medianMs(ours.timings[op]);
      const rows = Array.from(comparison, ([contender, { timings, peakBytes }]) => {
        const all = timings[op];
        const seconds = all.map(({ ms }) => ms / 1000);
        const middle = median(seconds);
        const clients = all.flatMap(({ client }) => (client === undefined ? [] : [client.user + client.system]));
        return [
          contender,
          formatNumber(middle),
          formatRange(seconds),
          formatNumber(routes / middle),
          ourMedian === undefined ? "" : `${formatNumber((1000 * middle) / ourMedian)} ×`,
          formatNumber(median(all.map(({ cpu }) => cpu.user))),
          formatNumber(median(all.map(({ cpu }) => cpu.system))),
          clients.length === 0 ? "" : formatNumber(median(clients)),
          formatNumber(Math.max(...peakBytes) / 1e6),
        ];
      });
      const header = [
        `${OP_NAMES[op]}, ${TITLES[name]}`,
        "s, median",
        "all runs",
        "routes/s",
        "time beside dplaned's",
        "user s",
        "system s",
        "client's CPU s",
        "peak MB",
      ];
      return `${formatNumber(routes)} routes:\n\n${formatTable(header, rows)}\n`;
    })
    .join("");
}

function medianMs(timings: readonly { ms: number }[]): number {
  return median(timings.map(({ ms }) => ms));
}

function ratioFindings(comparison: Comparison, bench: Bench): Finding[] {
  const ratio = (ours: string, op: Op, theirs: string, target: number): Finding => {
    const [our, their] = [comparison.get(ours), comparison.get(theirs)];
    const lacking = bench.contenders.find(
      ({ name, skipped }) => skipped !== false && (name === ours || name === theirs),
    );
    return {
      what: `${OP_NAMES[op]} both tables, ${ours}: times as fast as ${theirs}`,
      value: our && their ? medianMs(their.timings[op]) / medianMs(our.timings[op]) : undefined,
      unit: " ×",
      target,
      atLeast: true,
      note: lacking === undefined ? "" : `${lacking.skipped}`,
    };
  };
  return [DPLANED_HTTP, DPLANED_FPM].flatMap((ours) => [
    ...Object.entries(INSTALL_TARGETS).map(([theirs, target]) => ratio(ours, "install", theirs, target)),
    ...Object.entries(WITHDRAW_TARGETS).map(([theirs, target]) => ratio(ours, "delete", theirs, target)),
  ]);
}

function memoryFindings(comparison: Comparison): Finding[] {
  return [DPLANED_HTTP, DPLANED_FPM].map((name) => {
    const peaks = comparison.get(name)?.peakBytes;
    const value = peaks === undefined ? undefined : Math.max(...peaks) / 1e6;
    return { what: `peak memory with both tables, ${name}`, value, unit: " MB", target: 160, atLeast: false };
  });
}
