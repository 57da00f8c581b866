/** Tests of interfaces (link.ts) against recorded messages, byte for byte where we would send the same. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import * as c from "../../../ffi/netlink/constants.ts";
import { createLinkMessage, decodeLink, encodeLink, type LinkMessage } from "../../../ffi/netlink/link.ts";
import { assertSameBytes, encodedHex, goldenMessage, goldenMessages, sessionOf } from "../../support/golden_netlink.ts";

const ADD = c.NLM_F_REQUEST | c.NLM_F_ACK | c.NLM_F_CREATE | c.NLM_F_EXCL;
const CHANGE = c.NLM_F_REQUEST | c.NLM_F_ACK;

function link(fields: Partial<LinkMessage>): LinkMessage {
  return { ...createLinkMessage(), flags: ADD, ...fields };
}

const EXACT: Readonly<Record<string, LinkMessage>> = {
  link_vrf: link({ name: "red", kind: "vrf", vrfTable: 10 }),
  link_bridge: link({ name: "br0", mtu: 1400, kind: "bridge" }),
  link_up: link({ flags: CHANGE, ifindex: 2, linkFlags: c.IFF_UP, changeMask: c.IFF_UP }),
  link_delete: link({ type: c.RTM_DELLINK, flags: CHANGE, ifindex: 3 }),
};

function decodeAll(topic: string): LinkMessage[] {
  return goldenMessages(topic)
    .map((view) => decodeLink(view, 0, view.byteLength))
    .filter((message) => message !== null);
}

describe("link requests of iproute2", () => {
  for (const [topic, fields] of Object.entries(EXACT)) {
    it(`${topic}: decodeLink reads it and encodeLink writes the same bytes`, () => {
      const golden = goldenMessage(topic);
      const expected = { ...fields, ...sessionOf(golden) };
      assert.deepEqual(decodeLink(golden, 0, golden.byteLength), expected);
      assertSameBytes(encodedHex(encodeLink, expected), golden);
    });
  }
});

describe("links as the kernel tells of them", () => {
  it("dump: loopback and both ends of two veth pairs", () => {
    const links = decodeAll("link_dump").map(({ ifindex, name, kind, link, mtu, operstate, carrier, linkFlags }) => ({
      ifindex,
      name,
      kind,
      link,
      mtu,
      operstate,
      carrier,
      isUp: (linkFlags & c.IFF_UP) !== 0,
    }));
    const veth = { kind: "veth", mtu: 1500, operstate: c.IF_OPER_UP, carrier: true, isUp: true };
    assert.deepEqual(links, [
      { ifindex: 1, name: "lo", kind: "", link: 0, mtu: 65_536, operstate: 0, carrier: true, isUp: true },
      { ifindex: 2, name: "p0", link: 3, ...veth },
      { ifindex: 3, name: "v0", link: 2, ...veth },
      { ifindex: 4, name: "p1", link: 5, ...veth },
      { ifindex: 5, name: "v1", link: 4, ...veth },
    ]);
  });

  it("dump: hardware address, and the rest is carried", () => {
    const v1 = decodeAll("link_dump")[4]!;
    assert.deepEqual([...v1.address], [2, 0, 0, 0, 1, 1]);
    const alias = v1.carried.find(({ type }) => type === c.IFLA_IFALIAS);
    assert.equal(new TextDecoder().decode(alias?.bytes), "uplink\0");
  });

  it("notifications: a bridge comes, gets a second name and a port, loses its port's carrier, goes", () => {
    const messages = decodeAll("link_notify");
    assert.equal(messages.length, goldenMessages("link_notify").length);
    const ofBridge = messages.filter(({ ifindex, family }) => ifindex === 6 && family === c.AF_UNSPEC);
    assert.deepEqual(
      ofBridge.map(({ type }) => type),
      [...new Array(ofBridge.length - 1).fill(c.RTM_NEWLINK), c.RTM_DELLINK],
    );
    assert.ok(ofBridge.every(({ name, kind }) => name === "br0" && kind === "bridge"));
    assert.deepEqual(ofBridge.find(({ altNames }) => altNames.length > 0)?.altNames, ["bridge-zero"]);
    const ofPort = messages.filter(({ ifindex, family }) => ifindex === 5 && family === c.AF_UNSPEC);
    assert.ok(ofPort.some(({ master, slaveKind }) => master === 6 && slaveKind === "bridge"));
    assert.equal(ofPort.at(-1)?.master, 0);
    assert.ok(ofPort.some(({ linkFlags, operstate }) => (linkFlags & c.IFF_UP) === 0 && operstate === c.IF_OPER_DOWN));
  });

  it("notifications: a port that leaves its bridge is deleted in family AF_BRIDGE only", () => {
    const deleted = decodeAll("link_notify").filter(({ type }) => type === c.RTM_DELLINK);
    assert.deepEqual(deleted.map(({ ifindex, family }) => [ifindex, family]).sort(), [
      [5, c.AF_BRIDGE],
      [6, c.AF_UNSPEC],
    ]);
  });

  it("decode, encode and decode again gives the same", () => {
    const view = new DataView(new ArrayBuffer(8192));
    for (const message of [...decodeAll("link_dump"), ...decodeAll("link_notify")]) {
      assert.deepEqual(decodeLink(view, 0, encodeLink(view, 0, message)), message);
    }
  });
});

describe("decodeLink", () => {
  it("fills the object it is given, and leaves nothing of what was in it", () => {
    const into = createLinkMessage();
    const view = new DataView(new ArrayBuffer(256));
    const everything = link({
      name: "v0",
      slaveKind: "vrf",
      slaveVrfTable: 7,
      linkNetnsId: 1,
      newNetnsId: 2,
      newIfindex: 3,
    });
    assert.deepEqual(decodeLink(view, 0, encodeLink(view, 0, everything), into), everything);
    for (const view of [goldenMessage("link_up"), ...goldenMessages("link_notify"), goldenMessage("link_vrf")]) {
      assert.equal(decodeLink(view, 0, view.byteLength, into), into);
      assert.deepEqual(into, decodeLink(view, 0, view.byteLength));
    }
  });

  it("reads the table of a VRF and of its port, and refuses a malformed one", () => {
    const message = link({
      name: "v0",
      slaveKind: "vrf",
      slaveVrfTable: 7,
      linkNetnsId: -1,
      newNetnsId: 3,
      newIfindex: 9,
    });
    const view = new DataView(new ArrayBuffer(256));
    assert.deepEqual(decodeLink(view, 0, encodeLink(view, 0, message)), message);
    const vrf = goldenMessage("link_vrf");
    vrf.setUint16(vrf.byteLength - 8, 7, true);
    assert.equal(decodeLink(vrf, 0, vrf.byteLength), null);
  });

  it("names need not be ASCII", () => {
    const message = link({ name: "größe", altNames: ["日本", "a"] });
    const view = new DataView(new ArrayBuffer(256));
    assert.deepEqual(decodeLink(view, 0, encodeLink(view, 0, message)), message);
  });
});
