/** The compiled daemon killed, stopped and started again: its routes stay, are claimed or swept, and no packet is lost. */
import assert from "node:assert/strict";
import { afterEach, beforeEach, describe, it } from "node:test";
import type { HealthJson, SyncSummaryJson } from "../../core/northbound/api_types.ts";
import { readLines } from "../../core/northbound/cli/client.ts";
import { DaemonProcess } from "../../scripts/daemon_process.ts";
import { daemonSkipReason } from "../support/binary.ts";
import { agreement, ribRoutes, sendUpdates } from "../support/daemon_routes.ts";
import { addTestLinks } from "../support/kernel_harness.ts";
import { createNetns, type Netns } from "../support/netns.ts";
import { RouteMonitor } from "../support/route_monitor.ts";
import { until } from "../support/wait.ts";

const skip = daemonSkipReason();
const CONFIG = '[kernel]\naudit-interval = "0s"\nstale-time = "1h"\n';
const BOTH = new Map([[7, "10.0.0.2@v0 10.0.1.2@v2"]]);
const ROUTES = [
  "route add 198.51.100.0/24 via 10.0.0.2 dev v0",
  "route add 203.0.113.0/24 via 10.0.0.2",
  "route add 192.0.2.0/24 nhid 7",
  "route add 2001:db8:99::/48 nexthop via 2001:db8::2 dev v0 nexthop via 2001:db8:1::2 dev v2 weight 3",
  "route add blackhole 2001:db8:aaaa::/48",
  "route add unreachable 100.64.0.0/10 table 100",
];

describe("a daemon that starts again", () => {
  let ns: Netns;
  let daemon: DaemonProcess;
  const start = async (config = CONFIG): Promise<void> => {
    daemon = await DaemonProcess.start({ netns: ns.name, config });
  };
  const kill = async (): Promise<void> => {
    daemon.signal("SIGKILL");
    await daemon.ended;
    await daemon.stop();
  };
  const setGroup = async (): Promise<void> => {
    const members = [
      { via: "10.0.0.2", dev: "v0" },
      { via: "10.0.1.2", dev: "v2" },
    ];
    const headers = { "content-type": "application/json" };
    const body = JSON.stringify({ members });
    const response = await daemon.client.request({ method: "PUT", path: "/v1/nexthop-groups/7", headers, body });
    for await (const line of readLines(response)) assert.match(line, /fib_programmed/);
  };
  const sync = (lines: readonly string[], owner = "bgp") =>
    sendUpdates(daemon, lines, { method: "PUT", path: `/v1/owners/${owner}/routes` });

  beforeEach(async () => {
    if (skip) return;
    ns = createNetns();
    addTestLinks(ns);
    await start();
    await setGroup();
    const { summary } = await sendUpdates(daemon, ROUTES, { owner: "bgp" });
    assert.equal(summary.fibProgrammed, ROUTES.length);
  });
  afterEach(async () => {
    if (skip) return;
    await daemon.stop();
    ns.delete();
  });

  for (const [how, end] of [
    ["killed", kill],
    ["stopped in order", async () => void (await daemon.stop())],
  ] as const) {
    it(`${how}: adopts its routes and groups, has its owner claim them, and writes nothing`, { skip }, async () => {
      await end();
      const monitor = await RouteMonitor.start(ns);
      try {
        await start();
        const adopted = await ribRoutes(daemon);
        assert.deepEqual(
          adopted.map(({ owner, status }) => [owner, status]),
          ROUTES.map(() => ["", "fib_programmed"]),
        );
        await setGroup();
        const { summary } = await sync(ROUTES);
        assert.deepEqual(
          [summary.received, summary.unchanged, summary.installed, summary.updated, summary.deleted],
          [ROUTES.length, ROUTES.length, 0, 0, 0],
        );
        assert.deepEqual(
          (await ribRoutes(daemon)).map(({ owner }) => owner),
          ROUTES.map(() => "bgp"),
        );
        // A link's own address may be announced still, when the kernel has made sure that nobody else has it.
        const ours = (await monitor.take()).filter((line) => line.includes("proto 210"));
        assert.deepEqual(ours, [], "the kernel was told nothing");
        assert.deepEqual(await agreement(daemon, ns, BOTH), []);
      } finally {
        monitor.stop();
      }
    });
  }

  it("changes what the next sync changes, in place, and takes away the rest when the stale time is over", {
    skip,
  }, async () => {
    await kill();
    await start('[kernel]\nstale-time = "3s"\naudit-interval = "0s"\n');
    const monitor = await RouteMonitor.start(ns);
    try {
      const { summary } = await sync([
        "route add 198.51.100.0/24 via 10.0.0.3 dev v0",
        "route add 198.18.0.0/15 via 10.0.0.2",
      ]);
      assert.deepEqual(
        [summary.unchanged, summary.installed, summary.updated, summary.deleted],
        [0, 2, 0, 0],
        "neither was its own before",
      );
      await until("what nobody claimed is gone", async () => (await ribRoutes(daemon)).length === 2);
      assert.deepEqual(await agreement(daemon, ns), []);
      await until("its nexthop objects are gone", () => ns.ipJson("nexthop").length === 0);
      const deleted = (await monitor.take()).filter((line) => line.startsWith("Deleted"));
      assert.equal(deleted.filter((line) => line.includes("198.51.100.0/24")).length, 0, "replaced in place");
    } finally {
      monitor.stop();
    }
  });

  it("does not take away in the middle of a sync what the sync is about to claim", { skip }, async () => {
    await kill();
    await start('[kernel]\nstale-time = "500ms"\naudit-interval = "0s"\n');
    const monitor = await RouteMonitor.start(ns);
    const [first, ...rest] = ROUTES.slice(0, 2).map((line) => Buffer.from(`${line}\n`));
    async function* body(): AsyncGenerator<Uint8Array> {
      yield first!;
      await until("the stale time is over", async () => {
        const { uptimeSeconds } = await daemon.client.getJson<HealthJson>("/healthz");
        return uptimeSeconds >= 2;
      });
      yield* rest;
    }
    try {
      const headers = { "content-type": "text/x-iproute2" };
      const path = "/v1/owners/bgp/routes";
      const response = await daemon.client.request({ method: "PUT", path, headers, body: body() });
      const [line] = await Array.fromAsync(readLines(response));
      assert.equal((JSON.parse(line!) as { summary: SyncSummaryJson }).summary.unchanged, 2);
      await until("the rest is gone", async () => (await ribRoutes(daemon)).length === 2);
      const deleted = (await monitor.take()).filter((each) => each.startsWith("Deleted"));
      assert.ok(deleted.length > 0);
      assert.deepEqual(
        deleted.filter((each) => /198\.51\.100\.0|203\.0\.113\.0/.test(each)),
        [],
      );
    } finally {
      monitor.stop();
    }
  });

  it("sweeps what an owner's tables hold at the end of its sync, without waiting for the stale time", {
    skip,
  }, async () => {
    await kill();
    await start(`${CONFIG}[[owner]]\nname = "ddos"\ntables = [100]\n`);
    const { summary } = await sync(["route add unreachable 100.65.0.0/16 table 100"], "ddos");
    assert.equal(summary.installed, 1);
    await until("the stale one is gone", () => !ns.ip("route", "show", "table", "100").includes("100.64.0.0/10"));
    assert.equal(
      (await ribRoutes(daemon)).filter(({ owner }) => owner === "").length,
      ROUTES.length - 1,
      "others stay",
    );
  });

  it("a second daemon's routes, of another protocol, are left alone", { skip }, async () => {
    await kill();
    await start('[kernel]\nprotocol = 211\nstale-time = "0s"\n');
    const { summary } = await sync(["route add 198.18.0.0/15 via 10.0.0.2"]);
    assert.equal(summary.installed, 1);
    assert.equal(ns.ipJson("route", "show", "proto", "210").length, 3);
    assert.equal(ns.ipJson("nexthop").length, 3);
  });
});
