/** Tests of tunnels inside routes and nexthops (encap.ts). */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import * as c from "../../../ffi/netlink/constants.ts";
import { createEncap, type Encap, labelEntry, putEncap, readEncap, readLabels } from "../../../ffi/netlink/encap.ts";
import { address, hexOf, viewOfHex } from "../../support/golden_netlink.ts";

/** Writes a tunnel, and reads what was written. */
function roundTrip(encap: Encap): Encap {
  const view = new DataView(new Uint8Array(4096).fill(0xee).buffer);
  const end = putEncap(view, 4, c.RTA_ENCAP, c.RTA_ENCAP_TYPE, encap);
  assert.notEqual(end, 0);
  return readEncap(view, 8, view.getUint16(4, true) - 4, encap.type);
}

describe("label stacks", () => {
  it("have the bottom bit on the last entry", () => {
    assert.equal(labelEntry(100, false), 0x00064000);
    assert.equal(labelEntry(0xfffff, true), 0xfffff100);
    assert.deepEqual(readLabels(viewOfHex("00064000000c8100"), 0, 8), [100, 200]);
  });

  it("are refused with a bottom bit elsewhere, a traffic class, a TTL or a length that is no multiple of four", () => {
    assert.equal(readLabels(viewOfHex("00064100000c8100"), 0, 8), null);
    assert.equal(readLabels(viewOfHex("00064000"), 0, 4), null);
    assert.equal(readLabels(viewOfHex("00064300"), 0, 4), null);
    assert.equal(readLabels(viewOfHex("00064140"), 0, 4), null);
    assert.equal(readLabels(viewOfHex("000641000000"), 0, 6), null);
    assert.equal(readLabels(viewOfHex(""), 0, 0), null);
  });
});

describe("tunnels", () => {
  const segments = [address("fc00::1"), address("fc00::2"), address("fc00::3")];

  it("MPLS and every mode of seg6 survive writing and reading", () => {
    const mpls = { ...createEncap(), type: c.LWTUNNEL_ENCAP_MPLS, labels: [16, 17, 0xfffff] };
    assert.deepEqual(roundTrip(mpls), mpls);
    assert.deepEqual(roundTrip({ ...mpls, ttl: 0 }), { ...mpls, ttl: 0 });
    for (let seg6Mode = c.SEG6_IPTUN_MODE_INLINE; seg6Mode <= c.SEG6_IPTUN_MODE_L2ENCAP_RED; seg6Mode++) {
      const seg6 = { ...createEncap(), type: c.LWTUNNEL_ENCAP_SEG6, seg6Mode, segments };
      assert.deepEqual(roundTrip(seg6), seg6);
    }
  });

  it("with more segments than a header can count are not written", () => {
    const seg6 = { ...createEncap(), type: c.LWTUNNEL_ENCAP_SEG6, seg6Mode: c.SEG6_IPTUN_MODE_ENCAP };
    const view = new DataView(new ArrayBuffer(8192));
    const put = (count: number) =>
      putEncap(view, 4, c.RTA_ENCAP, c.RTA_ENCAP_TYPE, { ...seg6, segments: new Array(count).fill(segments[0]) });
    assert.notEqual(put(127), 0);
    assert.equal(put(128), 0);
  });

  it("of forms we have no fields for are carried as they are", () => {
    const srh = (header: string) => `20000100${header}fc000000000000000000000000000001`;
    const forms: Readonly<Record<string, string>> = {
      flags: srh("010000000002040000080000"),
      tag: srh("010000000002040000000001"),
      "segments left": srh("010000000002040100000000"),
      "other routing type": srh("010000000002030000000000"),
      "TLV behind the segments": srh("010000000003040000000000"),
      "inline with a destination": srh("000000000002040000000000"),
      "second attribute": `${srh("010000000002040000000000")}0800020000000000`,
      "too short": "08000100010000ff",
    };
    for (const [name, hex] of Object.entries(forms)) {
      const view = viewOfHex(hex);
      const encap = readEncap(view, 0, view.byteLength, c.LWTUNNEL_ENCAP_SEG6);
      assert.equal(hexOf(new DataView(encap.raw.buffer)), hex, name);
      assert.deepEqual(encap.segments, [], name);
      assert.deepEqual(roundTrip(encap), encap, name);
    }
    const known = viewOfHex(srh("010000000002040000000000"));
    assert.deepEqual(readEncap(known, 0, known.byteLength, c.LWTUNNEL_ENCAP_SEG6).segments, [address("fc00::1")]);
  });
});
