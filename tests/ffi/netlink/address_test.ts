/** Tests of interface addresses (address.ts) against recorded messages, byte for byte where we would send the same. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import {
  type AddressMessage,
  createAddressMessage,
  decodeAddress,
  encodeAddress,
  ownAddress,
} from "../../../ffi/netlink/address.ts";
import * as c from "../../../ffi/netlink/constants.ts";
import {
  address,
  assertSameBytes,
  encodedHex,
  goldenMessage,
  goldenMessages,
  sessionOf,
} from "../../support/golden_netlink.ts";

const V0 = 3;

function v4(local: string, peer: string, prefixLength: number, fields: Partial<AddressMessage> = {}): AddressMessage {
  return {
    ...createAddressMessage(),
    flags: c.NLM_F_REQUEST | c.NLM_F_ACK | c.NLM_F_CREATE | c.NLM_F_EXCL,
    family: local.includes(":") ? c.AF_INET6 : c.AF_INET,
    ifindex: V0,
    prefixLength,
    hasLocal: true,
    local: address(local),
    hasAddress: true,
    address: address(peer),
    ...fields,
  };
}

const EXACT: Readonly<Record<string, AddressMessage>> = {
  address_v4: v4("192.0.2.1", "192.0.2.1", 25),
  address_v6: v4("2001:db8:9::1", "2001:db8:9::1", 64, { addressFlags: c.IFA_F_NODAD }),
  address_v4_peer: v4("192.0.2.1", "192.0.2.9", 32, { label: "v0:a" }),
  address_v6_noprefixroute: v4("2001:db8:9::1", "2001:db8:9::1", 64, { addressFlags: c.IFA_F_NOPREFIXROUTE }),
  address_delete: v4("10.0.0.1", "10.0.0.1", 24, { type: c.RTM_DELADDR, flags: c.NLM_F_REQUEST | c.NLM_F_ACK }),
};

function decodeAll(topic: string): AddressMessage[] {
  return goldenMessages(topic)
    .map((view) => decodeAddress(view, 0, view.byteLength))
    .filter((message) => message !== null);
}

describe("address requests of iproute2", () => {
  for (const [topic, fields] of Object.entries(EXACT)) {
    it(`${topic}: decodeAddress reads it and encodeAddress writes the same bytes`, () => {
      const golden = goldenMessage(topic);
      const expected = { ...fields, ...sessionOf(golden) };
      assert.deepEqual(decodeAddress(golden, 0, golden.byteLength), expected);
      assertSameBytes(encodedHex(encodeAddress, expected), golden);
    });
  }
});

describe("addresses as the kernel tells of them", () => {
  it("dump: own address, peer, label, flags, scope", () => {
    const all = decodeAll("address_dump");
    assert.equal(all.length, 7);
    const peer = all.find(({ label }) => label === "v0:a");
    assert.ok(peer);
    assert.deepEqual(ownAddress(peer), address("192.0.2.1"));
    assert.deepEqual(peer.address, address("192.0.2.9"));
    assert.equal(peer.prefixLength, 32);
    assert.equal(peer.addressFlags, c.IFA_F_PERMANENT);
    const v6 = all.find(({ family, ifindex }) => family === c.AF_INET6 && ifindex === V0);
    assert.ok(v6);
    assert.equal(v6.hasLocal, false);
    assert.deepEqual(ownAddress(v6), address("2001:db8::1"));
    const loopback = all.find(({ family, ifindex }) => family === c.AF_INET6 && ifindex === 1);
    assert.equal(loopback?.scope, c.RT_SCOPE_HOST);
  });

  it("notifications: added and deleted", () => {
    const messages = decodeAll("address_notify").map(({ type, local, ifindex }) => ({ type, local, ifindex }));
    const local = address("192.0.2.1");
    assert.deepEqual(messages, [
      { type: c.RTM_NEWADDR, local, ifindex: V0 },
      { type: c.RTM_DELADDR, local, ifindex: V0 },
    ]);
  });

  it("decode, encode and decode again gives the same; a reused object keeps nothing", () => {
    const view = new DataView(new ArrayBuffer(1024));
    const into = createAddressMessage();
    for (const message of [...decodeAll("address_dump"), ...decodeAll("address_notify")]) {
      assert.deepEqual(decodeAddress(view, 0, encodeAddress(view, 0, message), into), message);
    }
  });
});

describe("encodeAddress", () => {
  it("flags that need more than eight bits are in IFA_FLAGS only", () => {
    const view = new DataView(new ArrayBuffer(256));
    encodeAddress(view, 0, v4("10.0.0.1", "10.0.0.1", 24, { addressFlags: 0x202 }));
    assert.equal(view.getUint8(18), 0);
    encodeAddress(view, 0, v4("10.0.0.1", "10.0.0.1", 24, { addressFlags: 0x82 }));
    assert.equal(view.getUint8(18), 0x82);
  });
});

describe("decodeAddress", () => {
  it("refuses wrong lengths, families and types", () => {
    const wrong = (change: (view: DataView) => void) => {
      const view = goldenMessage("address_v4");
      change(view);
      return decodeAddress(view, 0, view.byteLength);
    };
    assert.equal(
      wrong((view) => view.setUint16(24, 7, true)),
      null,
      "IFA_LOCAL of three bytes",
    );
    assert.equal(
      wrong((view) => view.setUint8(16, c.AF_INET6)),
      null,
      "IFA_LOCAL of the other family",
    );
    assert.equal(
      wrong((view) => view.setUint16(32, 100, true)),
      null,
      "attribute beyond the message",
    );
    assert.equal(
      wrong((view) => view.setUint16(4, c.RTM_NEWROUTE, true)),
      null,
      "type",
    );
    assert.notEqual(
      wrong(() => {}),
      null,
    );
  });
});
