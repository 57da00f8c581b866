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
    let time = 0;
    const drift = new Drift(() => time);
    const events: DriftEvent[] = [];
    drift.onDrift = (event) => events.push(event);
    const delays = Array.from({ length: 10 }, () => {
      const delayMs = drift.found(DriftKind.MISSING, Family.IPV4, 7);
      time += 1000 + delayMs;
      return delayMs;
    });
    assert.deepEqual(delays, [0, 250, 500, 1000, 2000, 4000, 8000, 16_000, 30_000, 30_000]);
    assert.deepEqual(
      events.map(({ times }) => times),
      [1, 2, 3, 4, 5, 6, 7, 8, 9, 10],
    );
    assert.equal(drift.found(DriftKind.CHANGED, Family.IPV6, 7), 0, "routes of the other family are others");
    assert.deepEqual(drift.counts, { missing: 10, changed: 1, unexpected: 0 });
  });

  it("puts no repair off for longer than it has been going on: a flush is over soon", () => {
    let time = 0;
    const drift = new Drift(() => time);
    const found = (): number => drift.found(DriftKind.MISSING, Family.IPV4, 7);
    const delays = Array.from({ length: 12 }, () => {
      time += 100;
      return found();
    });
    assert.deepEqual(delays, [0, 250, 250, 300, 400, 500, 600, 700, 800, 900, 1000, 1100]);
    time += 61_000 + 1100;
    assert.equal(found(), 0, "left alone for a minute, it is nobody's any more");
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

  it("is sure of no route while something was lost, until a reading has ended that began after", () => {
    const { drift } = listen();
    const isSure = (): boolean => !drift.isHeard(Family.IPV4, 7);
    drift.beginReading();
    drift.hearLoss();
    drift.endReading();
    assert.ok(!isSure(), "it may be from after the reading");
    drift.beginReading();
    assert.ok(!isSure());
    drift.endReading();
    assert.ok(isSure());
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
    let time = 0;
    const drift = new Drift(() => time);
    const found = (route: number): number => {
      drift.hear(Family.IPV4, route, { by: "ip[1]", portId: 1 });
      return drift.found(DriftKind.MISSING, Family.IPV4, route);
    };
    for (let route = 1; route <= 16_384; route++) found(route);
    const startedAt = performance.now();
    // A full table that somebody flushes. Looking through all that is remembered for each of them takes minutes.
    for (let route = 16_385; route <= 600_000; route++) assert.equal(found(route), 0);
    assert.ok(performance.now() - startedAt < 20_000);
    assert.equal(found(1), 250);
    assert.equal(found(600_000), 0);
    time += 62_000;
    assert.equal(found(600_000), 0, "there is room again");
    assert.equal(found(600_000), 250);
  });
});
