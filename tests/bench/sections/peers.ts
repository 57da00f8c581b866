/** Other ways to feed the peers than those that the comparison takes, which are to be the fastest for them. */
import type { Section } from "../bench_context.ts";
import { compare, type Lane, OP_NAMES } from "../comparison.ts";
import { BIRD, birdStartContender } from "../contenders/bird.ts";
import { FRR, frrContender } from "../contenders/frr.ts";
import { Feeds, OPS } from "../feeds.ts";
import { formatNumber, formatRange, formatTable, median } from "../report.ts";
import { realTable } from "../route_table.ts";

export const peersSection: Section = {
  name: "peers",
  title: "How the peers are fed",
  document: "benchmarks.md",
  isExtra: true,
  measure: async (bench) => {
    const { peerRoutes, fewRuns } = bench.sizes;
    const feeds = new Feeds(bench.folder, "peers", realTable([4, 6], peerRoutes));
    const lane = (contender: Lane["contender"]): Lane => ({ name: contender.name, contender, feeds });
    const all = [
      bench.contender(FRR),
      frrContender(bench.native, { name: "FRR zebra as it comes", config: "" }),
      frrContender(bench.native, { name: "FRR zebra, no notifications", notify: false }),
      bench.contender(BIRD),
    ].map(lane);
    const comparison = new Map([
      ...(await compare(bench, all, fewRuns, OPS)),
      ...(await compare(bench, [lane(birdStartContender())], fewRuns, ["install"])),
    ]);
    const rows = Array.from(comparison, ([name, { timings }]) => [
      name,
      ...OPS.map((op) => {
        const seconds = timings[op].map(({ ms }) => ms / 1000);
        return seconds.length === 0 ? "" : `${formatNumber(median(seconds))} (${formatRange(seconds)})`;
      }),
    ]);
    const header = [`${formatNumber(feeds.routes)} routes: seconds`, ...OPS.map((op) => OP_NAMES[op])];
    return { text: formatTable(header, rows), findings: [] };
  },
};
