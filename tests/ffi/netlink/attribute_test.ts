/** Tests of attribute writers and readers (attribute.ts). */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import {
  attributeLength,
  attributeType,
  beginNest,
  endNest,
  putAttribute,
  putBytes,
  putCarried,
  putFlag,
  putString,
  putText,
  putU8,
  putU16,
  putU32,
  readAddress,
  readAllCarried,
  readString,
} from "../../../ffi/netlink/attribute.ts";
import { NLA_F_NESTED } from "../../../ffi/netlink/constants.ts";
import { hexOf } from "../../support/golden_netlink.ts";

/** A dirty view shows padding that is not zeroed. Offset 0 means failure, so writing starts at 4. */
function dirtyView(length: number): DataView {
  return new DataView(new Uint8Array(length).fill(0xee).buffer);
}

/** Bytes that a writer wrote, from offset 4 on. */
function written(write: (view: DataView, offset: number) => number): string {
  const view = dirtyView(64);
  const end = write(view, 4);
  return hexOf(view, end).slice(8);
}

describe("attribute writers", () => {
  it("write length, type, payload and zeroed padding", () => {
    assert.equal(
      written((view, at) => putU8(view, at, 20, 0x1ff)),
      "05001400ff000000",
    );
    assert.equal(
      written((view, at) => putU16(view, at, 21, 0x1_0203)),
      "0600150003020000",
    );
    assert.equal(
      written((view, at) => putU32(view, at, 6, 0xfffffffe)),
      "08000600feffffff",
    );
    assert.equal(
      written((view, at) => putFlag(view, at, 4)),
      "04000400",
    );
    assert.equal(
      written((view, at) => putBytes(view, at, 1, Uint8Array.of(1, 2, 3, 4, 5, 6), 5)),
      "090001000102030405000000",
    );
    assert.equal(
      written((view, at) => putString(view, at, 3, "v0")),
      "0700030076300000",
    );
    assert.equal(
      written((view, at) => putText(view, at, 1, "vrf")),
      "0700010076726600",
    );
    assert.equal(
      written((view, at) => endNest(view, at, putU8(view, beginNest(view, at, 8 | NLA_F_NESTED), 1, 7))),
      "0c0008800500010007000000",
    );
    assert.equal(
      written((view, at) => putCarried(view, at, [{ type: 9, bytes: Uint8Array.of(1) }])),
      "0500090001000000",
    );
  });

  it("return 0 and write nothing where there is no space, or after an earlier writer had none", () => {
    const writers: ((view: DataView, offset: number) => number)[] = [
      (view, at) => putU8(view, at, 1, 1),
      (view, at) => putU16(view, at, 1, 1),
      (view, at) => putU32(view, at, 1, 1),
      (view, at) => putFlag(view, at, 1),
      (view, at) => beginNest(view, at, 1),
      (view, at) => putBytes(view, at, 1, new Uint8Array(5), 5),
      (view, at) => putString(view, at, 1, "name"),
      (view, at) => putAttribute(view, at, 1, 3),
    ];
    for (const write of writers) {
      const space = write(dirtyView(64), 4);
      for (let length = 4; length < space; length++) {
        const view = dirtyView(length);
        assert.equal(write(view, 4), 0);
        assert.equal(hexOf(view), "ee".repeat(length));
      }
      const view = dirtyView(64);
      assert.equal(write(view, 0), 0);
      assert.equal(hexOf(view), "ee".repeat(64));
    }
    assert.equal(endNest(dirtyView(64), 4, 0), 0);
  });

  it("return 0 for what the 16 bits of a length cannot say", () => {
    const view = new DataView(new ArrayBuffer(1 << 17));
    assert.notEqual(putBytes(view, 4, 1, new Uint8Array(65_531), 65_531), 0);
    assert.equal(putBytes(view, 4, 1, new Uint8Array(65_532), 65_532), 0);
    assert.equal(endNest(view, 4, 4 + 65_532), 4 + 65_532);
    assert.equal(endNest(view, 4, 4 + 65_536), 0);
  });
});

describe("attribute readers", () => {
  it("attributeLength refuses an attribute that is not whole", () => {
    const view = dirtyView(16);
    putU16(view, 4, 5 | NLA_F_NESTED, 1);
    assert.equal(attributeLength(view, 4, 12), 6);
    assert.equal(attributeLength(view, 4, 10), 6, "the last attribute may lack its padding");
    assert.equal(attributeLength(view, 4, 9), 0);
    assert.equal(attributeType(view, 4), 5 | NLA_F_NESTED);
    view.setUint16(4, 3, true);
    assert.equal(attributeLength(view, 4, 12), 0);
  });

  it("readString ends at a NUL or with the payload, and survives bytes that are not UTF-8", () => {
    const view = new DataView(Uint8Array.of(0x61, 0x62, 0, 0x63, 0xff).buffer);
    assert.equal(readString(view, 0, 5), "ab");
    assert.equal(readString(view, 0, 1), "a");
    assert.equal(readString(view, 3, 2), "c\ufffd");
  });

  it("readAddress zeroes what the address does not fill", () => {
    const into = new Uint8Array(16).fill(9);
    readAddress(new DataView(Uint8Array.of(0, 10, 0, 0, 1).buffer), 1, 4, into);
    assert.deepEqual([...into], [10, 0, 0, 1, ...new Array(12).fill(0)]);
  });

  it("work on shared memory", () => {
    const view = new DataView(new SharedArrayBuffer(64));
    const end = putString(view, 4, 3, "v0");
    assert.equal(readString(view, 8, 3), "v0");
    assert.deepEqual(readAllCarried(view, 4, end), [{ type: 3, bytes: Uint8Array.of(0x76, 0x30, 0) }]);
    assert.equal(readAllCarried(view, 4, end - 2), null);
  });
});
