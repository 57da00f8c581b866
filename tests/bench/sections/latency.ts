/** How long a client waits for the answer about one route: of a daemon with nothing to do, and while a table loads. */
import { join } from "node:path";
import { DaemonProcess } from "../../../scripts/daemon_process.ts";
import { writeTable } from "../../../scripts/internet_table.ts";
import type { Bench, Section } from "../bench_context.ts";
import { withNamespace } from "../comparison.ts";
import { DPLANED_LOAD, loadFile } from "../contenders/dplaned.ts";
import { LatencyClient, measureDuring } from "../latency.ts";
import { type Finding, formatNumber, formatTable, percentile } from "../report.ts";

/** A nexthop of the table's device. */
const NEXTHOP = "10.64.0.100";

export const latencySection: Section = {
  name: "latency",
  title: "Latency",
  document: "benchmarks.md",
  measure: async (bench) => {
    const { idle, probes, updates } = await measureLatency(bench);
    const row = (what: string, values: readonly number[]) => [
      what,
      formatNumber(values.length),
      ...[0.5, 0.99, 1].map((fraction) => formatNumber(percentile(values, fraction))),
    ];
    const atMost = (what: string, values: readonly number[], fraction: number, target: number): Finding => {
      return { what, value: percentile(values, fraction), unit: " ms", target, atLeast: false };
    };
    const rows = [
      row("one route, idle daemon", idle),
      row(`one route while ${DPLANED_LOAD} loads a table`, updates),
      row("GET /healthz meanwhile", probes),
    ];
    return {
      text: formatTable(["from request to answer", "requests", "p50 ms", "p99 ms", "most ms"], rows),
      findings: [
        atMost("one route on an idle daemon, p50", idle, 0.5, 0.5),
        atMost("one route on an idle daemon, p99", idle, 0.99, 3),
        atMost("GET /healthz while a table loads, p99", probes, 0.99, 50),
        atMost("another client's route while a table loads, p99", updates, 0.99, 100),
      ],
    };
  },
};

async function measureLatency(bench: Bench) {
  const { sizes, folder } = bench;
  const file = join(folder, "busy.ndjson");
  writeTable(file, "ndjson", { families: [4], limit: sizes.busyRoutes });
  await bench.untilQuiet();
  return await withNamespace(async (netns) => {
    const daemon = await DaemonProcess.start({ netns: netns.name });
    return await bench.using({ end: () => daemon.stop() }, () => measureDaemon(bench, daemon.socket, file));
  });
}

async function measureDaemon({ sizes }: Bench, socket: string, file: string) {
  const [prober, updater] = [new LatencyClient(socket), new LatencyClient(socket)];
  try {
    for (let count = 0; count < sizes.warmUp; count++) await updater.installOne(NEXTHOP);
    const idle: number[] = [];
    for (let count = 0; count < sizes.singleRoutes; count++) idle.push(await updater.installOne(NEXTHOP));
    const { values } = await measureDuring(loadFile(socket, file), [
      () => prober.probe(),
      () => updater.installOne(NEXTHOP),
    ]);
    return { idle, probes: values[0]!, updates: values[1]! };
  } finally {
    prober.close();
    updater.close();
  }
}
