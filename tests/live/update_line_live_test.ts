/**
 * Our route commands against the real `ip -batch`, in a network namespace of its own: what it takes we take, what it
 * refuses we refuse, but for the lists below, which docs/api.md explains.
 */
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { createRouteUpdate } from "../../core/model/route.ts";
import { BodyFormat, createSplitter } from "../../core/northbound/line_splitter.ts";
import { SplitKind } from "../../core/northbound/splitter.ts";
import { isBlankUpdate, parseUpdate } from "../../core/northbound/update_text.ts";
import { createNetns, type Netns, skipReason } from "../support/netns.ts";

/** Whether we take every update of the text. */
function doWeAccept(text: string): boolean {
  const resolver = {
    deviceIndex: (name: string) => ({ lo: 1, v0: 2, v1: 3 })[name] ?? 0,
    vrfTable: () => 0,
  };
  const splitter = createSplitter(BodyFormat.LINES);
  splitter.push(new TextEncoder().encode(text));
  splitter.end();
  const into = createRouteUpdate();
  for (let kind = splitter.next(); kind !== SplitKind.NONE; kind = splitter.next()) {
    if (kind === SplitKind.TEXT && isBlankUpdate(splitter, BodyFormat.LINES)) continue;
    if (parseUpdate(kind, splitter, BodyFormat.LINES, into, resolver) !== null) return false;
  }
  return true;
}

const SAME = `
route add 10.1.0.0/16 via 10.0.0.2 dev v0
route replace 10.1.0.0/16 via 10.0.0.3
route change 10.1.0.0/16 dev v0
route del 10.1.0.0/16
route add 10.2.0.1 dev v0
route add to 10.3.0.0/16 dev v0
route add dev v0 10.4.0.0/16
route add 10.5.0.0/16 via inet6 fe80::1 dev v0
route add 10.6.0.0/16 via 10.9.9.9 dev v0 onlink
route add 10.7.0.0/16 dev v0 proto bgp metric 5 scope link table 300
route add 10.8.0.0/16 oif v0 protocol 186 priority 7
route add 10.9.0.0/16 nexthop via 10.0.0.2 dev v0 weight 256 nexthop via 10.0.0.3
route add 10.10.0.0/16 dev v0 src 10.0.0.1 mtu 1400 pref medium
route add blackhole 10.11.0.0/16
route add prohibit 10.12.0.0/16 metric 5
route add throw 10.13.0.0/16 table 300
route add unreachable 2001:db8:1::/48 dev lo
route add 2001:db8:2::/48 from 2001:db8:9::/48 dev v0
route add 2001:db8:3::/48 encap seg6 mode encap segs 2001:db8::5,2001:db8::6 dev v0
route add 2001:db8:4::/48 encap seg6 mode inline segs 2001:db8::5 dev v0
route add default via 2001:db8::2
route add default via 10.0.0.2
route add default src 2001:db8::1 dev v0 metric 99
route add 10.14.0.0/16 "via" '10.0.0.2' # comment
# comment only
route add 10.15.0.0/24#comment
route add 10.16.0.0/16 via 10.0.0.2 "dev v0
route add 10.16.0.0/33 dev v0
route add 256.1.0.0/16 dev v0
route add 10.16.0.1/16 dev v0
route add 2001:db8::/129 dev v0
route add 2001:db8:gg::/48 dev v0
route add 1::2::3/128 dev v0
route add 12345::/128 dev v0
route add fe80::%v0/128 dev v0
route add 10.16.0.0/16 via 224.0.0.1 dev v0
route add 10.16.0.0/16 via 10.0.0.2 via 10.0.0.3
route add 10.16.0.0/16 via
route add 10.16.0.0/16 via 10.0.0.2 onlink
route add 10.16.0.0/16 dev v0 onlink
route add 10.16.0.0/16 dev nodev
route add 10.16.0.0/16
route add dev v0
route add 10.16.0.0/16 dev v0 garbage
route add 10.16.0.0/16 11.16.0.0/16 dev v0
route add 10.16.0.0/16 dev v0 weight 3
route add 10.16.0.0/16 dev v0 metric
route add 10.16.0.0/16 dev v0 metric -1
route add 10.16.0.0/16 dev v0 metric 4294967296
route add 10.16.0.0/16 dev v0 table 4294967296
route add 10.16.0.0/16 dev v0 table nosuchtable
route add 10.16.0.0/16 dev v0 vrf nosuchvrf
route add 10.16.0.0/16 dev v0 proto 300
route add 10.16.0.0/16 dev v0 proto nosuch
route add 10.16.0.0/16 dev v0 mtu abc
route add 10.16.0.0/16 dev v0 pref nosuch
route add 10.16.0.0/16 nexthop
route add 10.16.0.0/16 nexthop via 10.0.0.2 metric 5
route add 10.16.0.0/16 nexthop via 10.0.0.2 weight 0
route add 10.16.0.0/16 nexthop via 10.0.0.2 weight 257
route add 10.16.0.0/16 via 10.0.0.2 nexthop via 10.0.0.3
route add 10.16.0.0/16 via 10.0.0.2 nhid 4
route add 10.16.0.0/16 dev v0 src 2001:db8::1
route add blackhole 10.16.0.0/16 dev lo
route add unreachable 10.16.0.0/16 via 10.0.0.2
route add 2001:db8:5::/48 via 10.0.0.2
route add 2001:db8:5::/48 via fe80::1
route add 2001:db8:5::/48 via :: dev v0
route add 2001:db8:5::/48 via ff02::1 dev v0
route add 2001:db8:5::/48 from 10.0.0.0/8 dev v0
route add 2001:db8:5::/48 nexthop via 2001:db8::2 nexthop via 2001:db8::2
route add 10.16.0.0/16 encap mpls 1048576 dev v0
route add 10.16.0.0/16 encap mpls x dev v0
route add 10.16.0.0/16 encap seg6 mode inline segs 2001:db8::5 dev v0
route add 2001:db8:5::/48 encap seg6 segs 2001:db8::5 dev v0
route add 2001:db8:5::/48 encap seg6 mode nosuch segs 2001:db8::5 dev v0
route add 2001:db8:5::/48 encap seg6 mode encap segs 10.0.0.1 dev v0
route nosuch 10.0.0.0/8
-6 address show
`;

/** `ip` takes these and we refuse them: we cannot honour them, or they are slips that `ip` guesses at. */
const ONLY_IP = `
route append 10.20.0.0/16 dev v0
route add 10.21/16 dev v0
route add 10.022.0.0/16 dev v0
route add 10.23.0.0/255.255.0.0 dev v0
route add 10.24.0.0/016 dev v0
route add 2001:db8:20::1/48 dev v0
route add 10.25.0.0/16 dev v0 table 0x12
route add 10.26.0.0/16 dev v0 pro static tab 4 met 3
route add 10.27.0.0/16 dev v0 metric 1 priority 2
route add 10.28.0.0/16 dev v0 table 0
route add 10.29.0.0/16 dev v0 mtu 20
route add 10.30.0.0/16 dev v0 mtu lock 1400
route add 10.31.0.0/16 dev v0 advmss 1300
route add 10.32.0.0/16 dev v0 tos 0x10
route add 10.33.0.0/16 dev v0 expires 5
route add 10.34.0.0/16 from 10.2.0.0/16 dev v0
route add 10.35.0.0/16 via 0.0.0.0 dev v0
route add 10.36.0.0/16 nexthop via 10.0.0.2 dev v0 nexthop via 10.0.0.2 dev v0
route add 10.37.0.0/16 nexthop via 10.0.0.2 weight 1 weight 2
route add 10.38.0.0/16 dev v0 nexthop via 10.0.0.2 dev v0
route add unreachable 2001:db8:21::/48 via 2001:db8::2
route add multicast 239.0.0.0/8 dev v0
route add local 10.39.0.1 dev v0 table local
route add 10.40.0.0/16 dev v0 encap ip id 3 dst 1.1.1.1
address show
`;

/** We take these and `ip` does not: what is easily understood, and what only the kernel can tell. */
const ONLY_US = `
ip route add 10.50.0.0/16 dev v0
-6 route add 2001:db8:50::/48 dev v0
route add 10.51.0.0/16 via fe80::1 dev v0
route add 10.52.0.0/16 dev v0 encap mpls 100
route change 10.53.0.0/16 dev v0
route add 10.54.0.0/16 via 10.9.9.9 dev v0
route del 10.55.0.0/16
route add 10.56.0.0/16 dev v0 src 10.7.7.7
route add 10.57.0.0/16 nhid 77
`;

const linesOf = (text: string) => text.split("\n").filter((line) => line !== "");
const skip = skipReason();

describe("route commands and ip -batch", () => {
  let ns: Netns;
  before(() => {
    if (skip) return;
    ns = createNetns();
    ns.ipBatch([
      "link add v0 type veth peer name v1",
      "link set v0 up",
      "link set v1 up",
      "address add 10.0.0.1/24 dev v0",
      "address add 2001:db8::1/64 dev v0 nodad",
    ]);
  });
  after(() => ns?.delete());

  /** What `ip` says against the line; empty where it takes it. */
  function ipRefusal(line: string): string {
    try {
      ns.ipBatch([line]);
      return "";
    } catch (error) {
      return (error as Error).message;
    }
  }

  it("agree", { skip }, () => {
    const continued = ["route add 10.17.0.0/16 \\\n via 10.0.0.2", "route add 10.18.0.0/16\\\ndev v0"];
    for (const line of [...linesOf(SAME), ...continued]) {
      const refusal = ipRefusal(line);
      assert.equal(doWeAccept(line), refusal === "", `${line}: ip says ${refusal || "yes"}`);
    }
  });

  it("differ where it is written down: ip alone takes", { skip }, () => {
    for (const line of linesOf(ONLY_IP)) {
      assert.equal(ipRefusal(line), "", line);
      assert.ok(!doWeAccept(line), line);
    }
  });

  it("differ where it is written down: we alone take", { skip }, () => {
    for (const line of linesOf(ONLY_US)) {
      assert.notEqual(ipRefusal(line), "", line);
      assert.ok(doWeAccept(line), line);
    }
  });
});
