/**
 * Shared nexthop groups in a real kernel: that a change is one message and no route is ever without its nexthops, and that
 * what the kernel drops by itself, mostly without a word, is brought back.
 */
import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { afterEach, beforeEach, describe, it } from "node:test";
import { NEXTHOP_ID_MIN } from "../../core/constants.ts";
import { Family } from "../../core/model/route.ts";
import type { GroupDefinition, NexthopGroup, NexthopObjectsMode } from "../../core/rib/nexthop_group.ts";
import { NOBODY } from "../../core/rib/owners.ts";
import { KernelGroups } from "../support/kernel_groups.ts";
import { addTestLinks, outcomeText, PROTOCOL } from "../support/kernel_harness.ts";
import { createNetns, type Netns, skipReason } from "../support/netns.ts";
import { until } from "../support/wait.ts";

const skip = skipReason();

/** `ip monitor`, and what it has said. */
class IpMonitor {
  text = "";
  readonly #child: ChildProcess;

  constructor(ns: Netns, objects: string[]) {
    this.#child = spawn("ip", ["-n", ns.name, "monitor", "nexthop", ...objects], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    this.#child.stdout!.on("data", (bytes: Uint8Array) => {
      this.text += new TextDecoder().decode(bytes);
    });
  }

  /** Listens to nexthop objects, and to what else is named. */
  static async start(ns: Netns, ...objects: string[]): Promise<IpMonitor> {
    const monitor = new IpMonitor(ns, objects);
    await monitor.#mark(ns);
    monitor.text = "";
    return monitor;
  }

  /** Waits until all that happened so far has been said. */
  async #mark(ns: Netns): Promise<void> {
    await until("ip monitor has caught up", () => {
      ns.ip("nexthop", "replace", "id", "9", "blackhole");
      return this.text.includes("id 9 blackhole");
    });
  }

  /** The lines since the start that tell of routes or objects of ours. */
  async lines(ns: Netns): Promise<string[]> {
    const before = this.text.length;
    await until("ip monitor has caught up", () => {
      ns.ip("nexthop", "replace", "id", "9", "blackhole");
      return this.text.indexOf("id 9 blackhole", before) !== -1;
    });
    // The kernel adds routes of its own when it has found that an address is nobody else's.
    const isOurs = (line: string): boolean =>
      line !== "" && !line.startsWith("id 9 ") && !line.includes(" proto kernel ");
    return this.text.split("\n").filter(isOurs);
  }

  stop(): void {
    this.#child.kill();
  }
}

describe("nexthop groups in the kernel", () => {
  let ns: Netns;
  let bench: KernelGroups | null = null;
  let monitor: IpMonitor | null = null;

  beforeEach(() => {
    if (skip) return;
    ns = createNetns();
    addTestLinks(ns);
  });

  afterEach(async () => {
    monitor?.stop();
    monitor = null;
    await bench?.close();
    bench = null;
    ns?.delete();
  });

  const start = async (mode?: NexthopObjectsMode, options = {}): Promise<KernelGroups> => {
    bench = await KernelGroups.start(ns, mode, options);
    return bench;
  };

  const set = (number: number, members: string[], more: Partial<GroupDefinition> = {}): Promise<NexthopGroup> => {
    const nexthops = members.map((words) => bench!.nexthop(words));
    return bench!.groups.set(number, { members: nexthops, backup: [], resilient: null, ...more });
  };

  it("changes under its routes with one message, and no route is deleted", { skip }, async () => {
    const { groups, harness, held, routesOn } = bindAll(await start());
    await set(7, ["10.0.0.2 v0", "10.0.1.2 v2 3"]);
    assert.equal(held(7), "10.0.0.2 10.0.1.2*3");
    assert.ok(groups.get(7)!.object!.id >= NEXTHOP_ID_MIN);
    await harness.install("route add 203.0.113.0/24 nhid 7", "route add 198.51.100.0/24 nhid 7 src 10.0.0.1 mtu 1400");
    assert.match(ns.ip("route", "show", "198.51.100.0/24"), /src 10\.0\.0\.1 .*mtu 1400/);
    monitor = await IpMonitor.start(ns, "route");
    await set(7, ["10.0.0.2 v0 2", "10.0.1.2 v2 3"]);
    assert.equal(held(7), "10.0.0.2*2 10.0.1.2*3");
    const id = groups.get(7)!.object!.id;
    // The kernel echoes the group, and with it the routes as they are now (net.ipv4.nexthop_compat_mode).
    const lines = await monitor.lines(ns);
    const objects = lines.filter((line) => line.startsWith("id "));
    assert.deepEqual([objects.length, objects[0]?.startsWith(`id ${id} group `)], [1, true]);
    assert.deepEqual(
      lines.filter((line) => line.startsWith("Deleted")),
      [],
    );
    assert.deepEqual([...routesOn()], [[id, 2]]);
  });

  it("changes its shape without a route being deleted", { skip }, async () => {
    const { groups, harness, routesOn, settled } = bindAll(await start());
    const members = ["10.0.0.2 v0", "10.0.1.2 v2"];
    await set(7, members);
    const lines = Array.from({ length: 200 }, (_, index) => `route add 203.0.${index}.0/24 nhid 7`);
    await harness.install(...lines, "route add 2001:db8:f::/48 via 2001:db8::2");
    monitor = await IpMonitor.start(ns, "route");
    const resilient = { buckets: 8, idleTimer: 60, unbalancedTimer: 0 };
    for (const shape of [resilient, { ...resilient, buckets: 16 }, null]) {
      const old = groups.get(7)!.object!.id;
      const changed = await set(7, members, { resilient: shape });
      assert.equal(changed.failure, null);
      await settled();
      const id = groups.get(7)!.object!.id;
      assert.notEqual(id, old);
      assert.deepEqual([...routesOn()], [[id, 200]]);
      await until("the old object is gone", () => !ns.ip("nexthop").includes(`id ${old} `));
    }
    const deletions = (await monitor.lines(ns)).filter((line) => line.startsWith("Deleted") && !line.includes("group"));
    assert.deepEqual(deletions, []);
  });

  it("comes back with its link, and its routes too", { skip }, async () => {
    const { harness, held, routesOn, settled, groups } = bindAll(await start());
    await set(7, ["10.0.0.2 v0", "10.0.1.2 v2"]);
    await set(8, ["10.0.1.3 v2"], { backup: [bench!.nexthop("10.0.0.3 v0")] });
    await set(9, ["10.0.1.4 v2"]);
    await harness.install(
      "route add 203.0.113.0/24 nhid 7",
      "route add 198.51.100.0/24 nhid 8",
      "route add 192.0.2.0/24 nhid 9",
    );
    // Carrier goes, with the link itself up.
    ns.ip("link", "set", "v3", "down");
    await until("the backup is used", () => held(8) === "10.0.0.3" && held(7) === "10.0.0.2" && held(9) === "");
    await settled();
    assert.deepEqual(new Set(routesOn().keys()), new Set([7, 8].map((number) => groups.get(number)!.object!.id)));
    ns.ip("link", "set", "v3", "up");
    await until("all is back", () => held(8) === "10.0.1.3" && held(7).split(" ").length === 2 && held(9) !== "");
    await settled();
    assert.equal(routesOn().size, 3);
    // The link goes down, all of it.
    ns.ip("link", "set", "v2", "down");
    await until("the members are gone", () => held(7) === "10.0.0.2" && held(9) === "");
    ns.ip("link", "set", "v2", "up");
    await until(
      "all is back",
      () => held(7).split(" ").length === 2 && held(9) === "10.0.1.4" && routesOn().size === 3,
    );
  });

  it("comes back after somebody has deleted or changed its objects", { skip }, async () => {
    const { harness, held, routesOn, settled, groups } = bindAll(await start());
    await set(7, ["10.0.0.2 v0", "10.0.1.2 v2"]);
    await harness.install("route add 203.0.113.0/24 nhid 7");
    const isWhole = (): boolean => {
      const id = groups.get(7)!.object?.id ?? 0;
      const members = held(7).split(" ").sort();
      return members.join(" ") === "10.0.0.2 10.0.1.2" && routesOn().get(id) === 1;
    };
    const single = [...groups.objects.singles()][0]!.id;
    ns.ip("nexthop", "del", "id", String(single));
    await until("the member is back", isWhole);
    ns.ip("nexthop", "flush");
    await until("all is back after a flush", isWhole);
    ns.ip("nexthop", "del", "id", String(groups.get(7)!.object!.id));
    await until("the group is back", isWhole);
    const [one] = groups.get(7)!.object!.members;
    ns.ip("nexthop", "replace", "id", String(groups.get(7)!.object!.id), "group", String(one!.single.id));
    await until("the change is taken back", isWhole);
    // A member's number is somebody else's now, and stays that.
    ns.ip("nexthop", "replace", "id", String(one!.single.id), "via", "10.0.0.77", "dev", "v0", "proto", "bird");
    const stolen = one!.single.id;
    await until("the member has another number", isWhole);
    await settled();
    assert.match(ns.ip("nexthop", "show", "id", String(stolen)), /via 10\.0\.0\.77 .*proto bird/);
  });

  it("never takes the number of somebody else's object", { skip }, async () => {
    for (const id of [NEXTHOP_ID_MIN, NEXTHOP_ID_MIN + 2]) {
      ns.ip("nexthop", "add", "id", String(id), "via", "10.0.0.99", "dev", "v0");
    }
    const { held } = bindAll(await start());
    await set(7, ["10.0.0.2 v0"]);
    assert.equal(held(7), "10.0.0.2");
    for (const id of [NEXTHOP_ID_MIN, NEXTHOP_ID_MIN + 2]) {
      assert.match(ns.ip("nexthop", "show", "id", String(id)), /via 10\.0\.0\.99/);
    }
  });

  it("has routes inline that cannot go by an object", { skip }, async () => {
    const { harness, settled } = bindAll(await start());
    await set(7, ["2001:db8::2 v0", "2001:db8:1::2 v2 3"]);
    const source = "route add 2001:db8:f::/48 from 2001:db8:a::/48 nhid 7";
    await harness.install(source, "route add 2001:db8:e::/48 nhid 7");
    const shown = (prefix: string): string => ns.ip("-6", "route", "show", prefix);
    assert.match(shown("2001:db8:e::/48"), /nhid/);
    assert.match(
      shown("2001:db8:f::/48"),
      /^(?!.*nhid).*from 2001:db8:a::\/48[\s\S]*via 2001:db8:1::2 dev v2 weight 3/,
    );
    await set(7, ["2001:db8::3 v0"]);
    await settled();
    assert.match(shown("2001:db8:f::/48"), /via 2001:db8::3 dev v0/);
    await set(8, ["10.0.0.2 v0", "2001:db8::2 v0"]);
    const refused = await harness.applyOne("route add 2001:db8:d::/48 nhid 8");
    assert.match(outcomeText(refused), /^EINVAL .*IPv6/);
    await harness.install("route add 203.0.113.0/24 nhid 8");
  });

  it("has every route inline where objects are switched off", { skip }, async () => {
    const { harness, settled } = bindAll(await start("off"));
    await set(7, ["10.0.0.2 v0", "10.0.1.2 v2 3"]);
    await harness.install("route add 203.0.113.0/24 nhid 7");
    await set(7, ["10.0.1.2 v2"]);
    await settled();
    assert.match(ns.ip("route", "show", "203.0.113.0/24"), /^203\.0\.113\.0\/24 via 10\.0\.1\.2 dev v2 /);
    assert.equal(ns.ip("nexthop", "show", "proto", String(PROTOCOL)), "");
  });

  it("is not deleted while in use, and then leaves nothing", { skip }, async () => {
    const { harness, groups } = bindAll(await start());
    await set(7, ["10.0.0.2 v0", "10.0.1.2 v2"]);
    await harness.install("route add 203.0.113.0/24 nhid 7");
    assert.deepEqual(await groups.delete(7), { count: 1, example: "203.0.113.0/24" });
    await harness.install("route del 203.0.113.0/24");
    assert.equal((await groups.delete(7)).count, 0);
    assert.equal(ns.ip("nexthop", "show"), "");
  });

  it("tells the kernel's words, and keeps what it had", { skip }, async () => {
    const { held } = bindAll(await start());
    await set(7, ["10.0.0.2 v0"]);
    const changed = await set(7, ["10.0.0.2 v0", "172.16.0.1 v0"]);
    assert.deepEqual([changed.failure?.error, changed.failure?.text], [101, "Nexthop has invalid gateway"]);
    assert.equal(held(7), "10.0.0.2");
    ns.ip("address", "add", "172.16.0.9/24", "dev", "v0");
    await until("it is tried again by itself", () => held(7) === "10.0.0.2 172.16.0.1");
  });

  it("is taken over after a restart without a write", { skip }, async () => {
    const first = await start();
    await set(7, ["10.0.0.2 v0", "10.0.1.2 v2 3"]);
    await set(8, ["10.0.0.5 v0"]);
    await set(9, ["10.0.0.6 v0"]);
    const lines = [7, 8, 9].map((number) => `route add 203.0.${number}.0/24 nhid ${number}`);
    await first.harness.install(...lines);
    const id = first.groups.get(7)!.object!.id;
    await first.close();
    const { readings, groups, harness, settled } = bindAll(await start("auto", { adopt: true }));
    monitor = await IpMonitor.start(ns, "route");
    // The route may come before its group.
    const early = await harness.applyOne(lines[0]!);
    assert.equal(early.outcome, "rib_programmed");
    await set(7, ["10.0.1.2 v2 3", "10.0.0.2 v0"]);
    await settled();
    assert.equal(groups.get(7)!.object!.id, id);
    await set(9, ["10.0.0.6 v0"]);
    await harness.install(...lines.filter((line) => !line.endsWith(" 8")));
    assert.deepEqual(await monitor.lines(ns), []);
    // Nobody has claimed group 8, but a route is on it, until the daemon sweeps that.
    readings.sweep();
    await settled();
    assert.match(ns.ip("nexthop"), /10\.0\.0\.5/);
    const { rib } = harness;
    for (let route = 1; route <= 3; route++) {
      if (rib.store(Family.IPV4).owner(route) === NOBODY) rib.sweep(Family.IPV4, route);
    }
    await until("it is gone", () => !ns.ip("nexthop").includes("10.0.0.5"));
    assert.equal(ns.ip("nexthop", "show", "proto", String(PROTOCOL)).trim().split("\n").length, 5);
    assert.equal(ns.ip("route", "show", "proto", String(PROTOCOL)).includes("203.0.8.0"), false);
  });

  it("moves 200,000 routes with one message", { skip }, async () => {
    const { harness, groups } = bindAll(await start());
    await set(7, ["10.0.0.2 v0", "10.0.1.2 v2"]);
    const lines = Array.from(
      { length: 200_000 },
      (_, index) => `route add 11.${index >> 16}.${(index >> 8) & 255}.${index & 255} nhid 7`,
    );
    for (const { outcome } of await harness.apply(lines)) assert.equal(outcome, "fib_programmed");
    monitor = await IpMonitor.start(ns);
    const { routeUpdates } = harness.dataplane.snapshot();
    await set(7, ["10.0.0.2 v0", "10.0.1.2 v2 7"]);
    assert.equal((await monitor.lines(ns)).length, 1);
    assert.equal(harness.dataplane.snapshot().routeUpdates, routeUpdates, "no route is written");
    const id = groups.get(7)!.object!.id;
    ns.ip("nexthop", "del", "id", String(id));
    await until("they are all back", () => {
      const object = groups.get(7)!.object;
      return object !== null && object.id !== id && harness.rib.reconciler.queued === 0;
    });
    await until("they are written", () => !harness.dataplane.workPending());
    const counted = ns.exec("sh", ["-c", `ip route show proto ${PROTOCOL} | grep -c ^11`]).trim();
    assert.equal(counted, "200000");
  });
});

/** The bench with its methods bound, so that a test can take the few that it needs. */
function bindAll(bench: KernelGroups) {
  return {
    groups: bench.groups,
    harness: bench.harness,
    readings: bench.readings,
    held: (number: number) => bench.held(number),
    routesOn: () => bench.routesOn(),
    settled: () => bench.settled(),
  };
}
