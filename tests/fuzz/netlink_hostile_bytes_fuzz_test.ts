/** Decoders against bytes from nowhere: recorded messages, changed and cut at random. They may refuse, but never throw. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { decodeAck } from "../../ffi/netlink/ack.ts";
import { createAddressMessage, decodeAddress, encodeAddress } from "../../ffi/netlink/address.ts";
import { describeDatagram } from "../../ffi/netlink/describe.ts";
import { createLinkMessage, decodeLink, encodeLink } from "../../ffi/netlink/link.ts";
import { createNexthopMessage, decodeNexthop, encodeNexthop } from "../../ffi/netlink/nexthop.ts";
import { createRouteMessage, encodeRoute } from "../../ffi/netlink/route.ts";
import { decodeRoute } from "../../ffi/netlink/route_decode.ts";
import { goldenMessages, goldenTopics } from "../support/golden_netlink.ts";

const RUNS = 3000;
const CORPUS = goldenTopics().flatMap(goldenMessages);

/** A recorded message with a few bytes or lengths changed, and perhaps a tail cut off or added. */
const mutant = fc
  .record({
    original: fc.constantFrom(...CORPUS),
    changes: fc.array(fc.record({ at: fc.nat(), value: fc.oneof(fc.nat(255), fc.constantFrom(0, 1, 3, 4, 5, 0xff)) }), {
      maxLength: 6,
    }),
    resize: fc.oneof(fc.constant(0), fc.integer({ min: -64, max: 16 })),
    keepLength: fc.boolean(),
  })
  .map(({ original, changes, resize, keepLength }) => {
    const length = Math.max(0, original.byteLength + resize);
    const bytes = new Uint8Array(length);
    bytes.set(new Uint8Array(original.buffer).subarray(0, length));
    for (const { at, value } of changes) if (length > 0) bytes[at % length] = value;
    // Most of them should get past the check of the message's own length.
    if (keepLength && length >= 4) new DataView(bytes.buffer).setUint32(0, length, true);
    return bytes;
  });

/** What was accepted must survive being written and read again. */
function checkStable<T>(
  view: DataView,
  decode: (view: DataView, offset: number, length: number, into?: T) => T | null,
  encode: (view: DataView, offset: number, message: T) => number,
): T | null {
  const message = decode(view, 0, view.byteLength);
  if (message === null) return null;
  const again = new DataView(new ArrayBuffer(1 << 17));
  const length = encode(again, 0, message);
  const second = decode(again, 0, length);
  assert.notEqual(second, null);
  const third = new DataView(new ArrayBuffer(1 << 17));
  assert.equal(encode(third, 0, second!), length);
  assert.deepEqual(new Uint8Array(third.buffer, 0, length), new Uint8Array(again.buffer, 0, length));
  return message;
}

describe("hostile bytes", () => {
  it("no decoder throws, and what is accepted can be written and read again", () => {
    let accepted = 0;
    const property = fc.property(mutant, (bytes) => {
      const view = new DataView(bytes.buffer);
      const results = [
        checkStable(view, decodeRoute, encodeRoute),
        checkStable(view, decodeNexthop, encodeNexthop),
        checkStable(view, decodeLink, encodeLink),
        checkStable(view, decodeAddress, encodeAddress),
        decodeAck(view, 0, view.byteLength),
      ];
      if (results.some((result) => result !== null)) accepted++;
      assert.equal(typeof describeDatagram(view, 0, view.byteLength).join("\n"), "string");
    });
    // A failure prints its seed, which reproduces it: fc.assert(property, { seed }).
    fc.assert(property, { numRuns: RUNS });
    assert.ok(
      accepted > RUNS / 20,
      `only ${accepted} of ${RUNS} mutants were accepted: they are too wild to test much`,
    );
    assert.ok(accepted < RUNS * 0.95, `${accepted} of ${RUNS} mutants were accepted: they are too tame to test much`);
  });

  it("a reused object gives the same as a new one, whatever was in it", () => {
    const into = {
      route: createRouteMessage(),
      nexthop: createNexthopMessage(),
      link: createLinkMessage(),
      address: createAddressMessage(),
    };
    const property = fc.property(mutant, (bytes) => {
      const view = new DataView(bytes.buffer);
      const length = view.byteLength;
      assert.deepEqual(decodeRoute(view, 0, length, into.route), decodeRoute(view, 0, length));
      assert.deepEqual(decodeNexthop(view, 0, length, into.nexthop), decodeNexthop(view, 0, length));
      assert.deepEqual(decodeLink(view, 0, length, into.link), decodeLink(view, 0, length));
      assert.deepEqual(decodeAddress(view, 0, length, into.address), decodeAddress(view, 0, length));
    });
    fc.assert(property, { numRuns: RUNS });
  });

  it("no decoder reads beyond the length it is given", () => {
    const property = fc.property(mutant, fc.nat(), (bytes, cut) => {
      // The rest of the buffer would make longer attributes look whole.
      const room = new DataView(new Uint8Array(bytes.length + 4096).fill(4).buffer);
      new Uint8Array(room.buffer).set(bytes);
      const length = bytes.length === 0 ? 0 : cut % bytes.length;
      const alone = new DataView(bytes.slice(0, length).buffer);
      assert.deepEqual(decodeRoute(room, 0, length), decodeRoute(alone, 0, length));
      assert.deepEqual(decodeNexthop(room, 0, length), decodeNexthop(alone, 0, length));
      assert.deepEqual(decodeLink(room, 0, length), decodeLink(alone, 0, length));
      assert.deepEqual(decodeAddress(room, 0, length), decodeAddress(alone, 0, length));
      assert.deepEqual(decodeAck(room, 0, length), decodeAck(alone, 0, length));
    });
    fc.assert(property, { numRuns: RUNS });
  });
});
