/**
 * A file of route commands means to `dplaned route load` what it means to `ip -batch`: given to both, each in a namespace
 * of its own, it leaves the same routes behind, but for the protocol, the metric where none is given, and nexthop ids.
 */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { METRIC_DEFAULT, METRIC_IPV6_ZERO } from "../../core/constants.ts";
import { DaemonProcess } from "../../scripts/daemon_process.ts";
import { daemonSkipReason, runBinary } from "../support/binary.ts";
import { createNetns, type Netns } from "../support/netns.ts";

const DEVICES = [
  // The same hardware addresses on both sides, and no link-local addresses, which would be made from them in time.
  "link add v0 address 02:00:00:00:00:01 type veth peer name v1 address 02:00:00:00:00:02",
  "link set v0 addrgenmode none",
  "link set v1 addrgenmode none",
  "link set v0 up",
  "link set v1 up",
  "address add 10.0.0.1/24 dev v0",
  "address add 10.0.1.1/24 dev v1",
  "address add 2001:db8::1/64 dev v0 nodad",
  "address add 2001:db8:0:1::1/64 dev v1 nodad",
];

/** Every form that both know, in the order in which they depend on each other. No metric is one that stands for none. */
const ROUTES = `
# Where to: a gateway, an interface, or both.
route add 10.1.0.0/16 via 10.0.0.2 dev v0
route add 10.2.0.0/16 via 10.0.0.3
route add 10.3.0.0/16 dev v0
route add 10.4.0.1 dev v1
route add to 10.5.0.0/16 via inet 10.0.0.2
route add dev v0 10.6.0.0/16
route add 10.7.0.0/16 via 10.9.9.9 dev v0 onlink
route add 10.8.0.0/16 via inet6 fe80::1 dev v0
route add 10.8.1.0/24 via inet6 2001:db8::2
route add default via 10.0.0.2
route add 2001:db8:1::/48 via 2001:db8::2 dev v0
route add 2001:db8:2::/48 via 2001:db8::3
route add 2001:db8:3::/48 dev v0
route add 2001:db8:4::1 dev v1
route add 2001:db8:5::/48 via fe80::1 dev v0
route add 2001:db8:7::/48 via 2001:db8:ffff::2 dev v0 onlink
route add default via 2001:db8::2

# Which: table, metric, source.
route add 10.10.0.0/16 via 10.0.0.2 table 300
route add 10.10.0.0/16 via 10.0.0.3 table 300 metric 5
route add 10.10.0.0/16 via 10.0.1.2 table 300 preference 7
route add 10.11.0.0/16 via 10.0.0.2 priority 4000000000
route add 10.12.0.0/16 dev v0 table main
route add 2001:db8:10::/48 via 2001:db8::2 table 300 metric 5
route add 2001:db8:10::/48 via 2001:db8:0:1::2 table 300 metric 7
route add 2001:db8:11::/48 from 2001:db8:9::/48 via 2001:db8::2

# Kinds.
route add blackhole 10.20.0.0/16
route add unreachable 10.21.0.0/16
route add prohibit 10.22.0.0/16 metric 5
route add throw 10.23.0.0/16 table 300
route add unicast 10.24.0.0/16 via 10.0.0.2
route add blackhole 2001:db8:20::/48
route add unreachable 2001:db8:21::/48
route add prohibit 2001:db8:22::/48 metric 5
route add throw 2001:db8:23::/48 table 300

# Attributes.
route add 10.30.0.0/16 dev v0 src 10.0.0.1
route add 10.31.0.0/16 via 10.0.0.2 mtu 1400
route add 10.32.0.0/16 dev v0 scope link
route add 10.33.0.0/16 via 10.0.0.2 proto bgp
route add 10.34.0.0/16 via 10.0.0.2 protocol 77
route add 2001:db8:30::/48 dev v0 src 2001:db8::1
route add 2001:db8:31::/48 via 2001:db8::2 mtu 1400

# Several nexthops.
route add 10.40.0.0/16 nexthop via 10.0.0.2 nexthop via 10.0.0.3
route add 10.41.0.0/16 nexthop via 10.0.0.2 dev v0 weight 1 nexthop via 10.0.1.2 dev v1 weight 256
route add 10.42.0.0/16 nexthop dev v0 weight 2 nexthop dev v1 weight 3
route add 10.43.0.0/16 nexthop via 10.9.9.9 dev v0 onlink nexthop via 10.0.1.2
route add 10.44.0.0/16 nexthop via inet6 fe80::1 dev v0 nexthop via 10.0.1.2
route add 2001:db8:40::/48 nexthop via 2001:db8::2 nexthop via 2001:db8::3
route add 2001:db8:41::/48 nexthop via 2001:db8::2 dev v0 weight 10 nexthop via 2001:db8:0:1::2 dev v1 weight 20
route add 10.45.0.0/16 \\
  nexthop via 10.0.0.2 \\
  nexthop via 10.0.0.3

# Changes, each of a route of its own.
route add 10.50.0.0/16 via 10.0.0.2
route replace 10.50.0.0/16 via 10.0.0.3
route add 10.51.0.0/16 via 10.0.0.2
route change 10.51.0.0/16 dev v0
route replace 10.52.0.0/16 via 10.0.0.2
route add 10.53.0.0/16 via 10.0.0.2
route replace 10.53.0.0/16 nexthop via 10.0.0.2 nexthop via 10.0.1.2
route add 10.54.0.0/16 via 10.0.0.2
route replace blackhole 10.54.0.0/16
route add 2001:db8:50::/48 via 2001:db8::2
route replace 2001:db8:50::/48 via 2001:db8::3
route add 2001:db8:51::/48 via 2001:db8::2
route replace 2001:db8:51::/48 nexthop via 2001:db8::2 nexthop via 2001:db8:0:1::2

# Removals.
route add 10.60.0.0/16 via 10.0.0.2
route del 10.60.0.0/16
route add 10.61.0.0/16 via 10.0.0.2 metric 5
route add 10.61.0.0/16 via 10.0.0.3 metric 6
route delete 10.61.0.0/16 metric 5
route add 10.62.0.0/16 via 10.0.0.2 table 300
route del 10.62.0.0/16 table 300
route add 2001:db8:60::/48 via 2001:db8::2
route del 2001:db8:60::/48
route add blackhole 2001:db8:61::/48
route del 2001:db8:61::/48
`;

/** Forms that need a part of the kernel which not every kernel has, the first line of each tells. */
const OPTIONAL = [
  {
    name: "SRv6 encapsulation",
    setup: [],
    lines: `
route add 2001:db8:70::/48 encap seg6 mode encap segs 2001:db8::5,2001:db8::6 dev v0
route add 2001:db8:71::/48 encap seg6 mode inline segs 2001:db8::5 dev v0`,
  },
  {
    name: "MPLS encapsulation",
    setup: [],
    lines: `
route add 10.70.0.0/16 encap mpls 100 via 10.0.0.2
route add 10.71.0.0/16 encap mpls 100/200 via 10.0.0.2 dev v0
route add 10.72.0.0/16 nexthop encap mpls 100 via 10.0.0.2 nexthop encap mpls 200 via 10.0.1.2`,
  },
  {
    name: "VRFs",
    setup: [
      "link add red type vrf table 400",
      "link set red up",
      "link set v1 master red",
      // An interface that changes its VRF loses its IPv6 addresses.
      "address replace 2001:db8:0:1::1/64 dev v1 nodad",
    ],
    lines: `
route add 10.80.0.0/16 via 10.0.1.2 vrf red
route add 2001:db8:80::/48 via 2001:db8:0:1::2 vrf red`,
  },
];

interface KernelRoute {
  dst: string;
  metric?: number;
  protocol?: string;
  nhid?: number;
}

/** All routes of a family in a comparable form and order. */
function readRoutes(netns: Netns, family: 4 | 6): string[] {
  const routes = netns.ipJson("-d", `-${family}`, "route", "show", "table", "all") as KernelRoute[];
  return routes
    .map(({ protocol, nhid, metric = 0, ...rest }) => {
      // The kernel's own routes were made by neither of the two; the others differ in what is allowed to.
      if (protocol === "kernel") return JSON.stringify({ ...rest, protocol, metric });
      const isDefault = metric === METRIC_DEFAULT || metric === (family === 4 ? 0 : METRIC_IPV6_ZERO);
      return JSON.stringify({ ...rest, metric: isDefault ? "default" : metric });
    })
    .sort();
}

const skip = daemonSkipReason();

function makeNetns(setup: readonly string[]): Netns {
  const netns = createNetns();
  netns.ipBatch([...DEVICES, ...setup]);
  return netns;
}

/** Why this kernel cannot do an optional form; `ip` itself is asked. */
function formSkipReason({ name, setup, lines }: (typeof OPTIONAL)[number]): string | false {
  if (skip) return skip;
  const netns = createNetns();
  try {
    netns.ipBatch([...DEVICES, ...setup, lines.trim().split("\n", 1)[0]!]);
    return false;
  } catch {
    return `this kernel has no ${name}`;
  } finally {
    netns.delete();
  }
}

/** Gives the lines to both and compares what each leaves. */
async function compare(setup: readonly string[], lines: string): Promise<void> {
  const [theirs, ours] = [makeNetns(setup), makeNetns(setup)];
  try {
    const before = readRoutes(ours, 4).length + readRoutes(ours, 6).length;
    theirs.ipBatch(lines.split("\n"));
    const daemon = await DaemonProcess.start({ netns: ours.name });
    try {
      const args = ["route", "load", "-", "--socket", daemon.socket];
      const { status, stderr } = await runBinary(args, { input: lines });
      assert.equal(stderr, "");
      assert.equal(status, 0);
    } finally {
      await daemon.stop();
    }
    for (const family of [4, 6] as const) assert.deepEqual(readRoutes(ours, family), readRoutes(theirs, family));
    // Both doing nothing would be the same, too.
    const added = readRoutes(ours, 4).length + readRoutes(ours, 6).length - before;
    assert.equal(added, countLeft(lines));
  } finally {
    theirs.delete();
    ours.delete();
  }
}

/** Routes that the lines leave behind: one `replace` makes a route that was not there. */
function countLeft(lines: string): number {
  const commands = lines.replaceAll("\\\n", "").split("\n");
  const count = (verb: RegExp) => commands.filter((line) => verb.test(line)).length;
  return count(/^route add /) + count(/^route replace 10\.52\./) - count(/^route del(?:ete)? /);
}

describe("dplaned route load and ip -batch", () => {
  it("make the same of every form", { skip }, () => compare([], ROUTES));
  for (const form of OPTIONAL) {
    it(`make the same of ${form.name}`, { skip: formSkipReason(form) }, () => compare(form.setup, form.lines));
  }
});
