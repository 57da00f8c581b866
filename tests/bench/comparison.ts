/** Runs contenders in turn on the same work, each in a namespace of its own, and checks in the kernel what they did. */
import type { TableFamily } from "../../scripts/internet_table.ts";
import { TABLE_DEVICE_COMMANDS } from "../../scripts/internet_table.ts";
import { digestKernel } from "../../scripts/table_digest.ts";
import { createNetns, type Netns } from "../support/netns.ts";
import type { Contender, Timing } from "./contender.ts";
import { type Feeds, OPS, type Op } from "./feeds.ts";
import { formatNumber } from "./report.ts";

export const OP_NAMES: Readonly<Record<Op, string>> = { install: "install", replace: "replace", delete: "withdraw" };

export interface Measurements {
  timings: Record<Op, Timing[]>;
  peakBytes: number[];
}

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

export interface CompareOptions {
  runs: number;
  ops?: readonly Op[];
  untilQuiet: () => Promise<void>;
  progress: (text: string) => void;
}

/** A B C A B C …; contenders that this machine has not are left out. */
export async function compare(
  contenders: readonly Contender[],
  feeds: Feeds,
  { runs, ops = OPS, untilQuiet, progress }: CompareOptions,
): Promise<Comparison> {
  const present = contenders.filter(({ skipped }) => skipped === false);
  const comparison = new Map<string, Measurements>();
  for (const { name } of present) {
    comparison.set(name, { timings: { install: [], replace: [], delete: [] }, peakBytes: [] });
  }
  for (let run = 1; run <= runs; run++) {
    for (const contender of present) {
      const { timings, peakBytes } = comparison.get(contender.name)!;
      await untilQuiet();
      await withNamespace(async (netns) => {
        const session = await contender.open(netns);
        try {
          const told: string[] = [];
          for (const op of ops) {
            const timing = await session.run(feeds, op);
            await checkKernel(contender, netns, feeds, op);
            timings[op].push(timing);
            told.push(`${OP_NAMES[op]} ${formatNumber(timing.ms / 1000)} s`);
          }
          peakBytes.push(session.peakBytes());
          progress(`run ${run} of ${runs}: ${contender.name}: ${told.join(", ")}`);
        } finally {
          await session.end();
        }
      });
    }
  }
  return comparison;
}

/** Throws unless the kernel holds just what it should after the op. */
async function checkKernel({ name, protocol }: Contender, netns: Netns, feeds: Feeds, op: Op): Promise<void> {
  const check = async (family: TableFamily) => {
    const held = await digestKernel(netns.name, family, protocol);
    const wanted = op === "delete" ? "nothing" : String(feeds.expected[op][family]);
    const found = op === "delete" && held.routes === 0 ? "nothing" : String(held);
    if (found !== wanted) throw new Error(`${name}: ${op}: IPv${family}: the kernel holds ${found}, not ${wanted}`);
  };
  await Promise.all([check(4), check(6)]);
}
