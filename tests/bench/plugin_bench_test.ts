import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { runPluginBench } from "./plugin_bench.ts";

describe("plugin benchmark", () => {
  it("runs in smoke size, and every update goes through every plugin", async () => {
    const results = await runPluginBench(2000);
    assert.equal(results.length, 5);
    for (const { name, rate, aloneMs } of results) assert.ok(rate > 0 && aloneMs > 0, name);
  });
});
