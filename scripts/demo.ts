/**
 * `make run`: the compiled daemon at work on a real Internet routing table, in a network namespace of its own. The host's
 * routes are never touched: the daemon runs in the host's namespace, so that its dashboard can be reached, and programs the
 * other one. Ctrl-C leaves nothing behind.
 *
 *   bun scripts/demo.ts [--once]        DEMO_LIMIT=N: only the first N routes of each family
 */
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, relative } from "node:path";
import process from "node:process";
import { parseArgs } from "node:util";
import { RTPROT_DEFAULT } from "../core/constants.ts";
import type { ResultJson, SummaryJson, SummaryLineJson } from "../core/northbound/api_types.ts";
import { formatCount, formatFailure, formatSummary } from "../core/northbound/cli/format.ts";
import { BINARY, DaemonProcess, describeEnd } from "./daemon_process.ts";
import { TABLE_ATTRIBUTION, TABLE_DEVICE_COMMANDS, type TableFamily, writeTable } from "./internet_table.ts";
import { digestKernel } from "./table_digest.ts";

const NETNS_PREFIX = "dplaned-demo-";
const FAMILIES: readonly TableFamily[] = [4, 6];
const FAILURES_SHOWN = 20;

/** Ctrl-C, or SIGTERM. */
class Interrupted extends Error {
  override name = "Interrupted";
}

const interrupt = Promise.withResolvers<never>();
interrupt.promise.catch(() => undefined);

/** Waits for `work`, but no longer than until Ctrl-C. */
function orInterrupt<T>(work: Promise<T>): Promise<T> {
  return Promise.race([work, interrupt.promise]);
}

function say(text: string): void {
  process.stdout.write(`${text}\n`);
}

/** Throws where something is missing that the demo cannot do without. */
function checkMachine(): void {
  if (process.platform !== "linux") throw new Error("The demo programs a Linux kernel, and this is none");
  const { error } = spawnSync("ip", ["-V"]);
  if (error !== undefined) {
    throw new Error("The command `ip` is missing: install iproute2 (Debian: apt-get install iproute2)");
  }
  if (process.getuid?.() !== 0) {
    throw new Error(
      "Making a network namespace needs root: sudo make run\nAn ordinary user can have a world of his own for it, from " +
        "inside of which alone the dashboard can be reached:\n  unshare --user --map-root-user --net --mount " +
        "sh -c 'mount -t tmpfs none /run && ip link set lo up && make run'",
    );
  }
  if (!existsSync(BINARY)) throw new Error(`${BINARY} is missing: run \`make build\` first`);
}

function ip(args: readonly string[], input?: string): string {
  const { status, stdout, stderr } = spawnSync("ip", args, { input, encoding: "utf8" });
  if (status !== 0) throw new Error(`ip ${args.join(" ")} failed: ${stderr.trim() || stdout.trim()}`);
  return stdout;
}

/** Makes the namespace, with nexthops that routes can point to. */
function createNetwork(): string {
  // What an earlier demo left when it was killed.
  for (const line of ip(["netns", "list"]).split("\n")) {
    const [name] = line.split(" ", 1);
    if (!name!.startsWith(NETNS_PREFIX)) continue;
    if (!existsSync(`/proc/${name!.slice(NETNS_PREFIX.length)}`)) spawnSync("ip", ["netns", "delete", name!]);
  }
  const name = `${NETNS_PREFIX}${process.pid}`;
  ip(["netns", "add", name]);
  try {
    ip(["-n", name, "-batch", "-"], `${TABLE_DEVICE_COMMANDS.join("\n")}\n`);
  } catch (error) {
    deleteNetwork(name);
    throw error;
  }
  return name;
}

function deleteNetwork(name: string): void {
  ip(["netns", "delete", name]);
}

interface LoadOptions {
  folder: string;
  netns: string;
  socket: string;
  limit: number | undefined;
}

function limitFromEnvironment(): number | undefined {
  const text = process.env["DEMO_LIMIT"];
  if (!text) return undefined;
  if (!/^\d+$/.test(text)) throw new Error(`DEMO_LIMIT is a number of routes, not ${text}`);
  return Number(text);
}

let loading: ChildProcess | undefined;

/** Loads a file by `dplaned route load`, whose progress bar shows on a terminal. */
async function load(file: string, socket: string): Promise<SummaryJson> {
  const child = spawn(BINARY, ["route", "load", file, "--socket", socket, "--json"], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  loading = child;
  let output = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    output += text;
  });
  const status = await orInterrupt(
    new Promise<number | null>((resolve, reject) => {
      child.once("close", resolve);
      child.once("error", reject);
    }),
  );
  loading = undefined;
  const lines = output
    .trimEnd()
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => JSON.parse(line) as ResultJson | SummaryLineJson);
  const failures = lines.filter((line): line is ResultJson => !("summary" in line));
  for (const failure of failures.slice(0, FAILURES_SHOWN)) process.stderr.write(formatFailure(file, failure));
  const last = lines.at(-1);
  if (last === undefined || !("summary" in last)) {
    throw new Error(`Loading ${file} failed with exit status ${status} and without a summary`);
  }
  return last.summary;
}

/** Writes a family's table, loads it, and compares it with what the kernel then says; returns whether they are the same. */
async function loadTable(family: TableFamily, { folder, netns, socket, limit }: LoadOptions): Promise<boolean> {
  const file = join(folder, `internet-ipv${family}.ndjson`);
  const { updates, digests, bytes } = writeTable(file, "ndjson", { families: [family], limit });
  say(`IPv${family}: loading ${file} (${(bytes / 1e6).toFixed(1)} MB)`);
  say(`IPv${family}: ${formatSummary(await load(file, socket)).trimEnd()}`);
  const expected = digests[family];
  const held = await orInterrupt(digestKernel(netns, family));
  const isSame = String(held) === String(expected);
  const count = `IPv${family}: the kernel holds ${formatCount(held.routes)} routes of ours`;
  const twice = updates[family] - expected.routes;
  const note = twice === 0 ? "" : ` (${twice} of its prefixes ${twice === 1 ? "is" : "are"} in it twice)`;
  if (isSame) say(`${count}, each with its nexthop: exactly the table${note}`);
  else say(`${count}, which are not the table: ${held}, and the table has ${expected}`);
  return isSame;
}

function printMemory(daemon: DaemonProcess): void {
  const megabytes = (field: "VmRSS" | "VmHWM") => (daemon.memoryBytes(field) / 1e6).toFixed(0);
  say(`Memory of the daemon: ${megabytes("VmRSS")} MB now, ${megabytes("VmHWM")} MB at most`);
}

function printHints(daemon: DaemonProcess, netns: string): void {
  const binary = relative(process.cwd(), BINARY) || BINARY;
  say(`
Dashboard: ${daemon.dashboard}

To try in another terminal:
  export DPLANED_DAEMON_SOCKET=${daemon.socket}
  ${binary} show dplane
  ${binary} route lookup 1.1.1.1
  ${binary} route install 203.0.113.0/24 via 10.64.0.100
  ${binary} route show root 203.0.113.0/24
  ${binary} route delete 203.0.113.0/24
  ${binary} monitor
  curl --unix-socket $DPLANED_DAEMON_SOCKET http://localhost/v1/dplane
  ip -n ${netns} route get 1.1.1.1
  ip -n ${netns} -6 route show proto ${RTPROT_DEFAULT} | wc -l
`);
}

/** Runs the demo inside the namespace; returns the exit status. */
async function demonstrate(netns: string, folder: string, once: boolean): Promise<number> {
  const daemon = new DaemonProcess({ netns });
  try {
    await orInterrupt(daemon.ready());
    const dead = daemon.ended.then((end): never => {
      throw new Error(`The daemon ended ${describeEnd(end)}:\n${daemon.log}`);
    });
    dead.catch(() => undefined);
    say(`dplaned ${daemon.pid} programs the network namespace ${netns}`);
    const options = { folder, netns, socket: daemon.socket, limit: limitFromEnvironment() };
    let isRight = true;
    for (const family of FAMILIES) {
      if (!(await Promise.race([loadTable(family, options), dead]))) isRight = false;
    }
    printMemory(daemon);
    say(TABLE_ATTRIBUTION);
    if (once || !isRight) return isRight ? 0 : 1;
    printHints(daemon, netns);
    say("Ctrl-C ends the demo and leaves nothing behind.");
    return await orInterrupt(dead);
  } finally {
    loading?.kill("SIGTERM");
    await daemon.stop();
    printErrors(daemon.log);
  }
}

/** Shows what the daemon complained of. */
function printErrors(log: string): void {
  for (const line of log.split("\n"))
    if (/"level":"(?:warn|error|fatal)"/.test(line)) process.stderr.write(`${line}\n`);
}

async function main(): Promise<number> {
  const { values } = parseArgs({ options: { once: { type: "boolean", default: false } } });
  checkMachine();
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
    process.on(signal, () => interrupt.reject(new Interrupted(signal)));
  }
  const folder = mkdtempSync(join(tmpdir(), "dplaned-demo-"));
  try {
    const netns = createNetwork();
    try {
      return await demonstrate(netns, folder, values.once);
    } finally {
      deleteNetwork(netns);
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

try {
  process.exitCode = await main();
} catch (error) {
  if (error instanceof Interrupted) {
    // The usual end of the demo; before the summary of `--once` it is one too early.
    say("");
    process.exitCode = process.argv.includes("--once") ? 130 : 0;
  } else {
    process.stderr.write(`demo: ${(error as Error).message}\n`);
    process.exitCode = 1;
  }
}
