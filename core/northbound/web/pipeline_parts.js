/** The stations of the drawn pipeline and what flows between them; core/northbound/web/pipeline.js places them. */
import { drawing, setAttribute, setText } from "./dom.js";
import { count, plural } from "./format.js";

/** @typedef {import("../overview_types.ts").OverviewJson} Overview */
/** @typedef {{ x: number; y: number; width: number; height?: number }} Place */

/** Between two dots of what flows, as in style.css. */
const DOTS_APART = 14;
const DOT_MS = 650;

const calm = matchMedia("(prefers-reduced-motion: reduce)");

/** A line between two stations, on which dots run. */
export class Flow {
  #dots;
  /** @type {Animation | null} */
  #animation = null;
  #isFlowing = false;

  /**
   * @param {SVGGElement} parent
   * @param {string} path
   * @param {boolean} [isErrors]
   */
  constructor(parent, path, isErrors = false) {
    const track = drawing("path", { class: isErrors ? "error-track" : "track", d: path });
    this.#dots = drawing("path", { class: isErrors ? "error-flow" : "flow", d: path, opacity: 0 });
    parent.append(track, this.#dots);
  }

  /** @param {number} rate Updates per second. */
  show(rate) {
    const isFlowing = rate > 0;
    if (isFlowing !== this.#isFlowing) {
      this.#isFlowing = isFlowing;
      this.#dots.setAttribute("opacity", isFlowing ? "1" : "0");
      if (!isFlowing) this.#animation?.pause();
    }
    if (!isFlowing) return;
    const size = Math.log10(1 + rate);
    this.#dots.style.strokeWidth = String(3 + size * 0.55);
    if (calm.matches) return this.#animation?.cancel();
    this.#animation ??= this.#dots.animate([{ strokeDashoffset: DOTS_APART }, { strokeDashoffset: 0 }], {
      duration: DOT_MS,
      iterations: Number.POSITIVE_INFINITY,
    });
    if (this.#animation.playState !== "running") this.#animation.play();
    this.#animation.updatePlaybackRate(0.35 + size * 0.45);
  }
}

/**
 * @param {Place} at
 * @param {number} height
 */
function group(at, height) {
  const made = drawing("g", { transform: `translate(${at.x} ${at.y})`, tabindex: 0, role: "img" });
  const ring = drawing("rect", {
    class: "ring",
    x: -3,
    y: at.height === undefined ? 9 : -3,
    width: at.width + 6,
    height: height + 6,
    rx: 11,
  });
  made.append(ring);
  return made;
}

/**
 * @param {SVGGElement} parent
 * @param {number} x
 * @param {number} y
 * @param {string} classes
 * @param {"start" | "end" | "middle"} [anchor]
 */
function label(parent, x, y, classes, anchor = "start") {
  const made = drawing("text", { x, y, class: classes, "text-anchor": anchor });
  parent.append(made);
  return made;
}

/** Cuts a text that is wider than there is room for. */
/**
 * @param {SVGTextElement} text
 * @param {string} words
 * @param {number} room
 */
function fit(text, words, room) {
  if (text.dataset["words"] === words) return;
  text.dataset["words"] = words;
  text.textContent = words;
  for (let length = words.length - 1; length > 0 && text.getComputedTextLength() > room; length--) {
    text.textContent = `${words.slice(0, length)}…`;
  }
}

/** How full a queue is, in cells, with a mark at the most that it has held. */
class Tank {
  #fill;
  #mark;
  #from;
  #length;
  #isUpright;

  /**
   * @param {SVGGElement} parent
   * @param {{ x: number; y: number; length: number; thickness: number; isUpright?: boolean }} where
   */
  constructor(parent, { x, y, length, thickness, isUpright = false }) {
    this.#from = { x, y };
    this.#length = length;
    this.#isUpright = isUpright;
    const path = this.#path(length);
    const base = drawing("path", { class: "tank", d: path, "stroke-width": thickness });
    this.#fill = drawing("path", { class: "fill", d: path, "stroke-width": thickness, visibility: "hidden" });
    this.#mark = drawing("rect", { class: "most", visibility: "hidden" });
    this.#mark.setAttribute("width", String(isUpright ? thickness + 4 : 2));
    this.#mark.setAttribute("height", String(isUpright ? 2 : thickness + 6));
    parent.append(base, this.#fill, this.#mark);
    this.thickness = thickness;
  }

  /** @param {number} length */
  #path(length) {
    const { x, y } = this.#from;
    return this.#isUpright ? `M${x} ${y}v${-length}` : `M${x} ${y}h${length}`;
  }

  /**
   * @param {number} depth
   * @param {number} limit
   * @param {number} [most]
   */
  show(depth, limit, most = 0) {
    const share = limit > 0 ? Math.min(1, depth / limit) : 0;
    setAttribute(this.#fill, "visibility", depth > 0 ? "visible" : "hidden");
    setAttribute(this.#fill, "d", this.#path(Math.max(3, share * this.#length)));
    setAttribute(this.#fill, "class", share >= 0.9 ? "fill full" : "fill");
    setAttribute(this.#mark, "visibility", most > 0 ? "visible" : "hidden");
    const reach = Math.min(1, most / Math.max(1, limit)) * this.#length;
    const { x, y } = this.#from;
    const half = this.thickness / 2;
    setAttribute(this.#mark, "x", String(this.#isUpright ? x - half - 2 : x + reach - 1));
    setAttribute(this.#mark, "y", String(this.#isUpright ? y - reach - 1 : y - half - 3));
  }
}

/** Who sends updates. */
export class SourceStation {
  #group;
  #rate;
  #note;

  /**
   * @param {SVGSVGElement} svg
   * @param {Place} at
   */
  constructor(svg, at) {
    this.at = at;
    const isRow = at.height !== undefined;
    const height = isRow ? 44 : 92;
    this.#group = group(at, height);
    const box = drawing("rect", { class: "plain", x: 0, y: isRow ? 0 : 12, width: at.width, height, rx: 8 });
    this.#group.append(box);
    label(this.#group, 12, isRow ? 19 : 36, "title").textContent = "Clients";
    this.#rate = isRow ? label(this.#group, at.width - 12, 28, "rate", "end") : label(this.#group, 12, 64, "rate");
    this.#note = label(this.#group, 12, isRow ? 35 : 86, "small");
    svg.append(this.#group);
  }

  /** @param {{ rate: string; streams: number; rejected: number }} state */
  show({ rate, streams, rejected }) {
    setText(this.#rate, rate);
    const words = rejected > 0 ? `${count(rejected)} rejected` : plural(streams, "stream");
    setText(this.#note, words);
    setAttribute(this.#note, "class", rejected > 0 ? "errors" : "small");
    const name = `Clients: ${rate}, ${plural(streams, "stream")} open, ${plural(rejected, "update")} rejected`;
    setAttribute(this.#group, "aria-label", name);
  }
}

/** A queue between two threads. */
export class QueueStation {
  #group;
  #tank;
  #depth;
  #most;
  #title;

  /**
   * @param {SVGSVGElement} svg
   * @param {Place} at
   * @param {string} title
   */
  constructor(svg, at, title) {
    this.at = at;
    this.#title = title;
    const isRow = at.height !== undefined;
    this.#group = group(at, isRow ? 66 : 92);
    label(this.#group, 0, isRow ? 14 : 36, "title").textContent = title;
    this.#tank = new Tank(this.#group, { x: 0, y: isRow ? 33 : 62, length: at.width, thickness: 20 });
    this.#depth = label(this.#group, 0, isRow ? 60 : 92, "small");
    this.#most = label(this.#group, at.width, isRow ? 60 : 92, "small", "end");
    svg.append(this.#group);
  }

  /** @param {{ depth: number; limit: number; most?: number }} state */
  show({ depth, limit, most }) {
    this.#tank.show(depth, limit, most);
    setText(this.#depth, `${count(depth)} of ${count(limit)}`);
    setText(this.#most, most === undefined ? "" : `most ${count(most)}`);
    const name = `${this.#title}: ${count(depth)} of ${count(limit)}${most === undefined ? "" : `, at most ${count(most)} so far`}`;
    setAttribute(this.#group, "aria-label", name);
  }
}

/** A provider between its two queues. */
export class ProviderStation {
  #group;
  #name;
  #kind;
  #rate;
  #errors;
  #given;
  #done;
  #before;
  #behind;

  /**
   * @param {SVGSVGElement} svg
   * @param {Place} at
   * @param {Overview["providers"][number]} provider
   */
  constructor(svg, at, { state }) {
    this.at = at;
    const isRow = at.height !== undefined;
    const top = isRow ? 0 : 12;
    this.#group = group(at, isRow ? 100 : 100);
    this.#group.classList.add(state === "up" ? "good" : state === "starting" ? "warn" : "bad");
    this.#group.append(
      drawing("rect", { class: "box", x: 0.5, y: top + 0.5, width: at.width - 1, height: 99, rx: 8 }),
      drawing("circle", { class: "dot", cx: at.width - 20, cy: top + 19, r: 4.5 }),
    );
    this.#before = new Tank(this.#group, { x: 9, y: top + 92, length: 84, thickness: 8, isUpright: true });
    this.#behind = new Tank(this.#group, { x: at.width - 9, y: top + 92, length: 62, thickness: 8, isUpright: true });
    this.#name = label(this.#group, 22, top + 24, "title");
    this.#kind = label(this.#group, 22, top + 41, "small");
    this.#rate = label(this.#group, 22, top + 69, "rate");
    this.#errors = label(this.#group, 22, top + 88, "small");
    const [now, most] = [top + 116, top + 131];
    this.#given = [label(this.#group, 2, now, "small"), label(this.#group, 2, most, "small")];
    this.#done = [
      label(this.#group, at.width - 2, now, "small", "end"),
      label(this.#group, at.width - 2, most, "small", "end"),
    ];
    svg.append(this.#group);
  }

  /**
   * @param {Overview["providers"][number]} provider
   * @param {string} rate
   * @param {number} limit
   */
  show(provider, rate, limit) {
    const { name, kind, priority, threaded, state, reason, errors, undone } = provider;
    const { inQueued, inMax, outQueued, outMax } = provider;
    const room = this.at.width - 44;
    fit(this.#name, name, room - 8);
    const words = [...new Set([kind, priority]), ...(threaded ? ["own thread"] : [])].join(" · ");
    fit(this.#kind, words, room);
    const isUp = state === "up";
    setText(this.#rate, isUp ? rate : state === "starting" ? "starting" : "bypassed");
    if (!isUp) fit(this.#errors, reason ?? "", room);
    else
      fit(
        this.#errors,
        errors === 0 ? "no errors" : `${plural(errors, "error")}${undone > 0 ? `, ${count(undone)} undone` : ""}`,
        room,
      );
    setAttribute(this.#errors, "class", isUp && errors === 0 ? "small" : "errors");
    this.#before.show(inQueued, limit, inMax);
    this.#behind.show(outQueued, limit, outMax);
    const queued = [
      `in ${count(inQueued)}`,
      `most ${count(inMax)}`,
      `out ${count(outQueued)}`,
      `most ${count(outMax)}`,
    ];
    for (const [index, place] of [...this.#given, ...this.#done].entries()) setText(place, queued[index] ?? "");
    const status = isUp ? "up" : `${state}, passed by${reason === undefined ? "" : `: ${reason}`}`;
    const queues = `in queue ${count(inQueued)}, at most ${count(inMax)}; out queue ${count(outQueued)}, at most ${count(outMax)}`;
    const text = `Provider ${name} (${words}), ${status}: ${rate}, ${plural(errors, "error")}; ${queues}`;
    setAttribute(this.#group, "aria-label", text);
  }
}

const OUTCOMES = /** @type {const} */ ([
  ["fibProgrammed", "programmed"],
  ["ribProgrammed", "held"],
  ["superseded", "superseded"],
  ["skipped", "skipped"],
  ["fibFailed", "failed"],
]);
const ROW = 17;
const FAILED_ROW = OUTCOMES.length - 1;

/** What became of the updates, since the daemon's start. */
export class SinkStation {
  #group;
  /** @type {SVGTextElement[]} */
  #values = [];
  /** @type {SVGTextElement[]} */
  #labels = [];

  /**
   * @param {SVGSVGElement} svg
   * @param {Place} at
   */
  constructor(svg, at) {
    this.at = at;
    const isRow = at.height !== undefined;
    const top = isRow ? 0 : 12;
    this.#group = group(at, 100);
    this.#group.append(drawing("rect", { class: "plain", x: 0, y: top, width: at.width, height: 100, rx: 8 }));
    for (const [index, [, word]] of OUTCOMES.entries()) {
      const y = top + 20 + index * ROW;
      const name = label(this.#group, 10, y, "small");
      name.textContent = word;
      this.#labels.push(name);
      this.#values.push(label(this.#group, at.width - 10, y, "small", "end"));
    }
    /** Where the line of errors ends. */
    this.failedY = top + 16 + FAILED_ROW * ROW;
    svg.append(this.#group);
  }

  /** @param {Overview["dplane"]["results"]} results */
  show(results) {
    for (const [index, [key]] of OUTCOMES.entries()) {
      const value = this.#values[index];
      if (value !== undefined) setText(value, count(results[key]));
    }
    const classes = results.fibFailed > 0 ? "errors" : "small";
    for (const text of [this.#labels[FAILED_ROW], this.#values[FAILED_ROW]]) {
      if (text !== undefined) setAttribute(text, "class", classes);
    }
    const words = OUTCOMES.map(([key, word]) => `${count(results[key])} ${word}`).join(", ");
    setAttribute(this.#group, "aria-label", `Results since the start: ${words}`);
  }
}
