import assert from "node:assert/strict";
import { afterEach, beforeEach, describe, it } from "node:test";
import { TREND_COLUMNS, TREND_SAMPLES, Trend } from "../../../core/northbound/trend.ts";
import { createHarness, type Harness, installLine } from "../../support/api_harness.ts";

let harness: Harness;
let trend: Trend;
beforeEach(async () => {
  harness = await createHarness();
  trend = new Trend({ ...harness, shutdown: harness.shutdown.signal });
});
afterEach(() => harness.close());

describe("trend", () => {
  it("tells what happened between two samples, as rates and quantiles", async () => {
    trend.sample();
    await harness.post(`${installLine(1)}${installLine(2)}${installLine(3)}nonsense\n`);
    harness.kernel.answer = (io, slot) => io.contexts.fail(slot, 101, "no");
    await harness.post(installLine(4));
    trend.sample();
    trend.sample();
    const { time, updates, programmed, failed, rejected, totalP50, totalP99 } = trend.from(1);
    assert.equal(time.length, 3);
    assert.ok(Math.abs(time[2]! - Date.now()) < 60_000);
    // Rates go by the time that really passed; what they are of each other does not depend on it.
    const unit = updates[1]! / 4;
    assert.ok(unit > 0);
    const shares = [programmed, failed, rejected].map((column) => Math.round(column[1]! / unit));
    assert.deepEqual(shares, [3, 1, 1]);
    assert.deepEqual([updates[0], updates[2], programmed[2], failed[2]], [0, 0, 0, 0]);
    assert.deepEqual([totalP50[0], totalP50[2]], [null, null], "nothing was measured");
    assert.ok(totalP50[1]! > 0 && totalP99[1]! >= totalP50[1]!);
  });

  it("keeps the last samples, and gives those from a number on", () => {
    for (let number = 0; number < TREND_SAMPLES + 5; number++) trend.sample();
    assert.equal(trend.total, TREND_SAMPLES + 5);
    assert.equal(trend.from(1).time.length, TREND_SAMPLES);
    const last = trend.from(TREND_SAMPLES + 4);
    for (const name of TREND_COLUMNS) assert.equal(last[name].length, 2, name);
    assert.deepEqual(last.time, trend.from(1).time.slice(-2));
    assert.equal(trend.from(trend.total + 1).time.length, 0);
  });
});
