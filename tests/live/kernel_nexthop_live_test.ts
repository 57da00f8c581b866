/**
 * Nexthop objects in a real kernel: that they come to be what was said, that routes go by them and back, that those of
 * others stay untouched, and what the kernel refuses.
 */
import assert from "node:assert/strict";
import { afterEach, beforeEach, describe, it } from "node:test";
import { ContextFlag } from "../../core/context/layout.ts";
import { type NexthopObject, NexthopObjectKind } from "../../core/context/nexthop_object.ts";
import { parseAddress } from "../../core/model/prefix.ts";
import { createNexthop, EncapType, type Family, type Nexthop } from "../../core/model/route.ts";
import { KernelBench } from "../support/kernel_bench.ts";
import { addTestLinks, PROTOCOL } from "../support/kernel_harness.ts";
import { createNetns, type Netns, skipReason } from "../support/netns.ts";

const skip = skipReason();
const { SINGLE, GROUP, RESILIENT } = NexthopObjectKind;
const FIRST = 250_000_001;
const [ONE, TWO, THREE, PAIR] = [FIRST, FIRST + 1, FIRST + 2, FIRST + 10];

describe("nexthop objects", () => {
  let ns: Netns;
  let bench: KernelBench;

  function single(dev: string, via: string, fields: Partial<Nexthop> = {}): NexthopObject {
    const nexthop = { ...createNexthop(), ifindex: bench.devices[dev] ?? 0, ...fields };
    if (via !== "") nexthop.viaFamily = parseAddress(via, 0, via.length, nexthop.via, 0) as Family;
    return { kind: SINGLE, nexthop };
  }

  const group = (...ids: number[]): NexthopObject => ({ kind: GROUP, members: ids.map((id) => ({ id, weight: 1 })) });
  const resilient = (buckets: number, ...ids: number[]): NexthopObject => ({
    kind: RESILIENT,
    members: ids.map((id) => ({ id, weight: 1 })),
    buckets,
    idleTimer: 60,
    unbalancedTimer: 300,
  });

  /** What `ip` shows of an object, without what does not say what it is; empty if there is none. */
  function shown(id: number): string {
    const text = ns.ip("nexthop", "show").split("\n");
    const line = text.find((each) => each.startsWith(`id ${id} `)) ?? "";
    return line.replace(`id ${id} `, "").replace(` proto ${PROTOCOL}`, "").trim();
  }

  /** Nexthop objects by number, as routes of `prefix` name them. */
  function nhidsOf(family: "-4" | "-6"): (number | undefined)[] {
    return ns.ipJson(family, "route", "show", "proto", String(PROTOCOL)).map(({ nhid }) => nhid);
  }

  beforeEach(() => {
    if (skip) return;
    ns = createNetns();
    addTestLinks(ns);
    bench = new KernelBench(ns, { protocol: PROTOCOL });
  });
  afterEach(() => {
    bench?.close();
    ns?.delete();
  });

  it("come to be what was said", { skip }, () => {
    const segments = [new Uint8Array(16).fill(0xfc)];
    const objects: [NexthopObject, string][] = [
      [single("v0", "10.0.0.2"), "via 10.0.0.2 dev v0 scope link"],
      [single("v0", "2001:db8::2"), "via 2001:db8::2 dev v0 scope link"],
      [single("v2", "192.0.2.1", { onlink: true }), "via 192.0.2.1 dev v2 scope link onlink"],
      [single("v2", ""), "dev v2 scope link"],
      [
        single("v0", "2001:db8::3", { encap: EncapType.SEG6, seg6Mode: 1, segments }),
        `encap seg6 mode encap segs 1 [ ${Array(8).fill("fcfc").join(":")} ] via 2001:db8::3 dev v0 scope link`,
      ],
      [group(ONE, TWO), `group ${ONE}/${TWO}`],
      [
        {
          kind: GROUP,
          members: [
            { id: ONE, weight: 3 },
            { id: TWO, weight: 256 },
          ],
        },
        `group ${ONE},3/${TWO},256`,
      ],
      [
        resilient(32, ONE, TWO),
        `group ${ONE}/${TWO} type resilient buckets 32 idle_timer 60 unbalanced_timer 300 unbalanced_time 0`,
      ],
    ];
    const results = bench.apply(...objects.map(([object], index) => ({ id: FIRST + index, object })));
    assert.deepEqual(
      results,
      objects.map(() => "ok"),
    );
    for (const [index, [, text]] of objects.entries()) assert.equal(shown(FIRST + index), text);
    assert.equal(ns.ip("nexthop", "show", "proto", String(PROTOCOL)).trim().split("\n").length, objects.length);

    // Last first: with a member goes the group.
    const deletions = objects.map(([old], index) => ({ id: FIRST + index, old })).reverse();
    assert.deepEqual(
      bench.apply(...deletions),
      objects.map(() => "ok"),
    );
    assert.equal(ns.ip("nexthop", "show").trim(), "");
    assert.deepEqual(
      bench.apply(...deletions),
      objects.map(() => "ok"),
      "what is gone is deleted",
    );
  });

  it("carry routes of both families, in one batch with them", { skip }, () => {
    const results = bench.apply(
      { id: ONE, object: single("v0", "2001:db8::2") },
      { id: TWO, object: single("v2", "") },
      { id: PAIR, object: group(ONE, TWO) },
      `route add 203.0.113.0/24 nhid ${PAIR} mtu 1400 src 10.0.0.1`,
      `route add 2001:db8:f::/48 nhid ${PAIR}`,
      `route add 203.0.114.0/24 nhid ${TWO} table 1000 metric 0`,
    );
    assert.deepEqual(results, Array(6).fill("ok"));
    const [route] = ns.ipJson("-d", "route", "show", "203.0.113.0/24");
    assert.deepEqual([route.nhid, route.scope, route.prefsrc, route.metric], [PAIR, "global", "10.0.0.1", 20]);
    assert.deepEqual(route.metrics, [{ mtu: 1400 }]);
    assert.deepEqual(nhidsOf("-6"), [PAIR]);

    // One message moves both.
    assert.deepEqual(bench.apply({ id: PAIR, object: group(TWO), old: group(ONE, TWO) }), ["ok"]);
    assert.equal(shown(PAIR), `group ${TWO}`);
    assert.deepEqual([...nhidsOf("-4"), ...nhidsOf("-6")], [PAIR, PAIR]);

    const gone = bench.apply(
      ["route del 203.0.113.0/24", { old: `route add 203.0.113.0/24 nhid ${PAIR} mtu 1400 src 10.0.0.1` }],
      ["route del 2001:db8:f::/48", { old: `route add 2001:db8:f::/48 nhid ${PAIR}` }],
      [
        "route del 203.0.114.0/24 table 1000 metric 0",
        { old: `route add 203.0.114.0/24 nhid ${TWO} table 1000 metric 0` },
      ],
      { id: PAIR, old: group(TWO) },
    );
    assert.deepEqual(gone, Array(4).fill("ok"));
    assert.equal(ns.ip("route", "show", "table", "all", "proto", String(PROTOCOL)).trim(), "");
  });

  it("lend no route the MTU of another one, nor that which it had before", { skip }, () => {
    bench.apply({ id: ONE, object: single("v0", "10.0.0.2") });
    const route = (number: number, mtu = "") => `route add 203.0.${number}.0/24 nhid ${ONE}${mtu}`;
    const results = bench.apply(route(1), route(2, " mtu 1400"), route(3), route(4, " mtu 1300"), [
      route(1),
      { old: route(1) },
    ]);
    assert.deepEqual(results, Array(5).fill("ok"));
    const mtus = () => ns.ipJson("route", "show", "root", "203.0.0.0/16").map(({ metrics }) => metrics?.[0].mtu);
    assert.deepEqual(mtus(), [undefined, 1400, undefined, 1300]);
    assert.deepEqual(bench.apply([route(2), { old: route(2, " mtu 1400") }]), ["ok"]);
    assert.deepEqual(mtus(), [undefined, undefined, undefined, 1300]);
  });

  it("of metric 0 beside other metrics are deleted by themselves", { skip }, () => {
    const route = (metric: number, nhid: number) => `route add 203.0.113.0/24 nhid ${nhid} metric ${metric}`;
    bench.apply({ id: ONE, object: single("v0", "10.0.0.2") }, { id: TWO, object: single("v0", "10.0.0.3") });
    bench.apply({ id: PAIR, object: group(ONE, TWO) });
    assert.deepEqual(bench.apply(route(20, ONE), route(0, ONE), route(30, TWO)), ["ok", "ok", "ok"]);
    const metrics = () => ns.ipJson("route", "show", "203.0.113.0/24").map(({ metric = 0 }) => metric);
    const deletion = "route del 203.0.113.0/24 metric 0";
    // A route that went by another object was changed by somebody else.
    const missed = bench.apply([deletion, { old: route(0, PAIR) }]);
    assert.deepEqual([missed, metrics()], [["ESRCH"], [0, 20, 30]]);
    // One whose object is gone went with it.
    const lost = bench.apply([deletion, { old: route(0, THREE), flags: ContextFlag.KNOWN }]);
    assert.deepEqual([lost, metrics()], [["ok"], [0, 20, 30]]);
    assert.deepEqual([bench.apply([deletion, { old: route(0, ONE) }]), metrics()], [["ok"], [20, 30]]);
  });

  it("take the place of nexthops in a route and give it back, without a moment in which there is none", {
    skip,
  }, () => {
    bench.apply(
      { id: ONE, object: single("v0", "2001:db8::2") },
      { id: TWO, object: single("v2", "2001:db8:1::2") },
      { id: PAIR, object: group(ONE, TWO) },
    );
    for (const prefix of ["2001:db8:f::/48", "203.0.113.0/24"]) {
      const via = prefix.includes(":") ? "via" : "via inet6";
      const hops = ["2001:db8::2", "2001:db8::3", "2001:db8::4"].map((address) => `nexthop ${via} ${address} dev v0`);
      const shapes = [
        hops.slice(0, 2).join(" "),
        hops[0]!,
        hops.join(" "),
        `nhid ${PAIR}`,
        `nhid ${ONE}`,
        hops.join(" "),
        `nhid ${PAIR}`,
        hops[0]!,
      ];
      const monitored = bench.apply(`route add ${prefix} ${shapes[0]}`);
      assert.deepEqual(monitored, ["ok"]);
      for (const [index, shape] of shapes.slice(1).entries()) {
        const old = `route add ${prefix} ${shapes[index]}`;
        assert.deepEqual(bench.apply([`route replace ${prefix} ${shape}`, { old }]), ["ok"], shape);
        const routes = ns.ipJson(prefix.includes(":") ? "-6" : "-4", "route", "show", prefix);
        assert.equal(routes.length, 1, "there is no sibling");
        assert.equal(routes[0].nhid ?? 0, Number(/nhid (\d+)/.exec(shape)?.[1] ?? 0));
        if (routes[0].nhid === undefined) {
          assert.equal((routes[0].nexthops ?? [routes[0]]).length, shape.split("nexthop").length - 1);
        }
      }
    }
  });

  it("cannot change their kind under one number, and the old one stays", { skip }, () => {
    bench.apply({ id: ONE, object: single("v0", "10.0.0.2") }, { id: TWO, object: single("v0", "10.0.0.3") });
    const kinds: NexthopObject[] = [group(ONE, TWO), resilient(32, ONE, TWO), single("v0", "10.0.0.4")];
    for (const old of kinds) {
      assert.deepEqual(bench.apply({ id: PAIR, object: old }), ["ok"]);
      const before = shown(PAIR);
      for (const object of [...kinds.filter((kind) => kind !== old), resilient(64, ONE)]) {
        const [result] = bench.apply({ id: PAIR, object, old });
        assert.match(result!, /^EINVAL ./, `${JSON.stringify(old)} to ${JSON.stringify(object)}`);
        assert.equal(shown(PAIR), before);
      }
      assert.deepEqual(bench.apply({ id: PAIR, old }), ["ok"]);
    }
  });

  it("fail with the kernel's words, and routes on what is not there with them", { skip }, () => {
    ns.ip("link", "set", "v2", "down");
    const results = bench.apply(
      { id: ONE, object: single("v2", "10.0.1.2") },
      { id: TWO, object: single("nowhere", "10.0.0.2") },
      { id: THREE, object: single("v0", "192.0.2.9") },
      { id: PAIR, object: group(ONE) },
      `route add 203.0.113.0/24 nhid ${PAIR}`,
    );
    assert.deepEqual(results, [
      "ENETDOWN Nexthop device is not up",
      "EINVAL Device attribute required for non-blackhole and non-fdb nexthops",
      "ENETUNREACH Nexthop has invalid gateway",
      "EINVAL Invalid nexthop id",
      "EINVAL Nexthop id does not exist",
    ]);
  });

  it("of others are never replaced, and one that an earlier life has left is", { skip }, () => {
    ns.ipBatch([
      `nexthop add id ${ONE} via 10.0.0.9 dev v0 proto bird`,
      `nexthop add id ${TWO} via 10.0.0.9 dev v0 proto ${PROTOCOL}`,
    ]);
    const object = single("v0", "10.0.0.2");
    const results = bench.apply({ id: ONE, object }, { id: TWO, object }, { id: THREE, object });
    assert.deepEqual(results, [`EEXIST nexthop object ${ONE} is there already, and of protocol bird (12)`, "ok", "ok"]);
    assert.match(shown(ONE), /^via 10\.0\.0\.9 /);
    for (const id of [TWO, THREE]) assert.match(shown(id), /^via 10\.0\.0\.2 /);
    // A thread that died may have done it.
    assert.deepEqual(bench.apply({ id: THREE, object, flags: ContextFlag.REPLAYED }), ["ok"]);
    // The kernel lost it, and perhaps routes with it; who believes it there must hear of that.
    ns.ip("nexthop", "del", "id", String(THREE));
    const gone = "ENOENT Replace specified without create and no entry exists";
    assert.deepEqual(bench.apply({ id: THREE, object, old: object }), [gone]);
    assert.deepEqual(bench.apply({ id: THREE, object }), ["ok"]);
    assert.match(shown(THREE), /^via 10\.0\.0\.2 /);
  });

  it("are as before when a later provider fails", { skip }, () => {
    bench.apply({ id: ONE, object: single("v0", "10.0.0.2") }, { id: TWO, object: single("v0", "10.0.0.3") });
    bench.apply({ id: PAIR, object: group(ONE, TWO) });
    bench.failLater = true;
    const results = bench.apply(
      { id: THREE, object: single("v0", "10.0.0.4") },
      { id: PAIR, object: group(ONE), old: group(ONE, TWO) },
    );
    assert.deepEqual(new Set(results.map((result) => result.split(" ").at(-1))), new Set(["later"]));
    assert.equal(shown(THREE), "");
    assert.equal(shown(PAIR), `group ${ONE}/${TWO}`);
    bench.apply({ id: PAIR, old: group(ONE, TWO) });
    assert.equal(shown(PAIR), `group ${ONE}/${TWO}`);
  });
});

describe("a route of another program in the way", () => {
  /** By `ip`, what of it there is to be seen, and whose the refusal says it is. */
  const CASES: readonly [route: string, ours: string, whose: string][] = [
    ["203.0.113.0/24 via 10.0.0.9", "203.0.113.0/24 via 10.0.0.2", "a route of protocol bird (12)"],
    ["2001:db8:f::/48 via 2001:db8::9", "2001:db8:f::/48 via 2001:db8::2", "a route of protocol bird (12)"],
    ["203.0.113.7 via 10.0.0.9", "203.0.113.7 via 10.0.0.2", "a route of protocol bird (12)"],
    ["default via 10.0.0.9", "default via 10.0.0.2", "a route of protocol bird (12)"],
    ["default via 2001:db8::9", "::/0 via 2001:db8::2", "a route of protocol bird (12)"],
    // The lookup does not come to these.
    ["203.0.113.0/24 via 10.0.0.9 table 1000", "203.0.113.0/24 via 10.0.0.2 table 1000", "another route"],
    ["blackhole 203.0.113.0/24", "203.0.113.0/24 via 10.0.0.2", "another route"],
    ["blackhole 2001:db8:f::/48", "2001:db8:f::/48 via 2001:db8::2", "another route"],
  ];

  for (const [route, ours, whose] of CASES) {
    it(`${route}: stays, its owner is named, and goes if ours may take over`, { skip }, () => {
      const ns = createNetns();
      addTestLinks(ns);
      const bench = new KernelBench(ns, { protocol: PROTOCOL });
      try {
        const six = route.includes("2001:db8") ? "-6" : "-4";
        ns.ip(six, "route", "add", ...`${route} metric 20 proto bird`.split(" "));
        const held = () => ns.ipJson("-N", six, "route", "show", "table", "all").filter(({ metric }) => metric === 20);
        const before = held();
        assert.deepEqual(bench.apply(`route add ${ours}`), [`EEXIST ${whose} has this prefix, table and metric`]);
        assert.deepEqual(held(), before);
        assert.deepEqual(bench.apply([`route add ${ours}`, { flags: ContextFlag.TAKE_OVER }]), ["ok"]);
        assert.deepEqual(
          held().map(({ protocol }) => protocol),
          [String(PROTOCOL)],
        );
      } finally {
        bench.close();
        ns.delete();
      }
    });
  }

  it("is not named where another hides it", { skip }, () => {
    const ns = createNetns();
    addTestLinks(ns);
    const bench = new KernelBench(ns, { protocol: PROTOCOL });
    try {
      ns.ipBatch([
        "route add 203.0.113.0/24 via 10.0.0.9 metric 20 proto bird",
        "route add 203.0.113.0/24 via 10.0.0.9 metric 5 proto 99",
      ]);
      const unnamed = "EEXIST another route has this prefix, table and metric";
      assert.deepEqual(bench.apply("route add 203.0.113.0/24 via 10.0.0.2"), [unnamed]);
      // The lookup ends in the main table, whose route has the rest of the key.
      ns.ipBatch([
        "route add 198.51.100.0/24 via 10.0.0.9 metric 20 proto 99",
        "route add 198.51.100.0/24 via 10.0.0.9 metric 20 proto 12 table 1000",
      ]);
      assert.deepEqual(bench.apply("route add 198.51.100.0/24 via 10.0.0.2 table 1000"), [unnamed]);
    } finally {
      bench.close();
      ns.delete();
    }
  });
});
