import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { formatRefusal, parseRefusal } from "../../../core/context/refusal.ts";

describe("a refusal", () => {
  it("comes back as it was, and is told from any other text", () => {
    const refusal = { code: "BOGON", message: "10.0.0.0/8 is private", hint: "see RFC 1918" };
    assert.deepEqual(parseRefusal(formatRefusal(refusal)), refusal);
    assert.deepEqual(parseRefusal(formatRefusal({ ...refusal, hint: "" })), { ...refusal, hint: "" });
    assert.equal(parseRefusal("Nexthop has invalid gateway"), undefined);
    assert.equal(parseRefusal(""), undefined);
  });

  it("cannot be broken by what is in its parts", () => {
    const parsed = parseRefusal(formatRefusal({ code: "A", message: "b\u001fc", hint: "d\u001fe" }));
    assert.deepEqual(parsed, { code: "A", message: "b c", hint: "d e" });
  });

  it("keeps code and message when its end is cut off", () => {
    const text = formatRefusal({ code: "A", message: "b", hint: "long" });
    assert.deepEqual(parseRefusal(text.slice(0, -2)), { code: "A", message: "b", hint: "lo" });
    assert.deepEqual(parseRefusal(text.slice(0, 3)), { code: "A", message: "b", hint: "" });
  });
});
