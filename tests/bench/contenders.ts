/**
 * The programs whose speed `make bench` compares: each loads the same routing table into a namespace, and takes it out
 * again. All of them replace what is there, write the same protocol and metric, and take the routes in the table's order.
 */
import { spawn, spawnSync } from "node:child_process";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { METRIC_DEFAULT, RTPROT_DEFAULT } from "../../core/constants.ts";
import type { SummaryLineJson } from "../../core/northbound/api_types.ts";
import { BINARY, DaemonProcess } from "../../scripts/daemon_process.ts";
import { TABLE_DEVICE, type WrittenTable, writeTable } from "../../scripts/internet_table.ts";
import type { Netns } from "../support/netns.ts";

export type Op = "install" | "delete";

/** Milliseconds that the work took, and what else is worth knowing. */
export interface Timing {
  ms: number;
  /** Of the whole client process, where `ms` is less than that. */
  processMs?: number;
}

/** A contender at work in one namespace. */
export interface Session {
  run(op: Op): Promise<Timing>;
  /** Most memory that it took, where it stays in memory. */
  peakBytes?(): number;
  end(): Promise<void>;
}

export interface Contender {
  name: string;
  /** Why it cannot be measured on this machine. */
  skipped?: string;
  open(netns: Netns): Promise<Session>;
}

/** The table in each contender's format. */
export interface TableFiles {
  expected: WrittenTable["digests"];
  updates: Record<Op, number>;
  path(format: "ndjson" | "iproute2" | "binary", op: Op): string;
}

export function writeTableFiles(folder: string, limit: number | undefined): TableFiles {
  const path: TableFiles["path"] = (format, op) => join(folder, `${op}.${format}`);
  const words = `metric ${METRIC_DEFAULT} proto ${RTPROT_DEFAULT}`;
  let installs!: WrittenTable;
  let deletes!: WrittenTable;
  for (const format of ["ndjson", "iproute2", "binary"] as const) {
    installs = writeTable(path(format, "install"), format, { limit, words });
    deletes = writeTable(path(format, "delete"), format, { limit, words, op: "delete" });
  }
  return {
    path,
    expected: installs.digests,
    updates: { install: installs.updates[4] + installs.updates[6], delete: deletes.updates[4] + deletes.updates[6] },
  };
}

export const DPLANED = "dplaned";
export const NETLINK_LOOP = "plain C loop";
export const IP_BATCH = "ip -batch";

/** A daemon started for it, fed over its unix socket by `dplaned route load`; from the request to the last result. */
export function dplanedContender(files: TableFiles): Contender {
  return {
    name: DPLANED,
    open: async (netns) => {
      const daemon = await DaemonProcess.start({ netns: netns.name });
      return {
        run: (op) => loadFile(daemon.socket, files.path("ndjson", op)),
        peakBytes: () => daemon.memoryBytes("VmHWM"),
        end: async () => {
          await daemon.stop();
        },
      };
    },
  };
}

/** Loads a file by `dplaned route load`. */
export async function loadFile(socket: string, file: string): Promise<Timing> {
  const start = performance.now();
  const output = await runProgram(BINARY, ["route", "load", file, "--socket", socket, "--json"]);
  const processMs = performance.now() - start;
  const { summary } = JSON.parse(output.trimEnd().split("\n").at(-1)!) as SummaryLineJson;
  return { ms: summary.elapsedMs, processMs };
}

/** tests/bench/netlink_loop.c; from its first send to the last ack. */
export function netlinkLoopContender(files: TableFiles, folder: string): Contender {
  const executable = join(folder, "netlink_loop");
  const source = fileURLToPath(new URL("netlink_loop.c", import.meta.url).href);
  const compiled = spawnSync("cc", ["-O2", "-o", executable, source], { encoding: "utf8" });
  const skipped =
    compiled.error !== undefined ? "there is no C compiler (cc)" : compiled.status !== 0 ? compiled.stderr : undefined;
  return {
    name: NETLINK_LOOP,
    ...(skipped === undefined ? {} : { skipped }),
    open: async (netns) => {
      const [{ ifindex }] = netns.ipJson("link", "show", TABLE_DEVICE) as [{ ifindex: number }];
      return {
        run: async (op) => {
          const verb = op === "install" ? "add" : "delete";
          const args = ["netns", "exec", netns.name, executable, verb, files.path("binary", op), String(ifindex)];
          const [, , seconds] = (await runProgram("ip", args)).trim().split(" ");
          return { ms: Number(seconds) * 1000 };
        },
        end: async () => undefined,
      };
    },
  };
}

/** iproute2's own way; from the start of the process to its end. */
export function ipBatchContender(files: TableFiles): Contender {
  return {
    name: IP_BATCH,
    open: async (netns) => ({
      run: async (op) => {
        const start = performance.now();
        await runProgram("ip", ["-n", netns.name, "-batch", files.path("iproute2", op)]);
        return { ms: performance.now() - start };
      },
      end: async () => undefined,
    }),
  };
}

/** Runs a program to its end and returns what it printed. Throws where it fails. */
export function runProgram(program: string, args: readonly string[]): Promise<string> {
  const child = spawn(program, args, { stdio: ["ignore", "pipe", "pipe"] });
  let [output, errors] = ["", ""];
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    output += text;
  });
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    errors += text;
  });
  return new Promise((end, fail) => {
    child.once("error", fail);
    child.once("close", (status) => {
      if (status === 0) end(output);
      else fail(new Error(`${program} ${args.join(" ")} ended with status ${status}: ${errors || output.slice(-500)}`));
    });
  });
}
