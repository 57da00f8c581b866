import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { hasNetAdmin } from "../../../core/daemon/capabilities.ts";

describe("hasNetAdmin", () => {
  it("reads the effective set, and nothing else", () => {
    assert.equal(hasNetAdmin("CapPrm:\t0000000000000000\nCapEff:\t0000000000001000\n"), true);
    assert.equal(
      hasNetAdmin("CapPrm:\t0000000000001000\nCapEff:\t0000000000000000\nCapBnd:\t000001ffffffffff\n"),
      false,
    );
    assert.equal(hasNetAdmin("CapEff:\t000001ffffffffff\n"), true);
    assert.equal(hasNetAdmin("CapEff:\t000001ffffffefff\n"), false, "all but CAP_NET_ADMIN");
  });

  it("lets the kernel decide where it is not told", () => {
    assert.equal(hasNetAdmin(""), true);
  });
});
