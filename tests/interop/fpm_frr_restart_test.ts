/** Either end of a FPM connection ends and comes again: what must stay stays all the time, and what is stale goes. */
import assert from "node:assert/strict";
import { afterEach, beforeEach, describe, it } from "node:test";
import { type Fib, fibDifferences } from "../support/fib.ts";
import {
  type DaemonReceiver,
  FPM_PORT,
  type FpmConfigOptions,
  receiverSkipReason,
  startDaemon,
} from "../support/fpm_receiver.ts";
import { holdsFib, sameFib } from "../support/fpm_same.ts";
import { createFpmTopology, type FpmTopology, SERVER_ADDRESS } from "../support/fpm_topology.ts";
import { type FpmModule, Frr } from "../support/frr.ts";
import { RouteMonitor } from "../support/route_monitor.ts";
import { until } from "../support/wait.ts";

const MODULES = ["dplane_fpm_nl", "fpm"] as const satisfies readonly FpmModule["name"][];

const ROUTES = [
  "ip route 198.51.100.0/24 10.0.0.2",
  "ip route 203.0.113.0/24 10.0.0.2",
  "ip route 203.0.113.0/24 10.0.1.2",
  "ip route 192.0.2.0/25 blackhole",
  "ipv6 route 2001:db8:f::/48 2001:db8::2",
];
const STALE = "ip route 100.64.0.0/10 10.0.0.2";
const STALE_NAME = "100.64.0.0/10 table 254";
/**
 * staticd and bgpd look for a zebra that is gone only every ten seconds, and until then FPM has nothing of theirs. So long
 * the routes of a sender that was started anew have to be held.
 */
const LONGER_THAN_RECONNECT = "14s";
/** Longer than zebra takes to connect again, which it tries every three seconds, or five with the old module. */
const LONGER_THAN_RETRY = "7s";

const skip = receiverSkipReason("dplaned");

for (const module of MODULES) {
  describe(`dplaned and FRR's ${module}, one of which ends`, () => {
    let topology: FpmTopology;
    let receiver: DaemonReceiver;
    let frr: Frr;
    const same = (expected?: (fib: Fib) => boolean, deadlineMs?: number) =>
      sameFib(topology.a, receiver, expected, deadlineMs);
    const start = async (options: FpmConfigOptions): Promise<Fib> => {
      receiver = await startDaemon(topology.b, options);
      const fpm = { name: module, address: SERVER_ADDRESS, port: FPM_PORT };
      frr = await Frr.start(topology.a, { configs: { staticd: "" }, fpm });
      frr.configure(...ROUTES, STALE);
      return same((fib) => fib.size === 5);
    };
    const deletesIn = async (monitor: RouteMonitor) =>
      (await monitor.take()).filter((line) => line.startsWith("Deleted") && / proto (?:210|dplaned) /.test(line));

    beforeEach(() => {
      if (!skip) topology = createFpmTopology();
    });
    afterEach(async () => {
      await frr?.stop();
      await receiver?.stop();
      topology?.delete();
    });

    it("routing daemon and zebra stopped in FRR's order: the routes go one by one", { skip }, async () => {
      await start({});
      await frr.kill("staticd", "SIGTERM");
      await same((fib) => fib.size === 0);
      await frr.kill("zebra", "SIGTERM");
      assert.equal(receiver.fib().size, 0);
    });

    it("zebra stopped alone: it says nothing, and the routes go when the hold time is over", { skip }, async () => {
      await start({ holdTime: "2s" });
      await frr.kill("zebra", "SIGTERM");
      await holdsFib(receiver, new Map());
      assert.deepEqual(await sameFib(topology.a, receiver), new Map());
    });

    // The old module has zebra, as it starts, tell and take back what its predecessor left in the kernel, or only the first
    // of the two, as it happens: what stays meanwhile is FRR's to say, and only the end is known.
    const tellsTheTruth = module === "dplane_fpm_nl";

    it(`zebra killed and started again: ${tellsTheTruth ? "no route is missing meanwhile, and what it lost goes" : "they agree in the end"}`, {
      skip,
    }, async () => {
      const before = await start({ holdTime: LONGER_THAN_RECONNECT });
      const monitor = await RouteMonitor.start(topology.b);
      try {
        await frr.kill("zebra", "SIGKILL");
        if (tellsTheTruth) frr.configure(`no ${STALE}`);
        await frr.startDaemon("zebra");
        const left = new Map(before);
        if (tellsTheTruth) left.delete(STALE_NAME);
        const isStaleGone = await same((fib) => fibDifferences(left, fib).length === 0, 60_000).then(
          () => true,
          // staticd may lose a command that comes while zebra is away: then FRR keeps the route, and so must the receiver.
          () => same((fib) => fibDifferences(before, fib).length === 0).then(() => false),
        );
        if (!tellsTheTruth || !isStaleGone) return;
        const deleted = await deletesIn(monitor);
        assert.ok(deleted.length > 0, "the stale one goes");
        assert.deepEqual(
          deleted.filter((line) => !line.includes("100.64.0.0/10")),
          [],
        );
      } finally {
        monitor.stop();
      }
    });

    it("the receiver killed and started again: no route is missing meanwhile, and what FRR lost goes", {
      skip,
    }, async () => {
      const before = await start({});
      const monitor = await RouteMonitor.start(topology.b);
      try {
        receiver.daemon.signal("SIGKILL");
        await receiver.stop();
        frr.configure(`no ${STALE}`);
        receiver = await startDaemon(topology.b, { holdTime: "1s", staleTime: LONGER_THAN_RETRY });
        const left = new Map(before);
        left.delete(STALE_NAME);
        await holdsFib(receiver, left, 60_000);
        await same();
        assert.deepEqual(
          (await deletesIn(monitor)).filter((line) => !line.includes("100.64.0.0/10")),
          [],
        );
      } finally {
        monitor.stop();
      }
    });

    it("the connection closed and made again: nothing changes", { skip }, async () => {
      const before = await start({});
      const monitor = await RouteMonitor.start(topology.b);
      try {
        await reconnect(topology);
        await holdsFib(receiver, before);
        assert.deepEqual(await deletesIn(monitor), []);
      } finally {
        monitor.stop();
      }
    });
  });
}

/** Has the connection end, and resolves when there is another one. */
async function reconnect({ a }: FpmTopology): Promise<void> {
  const port = () => /:(\d+) +10\.9\.0\.2:2620/.exec(a.exec("ss", ["-Htn", "state", "established"]))?.[1];
  const before = port();
  a.exec("ss", ["-K", "dst", `${SERVER_ADDRESS}:${FPM_PORT}`]);
  await until("zebra connects again", () => port() !== undefined && port() !== before);
}
