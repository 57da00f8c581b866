/**
 * What the kernel answers to requests that it may refuse, as our results tell it, and what it then holds: above all that
 * routes of others are never touched, and that a refused change leaves the old route where it was.
 */
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { addTestLinks, KernelHarness, outcomeText } from "../support/kernel_harness.ts";
import { createNetns, type Netns, skipReason } from "../support/netns.ts";

/** In lines, P stands for a prefix of the case's own. */
interface Case {
  name: string;
  family: 4 | 6;
  /** Done first by `ip`, as another program would. */
  foreign?: string[];
  /** Done next by us, and programmed. */
  before?: string[];
  line: string;
  /** As `outcomeText` puts it. */
  result: string;
  hint?: RegExp;
  /** What the kernel holds for P afterwards: routes as `ip` shows them, sorted. */
  holds: string[];
}

const NONE: string[] = [];
const OURS_4 = ["P via 10.0.0.2 dev v0 proto 210 metric 20"];
const OURS_6 = ["P via 2001:db8::2 dev v0 proto 210 metric 20 pref medium"];

const CASES: readonly Case[] = [
  {
    name: "the same route again",
    family: 4,
    before: ["add P via 10.0.0.2"],
    line: "add P via 10.0.0.2",
    result: "fib_programmed",
    holds: OURS_4,
  },
  {
    name: "the same route again",
    family: 6,
    before: ["add P via 2001:db8::2"],
    line: "add P via 2001:db8::2",
    result: "fib_programmed",
    holds: OURS_6,
  },
  {
    name: "another gateway takes the place of the first",
    family: 4,
    before: ["add P via 10.0.0.3"],
    line: "add P via 10.0.0.2",
    result: "fib_programmed",
    holds: OURS_4,
  },
  {
    name: "another gateway does not join the first",
    family: 6,
    before: ["add P via 2001:db8::3"],
    line: "add P via 2001:db8::2",
    result: "fib_programmed",
    holds: OURS_6,
  },
  {
    name: "a foreign route of the same key is not overwritten",
    family: 4,
    foreign: ["add P via 10.0.0.9 metric 20 proto 99"],
    line: "add P via 10.0.0.2",
    result: "EEXIST a route of protocol openr (99) has this prefix, table and metric",
    holds: ["P via 10.0.0.9 dev v0 proto 99 metric 20"],
  },
  {
    name: "a foreign route of the same key gets no sibling",
    family: 6,
    foreign: ["add P via 2001:db8::9 metric 20 proto 99"],
    line: "add P via 2001:db8::2",
    result: "EEXIST a route of protocol openr (99) has this prefix, table and metric",
    holds: ["P via 2001:db8::9 dev v0 proto 99 metric 20 pref medium"],
  },
  {
    name: "a foreign route of another metric stands beside",
    family: 4,
    foreign: ["add P via 10.0.0.9 proto 99"],
    line: "add P via 10.0.0.2",
    result: "fib_programmed",
    holds: [...OURS_4, "P via 10.0.0.9 dev v0 proto 99"],
  },
  {
    name: "a foreign route of another metric stands beside",
    family: 6,
    foreign: ["add P via 2001:db8::9 proto 99 metric 10"],
    line: "add P via 2001:db8::2",
    result: "fib_programmed",
    holds: [...OURS_6, "P via 2001:db8::9 dev v0 proto 99 metric 10 pref medium"],
  },
  {
    name: "deleting a foreign route",
    family: 4,
    foreign: ["add P via 10.0.0.9 metric 20 proto 99"],
    line: "del P",
    result: "ESRCH",
    hint: /there is no .* with metric 20/,
    holds: ["P via 10.0.0.9 dev v0 proto 99 metric 20"],
  },
  {
    name: "deleting a foreign route",
    family: 6,
    foreign: ["add P via 2001:db8::9 metric 20 proto 99"],
    line: "del P",
    result: "ESRCH",
    hint: /there is no .* with metric 20/,
    holds: ["P via 2001:db8::9 dev v0 proto 99 metric 20 pref medium"],
  },
  {
    name: "deleting what failed because of a foreign route",
    family: 4,
    foreign: ["add P via 10.0.0.9 metric 20 proto 99"],
    line: "del P",
    result: "ESRCH",
    holds: ["P via 10.0.0.9 dev v0 proto 99 metric 20"],
  },
  { name: "deleting nothing", family: 4, line: "del P", result: "ESRCH", hint: /another metric/, holds: NONE },
  { name: "deleting nothing", family: 6, line: "del P", result: "ESRCH", hint: /another metric/, holds: NONE },
  {
    name: "deleting from a table that does not exist",
    family: 4,
    line: "del P table 4711",
    result: "ESRCH FIB table does not exist",
    hint: /table 4711 has no routes/,
    holds: NONE,
  },
  {
    name: "deleting from a table that does not exist",
    family: 6,
    line: "del P table 4711",
    result: "ESRCH FIB table does not exist",
    hint: /table 4711 has no routes/,
    holds: NONE,
  },
  {
    name: "deleting by another metric",
    family: 4,
    before: ["add P via 10.0.0.2"],
    line: "del P metric 21",
    result: "ESRCH",
    holds: OURS_4,
  },
  {
    name: "deleting by metric 0, which the kernel takes for any",
    family: 4,
    before: ["add P via 10.0.0.2"],
    line: "del P metric 0",
    result: "ESRCH",
    holds: OURS_4,
  },
  {
    name: "deleting by metric 0, which the kernel takes for 1024",
    family: 6,
    before: ["add P via 2001:db8::2"],
    line: "del P metric 0",
    result: "ESRCH",
    holds: OURS_6,
  },
  {
    name: "deleting metric 0 beside another",
    family: 4,
    foreign: ["add P via 10.0.0.9 metric 5 proto 99"],
    before: ["add P via 10.0.0.2", "add P via 10.0.0.2 metric 0"],
    line: "del P metric 0",
    result: "fib_programmed",
    holds: [...OURS_4, "P via 10.0.0.9 dev v0 proto 99 metric 5"],
  },
  {
    name: "an unreachable gateway",
    family: 4,
    line: "add P via 192.0.2.9 dev v0",
    result: "ENETUNREACH Nexthop has invalid gateway",
    hint: /no route to 192\.0\.2\.9 on v0.*onlink/,
    holds: NONE,
  },
  {
    name: "an unreachable gateway",
    family: 6,
    line: "add P via 2001:db8:77::9 dev v0",
    result: "EHOSTUNREACH",
    hint: /no route to 2001:db8:77::9 on v0.*onlink/,
    holds: NONE,
  },
  {
    name: "a change to an unreachable gateway keeps the old one",
    family: 4,
    before: ["add P via 10.0.0.2"],
    line: "add P via 192.0.2.9 dev v0",
    result: "ENETUNREACH Nexthop has invalid gateway",
    holds: OURS_4,
  },
  {
    name: "a change to an unreachable gateway keeps the old one",
    family: 6,
    before: ["add P via 2001:db8::2"],
    line: "add P via 2001:db8:77::9 dev v0",
    result: "EHOSTUNREACH",
    holds: OURS_6,
  },
  {
    name: "one bad nexthop among several keeps the old ones",
    family: 4,
    before: ["add P nexthop via 10.0.0.2 nexthop via 10.0.1.2"],
    line: "add P nexthop via 10.0.0.3 nexthop via 192.0.2.9 dev v0",
    result: "ENETUNREACH Nexthop has invalid gateway",
    holds: ["P proto 210 metric 20 nexthop via 10.0.0.2 dev v0 weight 1 nexthop via 10.0.1.2 dev v2 weight 1"],
  },
  {
    name: "one bad nexthop among several keeps the old ones",
    family: 6,
    before: ["add P nexthop via 2001:db8::2 nexthop via 2001:db8:1::2"],
    line: "add P nexthop via 2001:db8::3 nexthop via 2001:db8:77::9 dev v0",
    result: "EHOSTUNREACH",
    holds: [
      "P proto 210 metric 20 pref medium nexthop via 2001:db8::2 dev v0 weight 1 nexthop via 2001:db8:1::2 dev v2 weight 1",
    ],
  },
  {
    name: "one bad nexthop among several leaves none of the good ones",
    family: 6,
    line: "add P nexthop via 2001:db8::3 nexthop via 2001:db8:77::9 dev v0",
    result: "EHOSTUNREACH",
    holds: NONE,
  },
  {
    name: "a gateway that is our own address",
    family: 6,
    line: "add P via 2001:db8::1",
    result: "EINVAL Gateway can not be a local address",
    hint: /2001:db8::1 is this machine's own address/,
    holds: NONE,
  },
  {
    name: "a preferred source that is not ours",
    family: 4,
    line: "add P via 10.0.0.2 src 192.0.2.1",
    result: "EINVAL Invalid prefsrc address",
    hint: /prefsrc 192\.0\.2\.1/,
    holds: NONE,
  },
  {
    name: "a preferred source that is not ours",
    family: 6,
    line: "add P via 2001:db8::2 src 2001:db8:77::1",
    result: "EINVAL Invalid source address",
    hint: /prefsrc 2001:db8:77::1/,
    holds: NONE,
  },
  {
    name: "a multipath route of devices",
    family: 6,
    line: "add P nexthop dev v0 nexthop dev v2",
    result: "EINVAL Device only routes can not be added for IPv6 using the multipath API.",
    hint: /give every nexthop of an IPv6 multipath route a gateway/,
    holds: NONE,
  },
  {
    name: "a gateway that no interface reaches",
    family: 4,
    line: "add P via 192.0.2.9",
    result: "ENETUNREACH Nexthop has invalid gateway",
    hint: /no interface reaches 192\.0\.2\.9/,
    holds: NONE,
  },
  {
    name: "a gateway that no interface reaches",
    family: 6,
    line: "add P via 2001:db8:77::9",
    result: "EHOSTUNREACH",
    hint: /no interface reaches 2001:db8:77::9/,
    holds: NONE,
  },
  {
    name: "a link that is down",
    family: 4,
    line: "add P dev d0",
    result: "ENETDOWN Device for nexthop is not up",
    hint: /d0 is down/,
    holds: NONE,
  },
  {
    name: "a link that is down",
    family: 6,
    line: "add P dev d0",
    result: "ENETDOWN Nexthop device is not up",
    hint: /d0 is down/,
    holds: NONE,
  },
  {
    name: "a gateway on a link that is down",
    family: 4,
    line: "add P via 192.0.2.9 dev d0 onlink",
    result: "ENETDOWN Nexthop device is not up",
    hint: /d0 is down/,
    holds: NONE,
  },
  {
    name: "a gateway on a link that is down",
    family: 6,
    line: "add P via fe80::9 dev d0 onlink",
    result: "ENETDOWN Nexthop device is not up",
    hint: /d0 is down/,
    holds: NONE,
  },
  { name: "a link that is gone", family: 4, line: "add P dev gone", result: "ENODEV", hint: /gone/, holds: NONE },
  { name: "a link that is gone", family: 6, line: "add P dev gone", result: "ENODEV", hint: /gone/, holds: NONE },
  {
    name: "a gateway on a link that is gone",
    family: 4,
    line: "add P via 192.0.2.9 dev gone onlink",
    result: "ENODEV Nexthop device required for onlink",
    holds: NONE,
  },
  {
    name: "a gateway on a link that is gone",
    family: 6,
    line: "add P via fe80::9 dev gone",
    result: "ENODEV",
    hint: /gone/,
    holds: NONE,
  },
];

const skip = skipReason();

describe("answers of the kernel", () => {
  let ns: Netns;
  let harness: KernelHarness;

  before(async () => {
    if (skip) return;
    ns = createNetns();
    addTestLinks(ns);
    ns.ipBatch(["link add d0 type veth peer name d1", "link add gone type veth peer name gone1"]);
    harness = await KernelHarness.start(ns);
    ns.ip("link", "delete", "gone");
  });
  after(async () => {
    await harness?.close();
    ns?.delete();
  });

  /** What the kernel holds for a prefix, a route a line, numbers instead of names. */
  function held(family: 4 | 6, prefix: string): string[] {
    const text = ns.ip("-N", `-${family}`, "route", "show", "table", "all", "exact", prefix);
    const lines = text.replaceAll(/\n\t/g, " ").split("\n");
    return lines
      .map((line) => line.trim().replaceAll(/ +/g, " ").replace(prefix, "P"))
      .filter((line) => line !== "")
      .sort();
  }

  for (const [
    index,
    { name, family, foreign = [], before: first = [], line, result, hint, holds },
  ] of CASES.entries()) {
    it(`IPv${family}: ${name}`, { skip }, async () => {
      const prefix = family === 4 ? `203.0.${index}.0/24` : `2001:db8:f${index.toString(16).padStart(2, "0")}::/48`;
      const full = (text: string) => `route ${text.replace("P", prefix)}`;
      ns.ipBatch(foreign.map((text) => full(text)));
      await harness.install(...first.map((text) => full(text)));
      const answer = await harness.applyOne(full(line));
      assert.equal(outcomeText(answer), result);
      if (hint !== undefined) assert.match(answer.hint, hint);
      assert.deepEqual(held(family, prefix), holds);
    });
  }

  it("IPv4: a deletion does not take a route of another metric that outlived its own", { skip }, async () => {
    ns.ipBatch(["link add f0 type veth peer name f1", "link set f0 up", "link set f1 up"]);
    ns.ip("address", "add", "10.0.3.1/24", "dev", "f0");
    harness.readLinks(ns);
    await harness.install(
      "route add 198.51.100.0/24 via 10.0.3.2 dev f0 metric 0",
      "route add 198.51.100.0/24 via 10.0.0.2 dev v0 metric 10",
      "route add 198.51.101.0/24 metric 0 nexthop via 10.0.3.2 dev f0 nexthop via 10.0.3.3 dev f0",
      "route add 198.51.101.0/24 via 10.0.0.2 dev v0 metric 10",
    );
    // The kernel removes what goes over the link, and tells nobody.
    ns.ip("link", "delete", "f0");
    for (const prefix of ["198.51.100.0/24", "198.51.101.0/24"]) {
      assert.deepEqual(held(4, prefix), ["P via 10.0.0.2 dev v0 proto 210 metric 10"]);
      await harness.install(`route del ${prefix} metric 0`);
      assert.deepEqual(held(4, prefix), ["P via 10.0.0.2 dev v0 proto 210 metric 10"]);
      await harness.install(`route del ${prefix} metric 10`);
      assert.deepEqual(held(4, prefix), []);
    }
  });

  it("routes that the kernel has dropped with their link can be changed and deleted", { skip }, async () => {
    ns.ipBatch(["link add f0 type veth peer name f1", "link set f0 up", "link set f1 up"]);
    ns.ipBatch(["address add 10.0.3.1/24 dev f0", "address add 2001:db8:3::1/64 dev f0 nodad"]);
    harness.readLinks(ns);
    const routes = ["198.51.100.0/24 via 10.0.3.2", "2001:db8:e00::/48 via 2001:db8:3::2"];
    await harness.install(...routes.map((route) => `route add ${route} dev f0`));
    ns.ip("link", "set", "f0", "down");
    assert.deepEqual(held(4, "198.51.100.0/24"), []);
    assert.deepEqual(held(6, "2001:db8:e00::/48"), []);

    const changes = await harness.apply(routes.map((route) => `route replace ${route} dev f0 mtu 1400`));
    assert.deepEqual(changes.map(outcomeText), ["ENETUNREACH Nexthop has invalid gateway", "EHOSTUNREACH"]);
    await harness.install("route del 198.51.100.0/24", "route del 2001:db8:e00::/48");

    ns.ip("link", "set", "f0", "up");
    ns.ip("address", "replace", "2001:db8:3::1/64", "dev", "f0", "nodad");
    await harness.install(...routes.map((route) => `route add ${route} dev f0`));
    ns.ip("link", "delete", "f0");
    // Known to us, gone from the kernel: a change puts it there again.
    await harness.install(
      "route replace 198.51.100.0/24 via 10.0.0.2",
      "route replace 2001:db8:e00::/48 via 2001:db8::2",
    );
    assert.deepEqual(held(4, "198.51.100.0/24"), OURS_4);
    assert.deepEqual(held(6, "2001:db8:e00::/48"), OURS_6);
    await harness.install("route del 198.51.100.0/24", "route del 2001:db8:e00::/48");
  });

  it("what nobody told us of and yet bears our protocol is taken over, and nothing else", { skip }, async () => {
    // Left behind by an answer that was lost; beside the second one another program's of the same key.
    ns.ipBatch([
      "route add 198.51.100.0/24 via 10.0.0.9 metric 20 proto 210",
      "route add 198.51.101.0/24 via 10.0.0.9 metric 20 proto 210",
      "route prepend 198.51.101.0/24 via 10.0.0.8 metric 20 proto 99",
      "route add 2001:db8:e00::/48 metric 20 proto 210 nexthop via 2001:db8::8 nexthop via 2001:db8::9",
    ]);
    const results = await harness.apply([
      "route add 198.51.100.0/24 via 10.0.0.2",
      "route add 198.51.101.0/24 via 10.0.0.2",
      "route add 2001:db8:e00::/48 via 2001:db8::2",
    ]);
    assert.deepEqual(results.map(outcomeText), [
      "fib_programmed",
      "EEXIST a route of protocol openr (99) has this prefix, table and metric",
      "fib_programmed",
    ]);
    assert.deepEqual(held(4, "198.51.100.0/24"), OURS_4);
    assert.deepEqual(held(4, "198.51.101.0/24"), ["P via 10.0.0.8 dev v0 proto 99 metric 20"]);
    assert.deepEqual(held(6, "2001:db8:e00::/48"), OURS_6);
    await harness.install("route del 198.51.100.0/24", "route del 2001:db8:e00::/48");
    ns.ip("route", "del", "198.51.101.0/24");
  });

  it("two routes of our protocol under one key give way to the one that is installed", { skip }, async () => {
    ns.ipBatch([
      "route add 198.51.100.0/24 via 10.0.0.9 metric 20 proto 210",
      "route append blackhole 198.51.100.0/24 metric 20 proto 210",
      "route add throw 2001:db8:e00::/48 metric 20 proto 210",
      "route append 2001:db8:e00::/48 via 2001:db8::9 metric 20 proto 210",
    ]);
    await harness.install("route add 198.51.100.0/24 via 10.0.0.2", "route add 2001:db8:e00::/48 via 2001:db8::2");
    assert.deepEqual(held(4, "198.51.100.0/24"), OURS_4);
    assert.deepEqual(held(6, "2001:db8:e00::/48"), OURS_6);
    await harness.install("route del 198.51.100.0/24", "route del 2001:db8:e00::/48");
  });

  it("IPv4: a route replaces ours although somebody has put that very route behind it", { skip }, async () => {
    await harness.install("route add 198.51.100.0/24 via 10.0.0.3");
    ns.ip(..."route append 198.51.100.0/24 via 10.0.0.2 metric 20 proto 210".split(" "));
    await harness.install("route replace 198.51.100.0/24 via 10.0.0.2");
    assert.deepEqual(held(4, "198.51.100.0/24"), OURS_4);
    await harness.install("route del 198.51.100.0/24");
  });

  for (const [word, place] of [
    ["append", "behind"],
    ["prepend", "before"],
  ] as const) {
    it(`IPv4: another's route ${place} ours under the same key outlives our deletion`, { skip }, async () => {
      await harness.install("route add 198.51.100.0/24 via 10.0.0.2");
      ns.ip("route", word, "198.51.100.0/24", "via", "10.0.0.8", "metric", "20", "proto", "99");
      // (A change by us would hit the one before ours: the kernel has no way to say "replace it if it is mine".)
      if (word === "append") await harness.install("route replace 198.51.100.0/24 via 10.0.0.3");
      await harness.install("route del 198.51.100.0/24");
      assert.deepEqual(held(4, "198.51.100.0/24"), ["P via 10.0.0.8 dev v0 proto 99 metric 20"]);
      ns.ip("route", "del", "198.51.100.0/24");
    });
  }
});
