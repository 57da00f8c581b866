/** The compiled daemon with many routes over the same nexthops, which are objects in the kernel then. */
import assert from "node:assert/strict";
import { afterEach, beforeEach, describe, it } from "node:test";
import { SHARED_ROUTES_MIN } from "../../core/constants.ts";
import type { NexthopGroupsJson } from "../../core/northbound/api_types.ts";
import { readAll } from "../../core/northbound/cli/client.ts";
import { DaemonProcess } from "../../scripts/daemon_process.ts";
import { daemonSkipReason } from "../support/binary.ts";
import { ChangeCounter, NO_CHANGES } from "../support/change_counter.ts";
import { agreement, ribRoutes, sendUpdates } from "../support/daemon_routes.ts";
import { addTestLinks } from "../support/kernel_harness.ts";
import { createNetns, type Netns } from "../support/netns.ts";
import { until } from "../support/wait.ts";

const skip = daemonSkipReason();
const CONFIG = '[kernel]\naudit-interval = "0s"\nstale-time = "1h"\n';
const ROUTES = 400;
/** IPv4, IPv6, several nexthops, IPv4 over IPv6, and what an object cannot stand for. */
const KINDS: readonly ((index: number) => string)[] = [
  (index) => `route add 198.18.${index >> 6}.${(index & 63) << 2}/30 via 10.0.0.2 dev v0`,
  (index) => `route add 2001:db8:a:${index.toString(16)}::/64 via 2001:db8::2 dev v0`,
  (index) =>
    `route add 198.19.${index >> 6}.${(index & 63) << 2}/30 nexthop via 10.0.0.2 dev v0 nexthop via 10.0.1.2 dev v2 weight 3`,
  (index) =>
    `route add 2001:db8:b:${index.toString(16)}::/64 nexthop via 2001:db8::2 dev v0 nexthop via 2001:db8:1::2 dev v2`,
  (index) => `route add 203.0.${index >> 8}.${index & 255}/32 via inet6 2001:db8::2 dev v0 table 100`,
  (index) => `route add 100.${64 + (index >> 8)}.${index & 255}.0/24 via 10.0.0.2 dev v0 mtu 1400`,
  (index) => `route add 100.${70 + (index >> 8)}.${index & 255}.0/24 via 10.0.0.2 dev v0 metric 0`,
  (index) => `route add 100.${80 + (index >> 8)}.${index & 255}.0/24 dev v0`,
];
/** The routes by which there come to be many over the same nexthops, and those that come when there are. */
const FIRST = KINDS.flatMap((make) => Array.from({ length: SHARED_ROUTES_MIN + 16 }, (_, index) => make(index)));
const REST = KINDS.flatMap((make) =>
  Array.from({ length: ROUTES }, (_, index) => make(SHARED_ROUTES_MIN + 16 + index)),
);
const LINES = [...FIRST, ...REST];
const DELETES = LINES.map((line) =>
  line.replace("add", "del").replace(/ (?:via|dev|nexthop) .*?(?= table| metric|$)/, ""),
);

describe("many routes over the same nexthops", () => {
  let ns: Netns;
  let daemon: DaemonProcess;
  const objects = (): number => (skip ? 0 : ns.ipJson("nexthop", "show", "proto", "210").length);
  const byObject = (family: "-4" | "-6"): number =>
    ns.ipJson(family, "route", "show", "table", "all", "proto", "210").filter(({ nhid }) => nhid !== undefined).length;
  const differences = (): Promise<string[]> => agreement(daemon, ns);
  const isWhole = async (): Promise<boolean> => {
    const programmed = (await ribRoutes(daemon)).filter(({ status }) => status === "fib_programmed");
    return programmed.length === LINES.length && (await differences()).length === 0;
  };
  const start = async (): Promise<void> => {
    daemon = await DaemonProcess.start({ netns: ns.name, config: CONFIG });
  };

  beforeEach(async () => {
    if (skip) return;
    ns = createNetns();
    addTestLinks(ns);
    await start();
    const first = await sendUpdates(daemon, FIRST, { owner: "bgp" });
    assert.equal(first.summary.fibProgrammed, FIRST.length);
    // Four sets of nexthops, IPv4 over IPv6 being one of those of IPv6; and a single object for each nexthop of theirs.
    await until("the objects are there", () => objects() === 8);
    const rest = await sendUpdates(daemon, REST, { owner: "bgp" });
    assert.equal(rest.summary.fibProgrammed, REST.length);
  });
  afterEach(async () => {
    if (skip) return;
    await daemon.stop();
    ns.delete();
  });

  it("are on a few objects, which nobody but the kernel sees", { skip }, async () => {
    const [ipv4, ipv6] = [byObject("-4"), byObject("-6")];
    assert.ok(ipv4 >= 3 * ROUTES && ipv4 < 3 * (ROUTES + 32), `${ipv4} IPv4 routes are by objects`);
    assert.ok(ipv6 >= 2 * ROUTES && ipv6 < 2 * (ROUTES + 32), `${ipv6} IPv6 routes are by objects`);
    assert.deepEqual(await differences(), []);
    assert.deepEqual((await daemon.client.getJson<NexthopGroupsJson>("/v1/nexthop-groups")).nexthopGroups, []);
    const audit = JSON.parse(await readAll(await daemon.client.request({ method: "POST", path: "/v1/audit" })));
    const { missing, changed, unexpected, nexthops } = audit;
    assert.deepEqual([missing, changed, unexpected, nexthops], [0, 0, 0, 0]);
  });

  it("leave no object behind when they are withdrawn", { skip }, async () => {
    const { summary } = await sendUpdates(daemon, DELETES, { owner: "bgp" });
    assert.equal(summary.fibProgrammed, LINES.length);
    await until("the objects are gone", () => objects() === 0);
    assert.deepEqual(await differences(), []);
  });

  for (const [what, disturb] of [
    ["`ip nexthop flush`", () => ns.ip("nexthop", "flush", "proto", "210")],
    [
      "a link that goes down and up",
      () => ns.ipBatch(["link set v0 down", "link set v0 up", "address replace 2001:db8::1/64 dev v0 nodad"]),
    ],
    [
      "an object that somebody makes another",
      () => {
        const single = ns.ipJson("nexthop", "show", "proto", "210").find(({ gateway }) => gateway === "10.0.0.2");
        ns.ip("nexthop", "replace", "id", String(single!.id), "via", "10.0.0.77", "dev", "v0", "proto", "210");
      },
    ],
  ] as const) {
    it(`come back after ${what}`, { skip }, async () => {
      disturb();
      // With nothing to hear of it, nothing would be repaired: audits are off.
      await until("all routes are there again", isWhole);
      const { summary } = await sendUpdates(daemon, LINES, { owner: "bgp" });
      assert.equal(summary.fibProgrammed, LINES.length);
      assert.deepEqual(await differences(), []);
    });
  }

  it("are adopted and claimed without a write, and their objects with them", { skip }, async () => {
    const before = objects();
    daemon.signal("SIGKILL");
    await daemon.ended;
    await daemon.stop();
    const counter = new ChangeCounter(ns);
    try {
      await start();
      assert.deepEqual(await differences(), []);
      const { summary } = await sendUpdates(daemon, LINES, { method: "PUT", path: "/v1/owners/bgp/routes" });
      assert.deepEqual(
        [summary.unchanged, summary.installed, summary.updated, summary.deleted],
        [LINES.length, 0, 0, 0],
      );
      assert.deepEqual(counter.take(), NO_CHANGES);
      // New ones go by the objects of the earlier life.
      const more = Array.from({ length: 200 }, (_, index) => `route add 192.0.2.${index}/32 via 10.0.0.2 dev v0`);
      await sendUpdates(daemon, more, { owner: "bgp" });
      assert.equal(objects(), before);
      await sendUpdates(daemon, [], { method: "PUT", path: "/v1/owners/bgp/routes" });
      await until("the objects are gone", () => objects() === 0);
      assert.deepEqual(await differences(), []);
    } finally {
      counter.close();
    }
  });
});
