/** What the compiled daemon may do after its start, however much it might before: in every one of its threads. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { chmodSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, afterEach, before, describe, it } from "node:test";
import { BINARY, type DaemonOptions, DaemonProcess } from "../../scripts/daemon_process.ts";
import { daemonSkipReason } from "../support/binary.ts";
import { createNetns, type Netns } from "../support/netns.ts";

const skip =
  daemonSkipReason() ||
  (spawnSync("setpriv", ["--version"]).status === 0 ? false : "no `setpriv` command (package util-linux)");

const NET_ADMIN = 1n << 12n;
const SYS_ADMIN = 1n << 21n;
const NET_BIND_SERVICE = 1n << 10n;

let ns: Netns;
let daemon: DaemonProcess | undefined;
before(() => {
  if (!skip) ns = createNetns();
});
afterEach(async () => {
  await daemon?.stop();
  daemon = undefined;
});
after(() => ns?.delete());

async function start(options: DaemonOptions): Promise<DaemonProcess> {
  daemon = await DaemonProcess.start(options);
  return daemon;
}

/** A line of /proc/PID/task/TID/status, of every thread: each value that there is, once. */
function ofThreads({ pid }: DaemonProcess, field: string): string[] {
  const threads = readdirSync(`/proc/${pid}/task`);
  assert.ok(threads.length >= 3, "main, dataplane and monitor are there");
  const values = threads.map((thread) => {
    const status = readFileSync(`/proc/${pid}/task/${thread}/status`, "latin1");
    return new RegExp(`^${field}:\\s*(.*?)\\s*$`, "m").exec(status)![1]!;
  });
  return [...new Set(values)];
}

function capabilities(bits: bigint): string[] {
  return [bits.toString(16).padStart(16, "0")];
}

function assertConfined(running: DaemonProcess, bits: bigint): void {
  for (const set of ["CapEff", "CapPrm", "CapBnd"]) {
    assert.deepEqual(ofThreads(running, set), capabilities(bits), set);
  }
  assert.deepEqual(ofThreads(running, "NoNewPrivs"), ["1"]);
}

describe("a daemon that is started with all rights", () => {
  it("keeps CAP_NET_ADMIN alone, in all threads and those that are made later", { skip }, async () => {
    const running = await start({ wrapper: ["ip", "netns", "exec", ns.name] });
    assertConfined(running, NET_ADMIN);
    assert.equal(readFileSync(`/proc/${running.pid}/comm`, "latin1").trim(), "dplaned");
    // It still does its work, and does so after each change of a route that needs a right.
    const { status, stderr } = spawnSync(BINARY, [
      "route",
      "install",
      "blackhole",
      "192.0.2.0/24",
      "--socket",
      running.socket,
    ]);
    assert.equal(status, 0, String(stderr));
    assert.match(ns.ip("route", "show", "proto", "210"), /blackhole 192\.0\.2\.0\/24/);
    assertConfined(running, NET_ADMIN);
  });

  it("keeps CAP_SYS_ADMIN where it programs another namespace", { skip }, async () => {
    assertConfined(await start({ netns: ns.name }), NET_ADMIN | SYS_ADMIN);
  });

  it("keeps CAP_NET_BIND_SERVICE where it listens on a port of those", { skip }, async () => {
    const config = '[fpm]\nlisten = "127.0.0.1:262"\n';
    assertConfined(await start({ wrapper: ["ip", "netns", "exec", ns.name], config }), NET_ADMIN | NET_BIND_SERVICE);
  });

  it("does so without the right to change its bounding set, too", { skip }, async () => {
    const wrapper = ["ip", "netns", "exec", ns.name, "setpriv", "--bounding-set=-setpcap"];
    const running = await start({ wrapper });
    assert.deepEqual(ofThreads(running, "CapEff"), capabilities(NET_ADMIN));
    assert.deepEqual(ofThreads(running, "CapPrm"), capabilities(NET_ADMIN));
  });

  it("hides its memory, and with it tokens and keys, from other processes of its user", { skip }, async () => {
    const { pid } = await start({ wrapper: ["ip", "netns", "exec", ns.name] });
    const look = (...wrapper: string[]) => spawnSync(wrapper[0]!, [...wrapper.slice(1), "cat", `/proc/${pid}/environ`]);
    assert.equal(look("env").status, 0, "root with all capabilities may look");
    const { status, stderr } = look("setpriv", "--bounding-set=-all,+net_admin");
    assert.notEqual(status, 0);
    assert.match(String(stderr), /Permission denied/);
  });

  it("is the process that was started, with its arguments and descriptors", { skip }, async () => {
    const running = await start({ netns: ns.name });
    const argv = readFileSync(`/proc/${running.pid}/cmdline`, "latin1").split("\0");
    assert.deepEqual(argv.slice(0, 2), [BINARY, "run"]);
    assert.match(running.log, /"message":"Ready"/);
    running.signal("SIGTERM");
    assert.deepEqual(await running.ended, { status: 0, signal: null });
  });
});

describe("a daemon of an ordinary user", () => {
  it("runs with CAP_NET_ADMIN given to it, and nothing else", { skip }, async () => {
    const directory = mkdtempSync(join(tmpdir(), "dplaned-user-"));
    chmodSync(directory, 0o777);
    try {
      const user = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"];
      const wrapper = ["ip", "netns", "exec", ns.name, ...user, "--inh-caps=+net_admin", "--ambient-caps=+net_admin"];
      daemon = new DaemonProcess({ wrapper, socket: join(directory, "dplaned.sock"), isReadable: true });
      await daemon.ready();
      for (const set of ["CapEff", "CapPrm"]) assert.deepEqual(ofThreads(daemon, set), capabilities(NET_ADMIN), set);
      assert.deepEqual(ofThreads(daemon, "Uid"), ["65534\t65534\t65534\t65534"]);
    } finally {
      await daemon?.stop();
      rmSync(directory, { recursive: true, force: true });
    }
  });
});
