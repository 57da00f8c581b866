/** What the sections of `make bench` share: how much to measure, the tables, the contenders, and the machine's quiet. */
import process from "node:process";
import type { TableFamily } from "../../scripts/internet_table.ts";
import type { Contender } from "./contender.ts";
import { birdContender } from "./contenders/bird.ts";
import { fpmContender, httpContender, loadContender } from "./contenders/dplaned.ts";
import { frrContender } from "./contenders/frr.ts";
import { ipBatchContender, netlinkLoopContender } from "./contenders/process.ts";
import { Feeds } from "./feeds.ts";
import { becomesQuiet } from "./machine.ts";
import { NativePrograms } from "./native.ts";
import type { Finding } from "./report.ts";
import { type RouteTable, realTable } from "./route_table.ts";

export interface Sizes {
  runs: number;
  /** Of what shows how dplaned behaves, beside which there is no target in seconds. */
  fewRuns: number;
  /** Of the synthetic tables. */
  growthRuns: number;
  /** Routes of each family; all when undefined. */
  limit: number | undefined;
  /** Routes of each family with which ways to feed a peer are compared. */
  peerRoutes: number;
  /** Routes that load while other clients are timed. */
  busyRoutes: number;
  singleRoutes: number;
  warmUp: number;
  /** Updates of each kind through the pipeline alone. */
  pipelineRoutes: number;
  /** Tables of one family that are measured alone. */
  families: readonly ("ipv4" | "ipv6")[];
  /** Routes of the synthetic tables. */
  growth: readonly number[];
  /** How often to look, before each measurement, whether the machine is idle. */
  quietLooks: number;
}

export const FULL: Sizes = {
  runs: 5,
  fewRuns: 3,
  growthRuns: 2,
  limit: undefined,
  peerRoutes: 100_000,
  busyRoutes: 500_000,
  singleRoutes: 5000,
  warmUp: 500,
  pipelineRoutes: 1_000_000,
  families: ["ipv4", "ipv6"],
  growth: [1_000_000, 2_000_000, 4_000_000],
  quietLooks: 50,
};

export const SMOKE: Sizes = {
  runs: 1,
  fewRuns: 1,
  growthRuns: 1,
  limit: 1000,
  peerRoutes: 1000,
  busyRoutes: 5000,
  singleRoutes: 50,
  warmUp: 5,
  pipelineRoutes: 10_000,
  families: ["ipv6"],
  growth: [500, 2000],
  quietLooks: 0,
};

/** A part of `make bench` that can be asked for by its name. */
export interface Section {
  name: string;
  title: string;
  /** Which document its results go to. */
  document: "benchmarks.md" | "performance.md";
  /** Runs only when it is asked for. */
  isExtra?: boolean;
  measure(bench: Bench): Promise<SectionResult>;
}

export interface SectionResult {
  /** Markdown. */
  text: string;
  findings: readonly Finding[];
  plots?: readonly Plot[];
}

export interface Plot {
  /** Of its file, without the ending. */
  name: string;
  /** What it shows, for who cannot see it. */
  title: string;
  svg: string;
}

export type TableName = "both" | "ipv4" | "ipv6";
const TABLES: Readonly<Record<TableName, readonly TableFamily[]>> = { both: [4, 6], ipv4: [4], ipv6: [6] };

/** Something that has to be ended, such as a daemon of ours. */
export interface Ending {
  end(): Promise<unknown>;
}

export class Bench {
  readonly sizes: Sizes;
  readonly folder: string;
  readonly native: NativePrograms;
  readonly contenders: readonly Contender[];
  readonly #feeds = new Map<TableName, Feeds>();
  #table: RouteTable | undefined;
  readonly #used = new Set<Ending>();
  #isInterrupted = false;
  /** Measurements that were begun, and those of them that were begun although the machine had not become idle. */
  starts = { all: 0, busy: 0 };

  /** Files go to `folder`. Only contenders with one of `wanted` in their names are at work; without any, all are. */
  constructor(sizes: Sizes, folder: string, wanted: readonly string[] = []) {
    this.sizes = sizes;
    this.folder = folder;
    this.native = new NativePrograms(folder);
    const all = [
      httpContender(this.native),
      loadContender(this.native),
      fpmContender(this.native),
      frrContender(this.native),
      birdContender(),
      ipBatchContender(this.native),
      netlinkLoopContender(this.native),
    ];
    const isWanted = (name: string) => wanted.length === 0 || wanted.some((part) => name.includes(part));
    this.contenders = all.map((each) => (isWanted(each.name) ? each : { ...each, skipped: "it is not wanted" }));
  }

  contender(name: string): Contender {
    const contender = this.contenders.find((each) => each.name === name);
    if (contender === undefined) throw new RangeError(`There is no contender "${name}"`);
    return contender;
  }

  /** The real tables as work. */
  feeds(name: TableName): Feeds {
    let feeds = this.#feeds.get(name);
    if (feeds === undefined) {
      feeds = new Feeds(this.folder, name, this.table(name));
      this.#feeds.set(name, feeds);
    }
    return feeds;
  }

  table(name: TableName): RouteTable {
    this.#table ??= realTable([4, 6], this.sizes.limit);
    return name === "both" ? this.#table : this.#table.ofFamily(TABLES[name][0]!);
  }

  progress(text: string): void {
    process.stderr.write(`${text}\n`);
  }

  /** Ends it after the work, and before that when the benchmarks are interrupted, which then fails the work. */
  async using<Used extends Ending, Result>(used: Used, work: (used: Used) => Promise<Result>): Promise<Result> {
    this.#used.add(used);
    try {
      this.throwIfInterrupted();
      return await work(used);
    } finally {
      this.#used.delete(used);
      await used.end();
    }
  }

  /** Ends what is at work; whoever waits for it gets an error, and puts away what is left. */
  interrupt(): void {
    this.#isInterrupted = true;
    for (const used of this.#used) used.end().catch(() => undefined);
  }

  throwIfInterrupted(): void {
    if (this.#isInterrupted) throw new Error("interrupted");
  }

  /** The kernel frees the routes of a deleted namespace later, by threads of its own: waits until the machine is idle again. */
  async untilQuiet(): Promise<void> {
    this.throwIfInterrupted();
    this.starts.all += 1;
    if (!(await becomesQuiet(this.sizes.quietLooks))) this.starts.busy += 1;
  }
}
