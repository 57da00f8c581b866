/**
 * Runs the tests: each file of each suite in a process of its own, on each runtime, with a JUnit report; then sums up.
 * The last line is always `N passed, N failed, N skipped`. Runs under the bundled bun (`make test`).
 *
 *   bun scripts/test.ts [SUITE | PATH PREFIX]...      everything, without arguments
 */
import { type ChildProcess, spawn } from "node:child_process";
import {
  closeSync,
  existsSync,
  globSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { availableParallelism } from "node:os";
import { join, resolve } from "node:path";
import process from "node:process";
import { type FileResult, judgeFile, parseReport, type RecordedSkip } from "./junit.ts";
import { installSystemPackages, type SystemPackage } from "./system_packages.ts";

type Runtime = "bun" | "deno";

interface Suite {
  name: string;
  /** Test files are `_test.ts` below these; a file that belongs to no suite is a failure. */
  paths: readonly string[];
  runtimes: readonly Runtime[];
  /** Files at the same time. What measures, stresses or owns kernel state runs alone. */
  parallel: number;
  /** For one file; a single test may use all of it. */
  timeoutMs: number;
  packages: readonly SystemPackage[];
}

const IPROUTE2: SystemPackage = { name: "iproute2", executables: ["/sbin/ip", "/usr/sbin/ip", "/usr/bin/ip"] };
const FRR: SystemPackage = { name: "frr", executables: ["/usr/lib/frr/zebra"] };
const BIRD: SystemPackage = { name: "bird2", executables: ["/usr/sbin/bird"] };

/** What the scripts of our own Debian package start. */
const ADDUSER: SystemPackage = { name: "adduser", executables: ["/usr/sbin/addgroup"] };
const TMUX: SystemPackage = { name: "tmux", executables: ["/usr/bin/tmux"] };
const CHROMIUM: SystemPackage = { name: "chromium", executables: ["/usr/bin/chromium"] };

const BOTH: readonly Runtime[] = ["bun", "deno"];

/** Every suite there is: what, where, on which runtimes. */
const SUITES: readonly Suite[] = [
  {
    name: "unit",
    paths: [
      "tests/tidy_test.ts",
      "tests/main_test.ts",
      "tests/core/",
      "tests/providers/",
      "tests/ffi/",
      "tests/conformance/",
      "tests/support/",
      "tests/scripts/",
      "tests/packaging/",
      "tests/docs/",
    ],
    runtimes: BOTH,
    parallel: availableParallelism(),
    timeoutMs: 120_000,
    packages: [],
  },
  { name: "fuzz", paths: ["tests/fuzz/"], runtimes: BOTH, parallel: 1, timeoutMs: 180_000, packages: [] },
  { name: "sim", paths: ["tests/sim/"], runtimes: BOTH, parallel: 1, timeoutMs: 300_000, packages: [] },
  { name: "stress", paths: ["tests/stress/"], runtimes: BOTH, parallel: 1, timeoutMs: 300_000, packages: [] },
  { name: "live", paths: ["tests/live/"], runtimes: BOTH, parallel: 1, timeoutMs: 300_000, packages: [IPROUTE2] },
  // The far ends are other programs, and what they see does not depend on our runtime: once is enough.
  {
    name: "interop",
    paths: ["tests/interop/"],
    runtimes: ["bun"],
    parallel: 1,
    timeoutMs: 600_000,
    packages: [IPROUTE2, FRR, BIRD],
  },
  // The compiled binary is Bun's; the test is only its client.
  {
    name: "binary",
    paths: ["tests/binary/"],
    runtimes: ["bun"],
    parallel: 1,
    timeoutMs: 300_000,
    packages: [IPROUTE2, TMUX, ADDUSER],
  },
  // The pages of the compiled binary in a real browser.
  {
    name: "browser",
    paths: ["tests/browser/"],
    runtimes: ["bun"],
    parallel: 1,
    timeoutMs: 600_000,
    packages: [IPROUTE2, CHROMIUM],
  },
  // Benchmarks in smoke size, so that they do not rot.
  {
    name: "bench",
    paths: ["tests/bench/"],
    runtimes: ["bun"],
    parallel: 1,
    timeoutMs: 600_000,
    packages: [IPROUTE2, FRR, BIRD],
  },
];

const ROOT = resolve(import.meta.dirname, "..");
const REPORTS = join(ROOT, "dist/reports");
/** Lines of a failed file's output that are shown; the file in dist/reports/ has all. */
const LOG_LINES_SHOWN = 60;
/** How long what a test file started may take to end after it. */
const LEFTOVER_GRACE_MS = 2000;

interface Job {
  suite: Suite;
  runtime: Runtime;
  file: string;
}

interface Done extends Job {
  result: FileResult;
}

const running = new Set<ChildProcess>();

function killGroup(child: ChildProcess): void {
  try {
    process.kill(-child.pid!, "SIGKILL");
  } catch {
    // ESRCH: all of them have ended.
  }
}

/** Whether a process of the group of `pgid` still runs. Zombies do not count: where PID 1 reaps nothing they stay. */
function groupRuns(pgid: number): boolean {
  return readdirSync("/proc").some((pid) => {
    if (!/^\d+$/.test(pid)) return false;
    try {
      // proc(5): pid (comm) state ppid pgrp …, and comm may hold blanks and brackets.
      const [state, , group] = readFileSync(`/proc/${pid}/stat`, "latin1")
        .replace(/^.*\) /s, "")
        .split(" ");
      return Number(group) === pgid && state !== "Z" && state !== "X";
    } catch {
      return false;
    }
  });
}

async function hasLeftovers(pgid: number): Promise<boolean> {
  const deadline = Date.now() + LEFTOVER_GRACE_MS;
  while (groupRuns(pgid)) {
    if (Date.now() > deadline) return true;
    await new Promise((wake) => setTimeout(wake, 20));
  }
  return false;
}

function command({ suite, runtime, file }: Job, report: string): string[] {
  if (runtime === "bun") {
    const preload = "--preload=./scripts/preload_bun.ts";
    const reporter = ["--reporter=junit", `--reporter-outfile=${report}`];
    return [process.execPath, "test", preload, `--timeout=${suite.timeoutMs}`, ...reporter, `./${file}`];
  }
  // Types are checked by `make check`, once for all files.
  const map = "--import-map=scripts/node_test_deno.json";
  return [resolve(ROOT, "node_modules/.bin/deno"), "test", "-A", "--no-check", map, `--junit-path=${report}`, file];
}

function readSkips(path: string): RecordedSkip[] {
  if (!existsSync(path)) return [];
  const lines = readFileSync(path, "utf8").split("\n");
  return lines.filter((line) => line !== "").map((line) => JSON.parse(line) as RecordedSkip);
}

function readReport(runtime: Runtime, path: string) {
  try {
    return parseReport(runtime, readFileSync(path, "utf8"));
  } catch {
    return null;
  }
}

async function runFile(job: Job): Promise<Done> {
  const base = join(REPORTS, job.suite.name, job.runtime, job.file.replace(/^tests\//, "").replaceAll("/", "."));
  mkdirSync(join(base, ".."), { recursive: true });
  const [report, skipLog, log] = [`${base}.xml`, `${base}.skips`, `${base}.log`];
  const output = openSync(log, "w");
  const [program, ...args] = command(job, report);
  const started = performance.now();
  const child = spawn(program!, args, {
    cwd: ROOT,
    env: {
      ...process.env,
      NO_COLOR: "1",
      DENO_NO_UPDATE_CHECK: "1",
      DPLANED_SKIP_LOG: skipLog,
      DPLANED_BINARY: join(ROOT, "dist/dplaned"),
    },
    stdio: ["ignore", output, output],
    // A group of its own, so that nothing a test starts can outlive it.
    detached: true,
  });
  closeSync(output);
  running.add(child);
  let timedOut = false;
  const timer = setTimeout(() => {
    timedOut = true;
    killGroup(child);
  }, job.suite.timeoutMs);
  const [exitCode, signal] = await new Promise<[number | null, string | null]>((end) => {
    child.once("exit", (code, name) => end([code, name]));
    child.once("error", () => end([127, null]));
  });
  clearTimeout(timer);
  const leftProcesses = child.pid !== undefined && !timedOut && (await hasLeftovers(child.pid));
  if (child.pid !== undefined) killGroup(child);
  running.delete(child);
  const ending = { exitCode, signal, timedOutMs: timedOut ? job.suite.timeoutMs : null, leftProcesses };
  const result = judgeFile(readReport(job.runtime, report), readSkips(skipLog), ending);
  printFile(job, result, performance.now() - started, log);
  return { ...job, result };
}

function printFile(job: Job, result: FileResult, elapsedMs: number, log: string): void {
  const word = result.failures.length > 0 ? "FAIL" : "ok  ";
  const counts = [`${result.passed} passed`];
  if (result.failures.length > 0) counts.push(`${result.failures.length} failed`);
  if (result.skips.length > 0) counts.push(`${result.skips.length} skipped`);
  const seconds = (elapsedMs / 1000).toFixed(1);
  console.log(`${word} ${job.runtime.padEnd(4)} ${job.file}: ${counts.join(", ")} (${seconds} s)`);
  if (result.failures.length === 0) return;
  const lines = readFileSync(log, "utf8").trimEnd().split("\n");
  if (lines.length > LOG_LINES_SHOWN) console.log(`     … ${lines.length - LOG_LINES_SHOWN} lines more in ${log}`);
  for (const line of lines.slice(-LOG_LINES_SHOWN)) console.log(`     ${line}`);
}

/** Runs `jobs` in their order, at most `parallel` at a time. */
async function runJobs(jobs: readonly Job[], parallel: number): Promise<Done[]> {
  const done: Done[] = [];
  let next = 0;
  const lane = async () => {
    while (next < jobs.length) done.push(await runFile(jobs[next++]!));
  };
  await Promise.all(Array.from({ length: parallel }, lane));
  return done;
}

function printSummary(done: readonly Done[], orphans: readonly string[]): never {
  const total = { passed: 0, failed: orphans.length, skipped: 0 };
  const skips = new Map<string, string[]>();
  const failures: string[] = orphans.map((file) => `${file}: belongs to no suite of scripts/test.ts`);
  for (const { runtime, file, result } of done) {
    total.passed += result.passed;
    total.failed += result.failures.length;
    total.skipped += result.skips.length;
    for (const { name, message } of result.failures) {
      failures.push(`${runtime} ${file}: ${name}: ${message.trim().split("\n")[0]}`);
    }
    for (const { name, reason } of result.skips) {
      const key = `${file}: ${name}: ${reason}`;
      skips.set(key, [...(skips.get(key) ?? []), runtime]);
    }
  }
  console.log("");
  if (skips.size > 0) console.log("Skipped:");
  for (const [text, runtimes] of skips) console.log(`  ${runtimes.join("+")} ${text}`);
  if (failures.length > 0) console.log("Failed:");
  for (const text of failures) console.log(`  ${text}`);
  const nothingRan = total.passed + total.failed === 0;
  if (nothingRan) console.log("No test ran.");
  const summary = `${total.passed} passed, ${total.failed} failed, ${total.skipped} skipped`;
  // For .ci/run, which repeats it after what make says of a failure.
  writeFileSync(join(REPORTS, "summary"), `${summary}\n`);
  console.log(summary);
  process.exit(total.failed > 0 || nothingRan ? 1 : 0);
}

async function main(only: readonly string[]): Promise<never> {
  process.chdir(ROOT);
  rmSync(REPORTS, { recursive: true, force: true });
  mkdirSync(REPORTS, { recursive: true });
  for (const [signal, status] of [
    ["SIGINT", 130],
    ["SIGTERM", 143],
  ] as const) {
    process.once(signal, () => {
      for (const child of running) killGroup(child);
      process.exit(status);
    });
  }
  const files = globSync("tests/**/*_test.ts").sort();
  const suiteOf = new Map(
    files.map((file) => [file, SUITES.find((each) => each.paths.some((at) => file.startsWith(at)))]),
  );
  const orphans = files.filter((file) => !suiteOf.get(file));
  const isWanted = (file: string) =>
    only.length === 0 || only.some((each) => each === suiteOf.get(file)?.name || file.startsWith(each));
  const wanted = files.filter(isWanted);
  const suites = SUITES.filter((suite) => wanted.some((file) => suiteOf.get(file) === suite));
  installSystemPackages([...new Set(suites.flatMap((suite) => suite.packages))]);
  const done: Done[] = [];
  for (const suite of suites) {
    const own = wanted.filter((file) => suiteOf.get(file) === suite);
    const jobs = suite.runtimes.flatMap((runtime) => own.map((file) => ({ suite, runtime, file })));
    done.push(...(await runJobs(jobs, suite.parallel)));
  }
  printSummary(done, orphans);
}

await main(process.argv.slice(2));
