/** The IPv4 table in other orders than that of its addresses: what the order in which routes arrive changes. */
import type { Bench, Section } from "../bench_context.ts";
import { compare, type Lane } from "../comparison.ts";
import { DPLANED_HTTP } from "../contenders/dplaned.ts";
import { NETLINK_LOOP } from "../contenders/process.ts";
import { Feeds } from "../feeds.ts";
import { byAddress, byLength, reversed, shuffled } from "../orders.ts";
import { formatNumber, formatRange, formatTable, median } from "../report.ts";
import type { RouteTable } from "../route_table.ts";

const TARGET_PERCENT = 25;

const ORDERS: Readonly<Record<string, (table: RouteTable) => Uint32Array>> = {
  "by address": byAddress,
  "by address, reversed": reversed,
  shuffled,
  "by length, longest first": byLength,
};

export const ordersSection: Section = {
  name: "orders",
  title: "The IPv4 table in another order",
  document: "performance.md",
  measure: async (bench) => {
    const table = bench.table("ipv4");
    const contenders = [DPLANED_HTTP, NETLINK_LOOP];
    const lanes = Object.entries(ORDERS).flatMap(([order, pick]) => {
      const feeds = new Feeds(bench.folder, order.replaceAll(/\W+/g, "-"), table.picked(pick(table)));
      return contenders.map((name) => laneOf(bench, name, order, feeds));
    });
    const comparison = await compare(bench, lanes, bench.sizes.fewRuns, ["install"]);
    for (const { feeds } of lanes) feeds.remove();
    const seconds = (name: string, order: string) =>
      comparison.get(laneName(name, order))?.timings.install.map(({ ms }) => ms / 1000) ?? [];
    const rows = contenders.flatMap((name) =>
      Object.keys(ORDERS)
        .filter((order) => seconds(name, order).length > 0)
        .map((order) => {
          const middle = median(seconds(name, order));
          const beside = middle / median(seconds(name, "by address"));
          const range = formatRange(seconds(name, order));
          return [
            laneName(name, order),
            formatNumber(middle),
            range,
            formatNumber(table.count / middle),
            `${formatNumber(beside)} ×`,
          ];
        }),
    );
    const medians = Object.keys(ORDERS).flatMap((order) => {
      const values = seconds(DPLANED_HTTP, order);
      return values.length === 0 ? [] : [median(values)];
    });
    return {
      text: formatTable(
        [`${formatNumber(table.count)} IPv4 routes`, "s, median", "all runs", "routes/s", "beside by address"],
        rows,
      ),
      findings: [
        {
          what: "IPv4 load, slowest order of arrival beside the fastest",
          value: medians.length === 0 ? undefined : 100 * (Math.max(...medians) / Math.min(...medians) - 1),
          unit: " % more",
          target: TARGET_PERCENT,
          atLeast: false,
        },
      ],
    };
  },
};

function laneName(contender: string, order: string): string {
  return `${contender}: ${order}`;
}

function laneOf(bench: Bench, name: string, order: string, feeds: Feeds): Lane {
  return { name: laneName(name, order), contender: bench.contender(name), feeds };
}
