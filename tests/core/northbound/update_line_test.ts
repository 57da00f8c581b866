/** Updates as route commands: what is read, and each way of being wrong. The live test asks `ip` itself. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { formatAddress, formatPrefix } from "../../../core/model/prefix.ts";
import { createRouteUpdate, EncapType, Family, RouteType, UpdateOp } from "../../../core/model/route.ts";
import { isBlankLine } from "../../../core/northbound/line_words.ts";
import type { UpdateErrorCode } from "../../../core/northbound/update_error.ts";
import { parseUpdateLine } from "../../../core/northbound/update_line.ts";

const resolver = {
  deviceIndex: (name: string) => ({ lo: 1, v0: 3, v1: 4 })[name] ?? 0,
  vrfTable: (name: string) => (name === "red" ? 100 : 0),
  tableNumber: (name: string) => (name === "uplink" ? 300 : 0),
};

function parseGood(line: string) {
  const into = createRouteUpdate();
  assert.equal(parseUpdateLine(line, into, resolver), null, line);
  return into;
}

/** `op prefix type table metric` and the nexthops, as text. */
function summarize(line: string): string {
  const update = parseGood(line);
  const hops = update.nexthops.map(
    (hop) =>
      `${hop.viaFamily === Family.NONE ? "" : formatAddress(hop.viaFamily, hop.via, 0)}@${hop.ifindex}*${hop.weight}${hop.onlink ? "!" : ""}`,
  );
  const prefix = formatPrefix(update.family, update.prefix, 0, update.prefixLength);
  return [update.op === UpdateOp.INSTALL ? "+" : "-", prefix, update.type, update.table, update.metric, ...hops].join(
    " ",
  );
}

describe("parseUpdateLine", () => {
  const accepted: [string, string][] = [
    ["route add 10.1.0.0/16 via 10.0.0.2 dev v0", "+ 10.1.0.0/16 1 254 20 10.0.0.2@3*1"],
    ["route replace 10.1.0.0/16 via 10.0.0.2", "+ 10.1.0.0/16 1 254 20 10.0.0.2@0*1"],
    ["ip -6 ro change 2001:db8::/32 oif v0", "+ 2001:db8::/32 1 254 20 @3*1"],
    ["r chg 10.1.0.1 dev v0", "+ 10.1.0.1/32 1 254 20 @3*1"],
    ["route add to unicast 10.1.0.0/16 dev v0", "+ 10.1.0.0/16 1 254 20 @3*1"],
    ["route add dev v0 to 10.1.0.0/16", "+ 10.1.0.0/16 1 254 20 @3*1"],
    ["\troute \"add\" '10.1.0.0/16' dev v0\t# why not", "+ 10.1.0.0/16 1 254 20 @3*1"],
    ["route add 10.1.0.0/16 via inet6 fe80::1 dev v0 onlink", "+ 10.1.0.0/16 1 254 20 fe80::1@3*1!"],
    ["route add 10.1.0.0/16 dev v0 table main metric 0", "+ 10.1.0.0/16 1 254 0 @3*1"],
    ["route add 10.1.0.0/16 dev v0 table local priority 3", "+ 10.1.0.0/16 1 255 3 @3*1"],
    [
      "route add 10.1.0.0/16 dev v0 table 4294967295 preference 4294967295",
      "+ 10.1.0.0/16 1 4294967295 4294967295 @3*1",
    ],
    ["route add 10.1.0.0/16 dev v0 table uplink", "+ 10.1.0.0/16 1 300 20 @3*1"],
    ["route add 10.1.0.0/16 dev v0 vrf red table 100", "+ 10.1.0.0/16 1 100 20 @3*1"],
    [
      "route add 10.1.0.0/16 vrf red nexthop dev v0 nexthop via 10.0.0.2 weight 256",
      "+ 10.1.0.0/16 1 100 20 @3*1 10.0.0.2@0*256",
    ],
    ["route add blackhole 10.1.0.0/16 metric 9", "+ 10.1.0.0/16 6 254 9"],
    ["route add unreachable 2001:db8::/32 dev lo metric 1024 pref medium", "+ 2001:db8::/32 7 254 1024"],
    ["-6 route add blackhole default metric 0", "+ ::/0 6 254 1024"],
    ["route add blackhole default", "+ 0.0.0.0/0 6 254 20"],
    ["route add default via 2001:db8::1", "+ ::/0 1 254 20 2001:db8::1@0*1"],
    ["route add default nexthop dev v0 nexthop via 2001:db8::1", "+ ::/0 1 254 20 @3*1 2001:db8::1@0*1"],
    ["-4 route add default via inet6 fe80::1 dev v0", "+ 0.0.0.0/0 1 254 20 fe80::1@3*1"],
    ["route add default dev v0 src 2001:db8::1", "+ ::/0 1 254 20 @3*1"],
    ["route add default from 2001:db8::/32 dev v0", "+ ::/0 1 254 20 @3*1"],
    ["route add 10.1.0.0/16 proto bgp scope link dev v0 tos 0", "+ 10.1.0.0/16 1 254 20 @3*1"],
    ["route del 10.1.0.0/16 via 10.0.0.2 dev gone table 5 metric 7", "- 10.1.0.0/16 1 5 7"],
    ["route delete default", "- 0.0.0.0/0 1 254 20"],
  ];
  for (const [line, expected] of accepted) it(`reads ${line}`, () => assert.equal(summarize(line), expected));

  it("reads attributes and encapsulations", () => {
    const plain = parseGood("route add 10.1.0.0/16 dev v0 src 10.0.0.1 mtu 1400 proto 210");
    assert.deepEqual([plain.prefsrcFamily, plain.mtu, plain.protocol], [Family.IPV4, 1400, 210]);
    assert.equal(parseGood("route add 10.1.0.0/16 nhid 7 proto static").nexthopGroup, 7);
    assert.equal(parseGood("route add 2001:db8::/32 from 2001:db9::1 dev v0").sourceLength, 128);
    const [mpls] = parseGood("route add 10.1.0.0/16 encap mpls 100/0 via 10.0.0.2").nexthops;
    assert.deepEqual([mpls!.encap, mpls!.labels], [EncapType.MPLS, [100, 0]]);
    const seg6 = parseGood("route add 2001:db8::/32 nexthop encap seg6 mode inline segs ::a,::b dev v0 nexthop dev v1");
    const [first] = seg6.nexthops;
    assert.deepEqual(
      [first!.encap, first!.seg6Mode, first!.segments.length, first!.ifindex],
      [EncapType.SEG6, 0, 2, 3],
    );
    assert.equal(seg6.type, RouteType.UNICAST);
  });

  const refused: [string, UpdateErrorCode, string, RegExp][] = [
    ["link add v7 type dummy", "INVALID_LINE", "", /begins with route, not with "link"/],
    ["-6", "INVALID_LINE", "", /not with ""/],
    ["route", "INVALID_LINE", "op", /no route command ""/],
    ["route ad 10.0.0.0/8", "INVALID_LINE", "op", /did you mean add/],
    ["route append 10.0.0.0/8 dev v0", "UNSUPPORTED", "op", /route append.*one route/],
    ['route add 10.0.0.0/8 "dev v0', "INVALID_LINE", "", /quote/],
    ["route add 10.0.0.0/8 'dev # v0'", "INVALID_LINE", "", /quote/],
    ["route add dev v0", "MISSING_FIELD", "prefix", /no prefix/],
    ["route add 10.0.0.1/8 dev v0", "HOST_BITS_SET", "prefix", /10\.0\.0\.0\/8/],
    ["route add 10.0.0/8 dev v0", "INVALID_PREFIX", "prefix", /four numbers/],
    ["-6 route add 10.0.0.0/8 dev v0", "FAMILY_MISMATCH", "prefix", /-6 does not go/],
    ["-4 route add ::/0 dev v0", "FAMILY_MISMATCH", "prefix", /-4 does not go/],
    ["route add 10.0.0.0/8 11.0.0.0/8 dev v0", "DUPLICATE_FIELD", "prefix", /more than one prefix/],
    ["route add 10.0.0.0/8", "MISSING_NEXTHOP", "nexthops", /via or dev/],
    ["route add 10.0.0.0/8 via", "INVALID_LINE", "", /ends where via/],
    ["route add 10.0.0.0/8 via 10.0.0.300", "INVALID_ADDRESS", "nexthops[0].via", /above 255/],
    ["route add 10.0.0.0/8 via inet6 10.0.0.2", "INVALID_ADDRESS", "nexthops[0].via", /not an inet6/],
    ["route add ::/0 via 10.0.0.2", "FAMILY_MISMATCH", "nexthops[0].via", /IPv4 nexthop/],
    ["route add 10.0.0.0/8 via 10.0.0.2 via 10.0.0.3", "DUPLICATE_FIELD", "nexthops[0].via", /more than one via/],
    ["route add 10.0.0.0/8 dev v0 oif v1", "DUPLICATE_FIELD", "nexthops[0].dev", /nexthop has more than one dev/],
    ["route add 10.0.0.0/8 dev v9", "UNKNOWN_DEVICE", "nexthops[0].dev", /"v9"/],
    ["route add 10.0.0.0/8 dev v0 metric 1 priority 2", "DUPLICATE_FIELD", "metric", /metric/],
    ["route add 10.0.0.0/8 dev v0 metric -1", "OUT_OF_RANGE", "metric", /metric -1 is out of range/],
    ["route add 10.0.0.0/8 dev v0 metric 0x10", "INVALID_VALUE", "metric", /decimal/],
    ["route add 10.0.0.0/8 dev v0 metric 4294967296", "OUT_OF_RANGE", "metric", /4294967295/],
    ["route add 10.0.0.0/8 dev v0 table 0", "OUT_OF_RANGE", "table", /table 0/],
    ["route add 10.0.0.0/8 dev v0 table nope", "UNKNOWN_TABLE", "table", /vrf NAME/],
    ["route add 10.0.0.0/8 dev v0 vrf nope", "UNKNOWN_VRF", "vrf", /no VRF/],
    ["route add 10.0.0.0/8 vrf red table 5 dev v0", "CONFLICT", "table", /table 100, not 5/],
    ["route add 10.0.0.0/8 table 5 vrf red nexthop dev v0 nexthop dev v1", "CONFLICT", "table", /100/],
    ["route add 10.0.0.0/8 dev v0 proto bpg", "INVALID_VALUE", "protocol", /did you mean bgp/],
    ["route add 10.0.0.0/8 dev v0 proto 256", "OUT_OF_RANGE", "protocol", /255/],
    ["route add 10.0.0.0/8 dev v0 from 11.0.0.0/8", "FAMILY_MISMATCH", "source", /ip rule/],
    ["route add 10.0.0.0/8 dev v0 mtu lock 1400", "UNSUPPORTED", "mtu", /lock/],
    ["route add 10.0.0.0/8 dev v0 scope host", "UNSUPPORTED", "", /scope "host"/],
    ["route add 10.0.0.0/8 dev v0 pref high", "UNSUPPORTED", "", /pref "high"/],
    ["route add 10.0.0.0/8 dev v0 tos 0x10", "UNSUPPORTED", "", /by tos/],
    ["route add 10.0.0.0/8 dev v0 advmss 1000", "UNSUPPORTED", "", /"advmss"/],
    ["route add local 10.0.0.1 dev lo", "UNSUPPORTED", "type", /type local/],
    ["route add 10.0.0.0/8 dev v0 weight 5", "UNKNOWN_WORD", "", /nexthop via ADDRESS weight/],
    ["route add 10.0.0.0/8 dev v0 tabel 5", "UNKNOWN_WORD", "", /did you mean table/],
    ["route add 10.0.0.0/8 encap gre x dev v0", "UNSUPPORTED", "nexthops[0].encap", /encap "gre"/],
    ["route add 10.0.0.0/8 encap mpls 3 dev v0", "INVALID_VALUE", "nexthops[0].labels[0]", /implicit null/],
    ["route add 10.0.0.0/8 encap mpls 5/x dev v0", "INVALID_VALUE", "nexthops[0].labels[1]", /parted by/],
    ["route add 10.0.0.0/8 encap mpls 1048576 dev v0", "OUT_OF_RANGE", "nexthops[0].labels[0]", /1048575/],
    ["route add ::/0 encap seg6 segs ::1 dev v0", "INVALID_LINE", "nexthops[0].seg6.mode", /mode/],
    ["route add ::/0 encap seg6 mode encap dev v0", "INVALID_LINE", "nexthops[0].seg6.segs", /segs/],
    ["route add ::/0 encap seg6 mode foo segs ::1 dev v0", "INVALID_VALUE", "nexthops[0].seg6.mode", /"foo"/],
    ["route add ::/0 encap seg6 mode encap segs ::1,x dev v0", "INVALID_ADDRESS", "nexthops[0].seg6.segs[1]", /"x"/],
    ["route add blackhole 10.0.0.0/8 dev lo", "CONFLICT", "nexthops", /blackhole/],
    ["route add blackhole ::/0 via ::1 dev lo", "CONFLICT", "nexthops", /blackhole/],
    ["route add 10.0.0.0/8 nexthop", "INVALID_LINE", "nexthops", /behind it/],
    ["route add 10.0.0.0/8 nexthop nexthop dev v0", "INVALID_LINE", "nexthops", /behind it/],
    ["route add 10.0.0.0/8 dev v0 nexthop dev v1", "CONFLICT", "nexthops", /list/],
    ["route add 10.0.0.0/8 nexthop dev v0 metric 5", "UNKNOWN_WORD", "", /before the first nexthop/],
    ["route add 10.0.0.0/8 nexthop dev v0 realms 5", "UNSUPPORTED", "", /realms/],
    ["route add 10.0.0.0/8 nexthop dev v0 nexthop dev v1 weight 257", "OUT_OF_RANGE", "nexthops[1].weight", /256/],
    ["route add 10.0.0.0/8 nexthop dev v0 nexthop dev v0", "DUPLICATE_NEXTHOP", "nexthops[1]", /same/],
    ["route add 10.0.0.0/8 via 10.0.0.2 nhid 5", "CONFLICT", "nexthopGroup", /not both/],
    ["route add 10.0.0.0/8 nhid 0", "OUT_OF_RANGE", "nexthopGroup", /1 to/],
    ["route add 10.0.0.0/8 dev v0 mtu 20", "OUT_OF_RANGE", "mtu", /68/],
    [`route add 10.0.0.0/8${" nexthop dev v0".repeat(513)}`, "OUT_OF_RANGE", "nexthops", /512/],
  ];
  for (const [line, code, field, words] of refused) {
    it(`refuses ${line.slice(0, 80)}: ${code} ${field}`, () => {
      const error = parseUpdateLine(line, createRouteUpdate(), resolver);
      assert.notEqual(error, null);
      assert.deepEqual([error!.code, error!.field], [code, field], JSON.stringify(error));
      assert.match(`${error!.message}; ${error!.hint ?? ""}`, words);
    });
  }
});

describe("isBlankLine", () => {
  it("is for lines without a word", () => {
    for (const line of ["", " \t\r", "# x", "  # x"]) assert.ok(isBlankLine(line));
    for (const line of ["x", " x # y", '""']) assert.ok(!isBlankLine(line));
  });
});
