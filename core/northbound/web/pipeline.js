/**
 * The pipeline as it runs: clients, the incoming queue, each provider with its queues, the results. What flows between
 * two of them moves as fast as updates do; a provider that is not up is passed by. Side by side where there is room for
 * that, below each other where there is not. core/northbound/web/pipeline_parts.js draws the stations.
 */
import { byId, drawing, setText } from "./dom.js";
import { plural, rate } from "./format.js";
import { Flow, ProviderStation, QueueStation, SinkStation, SourceStation } from "./pipeline_parts.js";

/** @typedef {import("./live.js").Moment} Moment */
/** @typedef {import("../overview_types.ts").OverviewJson} Overview */
/** @typedef {Overview["providers"][number]} Provider */

/** Of each kind of station the least width, and what it gets of the room that is left. */
const WIDTHS = { source: 122, queue: 144, provider: 160, sink: 164 };
const PROVIDER_WIDTH_MAX = 230;
const GAP_MIN = 30;
const GAP_MAX = 110;
/** Side by side: where the line runs, and where errors do. */
const LINE_Y = 62;
const HEIGHT = 146;
const ERRORS_Y = 164;
const BYPASS_Y = 3;
/** Below each other. */
const RAIL_X = 13;
const INDENT = 32;
const WIDTH_MIN = 120;
const ROW_GAP = 14;
/** Work limits that a provider's queue may hold (core/dataplane/loop.ts feeds no more). */
const QUEUE_WORK_LIMITS = 4;

/**
 * @typedef {object} Rates
 * @property {number} updates
 * @property {number[]} given By provider.
 * @property {number[]} done
 * @property {number[]} errors
 * @property {number} settled
 */

export class Pipeline {
  #place = byId("pipeline");
  #note = byId("pipeline-note");
  #shape = "";
  #width = 0;
  /** @type {Moment | null} */
  #moment = null;
  /** @type {(moment: Moment, rates: Rates) => void} */
  #update = () => {};

  constructor() {
    new ResizeObserver(() => {
      if (this.#place.clientWidth !== this.#width && this.#moment !== null) this.show(this.#moment);
    }).observe(this.#place);
  }

  /** @param {Moment} moment */
  show(moment) {
    this.#moment = moment;
    const { now } = moment;
    const width = this.#place.clientWidth;
    // Before the style is there, nothing has a width; then the observer calls.
    if (width < WIDTH_MIN) return;
    const shape = now.providers.map(({ id, name, state, errors }) => `${id} ${name} ${state} ${errors > 0}`).join();
    if (shape !== this.#shape || width !== this.#width) {
      this.#shape = shape;
      this.#width = width;
      this.#draw(now, width);
    }
    this.#update(moment, ratesOf(moment));
    const down = now.providers.filter(({ state }) => state !== "up");
    const { yields, cycles } = now.dplane;
    const bypassed = down.map(({ name, state }) => `${name} is ${state === "starting" ? "starting" : "bypassed"}`);
    setText(this.#note, [...bypassed, plural(cycles, "cycle"), plural(yields, "yield")].join(" · "));
  }

  /**
   * @param {Overview} now
   * @param {number} width
   */
  #draw(now, width) {
    const { providers } = now;
    const fixed = WIDTHS.source + 2 * WIDTHS.queue + WIDTHS.sink;
    const gaps = providers.length + 3;
    const least = fixed + providers.length * WIDTHS.provider + gaps * GAP_MIN;
    const svg = drawing("svg", { role: "group", "aria-label": "Pipeline of the dataplane" });
    this.#update = width >= least ? drawAcross(svg, providers, width, width - least) : drawDown(svg, providers, width);
    this.#place.replaceChildren(svg);
  }
}

/**
 * @param {Moment} moment
 * @returns {Rates}
 */
function ratesOf({ now, before, seconds }) {
  const per = (/** @type {number} */ after, /** @type {number | undefined} */ earlier) =>
    earlier === undefined || seconds <= 0 ? 0 : Math.max(0, after - earlier) / seconds;
  const earlier = (/** @type {Provider} */ provider) => before?.providers.find(({ id }) => id === provider.id);
  const settled = (/** @type {Overview["dplane"]} */ { results }) =>
    Object.values(results).reduce((sum, value) => sum + value, 0) - results.rejected;
  return {
    updates: per(now.dplane.routeUpdates, before?.dplane.routeUpdates),
    given: now.providers.map((provider) => per(provider.in, earlier(provider)?.in)),
    done: now.providers.map((provider) => per(provider.out, earlier(provider)?.out)),
    errors: now.providers.map((provider) => per(provider.errors, earlier(provider)?.errors)),
    settled: per(settled(now.dplane), before === null ? undefined : settled(before.dplane)),
  };
}

/**
 * @param {SVGSVGElement} svg
 * @param {readonly Provider[]} providers
 * @param {number} width
 * @param {number} spare
 */
function drawAcross(svg, providers, width, spare) {
  const gaps = providers.length + 3;
  const forGaps = Math.min(spare * 0.55, gaps * (GAP_MAX - GAP_MIN));
  const gap = GAP_MIN + forGaps / gaps;
  const boxes = Math.min(PROVIDER_WIDTH_MAX, WIDTHS.provider + (spare - forGaps) / Math.max(1, providers.length));
  const used = WIDTHS.source + 2 * WIDTHS.queue + WIDTHS.sink + providers.length * boxes + gaps * gap;
  const queues = WIDTHS.queue + Math.max(0, width - used) / 2;
  const hasErrors = providers.some(({ errors }) => errors > 0);
  const height = hasErrors ? ERRORS_Y + 8 : HEIGHT;
  svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
  svg.style.height = `${height}px`;
  const lines = drawing("g");
  svg.append(lines);

  let x = 0;
  const place = (/** @type {number} */ stationWidth) => {
    const at = { x, y: 0, width: stationWidth };
    x += stationWidth + gap;
    return at;
  };
  const source = new SourceStation(svg, place(WIDTHS.source));
  const incoming = new QueueStation(svg, place(queues), "Incoming queue");
  const stations = providers.map((provider) => new ProviderStation(svg, place(boxes), provider));
  const results = new QueueStation(svg, place(queues), "Results");
  const sink = new SinkStation(svg, place(WIDTHS.sink));

  const flow = (/** @type {string} */ path) => new Flow(lines, path);
  const between = (/** @type {number} */ from, /** @type {number} */ to) => flow(`M${from} ${LINE_Y}H${to}`);
  const first = between(WIDTHS.source + 4, incoming.at.x - 4);
  // From the queue on, past providers that are not up, one line for each way between two that are.
  /** @type {{ flow: Flow; provider: number }[]} */
  const ways = [];
  let from = incoming.at.x + queues;
  let last = -1;
  let path = `M${from + 4} ${LINE_Y}`;
  for (const [index, station] of stations.entries()) {
    const { x: left } = station.at;
    if (providers[index]?.state === "up") {
      ways.push({ flow: flow(`${path}H${left - 4}`), provider: last });
      from = left + boxes;
      last = index;
      path = `M${from + 4} ${LINE_Y}`;
      continue;
    }
    const turn = Math.min(gap / 2, 22);
    path += `H${left - turn}C${left} ${LINE_Y} ${left - turn} ${BYPASS_Y} ${left + turn} ${BYPASS_Y}H${left + boxes - turn}`;
    path += `C${left + boxes + turn} ${BYPASS_Y} ${left + boxes} ${LINE_Y} ${left + boxes + turn} ${LINE_Y}`;
  }
  ways.push({ flow: flow(`${path}H${results.at.x - 4}`), provider: last });
  const end = between(results.at.x + queues + 4, sink.at.x - 4);

  /** @type {{ flow: Flow; provider: number }[]} */
  const errors = [];
  for (const [index, station] of stations.entries()) {
    if ((providers[index]?.errors ?? 0) === 0) continue;
    const middle = station.at.x + boxes / 2;
    const corner = `M${middle} 114V${ERRORS_Y - 8}q0 8 8 8H${sink.at.x - 22}q8 0 8 -8V${sink.failedY + 8}q0 -8 8 -8`;
    errors.push({ flow: new Flow(lines, corner, true), provider: index });
  }
  return (/** @type {Moment} */ moment, /** @type {Rates} */ rates) => {
    showStations(moment, rates, { source, incoming, stations, results, sink });
    first.show(rates.updates);
    for (const { flow: way, provider } of ways)
      way.show(provider < 0 ? (rates.given[0] ?? rates.settled) : (rates.done[provider] ?? 0));
    end.show(rates.settled);
    for (const { flow: way, provider } of errors) way.show(rates.errors[provider] ?? 0);
  };
}

/**
 * @param {SVGSVGElement} svg
 * @param {readonly Provider[]} providers
 * @param {number} width
 */
function drawDown(svg, providers, width) {
  const lines = drawing("g");
  svg.append(lines);
  const stationWidth = width - INDENT;
  let y = 0;
  const place = (/** @type {number} */ height) => {
    const at = { x: INDENT, y, width: stationWidth, height };
    y += height + ROW_GAP;
    return at;
  };
  const source = new SourceStation(svg, place(44));
  const incoming = new QueueStation(svg, place(66), "Incoming queue");
  const stations = providers.map((provider) => new ProviderStation(svg, place(134), provider));
  const results = new QueueStation(svg, place(66), "Results");
  const sink = new SinkStation(svg, place(96));
  const height = y - ROW_GAP;
  svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
  svg.style.height = `${height}px`;
  const all = [source, incoming, ...stations, results, sink];
  for (const [index, station] of all.entries()) {
    const provider = providers[index - 2];
    if (index >= 2 && index < 2 + providers.length && provider?.state !== "up") continue;
    const middle = station.at.y + 24;
    lines.append(drawing("path", { class: "track", d: `M${RAIL_X} ${middle}H${INDENT - 4}` }));
  }
  const top = source.at.y + 24;
  const rail = new Flow(lines, `M${RAIL_X} ${top}V${sink.at.y + 24}`);
  return (/** @type {Moment} */ moment, /** @type {Rates} */ rates) => {
    showStations(moment, rates, { source, incoming, stations, results, sink });
    rail.show(Math.max(rates.updates, rates.settled));
  };
}

/**
 * @param {Moment} moment
 * @param {Rates} rates
 * @param {{ source: SourceStation; incoming: QueueStation; stations: ProviderStation[]; results: QueueStation; sink: SinkStation }} all
 */
function showStations({ now, before }, rates, { source, incoming, stations, results, sink }) {
  const { dplane, clients } = now;
  const isKnown = before !== null;
  source.show({
    rate: isKnown ? `${rate(rates.updates)}/s` : "–",
    streams: clients.streamsOpen,
    rejected: dplane.results.rejected,
  });
  incoming.show({ depth: dplane.queueDepth, limit: dplane.queueLimit, most: dplane.queueMax });
  for (const [index, station] of stations.entries()) {
    const provider = now.providers[index];
    if (provider === undefined) continue;
    const limit = QUEUE_WORK_LIMITS * dplane.workLimit;
    station.show(provider, isKnown ? `${rate(rates.done[index] ?? 0)}/s` : "–", limit);
  }
  results.show({ depth: dplane.resultsQueued, limit: dplane.pool.size });
  sink.show(dplane.results);
}
