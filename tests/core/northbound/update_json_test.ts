/** Updates as JSON: what is read, and each way of being wrong with its code and field. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { NEXTHOPS_MAX } from "../../../core/constants.ts";
import { formatAddress, formatPrefix } from "../../../core/model/prefix.ts";
import { createRouteUpdate, EncapType, Family, RouteType, UpdateOp } from "../../../core/model/route.ts";
import type { UpdateErrorCode } from "../../../core/northbound/update_error.ts";
import { parseUpdateObject } from "../../../core/northbound/update_json.ts";

const resolver = {
  deviceIndex: (name: string) => ({ lo: 1, v0: 3, v1: 4 })[name] ?? 0,
  vrfTable: (name: string) => (name === "red" ? 100 : 0),
};

function parse(value: unknown, into = createRouteUpdate()) {
  return { error: parseUpdateObject(value, into, resolver), into };
}

function parseGood(value: unknown, into = createRouteUpdate()) {
  assert.equal(parse(value, into).error, null);
  return into;
}

const PREFIX = "203.0.113.0/24";
const PREFIX6 = "2001:db8:1::/48";
const VIA = { via: "10.0.0.2", dev: "v0" };
const base = { prefix: PREFIX, nexthops: [VIA] };
const base6 = { prefix: PREFIX6, nexthops: [{ via: "2001:db8::2" }] };

describe("parseUpdateObject", () => {
  it("reads the design's example", () => {
    const update = parseGood({
      op: "install",
      prefix: PREFIX,
      table: 254,
      type: "unicast",
      metric: 20,
      nexthops: [VIA, { via: "10.0.0.3", dev: "v0", weight: 3 }],
    });
    assert.equal(update.op, UpdateOp.INSTALL);
    assert.equal(formatPrefix(update.family, update.prefix, 0, update.prefixLength), PREFIX);
    assert.deepEqual([update.table, update.metric, update.type], [254, 20, RouteType.UNICAST]);
    assert.deepEqual(
      update.nexthops.map(({ viaFamily, via, ifindex, weight }) => [formatAddress(viaFamily, via, 0), ifindex, weight]),
      [
        ["10.0.0.2", 3, 1],
        ["10.0.0.3", 3, 3],
      ],
    );
  });

  it("reads every field", () => {
    const update = parseGood({
      prefix: PREFIX6,
      source: "2001:db8:2::/48",
      vrf: "red",
      table: 100,
      metric: 7,
      distance: 200,
      protocol: "bgp",
      tag: 4294967295,
      mtu: 1400,
      prefsrc: "2001:db8::1",
      nexthops: [
        { via: "fe80::1", dev: "v0", onlink: true, labels: [100, 0, 1048575] },
        { dev: "v1", weight: 256, seg6: { mode: "encap.red", segs: ["2001:db8::a", "2001:db8::b"] } },
      ],
    });
    assert.deepEqual([update.table, update.metric, update.distance, update.protocol], [100, 7, 200, 186]);
    assert.deepEqual([update.tag, update.mtu, update.sourceLength, update.prefsrcFamily], [4294967295, 1400, 48, 10]);
    const [mpls, seg6] = update.nexthops;
    assert.deepEqual([mpls!.encap, mpls!.labels, mpls!.onlink], [EncapType.MPLS, [100, 0, 1048575], true]);
    assert.deepEqual([seg6!.encap, seg6!.seg6Mode, seg6!.viaFamily], [EncapType.SEG6, 3, Family.NONE]);
    assert.deepEqual(
      seg6!.segments.map((segment) => formatAddress(Family.IPV6, segment, 0)),
      ["2001:db8::a", "2001:db8::b"],
    );
    assert.equal(parseGood({ prefix: PREFIX, nexthopGroup: 5 }).nexthopGroup, 5);
    assert.equal(parseGood({ ...base, protocol: 210 }).protocol, 210);
    assert.equal(parseGood({ prefix: PREFIX, nexthops: [{ via: "2001:db8::2" }] }).family, Family.IPV4);
  });

  it("leaves nothing of the update before", () => {
    const into = createRouteUpdate();
    parseGood({ ...base6, source: "2001:db8:2::/48", prefsrc: "2001:db8::1", mtu: 1400, tag: 3, metric: 0 }, into);
    assert.equal(into.metric, 1024, "the kernel's IPv6 metric for 0");
    parseGood(
      {
        prefix: PREFIX,
        nexthops: [
          { ...VIA, onlink: true, labels: [5] },
          { dev: "v1", weight: 9 },
        ],
      },
      into,
    );
    parseGood(base, into);
    // Addresses without a family and labels without an encapsulation mean nothing and may be old.
    const { via, prefsrc: _prefsrc, nexthops, ...rest } = { via: into.nexthops[0]!.via, ...into };
    const { prefsrc: _fresh, nexthops: freshNexthops, ...fresh } = parseGood(base);
    assert.deepEqual(rest, fresh);
    assert.deepEqual(via, freshNexthops[0]!.via);
    assert.equal(nexthops.length, 1);
    assert.deepEqual({ ...nexthops[0]!, labels: [] }, freshNexthops[0]);
  });

  it("takes the caller's defaults", () => {
    const into = createRouteUpdate();
    assert.equal(parseUpdateObject(base, into, resolver, { table: 7, metric: 8, distance: 9 }), null);
    assert.deepEqual([into.table, into.metric, into.distance], [7, 8, 9]);
  });

  it("takes for a delete what was installed, even over an interface that is gone", () => {
    const update = parseGood({ op: "delete", prefix: PREFIX, metric: 5, nexthops: [{ via: "10.0.0.2", dev: "gone" }] });
    assert.deepEqual([update.op, update.metric, update.nexthops.length], [UpdateOp.DELETE, 5, 0]);
    assert.equal(parse({ op: "delete", prefix: PREFIX, nexthops: [{ via: "x" }] }).error?.code, "INVALID_ADDRESS");
  });

  it("names the prefix of a refused update where it could be read", () => {
    assert.equal(parse({ ...base, bogus: 1 }).into.family, Family.IPV4);
    assert.equal(parse({ prefix: "10.0.0.1/24" }).into.family, Family.NONE);
  });

  const seg6 = (value: unknown) => ({ prefix: PREFIX, nexthops: [{ dev: "v0", seg6: value }] });
  const hop = (value: object) => ({ prefix: PREFIX, nexthops: [{ ...VIA, ...value }] });
  const many = Array.from({ length: NEXTHOPS_MAX + 1 }, (_, index) => ({ via: `10.1.${index >> 8}.${index & 255}` }));
  const cases: [unknown, UpdateErrorCode, string, RegExp][] = [
    [null, "WRONG_TYPE", "", /JSON object, not null/],
    [[base], "WRONG_TYPE", "", /not an array/],
    ["route", "WRONG_TYPE", "", /not a string/],
    [{}, "MISSING_FIELD", "prefix", /needs a prefix/],
    [{ ...base, prefix: 5 }, "WRONG_TYPE", "prefix", /a string, not a number/],
    [{ ...base, prefix: null }, "WRONG_TYPE", "prefix", /leave the field out/],
    [{ ...base, prefix: "10.0.0.1" }, "INVALID_PREFIX", "prefix", /write 10\.0\.0\.1\/32/],
    [{ ...base, prefix: "default" }, "INVALID_PREFIX", "prefix", /neither/],
    [{ ...base, prefix: "10.0.0.1/24" }, "HOST_BITS_SET", "prefix", /did you mean 10\.0\.0\.0\/24\?/],
    [{ ...base, metrik: 5 }, "UNKNOWN_FIELD", "metrik", /did you mean metric\?/],
    [{ prefx: PREFIX }, "UNKNOWN_FIELD", "prefx", /did you mean prefix\?/],
    [{ ...base, owner: "bgp" }, "UNKNOWN_FIELD", "owner", /\?owner=/],
    [{ ...base, constructor: 1 }, "UNKNOWN_FIELD", "constructor", /the fields are/],
    [JSON.parse(`{"prefix":"${PREFIX}","__proto__":{"op":"delete"}}`), "UNKNOWN_FIELD", "__proto__", /fields/],
    [{ ...base, op: "add" }, "INVALID_VALUE", "op", /install adds or replaces/],
    [{ ...base, op: "withdraw" }, "INVALID_VALUE", "op", /did you mean delete/],
    [{ ...base, op: "instal" }, "INVALID_VALUE", "op", /did you mean install/],
    [{ ...base, op: 1 }, "WRONG_TYPE", "op", /string/],
    [{ ...base, table: 0 }, "OUT_OF_RANGE", "table", /1 to 4294967295/],
    [{ ...base, table: 4294967296 }, "OUT_OF_RANGE", "table", /out of range/],
    [{ ...base, table: "254" }, "WRONG_TYPE", "table", /leave the quotes out/],
    [{ ...base, table: 1.5 }, "OUT_OF_RANGE", "table", /not a whole number/],
    [{ ...base, metric: -1 }, "OUT_OF_RANGE", "metric", /0 to 4294967295/],
    [{ ...base, vrf: "blue" }, "UNKNOWN_VRF", "vrf", /no VRF "blue"/],
    [{ ...base, vrf: "red", table: 5 }, "CONFLICT", "table", /table 100, not 5/],
    [{ ...base, type: "blackhol" }, "INVALID_VALUE", "type", /did you mean blackhole/],
    [{ ...base, type: "blackhole" }, "CONFLICT", "nexthops", /blackhole has no nexthops/],
    [{ prefix: PREFIX, type: "throw", nexthopGroup: 1 }, "CONFLICT", "nexthopGroup", /throw/],
    [{ ...base, nexthopGroup: 1 }, "CONFLICT", "nexthopGroup", /not both/],
    [{ prefix: PREFIX, nexthopGroup: 0 }, "OUT_OF_RANGE", "nexthopGroup", /1 to/],
    [{ prefix: PREFIX }, "MISSING_NEXTHOP", "nexthops", /type blackhole/],
    [{ prefix: PREFIX, nexthops: [] }, "MISSING_NEXTHOP", "nexthops", /needs nexthops/],
    [{ prefix: PREFIX, nexthops: {} }, "WRONG_TYPE", "nexthops", /array of objects, not an object/],
    [{ prefix: PREFIX, nexthops: many }, "OUT_OF_RANGE", "nexthops", /513 nexthops are too many/],
    [{ prefix: PREFIX, nexthops: [VIA, "v0"] }, "WRONG_TYPE", "nexthops[1]", /JSON object/],
    [{ prefix: PREFIX, nexthops: [VIA, {}] }, "MISSING_FIELD", "nexthops[1].via", /via, dev or both/],
    [{ prefix: PREFIX, nexthops: [VIA, VIA] }, "DUPLICATE_NEXTHOP", "nexthops[1]", /same as nexthop 1/],
    [
      { prefix: PREFIX, nexthops: [...many.slice(0, 300), many[17]] },
      "DUPLICATE_NEXTHOP",
      "nexthops[300]",
      /nexthop 18/,
    ],
    [hop({ gateway: "x" }), "UNKNOWN_FIELD", "nexthops[0].gateway", /fields are/],
    [hop({ wieght: 1 }), "UNKNOWN_FIELD", "nexthops[0].wieght", /did you mean weight/],
    [hop({ via: "10.0.0.300" }), "INVALID_ADDRESS", "nexthops[0].via", /above 255/],
    [hop({ via: "10.0.0.2/24" }), "INVALID_ADDRESS", "nexthops[0].via", /did you mean 10\.0\.0\.2/],
    [hop({ via: 1 }), "WRONG_TYPE", "nexthops[0].via", /string/],
    [hop({ via: "0.0.0.0" }), "INVALID_ADDRESS", "nexthops[0].via", /unspecified.*leave via out/],
    [hop({ via: "224.0.0.5" }), "INVALID_ADDRESS", "nexthops[0].via", /multicast/],
    [hop({ via: "ff02::5" }), "INVALID_ADDRESS", "nexthops[0].via", /multicast/],
    [hop({ dev: "v9" }), "UNKNOWN_DEVICE", "nexthops[0].dev", /no interface "v9"/],
    [hop({ dev: 3 }), "WRONG_TYPE", "nexthops[0].dev", /string/],
    [hop({ weight: 0 }), "OUT_OF_RANGE", "nexthops[0].weight", /1 to 256/],
    [hop({ weight: 257 }), "OUT_OF_RANGE", "nexthops[0].weight", /1 to 256/],
    [hop({ onlink: "yes" }), "WRONG_TYPE", "nexthops[0].onlink", /true or false/],
    [hop({ labels: 5 }), "WRONG_TYPE", "nexthops[0].labels", /array/],
    [hop({ labels: [] }), "OUT_OF_RANGE", "nexthops[0].labels", /1 to 30/],
    [hop({ labels: [5, 1048576] }), "OUT_OF_RANGE", "nexthops[0].labels[1]", /1048575/],
    [hop({ labels: [3] }), "INVALID_VALUE", "nexthops[0].labels[0]", /implicit null/],
    [hop({ labels: ["5"] }), "WRONG_TYPE", "nexthops[0].labels[0]", /quotes/],
    [hop({ labels: [5], seg6: {} }), "CONFLICT", "nexthops[0].seg6", /not both/],
    [seg6(5), "WRONG_TYPE", "nexthops[0].seg6", /\{mode, segs\}/],
    [seg6({ segs: ["::1"] }), "MISSING_FIELD", "nexthops[0].seg6.mode", /encap/],
    [seg6({ mode: "encap" }), "MISSING_FIELD", "nexthops[0].seg6.segs", /segments/],
    [seg6({ mode: "encapp", segs: ["::1"] }), "INVALID_VALUE", "nexthops[0].seg6.mode", /did you mean encap/],
    [seg6({ mode: "encap", segs: [] }), "OUT_OF_RANGE", "nexthops[0].seg6.segs", /at least one/],
    [seg6({ mode: "encap", segs: ["10.0.0.1"] }), "FAMILY_MISMATCH", "nexthops[0].seg6.segs[0]", /IPv6/],
    [seg6({ mode: "encap", segs: Array(17).fill("::1") }), "OUT_OF_RANGE", "nexthops[0].seg6.segs", /16/],
    [seg6({ mode: "encap", segs: ["::1"], hmac: 1 }), "UNKNOWN_FIELD", "nexthops[0].seg6.hmac", /fields/],
    [seg6({ mode: "inline", segs: ["::1"] }), "FAMILY_MISMATCH", "nexthops[0].seg6.mode", /inline/],
    [{ prefix: PREFIX, nexthops: [{ via: "10.0.0.2", onlink: true }] }, "MISSING_FIELD", "nexthops[0].dev", /onlink/],
    [{ prefix: PREFIX, nexthops: [{ dev: "v0", onlink: true }] }, "MISSING_FIELD", "nexthops[0].via", /onlink/],
    [{ prefix: PREFIX6, nexthops: [{ via: "fe80::1" }] }, "MISSING_FIELD", "nexthops[0].dev", /link-local/],
    [{ prefix: PREFIX6, nexthops: [VIA] }, "FAMILY_MISMATCH", "nexthops[0].via", /IPv4 via IPv6/],
    [{ ...base, source: "10.0.0.0/8" }, "FAMILY_MISMATCH", "source", /ip rule/],
    [{ ...base6, source: "10.0.0.0/8" }, "FAMILY_MISMATCH", "source", /IPv4 source/],
    [{ ...base6, source: "::1/64" }, "HOST_BITS_SET", "source", /::\/64/],
    [{ ...base, prefsrc: "2001:db8::1" }, "FAMILY_MISMATCH", "prefsrc", /IPv4 prefix/],
    [{ ...base, prefsrc: "10.0.0" }, "INVALID_ADDRESS", "prefsrc", /four numbers/],
    [{ ...base, mtu: 67 }, "OUT_OF_RANGE", "mtu", /68 to 65520/],
    [{ ...base6, mtu: 1279 }, "OUT_OF_RANGE", "mtu", /1280 to 65520/],
    [{ ...base, mtu: 65521 }, "OUT_OF_RANGE", "mtu", /65520/],
    [{ ...base, distance: 256 }, "OUT_OF_RANGE", "distance", /0 to 255/],
    [{ ...base, tag: -1 }, "OUT_OF_RANGE", "tag", /0 to/],
    [{ ...base, protocol: 256 }, "OUT_OF_RANGE", "protocol", /0 to 255/],
    [{ ...base, protocol: "bpg" }, "INVALID_VALUE", "protocol", /did you mean bgp/],
    [{ ...base, protocol: true }, "WRONG_TYPE", "protocol", /number/],
  ];
  for (const [value, code, field, words] of cases) {
    it(`refuses ${JSON.stringify(value).slice(0, 90)}: ${code} ${field}`, () => {
      const { error } = parse(value);
      assert.notEqual(error, null);
      assert.deepEqual([error!.code, error!.field], [code, field], JSON.stringify(error));
      assert.match(`${error!.message}; ${error!.hint ?? ""}`, words);
    });
  }
});
