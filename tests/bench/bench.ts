/**
 * `make bench`: how fast dplaned is beside other ways to program the same real routing table, in one run on one machine, as
 * ratios of medians, and what it answers meanwhile. Each contender works in a network namespace of its own.
 *
 *   bun tests/bench/bench.ts [--runs N] [--limit N] [--smoke] [--write]
 *
 * --smoke checks in seconds that all of it works and says nothing about speed; --write also writes docs/benchmarks.md.
 */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { cpus, release, tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { setTimeout } from "node:timers";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { DaemonProcess } from "../../scripts/daemon_process.ts";
import { TABLE_ATTRIBUTION, TABLE_DEVICE_COMMANDS, writeTable } from "../../scripts/internet_table.ts";
import { digestKernel } from "../../scripts/table_digest.ts";
import { createNetns, type Netns, skipReason } from "../support/netns.ts";
import {
  type Contender,
  DPLANED,
  dplanedContender,
  IP_BATCH,
  ipBatchContender,
  loadFile,
  NETLINK_LOOP,
  netlinkLoopContender,
  type Op,
  type TableFiles,
  type Timing,
  writeTableFiles,
} from "./contenders.ts";
import { type HeldFiles, type HeldTable, measureGroupChanges, measureHeldTable, writeHeldFiles } from "./held_table.ts";
import { LatencyClient, measureDuring } from "./latency.ts";
import { type PipelineBenchResult, runPipelineBench } from "./pipeline_bench.ts";
import { type Finding, findingRows, formatNumber, formatTable, median, percentile } from "./report.ts";

interface Sizes {
  runs: number;
  /** Routes of each family; all when undefined. */
  limit: number | undefined;
  /** Routes that load while other clients are timed. */
  busyRoutes: number;
  singleRoutes: number;
  warmUp: number;
  /** Updates of each kind through the pipeline alone. */
  pipelineRoutes: number;
  /** How often to look, before each measurement, whether the machine is idle. */
  quietLooks: number;
}

const FULL: Sizes = {
  runs: 5,
  limit: undefined,
  busyRoutes: 500_000,
  singleRoutes: 5000,
  warmUp: 500,
  pipelineRoutes: 1_000_000,
  quietLooks: 50,
};
const SMOKE: Sizes = {
  runs: 1,
  limit: 1000,
  busyRoutes: 5000,
  singleRoutes: 50,
  warmUp: 5,
  pipelineRoutes: 10_000,
  quietLooks: 0,
};

const DOCUMENT = fileURLToPath(new URL("../../docs/benchmarks.md", import.meta.url).href);
const OPS: readonly Op[] = ["install", "delete"];
const OP_NAMES: Readonly<Record<Op, string>> = { install: "load", delete: "withdraw" };
/** A nexthop of the table's device. */
const NEXTHOP = "10.64.0.100";

const QUIET_SHARE = 0.9;
const QUIET_LOOK_MS = 200;

type Timings = Map<string, Record<Op, Timing[]>>;

/** The kernel frees the routes of a deleted namespace later, by threads of its own: waits until the machine is idle again. */
async function untilQuiet({ quietLooks }: Sizes): Promise<void> {
  const read = () => {
    const times = readFileSync("/proc/stat", "utf8").split("\n", 1)[0]!.trim().split(/\s+/).slice(1).map(Number);
    return { idle: times[3]! + times[4]!, all: times.slice(0, 8).reduce((sum, time) => sum + time, 0) };
  };
  for (let look = 0; look < quietLooks; look++) {
    const before = read();
    await new Promise((wake) => setTimeout(wake, QUIET_LOOK_MS));
    const after = read();
    if (after.idle - before.idle >= QUIET_SHARE * (after.all - before.all)) return;
  }
}

async function withNamespace<T>(work: (netns: Netns) => Promise<T>): Promise<T> {
  const netns = createNetns();
  try {
    netns.ipBatch(TABLE_DEVICE_COMMANDS);
    return await work(netns);
  } finally {
    netns.delete();
  }
}

/** Lets a contender load and withdraw the table once, and checks in the kernel that it did. */
async function runOnce(contender: Contender, files: TableFiles): Promise<Record<Op, Timing> & { peakBytes?: number }> {
  return await withNamespace(async (netns) => {
    const session = await contender.open(netns);
    try {
      const install = await session.run("install");
      for (const family of [4, 6] as const) {
        const held = String(await digestKernel(netns.name, family));
        const expected = String(files.expected[family]);
        if (held !== expected) throw new Error(`${contender.name}: IPv${family}: kernel ${held}, table ${expected}`);
      }
      const peakBytes = session.peakBytes?.();
      const withdrawal = await session.run("delete");
      for (const family of [4, 6] as const) {
        const left = (await digestKernel(netns.name, family)).routes;
        if (left !== 0) throw new Error(`${contender.name}: ${left} IPv${family} routes are left in the kernel`);
      }
      return { install, delete: withdrawal, ...(peakBytes === undefined ? {} : { peakBytes }) };
    } finally {
      await session.end();
    }
  });
}

async function compare(contenders: readonly Contender[], files: TableFiles, sizes: Sizes) {
  const { runs } = sizes;
  const timings: Timings = new Map(contenders.map(({ name }) => [name, { install: [], delete: [] }]));
  const peaks: number[] = [];
  for (let run = 1; run <= runs; run++) {
    for (const contender of contenders) {
      await untilQuiet(sizes);
      const result = await runOnce(contender, files);
      for (const op of OPS) timings.get(contender.name)![op].push(result[op]);
      if (result.peakBytes !== undefined) peaks.push(result.peakBytes);
      const seconds = OPS.map((op) => `${OP_NAMES[op]} ${formatNumber(result[op].ms / 1000)} s`).join(", ");
      process.stderr.write(`run ${run} of ${runs}: ${contender.name}: ${seconds}\n`);
    }
  }
  return { timings, peakBytes: Math.max(...peaks) };
}

async function measureLatency(sizes: Sizes, folder: string) {
  const file = join(folder, "busy.ndjson");
  writeTable(file, "ndjson", { families: [4], limit: sizes.busyRoutes });
  await untilQuiet(sizes);
  return await withNamespace(async (netns) => {
    const daemon = await DaemonProcess.start({ netns: netns.name });
    const [prober, updater] = [new LatencyClient(daemon.socket), new LatencyClient(daemon.socket)];
    try {
      for (let count = 0; count < sizes.warmUp; count++) await updater.installOne(NEXTHOP);
      const idle: number[] = [];
      for (let count = 0; count < sizes.singleRoutes; count++) idle.push(await updater.installOne(NEXTHOP));
      const { values } = await measureDuring(loadFile(daemon.socket, file), [
        () => prober.probe(),
        () => updater.installOne(NEXTHOP),
      ]);
      return { idle, probes: values[0]!, updates: values[1]! };
    } finally {
      prober.close();
      updater.close();
      await daemon.stop();
    }
  });
}

function timingTable(timings: Timings, files: TableFiles): string {
  const rows: string[][] = [];
  for (const op of OPS) {
    for (const [name, byOp] of timings) {
      const seconds = byOp[op].map(({ ms }) => ms / 1000);
      if (seconds.length === 0) continue;
      const middle = median(seconds);
      rows.push([
        `${OP_NAMES[op]}: ${name}`,
        formatNumber(middle),
        `${formatNumber(Math.min(...seconds))} to ${formatNumber(Math.max(...seconds))}`,
        formatNumber(files.updates[op] / middle),
      ]);
    }
  }
  return formatTable(
    [`${formatNumber(files.updates.install)} routes`, "seconds, median", "all runs", "routes/s"],
    rows,
  );
}

function ratio(timings: Timings, op: Op, other: string): number | undefined {
  const medianMs = (name: string) => {
    const values = timings.get(name)?.[op].map(({ ms }) => ms) ?? [];
    return values.length === 0 ? undefined : median(values);
  };
  const [theirs, ours] = [medianMs(other), medianMs(DPLANED)];
  return theirs === undefined || ours === undefined ? undefined : theirs / ours;
}

/** A table that is held: synced, restarted, moved to other nexthops by its group. */
async function measureHeld(files: HeldFiles, sizes: Sizes) {
  const { runs } = sizes;
  const tables: HeldTable[] = [];
  const groupChanges: Record<0 | 1, number[]> = { 0: [], 1: [] };
  for (let run = 1; run <= runs; run++) {
    await untilQuiet(sizes);
    tables.push(await withNamespace((netns) => measureHeldTable(netns, files)));
    for (const mode of [0, 1] as const) {
      await untilQuiet(sizes);
      groupChanges[mode].push(...(await withNamespace((netns) => measureGroupChanges(netns, files, mode))));
    }
    process.stderr.write(`run ${run} of ${runs}: held tables\n`);
  }
  return { files, tables, groupChanges };
}

interface Measured {
  timings: Timings;
  peakBytes: number;
  held: Awaited<ReturnType<typeof measureHeld>>;
  latencies: Awaited<ReturnType<typeof measureLatency>>;
  pipeline: readonly PipelineBenchResult[];
  /** Contenders that this machine has not, with the reason. */
  skipped: ReadonlyMap<string, string>;
}

/** Everything with a target, beside its target (DESIGN, section 6). */
function findings({ timings, peakBytes, held, latencies, pipeline, skipped }: Measured): Finding[] {
  const faster = (op: Op, other: string, target: number): Finding => ({
    what: `${OP_NAMES[op]} both tables: times as fast as ${other}`,
    value: ratio(timings, op, other),
    unit: " ×",
    target,
    atLeast: true,
    note: skipped.get(other) ?? "",
  });
  const atMost = (what: string, value: number, target: number, unit: string): Finding => {
    return { what, value, target, unit, atLeast: false };
  };
  const through = (kind: keyof PipelineBenchResult["rates"]): Finding => ({
    what: `pipeline alone, ${kind}`,
    value: median(pipeline.map(({ rates }) => rates[kind])),
    unit: "/s",
    target: 2_000_000,
    atLeast: true,
  });
  const { idle, probes, updates } = latencies;
  return [
    faster("install", NETLINK_LOOP, 2.2),
    faster("install", IP_BATCH, 8),
    faster("delete", NETLINK_LOOP, 2.5),
    through("install"),
    through("replace"),
    through("delete"),
    atMost("one route on an idle daemon, p50", percentile(idle, 0.5), 0.5, " ms"),
    atMost("one route on an idle daemon, p99", percentile(idle, 0.99), 3, " ms"),
    atMost("GET /healthz while a table loads, p99", percentile(probes, 0.99), 50, " ms"),
    atMost("another client's route while a table loads, p99", percentile(updates, 0.99), 100, " ms"),
    ...heldFindings(held),
    atMost("resident memory while both tables load, peak", peakBytes / 1e6, 160, " MB"),
  ];
}

function heldFindings({ files, tables, groupChanges }: Measured["held"]): Finding[] {
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

function document(text: string, sizes: Sizes): string {
  const cpu = cpus();
  return `# Benchmarks

Written by \`make bench WRITE=1\` on ${cpu.length} × ${cpu[0]?.model ?? "unknown processor"}, Linux ${release().split("-")[0]}. Compare the ratios of one run,
not the seconds of two machines. Each contender loads the same table (${sizes.runs} runs, in turn) into a fresh network
namespace and takes it out again; what the kernel then holds is compared with the table each time.

- **dplaned**: a daemon started for the run, fed as NDJSON over its unix socket by \`dplaned route load FILE\`; from the request to
  the last result, which is said of a route only when the kernel has confirmed it.
- **plain C loop**: tests/bench/netlink_loop.c, 256 messages a send, an ack asked of the last one only, the nexthop in each
  route, the order of the table; from the first send to the last ack.
- **ip -batch**: from the start of the process to its end.
- **pipeline alone**: from admission over the test provider, on a dataplane thread of its own, to the result.
- **sync**: \`dplaned route sync FILE --owner OWNER\` of the whole IPv4 table, from the request to the last result. What is written is counted by
  a socket that hears every change of a route and a nexthop object in the namespace.
- **restart**: from the start of the new process until it says that it is ready.
- **group change**: other weights for the two nexthops of the group that all IPv4 routes are on, from the request to the kernel's
  answer; one message to the kernel. What \`net.ipv4.nexthop_compat_mode\` does: [operations.md](operations.md#many-routes-on-one-nexthop-group).
- **memory**: of the daemon with everything in it, the program's own pages (some 46 MB) included.

${text}
${TABLE_ATTRIBUTION}
`;
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      runs: { type: "string" },
      limit: { type: "string" },
      smoke: { type: "boolean", default: false },
      write: { type: "boolean", default: false },
    },
  });
  const reason = skipReason();
  if (reason) throw new Error(`The benchmarks need network namespaces: ${reason}`);
  if (values.write && (values.smoke || values.limit !== undefined)) {
    throw new Error("Only numbers of the whole table are worth writing down: --write goes without --smoke and --limit");
  }
  const sizes = { ...(values.smoke ? SMOKE : FULL) };
  if (values.runs !== undefined) sizes.runs = Number(values.runs);
  if (values.limit !== undefined) sizes.limit = Number(values.limit);

  const folder = mkdtempSync(join(tmpdir(), "dplaned-bench-"));
  try {
    const files = writeTableFiles(folder, sizes.limit);
    const all = [dplanedContender(files), netlinkLoopContender(files, folder), ipBatchContender(files)];
    const skipped = new Map(all.flatMap(({ name, skipped: why }) => (why === undefined ? [] : [[name, why] as const])));
    const contenders = all.filter(({ name }) => !skipped.has(name));
    const pipeline: PipelineBenchResult[] = [];
    await untilQuiet(sizes);
    for (let run = 0; run < sizes.runs; run++) pipeline.push(await runPipelineBench(sizes.pipelineRoutes));
    const { timings, peakBytes } = await compare(contenders, files, sizes);
    const held = await measureHeld(writeHeldFiles(folder, sizes.limit), sizes);
    const latencies = await measureLatency(sizes, folder);
    const rows = findingRows(findings({ timings, peakBytes, held, latencies, pipeline, skipped }));
    if (values.smoke) process.stdout.write("Smoke test: too little work to say anything about speed.\n\n");
    const text = `${timingTable(timings, files)}\n${formatTable(["what", "measured", "target", ""], rows)}`;
    process.stdout.write(`${text}\n${TABLE_ATTRIBUTION}\n`);
    if (values.write) writeFileSync(DOCUMENT, document(text, sizes));
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

try {
  await main();
} catch (error) {
  process.stderr.write(`bench: ${(error as Error).message}\n`);
  process.exitCode = 1;
}
