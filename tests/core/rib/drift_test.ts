import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { Family } from "../../../core/model/route.ts";
import { Drift, type DriftEvent, DriftKind } from "../../../core/rib/drift.ts";

describe("drift", () => {
  it("repairs at once the first time, and later and later what is changed again and again", () => {
    const drift = new Drift();
    const events: DriftEvent[] = [];
    drift.onDrift = (event) => events.push(event);
    const delays = Array.from({ length: 10 }, () => drift.found(DriftKind.MISSING, Family.IPV4, 7));
    assert.deepEqual(delays, [0, 250, 500, 1000, 2000, 4000, 8000, 16_000, 30_000, 30_000]);
    assert.deepEqual(
      events.map(({ times }) => times),
      [1, 2, 3, 4, 5, 6, 7, 8, 9, 10],
    );
    assert.equal(drift.timesOf(Family.IPV4, 7), 10);
    assert.equal(drift.timesOf(Family.IPV6, 7), 0, "routes of the other family are others");
    assert.equal(drift.found(DriftKind.CHANGED, Family.IPV6, 7), 0);
    assert.deepEqual(drift.counts, { missing: 10, changed: 1, unexpected: 0 });
  });

  it("names who was heard to do it, until that has been looked at", () => {
    const drift = new Drift();
    const authors: (string | number)[] = [];
    drift.onDrift = ({ by, protocol }) => authors.push(by, protocol);
    drift.hear(Family.IPV4, 1, "ip[42]", 12);
    drift.found(DriftKind.MISSING, Family.IPV4, 1);
    drift.forgetAuthors();
    drift.found(DriftKind.MISSING, Family.IPV4, 1);
    assert.deepEqual(authors, ["ip[42]", 12, "", 0]);
  });

  it("remembers no more routes than it has room for, and repairs the others at once", () => {
    const drift = new Drift();
    for (let route = 1; route <= 20_000; route++) {
      drift.hear(Family.IPV4, route, "ip[1]");
      drift.found(DriftKind.MISSING, Family.IPV4, route);
    }
    assert.equal(drift.found(DriftKind.MISSING, Family.IPV4, 1), 250);
    assert.equal(drift.found(DriftKind.MISSING, Family.IPV4, 20_000), 0);
  });
});
