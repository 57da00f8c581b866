/** Tests of nexthop objects (nexthop.ts) against recorded messages, byte for byte where we would send the same. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import * as c from "../../../ffi/netlink/constants.ts";
import { createEncap } from "../../../ffi/netlink/encap.ts";
import {
  createNexthopMessage,
  decodeNexthop,
  encodeNexthop,
  type NexthopMessage,
} from "../../../ffi/netlink/nexthop.ts";
import {
  address,
  assertSameBytes,
  encodedHex,
  goldenMessage,
  goldenMessages,
  hexOf,
  sessionOf,
} from "../../support/golden_netlink.ts";

const V0 = 3;
const V1 = 5;
const ADD = c.NLM_F_REQUEST | c.NLM_F_ACK | c.NLM_F_CREATE | c.NLM_F_EXCL;

function nexthop(fields: Partial<NexthopMessage>): NexthopMessage {
  return { ...createNexthopMessage(), flags: ADD, id: 1, ...fields };
}

function v4(gateway: string, fields: Partial<NexthopMessage> = {}): NexthopMessage {
  return nexthop({ family: c.AF_INET, hasGateway: true, gateway: address(gateway), oif: V0, ...fields });
}

function v6(gateway: string, fields: Partial<NexthopMessage> = {}): NexthopMessage {
  return nexthop({ family: c.AF_INET6, hasGateway: true, gateway: address(gateway), oif: V0, ...fields });
}

const SEG6 = {
  ...createEncap(),
  type: c.LWTUNNEL_ENCAP_SEG6,
  seg6Mode: c.SEG6_IPTUN_MODE_ENCAP,
  segments: [address("fc00::1"), address("fc00::2")],
};

function members(...pairs: [id: number, weight: number][]) {
  return pairs.map(([id, weight]) => ({ id, weight }));
}

/** Requests of iproute2 that we would write the same. */
const EXACT: Readonly<Record<string, NexthopMessage>> = {
  nexthop_v4: v4("10.0.0.2", { protocol: 210 }),
  nexthop_v6: v6("2001:db8::2"),
  nexthop_v4_onlink: v4("192.0.2.1", { nexthopFlags: c.RTNH_F_ONLINK }),
  nexthop_device: nexthop({ family: c.AF_INET, oif: V0 }),
  nexthop_blackhole: nexthop({ family: c.AF_INET, blackhole: true }),
  nexthop_fdb: v4("10.0.0.2", { oif: 0, fdb: true }),
  nexthop_mpls: v4("10.0.0.2", {
    encap: { ...createEncap(), type: c.LWTUNNEL_ENCAP_MPLS, labels: [100, 200] },
  }),
  nexthop_seg6: v6("2001:db8::2", { encap: SEG6 }),
  nexthop_group: nexthop({ id: 10, protocol: 210, group: members([1, 1], [2, 1]) }),
  nexthop_group_weights: nexthop({
    flags: c.NLM_F_REQUEST | c.NLM_F_ACK | c.NLM_F_CREATE | c.NLM_F_REPLACE,
    id: 10,
    group: members([1, 3], [2, 256]),
  }),
  nexthop_resilient: nexthop({
    id: 10,
    group: members([1, 1], [2, 4]),
    groupType: c.NEXTHOP_GRP_TYPE_RES,
    resilient: { buckets: 32, idleTimer: 6000, unbalancedTimer: 30_000, unbalancedTime: undefined },
  }),
  nexthop_delete: nexthop({ type: c.RTM_DELNEXTHOP, flags: c.NLM_F_REQUEST | c.NLM_F_ACK, id: 10 }),
  nexthop_dump_request: nexthop({ type: c.RTM_GETNEXTHOP, flags: c.NLM_F_REQUEST | c.NLM_F_DUMP, id: 0 }),
};

describe("nexthop requests of iproute2", () => {
  for (const [topic, fields] of Object.entries(EXACT)) {
    it(`${topic}: decodeNexthop reads it and encodeNexthop writes the same bytes`, () => {
      const golden = goldenMessage(topic);
      const expected = { ...fields, ...sessionOf(golden) };
      assert.deepEqual(decodeNexthop(golden, 0, golden.byteLength), expected);
      assertSameBytes(encodedHex(encodeNexthop, expected), golden);
    });
  }
});

describe("nexthops as the kernel tells of them", () => {
  const told = (topic: string) =>
    goldenMessages(topic)
      .filter((view) => view.getUint16(4, true) !== c.NLMSG_DONE)
      .map((view) => {
        const message = decodeNexthop(view, 0, view.byteLength);
        assert.ok(message);
        return { ...message, sequence: 0, portId: 0 };
      });
  const opFlags = c.NHA_OP_FLAG_RESP_GRP_RESVD_0;

  it("dump: single, blackhole, onlink, seg6, device, group, resilient group, fdb", () => {
    const flags = c.NLM_F_MULTI;
    const scope = c.RT_SCOPE_LINK;
    assert.deepEqual(told("nexthop_dump"), [
      v4("10.0.0.2", { flags, scope }),
      v4("10.0.1.2", { flags, scope, id: 2, oif: V1 }),
      nexthop({ flags, family: c.AF_INET, id: 3, blackhole: true }),
      v4("192.0.2.1", { flags, scope, id: 4, protocol: 210, nexthopFlags: c.RTNH_F_ONLINK }),
      v6("2001:db8::2", { flags, scope, id: 5, encap: SEG6 }),
      nexthop({ flags, family: c.AF_INET, scope: c.RT_SCOPE_HOST, id: 6, oif: V1 }),
      nexthop({ flags, id: 10, group: members([1, 3], [2, 256]), opFlags }),
      nexthop({
        flags,
        id: 11,
        group: members([1, 1], [2, 4]),
        groupType: c.NEXTHOP_GRP_TYPE_RES,
        resilient: { buckets: 32, idleTimer: 6000, unbalancedTimer: 30_000, unbalancedTime: 0 },
        opFlags,
      }),
      v4("10.0.0.9", { flags, scope, id: 12, oif: 0, fdb: true }),
    ]);
  });

  it("notifications: a group shrinks with its member, and tells its id when it goes", () => {
    const messages = told("nexthop_notify").map(({ type, id, group }) => ({ type, id, members: group.length }));
    assert.deepEqual(messages, [
      { type: c.RTM_NEWNEXTHOP, id: 10, members: 2 },
      { type: c.RTM_DELNEXTHOP, id: 1, members: 0 },
      { type: c.RTM_NEWNEXTHOP, id: 10, members: 1 },
      { type: c.RTM_DELNEXTHOP, id: 10, members: 1 },
    ]);
  });

  it("weights above 256 count where NHA_OP_FLAGS vouches for the upper byte, and only there", () => {
    const golden = goldenMessage("nexthop_wide_weights");
    assert.deepEqual(decodeNexthop(golden, 0, golden.byteLength)?.group, members([1, 1000], [2, 65_535]));
    // The attribute is the last; without it, this is what a kernel before 6.12 says, garbage included.
    golden.setUint32(0, golden.byteLength - 8, true);
    assert.deepEqual(decodeNexthop(golden, 0, golden.byteLength)?.group, members([1, 232], [2, 255]));
  });

  it("what a kernel told can be sent again as a request", () => {
    for (const message of told("nexthop_dump")) {
      const view = new DataView(new ArrayBuffer(1024));
      assert.deepEqual(decodeNexthop(view, 0, encodeNexthop(view, 0, message)), message);
    }
  });
});

describe("decodeNexthop", () => {
  it("fills the object it is given, and leaves nothing of what was in it", () => {
    const into = createNexthopMessage();
    for (const view of goldenMessages("nexthop_dump").slice(0, -1)) {
      assert.equal(decodeNexthop(view, 0, view.byteLength, into), into);
      assert.deepEqual(into, decodeNexthop(view, 0, view.byteLength));
    }
  });

  it("refuses wrong lengths", () => {
    const wrong = (topic: string, at: number, length: number) => {
      const view = goldenMessage(topic);
      view.setUint16(at, length, true);
      return decodeNexthop(view, 0, view.byteLength);
    };
    assert.equal(wrong("nexthop_v4", 24, 7), null, "NHA_ID");
    assert.equal(wrong("nexthop_v4", 32, 5), null, "NHA_GATEWAY");
    const cut = goldenMessage("nexthop_group");
    cut.setUint32(0, cut.byteLength - 4, true);
    cut.setUint16(32, 16, true);
    assert.equal(decodeNexthop(cut, 0, cut.byteLength - 4), null, "NHA_GROUP of one member and a half");
    assert.equal(wrong("nexthop_resilient", 52, 200), null, "NHA_RES_GROUP beyond the message");
    assert.equal(wrong("nexthop_resilient", 56, 200), null, "attribute beyond NHA_RES_GROUP");
    assert.equal(wrong("nexthop_v4", 4, c.RTM_NEWROUTE), null, "type");
  });
});

describe("encodeNexthop", () => {
  it("a delete says nothing but the id, whatever else the message has", () => {
    const message = { ...EXACT["nexthop_v4"]!, type: c.RTM_DELNEXTHOP, scope: c.RT_SCOPE_LINK };
    const bare = nexthop({ type: c.RTM_DELNEXTHOP, family: c.AF_INET });
    assert.equal(encodedHex(encodeNexthop, message), encodedHex(encodeNexthop, bare));
  });

  it("returns 0 for every buffer that is too small, and writes nothing outside", () => {
    for (const message of Object.values(EXACT)) {
      const length = encodedHex(encodeNexthop, message).length / 2;
      for (let space = 0; space <= length; space++) {
        const bytes = new Uint8Array(length + 8).fill(0xee);
        const written = encodeNexthop(new DataView(bytes.buffer, 4, space), 0, message);
        assert.equal(written, space === length ? length : 0);
        assert.equal(hexOf(new DataView(bytes.buffer, 4 + space)), "ee".repeat(length + 4 - space));
      }
    }
  });
});
