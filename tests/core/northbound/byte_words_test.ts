/** Words by their bytes. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { FieldNames, WordCache } from "../../../core/northbound/byte_words.ts";

const encoder = new TextEncoder();

describe("FieldNames", () => {
  it("finds each of its names, and nothing else", () => {
    const names = ["op", "prefix", "source", "nexthopGroup"];
    const fields = new FieldNames(names);
    for (const word of [...names, "o", "oq", "Op", "prefiX", "", "nexthopGrouq", "a name that is far too long"]) {
      const bytes = encoder.encode(`..${word}"`);
      assert.equal(fields.find(bytes, 2, bytes.length - 1, -1), names.indexOf(word), word);
    }
  });

  it("guesses what came behind a name the last time", () => {
    const fields = new FieldNames(["via", "dev", "weight"]);
    const bytes = encoder.encode('"dev":1,"weight":2');
    assert.equal(fields.guess(bytes, 0, -1), -1);
    assert.equal(fields.find(bytes, 1, 4, -1), 1);
    assert.equal(fields.guess(bytes, 0, -1), 1);
    assert.equal(fields.writtenLength(1), '"dev":'.length);
    assert.equal(fields.guess(encoder.encode('"dev" :1'), 0, -1), -1, "only as programs write it");
  });

  it("refuses names that it could not tell apart", () => {
    assert.throws(() => new FieldNames(["via", "vrf"]), /apart/);
  });
});

describe("WordCache", () => {
  it("gives the word, however many there are", () => {
    const cache = new WordCache();
    for (let round = 0; round < 2; round++) {
      for (let number = 0; number < 2000; number++) {
        const word = number % 3 === 0 ? `veth${number}` : `${number}.x`;
        const bytes = encoder.encode(`"${word}"`);
        assert.equal(cache.take(bytes, 1, bytes.length - 1), word);
      }
    }
    assert.equal(cache.take(encoder.encode(""), 0, 0), "");
    assert.equal(cache.take(encoder.encode("x".repeat(65)), 0, 65), null);
  });
});
