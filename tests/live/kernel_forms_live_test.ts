/**
 * Every form of route that an update can ask for, in a real kernel: what the kernel provider installs is what `ip` makes
 * of the same line in a namespace that is set up alike.
 */
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { formatAddress } from "../../core/model/prefix.ts";
import { Family, type RouteUpdate } from "../../core/model/route.ts";
import {
  addTestLinks,
  KernelHarness,
  outcomeText,
  PROTOCOL,
  readKernelRoutes,
  routesOf,
} from "../support/kernel_harness.ts";
import { createNetns, type Netns, skipReason } from "../support/netns.ts";

const SEGMENTS = "2001:db8:a::1,2001:db8:a::2";

/** Lines that both take. `metric` stands in every one, because dplaned's default is not `ip`'s. */
const FORMS: readonly string[] = [
  "203.0.113.0/24 via 10.0.0.2 metric 20",
  "203.0.113.0/24 via 10.0.0.2 dev v0 metric 20",
  "203.0.113.0/24 via 10.0.0.2 dev v0 metric 0",
  "203.0.113.0/24 via 10.0.0.2 dev v0 metric 4294967295",
  "203.0.113.0/24 metric 20 nexthop via 10.0.0.2 dev v0 weight 1 nexthop via 10.0.1.2 dev v2 weight 256",
  "203.0.113.0/24 metric 20 nexthop via 10.0.0.2 nexthop via 10.0.0.3 nexthop via 10.0.1.2",
  "203.0.113.0/24 via 192.0.2.1 dev v0 onlink metric 20",
  "203.0.113.0/24 metric 20 nexthop via 192.0.2.1 dev v0 onlink nexthop via 192.0.2.2 dev v2 onlink weight 7",
  "203.0.113.0/24 dev v0 metric 20",
  "203.0.113.0/24 metric 20 nexthop dev v0 weight 2 nexthop dev v2",
  "203.0.113.0/24 via inet6 2001:db8::2 dev v0 metric 20",
  "203.0.113.0/24 via inet6 fe80::2 dev v0 metric 20",
  "203.0.113.0/24 metric 20 nexthop via inet6 2001:db8::2 dev v0 weight 3 nexthop via 10.0.1.2 dev v2",
  "203.0.113.0/24 via 10.0.0.2 src 10.0.1.1 metric 20",
  "203.0.113.0/24 via 10.0.0.2 mtu 1400 metric 20",
  "203.0.113.0/24 metric 20 mtu 1400 src 10.0.0.1 nexthop via 10.0.0.2 nexthop via 10.0.1.2",
  "203.0.113.0/24 via 10.0.0.2 table 100 metric 20",
  "203.0.113.0/24 via 10.0.0.2 table 1000 metric 20",
  "203.0.113.0/24 via 10.0.0.2 table 4294967295 metric 20",
  "blackhole 203.0.113.0/24 metric 20",
  "unreachable 203.0.113.0/24 metric 20",
  "prohibit 203.0.113.0/24 metric 20",
  "throw 203.0.113.0/24 metric 20",
  "throw 203.0.113.0/24 metric 20 table 1001",
  "default via 10.0.0.2 metric 20",
  "203.0.113.7/32 via 10.0.0.2 metric 20",
  `203.0.113.0/24 encap seg6 mode encap segs ${SEGMENTS} dev v0 metric 20`,
  "2001:db8:f::/48 via 2001:db8::2 metric 20",
  "2001:db8:f::/48 via 2001:db8::2 dev v0 metric 20",
  "2001:db8:f::/48 via fe80::2 dev v0 metric 20",
  "2001:db8:f::/48 via 2001:db8::2 dev v0 metric 0",
  "2001:db8:f::/48 metric 20 nexthop via 2001:db8::2 dev v0 weight 3 nexthop via 2001:db8:1::2 dev v2 weight 256",
  "2001:db8:f::/48 metric 20 nexthop via 2001:db8::2 nexthop via 2001:db8::3 nexthop via 2001:db8:1::2",
  "2001:db8:f::/48 via 2001:db8:9::9 dev v0 onlink metric 20",
  "2001:db8:f::/48 dev v0 metric 20",
  "2001:db8:f::/48 via 2001:db8::2 src 2001:db8:1::1 metric 20",
  "2001:db8:f::/48 via 2001:db8::2 mtu 1400 metric 20",
  "2001:db8:f::/48 via 2001:db8::2 table 100 metric 20",
  "2001:db8:f::/48 via 2001:db8::2 table 1000 metric 20",
  "2001:db8:f::/48 via 2001:db8::2 table 4294967295 metric 20",
  "blackhole 2001:db8:f::/48 metric 20",
  "unreachable 2001:db8:f::/48 metric 20",
  "prohibit 2001:db8:f::/48 metric 20",
  "throw 2001:db8:f::/48 metric 20",
  "2001:db8:f::/48 from 2001:db8:e::/48 via 2001:db8::2 dev v0 metric 20",
  "2001:db8:f::/48 from 2001:db8:e::/48 metric 20 nexthop via 2001:db8::2 dev v0 nexthop via 2001:db8:1::2 dev v2",
  "default from 2001:db8:e::/48 via 2001:db8::2 dev v0 metric 20",
  `2001:db8:f::/48 encap seg6 mode encap segs ${SEGMENTS} dev v0 metric 20`,
  `2001:db8:f::/48 encap seg6 mode encap segs ${SEGMENTS} via 2001:db8::2 dev v0 metric 20`,
  `2001:db8:f::/48 encap seg6 mode inline segs ${SEGMENTS} dev v0 metric 20`,
  `2001:db8:f::/48 encap seg6 mode l2encap segs ${SEGMENTS} dev v0 metric 20`,
  `2001:db8:f::/48 encap seg6 mode encap.red segs ${SEGMENTS} dev v0 metric 20`,
  `2001:db8:f::/48 encap seg6 mode l2encap.red segs ${SEGMENTS} dev v0 metric 20`,
  `2001:db8:f::/48 metric 20 nexthop encap seg6 mode encap segs ${SEGMENTS} via 2001:db8::2 dev v0 nexthop via 2001:db8:1::2 dev v2 weight 4`,
  "default via 2001:db8::2 metric 20",
  "2001:db8:f::1/128 via 2001:db8::2 metric 20",
];

const skip = skipReason();

describe("routes in the kernel", () => {
  let ours: Netns;
  let twin: Netns;
  let harness: KernelHarness;

  before(async () => {
    if (skip) return;
    [ours, twin] = [createNetns(), createNetns()];
    for (const ns of [ours, twin]) addTestLinks(ns);
    harness = await KernelHarness.start(ours);
  });
  after(async () => {
    await harness?.close();
    ours?.delete();
    twin?.delete();
  });

  /** What the kernel holds of ours, read by our own reader: `ip` cannot show a route of more than 4 KiB. */
  function readOurRoutes(family: Family): RouteUpdate[] {
    return readKernelRoutes(ours, family, PROTOCOL).routes;
  }

  for (const form of FORMS) {
    it(`are as ip makes them: ${form}`, { skip }, async () => {
      twin.ipBatch([`route add ${form}`]);
      await harness.install(`route add ${form}`);
      const routes = routesOf(twin);
      assert.equal(routes.length, 1, "ip has added one route");
      assert.deepEqual(routesOf(ours), routes);

      twin.ipBatch([`route del ${form}`]);
      await harness.install(`route del ${form}`);
      assert.deepEqual(routesOf(ours), []);
      assert.deepEqual(routesOf(twin), []);
    });
  }

  it("are as ip makes them when all come at once, a table for each", { skip }, async () => {
    const withTable = (form: string, index: number) =>
      form.includes(" table ") ? form : form.replace(/( nexthop|$)/, ` table ${2000 + index}$1`);
    const lines = FORMS.map((form, index) => `route add ${withTable(form, index)}`);
    twin.ipBatch(lines);
    await harness.install(...lines);
    const routes = routesOf(twin);
    assert.ok(routes.length > FORMS.length / 2);
    assert.deepEqual(routesOf(ours), routes);
    const deletions = lines.map((line) => line.replace("add", "del"));
    await harness.install(...deletions);
    assert.deepEqual(routesOf(ours), []);
    twin.ipBatch(deletions);
  });

  it("have up to 512 nexthops", { skip }, async () => {
    const hops = Array.from({ length: 512 }, (_, index) => ({ via: `192.0.${index >> 8}.${index & 255}`, index }));
    const list = hops.map(({ via, index }) => `nexthop via ${via} dev v0 onlink weight ${(index % 256) + 1}`);
    await harness.install(`route add 203.0.113.0/24 ${list.join(" ")}`);
    assert.deepEqual(
      readOurRoutes(Family.IPV4)[0]!.nexthops.map(({ via, viaFamily, weight }) => [
        formatAddress(viaFamily, via, 0),
        weight,
      ]),
      hops.map(({ via, index }) => [via, (index % 256) + 1]),
    );
    await harness.install("route del 203.0.113.0/24");

    const list6 = hops.map(({ index }) => `nexthop via 2001:db8::${(index + 2).toString(16)} dev v0`);
    await harness.install(`route add 2001:db8:f::/48 ${list6.join(" ")}`);
    assert.equal(readOurRoutes(Family.IPV6)[0]!.nexthops.length, 512);
    await harness.install("route del 2001:db8:f::/48");
    assert.deepEqual(routesOf(ours), []);
  });

  it("are refused before the kernel is asked when it could not show them", { skip }, async () => {
    const segments = Array.from({ length: 16 }, (_, index) => `2001:db8:a::${index + 1}`).join(",");
    const list = Array.from(
      { length: 512 },
      (_, index) => `nexthop encap seg6 mode encap segs ${segments} via 2001:db8::${(index + 2).toString(16)} dev v0`,
    );
    const result = await harness.applyOne(`route add 2001:db8:f::/48 ${list.join(" ")}`);
    assert.equal(
      outcomeText(result),
      "EMSGSIZE the nexthops take more than the 32 KiB in which the kernel can show a route",
    );
    assert.deepEqual(routesOf(ours), []);
    // The longest that is taken does not hide the routes around it.
    const longest = `route add 2001:db8:f::/48 ${list.slice(0, 103).join(" ")}`;
    await harness.install(longest, "route add 2001:db8:e::/48 dev v0", "route add 2001:db8:10::/48 dev v0");
    assert.deepEqual(
      readOurRoutes(Family.IPV6)
        .map(({ nexthops }) => nexthops.length)
        .sort(),
      [1, 1, 103],
    );
    const larger = await harness.applyOne(`route replace 2001:db8:f::/48 ${list.slice(0, 104).join(" ")}`);
    assert.equal(larger.code, "EMSGSIZE");
    assert.equal(readOurRoutes(Family.IPV6).length, 3);
    await harness.install(...["f", "e", "10"].map((group) => `route del 2001:db8:${group}::/48`));
  });

  it("bear our protocol and no other", { skip }, async () => {
    await harness.install("route add 203.0.113.0/24 via 10.0.0.2", "route add 2001:db8:f::/48 via 2001:db8::2");
    const protocols = routesOf(ours, { protocol: true }).map((line) => JSON.parse(line).protocol);
    assert.deepEqual(protocols, ["210", "210"]);
    await harness.install("route del 203.0.113.0/24", "route del 2001:db8:f::/48");
  });

  it("with MPLS labels carry the kernel's refusal where it has no module", { skip }, async () => {
    for (const prefix of ["203.0.113.0/24 via 10.0.0.2", "2001:db8:f::/48 via 2001:db8::2"]) {
      const result = await harness.applyOne(`route add ${prefix} encap mpls 100/200 dev v0`);
      if (result.outcome === "fib_programmed") {
        await harness.install(`route del ${prefix}`);
        continue;
      }
      assert.equal(outcomeText(result), "EOPNOTSUPP lwt encapsulation type not supported");
      assert.match(result.hint, /modprobe mpls_iptunnel/);
      assert.deepEqual(routesOf(ours), []);
    }
  });
});
