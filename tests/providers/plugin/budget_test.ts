import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { BackOff, ErrorBudget, RESTART_MAX_MS, RESTART_MIN_MS } from "../../../providers/plugin/budget.ts";

describe("the error budget", () => {
  it("is what there may be within a minute, and no less", () => {
    const budget = new ErrorBudget(3);
    assert.deepEqual([budget.add(1, 0), budget.add(2, 10_000)], [0, 0]);
    assert.equal(budget.add(1, 59_000), 4);
    assert.equal(budget.add(1, 60_500), 4, "the first is forgotten by now");
    assert.equal(budget.add(1, 200_000), 0);
  });

  it("of 0 is spent by the first", () => assert.equal(new ErrorBudget(0).add(1, 0), 1));
});

describe("the pause before a restart", () => {
  it("doubles up to a minute, and is a short one again after a good time", () => {
    const backOff = new BackOff();
    const pauses = [...Array(9)].map(() => backOff.next(100));
    assert.deepEqual(
      pauses.slice(0, 4),
      [1, 2, 4, 8].map((factor) => factor * RESTART_MIN_MS),
    );
    assert.equal(pauses.at(-1), RESTART_MAX_MS);
    assert.equal(backOff.next(60_000), RESTART_MIN_MS);
    assert.equal(backOff.next(0), 2 * RESTART_MIN_MS);
    backOff.reset();
    assert.equal(backOff.next(0), RESTART_MIN_MS);
  });
});
