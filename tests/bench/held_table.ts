/**
 * What it costs to hold a table, and to keep it true: memory, a full-state sync, a restart, a change of the nexthop group
 * under all of it. What the kernel is told meanwhile is counted by a socket that listens to it.
 */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout } from "node:timers";
import type { AuditJson, NexthopGroupJson, SyncSummaryJson } from "../../core/northbound/api_types.ts";
import { readAll } from "../../core/northbound/cli/client.ts";
import { RTNLGRP_NEXTHOP } from "../../ffi/netlink/constants.ts";
import { BINARY, DaemonProcess } from "../../scripts/daemon_process.ts";
import { prefixOf, readTable, TABLE_DEVICE, writeTable } from "../../scripts/internet_table.ts";
import { runProgram } from "../support/binary.ts";
import { ChangeCounter } from "../support/change_counter.ts";
import type { Netns } from "../support/netns.ts";
import type { Bench } from "./bench_context.ts";
import { loadFile } from "./contenders/dplaned.ts";

/** One of so many routes is another in the sync. */
const CHANGE_EVERY = 100;
/** No audit and no sweep but those that are asked for. */
const CONFIG = '[kernel]\naudit-interval = "0s"\nstale-time = "1h"\n';
/** Memory that falls by less than this within that time falls no more. */
const SETTLED_BYTES = 1e6;
const SETTLE_MS = 3000;
const GROUP = 7;
/** Nexthops of the table's device. */
const GROUP_MEMBERS = ["10.64.0.100", "10.64.0.101"];
const GROUP_CHANGES = 5;

/** The table, in the files of which this is made. */
export interface HeldFiles {
  ipv4: string;
  ipv6: string;
  /** The IPv4 table with one route of a hundred changed. */
  changed: string;
  /** Every prefix of the IPv4 table, by way of one nexthop group. */
  grouped: string;
  routes: { ipv4: number; ipv6: number; changed: number };
}

export function writeHeldFiles(folder: string, limit: number | undefined): HeldFiles {
  const path = (name: string) => join(folder, `held-${name}.ndjson`);
  const files = { ipv4: path("ipv4"), ipv6: path("ipv6"), changed: path("changed"), grouped: path("grouped") };
  const options = { limit, unique: true };
  const ipv4 = writeTable(files.ipv4, "ndjson", { ...options, families: [4] }).updates[4];
  const ipv6 = writeTable(files.ipv6, "ndjson", { ...options, families: [6] }).updates[6];
  writeTable(files.changed, "ndjson", { ...options, families: [4], changeEvery: CHANGE_EVERY });
  const lines = Array.from(readTable(4, limit), (route) => `{"prefix":"${prefixOf(route)}","nexthopGroup":${GROUP}}\n`);
  writeFileSync(files.grouped, lines.join(""));
  return { ...files, routes: { ipv4, ipv6, changed: Math.ceil(ipv4 / CHANGE_EVERY) } };
}

/** Work on the routes, and the writes to the kernel that it came to. */
export interface Effort {
  ms: number;
  writes: number;
}

export interface HeldTable {
  /** Resident memory of the daemon before it held anything, and with both tables when what their loading left is collected. */
  idleBytes: number;
  heldBytes: number;
  /** Most that it ever was: loads, an audit and syncs included. */
  peakBytes: number;
  /** The same of a daemon that found both tables in the kernel, and whose owners claimed them. */
  restartedPeakBytes: number;
  changedSync: Effort;
  unchangedSync: Effort;
  /** From the start of the process until it says that it is ready. */
  restart: Effort;
  claimingSync: Effort;
}

/** Loads both tables, audits, syncs, kills the daemon, starts it again, and syncs again. */
export async function measureHeldTable(bench: Bench, netns: Netns, files: HeldFiles): Promise<HeldTable> {
  const first = await DaemonProcess.start({ netns: netns.name, config: CONFIG });
  let counter: ChangeCounter | undefined;
  try {
    const held = await bench.using({ end: () => first.stop() }, async () => {
      const loaded = await measureLoaded(first, files);
      // Now, for it has no room for what the loads write.
      counter = new ChangeCounter(netns);
      const changedSync = await sync(first, files.changed, "ipv4", counter);
      const unchangedSync = await sync(first, files.changed, "ipv4", counter);
      const peakBytes = first.memoryBytes("VmHWM");
      first.signal("SIGKILL");
      await first.ended;
      return { ...loaded, changedSync, unchangedSync, peakBytes, counter };
    });
    const startedAt = performance.now();
    const second = await DaemonProcess.start({ netns: netns.name, config: CONFIG });
    const restart = { ms: performance.now() - startedAt, writes: writesOf(held.counter) };
    const adopted = await bench.using({ end: () => second.stop() }, () => measureSecond(second, files, held.counter));
    return { ...held, restart, ...adopted };
  } finally {
    counter?.close();
  }
}

async function measureLoaded(daemon: DaemonProcess, { ipv4, ipv6, routes }: HeldFiles) {
  const idleBytes = daemon.memoryBytes("VmRSS");
  await loadFile(daemon.socket, ipv4, "--owner", "ipv4");
  await loadFile(daemon.socket, ipv6, "--owner", "ipv6");
  const heldBytes = await settledBytes(daemon);
  await audit(daemon, routes.ipv4 + routes.ipv6);
  return { idleBytes, heldBytes };
}

async function measureSecond(daemon: DaemonProcess, { ipv6, changed, routes }: HeldFiles, counter: ChangeCounter) {
  const claimingSync = await sync(daemon, changed, "ipv4", counter);
  await sync(daemon, ipv6, "ipv6", counter);
  await audit(daemon, routes.ipv4 + routes.ipv6);
  expectEqual("writes after the restart", writesOf(counter), 0);
  return { claimingSync, restartedPeakBytes: daemon.memoryBytes("VmHWM") };
}

/** Resident memory once it falls no more. */
async function settledBytes(daemon: DaemonProcess): Promise<number> {
  for (;;) {
    const before = daemon.memoryBytes("VmRSS");
    await new Promise((wake) => setTimeout(wake, SETTLE_MS));
    const bytes = daemon.memoryBytes("VmRSS");
    if (before - bytes < SETTLED_BYTES) return bytes;
  }
}

async function sync(daemon: DaemonProcess, file: string, owner: string, counter: ChangeCounter): Promise<Effort> {
  const args = ["route", "sync", file, "--owner", owner, "--socket", daemon.socket, "--json"];
  const { status, stdout, stderr } = await runProgram(BINARY, args);
  if (status !== 0) throw new Error(`dplaned ${args.join(" ")} ended with status ${status}: ${stderr.slice(-500)}`);
  const { summary } = JSON.parse(stdout.trimEnd().split("\n").at(-1)!) as { summary: SyncSummaryJson };
  return { ms: summary.elapsedMs, writes: writesOf(counter) };
}

async function audit(daemon: DaemonProcess, routes: number): Promise<void> {
  const report = JSON.parse(await readAll(await daemon.client.request({ method: "POST", path: "/v1/audit" })));
  const { routes: found, missing, changed, unexpected, nexthops, complete } = report as AuditJson;
  expectEqual("the audit's routes", found, routes);
  expectEqual("what the audit repaired", missing + changed + unexpected + nexthops, 0);
  expectEqual("that the audit is complete", complete, true);
}

function writesOf(counter: ChangeCounter): number {
  return Object.values(counter.take()).reduce((sum, count) => sum + count, 0);
}

function expectEqual(what: string, found: unknown, expected: unknown): void {
  if (found !== expected) throw new Error(`${what}: found ${found} where there should be ${expected}`);
}

/** Milliseconds that changes of the nexthop group under all IPv4 routes took, from the request to the kernel's answer. */
export async function measureGroupChanges(
  bench: Bench,
  netns: Netns,
  files: HeldFiles,
  compatMode: 0 | 1,
): Promise<number[]> {
  netns.exec("sysctl", ["-qw", `net.ipv4.nexthop_compat_mode=${compatMode}`]);
  const daemon = await DaemonProcess.start({ netns: netns.name, config: CONFIG });
  const counter = new ChangeCounter(netns, [RTNLGRP_NEXTHOP]);
  try {
    return await bench.using({ end: () => daemon.stop() }, async () => {
      await setGroup(daemon, 1);
      await loadFile(daemon.socket, files.grouped, "--owner", "grouped");
      const times: number[] = [];
      counter.take();
      for (let weight = 2; weight < 2 + GROUP_CHANGES; weight++) {
        times.push(await setGroup(daemon, weight));
        expectEqual("messages about nexthop objects", writesOf(counter), 1);
      }
      return times;
    });
  } finally {
    counter.close();
  }
}

/** Milliseconds until the kernel had confirmed it. */
async function setGroup(daemon: DaemonProcess, weight: number): Promise<number> {
  const members = GROUP_MEMBERS.map((via, index) => ({ via, dev: TABLE_DEVICE, weight: index === 0 ? weight : 1 }));
  const startedAt = performance.now();
  const response = await daemon.client.request({
    method: "PUT",
    path: `/v1/nexthop-groups/${GROUP}`,
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ members }),
  });
  const group = JSON.parse(await readAll(response)) as NexthopGroupJson;
  const ms = performance.now() - startedAt;
  expectEqual("the group", group.status, "fib_programmed");
  return ms;
}
