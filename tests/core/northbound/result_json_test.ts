/** Lines of answers: always one line, always JSON. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { formatPrefix, packedFamily, packedLength, parsePrefix } from "../../../core/model/prefix.ts";
import { createRouteUpdate, Family, UpdateOp } from "../../../core/model/route.ts";
import { LineBuffer } from "../../../core/northbound/line_buffer.ts";
import {
  beginResult,
  endResult,
  formatRejection,
  formatSummary,
  jsonString,
  putSource,
  RESULT_STATUS_NAMES,
  type ResultDetails,
  ResultStatus,
} from "../../../core/northbound/result_json.ts";
import { parseUpdateObject } from "../../../core/northbound/update_json.ts";

/** The whole line, of prefixes as text; an empty source is for all of them. */
function resultLine(
  line: number,
  op: UpdateOp,
  prefix: string,
  source: string,
  table: number,
  status: ResultStatus,
  details?: ResultDetails,
): string {
  const out = new LineBuffer();
  const bytes = new Uint8Array(16);
  const packed = parsePrefix(prefix, bytes, 0);
  assert.ok(packed > 0, prefix);
  beginResult(out, line, op, packedFamily(packed), bytes, 0, packedLength(packed));
  const sourceLength = source === "" ? 0 : packedLength(parsePrefix(source, bytes, 0));
  putSource(out, packedFamily(packed), bytes, 0, sourceLength);
  endResult(out, table, status, details);
  return out.takeText();
}

describe("a result line", () => {
  it("writes the design's example", () => {
    const error = {
      code: "ENETUNREACH",
      message: "Nexthop has invalid gateway",
      hint: "no route to 10.9.9.9 on v0; is it a connected address, or is onlink meant?",
    };
    const details = { provider: "kernel", error };
    assert.equal(
      resultLine(1, UpdateOp.INSTALL, "203.0.113.0/24", "", 254, ResultStatus.FIB_FAILED, details),
      '{"line":1,"op":"install","prefix":"203.0.113.0/24","table":254,"status":"fib_failed","provider":"kernel",' +
        '"error":{"code":"ENETUNREACH","message":"Nexthop has invalid gateway",' +
        '"hint":"no route to 10.9.9.9 on v0; is it a connected address, or is onlink meant?"}}\n',
    );
  });

  it("is JSON whatever its texts hold", () => {
    const text = fc.string({ unit: "binary" });
    fc.assert(
      fc.property(text, text, text, text, (provider, winner, message, waitingFor) => {
        const details = { provider, winner, waitingFor, error: { code: "X", field: "f", message } };
        const line = resultLine(7, UpdateOp.DELETE, "::/0", "::1/128", 5, ResultStatus.SKIPPED, details);
        assert.equal(line.indexOf("\n"), line.length - 1);
        const expected = {
          line: 7,
          op: "delete",
          prefix: "::/0",
          source: "::1/128",
          table: 5,
          status: "skipped",
          ...details,
        };
        assert.deepEqual(JSON.parse(line), expected);
      }),
    );
  });

  it("has whatever numbers and prefixes there are", () => {
    const u32 = fc.integer({ min: 0, max: 0xffff_ffff });
    const status = fc.constantFrom(...Object.values(ResultStatus));
    const prefix = fc.oneof(
      fc.ipV4().map((address) => `${address}/32`),
      fc.uint8Array({ minLength: 16, maxLength: 16 }).map((bytes) => formatPrefix(Family.IPV6, bytes, 0, 128)),
    );
    fc.assert(
      fc.property(u32, u32, prefix, status, (line, table, prefix, status) => {
        const text = resultLine(line, UpdateOp.INSTALL, prefix, "", table, status);
        assert.equal(
          text,
          `${JSON.stringify({ line, op: "install", prefix, table, status: RESULT_STATUS_NAMES[status] })}\n`,
        );
      }),
    );
    for (const line of [0, 9, 10, 99, 100, 4_294_967_295]) {
      assert.match(
        resultLine(line, UpdateOp.DELETE, "0.0.0.0/0", "", 1, 0),
        new RegExp(`^{"line":${line},"op":"delete"`),
      );
    }
  });

  it("names every status", () => {
    const names = Object.keys(ResultStatus).map((name) => name.toLowerCase());
    assert.deepEqual([...RESULT_STATUS_NAMES], names);
  });
});

describe("jsonString", () => {
  it("writes what JSON.stringify writes, lone surrogates too", () => {
    for (const text of ["", "a", 'q"q', "b\\", "\n\u0000\u001f", "ä€😀", "\ud800", "\udc00x"]) {
      assert.equal(jsonString(text), JSON.stringify(text));
    }
  });
});

describe("formatRejection", () => {
  const resolver = { deviceIndex: () => 0, vrfTable: () => 0 };
  const reject = (value: unknown) => {
    const into = createRouteUpdate();
    return JSON.parse(formatRejection(3, into, parseUpdateObject(value, into, resolver)!));
  };

  it("names the route as far as it was read", () => {
    const known = reject({ op: "delete", prefix: "::/0", source: "2001:db8::/32", table: 7, mtu: "x" });
    const { error, ...route } = known;
    assert.deepEqual(route, {
      line: 3,
      op: "delete",
      prefix: "::/0",
      source: "2001:db8::/32",
      table: 7,
      status: "rejected",
    });
    assert.equal(error.field, "mtu");
    const unknown = reject([]);
    assert.deepEqual(unknown, {
      line: 3,
      status: "rejected",
      error: { code: "WRONG_TYPE", message: unknown.error.message },
    });
  });
});

describe("formatSummary", () => {
  it("keeps what a sync adds", () => {
    const counts = {
      received: 1,
      fibProgrammed: 1,
      fibFailed: 0,
      ribProgrammed: 0,
      skipped: 0,
      superseded: 0,
      rejected: 0,
    };
    const summary = { ...counts, elapsedMs: 1.5, unchanged: 4 };
    assert.equal(formatSummary(summary), `{"summary":${JSON.stringify(summary)}}\n`);
  });
});
