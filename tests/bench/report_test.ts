/** What the benchmarks make of their numbers. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { findingRows, fitLine, formatNumber, formatTable, median, percentile } from "./report.ts";

describe("report", () => {
  it("takes percentiles by the nearest rank", () => {
    const values = Array.from({ length: 200 }, (_, index) => 200 - index);
    assert.deepEqual(
      [0, 0.5, 0.99, 1].map((fraction) => percentile(values, fraction)),
      [1, 100, 198, 200],
    );
    assert.equal(percentile([7], 0.99), 7);
    assert.throws(() => percentile([], 0.5), RangeError);
  });

  it("takes the median of odd and even counts", () => {
    assert.equal(median([3, 1, 2]), 2);
    assert.equal(median([4, 1, 2, 3]), 2.5);
  });

  it("finds the line through points", () => {
    const points = [1, 2, 3, 4].map((x) => ({ x, y: 5 + 2 * x }));
    assert.deepEqual(fitLine(points), { intercept: 5, slope: 2 });
    const off = [0, 3, -3, 0].map((error, index) => ({ x: points[index]!.x, y: points[index]!.y + error }));
    const { intercept, slope } = fitLine(off);
    assert.ok(Math.abs(slope - 1.4) < 1e-9 && Math.abs(intercept - 6.5) < 1e-9, `${intercept} + ${slope} x`);
    assert.deepEqual(fitLine([{ x: 1, y: 3 }]), { intercept: 3, slope: 0 });
  });

  it("judges against targets", () => {
    const base = { what: "x", unit: " ms", target: 3, atLeast: false };
    const rows = findingRows([
      { ...base, value: 3 },
      { ...base, value: 3.001 },
      { ...base, value: 3, atLeast: true },
      { ...base, value: 2.999, atLeast: true },
      { ...base, value: undefined, note: "no compiler" },
    ]);
    assert.deepEqual(
      rows.map((row) => row[3]),
      ["PASS", "MISS", "PASS", "MISS", "no compiler"],
    );
    assert.deepEqual(rows[0], ["x", "3 ms", "≤ 3 ms", "PASS"]);
    assert.deepEqual(rows[4]!.slice(1, 3), ["not measured", "≤ 3 ms"]);
  });

  it("formats numbers and tables", () => {
    assert.deepEqual([0.012345, 1.2345, 99.94, 123.4, 1234567].map(formatNumber), [
      "0.0123",
      "1.23",
      "99.9",
      "123",
      "1,234,567",
    ]);
    assert.equal(
      formatTable(["a", "b"], [["long one", "2"]]),
      "| a        |   b |\n| -------- | --: |\n| long one |   2 |\n",
    );
  });
});
