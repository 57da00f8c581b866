/** The latest failures and drift, those together that say the same. */
import { byId, element, setChildren, setText } from "./dom.js";
import { ago, clock, count, dateAndTime, plural } from "./format.js";

/** @typedef {import("../overview_types.ts").TroubleJson} Trouble */
/** @typedef {{ latest: Trouble; prefixes: Set<string>; times: number }} Kind */

const SHOWN_MAX = 12;

const WORDS = { result: ["failed", "bad"], drift: ["drift", "warn"], repair_delayed: ["put off", "warn"] };

/**
 * @param {readonly Trouble[]} troubles Oldest first.
 * @param {number} now
 */
export function showTroubles(troubles, now) {
  /** @type {Map<string, Kind>} */
  const kinds = new Map();
  for (const trouble of troubles.toReversed()) {
    const { event, error, drift, text, protocol, owner } = trouble;
    const key = JSON.stringify([event, error?.code, error?.message, error?.hint, drift, text, protocol, owner]);
    const known = kinds.get(key);
    if (known === undefined) kinds.set(key, { latest: trouble, prefixes: new Set([trouble.prefix]), times: 1 });
    else {
      known.prefixes.add(trouble.prefix);
      known.times += 1;
    }
  }
  const rows = [...kinds.values()].slice(0, SHOWN_MAX).map((kind) => row(kind, now));
  setText(
    byId("troubles-note"),
    troubles.length === 0 ? "" : troubles.length === 1 ? "" : `the last ${count(troubles.length)}`,
  );
  const nothing = element("li", { class: "empty" }, "Nothing has failed, and the kernel was never found to differ.");
  setChildren(byId("troubles"), rows.length > 0 ? rows : [nothing]);
}

/**
 * @param {Kind} kind
 * @param {number} now
 */
function row({ latest, prefixes, times }, now) {
  const { time, event, prefix, table, vrf, owner, error, provider, summary } = latest;
  const [word = event, state = ""] = WORDS[/** @type {keyof typeof WORDS} */ (event)] ?? [];
  const where = vrf ?? (table === 254 ? "" : `table ${table}`);
  const others = prefixes.size - 1;
  const more = others > 0 ? `and ${plural(others, "other route")}` : times > 1 ? `${count(times)} times` : "";
  const why =
    error === undefined
      ? summary.replace(/^drift: /, "")
      : `${error.message} (${error.code})${provider === undefined ? "" : `, provider ${provider}`}`;
  return element(
    "li",
    {},
    element(
      "time",
      { datetime: new Date(time).toISOString(), title: dateAndTime(time) },
      now - time < 3_600_000 ? ago(time, now) : clock(time),
    ),
    element(
      "div",
      {},
      element(
        "div",
        { class: "what" },
        element("span", { class: `tag ${state}` }, word),
        element(
          "button",
          { class: "prefix", type: "button", "data-prefix": prefix, "data-key": `${prefix} ${table}` },
          prefix,
        ),
        ...[where, more, owner === undefined ? "" : `owner ${owner}`]
          .filter((text) => text !== "")
          .map((text) => element("span", { class: "note" }, text)),
      ),
      element("p", { class: "why" }, why),
      ...(error?.hint === undefined ? [] : [element("p", { class: "hint" }, error.hint)]),
    ),
  );
}
