/** What a process costs, as /proc tells: time on the processor, memory, and whether it is at work. */
import { readdirSync, readFileSync } from "node:fs";
import { setTimeout } from "node:timers";

/** Seconds on the processor. */
export interface CpuSeconds {
  user: number;
  system: number;
}

/** USER_HZ, in which /proc counts; the same on every machine that this runs on. */
const TICKS = 100;
/** proc(5): utime and stime are the fields 14 and 15, and after the name in brackets follows field 3. */
const UTIME = 11;

/** What it has used since it began, all of its threads. */
export function cpuOf(pid: number): CpuSeconds {
  return parseStat(readFileSync(`/proc/${pid}/stat`, "latin1"));
}

function parseStat(text: string): CpuSeconds {
  const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
  return { user: Number(fields[UTIME]) / TICKS, system: Number(fields[UTIME + 1]) / TICKS };
}

export function cpuSince(pid: number, before: CpuSeconds): CpuSeconds {
  const now = cpuOf(pid);
  return { user: now.user - before.user, system: now.system - before.system };
}

export interface ThreadCpu extends CpuSeconds {
  /** As the kernel knows it, such as `Worker`. */
  name: string;
}

/** What each of its threads has used since it began, by the thread's id. */
export function threadCpus(pid: number): Map<number, ThreadCpu> {
  const threads = new Map<number, ThreadCpu>();
  for (const tid of readdirSync(`/proc/${pid}/task`)) {
    try {
      const text = readFileSync(`/proc/${pid}/task/${tid}/stat`, "latin1");
      const name = text.slice(text.indexOf("(") + 1, text.lastIndexOf(")"));
      threads.set(Number(tid), { name, ...parseStat(text) });
    } catch {
      // It has just ended.
    }
  }
  return threads;
}

/** VmHWM: the most memory that it ever had. */
export function peakBytesOf(pid: number): number {
  const match = /^VmHWM:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"));
  return Number(match![1]) * 1024;
}

const LOOK_MS = 5;
/** A process that uses less than this share of the time between two looks does what it does when idle. */
const BUSY_SHARE = 0.2;
/** After so long without work there is none any more. */
const IDLE_MS = 400;

/**
 * Waits until the process has stopped working, and returns when it did, on the clock of `performance.now()`: for programs that
 * do not say when they are done.
 */
export async function untilIdle(pid: number): Promise<number> {
  let lastBusy = performance.now();
  let [lookedAt, ranNs] = [lastBusy, ranOf(pid)];
  while (lookedAt - lastBusy < IDLE_MS) {
    await new Promise((wake) => setTimeout(wake, LOOK_MS));
    const [now, ran] = [performance.now(), ranOf(pid)];
    if (ran - ranNs > BUSY_SHARE * 1e6 * (now - lookedAt)) lastBusy = now;
    [lookedAt, ranNs] = [now, ran];
  }
  return lastBusy;
}

/**
 * Nanoseconds that its threads have run, or could have run had a processor been free for them: the first two fields of
 * /proc/PID/task/TID/schedstat.
 */
function ranOf(pid: number): number {
  let sum = 0;
  for (const thread of readdirSync(`/proc/${pid}/task`)) {
    try {
      const [ran, waited] = readFileSync(`/proc/${pid}/task/${thread}/schedstat`, "latin1").split(" ");
      sum += Number(ran) + Number(waited);
    } catch {
      // It has just ended.
    }
  }
  return sum;
}
