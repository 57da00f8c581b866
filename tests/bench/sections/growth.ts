/** Synthetic tables of up to four million routes: whether time and memory grow as the table does. */
import type { Bench, Section } from "../bench_context.ts";
import { type Comparison, compare, type Measurements } from "../comparison.ts";
import { DPLANED_HTTP } from "../contenders/dplaned.ts";
import { NETLINK_LOOP } from "../contenders/process.ts";
import { Feeds } from "../feeds.ts";
import { linePlot, type Series } from "../plot.ts";
import { type Finding, fitLine, formatNumber, formatRange, formatTable, type Line, median } from "../report.ts";
import { syntheticTable } from "../synthetic_table.ts";

const OPS = ["install", "delete"] as const;
/** How much more a route may cost in the largest table than in one of a quarter of its size. */
const TARGET = 1.25;

/** What was measured of one thing at all sizes. */
interface Curve {
  name: string;
  unit: string;
  points: { x: number; y: number; least: number; most: number }[];
  fit: Line;
}

export const growthSection: Section = {
  name: "growth",
  title: "Growth",
  document: "performance.md",
  measure: async (bench) => {
    const { growth, growthRuns } = bench.sizes;
    const contenders = [bench.contender(DPLANED_HTTP), bench.contender(NETLINK_LOOP)];
    const lanes = growth.flatMap((routes) => {
      const feeds = new Feeds(bench.folder, `synthetic-${routes}`, syntheticTable(routes));
      return contenders.map((contender) => ({ name: laneName(contender.name, routes), contender, feeds }));
    });
    const comparison = await compare(bench, lanes, growthRuns, OPS);
    for (const { feeds } of lanes) feeds.remove();
    const curves = curvesOf(bench, comparison);
    const ofTime = curves.filter(({ unit }) => unit === "s");
    const ofMemory = curves.filter(({ unit }) => unit === "MB");
    const titles = ["Seconds by routes in the table", "Memory above the idle daemon, at most, by routes in the table"];
    return {
      text: formatTable(
        [
          "synthetic tables",
          ...growth.map((routes) => `${formatNumber(routes)} routes`),
          "each route more",
          "at the start",
        ],
        curves.map(curveRow),
      ),
      findings: curves.filter(({ name }) => name.startsWith(DPLANED_HTTP)).map(growthFinding),
      plots: [
        plotOf("benchmarks-growth-time", titles[0]!, ofTime),
        plotOf("benchmarks-growth-memory", titles[1]!, ofMemory),
      ],
    };
  },
};

function laneName(contender: string, routes: number): string {
  return `${contender}: ${formatNumber(routes)} routes`;
}

function curvesOf({ sizes: { growth } }: Bench, comparison: Comparison): Curve[] {
  const curve = (
    contender: string,
    what: string,
    unit: string,
    values: (measured: Measurements) => number[],
  ): Curve[] => {
    const points = growth.flatMap((x) => {
      const measured = comparison.get(laneName(contender, x));
      if (measured === undefined) return [];
      const all = values(measured);
      return [{ x, y: median(all), least: Math.min(...all), most: Math.max(...all) }];
    });
    return points.length === 0 ? [] : [{ name: `${contender}: ${what}`, unit, points, fit: fitLine(points) }];
  };
  const seconds = (op: (typeof OPS)[number]) => (measured: Measurements) =>
    measured.timings[op].map(({ ms }) => ms / 1000);
  return [
    ...curve(DPLANED_HTTP, "install", "s", seconds("install")),
    ...curve(DPLANED_HTTP, "withdraw", "s", seconds("delete")),
    ...curve(NETLINK_LOOP, "install", "s", seconds("install")),
    ...curve(NETLINK_LOOP, "withdraw", "s", seconds("delete")),
    ...curve(DPLANED_HTTP, "memory", "MB", ({ idleBytes, peakBytes }) =>
      peakBytes.map((bytes, run) => (bytes - idleBytes[run]!) / 1e6),
    ),
  ];
}

function curveRow({ name, unit, points, fit }: Curve): string[] {
  const cells = points.map(({ y, least, most }) => `${formatNumber(y)} ${unit} (${formatRange([least, most])})`);
  const each = unit === "s" ? `${formatNumber(fit.slope * 1e6)} µs` : `${formatNumber(fit.slope * 1e6)} bytes`;
  return [name, ...cells, each, `${formatNumber(fit.intercept)} ${unit}`];
}

/** What a route costs at the end, beside what it cost in a table of a quarter. */
function growthFinding({ name, points }: Curve): Finding {
  const last = points.at(-1)!;
  const quarter = points.find(({ x }) => x === last.x / 4)!;
  return {
    what: `${name} a route, in ${formatNumber(last.x)} beside in ${formatNumber(quarter.x)}`,
    value: last.y / last.x / (quarter.y / quarter.x),
    unit: " ×",
    target: TARGET,
    atLeast: false,
  };
}

function plotOf(name: string, title: string, curves: readonly Curve[]) {
  const series: readonly Series[] = curves;
  const unit = curves[0]?.unit ?? "";
  const formatX = (routes: number) => `${formatNumber(routes)}`;
  const svg = linePlot({ title, series, formatX, formatY: (value) => `${formatNumber(value)} ${unit}` });
  return { name, title, svg };
}
