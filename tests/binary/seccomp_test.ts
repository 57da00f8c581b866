/**
 * The compiled daemon at work under the system call filter of its unit, which is made harder: whatever the unit refuses kills
 * the process here. So what the unit allows is known to be enough.
 */
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import process from "node:process";
import { after, afterEach, before, describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import type { DplaneJson, HealthJson } from "../../core/northbound/api_types.ts";
import { readAll } from "../../core/northbound/cli/client.ts";
import { DaemonProcess } from "../../scripts/daemon_process.ts";
import { daemonSkipReason, runProgram } from "../support/binary.ts";
import { sendUpdates } from "../support/daemon_routes.ts";
import { createNetns, type Netns } from "../support/netns.ts";
import { allowedSyscalls, syscallNumbers, syscallsSkipReason } from "../support/unit_file.ts";
import { until } from "../support/wait.ts";

const skip =
  daemonSkipReason() ||
  syscallsSkipReason() ||
  (process.versions["bun"] === undefined ? "the launcher runs on Bun" : false);

const LAUNCHER = fileURLToPath(new URL("../support/seccomp_script.ts", import.meta.url).href);

let ns: Netns;
let daemon: DaemonProcess | undefined;
before(() => {
  if (skip) return;
  ns = createNetns();
  ns.ip("link", "add", "v0", "type", "veth", "peer", "name", "v1");
  ns.ip("address", "add", "10.0.0.1/24", "dev", "v0");
  ns.ip("link", "set", "v0", "up");
  ns.ip("link", "set", "v1", "up");
});
afterEach(async () => {
  await daemon?.stop();
  daemon = undefined;
});
after(() => ns?.delete());

/** As systemd starts it: with one capability (and the one for another namespace) and no way to more. */
function wrapper(syscalls: Iterable<string>): string[] {
  const numbers = syscallNumbers(syscalls).join(",");
  const capabilities = ["setpriv", "--no-new-privs", "--bounding-set=-all,+net_admin,+sys_admin"];
  return [...capabilities, process.execPath, LAUNCHER, numbers];
}

describe("under the unit's system call filter", () => {
  it("the daemon starts, works through everything that it does, and ends", { skip }, async () => {
    const config = [
      '[fpm]\nlisten = "127.0.0.1:0"',
      '[[provider]]\nname = "tape"\nkind = "record"\nthreaded = true\npath = "/tmp/dplaned-seccomp-tape"',
      '[[provider]]\nname = "export"\nkind = "fpm"\naddress = "127.0.0.1:1"',
    ].join("\n");
    daemon = await DaemonProcess.start({ netns: ns.name, config, wrapper: wrapper(allowedSyscalls()) });
    const lines = Array.from(
      { length: 5000 },
      (_, index) => `route add 10.${index >> 8}.${index & 255}.0/24 via 10.0.0.2`,
    );
    const { summary } = await sendUpdates(
      daemon,
      lines.map((line) => line.replace("10.0.0.0/24", "10.200.0.0/24")),
    );
    assert.equal(summary.fibProgrammed, 5000);
    assert.match(await readAll(await daemon.client.request({ path: "/metrics" })), /dplaned_ready 1/);
    for (const path of ["/v1/routes", "/v1/providers", "/v1/fpm", "/", "/openapi.json"]) {
      await readAll(await daemon.client.request({ path }));
    }
    const socket = connect(Number(new URL(daemon.dashboard).port), "127.0.0.1");
    socket.end("GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n");
    // Drift, with the look at who did it; an audit; a reload.
    ns.ip("route", "delete", "10.1.0.0/24");
    const drift = async () => (await daemon!.client.getJson<DplaneJson>("/v1/dplane")).routeUpdates;
    await until("it is repaired", async () => (await drift()) > 5000);
    await readAll(await daemon.client.request({ method: "POST", path: "/v1/audit" }));
    writeFileSync(join(daemon.directory, "dplaned.toml"), `${config}\n[daemon]\nlog-level = "debug"\n`);
    daemon.signal("SIGHUP");
    await until("it is reloaded", () => daemon!.log.includes('"message":"Configuration reloaded"'));
    assert.equal((await daemon.client.getJson<HealthJson>("/healthz")).status, "ok");
    assert.deepEqual(await daemon.stop(), { status: 0, signal: null }, daemon.log);
  });

  it("a call that is not in it would be noticed", { skip }, async () => {
    const less = allowedSyscalls();
    less.delete("bind");
    daemon = new DaemonProcess({ netns: ns.name, wrapper: wrapper(less) });
    assert.deepEqual(await daemon.ended, { status: null, signal: "SIGSYS" });
  });

  it("a client command works", { skip }, async () => {
    const [program, ...args] = [
      ...wrapper(allowedSyscalls()),
      process.env["DPLANED_BINARY"] ?? "dist/dplaned",
      "version",
    ];
    const { status, signal } = await runProgram(program!, args);
    assert.deepEqual([status, signal], [0, null]);
  });
});
