/**
 * Faults on the real thing: the compiled daemon with the kernel of the machine, while threads die, disks are full, descriptors
 * and memory run out and notifications are lost. It loses no result, says what is the matter, and comes back.
 */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { join } from "node:path";
import { afterEach, beforeEach, describe, it } from "node:test";
import type { DplaneJson, HealthJson } from "../../core/northbound/api_types.ts";
import { ApiClient, readLines } from "../../core/northbound/cli/client.ts";
import type { ProvidersJson } from "../../core/northbound/provider_types.ts";
import { Prng } from "../../core/prng.ts";
import { type DaemonOptions, DaemonProcess } from "../../scripts/daemon_process.ts";
import { daemonSkipReason } from "../support/binary.ts";
import { agreement, sendUpdates } from "../support/daemon_routes.ts";
import { SmallDisk } from "../support/full_disk.ts";
import { addTestLinks } from "../support/kernel_harness.ts";
import { MemoryLimit, memoryLimitSkipReason } from "../support/memory_limit.ts";
import { createNetns, type Netns } from "../support/netns.ts";
import { until } from "../support/wait.ts";

const skip = daemonSkipReason();
const needsLimit = skip || memoryLimitSkipReason();
const needsPrlimit =
  skip || (spawnSync("prlimit", ["--version"]).status === 0 ? false : "no `prlimit` command (package util-linux)");
/** FAULT_SEED repeats the moments of a run. */
const SEED = Number(process.env["FAULT_SEED"] ?? Date.now() & 0x7fff_ffff);

let ns: Netns;
let daemon: DaemonProcess;
const sockets: Socket[] = [];

beforeEach(() => {
  if (skip) return;
  ns = createNetns();
  addTestLinks(ns);
});
afterEach(async () => {
  for (const socket of sockets.splice(0)) socket.destroy();
  await daemon?.stop();
  ns?.delete();
});

async function start(options: Omit<DaemonOptions, "netns"> = {}): Promise<void> {
  daemon = await DaemonProcess.start({ netns: ns.name, ...options });
}

const gateway = (number: number): string => (number % 2 === 0 ? "10.0.0.2" : "10.0.1.2");
const prefix = (number: number): string => `10.${100 + (number >> 16)}.${(number >> 8) & 255}.${number & 255}/32`;
const routeLines = (count: number, shift = 0, first = 0): string[] =>
  Array.from(
    { length: count },
    (_, number) => `route add ${prefix(first + number)} via ${gateway(first + number + shift)}`,
  );

const dplane = (): Promise<DplaneJson> => daemon.client.getJson<DplaneJson>("/v1/dplane");
const health = (): Promise<HealthJson> => daemon.client.getJson<HealthJson>("/healthz", {}, [503]);

/** Every context is free again, and the RIB says of the kernel what is so. */
async function assertSound(): Promise<void> {
  await until("all contexts are free", async () => {
    const { pool } = await dplane();
    return pool.free === pool.size;
  });
  // What failed is tried again, and a provider that dies under that has more of it tried again.
  let differences: string[] = [];
  await until(
    () => `kernel and RIB agree: ${differences.slice(0, 5).join("; ")}`,
    async () => {
      differences = await agreement(daemon, ns);
      return differences.length === 0;
    },
    60_000,
  );
}

function kernelCount(): number {
  return ns.ip("-4", "route", "show", "proto", "210").split("\n").length - 1;
}

describe("the daemon is killed", () => {
  it(`at random moments under load (FAULT_SEED=${SEED}): routes stay, and the next one makes them right`, {
    skip,
  }, async () => {
    const prng = new Prng(SEED);
    const count = 20_000;
    const put = { method: "PUT", path: "/v1/owners/bgp/routes" } as const;
    await start();
    const { summary } = await sendUpdates(daemon, routeLines(count), { owner: "bgp" });
    assert.equal(summary.fibProgrammed, count);
    for (let round = 1; round <= 5; round++) {
      const broken = sendUpdates(daemon, routeLines(count, round), put).then(
        () => false,
        () => true,
      );
      const timer = setTimeout(() => daemon.signal("SIGKILL"), 20 + prng.below(400));
      await daemon.ended;
      clearTimeout(timer);
      await broken;
      // Replaced in place: with the daemon gone there is not one less.
      assert.equal(kernelCount(), count);
      await daemon.stop();
      await start();
      const again = await sendUpdates(daemon, routeLines(count, round), put);
      assert.equal(again.results.filter(({ status }) => status !== "fib_programmed").length, 0);
      await assertSound();
      assert.equal(kernelCount(), count);
    }
  });
});

describe("a thread ends", () => {
  const provider = (options: string, threaded = false): string =>
    `[[provider]]\nname = "faulty"\nkind = "test"\npriority = "pre-kernel"\nthreaded = ${threaded}\n${options}\n`;

  it("the dataplane's, under load: each update has one result, and the kernel is what they say", { skip }, async () => {
    // Three deaths within 20,000 updates, as many as there may be in a minute.
    await start({ config: provider("die-after = 6000") });
    const count = 20_000;
    const { results, summary } = await sendUpdates(daemon, routeLines(count));
    assert.equal(results.length, count);
    assert.equal(summary.fibProgrammed, count);
    assert.equal((await dplane()).restarts, 3);
    assert.equal((await health()).status, "ok");
    await assertSound();
  });

  it("a provider's own, again and again: what it held fails, the rest goes on, and it comes back", {
    skip,
  }, async () => {
    await start({ config: provider("die-after = 3000", true) });
    const count = 20_000;
    const { results, summary } = await sendUpdates(daemon, routeLines(count));
    assert.equal(results.length, count);
    assert.equal(summary.fibProgrammed + summary.fibFailed, count);
    assert.ok(summary.fibFailed > 0);
    for (const { status, error } of results) if (status === "fib_failed") assert.equal(error?.code, "THREAD_DIED");
    const states = async () => (await daemon.client.getJson<ProvidersJson>("/v1/providers")).providers;
    await until("it is up again", async () => (await states()).every(({ state }) => state === "up"), 60_000);
    assert.equal((await dplane()).restarts, 0);
    await assertSound();
  });

  it("a provider's own is stuck: it is ended, and nobody waits for ever", { skip }, async () => {
    await start({ config: provider("stuck-after = 2000", true) });
    const { results } = await sendUpdates(daemon, routeLines(4000));
    assert.equal(results.length, 4000);
    assert.match(daemon.log, /Provider is stuck; its thread is ended/);
    await assertSound();
  });

  for (const withdraws of [false, true]) {
    const how = withdraws ? ", also with withdraw-on-exit" : "";
    it(`the dataplane's, again and again: it says so, and exits with its routes kept${how}`, { skip }, async () => {
      await start({ config: `[daemon]\nwithdraw-on-exit = ${withdraws}\n${provider("die-after = 2000")}` });
      const { summary } = await sendUpdates(daemon, routeLines(1500));
      assert.equal(summary.fibProgrammed, 1500);
      const load = sendUpdates(daemon, routeLines(20_000, 1));
      await until("health is red", async () => (await health()).status === "failed");
      const { results } = await load;
      assert.equal(results.length, 20_000, "every update has its result all the same");
      assert.deepEqual(await daemon.ended, { status: 1, signal: null });
      assert.match(daemon.log, /The daemon cannot go on and ends; its routes stay in the kernel/);
      assert.ok(kernelCount() >= 1500);
    });
  }
});

describe("a disk is full", () => {
  let disk: SmallDisk | undefined;
  afterEach(async () => {
    await daemon?.stop();
    disk?.delete();
    disk = undefined;
  });

  it("that of the log: the daemon goes on, and says afterwards how many lines are missing", { skip }, async () => {
    disk = new SmallDisk(256);
    const file = join(disk.path, "log");
    await start({ wrapper: ["sh", "-c", `exec "$@" 2>>${file}`, "sh"], config: '[daemon]\nlog-level = "debug"\n' });
    disk.fill();
    // A page of the file is its own already, and takes some more lines.
    for (let reload = 0; reload < 80; reload++) {
      daemon.signal("SIGHUP");
      const { summary } = await sendUpdates(daemon, routeLines(100, reload));
      assert.equal(summary.fibProgrammed, 100);
    }
    assert.equal((await health()).status, "ok");
    disk.free();
    daemon.signal("SIGHUP");
    await until("it logs again", () => /"lost":\d+/.test(readFileSync(file, "utf8")));
    await assertSound();
  });

  it("that of a recording: updates fail with the reason and are taken back, and work when there is room", {
    skip,
  }, async () => {
    disk = new SmallDisk(256);
    const file = join(disk.path, "tape");
    await start({ config: `[[provider]]\nname = "tape"\nkind = "record"\npath = "${file}"\n` });
    const first = await sendUpdates(daemon, routeLines(200));
    assert.equal(first.summary.fibProgrammed, 200);
    disk.fill();
    const second = await sendUpdates(daemon, routeLines(3000, 0, 1000));
    assert.equal(second.results.length, 3000);
    const failed = second.results.filter(({ status }) => status === "fib_failed");
    assert.ok(failed.length > 2000, `${failed.length} failed`);
    for (const { error, provider } of failed) assert.match(`${provider} ${error?.message}`, /^tape .*ENOSPC/);
    await assertSound();
    disk.free();
    const third = await sendUpdates(daemon, routeLines(1000, 1));
    assert.equal(third.summary.fibProgrammed, 1000);
    await assertSound();
    for (const line of readFileSync(file, "utf8").trimEnd().split("\n")) JSON.parse(line);
  });
});

describe("descriptors run out", () => {
  it("because of clients: those that are served stay so, the kernel is kept true, and the rest come later", {
    skip: needsPrlimit,
  }, async () => {
    await start({ wrapper: ["prlimit", "--nofile=120:120"], config: '[kernel]\naudit-interval = "1s"\n' });
    await sendUpdates(daemon, routeLines(100));
    const response = await daemon.client.request({ path: "/v1/events", query: { types: "drift" } });
    let events = "";
    response.on("data", (piece) => {
      events += String(piece);
    });
    response.on("error", () => {});
    const clients = Array.from({ length: 300 }, () => connect(daemon.socket));
    for (const client of clients) {
      client.on("error", () => {});
      sockets.push(client);
    }
    await until("no descriptor is left", () => openDescriptors(daemon.pid) >= 119);
    ns.ip("route", "delete", prefix(5));
    // The socket that reads the kernel cannot be opened now; what it would find is found afterwards.
    await until("it is said", () => /The kernel could not be read|drift/.test(daemon.log + events));
    for (const client of clients) client.destroy();
    await until("it is served again", async () => (await health().catch(() => null))?.status === "ok");
    await until("the route is back", () => ns.ip("route", "show", prefix(5)) !== "");
    const { summary } = await sendUpdates(daemon, routeLines(100, 1));
    assert.equal(summary.fibProgrammed, 100);
    assert.equal(daemon.running, true);
    response.destroy();
    await assertSound();
  });
});

function openDescriptors(pid: number): number {
  return Number(spawnSync("sh", ["-c", `ls /proc/${pid}/fd | wc -l`], { encoding: "utf8" }).stdout);
}

describe("memory runs out", () => {
  it("and the kernel ends the daemon: its routes stay, and the next one has them", { skip: needsLimit }, async () => {
    const limit = MemoryLimit.create(96 << 20);
    try {
      await start({ wrapper: limit.wrapper });
      await sendUpdates(daemon, routeLines(1000));
      // More than it has room for: each route has attributes of its own.
      const load = async (): Promise<void> => {
        for (let round = 0; round < 40; round++) {
          const lines = Array.from({ length: 20_000 }, (_, index) => {
            const number = round * 20_000 + index;
            return `route add ${prefix(number)} via ${gateway(number)} mtu ${1280 + (number % 60_000)}`;
          });
          await sendUpdates(daemon, lines);
        }
      };
      await load().catch(() => {});
      const end = await daemon.ended;
      assert.equal(end.signal, "SIGKILL", daemon.log);
      assert.ok(limit.kills >= 1);
      const before = kernelCount();
      assert.ok(before >= 1000);
      await daemon.stop();
      await start();
      assert.equal(kernelCount(), before);
      await assertSound();
    } finally {
      await daemon.stop();
      limit.delete();
    }
  });
});

describe("notifications of the kernel are lost", () => {
  it("while the daemon stands still: it finds out what it missed", { skip }, async () => {
    await start();
    await sendUpdates(daemon, routeLines(500));
    const response = await daemon.client.request({ path: "/v1/events", query: { types: "kernel" } });
    response.on("error", () => {});
    response.resume();
    daemon.signal("SIGSTOP");
    // More than the sockets hold: each route that comes and goes is two messages.
    const lines = Array.from(
      { length: 60_000 },
      (_, number) => `route add ${prefix(100_000 + number)} via 10.0.0.2 proto 99`,
    );
    ns.ipBatch(lines);
    ns.ipBatch(lines.map((line) => line.replace(" add ", " del ")));
    ns.ip("route", "delete", prefix(7));
    ns.ip("link", "add", "late0", "type", "veth", "peer", "name", "late1");
    daemon.signal("SIGCONT");
    await until("it says so", () => daemon.log.includes("Notifications of the kernel were lost"), 60_000);
    await until("what was taken away is back", () => ns.ip("route", "show", prefix(7)) !== "", 60_000);
    ns.ip("address", "add", "10.9.0.1/24", "dev", "late0");
    ns.ip("link", "set", "late0", "up");
    ns.ip("link", "set", "late1", "up");
    const { results } = await sendUpdates(daemon, ["route add 198.51.100.0/24 via 10.9.0.2 dev late0"]);
    assert.equal(results[0]?.status, "fib_programmed", JSON.stringify(results));
    response.destroy();
    await assertSound();
  });
});

describe("a thousand clients at once", () => {
  it("each an owner with updates of its own: every one has its results, and probes are answered", {
    skip,
  }, async () => {
    await start();
    const before = daemon.memoryBytes("VmRSS");
    const clients = 1000;
    const each = 20;
    const send = async (client: number): Promise<number> => {
      const numbers = Array.from({ length: each }, (_, index) => client * each + index);
      const response = await new ApiClient(daemon.socket).request({
        method: "POST",
        path: "/v1/routes",
        query: { owner: `client-${client}` },
        headers: { "content-type": "text/x-iproute2" },
        body: numbers.map((number) => `route add ${prefix(number)} via ${gateway(number)}\n`).join(""),
      });
      let programmed = 0;
      for await (const line of readLines(response)) if (line.includes('"status":"fib_programmed"')) programmed += 1;
      return programmed;
    };
    let isDone = false;
    let probes = 0;
    const probing = (async () => {
      while (!isDone) {
        assert.equal((await health()).status, "ok");
        probes += 1;
      }
    })();
    const programmed = await Promise.all(Array.from({ length: clients }, (_, client) => send(client)));
    isDone = true;
    await probing;
    assert.deepEqual(new Set(programmed), new Set([each]));
    assert.ok(probes > 0);
    assert.equal(kernelCount(), clients * each);
    assert.ok(daemon.memoryBytes("VmRSS") - before < 200 << 20);
    await assertSound();
  });
});
