/** The compiled daemon exporting to an FPM server: all of it, changes of it, and what it adopts after it was killed. */
import assert from "node:assert/strict";
import { afterEach, beforeEach, describe, it } from "node:test";
import { readLines } from "../../core/northbound/cli/client.ts";
import { DaemonProcess } from "../../scripts/daemon_process.ts";
import { daemonSkipReason } from "../support/binary.ts";
import { agreement, ribRoutes, sendUpdates } from "../support/daemon_routes.ts";
import { FpmPeer } from "../support/fpm_peer.ts";
import { addTestLinks } from "../support/kernel_harness.ts";
import { createNetns, type Netns } from "../support/netns.ts";
import { until } from "../support/wait.ts";

const skip = daemonSkipReason();
const ROUTES = 20_000;
const TYPES: Readonly<Record<string, number>> = { blackhole: 6, unreachable: 7, prohibit: 8, throw: 9 };

const prefixOf = (number: number) => `100.${64 + (number >> 14)}.${(number >> 6) & 255}.${(number & 63) * 4}/30`;

describe("a daemon with an FPM client", () => {
  let ns: Netns;
  let peer: FpmPeer;
  let daemon: DaemonProcess;
  let groups = new Map<number, string>();

  const start = async (more = ""): Promise<void> => {
    const provider = `[[provider]]\nkind = "fpm"\nname = "export"\naddress = "127.0.0.1:${peer.port}"\n${more}`;
    const config = `[kernel]\naudit-interval = "0s"\nstale-time = "1h"\n${provider}`;
    daemon = await DaemonProcess.start({ netns: ns.name, config });
  };
  const setGroup = async (number: number, members: { via: string; dev: string; weight?: number }[]): Promise<void> => {
    const headers = { "content-type": "application/json" };
    const body = JSON.stringify({ members });
    const response = await daemon.client.request({
      method: "PUT",
      path: `/v1/nexthop-groups/${number}`,
      headers,
      body,
    });
    for await (const line of readLines(response)) assert.match(line, /fib_programmed/);
    const index = linkIndexes();
    const hops = members.map(({ via, dev, weight = 1 }) => `${index.get(dev)}.${via}*${weight}`);
    groups.set(number, hops.sort().join(" "));
  };
  const linkIndexes = (): Map<string, number> =>
    new Map(ns.ipJson("link").map(({ ifname, ifindex }) => [ifname as string, ifindex as number]));

  /** Where the server's table differs from what the RIB says is programmed, at most a few lines. */
  const differences = async (table: (number: number) => number = (number) => number): Promise<string[]> => {
    const found = peer.table();
    const index = linkIndexes();
    const lines: string[] = [];
    for (const route of await ribRoutes(daemon)) {
      if (route.status !== "fib_programmed") continue;
      const { prefix, metric, type, nexthops = [], nexthopGroup } = route;
      const key = `${prefix} table ${table(route.table)} metric ${metric}`;
      const inline = nexthops.map(({ via = "-", dev = "", weight = 1 }) => `${index.get(dev) ?? 0}.${via}*${weight}`);
      const byGroup = nexthopGroup === undefined ? undefined : groups.get(nexthopGroup);
      const wanted = type === "unicast" ? (byGroup ?? inline.sort().join(" ")) : `type ${TYPES[type]}`;
      // What was adopted names the kernel's object, and not the client's group.
      const isSame = nexthopGroup !== undefined && byGroup === undefined ? found.has(key) : found.get(key) === wanted;
      if (!isSame) lines.push(`${key}: wanted ${wanted}, found ${found.get(key)}`);
      found.delete(key);
    }
    for (const key of found.keys()) lines.push(`${key}: not wanted`);
    return lines.slice(0, 5);
  };
  const agreed = async (): Promise<void> => {
    let last: string[] = [];
    try {
      const isSame = async (): Promise<boolean> => {
        last = await differences();
        return last.length === 0;
      };
      await until("the server has it all", isSame, 60_000);
    } catch (error) {
      assert.fail(`${error}: ${last.join("\n")}\n${daemon.log.slice(-2000)}`);
    }
    assert.deepEqual(peer.errors.slice(0, 5), []);
  };
  const metric = async (name: string): Promise<number> => {
    const response = await daemon.client.request({ path: "/metrics" });
    for await (const line of readLines(response)) {
      if (line.startsWith(`dplaned_fpm_client_${name}{client="export"`)) return Number(line.split(" ").pop());
    }
    throw new Error(`There is no metric ${name}`);
  };

  beforeEach(async () => {
    if (skip) return;
    ns = createNetns();
    addTestLinks(ns);
    groups = new Map();
    peer = await FpmPeer.start();
  });
  afterEach(async () => {
    if (skip) return;
    await daemon.stop();
    await peer.vanish();
    ns.delete();
  });

  it("exports 20,000 routes and their changes, and all that it adopts after it was killed", { skip }, async () => {
    await start();
    await setGroup(7, [
      { via: "10.0.0.2", dev: "v0" },
      { via: "10.0.1.2", dev: "v2", weight: 3 },
    ]);
    await setGroup(8, [{ via: "10.0.1.2", dev: "v2" }]);
    const lines = Array.from({ length: ROUTES }, (_, number) => {
      const prefix = prefixOf(number);
      if (number % 4 === 0) return `route add ${prefix} nhid ${number % 8 === 0 ? 7 : 8}`;
      if (number % 4 === 1)
        return `route add ${prefix} nexthop via 10.0.0.2 dev v0 weight 2 nexthop via 10.0.1.2 dev v2`;
      return `route add ${prefix} via 10.0.0.${2 + (number % 5)} dev v0`;
    });
    lines.push("route add blackhole 2001:db8:aaaa::/48", "route add unreachable 100.128.0.0/10 table 100");
    lines.push("route add 2001:db8:99::/48 nexthop via 2001:db8::2 dev v0 nexthop via 2001:db8:1::2 dev v2 weight 3");
    const { summary } = await sendUpdates(daemon, lines, { owner: "bgp" });
    assert.equal(summary.fibProgrammed, lines.length);
    await agreed();
    assert.equal(peer.routes.size, lines.length);
    assert.equal(await metric("routes_held"), lines.length);
    assert.equal(await metric("bytes_sent_total"), peer.bytes);

    // A change of a group is no message for its routes; the server stays away for some of the rest.
    const before = peer.messages.newRoute;
    await setGroup(7, [{ via: "10.0.0.3", dev: "v0" }]);
    await agreed();
    assert.equal(peer.messages.newRoute, before);
    await peer.vanish();
    await until("it is noticed", async () => (await metric("state")) === 0);
    const changes = Array.from({ length: 3000 }, (_, number) => `route del ${prefixOf(number)}`);
    for (let number = 3000; number < 5000; number++)
      changes.push(`route replace ${prefixOf(number)} via 10.0.0.9 dev v0`);
    await sendUpdates(daemon, changes, { owner: "bgp" });
    await peer.listen();
    await agreed();
    assert.equal(peer.routes.size, lines.length - 3000);

    daemon.signal("SIGKILL");
    await daemon.ended;
    await daemon.stop();
    peer.forget();
    const messages = peer.messages.newRoute;
    await start();
    await agreed();
    assert.equal(peer.routes.size, lines.length - 3000, "what was adopted is exported");
    assert.equal(peer.messages.newRoute - messages, lines.length - 3000);
    for (const route of peer.table().values()) assert.doesNotMatch(route, /unknown/);
    assert.deepEqual(
      (await agreement(daemon, ns, new Map())).filter((line) => !line.includes("undefined")),
      [],
    );
  });

  it("exports the main table to SONiC, with the nexthops in the routes if it is told to", { skip }, async () => {
    await start('profile = "sonic"\nnexthop-groups = false\n');
    await setGroup(7, [
      { via: "10.0.0.2", dev: "v0" },
      { via: "10.0.1.2", dev: "v2", weight: 3 },
    ]);
    await sendUpdates(daemon, [
      ...Array.from({ length: 1000 }, (_, number) => `route add ${prefixOf(number)} nhid 7`),
      "route add 203.0.113.0/24 via 10.0.0.2 table 100",
    ]);
    await until("the server has it all", () => peer.routes.size === 1000);
    await setGroup(7, [{ via: "10.0.1.3", dev: "v2" }]);
    await until("they have moved", () => [...peer.table().values()].every((hops) => hops === groups.get(7)));
    assert.deepEqual([peer.nexthops.size, await metric("routes_dropped_total")], [0, 1]);
    assert.ok([...peer.routes.keys()].every((key) => key.includes("table 0 ")));
    assert.deepEqual(peer.errors, []);
  });
});
