/** The same routes in each contender's words. */
import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import { FrameReader } from "../../ffi/fpm/frame.ts";
import { describeMessage } from "../../ffi/netlink/describe.ts";
import { type FeedFormat, Feeds, type Op } from "./feeds.ts";
import { RouteTable, realTable, tableOf } from "./route_table.ts";
import { zapiHello } from "./zapi.ts";

/** 1.0.0.0/24 and 2001::/32, each the first of its table. */
const table = realTable([4, 6], 1);

describe("feeds", () => {
  const folder = mkdtempSync(join(tmpdir(), "dplaned-feeds-"));
  after(() => rmSync(folder, { recursive: true }));
  const feeds = new Feeds(folder, "two", table);
  const read = (format: FeedFormat, op: Op) => readFileSync(feeds.path(format, op, 3));
  const hex = (format: FeedFormat, op: Op) => read(format, op).toString("hex");
  const spaced = (...lines: readonly string[]) => lines.join("").replaceAll(" ", "");

  it("are NDJSON", () => {
    const lines = (op: Op) => read("ndjson", op).toString().trimEnd().split("\n");
    assert.deepEqual(lines("install"), [
      '{"prefix":"1.0.0.0/24","nexthops":[{"via":"10.64.0.123","dev":"veth0"}]}',
      '{"prefix":"2001::/32","nexthops":[{"via":"2001:db8:64::11b","dev":"veth0"}]}',
    ]);
    assert.match(lines("replace")[0]!, /10\.64\.0\.124/);
    assert.deepEqual(lines("delete")[0], '{"op":"delete","prefix":"1.0.0.0/24"}');
  });

  it("are lines of ip -batch", () => {
    const lines = (op: Op) => read("iproute2", op).toString().split("\n");
    assert.equal(lines("replace")[1], "route replace 2001::/32 via 2001:db8:64::11c dev veth0 metric 20 proto 210");
    assert.equal(lines("delete")[0], "route del 1.0.0.0/24 metric 20 proto 210");
  });

  it("are protocols of BIRD, one for each family", () => {
    assert.equal(
      read("bird", "install").toString(),
      "protocol static { ipv4;\nroute 1.0.0.0/24 via 10.64.0.123;\n}\nprotocol static { ipv6;\nroute 2001::/32 via 2001:db8:64::11b;\n}\n",
    );
  });

  it("are records", () => {
    const four = "04180000 01000000000000000000000000000000 0a40007b000000000000000000000000";
    const six = "06200000 20010000000000000000000000000000 20010db800640000000000000000011b";
    assert.equal(hex("records", "install"), spaced(four, six));
  });

  it("are messages of ZAPI", () => {
    // Length, marker, version, VRF, command; type, instance, flags, message, SAFI; family, length, prefix; nexthops.
    assert.equal(
      hex("zapi", "install"),
      spaced(
        "002b fe 06 00000000 0008  03 0000 00000000 00000001 01  02 18 010000  0001 00000000 03 00 0a40007b 00000003",
        "0038 fe 06 00000000 0008  03 0000 00000000 00000001 01  0a 20 20010000",
        "0001 00000000 05 00 20010db800640000000000000000011b 00000003",
      ),
    );
    assert.equal(
      hex("zapi", "delete").slice(0, 2 * 27),
      spaced("001b fe 06 00000000 0009  03 0000 00000000 00000000 01  02 18 010000"),
    );
    assert.equal(
      Buffer.from(zapiHello(true)).toString("hex"),
      spaced("0013 fe 06 00000000 0012  03 0000 00000000 01 00"),
    );
  });

  it("are frames of FPM", () => {
    const frames = (op: Op) => {
      const reader = new FrameReader();
      reader.push(read("fpm", op));
      const texts: string[] = [];
      while (reader.next()) texts.push(describeMessage(reader.view, reader.start, reader.end - reader.start));
      assert.equal(reader.buffered, 0);
      return texts;
    };
    const tail = "table main proto zebra scope universe metric 20";
    const installed = frames("install");
    // 64 nexthops of each family, and the two routes.
    assert.equal(installed.length, 2 * 64 + 2);
    const head = "[request|create|replace] seq 0 pid 1:";
    assert.deepEqual(
      [23, 64 + 27, 128, 129].map((index) => installed[index]),
      [
        `NEWNEXTHOP ${head} id 24 via 10.64.0.123 oif 3 proto zebra`,
        `NEWNEXTHOP ${head} id 92 via 2001:db8:64::11b oif 3 proto zebra`,
        `NEWROUTE ${head} unicast 1.0.0.0/24 ${tail} nhid 24`,
        `NEWROUTE ${head} unicast 2001::/32 ${tail} nhid 92`,
      ],
    );
    assert.deepEqual(frames("replace").length, 2);
    assert.equal(frames("delete")[1], `DELROUTE [request|0x400] seq 0 pid 1: unspec 2001::/32 ${tail}`);
  });

  it("know what the kernel then holds", () => {
    const [install, replace] = [feeds.expected("install"), feeds.expected("replace")];
    for (const family of [4, 6] as const) {
      assert.equal(install[family].routes, 1);
      assert.notEqual(String(install[family]), String(replace[family]));
    }
  });
});

describe("the tables of the benchmarks", () => {
  it("have each prefix once, the later of two", () => {
    const route = { family: 4, address: 0x0a00_0000n, length: 8, asn: 1 } as const;
    const others = [
      { ...route, length: 9 },
      { ...route, address: 0n },
      { ...route, family: 6, address: 0x20n << 120n },
    ] as const;
    const made = tableOf([route, { ...route, asn: 2 }, ...others]);
    assert.deepEqual(
      Array.from({ length: made.count }, (_, index) => `${made.prefixText(index)} ${made.nexthopText(index)}`),
      ["10.0.0.0/8 10.64.0.102", "10.0.0.0/9 10.64.0.101", "0.0.0.0/8 10.64.0.101", "2000::/8 2001:db8:64::101"],
    );
  });

  it("can be taken apart, and picked from in any order", () => {
    const real = realTable([4, 6], 100);
    assert.equal(real.ofFamily(4).count, 100);
    assert.equal(real.ofFamily(6).prefixText(0), "2001::/32");
    const picked = real.picked(Uint32Array.of(199, 0));
    assert.deepEqual([picked.prefixText(0), picked.prefixText(1)], [real.prefixText(199), real.prefixText(0)]);
    assert.equal(picked.nexthopText(0), real.nexthopText(199));
    assert.equal(new RouteTable(0).moved().count, 0);
  });
});
