/** Addresses and prefixes: every refusal in words, with node:net and ip-address as judges of what is one. */
import assert from "node:assert/strict";
import { isIPv4, isIPv6 } from "node:net";
import { describe, it } from "node:test";
import fc from "fast-check";
import { Address4, Address6 } from "ip-address";
import {
  AddressError,
  addressErrorCode,
  comparePrefixes,
  describeAddressError,
  formatAddress,
  formatPrefix,
  isHostBitsZero,
  maskHostBits,
  packedFamily,
  packedLength,
  parseAddress,
  parsePrefix,
} from "../../../core/model/prefix.ts";
import { formatProtocol, PROTOCOL_NUMBERS, protocolNumber } from "../../../core/model/protocol.ts";
import { Family } from "../../../core/model/route.ts";

const GUARD = 0xa5;

/** Parses into the middle of a guarded buffer, so that a byte written beside the field is noticed. */
function parse(text: string): { result: number; bytes: Uint8Array } {
  const buffer = new Uint8Array(48).fill(GUARD);
  const result = parseAddress(text, 0, text.length, buffer, 16);
  assert.ok(
    buffer.subarray(0, 16).every((byte) => byte === GUARD) && buffer.subarray(32).every((b) => b === GUARD),
    text,
  );
  return { result, bytes: buffer.slice(16, 32) };
}

function describePrefix(text: string): string {
  const result = parsePrefix(text, new Uint8Array(16), 0);
  assert.ok(result < 0, `${text} is refused`);
  const { message, hint } = describeAddressError(result, text, "prefix");
  return hint === undefined ? message : `${message}; ${hint}`;
}

describe("parsePrefix", () => {
  it("reads prefixes", () => {
    for (const text of ["0.0.0.0/0", "10.0.0.0/8", "203.0.113.7/32", "::/0", "2001:db8::/32", "::ffff:10.0.0.0/104"]) {
      const bytes = new Uint8Array(16).fill(GUARD);
      const packed = parsePrefix(text, bytes, 0);
      assert.ok(packed >= 0, text);
      assert.equal(packedFamily(packed), text.includes(":") ? Family.IPV6 : Family.IPV4);
      assert.equal(formatPrefix(packedFamily(packed), bytes, 0, packedLength(packed)), text);
    }
  });

  it("says what is wrong, where, and what to write instead", () => {
    const cases: [string, string][] = [
      ["", '"" is not a prefix: it is empty'],
      ["10", '"10" is not a prefix: it has neither a dot nor a colon'],
      ["10.0.0.1/24", '"10.0.0.1/24" has host bits set; did you mean 10.0.0.0/24?'],
      ["2001:db8::1/33", '"2001:db8::1/33" has host bits set; did you mean 2001:db8::/33?'],
      ["10.0.0.1", '"10.0.0.1" is not a prefix: the prefix length is missing; for the host alone write 10.0.0.1/32'],
      ["::1/", '"::1/" is not a prefix: the prefix length is missing; for the host alone write ::1/128'],
      ["10.0.256.0/24", '"10.0.256.0/24" is not a prefix: an IPv4 number is above 255 (character 6)'],
      ["10.010.0.0/16", "leading zero, which some programs read as octal (character 4)"],
      ["10.0.0/16", "an IPv4 address has four numbers"],
      ["10.0.0.0.0/16", "an IPv4 address has four numbers (character 9)"],
      ["10..0.0/16", "a number is missing beside a dot"],
      ["0x0a.0.0.0/8", "unexpected character (character 2)"],
      ["10.0.0.0/08", "the prefix length has a leading zero"],
      ["10.0.0.0/33", "the prefix length is too large (character 10); IPv4 lengths are 0 to 32"],
      ["::/129", "the prefix length is too large (character 4); IPv6 lengths are 0 to 128"],
      ["10.0.0.0/-1", "the prefix length is not a number"],
      ["10.0.0.0/ 8", "the prefix length is not a number"],
      ["10.0.0.0/255.0.0.0", "a netmask stands where the prefix length belongs"],
      ["10.0.0.0/8/8", "the prefix length is not a number"],
      ["1::2::3/64", 'there is more than one "::"'],
      [":1::/64", "a colon without a group beside it"],
      ["1:2:3:4:5:6:7:/64", "a colon without a group beside it"],
      [":::/64", "a colon without a group beside it"],
      ["12345::/64", "an IPv6 group has more than four digits"],
      ["1:2:3/64", "an IPv6 address has eight groups"],
      ["1:2:3:4:5:6:7:8::/64", "an IPv6 address has eight groups"],
      ["fe80::1%v0/128", "it has a zone id (character 8); name the interface with dev instead"],
      ["::g/128", "unexpected character (character 3)"],
    ];
    for (const [text, expected] of cases) assert.ok(describePrefix(text).includes(expected), describePrefix(text));
    assert.ok(describePrefix(`${"1".repeat(5000)}.0.0.0/8`).length < 200, "long texts are cut");
  });

  it("takes a bare address for its host prefix only where asked", () => {
    const bytes = new Uint8Array(16);
    assert.equal(packedLength(parsePrefix("10.0.0.1", bytes, 0, true)), 32);
    assert.equal(packedLength(parsePrefix("::1", bytes, 0, true)), 128);
    assert.equal(addressErrorCode(parsePrefix("::1", bytes, 0)), AddressError.LENGTH_MISSING);
  });
});

describe("parseAddress", () => {
  it("refuses a prefix by its length", () => {
    const { message, hint } = describeAddressError(parse("10.0.0.1/24").result, "10.0.0.1/24", "address");
    assert.equal(message, '"10.0.0.1/24" is not an address: it has a prefix length (character 9)');
    assert.equal(hint, "did you mean 10.0.0.1?");
  });

  it("takes exactly what node:net and ip-address take, near addresses and far from them", () => {
    const near = fc
      .array(fc.constantFrom(..."0123459af:.g", "::", "255", "256", "ffff", "1:2:3:", "10.0.0."), { maxLength: 12 })
      .map((parts) => parts.join(""));
    fc.assert(
      fc.property(fc.oneof(near, fc.ipV4(), fc.ipV6(), fc.string()), (text) => {
        if (text.includes("%")) return; // Zone ids are an address to others.
        const family = parse(text).result;
        assert.equal(family === Family.IPV4, isIPv4(text), text);
        assert.equal(family === Family.IPV6, isIPv6(text), text);
        if (family === Family.IPV4)
          assert.deepEqual([...parse(text).bytes.subarray(0, 4)], new Address4(text).toArray());
        if (family === Family.IPV6) {
          const expected = new Address6(text).toUnsignedByteArray();
          const padded = [...new Array(16 - expected.length).fill(0), ...expected];
          assert.deepEqual([...parse(text).bytes], padded, text);
        }
      }),
      { numRuns: 5000 },
    );
  });
});

describe("formatAddress", () => {
  it("writes what iproute2 prints", () => {
    // Printed by `ip -6 route show` of iproute2 6.1 for routes to these addresses.
    const printed = `:: ::5 ::0.1.0.0 ::1.0.0.0 ::1.2.3.4 ::fffe:102:304 ::ffff:0.0.0.0 ::ffff:1.2.3.4 ::ffff:0:102:304
      0:0:1:: 0:1:2:3:4:5:6:7 1:0:0:2::3 1:2:3:4:5:6:: 1:2:3:4:5:6:7:0 64:ff9b::102:304 2001:db8::1:0:0:1
      2001:db8:0:1:1:1:1:1`;
    for (const text of printed.split(/\s+/)) assert.equal(formatAddress(Family.IPV6, parse(text).bytes, 0), text);
  });

  it("is undone by parseAddress", () => {
    // Zero groups are what shortening is about, so half of all groups are zero.
    const group = fc.oneof(fc.constant(0), fc.integer({ min: 0, max: 0xffff }));
    fc.assert(
      fc.property(fc.array(group, { minLength: 8, maxLength: 8 }), (groups) => {
        const bytes = Uint8Array.from(groups.flatMap((value) => [value >> 8, value & 0xff]));
        const text = formatAddress(Family.IPV6, bytes, 0);
        const back = parse(text);
        assert.equal(back.result, Family.IPV6, text);
        assert.deepEqual(back.bytes, bytes, text);
      }),
      { numRuns: 3000 },
    );
    fc.assert(fc.property(fc.ipV4(), (text) => assert.equal(formatAddress(Family.IPV4, parse(text).bytes, 0), text)));
  });
});

describe("host bits", () => {
  it("are zero once masked, and only those are", () => {
    const anyBytes = fc.uint8Array({ minLength: 16, maxLength: 16 });
    fc.assert(
      fc.property(anyBytes, fc.integer({ min: 0, max: 128 }), (bytes, length) => {
        const masked = bytes.slice();
        maskHostBits(masked, 0, length);
        assert.ok(isHostBitsZero(masked, 0, length, 128));
        const bit = (from: Uint8Array, index: number) => (from[index >> 3]! >> (7 - (index & 7))) & 1;
        for (let index = 0; index < length; index++) assert.equal(bit(masked, index), bit(bytes, index));
        assert.equal(
          isHostBitsZero(bytes, 0, length, 128),
          bytes.every((byte, index) => byte === masked[index]),
        );
      }),
    );
  });

  it("are those behind the length, each one of them", () => {
    for (let set = 0; set < 128; set++) {
      const bytes = new Uint8Array(16);
      bytes[set >> 3] = 0x80 >> (set & 7);
      for (let length = 0; length <= 128; length++) assert.equal(isHostBitsZero(bytes, 0, length, 128), set < length);
    }
  });
});

describe("comparePrefixes", () => {
  it("orders by address, then by length", () => {
    const low = parse("10.0.0.0").bytes;
    const high = parse("10.0.1.0").bytes;
    assert.ok(comparePrefixes(low, 0, 24, high, 0, 8) < 0);
    assert.ok(comparePrefixes(high, 0, 8, low, 0, 24) > 0);
    assert.ok(comparePrefixes(low, 0, 8, low, 0, 24) < 0);
    assert.equal(comparePrefixes(low, 0, 8, low, 0, 8), 0);
  });
});

describe("protocol names", () => {
  it("go both ways, and numbers without a name stay numbers", () => {
    for (const [name, number] of PROTOCOL_NUMBERS) assert.equal(formatProtocol(number), name);
    assert.equal(protocolNumber("bgp"), 186);
    assert.equal(protocolNumber("nonsense"), -1);
    assert.equal(formatProtocol(210), "210");
  });
});
