import assert from "node:assert/strict";
import { describe, it } from "node:test";
import {
  createPluginCounterStorage,
  PLUGIN_METRICS_FROM,
  type PluginMetric,
  readPluginCounters,
} from "../../../core/model/plugin_counters.ts";
import { PluginTally } from "../../../providers/plugin/tally.ts";

const counter = (name: string): PluginMetric => ({ name, type: "counter", help: name });
const gauge = (name: string): PluginMetric => ({ name, type: "gauge", help: name });

describe("the tally of a plugin", () => {
  it("goes on over the lives of its processes, which each count from 0", () => {
    const storage = createPluginCounterStorage();
    const tally = new PluginTally(storage);
    const own = () => [...new Float64Array(storage).subarray(PLUGIN_METRICS_FROM, PLUGIN_METRICS_FROM + 2)];
    const counts = { ping: 1, calls: 5, overBudget: 1, longestCallMs: 9, errors: 2, exported: 3 };
    tally.begin([counter("a"), gauge("b")], 77);
    tally.report(counts, new Float64Array([10, 20]));
    tally.report({ ...counts, calls: 8 }, new Float64Array([12, 3]));
    assert.deepEqual(own(), [12, 3]);
    assert.equal(readPluginCounters(storage).pid, 77);
    tally.end();
    assert.equal(readPluginCounters(storage).pid, 0);
    // The next one was changed meanwhile: another metric comes first.
    tally.begin([gauge("c"), counter("a")], 78);
    assert.deepEqual(own(), [0, 12]);
    tally.report({ ...counts, calls: 1, errors: 0 }, new Float64Array([4, 1]));
    assert.deepEqual(own(), [4, 13]);
    const { calls, errors, longestCallMs } = readPluginCounters(storage);
    assert.deepEqual([calls, errors, longestCallMs], [9, 2, 9]);
  });
});
