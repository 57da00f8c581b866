/**
 * Network namespaces for live tests. The host's own namespace is never touched: a test makes one, works in it through
 * `ip -n` or a socket opened with `netns: ns.name`, and deletes it in `after`.
 *
 *   const skip = skipReason();
 *   describe("thing", () => {
 *     let ns: Netns;
 *     before(() => { if (!skip) ns = createNetns(); });
 *     after(() => ns?.delete());
 *     it("works", { skip }, () => { ns.ip("link", "add", "v0", "type", "veth", "peer", "name", "v1"); … });
 *   });
 *
 * `skip` belongs to each `it`: Bun leaves the tests of a skipped `describe` out of its counts.
 */
import { execFileSync, spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import process from "node:process";

export interface Netns {
  /** Unique on this machine; as a path it is `/run/netns/NAME`. */
  readonly name: string;
  /** Runs `ip -n NAME …` and returns its stdout. Throws with its stderr. */
  ip(...args: string[]): string;
  /** The same with `-json`, parsed; an empty answer is `[]`. `-d` and `-s` may be among the arguments' first. */
  // biome-ignore lint/suspicious/noExplicitAny: tests pick single fields out of iproute2's JSON
  ipJson(...args: string[]): any[];
  /** Feeds lines to `ip -batch`, all of which must succeed unless `force` is set. Fast enough for 100,000 routes. */
  ipBatch(lines: Iterable<string>, options?: { force?: boolean }): void;
  /** Runs any command inside the namespace and returns its stdout. Throws with its stderr. */
  exec(command: string, args?: string[]): string;
  /** Deletes the namespace and with it everything inside; a second call does nothing. */
  delete(): void;
}

const NAME_PREFIX = "dplaned-test-";
let counter = 0;
let cachedReason: string | false | undefined;

/** Why live tests cannot run here, or false when they can: for the `skip` option of `it`. Says so once on stderr, for no runner shows it. */
export function skipReason(): string | false {
  if (cachedReason === undefined) {
    cachedReason = findSkipReason();
    if (cachedReason) console.error(`Live tests are skipped: ${cachedReason}`);
  }
  return cachedReason;
}

function findSkipReason(): string | false {
  if (process.platform !== "linux") return "network namespaces exist on Linux only";
  if (process.getuid?.() !== 0) return "not root, so no network namespace can be made";
  if (spawnSync("ip", ["-V"]).status !== 0) return "no `ip` command (package iproute2)";
  try {
    createNetns().delete();
    return false;
  } catch (error) {
    return `no network namespace can be made: ${(error as Error).message}`;
  }
}

/** Makes a namespace with its loopback up. What a killed test run left behind is deleted on this occasion. */
export function createNetns(): Netns {
  if (counter === 0) deleteLeftovers();
  const name = `${NAME_PREFIX}${process.pid}-${++counter}`;
  let alive = true;
  const ns: Netns = {
    name,
    ip: (...args) => run("ip", ["-n", name, ...args]),
    ipJson: (...args) => JSON.parse(run("ip", ["-n", name, "-json", ...args]).trim() || "[]"),
    ipBatch: (lines, { force = false } = {}) => {
      const args = ["-n", name, ...(force ? ["-force"] : []), "-batch", "-"];
      const { status, stderr } = spawnSync("ip", args, { input: `${[...lines].join("\n")}\n`, encoding: "utf8" });
      if (status !== 0 && !force) throw new Error(`ip ${args.join(" ")}: ${stderr.trim()}`);
    },
    exec: (command, args = []) => run("ip", ["netns", "exec", name, command, ...args]),
    delete: () => {
      if (alive) run("ip", ["netns", "delete", name]);
      alive = false;
    },
  };
  run("ip", ["netns", "add", name]);
  ns.ip("link", "set", "lo", "up");
  return ns;
}

/** Deletes namespaces whose process is no more: neither runtime runs exit handlers when it is killed. */
function deleteLeftovers(): void {
  for (const line of run("ip", ["netns", "list"]).split("\n")) {
    const pid = line.startsWith(NAME_PREFIX) ? Number.parseInt(line.slice(NAME_PREFIX.length), 10) : process.pid;
    // Another run may be sweeping at the same time, and then its delete wins.
    if (!existsSync(`/proc/${pid}`)) spawnSync("ip", ["netns", "delete", line.split(" ", 1)[0] ?? line]);
  }
}

/** Runs a command; its stderr becomes the error. The buffer holds a listing of a million routes. */
function run(command: string, args: string[]): string {
  try {
    return execFileSync(command, args, { encoding: "utf8", maxBuffer: 1 << 30, stdio: ["ignore", "pipe", "pipe"] });
  } catch (error) {
    const stderr = (error as { stderr?: string }).stderr?.trim();
    throw new Error(`${command} ${args.join(" ")}: ${stderr || (error as Error).message}`, { cause: error });
  }
}
