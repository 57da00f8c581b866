/**
 * Plots as SVG, for documents that are read on light and on dark screens: bars with their spread, and points with the line
 * through them. An SVG is a text of nested elements, so there is no library for it. Pure.
 */

type Attributes = Readonly<Record<string, string | number>>;

function element(name: string, attributes: Attributes, ...children: readonly string[]): string {
  const text = Object.entries(attributes).map(([key, value]) => ` ${key}="${escapeText(String(value))}"`);
  return `<${name}${text.join("")}>${children.join("")}</${name}>`;
}

function escapeText(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;").replaceAll('"', "&quot;");
}

/** An `<img>` has no style of its document, so each plot brings its colours, and its own background with them. */
const STYLE = `
.back { fill: #ffffff } .text { fill: #1f2328; font: 13px system-ui, sans-serif } .strong { font-weight: 600 }
.faint { fill: #59636e } .grid { stroke: #d1d9e0 } .spread { stroke: #1f2328; fill: none }
.c0 { fill: #0969da; stroke: #0969da } .c1 { fill: #8c959f; stroke: #8c959f } .c2 { fill: #bc4c00; stroke: #bc4c00 } .c3 { fill: #1a7f37; stroke: #1a7f37 }
.line { fill: none; stroke-width: 1.5; stroke-dasharray: 5 4 }
@media (prefers-color-scheme: dark) {
.back { fill: #0d1117 } .text { fill: #f0f6fc } .faint { fill: #9198a1 } .grid { stroke: #3d444d } .spread { stroke: #f0f6fc }
.c0 { fill: #4493f8; stroke: #4493f8 } .c1 { fill: #656c76; stroke: #656c76 } .c2 { fill: #db6d28; stroke: #db6d28 } .c3 { fill: #3fb950; stroke: #3fb950 }
}
`;

function svg(width: number, height: number, title: string, ...children: readonly string[]): string {
  const attributes = {
    xmlns: "http://www.w3.org/2000/svg",
    viewBox: `0 0 ${width} ${height}`,
    width,
    height,
    role: "img",
  };
  const back = element("rect", { class: "back", width, height, rx: 6 });
  return `${element("svg", attributes, element("title", {}, escapeText(title)), element("style", {}, STYLE), back, ...children)}\n`;
}

type Anchor = "start" | "middle" | "end";

function label(x: number, y: number, text: string, anchor: Anchor, kind = ""): string {
  return element(
    "text",
    { x: round(x), y: round(y), "text-anchor": anchor, class: `text ${kind}`.trim() },
    escapeText(text),
  );
}

function line(x1: number, y1: number, x2: number, y2: number, kind: string): string {
  return element("line", { x1: round(x1), y1: round(y1), x2: round(x2), y2: round(y2), class: kind });
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}

/** Round steps from 0 up to the first at or above `most`: about `count` of them. */
export function ticks(most: number, count: number): number[] {
  if (!(most > 0)) return [0, 1];
  const rough = most / count;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 2.5, 5, 10].map((factor) => factor * power).find((each) => each >= rough)!;
  const last = Math.ceil(most / step - 1e-9);
  return Array.from({ length: last + 1 }, (_, index) => Number((index * step).toPrecision(12)));
}

export interface Bar {
  label: string;
  value: number;
  least: number;
  most: number;
  /** Stands out from the others. */
  own: boolean;
}

export interface BarGroup {
  title: string;
  bars: readonly Bar[];
}

const WIDTH = 860;
const MARGIN = 20;
const LABEL_WIDTH = 220;
const VALUE_WIDTH = 70;
const BAR_STEP = 26;
const BAR_HEIGHT = 16;

/** Groups of horizontal bars, all to one scale. `format` shows a value and its unit. */
export function barPlot(title: string, groups: readonly BarGroup[], format: (value: number) => string): string {
  const most = Math.max(...groups.flatMap(({ bars }) => bars.map((bar) => bar.most)));
  const scale = (WIDTH - 2 * MARGIN - LABEL_WIDTH - VALUE_WIDTH) / most;
  const left = MARGIN + LABEL_WIDTH;
  const parts: string[] = [label(MARGIN, 32, title, "start", "strong")];
  let y = 56;
  for (const group of groups) {
    parts.push(label(MARGIN, y + 12, group.title, "start", "faint"));
    y += 26;
    for (const bar of group.bars) {
      const middle = y + BAR_HEIGHT / 2;
      parts.push(
        label(left - 10, middle + 4.5, bar.label, "end", bar.own ? "strong" : ""),
        element("rect", {
          x: left,
          y,
          width: round(bar.value * scale),
          height: BAR_HEIGHT,
          class: bar.own ? "c0" : "c1",
        }),
        line(left + bar.least * scale, middle, left + bar.most * scale, middle, "spread"),
        label(left + Math.max(bar.value, bar.most) * scale + 8, middle + 4.5, format(bar.value), "start"),
      );
      y += BAR_STEP;
    }
    y += 14;
  }
  return svg(WIDTH, y, title, ...parts);
}

export interface Point {
  x: number;
  y: number;
  least: number;
  most: number;
}

export interface Series {
  name: string;
  points: readonly Point[];
  /** The line through them. */
  fit: { intercept: number; slope: number };
}

export interface LinePlot {
  title: string;
  series: readonly Series[];
  formatX: (value: number) => string;
  formatY: (value: number) => string;
}

const PLOT_HEIGHT = 260;
const AXIS_LEFT = 80;
const AXIS_RIGHT = 50;
const AXIS_BOTTOM = 50;
const LEGEND_TOP = 56;
const LEGEND_STEP = 22;
const LEGEND_COLUMNS = 2;

/** Points with their spread, and for each series the line that fits them best. Both axes begin at zero. */
export function linePlot({ title, series, formatX, formatY }: LinePlot): string {
  const points = series.flatMap((each) => each.points);
  const xTicks = ticks(Math.max(...points.map(({ x }) => x)), 5);
  const yTicks = ticks(Math.max(...points.map(({ most }) => most)), 5);
  const top = LEGEND_TOP + Math.ceil(series.length / LEGEND_COLUMNS) * LEGEND_STEP + 8;
  const [right, bottom] = [WIDTH - AXIS_RIGHT, top + PLOT_HEIGHT];
  const toX = (x: number) => AXIS_LEFT + (x / xTicks.at(-1)!) * (right - AXIS_LEFT);
  const toY = (y: number) => bottom - (y / yTicks.at(-1)!) * (bottom - top);
  const parts: string[] = [label(MARGIN, 30, title, "start", "strong")];
  for (const tick of yTicks) {
    parts.push(line(AXIS_LEFT, toY(tick), right, toY(tick), "grid"));
    parts.push(label(AXIS_LEFT - 10, toY(tick) + 4.5, formatY(tick), "end", "faint"));
  }
  for (const tick of xTicks) parts.push(label(toX(tick), bottom + 24, formatX(tick), "middle", "faint"));
  for (const [index, { name, points: own, fit }] of series.entries()) {
    const colour = `c${index % 4}`;
    const end = Math.max(...own.map((point) => point.x));
    const x = MARGIN + (index % LEGEND_COLUMNS) * ((WIDTH - 2 * MARGIN) / LEGEND_COLUMNS);
    const y = LEGEND_TOP + Math.floor(index / LEGEND_COLUMNS) * LEGEND_STEP;
    parts.push(
      element("circle", { cx: round(x + 6), cy: y, r: 5, class: colour }),
      label(x + 18, y + 4.5, name, "start"),
    );
    parts.push(
      line(toX(0), toY(Math.max(0, fit.intercept)), toX(end), toY(fit.intercept + fit.slope * end), `line ${colour}`),
    );
    for (const { x: at, y, least, most } of own) {
      parts.push(line(toX(at), toY(least), toX(at), toY(most), "spread"));
      parts.push(element("circle", { cx: round(toX(at)), cy: round(toY(y)), r: 5, class: colour }));
    }
  }
  return svg(WIDTH, bottom + AXIS_BOTTOM, title, ...parts);
}
