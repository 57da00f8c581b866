/**
 * One route's story, as `dplaned route show PREFIX` tells it, and the route that an address takes. What is shown stands
 * in the page's address, so that it can be sent to somebody else.
 */
import { ApiError, get } from "./api.js";
import { byId, element, setText } from "./dom.js";
import { attributeWords, count, dateAndTime, duration, nexthopWords } from "./format.js";

/** @typedef {import("../api_types.ts").RouteStoryJson} Story */
/** @typedef {import("../api_types.ts").RouteHistoryJson} History */
/** @typedef {import("../api_types.ts").LookupJson} Lookup */
/** @typedef {import("../api_types.ts").HistoryEntryJson} Entry */
/** @typedef {import("../api_types.ts").RouteAttributesJson} RouteAttributes */

const STATES = {
  fib_programmed: ["programmed", "good"],
  fib_failed: ["failed", "bad"],
  rib_programmed: ["held", "warn"],
  skipped: ["skipped", "warn"],
  superseded: ["superseded", ""],
  rejected: ["rejected", "bad"],
};

/**
 * What somebody has typed: `203.0.113.0/24`, `1.1.1.1`, `2001:db8::/32 table 100`, `default vrf blue`.
 * @param {string} text
 */
export function parseQuestion(text) {
  const [name = "", word, table] = text.trim().split(/\s+/);
  const isAddress = name !== "default" && !name.includes("/");
  return { name, isAddress, ...((word === "table" || word === "vrf") && table !== undefined ? { table } : {}) };
}

export class StoryDialog {
  #dialog = /** @type {HTMLDialogElement} */ (byId("story"));
  #title = byId("story-title");
  #body = byId("story-body");
  #input = /** @type {HTMLInputElement} */ (byId("query"));
  /** Answers that come late are about something else. */
  #asked = 0;

  constructor() {
    byId("search").addEventListener("submit", (event) => {
      event.preventDefault();
      this.ask(this.#input.value);
    });
    byId("story-close").addEventListener("click", () => this.#dialog.close());
    this.#dialog.addEventListener("click", (event) => {
      if (event.target === this.#dialog) this.#dialog.close();
    });
    this.#dialog.addEventListener("close", () => {
      this.#asked += 1;
      if (location.hash !== "") history.replaceState(null, "", location.pathname);
    });
    document.addEventListener("click", (event) => {
      const prefix = event.target instanceof HTMLElement ? event.target.dataset["prefix"] : undefined;
      if (prefix !== undefined) this.ask(prefix);
    });
    window.addEventListener("hashchange", () => this.openFromAddress());
    this.openFromAddress();
  }

  openFromAddress() {
    const question = /^#route=(.+)$/.exec(location.hash)?.[1];
    if (question !== undefined) void this.#show(decodeURIComponent(question.replaceAll("+", " ")));
  }

  /** @param {string} question */
  ask(question) {
    const text = question.trim();
    if (text === "") return this.#input.focus();
    const hash = `#route=${text.replaceAll(" ", "+")}`;
    if (location.hash === hash) void this.#show(text);
    else location.hash = hash;
  }

  /** @param {string} question */
  async #show(question) {
    const number = ++this.#asked;
    setText(this.#title, question);
    this.#body.replaceChildren(element("p", { class: "empty", role: "status" }, "Asking the daemon …"));
    if (!this.#dialog.open) this.#dialog.showModal();
    try {
      const children = await answer(question);
      if (number === this.#asked) this.#body.replaceChildren(...children);
    } catch (error) {
      if (number !== this.#asked) return;
      const hint = error instanceof ApiError ? error.hint : "does dplaned run?";
      const message = error instanceof ApiError ? error.message : "The daemon does not answer";
      this.#body.replaceChildren(
        element("p", { role: "alert" }, message),
        ...(hint === "" ? [] : [element("p", { class: "hint" }, hint)]),
      );
    }
  }
}

/**
 * @param {string} question
 * @returns {Promise<HTMLElement[]>}
 */
async function answer(question) {
  const { name, isAddress, ...table } = parseQuestion(question);
  if (!isAddress) return stories(name, await get("/v1/routes/history", { prefix: name, ...table }));
  /** @type {Lookup} */
  const found = await get("/v1/lookup", { address: name, ...table });
  if (found.route === null) {
    const where = found.table === 254 ? "the main table" : `table ${found.table}`;
    return [element("p", {}, `No programmed route in ${where} leads to ${name}.`)];
  }
  const { prefix, table: inTable, metric } = found.route;
  /** @type {History} */
  const told = await get("/v1/routes/history", { prefix, table: String(inTable), metric: String(metric) });
  const lead = element(
    "p",
    {},
    "The longest match for ",
    element("code", {}, name),
    " is ",
    element("code", {}, prefix),
    ".",
  );
  return [lead, ...stories(prefix, told)];
}

/**
 * @param {string} name
 * @param {History} told
 */
function stories(name, { routes, omitted, since }) {
  const parts = routes.map(story);
  const notes = [];
  if (routes.length === 0) notes.push(`Nobody wants a route to ${name}, and nothing is known to have happened to one.`);
  if (omitted > 0) notes.push(`${count(omitted)} older entries are not shown.`);
  if (since !== undefined) notes.push(`What happened before ${dateAndTime(since)} is no longer known.`);
  return [...parts, ...notes.map((note) => element("p", { class: "note" }, note))];
}

/** @param {Story} told */
function story({ prefix, table, vrf, metric, source, route, claims, kernel, nextTryMs, entries }) {
  const made = element("section", { class: "route" });
  const where = [
    ...(source === undefined ? [] : [`from ${source}`]),
    ...(table === 254 ? [] : [vrf === undefined ? `table ${table}` : `vrf ${vrf} (table ${table})`]),
    `metric ${metric}`,
  ];
  const [word = "", state = ""] = route === null ? ["gone"] : STATES[route.status];
  const tags = element("div", { class: "route-state" }, element("span", { class: `tag ${state}` }, word));
  if (route !== null)
    tags.append(element("span", { class: "note" }, route.owner === "" ? "adopted, no owner" : `owner ${route.owner}`));
  if (route?.winner !== undefined)
    tags.append(element("span", { class: "note" }, `${route.winner} has a better route`));
  if (route?.waitingFor !== undefined)
    tags.append(element("span", { class: "note" }, `waiting for ${route.waitingFor}`));
  if (nextTryMs !== undefined) tags.append(element("span", { class: "note" }, `next try in ${duration(nextTryMs)}`));
  const words = route === null ? where : [attributeWords(route), ...where];
  made.append(tags, routeLine([prefix, ...words].filter((text) => text !== "").join(" "), route?.nexthops ?? []));
  if (route?.error !== undefined) {
    made.append(element("p", { class: "why" }, `${route.error.message} (${route.error.code})`));
    if (route.error.hint !== undefined) made.append(element("p", { class: "hint" }, route.error.hint));
  }
  if (kernel !== undefined && route !== null) {
    const held = kernel === null ? "The kernel does not hold it." : `The kernel holds ${attributeWords(kernel)}.`;
    made.append(element("p", {}, held));
  }
  if (claims.length > 1) made.append(claimTable(claims));
  made.append(element("h3", {}, "What happened"), timeline(entries));
  return made;
}

/**
 * @param {string} words
 * @param {readonly import("../api_types.ts").NexthopJson[]} nexthops
 */
function routeLine(words, nexthops) {
  const line = element("div", { class: "route-line" }, words);
  if (nexthops.length > 1) {
    const list = nexthops.map((nexthop) =>
      element("li", {}, `nexthop ${nexthopWords(nexthop)} weight ${nexthop.weight ?? 1}`),
    );
    line.append(element("ul", {}, ...list));
  }
  return line;
}

/** @param {Story["claims"]} claims */
function claimTable(claims) {
  const head = ["Owner", "Distance", "Route", "Selected"].map((title) => element("th", { scope: "col" }, title));
  const rows = claims.map(({ owner, distance, attributes, selected, notSelected, error }) => {
    const why = { higher_distance: "its distance is higher", came_later: "it came later", refused: "refused" };
    const state = selected ? "yes" : `no: ${notSelected === undefined ? "" : why[notSelected]}`;
    const refused = error === undefined ? "" : `, ${error.message} (${error.code})`;
    return element(
      "tr",
      {},
      element("th", { scope: "row" }, owner === "" ? "nobody" : owner),
      element("td", { class: "number" }, String(distance)),
      element("td", { class: "mono" }, attributeWords(attributes)),
      element("td", {}, `${state}${refused}`),
    );
  });
  const table = element("table", {}, element("thead", {}, element("tr", {}, ...head)), element("tbody", {}, ...rows));
  return element("section", { class: "scroll", tabindex: "0", "aria-label": "Who wants the route" }, table);
}

/** @param {readonly Entry[]} entries Oldest first. */
function timeline(entries) {
  if (entries.length === 0) return element("p", { class: "empty" }, "Nothing is known of what happened to it.");
  const rows = entries.toReversed().map((entry) => {
    const { time, event, status, error, summary } = entry;
    const isDrift = event === "drift" || event === "repair_delayed";
    const state = isDrift ? "warn" : status === undefined ? "" : STATES[status][1];
    return element(
      "li",
      { class: state },
      element("time", { datetime: new Date(time).toISOString() }, dateAndTime(time)),
      element("span", { class: "why" }, summary),
      ...(error?.hint === undefined ? [] : [element("p", { class: "hint" }, error.hint)]),
      ...stages(entry),
    );
  });
  return element("ol", { class: "timeline" }, ...rows);
}

/** Where the time of an update went. */
/** @param {Entry} entry */
function stages({ queueMs, kernelMs, pipelineMs, resultMs }) {
  if (queueMs === undefined || pipelineMs === undefined || resultMs === undefined) return [];
  const middle = /** @type {const} */ ([kernelMs === undefined ? "providers" : "kernel", pipelineMs]);
  const parts = /** @type {const} */ ([["queue", queueMs], middle, ["result", resultMs]]);
  const total = queueMs + pipelineMs + resultMs;
  const bar = element("span", { class: "stage-bar", "aria-hidden": "true" });
  for (const [index, [, time]] of parts.entries()) {
    const part = element("span", { class: `stage-${index + 1}` });
    part.style.width = `${(100 * time) / Math.max(total, 0.001)}%`;
    bar.append(part);
  }
  const words = parts.map(([name, time]) => `${name} ${duration(time)}`).join(", ");
  return [element("div", { class: "stages" }, bar, element("span", {}, `${duration(total)}: ${words}`))];
}
