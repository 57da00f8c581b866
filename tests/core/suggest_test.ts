/** Which word a typo stands for. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { suggest } from "../../core/suggest.ts";

describe("suggest", () => {
  const words = ["socket", "http", "log-level", "withdraw-on-exit"];

  it("finds a word with swapped, missing, added and replaced letters", () => {
    for (const typo of ["sokcet", "soket", "sockett", "socked", "SOCKET"]) assert.equal(suggest(typo, words), "socket");
    assert.equal(suggest("loglevel", words), "log-level");
  });

  it("stays silent where nothing is near", () => {
    for (const word of ["table", "x", "", "port"]) assert.equal(suggest(word, words), undefined);
  });

  it("takes the nearest of several", () => {
    assert.equal(suggest("kernal", ["kernels", "kernel"]), "kernel");
  });
});
