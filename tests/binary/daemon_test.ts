/** The compiled daemon in network namespaces: it loads, shows, stops, reloads and refuses as an operator expects. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, afterEach, beforeEach, describe, it } from "node:test";
import type { DplaneJson, SummaryLineJson } from "../../core/northbound/api_types.ts";
import { BINARY, DaemonProcess } from "../../scripts/daemon_process.ts";
import { TABLE_DEVICE_COMMANDS, writeTable } from "../../scripts/internet_table.ts";
import { digestKernel } from "../../scripts/table_digest.ts";
import { daemonSkipReason, RunningProgram, runBinary } from "../support/binary.ts";
import { createNetns, type Netns } from "../support/netns.ts";
import { NotifySocket } from "../support/notify_socket.ts";
import { until } from "../support/until.ts";

const skip = daemonSkipReason();

describe("the compiled daemon", () => {
  const folder = mkdtempSync(join(tmpdir(), "dplaned-binary-"));
  let netns: Netns;
  const daemons: DaemonProcess[] = [];
  const start = async (options: ConstructorParameters<typeof DaemonProcess>[0] = {}) => {
    const daemon = new DaemonProcess({ netns: netns.name, ...options });
    daemons.push(daemon);
    await daemon.ready();
    return daemon;
  };
  const failing = async (options: ConstructorParameters<typeof DaemonProcess>[0]) => {
    const daemon = new DaemonProcess(options);
    daemons.push(daemon);
    return { ...(await daemon.ended), log: daemon.log };
  };

  beforeEach(() => {
    if (skip) return;
    netns = createNetns();
    netns.ipBatch(TABLE_DEVICE_COMMANDS);
  });
  afterEach(async () => {
    for (const daemon of daemons.splice(0)) await daemon.stop();
    netns?.delete();
  });
  after(() => rmSync(folder, { recursive: true }));

  for (const format of ["ndjson", "iproute2"] as const) {
    it(`loads and withdraws 20,000 routes given as ${format}, and counts them`, { skip }, async () => {
      const daemon = await start();
      const file = join(folder, format);
      const load = (...more: string[]) => runBinary(["route", "load", file, "--socket", daemon.socket, ...more]);
      const show = async (what: string) => (await runBinary(["show", what, "--socket", daemon.socket])).stdout;
      const { digests } = writeTable(file, format, { limit: 10_000 });

      const loaded = await load();
      assert.match(loaded.stdout, /^20,000 updates in [\d.]+ s \([\d,]+\/s\): 20,000 programmed\n$/);
      assert.equal(loaded.stderr, "");
      assert.equal(loaded.status, 0);
      for (const family of [4, 6] as const) {
        assert.equal(String(await digestKernel(netns.name, family)), String(digests[family]));
      }
      const dplane = await show("dplane");
      const rows = ["updates: +20000", "update errors: +0", "update queue limit: +\\d+", "update queue depth: +0"];
      const more = ["update queue max: +[1-9]\\d*", "update yields: +\\d+"];
      const expected = [...rows, ...more].map((row) => `Route ${row}\n`).join("");
      assert.match(dplane, new RegExp(`^Dataplane:\n${expected}`));
      // The daemon's own nexthop objects pass through the provider as well, and its question whether there are any is an error.
      assert.match(
        await show("providers"),
        /^kernel \(1\): in: 20\d{3}, q_max: \d+, out: 20\d{3}, q_max: \d+\n(?: {2}state: up, errors: 1, undone: 0\n)?$/,
      );

      writeTable(file, format, { limit: 10_000, op: "delete" });
      const withdrawn = await load("--json");
      const { summary } = JSON.parse(withdrawn.stdout) as SummaryLineJson;
      assert.deepEqual(
        { ...summary, elapsedMs: 0 },
        {
          received: 20_000,
          fibProgrammed: 20_000,
          fibFailed: 0,
          ribProgrammed: 0,
          skipped: 0,
          superseded: 0,
          rejected: 0,
          elapsedMs: 0,
        },
      );
      for (const family of [4, 6] as const) assert.equal((await digestKernel(netns.name, family)).routes, 0);
    });
  }

  it("tells each line that failed, goes on with the others, and ends with status 1", { skip }, async () => {
    const daemon = await start();
    const input = [
      "route add 203.0.113.0/25 via 10.64.0.100",
      "route add 203.0.113.128/25 via 10.99.0.1",
      "route add 203.0.113.1/24 via 10.64.0.100",
      "route add 198.51.100.0/24 via 10.64.0.100",
    ].join("\n");
    const { status, stdout, stderr } = await runBinary(["route", "load", "-", "--socket", daemon.socket], { input });
    assert.equal(status, 1);
    assert.match(stdout, /^4 updates in .*: 2 programmed, 1 failed, 1 rejected\n$/);
    assert.match(stderr, /^stdin:2: 203\.0\.113\.128\/25: .*ENETUNREACH/m);
    assert.match(stderr, /^stdin:3: .*203\.0\.113\.0\/24/m);
    assert.equal(netns.ipJson("route", "show", "proto", "210").length, 2);
  });

  it("serves its dashboard and refuses writes over TCP", { skip }, async () => {
    const daemon = await start();
    const page = await fetch(daemon.dashboard);
    assert.equal(page.status, 200);
    assert.match(page.headers.get("content-type") ?? "", /^text\/html/);
    assert.match(await page.text(), /<html/);
    const write = await fetch(new URL("/v1/routes", daemon.dashboard), {
      method: "POST",
      headers: { "content-type": "application/x-ndjson" },
      body: '{"prefix":"203.0.113.0/24","type":"blackhole"}\n',
    });
    assert.equal(write.status, 403);
    assert.equal(netns.ipJson("route", "show", "proto", "210").length, 0);
  });

  it("stops in order under load: status 0, no slot lost, each update answered, the routes stay", { skip }, async () => {
    const daemon = await start();
    const file = join(folder, "load.ndjson");
    writeTable(file, "ndjson", { families: [4], limit: 300_000 });
    const client = new RunningProgram(BINARY, ["route", "load", file, "--socket", daemon.socket, "--json"]);
    let programmed = 0;
    while (programmed < 10_000) {
      programmed = (await daemon.client.getJson<DplaneJson>("/v1/dplane")).results.fibProgrammed;
    }
    daemon.signal("SIGTERM");
    assert.deepEqual(await daemon.ended, { status: 0, signal: null });
    const { status, stdout } = await client.ended;

    const stopped = JSON.parse(daemon.log.split("\n").find((line) => line.includes('"message":"Stopped"'))!);
    assert.equal(stopped.slotsFree, stopped.slots);
    assert.ok(!existsSync(daemon.socket));
    const held = (await digestKernel(netns.name, 4)).routes;
    assert.ok(held >= 10_000 && held < 300_000, `${held} routes`);
    assert.equal(status, 1);
    const { summary } = JSON.parse(stdout.trimEnd().split("\n").at(-1)!) as SummaryLineJson;
    assert.equal(summary.fibProgrammed, held);
    assert.equal(summary.received, summary.fibProgrammed + summary.fibFailed + summary.rejected + summary.superseded);
  });

  it("takes its routes with it where it is told to", { skip }, async () => {
    const daemon = await start({ config: "[daemon]\nwithdraw-on-exit = true\n" });
    const input = "route add 203.0.113.0/24 via 10.64.0.100\nroute add blackhole 2001:db8:1::/48\n";
    assert.equal((await runBinary(["route", "load", "-", "--socket", daemon.socket], { input })).status, 0);
    assert.equal(netns.ipJson("route", "show", "proto", "210").length, 1);
    assert.equal((await daemon.stop()).status, 0);
    assert.equal(netns.ipJson("route", "show", "proto", "210").length, 0);
    assert.equal(netns.ipJson("-6", "route", "show", "proto", "210").length, 0);
  });

  it("takes all of them with it under load, too: what comes after the signal is refused", { skip }, async () => {
    const daemon = await start({ config: "[daemon]\nwithdraw-on-exit = true\n" });
    const file = join(folder, "withdrawn.ndjson");
    writeTable(file, "ndjson", { families: [4], limit: 100_000 });
    const client = new RunningProgram(BINARY, ["route", "load", file, "--socket", daemon.socket, "--json"]);
    let programmed = 0;
    while (programmed < 10_000) {
      programmed = (await daemon.client.getJson<DplaneJson>("/v1/dplane")).results.fibProgrammed;
    }
    assert.equal((await daemon.stop()).status, 0);
    const { stdout } = await client.ended;
    const { summary } = JSON.parse(stdout.trimEnd().split("\n").at(-1)!) as SummaryLineJson;
    assert.ok(summary.rejected > 0, JSON.stringify(summary));
    assert.equal((await digestKernel(netns.name, 4)).routes, 0);
  });

  it("refuses a socket on which another one answers, and takes over that of a dead one", { skip }, async () => {
    const first = await start();
    const second = await failing({ netns: netns.name, socket: first.socket });
    assert.equal(second.status, 1);
    assert.match(second.log, /another dplaned answers there/);
    assert.ok(second.log.includes(first.socket));
    assert.equal((await runBinary(["show", "health", "--socket", first.socket])).status, 0);

    first.signal("SIGKILL");
    await first.ended;
    assert.ok(existsSync(first.socket));
    const third = await start({ socket: first.socket });
    assert.equal((await runBinary(["show", "health", "--socket", third.socket])).status, 0);
  });

  it("finds the routes of the one before it after a crash", { skip }, async () => {
    const first = await start();
    const input = "route add 203.0.113.0/24 via 10.64.0.100\n";
    assert.equal((await runBinary(["route", "load", "-", "--socket", first.socket], { input })).status, 0);
    first.signal("SIGKILL");
    await first.ended;
    const second = await start();
    assert.match(second.log, /"adoptedRoutes":1\b/);
    const shown = await runBinary(["route", "show", "203.0.113.0/24", "--socket", second.socket]);
    assert.match(shown.stdout, /^203\.0\.113\.0\/24 via 10\.64\.0\.100 dev veth0 /);
  });

  it("tells systemd when it is ready, reloads, is well and stops", { skip }, async () => {
    const path = join(folder, "notify");
    const manager = await NotifySocket.bind(path);
    const messages: string[] = [];
    const received = (pattern: RegExp) =>
      until(() => {
        const message = manager.receive();
        if (message !== "") messages.push(message);
        return messages.some((each) => pattern.test(each));
      });
    try {
      const daemon = await start({ environment: { NOTIFY_SOCKET: path, WATCHDOG_USEC: "300000" } });
      await received(/^READY=1\nSTATUS=/);
      await received(/^WATCHDOG=1$/);
      messages.length = 0;
      daemon.signal("SIGHUP");
      await received(/^RELOADING=1\nMONOTONIC_USEC=\d+$/);
      await received(/^READY=1\n/);
      daemon.signal("SIGTERM");
      await received(/^STOPPING=1\n/);
      assert.equal((await daemon.ended).status, 0);
    } finally {
      manager.close();
    }
  });

  it("reloads its configuration on SIGHUP, and keeps the old one where the new one is broken", { skip }, async () => {
    const daemon = await start();
    const config = join(daemon.directory, "dplaned.toml");
    const queueLimit = async () => (await daemon.client.getJson<DplaneJson>("/v1/dplane")).queueLimit;

    writeFileSync(config, "[dataplane]\nqueue-limit = 1234\n");
    daemon.signal("SIGHUP");
    await until(() => daemon.log.includes('"message":"Configuration reloaded"'));
    assert.equal(await queueLimit(), 1234);

    writeFileSync(config, "[dataplane]\nqueue-limit = 0\n");
    daemon.signal("SIGHUP");
    await until(() => daemon.log.includes("The configuration is not reloaded"));
    assert.match(daemon.log, /dplaned\.toml:2\b/);
    assert.equal(await queueLimit(), 1234);
  });

  it("says which namespace it does not find", { skip }, async () => {
    const { status, log } = await failing({ netns: "dplaned-test-no-such" });
    assert.equal(status, 1);
    assert.match(log, /ip netns add dplaned-test-no-such/);
  });

  const capabilitySkip =
    skip || (spawnSync("setpriv", ["--version"]).status === 0 ? false : "no `setpriv` command (package util-linux)");
  it("says that CAP_NET_ADMIN is missing", { skip: capabilitySkip }, async () => {
    const wrapper = ["setpriv", "--bounding-set=-net_admin"];
    const { status, log } = await failing({ wrapper });
    assert.equal(status, 1);
    assert.match(log, /Cannot program routes: CAP_NET_ADMIN is missing/);
  });
});
