/**
 * The compiled daemon against everything that takes routes out of the kernel behind its back: after each disturbance the
 * kernel and the RIB agree again, and no route goes that should have stayed.
 */
import assert from "node:assert/strict";
import { afterEach, beforeEach, describe, it } from "node:test";
import type { AuditStatusJson, RouteHistoryJson, RouteJson, RouteListJson } from "../../core/northbound/api_types.ts";
import { readLines } from "../../core/northbound/cli/client.ts";
import { DaemonProcess } from "../../scripts/daemon_process.ts";
import { daemonSkipReason } from "../support/binary.ts";
import { agreement, sendUpdates } from "../support/daemon_routes.ts";
import { addTestLinks } from "../support/kernel_harness.ts";
import { createNetns, type Netns } from "../support/netns.ts";
import { RouteMonitor } from "../support/route_monitor.ts";
import { until } from "../support/wait.ts";

const skip = daemonSkipReason();
/** No reading by the clock: what is repaired here is repaired because it was noticed. */
const CONFIG = '[kernel]\naudit-interval = "0s"\n';

describe("a daemon whose routes others take away", () => {
  let ns: Netns;
  let daemon: DaemonProcess;
  let monitor: RouteMonitor;

  beforeEach(async () => {
    if (skip) return;
    ns = createNetns();
    addTestLinks(ns);
    daemon = await DaemonProcess.start({ netns: ns.name, config: CONFIG });
    monitor = await RouteMonitor.start(ns);
  });
  afterEach(async () => {
    if (skip) return;
    monitor.stop();
    await daemon.stop();
    ns.delete();
  });

  const install = async (...lines: string[]): Promise<void> => {
    const { summary } = await sendUpdates(
      daemon,
      lines.map((line) => `route add ${line}`),
    );
    assert.equal(summary.fibProgrammed, lines.length, JSON.stringify(summary));
  };
  const routes = async (): Promise<RouteJson[]> => (await daemon.client.getJson<RouteListJson>("/v1/routes")).routes;
  const statusOf = async (prefix: string): Promise<string> => {
    const route = (await routes()).find((each) => each.prefix === prefix);
    return `${route?.status}${route?.waitingFor === undefined ? "" : `, waiting for ${route.waitingFor}`}`;
  };
  const programmed = async (...prefixes: string[]): Promise<void> => {
    await until(`${prefixes} are programmed`, async () => {
      const held = await routes();
      return prefixes.every((prefix) => held.find((route) => route.prefix === prefix)?.status === "fib_programmed");
    });
    assert.deepEqual(await agreement(daemon, ns), []);
  };
  const deleted = async (): Promise<string[]> => (await monitor.take()).filter((line) => line.startsWith("Deleted"));

  it("brings back a route that somebody deletes, IPv4 and IPv6", { skip }, async () => {
    await install("198.51.100.0/24 via 10.0.0.2 dev v0", "2001:db8:99::/48 via 2001:db8::2 dev v0");
    ns.ip("route", "del", "198.51.100.0/24", "metric", "20");
    ns.ip("-6", "route", "del", "2001:db8:99::/48", "metric", "20");
    await until("both are back", () => {
      const all = ns.ip("route") + ns.ip("-6", "route");
      return all.includes("198.51.100.0/24") && all.includes("2001:db8:99::/48");
    });
    await programmed("198.51.100.0/24", "2001:db8:99::/48");
    assert.equal((await deleted()).length, 2, "only what the test deleted");
  });

  it("puts right what somebody changes in place", { skip }, async () => {
    await install("198.51.100.0/24 via 10.0.0.2 dev v0", "2001:db8:99::/48 via 2001:db8::2 dev v0");
    ns.ip("route", "change", "198.51.100.0/24", "via", "10.0.1.9", "metric", "20", "proto", "210");
    ns.ip("-6", "route", "change", "2001:db8:99::/48", "via", "2001:db8:1::9", "metric", "20", "proto", "210");
    await until("both lead where they should", () => {
      const all = ns.ip("route") + ns.ip("-6", "route");
      return all.includes("198.51.100.0/24 via 10.0.0.2") && all.includes("2001:db8:99::/48 via 2001:db8::2");
    });
    await programmed("198.51.100.0/24", "2001:db8:99::/48");
    assert.deepEqual(await deleted(), []);
  });

  it("removes a route of its protocol that nobody asked for, and leaves others' routes alone", { skip }, async () => {
    await install("198.51.100.0/24 via 10.0.0.2 dev v0");
    ns.ip("route", "add", "203.0.113.0/24", "via", "10.0.0.2", "proto", "bird");
    ns.ip("route", "add", "192.0.2.0/24", "via", "10.0.0.2", "proto", "210");
    await until("it is gone", () => !ns.ip("route").includes("192.0.2.0/24"));
    assert.match(ns.ip("route"), /203\.0\.113\.0\/24/);
    await programmed("198.51.100.0/24");
  });

  it("link down and up: single routes wait for the link and come back, IPv4 and IPv6", { skip }, async () => {
    await install(
      "198.51.100.0/24 via 10.0.0.2 dev v0",
      "2001:db8:99::/48 via 2001:db8::2 dev v0",
      "192.0.2.0/24 via 10.0.1.2 dev v2",
    );
    ns.ip("link", "set", "v0", "down");
    await until("both are known to be gone", async () =>
      (await Promise.all(["198.51.100.0/24", "2001:db8:99::/48"].map(statusOf))).every(
        (status) => status === "fib_failed, waiting for link v0",
      ),
    );
    assert.equal(await statusOf("192.0.2.0/24"), "fib_programmed");
    assert.deepEqual(await agreement(daemon, ns), []);
    ns.ip("link", "set", "v0", "up");
    // The kernel takes the link's IPv6 addresses along.
    ns.ip("address", "replace", "2001:db8::1/64", "dev", "v0", "nodad");
    await programmed("198.51.100.0/24", "2001:db8:99::/48", "192.0.2.0/24");
    assert.ok((await deleted()).every((line) => !line.includes("192.0.2.0/24")));
  });

  it("a link that flaps again and again is nobody's fight: its routes never wait", { skip }, async () => {
    await install("198.51.100.0/24 via 10.0.0.2 dev v0");
    for (let flap = 0; flap < 4; flap++) {
      ns.ip("link", "set", "v0", "down");
      await until("it is known to be gone", async () => (await statusOf("198.51.100.0/24")).startsWith("fib_failed"));
      ns.ip("link", "set", "v0", "up");
      await programmed("198.51.100.0/24");
    }
    const { routes: told } = await daemon.client.getJson<RouteHistoryJson>("/v1/routes/history", {
      prefix: "198.51.100.0/24",
    });
    const entries = told[0]!.entries.filter(({ event }) => event === "drift" || event === "repair_delayed");
    assert.ok(entries.length >= 4);
    for (const { event, text } of entries)
      assert.match(`${event}: ${text}`, /^drift: the kernel with (link v1, )?link v0/);
  });

  it("does not have a new route wait for a fight over one that is gone", { skip }, async () => {
    const repairsPutOff = async (prefix: string): Promise<number> => {
      const { routes: told } = await daemon.client.getJson<RouteHistoryJson>("/v1/routes/history", { prefix });
      return told.flatMap(({ entries }) => entries).filter(({ event }) => event === "repair_delayed").length;
    };
    await install("198.51.100.0/24 via 10.0.0.2 dev v0");
    for (let times = 0; times < 2; times++) {
      ns.ip("route", "del", "198.51.100.0/24", "metric", "20");
      await until("it is back", () => ns.ip("route").includes("198.51.100.0/24"));
    }
    await programmed("198.51.100.0/24");
    assert.equal(await repairsPutOff("198.51.100.0/24"), 1);
    await sendUpdates(daemon, ["route del 198.51.100.0/24"]);
    await install("203.0.113.0/24 via 10.0.0.2 dev v0");
    ns.ip("route", "del", "203.0.113.0/24", "metric", "20");
    await until("it is back", () => ns.ip("route").includes("203.0.113.0/24"));
    await programmed("203.0.113.0/24");
    assert.equal(await repairsPutOff("203.0.113.0/24"), 0);
  });

  it("carrier lost and back: what the kernel took away comes back", { skip }, async () => {
    await install("198.51.100.0/24 via 10.0.0.2 dev v0", "2001:db8:99::/48 via 2001:db8::2 dev v0");
    ns.ip("link", "set", "v1", "down");
    await until("the carrier is gone", () => ns.ip("link", "show", "v0").includes("NO-CARRIER"));
    ns.ip("link", "set", "v1", "up");
    await programmed("198.51.100.0/24", "2001:db8:99::/48");
  });

  it("IPv4 multipath over a link that goes down and up is left to the kernel", { skip }, async () => {
    await install("198.51.100.0/24 nexthop via 10.0.0.2 dev v0 nexthop via 10.0.1.2 dev v2");
    ns.ip("link", "set", "v0", "down");
    await until("one nexthop is dead", () => ns.ip("route").includes("dead"));
    ns.ip("link", "set", "v0", "up");
    await programmed("198.51.100.0/24");
    const [route] = ns.ipJson("route", "show", "198.51.100.0/24");
    assert.deepEqual(
      route.nexthops.map(({ gateway }: { gateway: string }) => gateway),
      ["10.0.0.2", "10.0.1.2"],
    );
    assert.deepEqual(await deleted().then((lines) => lines.filter((line) => line.includes("198.51.100.0/24"))), []);
  });

  it("last IPv4 address removed and added again: routes wait for an address and come back", { skip }, async () => {
    await install("198.51.100.0/24 via 10.0.0.2 dev v0");
    ns.ip("address", "del", "10.0.0.1/24", "dev", "v0");
    await until("it is known to be gone", async () =>
      (await statusOf("198.51.100.0/24")).startsWith("fib_failed, waiting for"),
    );
    assert.match(await statusOf("198.51.100.0/24"), /waiting for gateway 10\.0\.0\.2/);
    assert.deepEqual(await agreement(daemon, ns), []);
    ns.ip("address", "add", "10.0.0.1/24", "dev", "v0");
    await programmed("198.51.100.0/24");
  });

  it("IPv6 address removed: routes stay, untouched", { skip }, async () => {
    await install("2001:db8:99::/48 via fe80::2 dev v0");
    ns.ip("-6", "address", "del", "2001:db8::1/64", "dev", "v0");
    await until("it is gone", () => !ns.ip("-6", "address").includes("2001:db8::1/64"));
    await programmed("2001:db8:99::/48");
    assert.deepEqual(
      (await deleted()).filter((line) => line.includes("2001:db8:99::/48")),
      [],
    );
  });

  it("the address to send from removed and added again: routes wait for it and come back", { skip }, async () => {
    const lines = [
      "198.51.100.0/24 via 10.0.1.2 dev v2 src 10.0.0.9",
      "2001:db8:99::/48 via fe80::2 dev v2 src 2001:db8::9",
    ];
    const addresses = ["10.0.0.9/32 dev v0", "2001:db8::9/128 dev v0 nodad"];
    ns.ipBatch(addresses.map((address) => `address add ${address}`));
    await install(...lines);
    // With it the kernel drops the IPv4 route, and takes the address out of the IPv6 one. Neither is told.
    ns.ipBatch(addresses.map((address) => `address del ${address.replace(" nodad", "")}`));
    await until("both wait for the address", async () => {
      const [ipv4, ipv6] = await Promise.all(["198.51.100.0/24", "2001:db8:99::/48"].map(statusOf));
      return (
        ipv4 === "fib_failed, waiting for address 10.0.0.9" && ipv6 === "fib_failed, waiting for address 2001:db8::9"
      );
    });
    ns.ipBatch(addresses.map((address) => `address add ${address}`));
    await programmed("198.51.100.0/24", "2001:db8:99::/48");
    assert.match(ns.ip("-6", "route", "show", "2001:db8:99::/48"), /src 2001:db8::9/);
  });

  for (const [what, off, on, waiting] of [
    [
      "IPv6 switched off and on",
      () => ns.exec("sysctl", ["-qw", "net.ipv6.conf.v0.disable_ipv6=1"]),
      () => ns.exec("sysctl", ["-qw", "net.ipv6.conf.v0.disable_ipv6=0"]),
      "IPv6 on v0",
    ],
    [
      "an MTU too small for IPv6",
      () => ns.ip("link", "set", "v0", "mtu", "1200"),
      () => ns.ip("link", "set", "v0", "mtu", "1500"),
      "link v0",
    ],
  ] as const) {
    it(`${what}: its routes wait and come back, IPv4 ones stay`, { skip }, async () => {
      await install("198.51.100.0/24 via 10.0.0.2 dev v0", "2001:db8:99::/48 via fe80::2 dev v0");
      off();
      await until(
        "it waits",
        async () => (await statusOf("2001:db8:99::/48")) === `fib_failed, waiting for ${waiting}`,
      );
      assert.deepEqual(await agreement(daemon, ns), []);
      on();
      await programmed("198.51.100.0/24", "2001:db8:99::/48");
      assert.deepEqual(
        (await deleted()).filter((line) => line.includes("198.51.100.0/24")),
        [],
      );
    });
  }

  it("an interface that is deleted: its routes are known to be gone", { skip }, async () => {
    await install("198.51.100.0/24 via 10.0.1.2 dev v2");
    ns.ip("link", "del", "v2");
    await until("it is known to be gone", async () =>
      (await statusOf("198.51.100.0/24")).startsWith("fib_failed, waiting for link"),
    );
    assert.deepEqual(await agreement(daemon, ns), []);
  });

  it("an interface that is made again under its name: its routes and groups go over the new one", {
    skip,
  }, async () => {
    await setGroup(7, ...ECMP);
    await install("198.51.100.0/24 via 10.0.1.2 dev v2", "192.0.2.0/24 nhid 7", "203.0.113.0/24 via 10.0.0.2 dev v0");
    const before = ns.ipJson("link", "show", "v2")[0].ifindex;
    ns.ip("link", "del", "v2");
    await until("it is known to be gone", async () => (await statusOf("198.51.100.0/24")).startsWith("fib_failed"));
    ns.ipBatch([
      "link add v4 type veth peer name v5",
      "link set v4 name v2",
      "link set v5 up",
      "link set v2 up",
      "address add 10.0.1.1/24 dev v2",
    ]);
    assert.notEqual(ns.ipJson("link", "show", "v2")[0].ifindex, before);
    await until("all is as it was", async () => (await statusOf("198.51.100.0/24")) === "fib_programmed");
    await until("the group has both members", async () => (await agreement(daemon, ns, BOTH)).length === 0);
  });

  it("a foreign route in the way is refused by name, never touched, and made way for when it goes", {
    skip,
  }, async () => {
    ns.ip("route", "add", "203.0.113.0/24", "via", "10.0.0.9", "metric", "20", "proto", "bird");
    const { results } = await sendUpdates(daemon, ["route add 203.0.113.0/24 via 10.0.0.2 dev v0"]);
    assert.equal(results[0]!.error?.code, "EEXIST");
    assert.match(results[0]!.error!.message, /bird/);
    assert.match(ns.ip("route", "show", "203.0.113.0/24"), /via 10\.0\.0\.9 .*proto bird/);
    assert.equal(await statusOf("203.0.113.0/24"), "fib_failed, waiting for foreign route");
    ns.ip("route", "del", "203.0.113.0/24", "metric", "20");
    await programmed("203.0.113.0/24");
    assert.match(ns.ip("route", "show", "203.0.113.0/24"), /via 10\.0\.0\.2/);
  });

  it("a foreign route that the kernel drops with an interface's last address, makes way too", { skip }, async () => {
    ns.ip("route", "add", "203.0.113.0/24", "via", "10.0.1.9", "metric", "20", "proto", "bird");
    const { results } = await sendUpdates(daemon, ["route add 203.0.113.0/24 via 10.0.0.2 dev v0"]);
    assert.equal(results[0]!.error?.code, "EEXIST");
    ns.ip("address", "del", "10.0.1.1/24", "dev", "v2");
    await programmed("203.0.113.0/24");
  });

  it("somebody who replaces a route with its own keeps it, and the daemon says so", { skip }, async () => {
    await install("203.0.113.0/24 via 10.0.0.2 dev v0");
    ns.ip("route", "replace", "203.0.113.0/24", "via", "10.0.0.9", "metric", "20", "proto", "bird");
    await until(
      "it is noticed",
      async () => (await statusOf("203.0.113.0/24")) === "fib_failed, waiting for foreign route",
    );
    assert.match(ns.ip("route", "show", "203.0.113.0/24"), /via 10\.0\.0\.9 .*proto bird/);
    ns.ip("route", "del", "203.0.113.0/24", "metric", "20");
    await programmed("203.0.113.0/24");
  });

  it("backs off when somebody deletes a route again and again", { skip }, async () => {
    await install("203.0.113.0/24 via 10.0.0.2 dev v0");
    for (let time = 0; time < 4; time++) {
      await until("it is there", () => ns.ip("route").includes("203.0.113.0/24"));
      ns.ip("route", "del", "203.0.113.0/24", "metric", "20");
      await until(
        "it is noticed",
        async () =>
          (await statusOf("203.0.113.0/24")) !== "fib_programmed" || ns.ip("route").includes("203.0.113.0/24"),
      );
    }
    await until("the repair waits", async () => /waiting for repair/.test(await statusOf("203.0.113.0/24")));
    await programmed("203.0.113.0/24");
  });

  const setGroup = async (id: number, ...members: Record<string, unknown>[]): Promise<void> => {
    const body = JSON.stringify({ members });
    const headers = { "content-type": "application/json" };
    const response = await daemon.client.request({ method: "PUT", path: `/v1/nexthop-groups/${id}`, headers, body });
    for await (const line of readLines(response)) assert.match(line, /fib_programmed/);
  };
  const ECMP = [
    { via: "10.0.0.2", dev: "v0" },
    { via: "10.0.1.2", dev: "v2" },
  ];
  const BOTH = new Map([[7, "10.0.0.2@v0 10.0.1.2@v2"]]);
  const GROUPED = ["198.51.100.0/24", "192.0.2.0/24"];
  const grouped = async (): Promise<void> => {
    await until("kernel and RIB agree", async () => {
      const held = await routes();
      const areUp = GROUPED.every(
        (prefix) => held.find((route) => route.prefix === prefix)?.status === "fib_programmed",
      );
      return areUp && (await agreement(daemon, ns, BOTH)).length === 0;
    });
    const groups = ns.ipJson("nexthop").filter(({ group }) => group !== undefined);
    assert.deepEqual(
      groups.map(({ group }) => group.length),
      [2],
      "one group of both members, and no other",
    );
    assert.equal(ns.ipJson("nexthop").length, 3, "no orphan");
  };

  for (const [what, disturb] of [
    ["ip nexthop flush", () => ns.ip("nexthop", "flush")],
    ["a member deleted", () => ns.ip("nexthop", "del", "id", String(memberIds()[0]))],
    ["all members deleted", () => memberIds().map((id) => ns.ip("nexthop", "del", "id", String(id)))],
    ["the group deleted", () => ns.ip("nexthop", "del", "id", String(groupId()))],
    ["the group changed", () => ns.ip("nexthop", "replace", "id", String(groupId()), "group", String(memberIds()[0]))],
  ] as const) {
    it(`brings back a nexthop group and its routes: ${what}`, { skip }, async () => {
      await setGroup(7, ...ECMP);
      await install(...GROUPED.map((prefix) => `${prefix} nhid 7`));
      await grouped();
      disturb();
      await grouped();
    });
  }
  const memberIds = (): number[] =>
    ns
      .ipJson("nexthop")
      .filter(({ group }) => group === undefined)
      .map(({ id }) => id);
  const groupId = (): number => ns.ipJson("nexthop").find(({ group }) => group !== undefined).id;

  it("a group regains the member whose link was down, and its routes never go", { skip }, async () => {
    await setGroup(7, ...ECMP);
    await install(...GROUPED.map((prefix) => `${prefix} nhid 7`));
    await monitor.take();
    ns.ip("link", "set", "v0", "down");
    await until("one member is left", () => ns.ipJson("nexthop").find(({ group }) => group)?.group.length === 1);
    ns.ip("link", "set", "v0", "up");
    await grouped();
    const gone = (await deleted()).filter((line) => GROUPED.some((prefix) => line.includes(prefix)));
    assert.deepEqual(gone, []);
  });

  it("a group without a usable member waits for a link, and its routes come back with it", { skip }, async () => {
    await setGroup(7, ...ECMP);
    await install(...GROUPED.map((prefix) => `${prefix} nhid 7`));
    ns.ip("link", "set", "v0", "down");
    ns.ip("link", "set", "v2", "down");
    await until("the routes are known to be gone", async () => (await statusOf(GROUPED[0]!)) !== "fib_programmed");
    assert.equal(await statusOf(GROUPED[0]!), "rib_programmed, waiting for nexthop-group 7");
    assert.deepEqual(await agreement(daemon, ns, BOTH), []);
    ns.ip("link", "set", "v0", "up");
    ns.ip("link", "set", "v2", "up");
    await grouped();
  });

  it("notifications lost in a flood: everything agrees again", { skip }, async () => {
    const lines = Array.from(
      { length: 2000 },
      (_, index) => `172.16.${index >> 8}.${index & 255}/32 via 10.0.0.2 dev v0`,
    );
    await install(...lines);
    // A daemon that does not run for a while hears more than its sockets hold.
    daemon.signal("SIGSTOP");
    const churn = Array.from({ length: 40_000 }, (_, index) => {
      const prefix = `172.${20 + (index >> 16)}.${(index >> 8) & 255}.${index & 255}/32`;
      return `route add ${prefix} via 10.0.0.2 dev v0 proto 210 metric 20`;
    });
    ns.ipBatch(churn);
    // `ip route flush` is refused for routes by nexthop objects: it sends back what it was given, both object and nexthops.
    ns.ipBatch(lines.map((line) => `route del ${line.split(" ")[0]} proto 210`));
    daemon.signal("SIGCONT");
    await until(
      "the kernel holds what it should",
      async () => {
        const held = ns.ip("route", "show", "proto", "210").split("\n").length - 1;
        return held === lines.length && (await agreement(daemon, ns)).length === 0;
      },
      60_000,
    );
    assert.ok(daemon.running);
    const { overruns } = await daemon.client.getJson<AuditStatusJson>("/v1/audit");
    assert.ok(overruns > 0, "there were more than its sockets hold");
  });
});
