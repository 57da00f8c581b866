import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { describe, it } from "node:test";
import { METRIC_IPV6_ZERO } from "../../core/constants.ts";
import { AttrsStore, createAttrsStorage } from "../../core/context/attrs_store.ts";
import { Contexts, createContextStorage } from "../../core/context/contexts.ts";
import { Family } from "../../core/model/route.ts";
import * as c from "../../ffi/netlink/constants.ts";
import type { RouteMessage } from "../../ffi/netlink/route.ts";
import { decodeRoute } from "../../ffi/netlink/route_decode.ts";
import { ContextEncoder, ROUTE_MESSAGE_BYTES_MAX } from "../../providers/encode_context.ts";
import { fillContext } from "../support/context_lines.ts";
import { goldenMessage, goldenTopics, hexOf } from "../support/golden_netlink.ts";

const OURS_FILE = join(import.meta.dirname!, "..", "golden", "encode_context.txt");
const COMMANDS = join(import.meta.dirname!, "..", "golden", "netlink");
const UPDATE = process.env["UPDATE_GOLDEN"] === "1";
const SEQUENCE = 0x01020304;

/** Recordings that no update can ask for: other messages, and what dplaned does not program. */
const OTHERS = /_(dump|dump_request|get|notify|ip_encap|mpls_ttl|mtu_lock|realm|tos|pref_expires)$|^route_mpls_/;
const TOPICS = goldenTopics().filter((topic) => topic.startsWith("route_") && !OTHERS.test(topic));

class EncoderBench {
  readonly store = new AttrsStore(createAttrsStorage(8 << 20));
  readonly contexts = new Contexts(createContextStorage(4));
  readonly encoder: ContextEncoder;
  /** A dirty buffer shows bytes that an encoder forgets to write. */
  readonly view = new DataView(new Uint8Array(1 << 17).fill(0xee).buffer);

  constructor(protocol: number) {
    this.encoder = new ContextEncoder({ contexts: this.contexts, attrs: this.store.reader, protocol });
  }

  fill(line: string, options: { old?: string } = {}): { attrs: number; oldAttrs: number } {
    return fillContext(this.contexts, this.store, 0, line, options);
  }

  encodeNew(attrs: number, flags: number = c.NLM_F_CREATE | c.NLM_F_EXCL): number {
    assert.ok(this.encoder.canEncode(0, attrs));
    return this.encoder.encodeNew(this.view, 0, 0, attrs, flags, SEQUENCE);
  }

  decode(length: number): RouteMessage {
    const message = decodeRoute(this.view, 0, length);
    assert.ok(message !== null);
    return message;
  }

  encodeLine(line: string): RouteMessage {
    return this.decode(this.encodeNew(this.fill(line).attrs));
  }
}

/** The command that was recorded. */
function commandOf(topic: string): string {
  return /^command: +(.*)$/m.exec(readFileSync(join(COMMANDS, `${topic}.txt`), "utf8"))![1]!;
}

/** The command with iproute2's own default of the metric, which is not dplaned's. */
function withMetric(command: string): string {
  if (command.includes("metric ")) return command;
  return command.replace(/( nexthop |$)/, " metric 0$1");
}

/** Our bytes for the command of a recording. */
function encodeTopic(topic: string, golden: RouteMessage): { message: RouteMessage; hex: string } {
  const bench = new EncoderBench(golden.protocol);
  const { attrs } = bench.fill(withMetric(commandOf(topic)));
  const flags = golden.flags & ~c.NLM_F_REQUEST;
  const length =
    golden.type === c.RTM_DELROUTE
      ? bench.encoder.encodeDelete(bench.view, 0, 0, flags, SEQUENCE)
      : bench.encodeNew(attrs, flags);
  return { message: bench.decode(length), hex: hexOf(bench.view, length) };
}

describe("ContextEncoder and iproute2", () => {
  const ours = new Map(
    (UPDATE ? "" : readFileSync(OURS_FILE, "utf8"))
      .split("\n")
      .filter((line) => line !== "" && !line.startsWith("#"))
      .map((line) => line.split(" ") as [string, string]),
  );

  for (const topic of TOPICS) {
    it(`${topic}: says the same as iproute2, in the bytes that were looked at`, () => {
      const golden = goldenMessage(topic);
      const recorded = decodeRoute(golden, 0, golden.byteLength)!;
      const { message, hex } = encodeTopic(topic, recorded);
      const metric = recorded.metric ?? (recorded.family === Family.IPV6 ? METRIC_IPV6_ZERO : 0);
      // Of an IPv6 route, which has no scope, iproute2 says so in another way.
      const scope = recorded.type === c.RTM_DELROUTE ? c.RT_SCOPE_NOWHERE : recorded.scope;
      assert.deepEqual(message, { ...recorded, metric, scope, sequence: SEQUENCE, portId: 0 });
      if (UPDATE) ours.set(topic, hex);
      assert.equal(hex, ours.get(topic));
    });
  }

  it("all recordings that an update can ask for were compared", () => {
    assert.equal(TOPICS.length, 36);
    const head =
      "# What ContextEncoder writes for the commands of tests/golden/netlink; UPDATE_GOLDEN=1 writes it anew.";
    const lines = [head, ...[...ours].map(([topic, hex]) => `${topic} ${hex}`)];
    if (UPDATE) writeFileSync(OURS_FILE, `${lines.join("\n")}\n`);
    assert.deepEqual([...ours.keys()], TOPICS);
  });
});

describe("ContextEncoder", () => {
  it("writes the table of a high number as an attribute, and of a low one in the header", () => {
    const bench = new EncoderBench(210);
    for (const [table, header] of [
      [1, 1],
      [254, 254],
      [255, 255],
      [256, 0],
      [1000, 0],
      [4294967295, 0],
    ] as const) {
      const message = bench.encodeLine(`route add 203.0.113.0/24 via 10.0.0.2 table ${table}`);
      assert.equal(message.table, table);
      assert.equal(bench.view.getUint8(16 + 4), header);
    }
  });

  it("gives a route the scope that the kernel asks of it", () => {
    const bench = new EncoderBench(210);
    for (const [line, scope] of [
      ["203.0.113.0/24 via 10.0.0.2", c.RT_SCOPE_UNIVERSE],
      ["203.0.113.0/24 dev v0", c.RT_SCOPE_LINK],
      ["203.0.113.0/24 via inet6 2001:db8::2 dev v0", c.RT_SCOPE_UNIVERSE],
      ["203.0.113.0/24 nexthop dev v0 nexthop dev v1", c.RT_SCOPE_UNIVERSE],
      ["blackhole 203.0.113.0/24", c.RT_SCOPE_UNIVERSE],
      ["2001:db8:f::/48 dev v0", c.RT_SCOPE_UNIVERSE],
    ] as const) {
      assert.equal(bench.encodeLine(`route add ${line}`).scope, scope, line);
    }
  });

  it("names the key and our protocol in a deletion, and nothing that might not match", () => {
    const bench = new EncoderBench(210);
    const old = "route add 2001:db8:f::/48 from 2001:db8:e::/48 via 2001:db8::2 dev v0 table 1000 metric 7 mtu 1400";
    const { oldAttrs } = bench.fill("route del 2001:db8:f::/48 from 2001:db8:e::/48 table 1000 metric 7", { old });
    const length = bench.encoder.encodeDelete(bench.view, 0, 0, c.NLM_F_ACK, SEQUENCE, oldAttrs);
    const message = bench.decode(length);
    assert.deepEqual(
      [message.type, message.flags, message.protocol, message.scope, message.routeType, message.table, message.metric],
      [c.RTM_DELROUTE, c.NLM_F_REQUEST | c.NLM_F_ACK, 210, c.RT_SCOPE_NOWHERE, 0, 1000, 7],
    );
    assert.deepEqual(
      [message.prefixLength, message.sourceLength, message.nexthops.length, message.mtu],
      [48, 48, 0, 0],
    );
    // nlmsghdr, rtmsg, RTA_DST, RTA_SRC, RTA_TABLE, RTA_PRIORITY.
    assert.equal(length, 16 + 12 + 20 + 20 + 8 + 8);
  });

  it("names the nexthops in the deletion of an IPv4 route of metric 0, which to the kernel is any metric", () => {
    const bench = new EncoderBench(210);
    const old = "route add 203.0.113.0/24 metric 0 nexthop via 10.0.0.2 dev v0 nexthop via 10.0.1.2 dev v1";
    const { oldAttrs } = bench.fill("route del 203.0.113.0/24 metric 0", { old });
    assert.ok(!bench.encoder.isKeyExact(0));
    const message = bench.decode(bench.encoder.encodeDelete(bench.view, 0, 0, 0, SEQUENCE, oldAttrs));
    assert.deepEqual([message.type, message.metric, message.nexthops.length], [c.RTM_DELROUTE, 0, 2]);
    for (const exact of ["route del 203.0.113.0/24 metric 1", "route del 2001:db8:f::/48 metric 0"]) {
      bench.fill(exact);
      assert.ok(bench.encoder.isKeyExact(0), exact);
    }
  });

  it("names the nexthop object of a route and nothing beside it", () => {
    const bench = new EncoderBench(210);
    for (const line of ["203.0.113.0/24 nhid 250000001 src 10.0.0.1 mtu 1400", "2001:db8:f::/48 nhid 4294967295"]) {
      const message = bench.encodeLine(`route add ${line}`);
      assert.equal(message.nexthopId, Number(/nhid (\d+)/.exec(line)![1]));
      assert.deepEqual([message.routeType, message.scope, message.nexthops], [c.RTN_UNICAST, c.RT_SCOPE_UNIVERSE, []]);
      assert.equal(message.mtu, line.includes("mtu") ? 1400 : 0);
      assert.equal(message.prefsrcFamily, line.includes("src") ? Family.IPV4 : Family.NONE);
    }
    // Where the key is not enough, the number must agree.
    const { oldAttrs } = bench.fill("route del 203.0.113.0/24 metric 0", {
      old: "route add 203.0.113.0/24 metric 0 nhid 250000001",
    });
    const deletion = bench.decode(bench.encoder.encodeDelete(bench.view, 0, 0, 0, SEQUENCE, oldAttrs));
    assert.deepEqual([deletion.type, deletion.metric, deletion.nexthopId], [c.RTM_DELROUTE, 0, 250_000_001]);
  });

  it("says MTU 0 of IPv4 routes by nexthop objects from when one has an MTU, and only then", () => {
    const bench = new EncoderBench(210);
    const lengthOf = (line: string) => bench.encodeNew(bench.fill(`route add ${line}`).attrs);
    const lines = ["203.0.113.0/24 nhid 250000001", "2001:db8:f::/48 nhid 250000001", "203.0.113.0/24 via 10.0.0.2"];
    const before = lines.map(lengthOf);
    lengthOf("203.0.113.0/24 via 10.0.0.2 mtu 1400");
    assert.deepEqual(lines.map(lengthOf), before);
    lengthOf("203.0.114.0/24 nhid 250000001 mtu 1400");
    const METRICS_BYTES = 12;
    assert.deepEqual(lines.map(lengthOf), [before[0]! + METRICS_BYTES, before[1], before[2]]);
  });

  it("tells the same attributes for IPv4 and for IPv6 routes apart", () => {
    const bench = new EncoderBench(210);
    const four = bench.fill("route add 203.0.113.0/24 via inet6 2001:db8::2 dev v0");
    assert.equal(bench.decode(bench.encodeNew(four.attrs)).nexthops[0]!.viaFamily, c.AF_INET6);
    const via = hexOf(bench.view, bench.encodeNew(four.attrs));
    const six = bench.fill("route add 2001:db8:f::/48 via 2001:db8::2 dev v0");
    assert.equal(six.attrs, four.attrs, "the attributes are one record");
    const gateway = hexOf(bench.view, bench.encodeNew(six.attrs));
    const attribute = (type: number, length: number) => hexOf(new DataView(Uint8Array.of(length, 0, type, 0).buffer));
    assert.ok(via.includes(attribute(c.RTA_VIA, 22)) && !via.includes(attribute(c.RTA_GATEWAY, 20)));
    assert.ok(gateway.includes(attribute(c.RTA_GATEWAY, 20)) && !gateway.includes(attribute(c.RTA_VIA, 22)));
  });

  it("forgets what it has encoded when the number goes to other attributes", () => {
    const bench = new EncoderBench(210);
    const first = bench.fill("route add 203.0.113.0/24 via 10.0.0.2 dev v0").attrs;
    const before = bench.decode(bench.encodeNew(first)).nexthops[0]!.via[3];
    assert.equal(before, 2);
    bench.store.release(first);
    const second = bench.fill("route add 203.0.113.0/24 via 10.0.0.99 dev v0").attrs;
    assert.equal(second, first, "the number was used again");
    assert.equal(bench.decode(bench.encodeNew(second)).nexthops[0]!.via[3], 99);
  });

  it("copies what it has encoded before", () => {
    const bench = new EncoderBench(210);
    const { attrs } = bench.fill("route add 203.0.113.0/24 via 10.0.0.2 dev v0");
    const first = hexOf(bench.view, bench.encodeNew(attrs));
    // Changed behind its back: only bytes that were kept can come out unchanged.
    const base = bench.store.reader.offset(attrs);
    bench.store.reader.u8.fill(0xff, base + 64, base + 96);
    assert.equal(hexOf(bench.view, bench.encodeNew(attrs)), first);
  });

  it("encodes 512 nexthops, and refuses what the kernel could not show", () => {
    const bench = new EncoderBench(210);
    const hops = (count: number, encap = "") =>
      Array.from(
        { length: count },
        (_, n) => `nexthop ${encap} via 2001:db8::${(n + 2).toString(16)} dev v0 weight ${(n % 256) + 1}`,
      );
    const wide = bench.encodeLine(`route add 2001:db8:f::/48 ${hops(512).join(" ")}`);
    assert.deepEqual(
      wide.nexthops.map(({ weight }) => weight),
      Array.from({ length: 512 }, (_, n) => (n % 256) + 1),
    );

    const segments = Array.from({ length: 16 }, (_, n) => `2001:db8:a::${n}`).join(",");
    const encap = `encap seg6 mode encap segs ${segments}`;
    const fits = bench.fill(`route add 2001:db8:f::/48 from 2001:db8:e::/48 table 1000 ${hops(103, encap).join(" ")}`);
    const length = bench.encodeNew(fits.attrs);
    assert.ok(length > 0 && length <= ROUTE_MESSAGE_BYTES_MAX);
    for (const count of [104, 200, 512]) {
      const { attrs } = bench.fill(`route add 2001:db8:f::/48 ${hops(count, encap).join(" ")}`);
      assert.equal(bench.encoder.canEncode(0, attrs), false, `${count}`);
      assert.equal(bench.encoder.canEncode(0, attrs), false, "also when asked again");
    }
  });

  it("writes nothing where there is no room", () => {
    const bench = new EncoderBench(210);
    const { attrs } = bench.fill("route add 203.0.113.0/24 via 10.0.0.2 dev v0");
    const length = bench.encodeNew(attrs);
    for (let room = 0; room < length; room += 4) {
      const view = new DataView(new ArrayBuffer(room));
      assert.equal(bench.encoder.encodeNew(view, 0, 0, attrs, 0, 1), 0, `${room}`);
    }
    const exact = new DataView(new ArrayBuffer(length));
    assert.equal(bench.encoder.encodeNew(exact, 0, 0, attrs, 0, 1), length);
    const deletion = bench.encoder.encodeDelete(bench.view, 0, 0, 0, 1);
    for (let room = 0; room < deletion; room += 4) {
      assert.equal(bench.encoder.encodeDelete(new DataView(new ArrayBuffer(room)), 0, 0, 0, 1), 0, `${room}`);
    }
  });
});
