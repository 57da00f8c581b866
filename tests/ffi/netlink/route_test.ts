/** Tests of routes (route.ts, route_decode.ts) against recorded messages, byte for byte where we would send the same. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import * as c from "../../../ffi/netlink/constants.ts";
import { createEncap, type Encap } from "../../../ffi/netlink/encap.ts";
import {
  createRouteMessage,
  createRouteNexthop,
  encodeRoute,
  type RouteMessage,
  type RouteNexthop,
} from "../../../ffi/netlink/route.ts";
import { decodeRoute } from "../../../ffi/netlink/route_decode.ts";
import {
  address,
  assertSameBytes,
  encodedHex,
  goldenMessage,
  goldenMessages,
  hexOf,
  sessionOf,
} from "../../support/golden_netlink.ts";

// Interface numbers of the recording.
const V0 = 3;
const V1 = 5;
const ADD = c.NLM_F_REQUEST | c.NLM_F_ACK | c.NLM_F_CREATE | c.NLM_F_EXCL;

function nexthop(via: string | undefined, ifindex: number, fields: Partial<RouteNexthop> = {}): RouteNexthop {
  const viaFields =
    via === undefined ? {} : { via: address(via), viaFamily: via.includes(":") ? c.AF_INET6 : c.AF_INET };
  return { ...createRouteNexthop(), ifindex, ...viaFields, ...fields };
}

function encap(fields: Partial<Encap>): Encap {
  return { ...createEncap(), ...fields };
}

function route(fields: Partial<RouteMessage>): RouteMessage {
  return {
    ...createRouteMessage(),
    flags: ADD,
    table: c.RT_TABLE_MAIN,
    protocol: c.RTPROT_BOOT,
    routeType: c.RTN_UNICAST,
    ...fields,
  };
}

function v4(fields: Partial<RouteMessage>): RouteMessage {
  return route({ family: c.AF_INET, destination: address("203.0.113.0"), prefixLength: 24, ...fields });
}

function v6(fields: Partial<RouteMessage>): RouteMessage {
  return route({ family: c.AF_INET6, destination: address("2001:db8:f::"), prefixLength: 48, ...fields });
}

const GW4 = nexthop("10.0.0.2", V0);
const GW6 = nexthop("2001:db8::2", V0);
const MPLS_100_200 = encap({ type: c.LWTUNNEL_ENCAP_MPLS, labels: [100, 200] });

function seg6(seg6Mode: number, ...segments: string[]): Encap {
  return encap({ type: c.LWTUNNEL_ENCAP_SEG6, seg6Mode, segments: segments.map(address) });
}

function mpls(fields: Partial<RouteMessage>): RouteMessage {
  const destination = new Uint8Array(16);
  destination.set([0x00, 0x06, 0x41]); // label 100, bottom of stack
  return route({ family: c.AF_MPLS, prefixLength: 20, destination, ...fields });
}

/** Requests of iproute2 that we would write byte for byte the same. */
const EXACT: Readonly<Record<string, RouteMessage>> = {
  route_v4_unicast: v4({ metric: 20, protocol: 210, nexthops: [GW4] }),
  route_v6_unicast: v6({ metric: 20, protocol: 210, nexthops: [GW6] }),
  route_v4_default: v4({ destination: address("0.0.0.0"), prefixLength: 0, nexthops: [GW4] }),
  route_v6_default: v6({ destination: address("::"), prefixLength: 0, nexthops: [GW6] }),
  route_v4_device: v4({ scope: c.RT_SCOPE_LINK, nexthops: [nexthop(undefined, V0)] }),
  route_v6_device: v6({ nexthops: [nexthop(undefined, V0)] }),
  route_v4_onlink: v4({ nexthops: [nexthop("192.0.2.1", V0, { flags: c.RTNH_F_ONLINK })] }),
  route_v6_onlink: v6({ nexthops: [nexthop("2001:db8:9::9", V0, { flags: c.RTNH_F_ONLINK })] }),
  route_v4_multipath: v4({ metric: 20, nexthops: [GW4, nexthop("10.0.1.2", V1, { weight: 256 })] }),
  route_v6_multipath: v6({
    nexthops: [nexthop("2001:db8::2", V0, { weight: 3 }), nexthop("2001:db8:1::2", V1, { weight: 5 })],
  }),
  route_v4_multipath_onlink: v4({
    nexthops: [nexthop("192.0.2.1", V0, { flags: c.RTNH_F_ONLINK }), nexthop(undefined, V1)],
  }),
  route_v4_via_inet6: v4({ nexthops: [GW6] }),
  route_v4_multipath_via_inet6: v4({
    nexthops: [nexthop("2001:db8::2", V0, { weight: 2 }), nexthop("10.0.1.2", V1)],
  }),
  route_v4_prefsrc: v4({ prefsrcFamily: c.AF_INET, prefsrc: address("10.0.0.1"), nexthops: [GW4] }),
  route_v6_prefsrc: v6({ prefsrcFamily: c.AF_INET6, prefsrc: address("2001:db8::1"), nexthops: [GW6] }),
  route_v4_mtu: v4({ mtu: 1400, nexthops: [GW4] }),
  route_v4_mtu_lock: v4({
    mtu: 1400,
    metricsLock: 1 << c.RTAX_MTU,
    metrics: [{ type: 11, bytes: Uint8Array.of(20, 0, 0, 0) }],
    nexthops: [GW4],
  }),
  route_v4_table_100: v4({ table: 100, nexthops: [GW4] }),
  route_v4_table_1000: v4({ table: 1000, metric: 20, nexthops: [GW4] }),
  route_v6_table_1000: v6({ table: 1000, metric: 20, nexthops: [GW6] }),
  route_v4_tos: v4({ tos: 0x10, nexthops: [GW4] }),
  route_v4_realm: v4({ realm: 5, nexthops: [GW4] }),
  route_v4_blackhole: v4({ routeType: c.RTN_BLACKHOLE, metric: 20 }),
  route_v4_unreachable: v4({ routeType: c.RTN_UNREACHABLE, metric: 20 }),
  route_v4_prohibit: v4({ routeType: c.RTN_PROHIBIT, metric: 20 }),
  route_v4_throw: v4({ routeType: c.RTN_THROW, metric: 20 }),
  route_v6_blackhole: v6({ routeType: c.RTN_BLACKHOLE, metric: 20 }),
  route_v6_source: v6({ source: address("2001:db8:a::"), sourceLength: 56, metric: 20, nexthops: [GW6] }),
  route_v6_pref_expires: v6({ expires: 300, preference: 1, nexthops: [GW6] }),
  route_v6_seg6_encap: v6({
    nexthops: [{ ...GW6, encap: seg6(c.SEG6_IPTUN_MODE_ENCAP, "fc00::1", "fc00::2", "fc00::3") }],
  }),
  route_v6_seg6_inline: v6({ nexthops: [{ ...GW6, encap: seg6(c.SEG6_IPTUN_MODE_INLINE, "fc00::1", "fc00::2") }] }),
  route_v4_seg6_encap: v4({
    scope: c.RT_SCOPE_LINK,
    nexthops: [nexthop(undefined, V0, { encap: seg6(c.SEG6_IPTUN_MODE_ENCAP, "fc00::1") })],
  }),
  route_v4_mpls: v4({ nexthops: [{ ...GW4, encap: MPLS_100_200 }] }),
  route_v4_mpls_ttl: v4({ nexthops: [{ ...GW4, encap: { ...MPLS_100_200, labels: [100], ttl: 64 } }] }),
  route_v4_multipath_mpls: v4({
    nexthops: [{ ...GW4, encap: { ...MPLS_100_200, labels: [16] } }, nexthop("10.0.1.2", V1, { weight: 2 })],
  }),
  route_v4_ip_encap: v4({
    nexthops: [
      {
        ...GW4,
        encap: encap({
          type: c.LWTUNNEL_ENCAP_IP,
          raw: Uint8Array.of(0x0c, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 42, 0x08, 0, 2, 0, 192, 0, 2, 7),
        }),
      },
    ],
  }),
  route_mpls_swap: mpls({ nexthops: [{ ...GW4, newLabels: [200, 300] }] }),
  route_mpls_pop: mpls({ nexthops: [GW6] }),
  route_mpls_multipath: mpls({
    nexthops: [
      { ...GW4, newLabels: [200] },
      { ...nexthop("10.0.1.2", V1), newLabels: [201] },
    ],
  }),
  route_v4_nhid: v4({ metric: 20, nexthopId: 1 }),
  route_v6_nhid: v6({ metric: 20, nexthopId: 6 }),
  route_v4_replace: v4({
    flags: c.NLM_F_REQUEST | c.NLM_F_ACK | c.NLM_F_CREATE | c.NLM_F_REPLACE,
    metric: 20,
    protocol: 210,
    nexthops: [GW4],
  }),
  route_v4_delete: v4({
    type: c.RTM_DELROUTE,
    flags: c.NLM_F_REQUEST | c.NLM_F_ACK,
    metric: 20,
    protocol: 210,
    scope: c.RT_SCOPE_NOWHERE,
    routeType: c.RTN_UNSPEC,
  }),
  route_v6_delete: v6({
    type: c.RTM_DELROUTE,
    flags: c.NLM_F_REQUEST | c.NLM_F_ACK,
    table: 1000,
    protocol: 0,
    routeType: c.RTN_UNSPEC,
  }),
  route_v4_dump_request: route({
    type: c.RTM_GETROUTE,
    flags: c.NLM_F_REQUEST | c.NLM_F_DUMP,
    family: c.AF_INET,
    table: 1000,
    protocol: 0,
    routeType: 0,
  }),
};

describe("route requests of iproute2", () => {
  for (const [topic, fields] of Object.entries(EXACT)) {
    it(`${topic}: decodeRoute reads it and encodeRoute writes the same bytes`, () => {
      const golden = goldenMessage(topic);
      const expected = { ...fields, ...sessionOf(golden) };
      assert.deepEqual(decodeRoute(golden, 0, golden.byteLength), expected);
      assertSameBytes(encodedHex(encodeRoute, expected), golden);
    });
  }

  it("route_v4_default_word: a default route without RTA_DST is read as 0.0.0.0/0, and written with it", () => {
    const golden = goldenMessage("route_v4_default_word");
    const expected = v4({ destination: address("0.0.0.0"), prefixLength: 0, nexthops: [GW4], ...sessionOf(golden) });
    assert.deepEqual(decodeRoute(golden, 0, golden.byteLength), expected);
    assert.equal(encodedHex(encodeRoute, expected).length, hexOf(golden).length + 2 * 8);
  });
});

/** The message with this destination among those of a dump. */
function findRoute(messages: readonly DataView[], destination: string, prefixLength: number): RouteMessage {
  const wanted = address(destination);
  for (const view of messages) {
    const message = decodeRoute(view, 0, view.byteLength);
    if (message === null || message.prefixLength !== prefixLength) continue;
    if (message.destination.every((byte, i) => byte === wanted[i]) && message.table !== c.RT_TABLE_LOCAL)
      return message;
  }
  throw new Error(`Cannot find ${destination}/${prefixLength} in the recording`);
}

const NO_CACHE_INFO = {
  references: 0,
  lastUse: 0,
  expires: 0,
  error: 0,
  used: 0,
  id: 0,
  timestamp: 0,
  timestampAge: 0,
};

describe("route dumps of the kernel", () => {
  const messages4 = goldenMessages("route_v4_dump");
  const messages6 = goldenMessages("route_v6_dump");
  const flags = c.NLM_F_MULTI | c.NLM_F_DUMP_FILTERED;
  const told4 = { ...sessionOf(messages4[0]!), flags };
  const told6 = { ...sessionOf(messages6[0]!), flags };
  const of6 = { ...told6, metric: 1024, preference: 0, cacheInfo: NO_CACHE_INFO };

  it("every message but the last is a route", () => {
    for (const messages of [messages4, messages6]) {
      const kinds = messages.map((view) => decodeRoute(view, 0, view.byteLength) !== null);
      assert.deepEqual(kinds, [...new Array(messages.length - 1).fill(true), false]);
    }
  });

  it("IPv4: gateway, metrics and source address", () => {
    const expected = v4({
      ...told4,
      metric: 20,
      protocol: 210,
      mtu: 1400,
      metricsLock: 1 << c.RTAX_MTU,
      prefsrcFamily: c.AF_INET,
      prefsrc: address("10.0.0.1"),
      nexthops: [GW4],
    });
    assert.deepEqual(findRoute(messages4, "203.0.113.0", 24), expected);
  });

  it("IPv4: multipath with weights and an IPv6 gateway in table 1000", () => {
    const { nexthops, table, routeFlags } = findRoute(messages4, "198.51.100.0", 24);
    assert.equal(table, 1000);
    assert.equal(routeFlags, 0);
    assert.deepEqual(nexthops, [nexthop("10.0.0.2", V0, { weight: 3 }), nexthop("2001:db8:1::2", V1)]);
  });

  it("IPv4: onlink is a flag of the inline nexthop", () => {
    const message = findRoute(messages4, "192.0.2.0", 25);
    assert.deepEqual(message.nexthops, [nexthop("192.0.2.200", V1, { flags: c.RTNH_F_ONLINK })]);
    assert.equal(message.routeFlags, 0);
  });

  it("IPv4: a blackhole has no nexthop", () => {
    const expected = v4({
      ...told4,
      destination: address("192.0.2.128"),
      prefixLength: 25,
      routeType: c.RTN_BLACKHOLE,
    });
    assert.deepEqual(findRoute(messages4, "192.0.2.128", 25), expected);
  });

  it("IPv4: a route by nexthop id also lists the group's members", () => {
    const message = findRoute(messages4, "100.64.0.0", 10);
    assert.equal(message.nexthopId, 10);
    assert.deepEqual(
      message.nexthops.map(({ ifindex, weight }) => ({ ifindex, weight })),
      [
        { ifindex: V0, weight: 3 },
        { ifindex: V1, weight: 6 },
      ],
    );
  });

  it("IPv6: gateway, multipath, source prefix, unreachable, nexthop id, seg6", () => {
    const v6Told = (fields: Partial<RouteMessage>) => v6({ ...of6, ...fields });
    assert.deepEqual(
      findRoute(messages6, "2001:db8:f::", 48),
      v6Told({ metric: 20, protocol: 210, mtu: 1400, nexthops: [GW6] }),
    );
    assert.deepEqual(
      findRoute(messages6, "2001:db8:e::", 48),
      v6Told({
        destination: address("2001:db8:e::"),
        nexthops: [nexthop("2001:db8::2", V0, { weight: 3 }), nexthop("2001:db8:1::2", V1)],
      }),
    );
    assert.deepEqual(
      findRoute(messages6, "2001:db8:d::", 48),
      v6Told({
        destination: address("2001:db8:d::"),
        source: address("2001:db8:a::"),
        sourceLength: 56,
        table: 1000,
        nexthops: [nexthop(undefined, V1)],
      }),
    );
    assert.equal(findRoute(messages6, "2001:db8:c::", 48).routeType, c.RTN_UNREACHABLE);
    assert.equal(findRoute(messages6, "2001:db8:b::", 48).nexthopId, 6);
    assert.deepEqual(
      findRoute(messages6, "fd00::", 8),
      v6Told({
        destination: address("fd00::"),
        prefixLength: 8,
        preference: 1,
        nexthops: [nexthop(undefined, V0, { encap: seg6(c.SEG6_IPTUN_MODE_ENCAP, "fc00::1", "fc00::2") })],
      }),
    );
  });

  it("an answer to a get has its table and cache info", () => {
    const message = decodeRoute(goldenMessage("route_v4_get"), 0, goldenMessage("route_v4_get").byteLength);
    assert.ok(message);
    assert.deepEqual(message.nexthops, [GW4]);
    assert.equal(message.routeFlags, c.RTM_F_CLONED);
    assert.deepEqual(message.cacheInfo, { ...NO_CACHE_INFO, references: 2 });
    assert.deepEqual(
      message.carried.map(({ type }) => type),
      [c.RTA_UID],
    );
  });

  it("notifications tell who did it, and what", () => {
    const kinds = (topic: string) =>
      goldenMessages(topic).map((view) => {
        const message = decodeRoute(view, 0, view.byteLength);
        assert.ok(message !== null && message.portId !== 0);
        return [message.type, message.flags, message.nexthops.length];
      });
    assert.deepEqual(kinds("route_v4_notify"), [
      [c.RTM_NEWROUTE, c.NLM_F_CREATE | c.NLM_F_EXCL, 1],
      [c.RTM_DELROUTE, 0, 1],
    ]);
    assert.deepEqual(kinds("route_v6_notify"), [
      [c.RTM_NEWROUTE, c.NLM_F_CREATE | c.NLM_F_EXCL, 1],
      [c.RTM_NEWROUTE, c.NLM_F_CREATE | c.NLM_F_APPEND, 2],
      [c.RTM_DELROUTE, 0, 2],
    ]);
  });

  it("decode, encode and decode again gives the same for every route the kernel told", () => {
    const topics = ["route_v4_dump", "route_v6_dump", "route_v4_notify", "route_v6_notify", "route_v4_get"];
    for (const view of topics.flatMap(goldenMessages)) {
      const first = decodeRoute(view, 0, view.byteLength);
      if (first === null) continue;
      const again = new DataView(new ArrayBuffer(4096));
      const length = encodeRoute(again, 0, first);
      assert.deepEqual(decodeRoute(again, 0, length), first);
    }
  });
});

describe("decodeRoute", () => {
  it("fills the object it is given, and leaves nothing of what was in it", () => {
    const into = createRouteMessage();
    for (const view of [...goldenMessages("route_v4_dump"), ...goldenMessages("route_v6_dump")]) {
      const message = decodeRoute(view, 0, view.byteLength, into);
      if (message === null) continue;
      assert.equal(message, into);
      assert.deepEqual(message, decodeRoute(view, 0, view.byteLength));
    }
  });

  it("reads at an offset of a larger buffer", () => {
    const golden = goldenMessage("route_v6_seg6_encap");
    const bytes = new Uint8Array(golden.byteLength + 40).fill(0xff);
    bytes.set(new Uint8Array(golden.buffer), 8);
    const view = new DataView(bytes.buffer, 4);
    assert.deepEqual(decodeRoute(view, 4, golden.byteLength), decodeRoute(golden, 0, golden.byteLength));
  });

  it("refuses other kinds of message, and lengths that cannot be", () => {
    const wrong = (change: (view: DataView) => void) => {
      const view = goldenMessage("route_v4_multipath_via_inet6");
      assert.notEqual(decodeRoute(view, 0, view.byteLength), null);
      change(view);
      return decodeRoute(view, 0, view.byteLength);
    };
    assert.equal(
      wrong((view) => view.setUint16(4, c.RTM_NEWLINK, true)),
      null,
      "type",
    );
    assert.equal(
      wrong((view) => view.setUint32(0, view.byteLength + 1, true)),
      null,
      "message longer than the buffer",
    );
    assert.equal(
      wrong((view) => view.setUint32(0, 27, true)),
      null,
      "message without a whole rtmsg",
    );
    assert.equal(
      wrong((view) => view.setUint8(17, 33)),
      null,
      "prefix length",
    );
    assert.equal(
      wrong((view) => view.setUint16(28, 7, true)),
      null,
      "RTA_DST of three bytes",
    );
    assert.equal(
      wrong((view) => view.setUint16(28, 3, true)),
      null,
      "attribute shorter than its header",
    );
    assert.equal(
      wrong((view) => view.setUint16(36, 200, true)),
      null,
      "attribute longer than the message",
    );
    assert.equal(
      wrong((view) => view.setUint16(72, 7, true)),
      null,
      "nexthop shorter than rtnexthop",
    );
    assert.equal(
      wrong((view) => view.setUint16(40, 100, true)),
      null,
      "nexthop longer than RTA_MULTIPATH",
    );
    assert.equal(
      wrong((view) => view.setUint16(52, 7, true)),
      null,
      "RTA_VIA of an unknown family",
    );
    // RTA_MULTIPATH (at 36, of 52 bytes) ends before the message does: its second nexthop must not reach behind it.
    const long = goldenMessage("route_v4_multipath_via_inet6");
    const bytes = new Uint8Array(long.byteLength + 8);
    bytes.set(new Uint8Array(long.buffer));
    bytes.set([8, 0, c.RTA_PRIORITY, 0, 1], long.byteLength);
    const view = new DataView(bytes.buffer);
    view.setUint32(0, bytes.length, true);
    assert.equal(decodeRoute(view, 0, bytes.length)?.nexthops.length, 2);
    view.setUint16(72, 24, true);
    assert.equal(decodeRoute(view, 0, bytes.length), null, "nexthop that reaches behind RTA_MULTIPATH");
    const dumped = goldenMessages("route_v6_dump")[0]!;
    const cacheInfoAt = hexOf(dumped).indexOf("24000c00") / 2;
    dumped.setUint16(cacheInfoAt, 35, true);
    assert.equal(decodeRoute(dumped, 0, dumped.byteLength), null, "RTA_CACHEINFO of 31 bytes");
    const golden = goldenMessage("route_v4_unicast");
    assert.equal(decodeRoute(golden, 0, golden.byteLength - 4), null, "length that cuts the message");
    assert.equal(decodeRoute(golden, 8, golden.byteLength), null, "length beyond the view");
  });
});

describe("encodeRoute", () => {
  it("returns 0 for every buffer that is too small, writes nothing outside, and fills one that is exactly large enough", () => {
    for (const message of Object.values(EXACT)) {
      const whole = encodedHex(encodeRoute, message);
      const length = whole.length / 2;
      for (let space = 0; space <= length; space++) {
        const bytes = new Uint8Array(length + 8).fill(0xee);
        const written = encodeRoute(new DataView(bytes.buffer, 4, space), 0, message);
        assert.equal(written, space === length ? length : 0);
        assert.ok(bytes.subarray(0, 4).every((byte) => byte === 0xee));
        assert.ok(bytes.subarray(4 + space).every((byte) => byte === 0xee));
      }
    }
  });

  it("returns 0 if nexthops need more than the 64 KiB of an attribute", () => {
    const long = { ...GW6, encap: seg6(c.SEG6_IPTUN_MODE_ENCAP, ...new Array(16).fill("fc00::1")) };
    const view = new DataView(new ArrayBuffer(1 << 20));
    assert.notEqual(encodeRoute(view, 0, v6({ nexthops: new Array(200).fill(long) })), 0);
    assert.equal(encodeRoute(view, 0, v6({ nexthops: new Array(512).fill(long) })), 0);
  });
});
