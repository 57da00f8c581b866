/** Updates straight from their bytes: what goes that way, what does not, and that both ways come to the same. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { NEXTHOPS_MAX } from "../../../core/constants.ts";
import { createRouteUpdate, UpdateOp } from "../../../core/model/route.ts";
import { UpdateBytesParser } from "../../../core/northbound/update_bytes.ts";
import { comparePaths, createBytesPath, snapshot, TEST_RESOLVER } from "../../support/update_paths.ts";

const encoder = new TextEncoder();
const PREFIX = '"prefix":"203.0.113.0/24"';
const HOPS = '"nexthops":[{"via":"10.0.0.2","dev":"v0"}]';

/** Takes the text by both ways; whether it went straight. */
function goesStraight(text: string): boolean {
  const bytes = encoder.encode(`x${text}\n{"prefix":"::/0"}`);
  const end = encoder.encode(text).length + 1;
  return comparePaths(bytes, 1, end, createRouteUpdate(), createBytesPath());
}

const field = (text: string) => `{${PREFIX},${HOPS},${text}}`;
const prefix = (text: string) => `{"prefix":"${text}","type":"blackhole"}`;
const hop = (text: string) => `{${PREFIX},"nexthops":[{"via":"10.0.0.2","dev":"v0",${text}}]}`;
const hops = (text: string) => `{${PREFIX},"nexthops":${text}}`;

describe("UpdateBytesParser, what goes straight", () => {
  const many = Array.from({ length: NEXTHOPS_MAX }, (_, index) => `{"via":"10.1.${index >> 8}.${index & 255}"}`);
  const texts = [
    `{${PREFIX},${HOPS}}`,
    `{${HOPS},"table":7,${PREFIX}}`,
    ` \t\r\n{ "prefix" : "203.0.113.0/24" , "nexthops" : [ { "dev" : "v0" , "via" : "10.0.0.2" } , {"dev":"v1"} ] } \r\n`,
    ...["0", "1", "4294967295"].map((number) => field(`"metric":${number}`)),
    field('"table":4294967295,"distance":255,"tag":0,"mtu":68,"protocol":"bgp","prefsrc":"10.0.0.1","op":"install"'),
    field('"protocol":0'),
    `{"op":"delete",${PREFIX}}`,
    `{"op":"delete",${PREFIX},"nexthops":[{"dev":"gone"}]}`,
    `{"nexthops":[{"dev":"gone"}],${PREFIX},"op":"delete"}`,
    `{${PREFIX},"type":"blackhole","nexthops":[ ]}`,
    `{${PREFIX},"nexthopGroup":5}`,
    `{${PREFIX},${HOPS},"vrf":"red"}`,
    `{"table":100,"vrf":"red",${PREFIX},${HOPS}}`,
    `{"source":"2001:db8:2::/48","prefix":"2001:db8::/32","nexthops":[{"dev":"v0"}],"metric":0}`,
    `{"prefix":"2001:db8::/32","source":"::/0","nexthops":[{"dev":"v0"}]}`,
    ...["0.0.0.0/0", "::/0", "::ffff:10.0.0.0/120", "2001:DB8::1/128", "1:2:3:4:5:6:7:8/128"].map(prefix),
    hop('"weight":256,"onlink":true'),
    hop('"onlink" : false'),
    hop('"labels":[100, 0 ,1048575]'),
    hop('"seg6":{"segs":["2001:db8::a", "2001:db8::b"],"mode":"encap.red"}'),
    hops('[{"dev":"eth0.100"}]'),
    hops(`[${many.join(",")}]`),
  ];
  for (const text of texts) it(text.slice(0, 120), () => assert.ok(goesStraight(text)));
});

describe("UpdateBytesParser, what it leaves to the text", () => {
  const numbers = [
    "-0",
    "-1",
    "1.0",
    "1e1",
    "1E+1",
    "007",
    "00",
    "4294967296",
    "9".repeat(400),
    "0x1",
    "+1",
    ".5",
    "1.",
  ];
  const literals = ["null", "true", '"5"', "[5]", "{}", "nul", ""];
  const texts = [
    ...[...numbers, ...literals].map((value) => field(`"metric":${value}`)),
    ...['"metric":1,"metric":2', '"metrik":1', '"met\\u0072ic":1', '"__proto__":1', '"owner":"a"'].map(field),
    ...['"table":0', '"distance":256', '"mtu":0', '"mtu":67', '"mtu":65521', '"protocol":256', '"op":"add"'].map(field),
    ...["10.0.0.1/24", "10.0.0.0", "10.0.0.0/33", "10.0.0.0/08", "10.0.0/8", "::1/64", "default", "", "é::/16"].map(
      prefix,
    ),
    prefix("10.0.0.0\\/8"),
    ...['"weight":0', '"weight":257', '"onlink":1', '"onlink":tru', '"dev":"v1"', '"labels":[]', '"labels":[3]'].map(
      hop,
    ),
    ...['"labels":[5,]', '"labels":[5],"seg6":{"mode":"encap","segs":["::1"]}', '"seg6":{"mode":"encap"}'].map(hop),
    ...["null", "{}", "[{}]", "[[]]", '[{"dev":"gone"}]', '[{"dev":"v0"},]', '[,{"dev":"v0"}]', "[]"].map(hops),
    ...['[{"dev":"v0"},{"dev":"v0"}]', '[{"dev":"v\\u0030"}]', '[{"via":"::1"', `[{"dev":"${"x".repeat(65)}"}]`].map(
      hops,
    ),
    hops(`[${'{"dev":"v0"},'.repeat(NEXTHOPS_MAX)}{"dev":"v1"}]`),
    `{${PREFIX},${HOPS}} x`,
    `{${PREFIX},${HOPS},}`,
    `{${PREFIX},${HOPS}`,
    `{${PREFIX},${HOPS}}}`,
    `\ufeff{${PREFIX},${HOPS}}`,
    `{${PREFIX} ${HOPS}}`,
    `{,${PREFIX},${HOPS}}`,
    `{prefix:"::/0",${HOPS}}`,
    `{${HOPS}}`,
    "{}",
    "[]",
    "5",
    "",
    `{${PREFIX}}`,
    `{${PREFIX},"nexthopGroup":5,${HOPS}}`,
    `{${PREFIX},${HOPS},"vrf":"blue"}`,
    `{${PREFIX},${HOPS},"vrf":"red","table":5}`,
    `{"prefix":"2001:db8::/32",${HOPS}}`,
    `{"source":"2001:db8::/32",${PREFIX},${HOPS}}`,
  ];
  for (const text of texts) it(text.slice(0, 120), () => assert.ok(!goesStraight(text)));
});

describe("UpdateBytesParser, one update after the other", () => {
  const parser = new UpdateBytesParser();
  const into = createRouteUpdate();
  const parse = (text: string, resolver = TEST_RESOLVER) => {
    const bytes = encoder.encode(text);
    return parser.parse(bytes, 0, bytes.length, into, resolver);
  };
  const of = (prefix: string, rest = HOPS) => `{"prefix":"${prefix}",${rest}}`;

  it("takes what says the same of other prefixes as it takes the first", () => {
    for (const rest of [
      HOPS,
      '"nexthops":[{"dev":"v1","weight":3},{"dev":"v0"}],"tag":7',
      '"type":"throw","metric":0',
    ]) {
      for (const prefix of ["10.0.0.0/8", "10.1.0.0/16", "10.2.0.0/16", "2001:db8::/32", "0.0.0.0/0"]) {
        const other = createRouteUpdate();
        const bytes = encoder.encode(of(prefix, rest));
        const isRight = new UpdateBytesParser().parse(bytes, 0, bytes.length, other, TEST_RESOLVER);
        assert.equal(parse(of(prefix, rest)), isRight, `${prefix} ${rest}`);
        if (isRight) assert.deepEqual(snapshot(into), snapshot(other));
      }
    }
  });

  it("uses nexthops again, whose number goes up and down", () => {
    const known = new Set<object>();
    const texts = [3, 1, 2, 0, 3, 2, 1].map((count) => {
      const list = Array.from({ length: count }, (_, index) => `{"via":"10.0.0.${index + 1}"}`);
      return count === 0 ? `{"op":"delete",${PREFIX}}` : `{"nexthops":[${list.join(",")}],${PREFIX}}`;
    });
    for (let round = 0; round < 3; round++) {
      for (const text of texts) {
        assert.ok(parse(text));
        for (const nexthop of into.nexthops) known.add(nexthop);
      }
    }
    assert.ok(known.size <= 2 * 9, `${known.size} objects for what is known and what is read`);
  });

  it("looks names up each time", () => {
    const links = new Map([["v0", 3]]);
    const resolver = { deviceIndex: (name: string) => links.get(name) ?? 0, vrfTable: () => 0 };
    for (const ifindex of [3, 3, 3, 9, 9]) {
      links.set("v0", ifindex);
      assert.ok(parse(of("10.0.0.0/8"), resolver));
      assert.equal(into.nexthops[0]!.ifindex, ifindex);
    }
    links.clear();
    assert.ok(!parse(of("10.0.0.0/8"), resolver), "an interface that is gone is for the text to tell");
  });

  it("follows other defaults, and another update", () => {
    const defaults = { table: 7, metric: 8, distance: 9 };
    const bytes = encoder.encode(of("10.0.0.0/8"));
    for (let round = 0; round < 3; round++) {
      const other = createRouteUpdate();
      assert.ok(parser.parse(bytes, 0, bytes.length, other, TEST_RESOLVER, defaults));
      assert.deepEqual([other.table, other.metric, other.distance], [7, 8, 9]);
      assert.ok(parse(of("10.0.0.0/8")));
      assert.deepEqual([into.table, into.metric, into.op], [254, 20, UpdateOp.INSTALL]);
    }
  });

  it("takes texts that never come again, and then ones that do", () => {
    for (let tag = 0; tag < 5000; tag++) {
      assert.ok(parse(of("10.0.0.0/8", `${HOPS},"tag":${tag}`)));
      assert.equal(into.tag, tag);
    }
    for (let tag = 0; tag < 5000; tag++) {
      assert.ok(parse(of("10.0.0.0/8", `${HOPS},"tag":${tag & 7}`)));
      assert.equal(into.tag, tag & 7);
    }
  });
});
