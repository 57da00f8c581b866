/** Tests of the message header (message.ts). */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import {
  align4,
  endMessage,
  messageFlags,
  messageLength,
  messagePortId,
  messageSequence,
  messageType,
  putHeader,
} from "../../../ffi/netlink/message.ts";
import { hexOf } from "../../support/golden_netlink.ts";

describe("align4", () => {
  it("rounds up to the next multiple of four", () => {
    assert.deepEqual([0, 1, 3, 4, 5, 65_535].map(align4), [0, 4, 4, 4, 8, 65_536]);
  });
});

describe("putHeader and endMessage", () => {
  it("write the header, with the length that the message came to", () => {
    const view = new DataView(new ArrayBuffer(40));
    const at = putHeader(view, 0, 24, 0x405, 0xfffffffe, 7);
    assert.equal(at, 16);
    assert.equal(endMessage(view, 0, at + 12), 28);
    assert.equal(hexOf(view, 16), "1c00000018000504feffffff07000000");
    assert.deepEqual(
      [messageType(view, 0), messageFlags(view, 0), messageSequence(view, 0), messagePortId(view, 0)],
      [24, 0x405, 0xfffffffe, 7],
    );
  });

  it("return 0 when the header, or anything after it, does not fit", () => {
    const view = new DataView(new ArrayBuffer(20));
    assert.equal(putHeader(view, 8, 24, 0, 0, 0), 0);
    assert.equal(endMessage(view, 8, 0), 0);
    assert.equal(hexOf(view), "00".repeat(20));
  });
});

describe("messageLength", () => {
  const view = new DataView(new ArrayBuffer(40));
  putHeader(view, 4, 24, 0, 0, 0);
  view.setUint32(4, 30, true);

  it("is the length of a message that is whole", () => {
    assert.equal(messageLength(view, 4, 34), 30);
    assert.equal(messageLength(view, 4, 40), 30);
  });

  it("is 0 for one that is cut, shorter than its header, or outside of the view", () => {
    assert.equal(messageLength(view, 4, 33), 0);
    assert.equal(messageLength(view, 4, 18), 0);
    assert.equal(messageLength(view, 20, 40), 0);
    assert.equal(messageLength(view, 4, 41), 0);
    assert.equal(messageLength(view, -4, 40), 0);
    view.setUint32(20, 0xffffffff, true);
    assert.equal(messageLength(view, 20, 40), 0);
  });
});
