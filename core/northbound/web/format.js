/** Numbers, times and routes in words. Pure. */

/** @typedef {import("../api_types.ts").NexthopJson} Nexthop */
/** @typedef {import("../api_types.ts").RouteAttributesJson} RouteAttributes */

const WHOLE = new Intl.NumberFormat("en");

/**
 * `564,580`.
 * @param {number} value
 */
export function count(value) {
  return WHOLE.format(Math.round(value));
}

/**
 * A rate with three digits or so: `0`, `0.4`, `12`, `1,234`.
 * @param {number} value
 */
export function rate(value) {
  return value > 0 && value < 10 ? value.toFixed(1) : count(value);
}

/**
 * For axes and where there is little room: `350k`, `1.2M`.
 * @param {number} value
 */
export function short(value) {
  const size = Math.abs(value);
  if (size >= 1e6) return `${trim(value / 1e6)}M`;
  if (size >= 1e3) return `${trim(value / 1e3)}k`;
  return trim(value);
}

/** @param {number} value */
function trim(value) {
  return String(Number(value.toPrecision(3)));
}

/**
 * `85 µs`, `0.42 ms`, `12 ms`, `1.3 s`.
 * @param {number} milliseconds
 */
export function duration(milliseconds) {
  if (milliseconds === 0) return "0 ms";
  if (milliseconds < 0.1) return `${Math.max(1, Math.round(milliseconds * 1000))} µs`;
  if (milliseconds < 1) return `${milliseconds.toFixed(2)} ms`;
  if (milliseconds < 100) return `${Number(milliseconds.toPrecision(2))} ms`;
  if (milliseconds < 1000) return `${Math.round(milliseconds)} ms`;
  if (milliseconds < 60_000) return `${Number((milliseconds / 1000).toPrecision(2))} s`;
  return span(milliseconds / 1000);
}

/**
 * `3d 4h`, `4h 5m`, `5m 6s`, `6 s`: the two largest units.
 * @param {number} seconds
 */
export function span(seconds) {
  const whole = Math.max(0, Math.floor(seconds));
  const days = Math.floor(whole / 86_400);
  const hours = Math.floor(whole / 3600) % 24;
  const minutes = Math.floor(whole / 60) % 60;
  if (days > 0) return `${days}d ${hours}h`;
  if (hours > 0) return `${hours}h ${minutes}m`;
  if (minutes > 0) return `${minutes}m ${whole % 60}s`;
  return `${whole} s`;
}

/**
 * `12 s ago`, `now`.
 * @param {number} milliseconds
 * @param {number} now
 */
export function ago(milliseconds, now) {
  const seconds = (now - milliseconds) / 1000;
  return seconds < 1.5 ? "now" : `${span(seconds)} ago`;
}

/**
 * `19:35:11`, local time; with milliseconds if asked.
 * @param {number} milliseconds
 * @param {boolean} [exact]
 */
export function clock(milliseconds, exact = false) {
  const time = new Date(milliseconds);
  const text = [time.getHours(), time.getMinutes(), time.getSeconds()].map((part) => String(part).padStart(2, "0"));
  return `${text.join(":")}${exact ? `.${String(time.getMilliseconds()).padStart(3, "0")}` : ""}`;
}

/**
 * `2026-11-22 19:35:11.812`, local time.
 * @param {number} milliseconds
 */
export function dateAndTime(milliseconds) {
  const time = new Date(milliseconds);
  const date = [time.getFullYear(), time.getMonth() + 1, time.getDate()].map((part) => String(part).padStart(2, "0"));
  return `${date.join("-")} ${clock(milliseconds, true)}`;
}

/**
 * `167 MB`.
 * @param {number} value
 */
export function bytes(value) {
  if (value < 1e6) return `${count(value / 1e3)} kB`;
  return value < 1e9 ? `${count(value / 1e6)} MB` : `${(value / 1e9).toFixed(2)} GB`;
}

/**
 * `1 route`, `38 routes`.
 * @param {number} value
 * @param {string} noun
 */
export function plural(value, noun) {
  return `${count(value)} ${noun}${value === 1 ? "" : "s"}`;
}

/**
 * `via 10.0.0.2 dev v0 onlink`, as iproute2 has it.
 * @param {Nexthop} nexthop
 */
export function nexthopWords({ via, dev, onlink, labels, seg6 }) {
  const words = [];
  if (labels !== undefined) words.push(`encap mpls ${labels.join("/")}`);
  if (seg6 !== undefined) words.push(`encap seg6 mode ${seg6.mode} segs ${seg6.segs.join(",")}`);
  if (via !== undefined) words.push(`via ${via}`);
  if (dev !== undefined) words.push(`dev ${dev}`);
  if (onlink === true) words.push("onlink");
  return words.join(" ");
}

/**
 * What a route says behind its prefix, but for its nexthops where there are several.
 * @param {RouteAttributes} attributes
 */
export function attributeWords({ type, nexthops = [], nexthopGroup, prefsrc, mtu }) {
  const words = [];
  if (type !== "unicast") words.push(type);
  if (nexthopGroup !== undefined) words.push(`nhid ${nexthopGroup}`);
  if (nexthops.length === 1 && nexthops[0] !== undefined) words.push(nexthopWords(nexthops[0]));
  if (nexthops.length > 1) words.push(`${nexthops.length} nexthops`);
  if (prefsrc !== undefined) words.push(`src ${prefsrc}`);
  if (mtu !== undefined) words.push(`mtu ${mtu}`);
  return words.join(" ");
}
