/** Where each microsecond of a route goes: by thread and, where there is perf, by stage; and what the kernel takes at least. */
import { join } from "node:path";
import { DaemonProcess } from "../../../scripts/daemon_process.ts";
import type { Bench, Section } from "../bench_context.ts";
import { compare, type Lane, OP_NAMES, withNamespace } from "../comparison.ts";
import { Feeder } from "../contenders/feed.ts";
import { NETLINK_LOOP, netlinkLoopContender } from "../contenders/process.ts";
import { Feeds, OPS, type Op } from "../feeds.ts";
import { bitReversed } from "../orders.ts";
import { type Profile, perfSkipReason, profileWork, type Sample } from "../perf_profile.ts";
import { type CpuSeconds, threadCpus } from "../process_cost.ts";
import { formatTable, median } from "../report.ts";

const PATH = "/v1/routes?ack=all";
const MAIN = "main thread";
const CLIENT = "client";
const KERNEL_THREADS = "kernel's own threads";
/** Threads of the JavaScript engine and its allocator, by the beginnings of their names. */
const HELPERS: Readonly<Record<string, string>> = {
  JIT: "JIT compiler",
  JSCWarmUp: "JIT compiler",
  HeapHelper: "garbage collector",
  "mi-": "allocator",
};
const KERNEL_THREAD_NAMES = /^(?:ksoftirqd|rcu|kworker)/;

export const stagesSection: Section = {
  name: "stages",
  title: "Where the time of a route goes",
  document: "performance.md",
  measure: async (bench) => {
    const reason = perfSkipReason();
    const parts = [await threadTable(bench), await floorTable(bench)];
    if (reason === false) parts.splice(1, 0, await profileTable(bench));
    else parts.push(`No stages inside the threads: ${reason}.\n`);
    return { text: parts.join("\n"), findings: [] };
  },
};

/** Name of each thread of the daemon by its id; workers are numbered in the order of their start. */
function threadNames(pid: number): Map<number, string> {
  const names = new Map<number, string>();
  let workers = 0;
  for (const [tid, { name }] of [...threadCpus(pid)].sort(([a], [b]) => a - b)) {
    const helper = Object.entries(HELPERS).find(([beginning]) => name.startsWith(beginning));
    names.set(tid, tid === pid ? MAIN : name === "Worker" ? `worker ${++workers}` : (helper?.[1] ?? "others"));
  }
  return names;
}

/** Microseconds a route of each thread of the daemon, user and system, for each op; medians. */
async function threadTable(bench: Bench): Promise<string> {
  const feeds = bench.feeds("both");
  const all = new Map<string, Record<Op, CpuSeconds[]>>();
  for (let run = 1; run <= bench.sizes.fewRuns; run++) {
    await bench.untilQuiet();
    await withDaemon(bench, async (daemon, feeder) => {
      for (const op of OPS) {
        const file = feeds.path("ndjson", op);
        const before = threadCpus(daemon.pid);
        const { client } = await feeder.send(file, feeds.routes);
        const sums = new Map<string, CpuSeconds>([[CLIENT, client]]);
        const names = threadNames(daemon.pid);
        for (const [tid, now] of threadCpus(daemon.pid)) {
          const then = before.get(tid) ?? { user: 0, system: 0 };
          const sum = sums.get(names.get(tid) ?? "others") ?? { user: 0, system: 0 };
          sum.user += now.user - then.user;
          sum.system += now.system - then.system;
          sums.set(names.get(tid) ?? "others", sum);
        }
        for (const [name, cpu] of sums) {
          const record = all.get(name) ?? { install: [], replace: [], delete: [] };
          record[op].push(cpu);
          all.set(name, record);
        }
      }
    });
    bench.progress(`run ${run} of ${bench.sizes.fewRuns}: threads`);
  }
  const each = (values: readonly number[]) => (values.length === 0 ? "" : formatEach(median(values), feeds.routes));
  const whole = ({ install }: Record<Op, CpuSeconds[]>) =>
    install.length === 0 ? 0 : median(install.map(({ user, system }) => user + system));
  const sorted = [...all].sort(([, a], [, b]) => whole(b) - whole(a));
  const rows = sorted.map(([name, record]) => [
    name,
    ...OPS.flatMap((op) => [each(record[op].map(({ user }) => user)), each(record[op].map(({ system }) => system))]),
  ]);
  const header = ["µs a route, both families, NDJSON", ...OPS.flatMap((op) => [`${OP_NAMES[op]}: user`, "system"])];
  return formatTable(header, rows);
}

async function withDaemon<T>(bench: Bench, work: (daemon: DaemonProcess, feeder: Feeder) => Promise<T>): Promise<T> {
  return await withNamespace(async (netns) => {
    const daemon = await DaemonProcess.start({ netns: netns.name });
    return await bench.using({ end: () => daemon.stop() }, async () =>
      bench.using(new Feeder(bench.native, "http", daemon.socket, PATH), (feeder) => work(daemon, feeder)),
    );
  });
}

/** Microseconds a route by stage and thread, of installing both tables. */
async function profileTable(bench: Bench): Promise<string> {
  const feeds = bench.feeds("both");
  const file = feeds.path("ndjson", "install");
  await bench.untilQuiet();
  const profile = await withDaemon(bench, async (daemon, feeder) => {
    const threadName = ({ pid, tid, thread }: Sample) => {
      if (pid === daemon.pid) return names.get(tid) ?? "others";
      if (pid === feeder.pid) return CLIENT;
      return KERNEL_THREAD_NAMES.test(thread) ? KERNEL_THREADS : undefined;
    };
    let names = new Map<number, string>();
    const load = async () => {
      await feeder.send(file, feeds.routes);
      names = threadNames(daemon.pid);
    };
    return await profileWork(join(bench.folder, "perf.data"), load, threadName);
  });
  bench.progress("stages by perf");
  return stageRows(profile, feeds.routes);
}

/** Microseconds a route; what would be nothing to two digits is left out. */
function formatEach(seconds: number, routes: number): string {
  const each = ((1e6 * seconds) / routes).toFixed(2);
  return each === "0.00" ? "" : each;
}

function stageRows(profile: Profile, routes: number): string {
  const each = (seconds: number) => formatEach(seconds, routes);
  const sum = (values: Iterable<number>) => [...values].reduce((total, value) => total + value, 0);
  const totals = new Map(Array.from(profile, ([thread, byStage]) => [thread, sum(byStage.values())]));
  const threads = [...profile.keys()].sort((a, b) => totals.get(b)! - totals.get(a)!);
  const stages = new Map<string, number>();
  for (const byStage of profile.values()) {
    for (const [stage, seconds] of byStage) stages.set(stage, (stages.get(stage) ?? 0) + seconds);
  }
  const rows = [...stages]
    .filter(([, seconds]) => each(seconds) !== "")
    .sort(([, a], [, b]) => b - a)
    .map(([stage, total]) => [
      stage,
      ...threads.map((thread) => each(profile.get(thread)!.get(stage) ?? 0)),
      each(total),
    ]);
  rows.push(["all", ...threads.map((thread) => each(totals.get(thread)!)), each(sum(stages.values()))]);
  return formatTable(["µs a route, install, both families", ...threads, "all"], rows);
}

/** What the kernel takes for the same routes when a loop in C asks it, in three ways. */
async function floorTable(bench: Bench): Promise<string> {
  const objects = netlinkLoopContender(bench.native, { objects: true });
  const lanes: Lane[] = (["ipv4", "ipv6"] as const).flatMap((name) => {
    const feeds = bench.feeds(name);
    const table = bench.table(name);
    const reordered = new Feeds(bench.folder, `${name}-reversed-bits`, table.picked(bitReversed(table)));
    return [
      { name: `${name}: nexthop in each route, by address`, contender: bench.contender(NETLINK_LOOP), feeds },
      { name: `${name}: nexthop objects, by address`, contender: objects, feeds },
      ...(name === "ipv4"
        ? [
            {
              name: `${name}: nexthop objects, by address with its bits reversed`,
              contender: objects,
              feeds: reordered,
            },
          ]
        : []),
    ];
  });
  const comparison = await compare(bench, lanes, bench.sizes.fewRuns, ["install"]);
  const rows = Array.from(comparison, ([name, { timings }]) => {
    const { routes } = lanes.find((lane) => lane.name === name)!.feeds;
    const each = (values: readonly number[]) => formatEach(median(values), routes);
    const { install } = timings;
    return [
      name,
      each(install.map(({ ms }) => ms / 1000)),
      each(install.map(({ cpu }) => cpu.user)),
      each(install.map(({ cpu }) => cpu.system)),
    ];
  });
  return formatTable(["the kernel, asked by a C loop: install", "µs a route", "user", "system"], rows);
}
