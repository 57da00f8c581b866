import assert from "node:assert/strict";
import process from "node:process";
import { describe, it } from "node:test";
import { benchLines, runUpdateBench } from "./update_bench.ts";

describe("update benchmark", () => {
  for (const [name, lines] of Object.entries(benchLines(2000))) {
    it(`runs in smoke size, and does the same work each time: ${name}`, () => {
      const heapSize = () => process.memoryUsage().heapUsed;
      const first = runUpdateBench(name, lines, 1, heapSize);
      assert.equal(runUpdateBench(name, lines, 1, heapSize).hash, first.hash);
      assert.ok(first.ns.bytes > 0 && first.ns.text > 0);
    });
  }
});
