import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { Family } from "../../../core/model/route.ts";
import { Drift, type DriftEvent, DriftKind } from "../../../core/rib/drift.ts";

function listen(): { drift: Drift; told: string[] } {
  const drift = new Drift();
  const told: string[] = [];
  drift.onDrift = ({ by, protocol, times }) => told.push(`${by} ${protocol} ${times}`);
  return { drift, told };
}

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
    assert.equal(drift.found(DriftKind.CHANGED, Family.IPV6, 7), 0, "routes of the other family are others");
    assert.deepEqual(drift.counts, { missing: 10, changed: 1, unexpected: 0 });
  });

  it("names who was heard to do it, until that has been looked at", () => {
    const { drift, told } = listen();
    drift.hear(Family.IPV4, 1, { by: "ip[42]", portId: 42 }, 12);
    drift.beginReading();
    drift.found(DriftKind.MISSING, Family.IPV4, 1);
    drift.endReading();
    drift.beginReading();
    drift.found(DriftKind.MISSING, Family.IPV4, 1);
    assert.deepEqual(told, ["ip[42] 12 1", " 0 2"]);
  });

  it("keeps what is heard during a reading for the next one, which may be the first to show it", () => {
    const { drift, told } = listen();
    drift.beginReading();
    drift.hear(Family.IPV4, 1, { by: "ip[42]", portId: 42 });
    drift.hearSilent("link v0");
    drift.endReading();
    drift.beginReading();
    drift.found(DriftKind.MISSING, Family.IPV4, 1);
    drift.found(DriftKind.MISSING, Family.IPV4, 2);
    assert.deepEqual(told, ["ip[42] 0 1", "the kernel with link v0 0 1"]);
  });

  it("names some of the links that routes may have gone with", () => {
    const { drift, told } = listen();
    for (let n = 0; n < 3; n++) drift.hearSilent(`link v${n}`);
    drift.found(DriftKind.MISSING, Family.IPV4, 1);
    for (let n = 0; n < 9; n++) drift.hearSilent(`link v${n}`);
    drift.found(DriftKind.MISSING, Family.IPV4, 1);
    const three = "the kernel with link v0, link v1, link v2";
    assert.deepEqual(told, [`${three} 0 1`, `${three} or another 0 1`]);
  });

  it("does not take the kernel for somebody who fights, with a word or without", () => {
    const { drift, told } = listen();
    for (let flap = 0; flap < 3; flap++) {
      drift.hearSilent("link v0");
      drift.hear(Family.IPV6, 1, { by: "the kernel", portId: 0 });
      drift.beginReading();
      assert.equal(drift.found(DriftKind.MISSING, Family.IPV4, 1), 0);
      assert.equal(drift.found(DriftKind.MISSING, Family.IPV6, 1), 0);
      drift.endReading();
    }
    drift.hear(Family.IPV4, 1, { by: "ip[42]", portId: 42 });
    assert.equal(drift.found(DriftKind.MISSING, Family.IPV4, 1), 0, "it is the first time that somebody did");
    assert.deepEqual(told.slice(-3), ["the kernel with link v0 0 1", "the kernel 0 1", "ip[42] 0 1"]);
  });

  it("forgets a route whose number may be another's soon", () => {
    const { drift, told } = listen();
    drift.hear(Family.IPV4, 1, { by: "ip[42]", portId: 42 });
    drift.found(DriftKind.MISSING, Family.IPV4, 1);
    drift.beginReading();
    drift.hear(Family.IPV4, 1, { by: "ip[43]", portId: 43 });
    drift.forget(Family.IPV4, 1);
    assert.equal(drift.found(DriftKind.MISSING, Family.IPV4, 1), 0);
    assert.deepEqual(told, ["ip[42] 0 1", " 0 1"]);
  });

  it("remembers no more routes than it has room for, and repairs the others at once", () => {
    const drift = new Drift();
    for (let route = 1; route <= 20_000; route++) {
      drift.hear(Family.IPV4, route, { by: "ip[1]", portId: 1 });
      drift.found(DriftKind.MISSING, Family.IPV4, route);
    }
    assert.equal(drift.found(DriftKind.MISSING, Family.IPV4, 1), 250);
    assert.equal(drift.found(DriftKind.MISSING, Family.IPV4, 20_000), 0);
  });
});
