/** The progress line. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { formatProgress, ProgressLine } from "../../../../core/northbound/cli/progress.ts";

describe("formatProgress", () => {
  it("shows a bar where the size is known", () => {
    const state = { bytes: 5e6, totalBytes: 10e6, updates: 100_000, failures: 2 };
    assert.equal(
      formatProgress(state, 500),
      "[############............]  50%  5.0/10.0 MB  200,000 updates/s  2 failed",
    );
  });

  it("shows what there is to show otherwise", () => {
    assert.equal(
      formatProgress({ bytes: 5e6, totalBytes: undefined, updates: undefined, failures: 0 }, 1000),
      "5.0 MB  5.0 MB/s",
    );
    assert.equal(formatProgress({ bytes: 0, totalBytes: 0, updates: 0, failures: 0 }, 0), "0.0 MB  0 updates/s");
  });
});

describe("ProgressLine", () => {
  const state = { bytes: 1e6, totalBytes: 2e6, updates: 10, failures: 0 };

  it("draws over itself, no wider than the terminal and not too often", () => {
    let text = "";
    const line = new ProgressLine((piece) => {
      text += piece;
    }, 20);
    line.update(state);
    line.update(state);
    assert.equal(text, "\r\x1b[K[############......");
  });

  it("takes itself away once, and draws again at the next update", () => {
    let text = "";
    const line = new ProgressLine((piece) => {
      text += piece;
    }, 5);
    line.clear();
    assert.equal(text, "");
    line.update(state);
    line.clear();
    line.clear();
    line.update(state);
    assert.equal(text, "\r\x1b[K[###\r\x1b[K\r\x1b[K[###");
  });
});
