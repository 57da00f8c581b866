import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { LATENCY_BOUNDS_MS, LatencyHistogram, quantileMs } from "../../../core/rib/latency.ts";

describe("quantileMs", () => {
  it("finds the bucket, and the place in it", () => {
    const { buckets } = Object.assign(new LatencyHistogram(), {});
    assert.ok(Number.isNaN(quantileMs(buckets, 0.5)));
    const histogram = new LatencyHistogram();
    for (let time = 0; time < 100; time++) histogram.observe(0.3);
    // All in the bucket from 0.25 to 0.5.
    assert.equal(quantileMs(histogram.buckets, 0.5), 0.375);
    assert.equal(quantileMs(histogram.buckets, 1), 0.5);
    for (let time = 0; time < 100; time++) histogram.observe(8);
    assert.equal(quantileMs(histogram.buckets, 0.5), 0.5);
    assert.equal(quantileMs(histogram.buckets, 0.75), 7.5);
    assert.ok(Math.abs(quantileMs(histogram.buckets, 0.99) - 9.9) < 1e-9);
  });

  it("knows no more than the last bound of what lies above it", () => {
    const histogram = new LatencyHistogram();
    histogram.observe(1e6);
    assert.equal(quantileMs(histogram.buckets, 0.5), LATENCY_BOUNDS_MS.at(-1));
  });

  it("never lies outside of the bucket of the observation", () => {
    for (const bound of LATENCY_BOUNDS_MS) {
      const histogram = new LatencyHistogram();
      histogram.observe(bound);
      for (const share of [0.01, 0.5, 0.99]) assert.ok(quantileMs(histogram.buckets, share) <= bound);
    }
  });
});
