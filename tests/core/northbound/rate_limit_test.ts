import assert from "node:assert/strict";
import { afterEach, beforeEach, describe, it, mock } from "node:test";
import { RateLimit, rateKey } from "../../../core/northbound/rate_limit.ts";

let time = 0;
beforeEach(() => {
  time = 1000;
  mock.method(performance, "now", () => time);
});
afterEach(() => mock.restoreAll());

/** Takes until there is none left. */
function takeAll(limit: RateLimit, key: string): number {
  let taken = 0;
  while (limit.waitSeconds(key) === 0) {
    limit.take(key);
    taken += 1;
  }
  return taken;
}

describe("RateLimit", () => {
  it("allows a burst, and then so many a second", () => {
    const limit = new RateLimit(10, 2);
    assert.equal(takeAll(limit, "a"), 10);
    assert.equal(limit.waitSeconds("a"), 1);
    time += 3000;
    assert.equal(takeAll(limit, "a"), 6);
    time += 1_000_000;
    assert.equal(takeAll(limit, "a"), 10);
  });

  it("says how long to wait", () => {
    const limit = new RateLimit(1, 0.2);
    limit.take("a");
    assert.equal(limit.waitSeconds("a"), 5);
    time += 4100;
    assert.equal(limit.waitSeconds("a"), 1);
  });

  it("counts keys apart, and gives back", () => {
    const limit = new RateLimit(2, 1);
    assert.equal(takeAll(limit, "a"), 2);
    assert.equal(limit.waitSeconds("b"), 0);
    limit.refund("a");
    assert.equal(takeAll(limit, "a"), 1);
    limit.refund("nobody");
    assert.equal(takeAll(limit, "nobody"), 2);
  });

  it("watches a bounded number of keys, those that were used last", () => {
    const limit = new RateLimit(1, 0.001);
    for (let key = 0; key < 10_000; key++) limit.take(String(key));
    assert.equal(limit.waitSeconds("9999"), 1000);
    assert.equal(limit.waitSeconds("0"), 0);
  });
});

describe("rateKey", () => {
  it("is an IPv4 address, or the /64 of an IPv6 address", () => {
    const cases = {
      "192.0.2.1": "192.0.2.1",
      "::ffff:192.0.2.1": "192.0.2.1",
      "2001:db8:1:2:3:4:5:6": "2001:db8:1:2",
      "2001:DB8::1": "2001:db8:0:0",
      "2001:db8:0:1::": "2001:db8:0:1",
      "::1": "0:0:0:0",
      "fe80::1%eth0": "fe80:0:0:0",
      "": "",
    };
    for (const [address, key] of Object.entries(cases)) assert.equal(rateKey(address), key, address);
  });
});
