/** Readings of a real kernel: routes by nexthop objects, what dplaned could not have written, one interface's routes, and objects. */
import assert from "node:assert/strict";
import { afterEach, beforeEach, describe, it } from "node:test";
import { NEXTHOP_ID_MIN } from "../../core/constants.ts";
import { NexthopObjectKind } from "../../core/context/nexthop_object.ts";
import { formatAddress, formatPrefix } from "../../core/model/prefix.ts";
import { EncapType, Family, type Nexthop, RouteType, type RouteUpdate } from "../../core/model/route.ts";
import { addTestLinks, PROTOCOL, readKernelNexthops, readKernelRoutes } from "../support/kernel_harness.ts";
import { createNetns, type Netns, skipReason } from "../support/netns.ts";

const skip = skipReason();
const FAMILIES = [Family.IPV4, Family.IPV6] as const;

function keyOf({ family, prefix, prefixLength, source, sourceLength, table, metric }: RouteUpdate): string {
  const from = sourceLength > 0 ? ` from ${formatPrefix(family, source, 0, sourceLength)}` : "";
  return `${formatPrefix(family, prefix, 0, prefixLength)}${from} table ${table} metric ${metric}`;
}

describe("a reading of the kernel", () => {
  let ns: Netns;
  const indexOf = (name: string): number => ns.ipJson("link", "show", name)[0].ifindex;
  /** Both families at once. */
  const read = (ifindex = 0) => {
    const readings = FAMILIES.map((family) => readKernelRoutes(ns, family, PROTOCOL, ifindex));
    return {
      routes: readings.flatMap(({ routes }) => routes),
      strange: readings.flatMap(({ strange }) => strange.map(keyOf)).sort(),
      unreadable: readings.reduce((sum, { unreadable }) => sum + unreadable, 0),
    };
  };
  const add = (...routes: string[]) => ns.ipBatch(routes.map((route) => `route add ${route} proto ${PROTOCOL}`));

  beforeEach(() => {
    if (skip) return;
    ns = createNetns();
    addTestLinks(ns);
  });
  afterEach(() => ns?.delete());

  for (const compatible of [1, 0]) {
    it(`tells a route's nexthop object and nothing else of it (nexthop_compat_mode = ${compatible})`, { skip }, () => {
      ns.exec("sysctl", ["-qw", `net.ipv4.nexthop_compat_mode=${compatible}`]);
      ns.ipBatch([
        "nexthop add id 1 via 2001:db8::2 dev v0",
        "nexthop add id 2 via 2001:db8:1::2 dev v2",
        "nexthop add id 3 group 1/2",
        "nexthop add id 4 blackhole",
      ]);
      add("203.0.113.0/24 nhid 3 metric 20 mtu 1400", "203.0.114.0/24 nhid 1 metric 20", "203.0.115.0/24 via 10.0.0.2");
      add("2001:db8:f::/48 nhid 3 metric 20", "203.0.116.0/24 nhid 4 metric 20");
      const { routes, strange, unreadable } = read();
      assert.deepEqual(
        routes.map(({ nexthopGroup, nexthops, mtu, type }) => [nexthopGroup, nexthops.length, mtu, type]),
        [
          [3, 0, 1400, RouteType.UNICAST],
          [1, 0, 0, RouteType.UNICAST],
          [0, 1, 0, RouteType.UNICAST],
          [3, 0, 0, RouteType.UNICAST],
        ],
      );
      // dplaned makes no objects that drop packets.
      assert.deepEqual([strange, unreadable], [["203.0.116.0/24 table 254 metric 20"], 1]);
    });
  }

  it("tells the key of what dplaned could not have written, and counts what has no key", { skip }, () => {
    add("203.0.113.0/24 via 10.0.0.2 metric 20");
    assert.deepEqual(read().unreadable, 0);
    add(
      "198.51.0.0/24 via 10.0.0.2 realm 5 metric 20",
      "198.51.2.0/24 via 10.0.0.2 advmss 1300 table 1000",
      "198.51.3.0/24 via 10.0.0.2 mtu lock 1400",
      "198.51.4.0/24 dev v0 encap ip id 3 dst 10.0.0.9",
      "multicast 239.1.0.0/16 dev v0",
      "2001:db8:f::/48 from 2001:db8:e::/48 via 2001:db8::2 metric 20 pref high",
      "2001:db8:f1::/48 via 2001:db8::2 metric 20 expires 1000",
    );
    add("198.51.1.0/24 via 10.0.0.2 tos 0x10");
    const { routes, strange, unreadable } = read();
    assert.deepEqual(routes.map(keyOf), ["203.0.113.0/24 table 254 metric 20"]);
    assert.equal(unreadable, 8);
    assert.deepEqual(strange, [
      "198.51.0.0/24 table 254 metric 20",
      "198.51.2.0/24 table 1000 metric 0",
      "198.51.3.0/24 table 254 metric 0",
      "198.51.4.0/24 table 254 metric 0",
      "2001:db8:f1::/48 table 254 metric 20",
      "2001:db8:f::/48 from 2001:db8:e::/48 table 254 metric 20",
      "239.1.0.0/16 table 254 metric 0",
    ]);
  });

  for (const compatible of [1, 0]) {
    it(`of one interface tells the routes that use it (nexthop_compat_mode = ${compatible})`, { skip }, () => {
      ns.exec("sysctl", ["-qw", `net.ipv4.nexthop_compat_mode=${compatible}`]);
      ns.ipBatch([
        "nexthop add id 1 via 2001:db8::2 dev v0",
        "nexthop add id 2 via 2001:db8:1::2 dev v2",
        "nexthop add id 3 group 1/2",
      ]);
      const both = ["203.0.1.0/24 metric 20 nexthop via 10.0.0.2 nexthop via 10.0.1.2", "2001:db8:f1::/48 metric 20"];
      both[1] += " nexthop via 2001:db8::2 nexthop via 2001:db8:1::2";
      ns.ipBatch(both.map((route) => `route add ${route.replace("metric", `proto ${PROTOCOL} metric`)}`));
      add("203.0.2.0/24 via 10.0.0.2 metric 20", "203.0.3.0/24 via 10.0.1.2 metric 20 table 1000");
      add("203.0.4.0/24 nhid 1 metric 20", "203.0.5.0/24 nhid 2 metric 20", "203.0.6.0/24 nhid 3 metric 20");
      add("2001:db8:f2::/48 dev v0 metric 20", "2001:db8:f3::/48 dev v2 metric 20", "blackhole 203.0.7.0/24");
      add(
        "2001:db8:f4::/48 nhid 1 metric 20",
        "2001:db8:f5::/48 nhid 2 metric 20",
        "2001:db8:f6::/48 nhid 3 metric 20",
      );
      const thirds = (ifindex: number) =>
        read(ifindex)
          .routes.map(({ family, prefix }) => (family === Family.IPV4 ? prefix[2]! : prefix[5]! & 15))
          .sort();
      assert.equal(read().routes.length, 13);
      assert.deepEqual(thirds(indexOf("v0")), [1, 1, 2, 2, 4, 4, 6, 6]);
      assert.deepEqual(thirds(indexOf("v2")), [1, 1, 3, 3, 5, 5, 6, 6]);
      assert.deepEqual(thirds(indexOf("v1")), []);
      assert.deepEqual(thirds(9999), [], "an interface that is gone has none");
    });
  }

  it("tells the nexthop objects of our protocol", { skip }, () => {
    ns.ipBatch(
      [
        "id 1 via 10.0.0.2 dev v0",
        "id 2 via 192.0.2.1 dev v2 onlink",
        "id 3 via 2001:db8::2 dev v0 encap seg6 mode encap segs 2001:db8:a::1",
        "id 10 group 1,3/2,256",
        "id 11 group 1/2 type resilient buckets 32 idle_timer 60 unbalanced_timer 300",
        // dplaned could not have written these.
        "id 20 blackhole",
        "id 21 via 10.0.0.2 fdb",
        "id 22 dev v0",
        "id 23 via 10.0.0.3 dev v0 encap ip id 3 dst 10.0.0.9",
      ].map((object) => `nexthop add ${object} proto ${PROTOCOL}`),
    );
    ns.ip("-6", "nexthop", "add", "id", "4", "dev", "v2", "proto", String(PROTOCOL));
    ns.ip("nexthop", "add", "id", "30", "via", "10.0.0.9", "dev", "v0", "proto", "bird");
    // Whoever replaces one of ours puts his own protocol on it.
    const taken = ["id", String(NEXTHOP_ID_MIN), "dev", "v0", "via"];
    ns.ip("nexthop", "add", ...taken, "10.0.0.9", "proto", String(PROTOCOL));
    ns.ip("nexthop", "replace", ...taken, "10.0.0.8", "proto", "bird");
    const held = readKernelNexthops(ns, PROTOCOL);
    assert.deepEqual(
      held.filter(({ isOurs }) => !isOurs).map(({ id }) => id),
      [NEXTHOP_ID_MIN],
    );
    const objects = new Map(held.filter(({ isOurs }) => isOurs).map(({ id, object }) => [id, object]));
    const singleOf = (id: number): Nexthop => {
      const object = objects.get(id);
      assert.ok(object?.kind === NexthopObjectKind.SINGLE);
      return object.nexthop;
    };
    const [one, two, three, four] = [1, 2, 3, 4].map(singleOf) as [Nexthop, Nexthop, Nexthop, Nexthop];
    assert.deepEqual([formatAddress(one.viaFamily, one.via, 0), one.ifindex], ["10.0.0.2", indexOf("v0")]);
    assert.deepEqual([formatAddress(two.viaFamily, two.via, 0), two.onlink], ["192.0.2.1", true]);
    assert.equal(formatAddress(three.viaFamily, three.via, 0), "2001:db8::2");
    assert.deepEqual([three.encap, three.segments.length], [EncapType.SEG6, 1]);
    assert.deepEqual([four.viaFamily, four.ifindex], [Family.NONE, indexOf("v2")]);
    assert.deepEqual(objects.get(10), {
      kind: NexthopObjectKind.GROUP,
      members: [
        { id: 1, weight: 3 },
        { id: 2, weight: 256 },
      ],
    });
    assert.deepEqual(objects.get(11), {
      kind: NexthopObjectKind.RESILIENT,
      members: [
        { id: 1, weight: 1 },
        { id: 2, weight: 1 },
      ],
      buckets: 32,
      idleTimer: 60,
      unbalancedTimer: 300,
    });
    const strange = [20, 21, 22, 23].filter((id) => objects.has(id) && objects.get(id) === null);
    assert.deepEqual(strange, [20, 21, 22, 23]);
    assert.equal(objects.size, 10);
  });
});
