/** Properties of all codecs: what an encoder writes, its decoder reads back the same; and it fits or says that it does not. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { decodeAck, encodeAck } from "../../ffi/netlink/ack.ts";
import { decodeAddress, encodeAddress } from "../../ffi/netlink/address.ts";
import { describeMessage } from "../../ffi/netlink/describe.ts";
import { decodeLink, encodeLink } from "../../ffi/netlink/link.ts";
import { decodeNexthop, encodeNexthop } from "../../ffi/netlink/nexthop.ts";
import { encodeRoute } from "../../ffi/netlink/route.ts";
import { decodeRoute } from "../../ffi/netlink/route_decode.ts";
import { ackMessage, addressMessage, linkMessage, nexthopMessage, routeMessage } from "../support/arbitrary_netlink.ts";

const RUNS = 400;
const OFFSET = 8;

interface Codec<T> {
  arbitrary: fc.Arbitrary<T>;
  encode: (view: DataView, offset: number, message: T) => number;
  decode: (view: DataView, offset: number, length: number) => T | null;
}

function checkCodec<T>(name: string, { arbitrary, encode, decode }: Codec<T>): void {
  it(`${name}: encode then decode gives the message back`, () => {
    const property = fc.property(arbitrary, (message) => {
      const view = new DataView(new Uint8Array(1 << 16).fill(0xee).buffer);
      const length = encode(view, OFFSET, message);
      assert.ok(length >= 16 && length % 4 === 0);
      assert.deepEqual(decode(view, OFFSET, length), message);
      assert.doesNotMatch(describeMessage(view, OFFSET, length), /malformed|undefined|NaN/);
    });
    fc.assert(property, { numRuns: RUNS });
  });

  it(`${name}: a message fits its own length exactly, and no shorter buffer`, () => {
    const property = fc.property(arbitrary, fc.nat(), (message, cut) => {
      const length = encode(new DataView(new ArrayBuffer(1 << 16)), 0, message);
      assert.equal(encode(new DataView(new ArrayBuffer(length)), 0, message), length);
      assert.equal(encode(new DataView(new ArrayBuffer(cut % length)), 0, message), 0);
    });
    fc.assert(property, { numRuns: RUNS });
  });
}

describe("netlink codecs", () => {
  checkCodec("route", { arbitrary: routeMessage, encode: encodeRoute, decode: decodeRoute });
  checkCodec("nexthop", {
    arbitrary: nexthopMessage,
    encode: encodeNexthop,
    decode: (view, offset, length) => decodeNexthop(view, offset, length, undefined, true),
  });
  checkCodec("link", { arbitrary: linkMessage, encode: encodeLink, decode: decodeLink });
  checkCodec("address", { arbitrary: addressMessage, encode: encodeAddress, decode: decodeAddress });
  checkCodec("ack", { arbitrary: ackMessage, encode: encodeAck, decode: decodeAck });
});
