/** The monitor thread in a real kernel: what it tells of changes that others make, and what it reads. */
import assert from "node:assert/strict";
import { afterEach, beforeEach, describe, it } from "node:test";
import { NexthopObjectKind } from "../../core/context/nexthop_object.ts";
import { nextRecord, RECORD, RECORD_UNREADABLE } from "../../core/context/route_record.ts";
import { spawnWorker } from "../../core/daemon/spawn.ts";
import {
  FIRST_READING,
  type FromMonitor,
  type KernelChange,
  type MonitorStart,
  READING_REQUEST,
  type RouteChange,
} from "../../core/model/kernel_event.ts";
import { type Link, LinkTable } from "../../core/model/link_table.ts";
import { formatPrefix } from "../../core/model/prefix.ts";
import { Family } from "../../core/model/route.ts";
import type { Rib } from "../../core/rib/rib.ts";
import { KernelBench } from "../support/kernel_bench.ts";
import {
  addTestLinks,
  KERNEL_THREAD_ENTRY,
  KernelHarness,
  outcomeText,
  PROTOCOL,
  routesOf,
} from "../support/kernel_harness.ts";
import { createNetns, type Netns, skipReason } from "../support/netns.ts";
import { until } from "../support/wait.ts";

const skip = skipReason();

type Read = Extract<FromMonitor, { type: "read" }>;

/** A running monitor and all that it has said. */
class Ear {
  readonly messages: FromMonitor[] = [];
  readonly links = new LinkTable();
  readonly portIdCell = new SharedArrayBuffer(4);
  readonly #wantRoutes = new SharedArrayBuffer(4);
  readonly #request = new SharedArrayBuffer(4 * READING_REQUEST.WORDS);
  readonly #stop = new SharedArrayBuffer(4);
  readonly #taken = new Int32Array(new SharedArrayBuffer(4));
  readonly #heartbeat = new Float64Array(new SharedArrayBuffer(8));
  #exit: string | null = null;
  #seenAt = 0;
  #looks = 0;

  /** With `takes` false, chunks of routes are left lying until {@linkcode take}. */
  constructor(netns: string, { takes = true } = {}) {
    const start: MonitorStart = {
      role: "monitor",
      netns,
      protocol: PROTOCOL,
      portIdCell: this.portIdCell,
      wantRoutes: this.#wantRoutes,
      taken: this.#taken.buffer,
      request: this.#request,
      heartbeat: this.#heartbeat.buffer,
      stop: this.#stop,
    };
    spawnWorker<FromMonitor>(KERNEL_THREAD_ENTRY, start, {
      onMessage: (message) => {
        this.messages.push(message);
        if (takes && message.type === "routes") Atomics.add(this.#taken, 0, 1);
        if (message.type === "links") this.links.replaceAll(message.links);
        if (message.type === "changes") for (const change of message.changes) this.#follow(change);
      },
      onExit: (error) => {
        this.#exit = error || "ended";
      },
    });
  }

  #follow(change: KernelChange): void {
    if (change.kind !== "link") return;
    if (change.action === "new") this.links.set(change.link);
    else this.links.delete(change.link.ifindex);
  }

  /** Chunks of routes that have come. */
  get chunks(): number {
    return this.messages.filter(({ type }) => type === "routes").length;
  }

  /** Says that all chunks were put away, whatever will come. */
  take(): void {
    Atomics.store(this.#taken, 0, 1 << 20);
    Atomics.notify(this.#taken, 0);
  }

  /** How often the thread was seen alive since the last chunk. */
  looks(): number {
    if (this.#heartbeat[0] !== this.#seenAt) {
      this.#seenAt = this.#heartbeat[0]!;
      this.#looks += 1;
    }
    return this.#looks;
  }

  get exit(): string | null {
    return this.#exit;
  }

  /** What a reading came to, once it has ended. */
  reading(number: number = FIRST_READING): Read | undefined {
    return this.messages.find((message): message is Read => message.type === "read" && message.reading === number);
  }

  /** Asks for a reading and waits for it. */
  async read(number: number, ifindex = 0): Promise<Read> {
    const request = new Int32Array(this.#request);
    Atomics.store(request, READING_REQUEST.IFINDEX, ifindex);
    Atomics.store(request, READING_REQUEST.NUMBER, number);
    await until("the reading has ended", () => this.reading(number) !== undefined || this.exit !== null);
    return this.reading(number)!;
  }

  overruns(): number {
    return this.messages.filter(({ type }) => type === "overrun").length;
  }

  changes(): KernelChange[] {
    return this.messages.flatMap((message) => (message.type === "changes" ? message.changes : []));
  }

  routeChanges(): RouteChange[] {
    return this.changes().filter((change) => change.kind === "route");
  }

  routes(): string[] {
    return this.routeChanges().map((change) => `${change.action} ${prefixOf(change)}`);
  }

  /** Calls `visit` with the place of each route that a reading has told of. */
  visitRecords(visit: (bytes: Uint8Array, view: DataView, offset: number) => void, reading = FIRST_READING): void {
    for (const message of this.messages) {
      if (message.type !== "routes" || message.reading !== reading) continue;
      const view = new DataView(message.records);
      let offset = 0;
      for (let index = 0; index < message.count; index++) {
        visit(new Uint8Array(message.records), view, offset);
        offset = nextRecord(view, offset);
      }
    }
  }

  /** Puts the routes that were found into a RIB. */
  adoptInto(rib: Rib): void {
    this.visitRecords((bytes, view, offset) => {
      if ((bytes[offset + RECORD.FLAGS]! & RECORD_UNREADABLE) === 0) assert.ok(rib.adopt(bytes, view, offset));
    });
  }

  /** Asks for changes of all routes, and returns when they are heard: when one that is made over and over arrives. */
  async wantRoutes(ns: Netns): Promise<void> {
    Atomics.store(new Int32Array(this.#wantRoutes), 0, 1);
    await until("routes are heard", () => {
      ns.ip("route", "add", "192.0.2.0/24", "dev", "v0", "metric", "7", "proto", "99");
      ns.ip("route", "del", "192.0.2.0/24", "metric", "7");
      return this.routes().includes("new 192.0.2.0/24");
    });
  }

  async close(): Promise<void> {
    Atomics.store(new Int32Array(this.#stop), 0, 1);
    await until("the monitor has ended", () => this.#exit !== null);
  }
}

function prefixOf({ family, prefix, prefixLength }: RouteChange): string {
  return formatPrefix(family, prefix, 0, prefixLength);
}

describe("the monitor", () => {
  let ns: Netns;
  let ear: Ear | undefined;

  async function listen(): Promise<Ear> {
    const opened = new Ear(ns.name);
    ear = opened;
    await until("the first look is complete", () => opened.reading() !== undefined || opened.exit !== null);
    assert.equal(opened.exit, null);
    return opened;
  }

  beforeEach(() => {
    if (skip) return;
    ns = createNetns();
    addTestLinks(ns);
  });
  afterEach(async () => {
    await ear?.close();
    ear = undefined;
    ns?.delete();
  });

  it("tells of the links that there are and of what becomes of them", { skip }, async () => {
    const { links } = await listen();
    const names = ns.ipJson("link").map(({ ifname }) => ifname as string);
    assert.deepEqual([...links.links()].map(({ name }) => name).sort(), names.sort());
    const v0 = ns.ipJson("link", "show", "v0")[0].ifindex;
    assert.equal(links.indexOf("v0"), v0);
    assert.equal(links.get(v0)?.kind, "veth");

    const has = (condition: (link: Link) => boolean) =>
      until("the link is as it was made", () => condition(links.get(v0)!));
    await has(({ up, carrier }) => up && carrier);
    ns.ip("link", "set", "v0", "down");
    await has(({ up, carrier }) => !up && !carrier);
    ns.ip("link", "set", "v0", "up");
    await has(({ up, carrier }) => up && carrier);
    ns.ip("link", "set", "v1", "down");
    await has(({ up, carrier }) => up && !carrier);
    ns.ip("link", "set", "v0", "mtu", "1400");
    await has(({ mtu }) => mtu === 1400);
    ns.ip("link", "property", "add", "dev", "v0", "altname", "to-the-provider");
    await until("the alternative name is known", () => links.indexOf("to-the-provider") === v0);
    ns.ip("link", "set", "v0", "down");
    ns.ip("link", "set", "v0", "name", "uplink");
    await until("the new name is known", () => links.indexOf("uplink") === v0);
    assert.equal(links.indexOf("v0"), 0);
    assert.equal(links.nameOf(v0), "uplink");

    ns.ipBatch(["link add br0 type bridge", "link set uplink master br0"]);
    await has(({ master }) => master !== 0 && master === links.indexOf("br0"));
    ns.ip("link", "set", "uplink", "nomaster");
    await has(({ master }) => master === 0);
    ns.ip("link", "delete", "uplink");
    await until("both ends are gone", () => links.indexOf("uplink") === 0 && links.indexOf("v1") === 0);
    assert.equal(links.indexOf("to-the-provider"), 0);
  });

  it("tells of addresses", { skip }, async () => {
    const heard = await listen();
    ns.ipBatch([
      "address add 10.7.0.1/24 dev v0",
      "address add 2001:db8:7::1/64 dev v0 nodad",
      "address del 10.7.0.1/24 dev v0",
    ]);
    const addresses = () =>
      heard
        .changes()
        .flatMap((change) =>
          change.kind === "address" ? [`${change.action} ${change.family} ${change.address} ${change.ifindex}`] : [],
        );
    const v0 = heard.links.indexOf("v0");
    const wanted = [`new 2 10.7.0.1/24 ${v0}`, `new 10 2001:db8:7::1/64 ${v0}`, `delete 2 10.7.0.1/24 ${v0}`];
    await until("all were told", () => wanted.every((change) => addresses().includes(change)));
  });

  it("tells of all routes while somebody wants to hear of them, and not of our own", { skip }, async () => {
    const heard = await listen();
    const harness = await KernelHarness.start(ns, { portIdCell: heard.portIdCell });
    try {
      ns.ip("route", "add", "198.51.1.0/24", "dev", "v0", "proto", "99");
      ns.ip("route", "add", "198.51.0.0/24", "dev", "v0", "proto", String(PROTOCOL));
      await until("one of ours is heard", () => heard.routes().length > 0);
      assert.deepEqual(heard.routes(), ["new 198.51.0.0/24"], "others not before they are wanted");
      await heard.wantRoutes(ns);

      await harness.install("route add 198.51.2.0/24 via 10.0.0.2", "route add 2001:db8:e::/48 dev v0");
      await harness.install("route del 198.51.2.0/24", "route del 2001:db8:e::/48");
      // Our own protocol, but another hand.
      ns.ip("route", "add", "198.51.3.0/24", "via", "10.0.0.2", "metric", "20", "proto", String(PROTOCOL));
      ns.ip("-6", "route", "add", "2001:db8:d::/48", "dev", "v0", "proto", "99", "table", "1000", "metric", "5");
      ns.ip("route", "del", "198.51.3.0/24", "metric", "20");
      await until("the last is heard", () => heard.routes().includes("delete 198.51.3.0/24"));
      const routes = heard.routes().filter((route) => !route.endsWith("192.0.2.0/24"));
      assert.deepEqual(routes.slice(1), ["new 198.51.3.0/24", "new 2001:db8:d::/48", "delete 198.51.3.0/24"]);
      const change = heard.routeChanges().find((each) => prefixOf(each) === "2001:db8:d::/48")!;
      assert.deepEqual([change.table, change.metric, change.protocol, change.isOurs], [1000, 5, 99, false]);
    } finally {
      await harness.close();
    }
  });

  it("tells of what may concern our routes to everybody, and who did it", { skip }, async () => {
    const heard = await listen();
    const bench = new KernelBench(ns, { protocol: PROTOCOL, portIdCell: heard.portIdCell });
    try {
      bench.apply(
        "route add 198.51.1.0/24 via 10.0.0.2",
        "route add 198.51.2.0/24 via 10.0.0.2",
        "route add 2001:db8:f1::/48 from 2001:db8:e::/48 via 2001:db8::2",
        "route add 2001:db8:f2::/48 via 2001:db8::2 table 1000",
      );
      ns.ipBatch([
        // Of no concern.
        "route add 198.51.9.0/24 dev v0 proto 99",
        "route del 198.51.1.0/24 metric 20",
        "route replace 198.51.2.0/24 via 10.0.0.9 metric 20 proto 99",
        "route append 198.51.2.0/24 via 10.0.0.8 metric 20 proto 99",
        `route add 198.51.3.0/24 via 10.0.0.2 metric 20 proto ${PROTOCOL}`,
        "route del 2001:db8:f1::/48 from 2001:db8:e::/48",
      ]);
      // What the kernel takes away by itself.
      ns.ip("link", "set", "v0", "down");
      const wanted = [
        "delete 198.51.1.0/24",
        "new 198.51.2.0/24",
        "new 198.51.2.0/24",
        "new 198.51.3.0/24",
        "delete 2001:db8:f1::/48",
        "delete 2001:db8:f2::/48",
      ];
      await until("all is heard", () => heard.routes().length >= wanted.length);
      assert.deepEqual(heard.routes(), wanted);
      const changes = heard.routeChanges();
      assert.ok(changes.every(({ isOurs }) => isOurs));
      assert.deepEqual(
        changes.map(({ portId }) => portId === 0),
        [false, false, false, false, false, true],
      );
      // `ip` may have ended before anybody looked.
      for (const { by } of changes.slice(0, -1)) assert.match(by, /^(ip\[\d+\]|netlink port \d+)$/);
      assert.equal(changes.at(-1)!.by, "the kernel");
      const sourced = changes.find(({ sourceLength }) => sourceLength > 0)!;
      assert.equal(formatPrefix(Family.IPV6, sourced.source, 0, sourced.sourceLength), "2001:db8:e::/48");
      assert.deepEqual([changes.at(-1)!.table, changes.at(-1)!.metric], [1000, 20]);
    } finally {
      bench.close();
    }
  });

  it("tells of nexthop objects that others change, and not of our own", { skip }, async () => {
    const heard = await listen();
    const bench = new KernelBench(ns, { protocol: PROTOCOL, portIdCell: heard.portIdCell });
    const object = { kind: NexthopObjectKind.GROUP, members: [{ id: 1, weight: 1 }] };
    try {
      ns.ip("nexthop", "add", "id", "1", "via", "10.0.0.2", "dev", "v0", "proto", "bird");
      assert.deepEqual(bench.apply({ id: 250_000_001, object }, { id: 250_000_001, object, old: object }), [
        "ok",
        "ok",
      ]);
      assert.deepEqual(bench.apply({ id: 250_000_001, old: object }, { id: 250_000_002, object }), ["ok", "ok"]);
      // With its only member the group goes.
      ns.ip("nexthop", "del", "id", "1");
      const told = () =>
        heard.changes().flatMap((each) => (each.kind === "nexthop" ? [`${each.action} ${each.id}`] : []));
      await until("the last is heard", () => told().includes("delete 1"));
      assert.deepEqual(told().sort(), ["delete 1", "delete 250000002", "new 1"]);
      const [first] = heard.changes().filter((each) => each.kind === "nexthop");
      assert.equal(first!.protocol, 12);
      assert.match(first!.by, /^(ip\[\d+\]|netlink port \d+)$/);
    } finally {
      bench.close();
    }
  });

  it("reads on request what the kernel holds of ours, objects first", { skip }, async () => {
    const heard = await listen();
    const v0 = heard.links.indexOf("v0");
    ns.ipBatch([
      `nexthop add id 250000001 via 2001:db8::2 dev v0 proto ${PROTOCOL}`,
      "nexthop add id 7 via 10.0.0.2 dev v0 proto 12",
      `route add 198.51.1.0/24 nhid 250000001 metric 20 proto ${PROTOCOL}`,
      `route add 198.51.2.0/24 via 10.0.1.2 metric 20 proto ${PROTOCOL}`,
      `route add 198.51.3.0/24 via 10.0.0.2 metric 20 realm 5 proto ${PROTOCOL}`,
      `route add 2001:db8:f1::/48 nhid 250000001 metric 20 proto ${PROTOCOL}`,
      "route add 198.51.4.0/24 nhid 7 proto 12",
    ]);
    const complete = { ipv4: true, ipv6: true, nexthops: true };
    const all = await heard.read(1);
    assert.deepEqual(all, { type: "read", reading: 1, routes: 3, unreadable: 1, complete });
    const types = heard.messages.flatMap((message) => ("reading" in message && message.reading === 1 ? [message] : []));
    assert.deepEqual(
      types.map(({ type }) => type),
      ["nexthops", "routes", "routes", "read"],
    );
    const [nexthops] = types;
    assert.ok(nexthops?.type === "nexthops");
    assert.deepEqual(
      nexthops.objects.map(({ id, object }) => [id, object?.kind]),
      [[250_000_001, NexthopObjectKind.SINGLE]],
    );
    const some = await heard.read(2, v0);
    assert.deepEqual(some, { type: "read", reading: 2, routes: 2, unreadable: 1, complete });
    const flags: number[] = [];
    heard.visitRecords((bytes, _view, offset) => flags.push(bytes[offset + RECORD.FLAGS]!), 2);
    assert.deepEqual(flags, [0, RECORD_UNREADABLE, 0]);
  });

  it("does not tell of our own when the provider has started anew", { skip }, async () => {
    const heard = await listen();
    const harness = await KernelHarness.start(ns, { portIdCell: heard.portIdCell });
    try {
      await heard.wantRoutes(ns);
      const lines = Array.from(
        { length: 4000 },
        (_, number) => `route add 100.64.${number >> 8}.${number & 255} dev v0`,
      );
      const before = Atomics.load(new Int32Array(heard.portIdCell), 0);
      const done = harness.apply(lines);
      await harness.threads.at(-1)!.handle.terminate();
      assert.ok((await done).every((result) => outcomeText(result) === "fib_programmed"));
      assert.notEqual(Atomics.load(new Int32Array(heard.portIdCell), 0), before);
      ns.ip("route", "add", "198.51.3.0/24", "dev", "v0", "proto", "99");
      await until("another's is heard", () => heard.routes().includes("new 198.51.3.0/24"));
      assert.deepEqual(
        heard.routes().filter((route) => route.includes(" 100.64.")),
        [],
      );
    } finally {
      await harness.close();
    }
  });

  it("survives more changes than it can be told of, and says that it lost some", { skip }, async () => {
    const heard = await listen();
    // With the link go all its routes at once, and faster than anybody reads.
    const routes = Array.from({ length: 50_000 }, (_, n) => `2001:db8:f:${n.toString(16)}::/64 dev v0`);
    ns.ipBatch(routes.map((route) => `route add ${route} metric 20 proto ${PROTOCOL}`));
    assert.equal((await heard.read(1)).routes, routes.length);
    // That many changes may have been too many already, and nobody has asked since.
    const before = heard.overruns();
    ns.ip("link", "set", "v0", "down");
    await until("notifications were lost", () => heard.overruns() > before);
    ns.ip("link", "add", "late0", "type", "bridge");
    await until("a link made after the flood is known", () => heard.links.indexOf("late0") !== 0);
    const { routes: left, complete } = await heard.read(2);
    assert.deepEqual([left, complete.ipv4, complete.nexthops], [0, true, true]);
    // The same route again would be no change, and a change may be among those that are lost.
    let metric = 100;
    await until("the last route is heard", () => {
      ns.ip("route", "add", "198.51.3.0/24", "dev", "v2", "proto", String(PROTOCOL), "metric", String(++metric));
      return heard.routes().includes("new 198.51.3.0/24");
    });
    assert.equal(heard.exit, null);
  });

  it("says which namespace it cannot enter", { skip }, async () => {
    const lost = new Ear("dplaned-test-nowhere");
    await until("it has ended", () => lost.exit !== null);
    assert.match(lost.exit!, /Cannot enter network namespace "dplaned-test-nowhere": ENOENT .*ip netns add/);
  });
});

describe("routes of an earlier life", () => {
  /** Each can be said in an update, and so it is taken over. */
  const READABLE = [
    "203.0.113.0/24 via 10.0.0.2 dev v0 metric 20",
    "203.0.113.0/24 via 10.0.0.2 dev v0 metric 0",
    "203.0.114.0/24 metric 20 mtu 1400 src 10.0.0.1 nexthop via 10.0.0.2 dev v0 weight 3 nexthop via 10.0.1.2 dev v2",
    "203.0.115.0/24 via inet6 2001:db8::2 dev v0 metric 20",
    "203.0.116.0/24 via 192.0.2.1 dev v0 onlink metric 20",
    "203.0.117.0/24 dev v0 metric 20 table 1000",
    "blackhole 203.0.118.0/24 metric 20",
    "prohibit 203.0.119.0/24 metric 20 table 4294967295",
    "203.0.120.0/24 encap seg6 mode encap segs 2001:db8:a::1 dev v0 metric 20",
    "default via 10.0.0.2 dev v0 metric 20",
    "2001:db8:f0::/48 via 2001:db8::2 dev v0 metric 20",
    "2001:db8:f1::/48 metric 20 nexthop via 2001:db8::2 dev v0 weight 5 nexthop via 2001:db8:1::2 dev v2",
    "2001:db8:f2::/48 from 2001:db8:e::/48 via 2001:db8::2 dev v0 metric 20",
    "unreachable 2001:db8:f3::/48 metric 20",
    "2001:db8:f4::/48 encap seg6 mode inline segs 2001:db8:a::1 via 2001:db8::2 dev v0 metric 20",
    "2001:db8:f5::/48 dev v0 metric 0",
    "default via 2001:db8::2 dev v0 metric 20 mtu 1400",
  ];
  /** dplaned could not have written these. */
  const UNREADABLE = [
    "198.51.0.0/24 via 10.0.0.2 realm 5",
    "198.51.1.0/24 via 10.0.0.2 tos 0x10",
    "198.51.2.0/24 via 10.0.0.2 advmss 1300",
    "198.51.3.0/24 via 10.0.0.2 mtu lock 1400",
    "198.51.4.0/24 dev v0 encap ip id 3 dst 10.0.0.9",
    "multicast 239.1.0.0/16 dev v0",
  ];

  it("are in the RIB as programmed, and can be changed, deleted and installed again", { skip }, async () => {
    const ns = createNetns();
    addTestLinks(ns);
    ns.ipBatch(
      READABLE.map((route) => `route add ${route} proto ${PROTOCOL}`.replace(/( nexthop.*)( proto \d+)$/, "$2$1")),
    );
    ns.ipBatch(UNREADABLE.map((route) => `route add ${route} proto ${PROTOCOL}`));
    const FOREIGN = ["203.0.113.0/24 via 10.0.0.2 metric 5", "2001:db8:ff::/48 dev v0"];
    ns.ipBatch(FOREIGN.map((route) => `route add ${route} proto 99`));
    const before = routesOf(ns, { protocol: true });
    const ear = new Ear(ns.name);
    const harness = await KernelHarness.start(ns, { portIdCell: ear.portIdCell });
    try {
      await until("the first look is complete", () => ear.reading() !== undefined || ear.exit !== null);
      const found = ear.reading()!;
      assert.deepEqual([found.routes, found.unreadable], [READABLE.length, UNREADABLE.length]);
      ear.adoptInto(harness.rib);
      assert.equal(harness.rib.counts().ipv4 + harness.rib.counts().ipv6, READABLE.length);
      assert.deepEqual(routesOf(ns, { protocol: true }), before, "nothing was written");

      // The same again is a change that changes nothing: were the reading wrong, this would show.
      const attrs = harness.rib.counts().attrs;
      await harness.install(...READABLE.map((route) => `route add ${route}`));
      assert.deepEqual(routesOf(ns, { protocol: true }), before);
      assert.equal(harness.rib.counts().attrs, attrs, "what was read is what is said");

      await harness.install(
        "route replace 203.0.113.0/24 via 10.0.0.3",
        "route replace 2001:db8:f1::/48 via 2001:db8::9",
      );
      const shown = ns.ipJson("route", "show", "203.0.113.0/24", "proto", "210", "metric", "20");
      assert.equal(shown[0].gateway, "10.0.0.3");
      await harness.install(...READABLE.map((route) => `route del ${route}`));
      assert.equal(harness.rib.counts().ipv4 + harness.rib.counts().ipv6, 0);
      assert.equal(routesOf(ns).length, UNREADABLE.length + FOREIGN.length);
      await harness.install(...READABLE.map((route) => `route add ${route}`));
      assert.deepEqual(routesOf(ns, { protocol: true }), before);
    } finally {
      await harness.close();
      await ear.close();
      ns.delete();
    }
  });

  it("are found by the hundred thousand, while others write", { skip }, async () => {
    const ns = createNetns();
    addTestLinks(ns);
    try {
      const prefix = (n: number) => (n & 1 ? `2001:db8:f:${n.toString(16)}::/64` : `100.64.${n >> 8}.${n & 255}`);
      const count = 60_000;
      ns.ipBatch(Array.from({ length: count }, (_, n) => `route add ${prefix(n)} dev v0 metric 20 proto ${PROTOCOL}`));
      const ear = new Ear(ns.name, { takes: false });
      await until("the routes have come that may be under way", () => ear.chunks >= 9);
      await until("the thread lives on", () => ear.looks() > 1);
      assert.deepEqual([ear.chunks, ear.reading()], [9, undefined], "it waits for the first of them to be taken");
      ear.take();
      ns.ipBatch(Array.from({ length: 2000 }, (_, n) => `route add 172.16.${n >> 8}.${n & 255} dev v0 proto 99`));
      await until("the first look is complete", () => ear.reading() !== undefined || ear.exit !== null);
      assert.deepEqual([ear.reading()!.routes, ear.reading()!.unreadable], [count, 0]);
      const harness = new KernelHarness();
      ear.adoptInto(harness.rib);
      assert.deepEqual([harness.rib.counts().ipv4, harness.rib.counts().ipv6], [count / 2, count / 2]);
      await ear.close();
    } finally {
      ns.delete();
    }
  });
});
