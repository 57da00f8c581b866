import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { runPipelineBench } from "./pipeline_bench.ts";

describe("pipeline benchmark", () => {
  it("runs in smoke size, and does the same work each time", async () => {
    const first = await runPipelineBench(20_000);
    const second = await runPipelineBench(20_000);
    assert.equal(second.hash, first.hash);
    for (const rate of Object.values(first.rates)) assert.ok(rate > 0);
  });
});
