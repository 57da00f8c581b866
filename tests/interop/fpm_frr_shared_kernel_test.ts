/**
 * zebra and dplaned on one kernel: what FRR has is never touched and no loop arises, unless that is asked for; and the ways
 * in which both can live there, or with dplaned programming another namespace than the one it listens in.
 */
import assert from "node:assert/strict";
import { afterEach, beforeEach, describe, it } from "node:test";
import type { FpmJson, FpmPeerJson } from "../../core/northbound/api_types.ts";
import { DaemonProcess } from "../../scripts/daemon_process.ts";
import { type Fib, fibDifferences, has, readFib } from "../support/fib.ts";
import { FPM_PORT, fpmConfig, receiverSkipReason } from "../support/fpm_receiver.ts";
import { customerLinks } from "../support/fpm_topology.ts";
import { Frr } from "../support/frr.ts";
import { createNetns, type Netns } from "../support/netns.ts";
import { RouteMonitor } from "../support/route_monitor.ts";
import { until } from "../support/wait.ts";

const skip = receiverSkipReason("dplaned");
const LOOPBACK = "127.0.0.1";
const ROUTES = ["ip route 198.51.100.0/24 10.0.0.2", "ip route 192.0.2.0/25 blackhole"];
const MAIN = { "198.51.100.0/24 table 254": "10.0.0.2@v0*1", "192.0.2.0/25 table 254": "type 6" };
const OWN = { "198.51.100.0/24 table 100": "10.0.0.2@v0*1", "192.0.2.0/25 table 100": "type 6" };
const WATCH_MS = 2000;
/** A few for what FRR and dplaned have still to say; a loop makes hundreds. */
const NOTIFICATIONS_MAX = 4;

describe("zebra and dplaned on one kernel", () => {
  let ns: Netns;
  let daemon: DaemonProcess | undefined;
  let frr: Frr | undefined;

  beforeEach(() => {
    if (skip) return;
    ns = createNetns();
    ns.ipBatch(customerLinks());
  });
  afterEach(async () => {
    await frr?.stop();
    await daemon?.stop();
    ns?.delete();
    daemon = undefined;
    frr = undefined;
  });

  const start = async (more: readonly string[], netns?: string): Promise<void> => {
    const config = fpmConfig({ listen: LOOPBACK, peer: LOOPBACK, more });
    const wrapper = ["ip", "netns", "exec", ns.name];
    daemon = await DaemonProcess.start({ wrapper, config, ...(netns === undefined ? {} : { netns }) });
    const fpm = { name: "dplane_fpm_nl", address: LOOPBACK, port: FPM_PORT } as const;
    frr = await Frr.start(ns, { configs: { staticd: "" }, fpm });
    await until("zebra has connected", async () => (await peer())?.state !== undefined);
    frr.configure(...ROUTES);
  };
  const peer = async (): Promise<FpmPeerJson | undefined> =>
    (await daemon!.client.getJson<FpmJson>("/v1/fpm")).server?.peers[0];
  const becomes = async (wanted: Record<string, string>, fib: () => Fib = () => readFib(ns)): Promise<void> => {
    let differences: string[] = [];
    const whole = new Map(Object.entries(wanted));
    try {
      await until("the kernel holds what it should", () => {
        differences = fibDifferences(whole, fib());
        return differences.length === 0;
      });
    } catch (error) {
      throw new Error(`${(error as Error).message}: ${differences.join("\n")}\n${daemon!.log}`, { cause: error });
    }
  };
  /** What the kernel announces in two seconds. */
  const watch = async (): Promise<string[]> => {
    const monitor = await RouteMonitor.start(ns);
    try {
      const end = performance.now() + WATCH_MS;
      await until("the time is over", () => performance.now() > end);
      return await monitor.take();
    } finally {
      monitor.stop();
    }
  };

  it("by default refuses what would land beside FRR's own, and says the way out", { skip }, async () => {
    await start([]);
    await becomes(MAIN);
    await until("both are refused", async () => ((await peer())?.ignored.sharedKernel ?? 0) >= 2);
    assert.match(daemon!.log, /programs the same kernel.*table-map.*metric.*namespace/);
    const announced = await watch();
    assert.ok(announced.length <= NOTIFICATIONS_MAX, announced.join("\n"));
    await becomes(MAIN);
    assert.equal(ns.ip("route", "show", "table", "all", "proto", "210"), "");
  });

  it("in a table of its own has FRR's routes, and follows when they go", { skip }, async () => {
    await start(['table-map = ["254=100"]']);
    await becomes({ ...MAIN, ...OWN });
    const announced = await watch();
    assert.ok(announced.length <= NOTIFICATIONS_MAX, announced.join("\n"));
    assert.match(frr!.vtysh("show ip route 198.51.100.0/24"), /Known via "static"/);
    frr!.configure(`no ${ROUTES[1]}`);
    await until("both are gone", () =>
      has({ "192.0.2.0/25 table 254": undefined, "192.0.2.0/25 table 100": undefined })(readFib(ns)),
    );
  });

  it("at a high metric stands behind FRR's routes, in the same table", { skip }, async () => {
    await start(["metric = 4278198272"]);
    const doubled = Object.fromEntries(Object.entries(MAIN).map(([name, leads]) => [name, `${leads} and ${leads}`]));
    await becomes(doubled);
    const announced = await watch();
    assert.ok(announced.length <= NOTIFICATIONS_MAX, announced.join("\n"));
    assert.match(frr!.vtysh("show ip route 198.51.100.0/24"), /Known via "static".*best/s);
    frr!.configure(...ROUTES.map((route) => `no ${route}`));
    await becomes({});
  });

  it("would go round for ever, where that is allowed at a better metric than FRR's", { skip }, async () => {
    await start(['shared-kernel = "allow"', "metric = 10"]);
    const announced = await watch();
    assert.ok(announced.length > 10 * NOTIFICATIONS_MAX, `${announced.length}: ${announced.join("\n")}`);
  });

  it("listens beside FRR and programs another namespace", { skip }, async () => {
    const other = createNetns();
    try {
      other.ipBatch(customerLinks());
      await start([], other.name);
      await becomes(MAIN);
      await becomes(MAIN, () => readFib(other));
      assert.equal((await peer())?.ignored.sharedKernel, 0);
    } finally {
      await daemon?.stop();
      other.delete();
    }
  });
});
