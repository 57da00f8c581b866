import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { RecentTexts } from "../../../core/rib/recent_texts.ts";

describe("recent texts", () => {
  it("numbers each text once, and nothing for none", () => {
    const texts = new RecentTexts(4);
    assert.deepEqual([texts.intern("a"), texts.intern("b"), texts.intern("a"), texts.intern("")], [1, 2, 1, 0]);
    assert.deepEqual([texts.get(1), texts.get(2), texts.get(0), texts.get(3)], ["a", "b", "", ""]);
  });

  it("keeps the latest only, and never gives one text for another", () => {
    const texts = new RecentTexts(3);
    for (let number = 1; number <= 1000; number++) assert.equal(texts.intern(`ip[${number}]`), number);
    assert.deepEqual(
      [997, 998, 999, 1000].map((number) => texts.get(number)),
      ["", "ip[998]", "ip[999]", "ip[1000]"],
    );
    assert.equal(texts.intern("ip[998]"), 998);
    assert.equal(texts.intern("ip[997]"), 1001, "a text that was forgotten is a new one");
    assert.equal(texts.get(998), "");
  });

  it("cuts what is long", () => {
    const texts = new RecentTexts(3);
    assert.equal(texts.get(texts.intern("x".repeat(10_000))).length, 120);
  });
});
