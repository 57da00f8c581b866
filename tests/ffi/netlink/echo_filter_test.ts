import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { ECHO_FILTER_PORT_IDS_MAX, encodeEchoFilter } from "../../../ffi/netlink/echo_filter.ts";

/** Runs the program as the kernel would: what the final RET keeps of a message with this `nlmsg_pid`. */
function run(program: Uint8Array, portId: number): number {
  const view = new DataView(program.buffer, program.byteOffset, program.length);
  const message = new DataView(new ArrayBuffer(16));
  message.setUint32(12, portId, true);
  let accumulator = 0;
  for (let pc = 0; ; pc++) {
    const code = view.getUint16(pc * 8, true);
    const k = view.getUint32(pc * 8 + 4, true);
    if (code === 0x20) accumulator = message.getUint32(k, false);
    else if (code === 0x15) pc += view.getUint8(pc * 8 + (accumulator === k ? 2 : 3));
    else if (code === 0x06) return k;
    else assert.fail(`unknown opcode ${code} at ${pc}`);
  }
}

describe("encodeEchoFilter", () => {
  it("is these bytes for two port ids", () => {
    const hex = [...encodeEchoFilter([0x11223344, 0xfffff001])]
      .map((byte) => byte.toString(16).padStart(2, "0"))
      .join("");
    const expected = [
      "20000000" + "0c000000", // ld [12]
      "15000200" + "11223344", // jeq pid 1, drop
      "15000100" + "fffff001", // jeq pid 2, drop
      "06000000" + "ffffffff", // ret all
      "06000000" + "00000000", // ret 0
    ];
    assert.equal(hex, expected.join(""));
  });

  for (const count of [0, 1, 2, ECHO_FILTER_PORT_IDS_MAX]) {
    it(`drops exactly the ${count} given port ids`, () => {
      const portIds = Array.from({ length: count }, (_, i) => (0xff000000 + i * 0x010203) >>> 0);
      const program = encodeEchoFilter(portIds);
      for (const portId of portIds) assert.equal(run(program, portId), 0);
      for (const portId of [0, 1, 0xfeffffff]) assert.equal(run(program, portId), 0xffffffff);
    });
  }

  it("refuses more than a jump can span", () => {
    assert.throws(() => encodeEchoFilter(new Array(ECHO_FILTER_PORT_IDS_MAX + 1).fill(1)), RangeError);
  });
});
