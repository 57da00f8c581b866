/** Providers of one's own in the compiled daemon: written as the guide says, killed, changed and broken, and the examples. */
import assert from "node:assert/strict";
import { chmodSync, cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { afterEach, beforeEach, describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import { WORK_LIMIT_DEFAULT } from "../../core/constants.ts";
import type { ReadyJson, UpdateJson } from "../../core/northbound/api_types.ts";
import type { ProviderJson, ProvidersJson } from "../../core/northbound/provider_types.ts";
import { DaemonProcess } from "../../scripts/daemon_process.ts";
import { daemonSkipReason, runBinary } from "../support/binary.ts";
import { ribRoutes, sendUpdates } from "../support/daemon_routes.ts";
import { addTestLinks, countRoutes } from "../support/kernel_harness.ts";
import { createNetns, type Netns } from "../support/netns.ts";
import { pluginProcesses } from "../support/plugin_host.ts";
import { until } from "../support/wait.ts";

const skip = daemonSkipReason();
const EXAMPLES = fileURLToPath(new URL("../../docs/examples/providers", import.meta.url).href);
const ROUTES = 20_000;
/** Updates that a plugin is given at a time, at most. */
const BATCH_MAX = WORK_LIMIT_DEFAULT;

let ns: Netns;
let folder: string;
let daemon: DaemonProcess | undefined;

beforeEach(() => {
  if (skip) return;
  ns = createNetns();
  addTestLinks(ns);
  folder = mkdtempSync(join(tmpdir(), "dplaned-plugin-"));
});
afterEach(async () => {
  if (skip) return;
  await daemon?.stop();
  daemon = undefined;
  ns.delete();
  rmSync(folder, { recursive: true, force: true });
});

/** Text of `[[provider]]` for a file in the folder. */
function pluginConfig(file: string, keys: Record<string, unknown> = {}, options: Record<string, unknown> = {}): string {
  const lines = (table: Record<string, unknown>): string =>
    Object.entries(table)
      .map(([key, value]) => `${key} = ${JSON.stringify(value)}\n`)
      .join("");
  const all = { kind: "plugin", name: "mine", path: join(folder, file), ...keys };
  return `[[provider]]\n${lines(all)}[provider.options]\n${lines(options)}`;
}

function installExample(file: string): void {
  cpSync(join(EXAMPLES, file), join(folder, file));
  chmodSync(join(folder, file), 0o644);
}

async function start(config: string): Promise<DaemonProcess> {
  daemon = await DaemonProcess.start({ netns: ns.name, config: `[kernel]\naudit-interval = "0s"\n${config}` });
  return daemon;
}

async function mine(): Promise<ProviderJson & { plugin: NonNullable<ProviderJson["plugin"]> }> {
  const { providers } = await daemon!.client.getJson<ProvidersJson>("/v1/providers");
  const found = providers.find(({ name }) => name === "mine")!;
  assert.ok(found.plugin !== undefined);
  return found as ProviderJson & { plugin: NonNullable<ProviderJson["plugin"]> };
}

async function ownMetric(name: string): Promise<number> {
  const { plugin } = await mine();
  return plugin.metrics.find((metric) => metric.name === name)!.value;
}

const readiness = (): Promise<ReadyJson> => daemon!.client.getJson<ReadyJson>("/readyz", {}, [503]);

/** Of `count` routes the lines, each with a prefix of its own that lies in no bogon. */
function routeLines(count: number, op = "add"): string[] {
  return Array.from({ length: count }, (_, index) => {
    const route = `route ${op} 20.${index >> 8}.${index & 255}.0/24`;
    return op === "del" ? route : `${route} via 10.0.0.${2 + (index % 50)} dev v0`;
  });
}

const statuses = ({ results }: Awaited<ReturnType<typeof sendUpdates>>): string[] =>
  results.map(({ status, error, bypassed = [] }) => [status, error?.code, ...bypassed].filter(Boolean).join(" "));

describe("a provider of one's own", () => {
  it("is written, tested, installed, changed and loaded anew as the guide says", { skip }, async () => {
    const init = await runBinary(["provider", "init", "longest", "--dir", folder]);
    assert.equal(init.status, 0, init.stderr);
    const types = await runBinary(["provider", "types"]);
    assert.equal(types.stdout, readFileSync(join(folder, "dplaned.d.ts"), "utf8"));
    const config = pluginConfig("longest.ts", { priority: "pre-kernel" }, { "max-length-ipv4": 24 });
    const path = join(folder, "dplaned.toml");
    writeFileSync(path, config, { mode: 0o640 });
    assert.equal((await runBinary(["check-config", path])).status, 0);

    await start(config);
    const answer = await sendUpdates(daemon!, [
      "route add 20.0.0.0/24 via 10.0.0.2 dev v0",
      "route add 20.0.1.0/25 via 10.0.0.2 dev v0",
    ]);
    const [first, second] = answer.results;
    assert.equal(first!.status, "fib_programmed");
    const { status, error, provider } = second!;
    assert.deepEqual([status, provider], ["fib_failed", "mine"]);
    assert.ok(error !== undefined && error.hint !== undefined, JSON.stringify(error));
    assert.equal(countRoutes(ns, "-4"), 1);
    const shown = await runBinary(["show", "providers", "--socket", daemon!.socket]);
    assert.match(shown.stdout, /plugin .*longest\.ts: pid \d+, \d+M, decided: 2, starts: 1/);

    // A file that is broken leaves the process that runs in its place.
    const file = join(folder, "longest.ts");
    const text = readFileSync(file, "utf8");
    const { plugin: before } = await mine();
    writeFileSync(file, `${text}\nconst broken = = 1;\n`);
    const refused = await runBinary(["provider", "restart", "mine", "--socket", daemon!.socket]);
    assert.equal(refused.status, 1);
    assert.match(refused.stderr, /longest\.ts:\d+:\d+/);
    assert.equal((await mine()).plugin.pid, before.pid);
    writeFileSync(file, "export default { apiVersion: 1, update(u) { u.fail('NO', 'nothing passes', 'wait'); } };\n");
    const restarted = await runBinary(["provider", "restart", "mine", "--socket", daemon!.socket]);
    assert.equal(restarted.status, 0, restarted.stderr);
    assert.notEqual((await mine()).plugin.pid, before.pid);
    const [last] = (await sendUpdates(daemon!, ["route add 20.0.2.0/24 via 10.0.0.2 dev v0"])).results;
    assert.deepEqual(last!.error, { code: "NO", message: "nothing passes", hint: "wait" });
    assert.equal((await readiness()).ready, true);
  });

  it("has no capabilities, none of the daemon's descriptors, and ends with a daemon that is killed", {
    skip,
  }, async () => {
    writeFileSync(join(folder, "idle.mjs"), "export default { apiVersion: 1, update() {} };\n");
    await start(pluginConfig("idle.mjs"));
    const [pid] = pluginProcesses(daemon!.pid);
    assert.equal((await mine()).plugin.pid, pid);
    const status = readFileSync(`/proc/${pid}/status`, "utf8");
    for (const set of ["CapEff", "CapPrm", "CapInh"]) assert.match(status, new RegExp(`^${set}:\\s+0{16}$`, "m"));
    assert.match(status, /^NoNewPrivs:\s+1$/m);
    // The daemon's own threads keep theirs.
    assert.doesNotMatch(readFileSync(`/proc/${daemon!.pid}/status`, "utf8"), /^CapEff:\s+0{16}$/m);
    daemon!.signal("SIGKILL");
    await daemon!.ended;
    await until("it is gone, too", () => pluginProcesses(pid!).length === 0 && !isRunning(pid!));
  });

  it("keeps the daemon from starting where others could write its file, or there is none", { skip }, async () => {
    const path = join(folder, "dplaned.toml");
    writeFileSync(join(folder, "open.ts"), "export default { apiVersion: 1, update() {} };\n");
    chmodSync(join(folder, "open.ts"), 0o666);
    for (const [file, wrong] of [
      ["open.ts", /dplaned\.toml:\d+.*open\.ts.*writ/s],
      ["none.ts", /dplaned\.toml:\d+.*none\.ts.*no such file/s],
    ] as const) {
      writeFileSync(path, pluginConfig(file), { mode: 0o640 });
      const run = await runBinary(["run", "--config", path, "--netns", ns.name]);
      assert.equal(run.status, 2);
      assert.match(run.stderr, wrong);
      const check = await runBinary(["check-config", path]);
      assert.deepEqual([check.status, check.stderr], [1, run.stderr]);
    }
  });
});

function isRunning(pid: number): boolean {
  try {
    return !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, "utf8"));
  } catch {
    return false;
  }
}

describe("a provider of one's own that fails under load", () => {
  /** Members of a plugin that spoils its process once it has had 3,000 updates, in each process anew. */
  const FAILURES = {
    "is killed": "process.kill(process.pid, 'SIGKILL');",
    "loops for ever": "for (;;) {}",
    "throws in each call": "throw new Error('no');",
    "takes all memory": "for (;;) hog.push(new Uint8Array(8 << 20).fill(1));",
  };

  for (const [what, code] of Object.entries(FAILURES)) {
    it(`because it ${what} costs no update, and results say who had no word`, { skip }, async () => {
      writeFileSync(
        join(folder, "bad.ts"),
        `const hog: Uint8Array[] = []; let seen = 0;
         export default { apiVersion: 1, update() { if (++seen > 3000) { hog.length = 0; ${code} } } };\n`,
      );
      writeFileSync(join(folder, "good.ts"), "export default { apiVersion: 1, update() {} };\n");
      const keys = { priority: "pre-kernel", "hang-time": "1s", "memory-limit": "128M" };
      const good = `[[provider]]\nkind = "plugin"\nname = "good"\npath = "${join(folder, "good.ts")}"\n`;
      await start(pluginConfig("bad.ts", keys) + good);
      const { results, summary } = await sendUpdates(daemon!, routeLines(ROUTES));
      assert.equal(results.length, ROUTES);
      assert.equal(summary.fibProgrammed, ROUTES);
      assert.equal(countRoutes(ns, "-4"), ROUTES);
      const bypassed = results.filter((result) => result.bypassed !== undefined);
      assert.equal(summary.bypassed, bypassed.length);
      // What it has decided in the batch in which it goes is lost with it.
      assert.ok(bypassed.length > 0 && bypassed.length <= ROUTES - 3000 + BATCH_MAX, `${bypassed.length}`);
      assert.ok(bypassed.every((result) => result.bypassed!.join() === "mine"));
      const { providers } = await daemon!.client.getJson<ProvidersJson>("/v1/providers");
      const other = providers.find(({ name }) => name === "good")!;
      // Nexthop objects of the daemon's own come by as well, and are not the plugin's to decide.
      const { counters } = other.plugin!;
      assert.deepEqual([other.state, other.errors, counters.decided, counters.bypassed], ["up", 0, ROUTES, 0]);
      assert.ok(other.in >= ROUTES && other.in === other.out, `${other.in} in, ${other.out} out`);
      await until("it is up again", async () => (await mine()).state === "up");
      await until("the daemon is ready again", async () => (await readiness()).ready);
      assert.deepEqual(statuses(await sendUpdates(daemon!, ["route add 21.0.0.0/24 via 10.0.0.2 dev v0"])), [
        "fib_programmed",
      ]);
      assert.equal((await daemon!.stop()).status, 0);
      daemon = undefined;
    });
  }
});

describe("the examples of providers in the daemon", () => {
  it("the filter refuses bogons; while it is gone its routes fail, and are tried again when it is back", {
    skip,
  }, async () => {
    installExample("prefix_filter.ts");
    const keys = { priority: "pre-kernel", "fail-closed": true };
    await start(pluginConfig("prefix_filter.ts", keys, { "max-length-ipv4": 24 }));
    const lines = [
      "route add 20.0.0.0/24 via 10.0.0.2 dev v0",
      "route add 192.168.7.0/24 via 10.0.0.2 dev v0",
      "route add 20.1.0.0/25 via 10.0.0.2 dev v0",
      "route add 2001:db8:7::/48 via 2001:db8::2 dev v0",
    ];
    const refusals = ["fib_failed PREFIX_DENIED", "fib_failed PREFIX_TOO_LONG", "fib_failed PREFIX_DENIED"];
    assert.deepEqual(statuses(await sendUpdates(daemon!, lines)), ["fib_programmed", ...refusals]);
    await until("it has counted them", async () => (await ownMetric("permitted")) === 1);
    assert.equal(await ownMetric("denied"), 3);
    const { pid } = (await mine()).plugin;
    process.kill(pid!, "SIGKILL");
    await until("it is noticed", async () => (await mine()).state === "failed");
    const { ready, reasons } = await readiness();
    assert.equal(ready, false);
    assert.ok(
      reasons.some((reason) => reason.includes("mine")),
      reasons.join(),
    );
    const closed = await sendUpdates(daemon!, ["route add 20.2.0.0/24 via 10.0.0.2 dev v0"]);
    assert.deepEqual(statuses(closed), ["fib_failed NO_VERDICT"]);
    assert.equal(countRoutes(ns, "-4"), 1);
    await until("the route is there after all", () => countRoutes(ns, "-4") === 2);
    assert.equal((await mine()).state, "up");
    assert.ok((await readiness()).ready);
    const held = (await ribRoutes(daemon!)).filter(({ status }) => status === "fib_programmed");
    assert.deepEqual(held.map(({ prefix }) => prefix).sort(), ["20.0.0.0/24", "20.2.0.0/24"]);
  });

  it("the webhook has the right table in the end, however long its receiver was away", { skip }, async () => {
    installExample("webhook.ts");
    const table = new Map<string, UpdateJson>();
    let isDown = false;
    let first = 0;
    const server = await listen((text) => {
      if (isDown) return 503;
      const body = JSON.parse(text) as { first: boolean; changes: UpdateJson[] };
      if (body.first) {
        table.clear();
        first += 1;
      }
      for (const change of body.changes) {
        if (change.op === "delete") table.delete(change.prefix);
        else table.set(change.prefix, change);
      }
      return 204;
    });
    try {
      const { port } = server.address() as AddressInfo;
      await start(pluginConfig("webhook.ts", {}, { url: `http://127.0.0.1:${port}/fib` }));
      await sendUpdates(daemon!, routeLines(3000));
      await until("the receiver has them all", () => table.size === 3000);
      isDown = true;
      // None of these waits for the receiver.
      await sendUpdates(daemon!, routeLines(2000, "del"));
      const changed = await sendUpdates(daemon!, [
        "route replace 20.11.0.0/24 via 10.0.0.77 dev v0",
        ...routeLines(100),
      ]);
      assert.equal(changed.summary.fibProgrammed, 101);
      await until("it is told so", async () => (await ownMetric("failing")) === 1);
      assert.equal((await readiness()).ready, true);
      isDown = false;
      const wanted = (await ribRoutes(daemon!)).map(({ prefix, nexthops }) => `${prefix} ${nexthops![0]!.via}`).sort();
      const held = (): string[] => [...table.values()].map(({ prefix, nexthops }) => `${prefix} ${nexthops![0]!.via}`);
      await until("the receiver has the table", () => held().sort().join() === wanted.join(), 60_000);
      assert.equal(wanted.length, 1100);
      assert.ok(wanted.includes("20.11.0.0/24 10.0.0.77"));
      assert.equal(first, 1);
      assert.ok((await ownMetric("failures")) > 0);
    } finally {
      server.closeAllConnections();
      server.close();
    }
  });

  it("the file of routes with several nexthops follows their groups, too", { skip }, async () => {
    installExample("ecmp_file.ts");
    const file = join(folder, "ecmp.json");
    await start(pluginConfig("ecmp_file.ts", {}, { file, "delay-ms": 20 }));
    const shares = (): string[] => {
      try {
        const { routes } = JSON.parse(readFileSync(file, "utf8")) as {
          routes: { prefix: string; nexthops: { via: string; share: number }[] }[];
        };
        return routes
          .map(({ prefix, nexthops }) => `${prefix} ${nexthops.map(({ via, share }) => `${via}:${share}`).join(" ")}`)
          .sort();
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code === "ENOENT") return [];
        throw error;
      }
    };
    const setGroup = async (members: object[]): Promise<void> => {
      const headers = { "content-type": "application/json" };
      const body = JSON.stringify({ members });
      const response = await daemon!.client.request({ method: "PUT", path: "/v1/nexthop-groups/7", headers, body });
      for await (const _ of response);
    };
    await setGroup([
      { via: "10.0.0.2", dev: "v0", weight: 1 },
      { via: "10.0.1.2", dev: "v2", weight: 3 },
    ]);
    await sendUpdates(daemon!, [
      "route add 20.0.0.0/24 nhid 7",
      "route add 20.0.1.0/24 nexthop via 10.0.0.3 dev v0 weight 1 nexthop via 10.0.1.3 dev v2 weight 1",
      "route add 20.0.2.0/24 via 10.0.0.4 dev v0",
    ]);
    const own = "20.0.1.0/24 10.0.0.3:0.5 10.0.1.3:0.5";
    await until("both are there", () => shares().join() === `20.0.0.0/24 10.0.0.2:0.25 10.0.1.2:0.75,${own}`);
    await setGroup([
      { via: "10.0.0.9", dev: "v0", weight: 1 },
      { via: "10.0.1.9", dev: "v2", weight: 1 },
    ]);
    await until("the group's is another", () => shares().join() === `20.0.0.0/24 10.0.0.9:0.5 10.0.1.9:0.5,${own}`);
    await sendUpdates(daemon!, ["route del 20.0.1.0/24"]);
    await until("it is gone", () => shares().join() === "20.0.0.0/24 10.0.0.9:0.5 10.0.1.9:0.5");
  });
});

/** Answers posts with the status that `take` returns of their bodies. */
async function listen(take: (text: string) => number): Promise<Server> {
  const server = createServer((request, response) => {
    let text = "";
    request.setEncoding("utf8").on("data", (chunk: string) => {
      text += chunk;
    });
    request.on("end", () => response.writeHead(take(text)).end());
  });
  await new Promise<void>((listening) => server.listen(0, "127.0.0.1", listening));
  return server;
}
