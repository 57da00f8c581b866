/** The last minutes as lines over time, drawn by uPlot. One cursor goes over all of them, by mouse, touch and arrow keys. */
import { byId, element, setAttribute, setText } from "./dom.js";
import { clock, duration, rate, short } from "./format.js";

/** @typedef {import("../trend.ts").TrendJson} Trend */
/** @typedef {import("../trend.ts").TrendColumn} Column */

/**
 * @typedef {object} Series
 * @property {string} label
 * @property {string} colour A custom property of style.css.
 * @property {Column} column
 * @property {boolean} [fills]
 */

/**
 * @typedef {object} PlotSpec
 * @property {string} id
 * @property {string} title
 * @property {string} unit
 * @property {(value: number) => string} format
 * @property {(value: number) => string} tick
 * @property {boolean} [log]
 * @property {Series[]} series
 */

/** @param {number} value */
const perSecond = (value) => `${rate(value)}`;

/** @type {PlotSpec[]} */
const PLOTS = [
  {
    id: "updates",
    title: "Updates",
    unit: "per second",
    format: perSecond,
    tick: short,
    series: [
      { label: "taken", colour: "--plot-4", column: "updates" },
      { label: "programmed", colour: "--plot-1", column: "programmed", fills: true },
      { label: "held", colour: "--plot-2", column: "held" },
      { label: "superseded", colour: "--plot-3", column: "superseded" },
    ],
  },
  {
    id: "latency",
    title: "Latency p99",
    unit: "by stage",
    format: duration,
    tick: duration,
    log: true,
    series: [
      { label: "queue", colour: "--plot-3", column: "queueP99" },
      { label: "providers", colour: "--plot-1", column: "pipelineP99" },
      { label: "result", colour: "--plot-2", column: "resultP99" },
      { label: "total", colour: "--plot-4", column: "totalP99" },
    ],
  },
  {
    id: "errors",
    title: "Errors",
    unit: "per second",
    format: perSecond,
    tick: short,
    series: [
      { label: "failed", colour: "--plot-5", column: "failed", fills: true },
      { label: "rejected", colour: "--plot-3", column: "rejected" },
    ],
  },
  {
    id: "pressure",
    title: "Pressure",
    unit: "",
    format: perSecond,
    tick: short,
    series: [
      { label: "in the queue", colour: "--plot-1", column: "queueDepth", fills: true },
      { label: "yields per second", colour: "--plot-3", column: "yields" },
    ],
  },
];

const HEIGHT = 150;
/** Less time than this is never shown: lines would be blocks. */
const SPAN_MIN_MS = 60_000;
/** A sample that is later than this after the one before leaves a gap. */
const GAP_MS = 3500;

class Plot {
  /** @type {PlotSpec} */
  #spec;
  #place;
  #canvas;
  /** @type {HTMLElement[]} */
  #values = [];
  /** @type {import("uplot") | null} */
  #uplot = null;
  /** @type {(number | null)[][]} */
  #data = [];

  /**
   * @param {PlotSpec} spec
   * @param {HTMLElement} parent
   */
  constructor(spec, parent) {
    this.#spec = spec;
    this.#canvas = element("div", { class: "canvas", tabindex: 0, role: "img" });
    const legend = element("ul", { class: "legend" });
    for (const { label, colour } of spec.series) {
      const swatch = element("i");
      swatch.style.color = `var(${colour})`;
      const value = element("b", {}, "–");
      this.#values.push(value);
      legend.append(element("li", {}, swatch, label, value));
    }
    const title = element("h3", {}, spec.title, " ", element("small", {}, spec.unit));
    this.#place = element("div", { class: "plot", "data-plot": spec.id });
    this.#place.append(element("div", { class: "plot-head" }, title, legend), this.#canvas);
    parent.append(this.#place);
    this.#canvas.addEventListener("keydown", (event) => this.#onKey(event));
    new ResizeObserver(() => this.#resize()).observe(this.#canvas);
  }

  /** Draws it anew, because colours have changed. */
  rebuild() {
    this.#uplot?.destroy();
    const { series, log, tick } = this.#spec;
    const style = getComputedStyle(document.documentElement);
    const probe = element("span");
    document.body.append(probe);
    const colourOf = (/** @type {string} */ name) => {
      probe.style.color = `var(${name})`;
      return getComputedStyle(probe).color;
    };
    const soft = colourOf("--soft");
    const line = colourOf("--line");
    const font = `11px ${style.getPropertyValue("--sans")}`;
    const axis = { stroke: soft, font, grid: { stroke: line, width: 1 }, ticks: { show: false } };
    this.#uplot = new uPlot(
      {
        width: Math.max(this.#canvas.clientWidth, 50),
        height: HEIGHT,
        padding: [8, 18, 0, 0],
        legend: { show: false },
        cursor: { y: false, drag: { setScale: false }, points: { size: 6 }, sync: { key: "dplaned" } },
        scales: {
          x: { time: true },
          y: log ? { distr: 3, log: 10 } : { range: (_, __, max) => [0, Math.max(max * 1.1, 1)] },
        },
        axes: [
          {
            ...axis,
            size: 24,
            space: 70,
            values: (_, ticks) => ticks.map((tick) => clock(tick * 1000).slice(0, 5 + 3 * Number(tick % 60 !== 0))),
          },
          {
            ...axis,
            ...(log ? { splits: (_, __, min, max) => powersOfTen(min, max) } : {}),
            size: 52,
            gap: 4,
            space: 30,
            values: (_, ticks) => ticks.map((value) => (value === null ? "" : tick(value))),
          },
        ],
        series: [
          {},
          ...series.map(({ label, colour, fills }) => {
            const stroke = colourOf(colour);
            return {
              label,
              stroke,
              width: 1.5,
              points: { show: true, size: 3, fill: stroke, filter: aloneAmong },
              spanGaps: false,
              ...(fills ? { fill: withAlpha(stroke, 0.12) } : {}),
            };
          }),
        ],
        hooks: { setCursor: [() => this.#showValues()] },
      },
      /** @type {import("uplot").AlignedData} */ (this.#data),
      this.#canvas,
    );
    probe.remove();
    this.#showValues();
  }

  /**
   * @param {Trend} trend
   * @param {number} seconds How much of it is shown.
   * @param {number} now
   */
  show(trend, seconds, now) {
    const { series, log } = this.#spec;
    // Of a daemon that is younger than that, what there is.
    const first = trend.time[0] ?? now;
    const from = Math.max(now - seconds * 1000, Math.min(first, now - SPAN_MIN_MS));
    /** @type {number[]} */
    const times = [];
    const columns = series.map(() => /** @type {(number | null)[]} */ ([]));
    let last = Number.POSITIVE_INFINITY;
    for (const [index, time] of trend.time.entries()) {
      if (time === null || time < from) continue;
      if (time - last > GAP_MS) {
        times.push((last + 1000) / 1000);
        for (const column of columns) column.push(null);
      }
      last = time;
      times.push(time / 1000);
      for (const [at, { column }] of series.entries()) {
        const value = trend[column][index] ?? null;
        columns[at]?.push(log && value === 0 ? null : value);
      }
    }
    this.#data = [times, ...columns];
    if (this.#uplot === null) this.rebuild();
    const uplot = this.#uplot;
    if (uplot === null) return;
    uplot.setData(/** @type {import("uplot").AlignedData} */ (this.#data), false);
    uplot.setScale("x", { min: from / 1000, max: now / 1000 });
    this.#showValues();
    this.#describe(seconds);
  }

  /** Writes what is under the cursor into the legend; without one, the latest. */
  #showValues() {
    const at = this.#uplot?.cursor.idx ?? null;
    for (const [index, place] of this.#values.entries()) {
      const values = this.#data[index + 1] ?? [];
      const value = at === null ? values.at(-1) : values[at];
      setText(place, value === null || value === undefined ? "–" : this.#spec.format(value));
    }
  }

  /** @param {number} seconds */
  #describe(seconds) {
    const { title, unit, series, format } = this.#spec;
    const parts = series.map(({ label }, index) => {
      const values = (this.#data[index + 1] ?? []).filter((value) => value !== null);
      if (values.length === 0) return `${label}: nothing`;
      return `${label}: now ${format(values.at(-1) ?? 0)}, at most ${format(Math.max(...values))}`;
    });
    setAttribute(this.#canvas, "aria-label", `${title} ${unit} over ${seconds / 60} minutes. ${parts.join("; ")}`);
  }

  #resize() {
    this.#uplot?.setSize({ width: Math.max(this.#canvas.clientWidth, 50), height: HEIGHT });
  }

  /** @param {KeyboardEvent} event */
  #onKey(event) {
    const uplot = this.#uplot;
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (uplot === null) return;
    if (event.key === "Escape") return uplot.setCursor({ left: -10, top: -10 });
    if (step === undefined) return;
    event.preventDefault();
    const times = this.#data[0] ?? [];
    const at = Math.min(times.length - 1, Math.max(0, (uplot.cursor.idx ?? times.length) + step));
    uplot.setCursor({ left: uplot.valToPos(times[at] ?? 0, "x"), top: HEIGHT / 2 });
  }
}

/**
 * The places of values with nothing before and behind them, which no line shows.
 * @param {import("uplot")} plot
 * @param {number} series
 * @returns {number[]}
 */
function aloneAmong(plot, series) {
  const values = plot.data[series] ?? [];
  return Array.from(values.keys()).filter(
    (at) => values[at] !== null && (values[at - 1] ?? null) === null && (values[at + 1] ?? null) === null,
  );
}

/**
 * @param {number} min
 * @param {number} max
 */
function powersOfTen(min, max) {
  const powers = [];
  for (let power = Math.ceil(Math.log10(min)); 10 ** power <= max * 1.001; power++) powers.push(10 ** power);
  return powers;
}

/**
 * @param {string} colour As computed styles have it: `rgb(1, 2, 3)`.
 * @param {number} alpha
 */
function withAlpha(colour, alpha) {
  return colour.replace(/^rgb\((.*)\)$/, `rgba($1, ${alpha})`);
}

/** All of them, over the time that the reader has chosen. */
export class Plots {
  #plots;
  #seconds = 300;
  /** @type {{ trend: Trend; now: number } | null} */
  #last = null;

  constructor() {
    const parent = byId("plots");
    this.#plots = PLOTS.map((spec) => new Plot(spec, parent));
    byId("span").addEventListener("change", (event) => {
      this.#seconds = Number(/** @type {HTMLInputElement} */ (event.target).value);
      if (this.#last !== null) this.show(this.#last.trend, this.#last.now);
    });
  }

  /**
   * @param {Trend} trend
   * @param {number} now
   */
  show(trend, now) {
    this.#last = { trend, now };
    for (const plot of this.#plots) plot.show(trend, this.#seconds, now);
  }

  /** Other colours. */
  rebuild() {
    for (const plot of this.#plots) plot.rebuild();
    if (this.#last !== null) this.show(this.#last.trend, this.#last.now);
  }
}
