/** The plots are SVG that a strict parser takes, with everything in it that they should show. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { parseSvg } from "../support/svg.ts";
import { barPlot, linePlot, ticks } from "./plot.ts";

describe("plots", () => {
  const bar = { label: 'a <b> & "c"', value: 2, least: 1.5, most: 4, own: true };

  it("show bars, with names that are not markup", () => {
    const bars = [bar, { ...bar, label: "other", own: false }];
    const texts = parseSvg(barPlot("Title & more", [{ title: "install", bars }], (value) => `${value} s`));
    assert.equal(texts.get("title")![0], "Title & more");
    assert.deepEqual(texts.get("text"), ["Title & more", "install", bar.label, "2 s", "other", "2 s"]);
    // Background and bars; their spreads.
    assert.deepEqual([texts.get("rect")!.length, texts.get("line")!.length], [3, 2]);
  });

  it("show points, their spread and the line through them", () => {
    const points = [
      { x: 1, y: 10, least: 9, most: 11 },
      { x: 4, y: 41, least: 40, most: 43 },
    ];
    const series = [{ name: "install", points, fit: { intercept: -1, slope: 10.3 } }];
    const texts = parseSvg(linePlot({ title: "Growth", series, formatX: String, formatY: (value) => `${value} s` }));
    assert.deepEqual(texts.get("text"), [
      "Growth",
      "0 s",
      "10 s",
      "20 s",
      "30 s",
      "40 s",
      "50 s",
      "0",
      "1",
      "2",
      "3",
      "4",
      "install",
    ]);
    // One in the legend.
    assert.equal(texts.get("circle")!.length, 3);
  });

  it("have colours for dark screens too", () => {
    const style = parseSvg(barPlot("x", [{ title: "", bars: [bar] }], String)).get("style")![0]!;
    assert.match(style, /prefers-color-scheme: dark/);
  });

  it("are checked by a parser that refuses what is not well-formed", () => {
    for (const bad of [
      "<svg xmlns='http://www.w3.org/2000/svg'><g></svg>",
      "<svg/>",
      "<svg xmlns='http://www.w3.org/2000/svg'>&</svg>",
    ]) {
      assert.throws(() => parseSvg(bad));
    }
  });

  it("have round steps", () => {
    assert.deepEqual(ticks(41, 5), [0, 10, 20, 30, 40, 50]);
    assert.deepEqual(ticks(4_000_000, 5), [0, 1e6, 2e6, 3e6, 4e6]);
    assert.deepEqual(ticks(0.9, 5), [0, 0.2, 0.4, 0.6, 0.8, 1]);
    assert.deepEqual(ticks(0, 5), [0, 1]);
  });
});
