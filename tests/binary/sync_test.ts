/**
 * Full-state syncs of the compiled daemon and the command line, in a real kernel: they write what differs and nothing else,
 * and one that does not come to its end does nothing. What is written is counted by a socket that listens to the kernel.
 */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, afterEach, beforeEach, describe, it } from "node:test";
import type { OwnersJson, SyncSummaryJson } from "../../core/northbound/api_types.ts";
import { DaemonProcess } from "../../scripts/daemon_process.ts";
import { TABLE_DEVICE_COMMANDS, TABLE_PREFIXES, writeTable } from "../../scripts/internet_table.ts";
import { digestKernel } from "../../scripts/table_digest.ts";
import { daemonSkipReason, runBinary } from "../support/binary.ts";
import { ChangeCounter, NO_CHANGES } from "../support/change_counter.ts";
import { createNetns, type Netns } from "../support/netns.ts";

const skip = daemonSkipReason();
/** Nothing is written but what a client asks for. */
const CONFIG = '[kernel]\naudit-interval = "0s"\nstale-time = "1h"\n';
const ROUTES = [
  "route add 198.51.100.0/24 via 10.64.0.100",
  "route add 203.0.113.0/24 via 10.64.0.101",
  "route add 2001:db8:99::/48 via 2001:db8:64::100",
];

describe("a full-state sync", () => {
  const folder = mkdtempSync(join(tmpdir(), "dplaned-sync-"));
  let netns: Netns;
  let daemon: DaemonProcess;
  let counter: ChangeCounter;

  beforeEach(async () => {
    if (skip) return;
    netns = createNetns();
    netns.ipBatch(TABLE_DEVICE_COMMANDS);
    daemon = await DaemonProcess.start({ netns: netns.name, config: CONFIG });
  });
  afterEach(async () => {
    if (skip) return;
    counter?.close();
    await daemon.stop();
    netns.delete();
  });
  after(() => rmSync(folder, { recursive: true }));

  const run = (...args: string[]) => runBinary([...args, "--socket", daemon.socket]);
  const sync = (file: string, ...more: string[]) => run("route", "sync", file, "--owner", "bgp", ...more);
  const count = () => {
    counter = new ChangeCounter(netns);
  };
  const fileOf = (lines: readonly string[]): string => {
    const file = join(folder, "routes");
    writeFileSync(file, lines.map((line) => `${line}\n`).join(""));
    return file;
  };
  const summaryOf = (stdout: string): SyncSummaryJson => JSON.parse(stdout.trimEnd().split("\n").at(-1)!).summary;
  const kernelRoutes = () =>
    [...netns.ipJson("-4", "route", "show", "proto", "210"), ...netns.ipJson("-6", "route", "show", "proto", "210")]
      .map(({ dst, gateway, type }) => `${type ?? "unicast"} ${dst} ${gateway ?? ""}`.trim())
      .sort();

  it("of the real IPv4 table with one route of a hundred changed writes just those", {
    skip,
    timeout: 120_000,
  }, async () => {
    const [before, now] = [join(folder, "before.ndjson"), join(folder, "now.ndjson")];
    writeTable(before, "ndjson", { families: [4], unique: true });
    const { digests } = writeTable(now, "ndjson", { families: [4], unique: true, changeEvery: 100 });
    const changed = Math.ceil(TABLE_PREFIXES[4] / 100);
    assert.equal((await sync(before)).status, 0);

    count();
    const { status, stdout, stderr } = await sync(now, "--json");
    assert.equal(status, 0, stderr);
    const { received, unchanged, installed, updated, deleted, fibProgrammed } = summaryOf(stdout);
    assert.deepEqual(
      { received, unchanged, installed, updated, deleted, fibProgrammed },
      {
        received: TABLE_PREFIXES[4],
        unchanged: TABLE_PREFIXES[4] - changed,
        installed: 0,
        updated: changed,
        deleted: 0,
        fibProgrammed: changed,
      },
    );
    assert.deepEqual(counter.take(), { ...NO_CHANGES, routesSet: changed });
    assert.equal(String(await digestKernel(netns.name, 4)), String(digests[4]));

    assert.equal((await sync(now)).status, 0);
    assert.deepEqual(counter.take(), NO_CHANGES, "the same again is no work for the kernel");
  });

  it("that breaks off changes nothing", { skip }, async () => {
    assert.equal((await sync(fileOf(ROUTES))).status, 0);
    const held = kernelRoutes();
    count();
    const body = async function* () {
      yield new TextEncoder().encode('{"prefix":"192.0.2.0/24","type":"blackhole"}\n');
      throw new Error("the client is gone");
    };
    const request = daemon.client.request({ method: "PUT", path: "/v1/owners/bgp/routes", body: body() });
    await assert.rejects(request, /the client is gone/);
    // A second sync of the owner would be refused while the first is under way.
    let next = await sync(fileOf(ROUTES));
    while (next.stderr.includes("409") || next.stderr.includes("under way")) next = await sync(fileOf(ROUTES));
    assert.match(next.stdout, /^3 routes in [\d.]+ s: 3 unchanged\n$/);
    assert.deepEqual(counter.take(), NO_CHANGES);
    assert.deepEqual(kernelRoutes(), held);
  });

  it("with anything wrong in it changes nothing, and says where", { skip }, async () => {
    assert.equal((await sync(fileOf(ROUTES))).status, 0);
    count();
    const { status, stdout, stderr } = await sync(
      fileOf([ROUTES[0]!, "route add 192.0.2.1/24 via 10.64.0.100", ROUTES[0]!]),
    );
    assert.equal(status, 1);
    assert.equal(stdout, "");
    assert.match(stderr, /routes:2: .*HOST_BITS_SET/);
    assert.match(stderr, /routes:3: .*DUPLICATE_ROUTE/);
    assert.match(stderr, /nothing was changed/);
    assert.deepEqual(counter.take(), NO_CHANGES);
  });

  it("is shown by --dry-run before it is done, route for route", { skip }, async () => {
    assert.equal((await sync(fileOf(ROUTES))).status, 0);
    const held = kernelRoutes();
    const file = fileOf([ROUTES[0]!, "route add 203.0.113.0/24 via 10.64.0.102", "route add blackhole 192.0.2.0/24"]);
    count();
    const plan = await sync(file, "--dry-run");
    assert.equal(plan.status, 0, plan.stderr);
    assert.deepEqual(plan.stdout.trimEnd().split("\n"), [
      "~ 203.0.113.0/24 via 10.64.0.101 metric 20",
      "  -> 203.0.113.0/24 via 10.64.0.102 metric 20",
      "+ blackhole 192.0.2.0/24 metric 20",
      "- 2001:db8:99::/48 via 2001:db8:64::100 metric 20",
      "dry run of 3 updates: 1 to add, 1 to replace, 1 to delete, 1 unchanged; nothing was done",
    ]);
    assert.deepEqual(counter.take(), NO_CHANGES);
    assert.deepEqual(kernelRoutes(), held);

    const done = await sync(file);
    assert.match(done.stdout, /^3 routes in [\d.]+ s: 1 installed, 1 updated, 1 deleted, 1 unchanged\n$/);
    assert.deepEqual(counter.take(), { ...NO_CHANGES, routesSet: 2, routesDeleted: 1 });
    assert.deepEqual(kernelRoutes(), [
      "blackhole 192.0.2.0/24",
      "unicast 198.51.100.0/24 10.64.0.100",
      "unicast 203.0.113.0/24 10.64.0.102",
    ]);
  });

  it("route flush takes an owner's routes and no others, after a --dry-run that takes none", { skip }, async () => {
    assert.equal((await sync(fileOf(ROUTES))).status, 0);
    assert.equal((await run("route", "install", "192.0.2.0/24", "via", "10.64.0.100", "owner", "static")).status, 0);
    count();
    const plan = await run("route", "flush", "owner", "bgp", "--dry-run");
    assert.equal(plan.status, 0, plan.stderr);
    assert.match(plan.stdout, /^(?:- .*\n){3}dry run.* 3 to delete; nothing was done\n$/);
    assert.deepEqual(counter.take(), NO_CHANGES);

    const done = await run("route", "flush", "owner", "bgp");
    assert.match(done.stdout, /: 3 deleted\n$/);
    assert.deepEqual(counter.take(), { ...NO_CHANGES, routesDeleted: 3 });
    assert.deepEqual(kernelRoutes(), ["unicast 192.0.2.0/24 10.64.0.100"]);
    const { owners } = await daemon.client.getJson<OwnersJson>("/v1/owners");
    assert.deepEqual(
      owners.filter(({ name }) => name === "bgp" || name === "static").map(({ name, selected }) => [name, selected]),
      [
        ["bgp", 0],
        ["static", 1],
      ],
    );
  });
});
