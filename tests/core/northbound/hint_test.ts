/** Hints: for each answer of the kernel that is known, what the administrator is told. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { createRouteUpdate } from "../../../core/model/route.ts";
import { hintForFailure } from "../../../core/northbound/hint.ts";
import { parseUpdateLine } from "../../../core/northbound/update_line.ts";

const devices = ["", "lo", "", "v0", "v1"];
const GONE = 9;
const resolver = {
  deviceIndex: (name: string) => (name === "gone" ? GONE : Math.max(0, devices.indexOf(name))),
  vrfTable: () => 0,
};

function hint(errno: string, message: string, line: string): string {
  const update = createRouteUpdate();
  assert.equal(parseUpdateLine(line, update, resolver), null);
  return hintForFailure(errno, message, update, (ifindex) => devices[ifindex] ?? "");
}

const VIA = "route add 10.1.0.0/16 via 10.9.9.9 dev v0";
const VIA6 = "route add 2001:db8:1::/48 via 2001:db9::1 dev v0";
const MANY = `route add 10.1.0.0/16${[1, 2, 3, 4, 5].map((n) => ` nexthop via 10.9.9.${n} dev v0`).join("")}`;

describe("hintForFailure", () => {
  const cases: [string, string, string, string][] = [
    [
      "ENETUNREACH",
      "Nexthop has invalid gateway",
      VIA,
      "no route to 10.9.9.9 on v0; is it a connected address, or is onlink meant?",
    ],
    ["EHOSTUNREACH", "", VIA6, "no route to 2001:db9::1 on v0; is it a connected address, or is onlink meant?"],
    [
      "ENETUNREACH",
      "Nexthop has invalid gateway.",
      "route add 10.1.0.0/16 via 10.9.9.9",
      "no interface reaches 10.9.9.9",
    ],
    ["ENETUNREACH", "Nexthop has invalid gateway", `${VIA} onlink`, "10.9.9.9 is not a unicast address of a neighbour"],
    ["ENETUNREACH", "Nexthop has invalid gateway", MANY, "10.9.9.1 on v0, 10.9.9.2 on v0, 10.9.9.3 on v0 and 2 more"],
    ["ENETDOWN", "Device for nexthop is not up", VIA, "link v0 is down; ip link set v0 up"],
    ["ENETDOWN", "", VIA6, "link v0 is down; ip link set v0 up"],
    ["ENETDOWN", "", "route add 10.1.0.0/16 nexthop dev v0 nexthop dev v1", "v0, v1: a link is down; see ip link"],
    ["ENODEV", "", "route add 10.1.0.0/16 dev gone", "interface 9 is gone; ip link shows what there is"],
    ["ENODEV", "", VIA, "v0 takes no IPv4 routes; its MTU has to be 68 or more"],
    ["ENODEV", "", VIA6, "v0 takes no IPv6 routes; its MTU has to be 1280 or more"],
    ["EINVAL", "Invalid prefsrc address", `${VIA} src 10.7.7.7`, "prefsrc 10.7.7.7 is on no interface"],
    ["EINVAL", "Invalid source address", `${VIA6} src 2001:db8::77`, "prefsrc 2001:db8::77 is on no interface"],
    ["EINVAL", "Gateway can not be a local address", VIA6, "2001:db9::1 on v0 is this machine's own address"],
    [
      "EINVAL",
      "Nexthop id does not exist",
      "route add 10.1.0.0/16 nhid 7",
      "is there a nexthop group 7? ip nexthop show id 7",
    ],
    ["EINVAL", "", "route add 2001:db8::/32 nhid 7", "without IPv4 nexthops only"],
    ["EINVAL", "Device only routes can not be added for IPv6 using the multipath API.", VIA6, "give every nexthop"],
    ["EINVAL", "", `route add 2001:db8::/32 encap seg6 mode encap.red segs ::1 dev v0`, "encap.red modes"],
    ["EACCES", "IPv6 is disabled on nexthop device", VIA6, "IPv6 is switched off on v0"],
    ["EOPNOTSUPP", "lwt encapsulation type not supported", `${VIA} encap mpls 100`, "modprobe mpls_iptunnel"],
    ["EOPNOTSUPP", "", "route add ::/0 encap seg6 mode encap segs ::1 dev v0", "CONFIG_IPV6_SEG6_LWTUNNEL"],
    [
      "ESRCH",
      "",
      "route del 10.1.0.0/16",
      "there is no 10.1.0.0/16 with metric 20 in table 254; is it another metric or table?",
    ],
    ["ESRCH", "FIB table does not exist", "route del 10.1.0.0/16 table 777", "table 777 has no routes"],
    ["EEXIST", "", VIA6, "choose another metric"],
    ["EPERM", "", VIA, "CAP_NET_ADMIN"],
    ["ENOMEM", "", VIA, "no memory"],
    ["ENOSPC", "", VIA, "table is full"],
    ["EMSGSIZE", "", MANY, "nexthop group"],
    ["EAFNOSUPPORT", "", VIA6, "without IPv6"],
  ];
  for (const [errno, message, line, expected] of cases) {
    it(`${errno} ${message}: ${line.slice(0, 60)}`, () => {
      const text = hint(errno, message, line);
      assert.ok(text.includes(expected), text);
    });
  }

  it("does not guess", () => {
    assert.equal(hint("EINVAL", "", VIA), "");
    assert.equal(hint("EWHATEVER", "Something new", VIA), "");
  });
});
