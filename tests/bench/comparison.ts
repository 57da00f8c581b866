/** Runs contenders in turn, each in a namespace of its own, and checks in the kernel what they did. */
import { TABLE_DEVICE_COMMANDS, type TableFamily } from "../../scripts/internet_table.ts";
import { digestKernel } from "../../scripts/table_digest.ts";
import { createNetns, type Netns } from "../support/netns.ts";
import type { Bench } from "./bench_context.ts";
import type { Contender, Timing } from "./contender.ts";
import type { Feeds, Op } from "./feeds.ts";
import { formatNumber } from "./report.ts";

export const OP_NAMES: Readonly<Record<Op, string>> = { install: "install", replace: "replace", delete: "withdraw" };

/** A contender and its work. */
export interface Lane {
  /** Tells it from the other lanes of the comparison. */
  name: string;
  contender: Contender;
  feeds: Feeds;
}

export interface Measurements {
  timings: Record<Op, Timing[]>;
  /** Most memory of the contender before and after its work; of each run. */
  idleBytes: number[];
  peakBytes: number[];
}

/** By the lanes' names. */
export type Comparison = ReadonlyMap<string, Measurements>;

/** A namespace in which the tables' nexthops can be reached, and nobody else is. */
export async function withNamespace<T>(work: (netns: Netns) => Promise<T>): Promise<T> {
  const netns = createNetns();
  try {
    netns.ipBatch(TABLE_DEVICE_COMMANDS);
    return await work(netns);
  } finally {
    netns.delete();
  }
}

/** A B C A B C …; lanes of contenders that this machine has not are left out. */
export async function compare(
  bench: Bench,
  lanes: readonly Lane[],
  runs: number,
  ops: readonly Op[],
): Promise<Comparison> {
  const present = lanes.filter(({ contender }) => contender.skipped === false);
  const comparison = new Map<string, Measurements>();
  for (const { name } of present) {
    comparison.set(name, { timings: { install: [], replace: [], delete: [] }, idleBytes: [], peakBytes: [] });
  }
  for (let run = 1; run <= runs; run++) {
    for (const lane of present) {
      await bench.untilQuiet();
      const told = await runLane(bench, lane, ops, comparison.get(lane.name)!);
      bench.progress(`run ${run} of ${runs}: ${lane.name}: ${told}`);
    }
  }
  return comparison;
}

/** Returns what is to be told of it. */
async function runLane(
  bench: Bench,
  { contender, feeds }: Lane,
  ops: readonly Op[],
  into: Measurements,
): Promise<string> {
  return await withNamespace(async (netns) =>
    bench.using(await contender.open(netns), async (session) => {
      const told: string[] = [];
      into.idleBytes.push(session.peakBytes());
      for (const op of ops) {
        const timing = await session.run(feeds, op);
        bench.throwIfInterrupted();
        await checkKernel(contender, netns, feeds, op);
        into.timings[op].push(timing);
        told.push(`${OP_NAMES[op]} ${formatNumber(timing.ms / 1000)} s`);
      }
      into.peakBytes.push(session.peakBytes());
      return told.join(", ");
    }),
  );
}

/** Throws unless the kernel holds just what it should after the op. */
async function checkKernel({ name, protocol }: Contender, netns: Netns, feeds: Feeds, op: Op): Promise<void> {
  const check = async (family: TableFamily) => {
    const held = await digestKernel(netns.name, family, protocol);
    const wanted = op === "delete" ? "nothing" : String(feeds.expected(op)[family]);
    const found = op === "delete" && held.routes === 0 ? "nothing" : String(held);
    if (found !== wanted) throw new Error(`${name}: ${op}: IPv${family}: the kernel holds ${found}, not ${wanted}`);
  };
  await Promise.all([check(4), check(6)]);
}
