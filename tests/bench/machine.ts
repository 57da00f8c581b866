/** The machine that the benchmarks run on, and whether it has something else to do. */
import { readFileSync } from "node:fs";
import { cpus, loadavg, release } from "node:os";
import { setTimeout } from "node:timers";
import { formatNumber } from "./report.ts";

/** Share of the processors' time in which they have nothing to do, from which on a machine is idle. */
const IDLE_SHARE = 0.9;
const LOOK_MS = 200;

export function describeMachine(): string {
  const all = cpus();
  return `${all.length} × ${all[0]?.model ?? "unknown processor"}, Linux ${release().split("-")[0]}`;
}

export function describeLoad(): string {
  return `load average ${formatNumber(loadavg()[0]!)} at the start`;
}

/** Looks so often whether the machine is idle. True once it is, or where there was no look. */
export async function becomesQuiet(looks: number): Promise<boolean> {
  let before = readTimes();
  for (let look = 0; look < looks; look++) {
    await new Promise((wake) => setTimeout(wake, LOOK_MS));
    const now = readTimes();
    if (idleShare(before, now) >= IDLE_SHARE) return true;
    before = now;
  }
  return looks === 0;
}

/** Jiffies of all processors: of each kind that /proc/stat counts, user first. */
function readTimes(): number[] {
  return parseTimes(readFileSync("/proc/stat", "utf8"));
}

export function parseTimes(stat: string): number[] {
  return stat.split("\n", 1)[0]!.trim().split(/\s+/).slice(1).map(Number);
}

/** proc(5): idle and iowait are the fourth and the fifth; guests, behind the eighth, are in user already. */
export function idleShare(before: readonly number[], after: readonly number[]): number {
  const spent = after.slice(0, 8).map((time, kind) => time - before[kind]!);
  const all = spent.reduce((sum, time) => sum + time, 0);
  return all === 0 ? 1 : (spent[3]! + spent[4]!) / all;
}
