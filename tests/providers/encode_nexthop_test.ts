import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { AttrsStore, createAttrsStorage } from "../../core/context/attrs_store.ts";
import {
  type NexthopObject,
  NexthopObjectKind,
  nexthopObjectUpdate,
  readNexthopObject,
} from "../../core/context/nexthop_object.ts";
import { parseAddress } from "../../core/model/prefix.ts";
import { createNexthop, EncapType, type Family, type Nexthop } from "../../core/model/route.ts";
import * as c from "../../ffi/netlink/constants.ts";
import { decodeNexthop } from "../../ffi/netlink/nexthop.ts";
import { encodeNexthopDelete, encodeNexthopNew } from "../../providers/encode_nexthop.ts";
import { goldenMessage } from "../support/golden_netlink.ts";

const SEQUENCE = 0x01020304;
/** Interface number of v0 in the recordings. */
const V0 = 3;
const { SINGLE, GROUP, RESILIENT } = NexthopObjectKind;

/** A single object; `via` is an address of either family, or empty for a device alone. */
function single(via: string, fields: Partial<Nexthop> = {}): NexthopObject {
  const nexthop = { ...createNexthop(), ifindex: V0, ...fields };
  if (via !== "") nexthop.viaFamily = parseAddress(via, 0, via.length, nexthop.via, 0) as Family;
  return { kind: SINGLE, nexthop };
}

function addressOf(text: string): Uint8Array {
  const address = new Uint8Array(16);
  parseAddress(text, 0, text.length, address, 0);
  return address;
}

/** The recordings of what dplaned can ask for, as objects. */
const OBJECTS: Readonly<Record<string, NexthopObject>> = {
  nexthop_v4: single("10.0.0.2"),
  nexthop_v6: single("2001:db8::2"),
  nexthop_v4_onlink: single("192.0.2.1", { onlink: true }),
  nexthop_mpls: single("10.0.0.2", { encap: EncapType.MPLS, labels: [100, 200] }),
  nexthop_seg6: single("2001:db8::2", {
    encap: EncapType.SEG6,
    seg6Mode: c.SEG6_IPTUN_MODE_ENCAP,
    segments: [addressOf("fc00::1"), addressOf("fc00::2")],
  }),
  nexthop_group: {
    kind: GROUP,
    members: [
      { id: 1, weight: 1 },
      { id: 2, weight: 1 },
    ],
  },
  nexthop_group_weights: {
    kind: GROUP,
    members: [
      { id: 1, weight: 3 },
      { id: 2, weight: 256 },
    ],
  },
  nexthop_resilient: {
    kind: RESILIENT,
    members: [
      { id: 1, weight: 1 },
      { id: 2, weight: 4 },
    ],
    buckets: 32,
    idleTimer: 60,
    unbalancedTimer: 300,
  },
};

describe("encodeNexthopNew", () => {
  const view = new DataView(new Uint8Array(1 << 17).fill(0xee).buffer);

  for (const [topic, object] of Object.entries(OBJECTS)) {
    it(`${topic}: says the same as iproute2`, () => {
      const golden = goldenMessage(topic);
      const recorded = decodeNexthop(golden, 0, golden.byteLength)!;
      const flags = recorded.flags & ~c.NLM_F_REQUEST;
      const length = encodeNexthopNew(view, 0, recorded.id, object, recorded.protocol, flags, SEQUENCE);
      assert.deepEqual(decodeNexthop(view, 0, length), { ...recorded, sequence: SEQUENCE, portId: 0 });
    });
  }

  it("gives a device alone the family that routes of both families can use", () => {
    const message = decodeNexthop(view, 0, encodeNexthopNew(view, 0, 7, single(""), 210, c.NLM_F_CREATE, SEQUENCE))!;
    assert.deepEqual([message.family, message.hasGateway, message.oif], [c.AF_INET6, false, V0]);
  });

  it("fits a group of 512 into a route message's room, and writes nothing where there is none", () => {
    const members = Array.from({ length: 512 }, (_, index) => ({ id: index + 1, weight: (index % 256) + 1 }));
    const length = encodeNexthopNew(view, 0, 9, { kind: GROUP, members }, 210, 0, SEQUENCE);
    assert.ok(length > 0 && length < 32 << 10);
    assert.equal(decodeNexthop(view, 0, length, undefined, true)!.group.length, 512);
    const small = new DataView(new ArrayBuffer(length - 4));
    assert.equal(encodeNexthopNew(small, 0, 9, { kind: GROUP, members }, 210, 0, SEQUENCE), 0);
  });
});

describe("encodeNexthopDelete", () => {
  it("says the same as iproute2", () => {
    const golden = goldenMessage("nexthop_delete");
    const recorded = decodeNexthop(golden, 0, golden.byteLength)!;
    const view = new DataView(new ArrayBuffer(64));
    const length = encodeNexthopDelete(view, 0, recorded.id, SEQUENCE);
    const flags = c.NLM_F_REQUEST;
    assert.deepEqual(decodeNexthop(view, 0, length), { ...recorded, flags, sequence: SEQUENCE, portId: 0 });
  });
});

describe("a nexthop object as a record of attributes", () => {
  for (const [topic, object] of Object.entries({ ...OBJECTS, nexthop_device: single("") })) {
    it(`${topic}: comes back as it was`, () => {
      const store = new AttrsStore(createAttrsStorage(1 << 20));
      assert.deepEqual(readNexthopObject(store.reader, store.intern(nexthopObjectUpdate(object))), object);
    });
  }
});
