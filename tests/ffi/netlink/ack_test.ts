/** Tests of answers (ack.ts): what the kernel said, read and written byte for byte. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import {
  type AckMessage,
  ackErrno,
  ackSequence,
  createAckMessage,
  decodeAck,
  encodeAck,
  isAck,
} from "../../../ffi/netlink/ack.ts";
import * as c from "../../../ffi/netlink/constants.ts";
import { encodedHex, goldenMessage, goldenTopics, hexOf, sessionOf } from "../../support/golden_netlink.ts";

const EEXIST = 17;
const EINVAL = 22;
const ERANGE = 34;
const EOPNOTSUPP = 95;
const ENETUNREACH = 101;
const ADD = c.NLM_F_REQUEST | c.NLM_F_ACK | c.NLM_F_CREATE | c.NLM_F_EXCL;

/** The fields of an answer, but for the request, which is compared with what is in the answer. */
const EXPECTED: Readonly<Record<string, Partial<AckMessage>>> = {
  ack_ok: { flags: c.NLM_F_CAPPED, requestLength: 44 },
  ack_error_plain: { errno: EEXIST, requestLength: 44 },
  ack_error_plain_capped: { flags: c.NLM_F_CAPPED, errno: EEXIST, requestLength: 44 },
  ack_error_text: {
    flags: c.NLM_F_ACK_TLVS,
    errno: ENETUNREACH,
    requestLength: 52,
    text: "Nexthop has invalid gateway",
  },
  ack_error_text_capped: {
    flags: c.NLM_F_ACK_TLVS | c.NLM_F_CAPPED,
    errno: ENETUNREACH,
    requestLength: 52,
    text: "Nexthop has invalid gateway",
  },
  ack_error_encap: {
    flags: c.NLM_F_ACK_TLVS,
    errno: EOPNOTSUPP,
    requestLength: 72,
    text: "lwt encapsulation type not supported",
  },
  ack_error_offset: {
    flags: c.NLM_F_ACK_TLVS,
    errno: ERANGE,
    requestFlags: c.NLM_F_REQUEST | c.NLM_F_ACK | c.NLM_F_CREATE,
    requestLength: 44,
    text: "Attribute failed policy validation",
    offset: 36,
  },
  ack_error_offset_capped: {
    flags: c.NLM_F_ACK_TLVS | c.NLM_F_CAPPED,
    errno: ERANGE,
    requestFlags: c.NLM_F_REQUEST | c.NLM_F_ACK | c.NLM_F_CREATE,
    requestLength: 44,
    text: "Attribute failed policy validation",
    offset: 36,
  },
  ack_error_policy: {
    flags: c.NLM_F_ACK_TLVS,
    errno: EINVAL,
    requestType: c.RTM_NEWNEXTHOP,
    requestFlags: c.NLM_F_REQUEST | c.NLM_F_ACK | c.NLM_F_CREATE,
    requestLength: 32,
    text: "invalid attribute length",
    offset: 24,
  },
  done: { type: c.NLMSG_DONE, flags: c.NLM_F_MULTI | c.NLM_F_DUMP_FILTERED, requestType: 0, requestFlags: 0 },
  done_error: {
    type: c.NLMSG_DONE,
    flags: c.NLM_F_MULTI | c.NLM_F_DUMP_FILTERED | c.NLM_F_ACK_TLVS,
    errno: 2,
    requestType: 0,
    requestFlags: 0,
    text: "ipv4: FIB table does not exist",
  },
};

describe("answers of the kernel", () => {
  for (const [topic, fields] of Object.entries(EXPECTED)) {
    it(`${topic}: decodeAck reads it and encodeAck writes the same bytes`, () => {
      const golden = goldenMessage(topic);
      const message = decodeAck(golden, 0, golden.byteLength);
      assert.ok(message);
      const { request, policy, ...rest } = message;
      const {
        request: _request,
        policy: _policy,
        ...expected
      } = {
        ...createAckMessage(),
        requestType: c.RTM_NEWROUTE,
        requestFlags: ADD,
        ...fields,
        ...sessionOf(golden),
      };
      assert.deepEqual(rest, expected);
      const isWhole = message.type === c.NLMSG_ERROR && (message.flags & c.NLM_F_CAPPED) === 0;
      assert.equal(request?.length, isWhole ? message.requestLength : undefined);
      if (request) assert.ok(hexOf(golden).includes(hexOf(new DataView(request.buffer))));
      assert.equal(policy !== undefined, message.offset !== undefined);
      assert.equal(encodedHex(encodeAck, message), hexOf(golden));
    });
  }

  it("covers every recorded answer", () => {
    const recorded = goldenTopics().filter((topic) => topic.startsWith("ack_") || topic.startsWith("done"));
    assert.deepEqual(Object.keys(EXPECTED).sort(), recorded);
  });

  it("isAck, ackSequence and ackErrno agree with decodeAck", () => {
    for (const topic of Object.keys(EXPECTED)) {
      const golden = goldenMessage(topic);
      const message = decodeAck(golden, 0, golden.byteLength);
      assert.equal(isAck(golden, 0, golden.byteLength), message?.type === c.NLMSG_ERROR);
      assert.equal(ackSequence(golden, 0), message?.sequence);
      assert.equal(ackErrno(golden, 0), message?.errno);
    }
  });
});

describe("decodeAck", () => {
  it("reads what is missing, and cookies", () => {
    const message: AckMessage = {
      ...createAckMessage(),
      flags: c.NLM_F_ACK_TLVS | c.NLM_F_CAPPED,
      errno: EINVAL,
      missingType: 5,
      missingNest: 0xffff_ffff,
      cookie: Uint8Array.of(1, 2, 3),
    };
    const view = new DataView(new ArrayBuffer(256));
    assert.deepEqual(decodeAck(view, 0, encodeAck(view, 0, message)), message);
  });

  it("ignores attributes that are not announced", () => {
    const golden = goldenMessage("ack_error_text");
    golden.setUint16(6, 0, true);
    assert.equal(decodeAck(golden, 0, golden.byteLength)?.text, undefined);
  });

  it("refuses other types, short messages, and requests longer than the answer", () => {
    const wrong = (topic: string, change: (view: DataView) => void) => {
      const view = goldenMessage(topic);
      change(view);
      return decodeAck(view, 0, view.byteLength);
    };
    assert.equal(
      wrong("ack_ok", (view) => view.setUint16(4, c.NLMSG_NOOP, true)),
      null,
    );
    assert.equal(
      wrong("ack_ok", (view) => view.setUint32(0, 32, true)),
      null,
    );
    assert.equal(
      wrong("done", (view) => view.setUint32(0, 16, true)),
      null,
    );
    assert.equal(
      wrong("ack_error_plain", (view) => view.setUint32(20, 200, true)),
      null,
    );
    assert.equal(
      wrong("ack_error_plain", (view) => view.setUint32(20, 15, true)),
      null,
    );
    assert.equal(
      wrong("ack_error_offset", (view) => view.setUint16(64, 3, true)),
      null,
    );
  });
});
