/** Whether a machine is idle. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { becomesQuiet, idleShare, parseTimes } from "./machine.ts";

describe("the machine", () => {
  it("is idle by the share of its time", () => {
    const before = parseTimes("cpu  100 10 50 800 20 0 5 0 40 0\ncpu0 1 2 3 4\n");
    assert.deepEqual(before, [100, 10, 50, 800, 20, 0, 5, 0, 40, 0]);
    // 60 of 100 with nothing to do, 10 of them with something to read; the guest's 15 are among the 30 of user.
    assert.equal(idleShare(before, [130, 10, 60, 850, 30, 0, 5, 0, 55, 0]), 0.6);
    assert.equal(idleShare(before, before), 1);
  });

  it("is not waited for where nobody looks", async () => {
    assert.equal(await becomesQuiet(0), true);
  });
});
