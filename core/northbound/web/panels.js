/** The panels beside the pipeline and the plots: figures, counters, kernel, owners, nexthop groups, FPM, process. */
import { byId, element, setChildren, setText } from "./dom.js";
import { ago, bytes, clock, count, dateAndTime, duration, nexthopWords, plural, rate, short, span } from "./format.js";

/** @typedef {import("./live.js").Moment} Moment */
/** @typedef {import("../overview_types.ts").OverviewJson} Overview */

/** Rows of a panel that are shown. */
const ROWS_MAX = 8;

/** @param {Moment} moment */
export function showFigures(moment) {
  const { now, trend } = moment;
  const { dplane, kernel, routes } = now;
  const last = (/** @type {keyof typeof trend} */ name) => trend[name].at(-1) ?? 0;
  const latest = trend.totalP99.findLastIndex((value) => value !== null);
  const most = Math.max(0, ...trend.updates.map((value) => value ?? 0));
  const drift = sum(kernel.drift) + sum(kernel.nexthopDrift);
  setChildren(byId("figures"), [
    figure(
      "Updates",
      [rate(last("updates")), " /s"],
      `peak ${rate(most)} /s in ${span(Math.max(60, trend.time.length))}`,
    ),
    figure("Routes", [count(routes.ipv4 + routes.ipv6)], `${count(routes.ipv4)} IPv4 · ${count(routes.ipv6)} IPv6`),
    figure(
      "Incoming queue",
      [count(dplane.queueDepth), ` of ${count(dplane.queueLimit)}`],
      `most ${count(dplane.queueMax)} · ${plural(dplane.yields, "yield")}`,
    ),
    figure(
      "Latency",
      latest < 0 ? ["–"] : splitUnit(duration(trend.totalP50[latest] ?? 0)),
      latest < 0
        ? "no update lately"
        : `p99 ${duration(trend.totalP99[latest] ?? 0)}, ${ago(trend.time[latest] ?? 0, now.time)}`,
    ),
    figure(
      "Refused by the kernel",
      [count(kernel.failed), kernel.failed === 1 ? " route" : " routes"],
      `${plural(dplane.results.fibFailed, "failure")} in all`,
      kernel.failed > 0 ? "bad" : "",
    ),
    figure(
      "Drift",
      [count(drift), " found"],
      kernel.repairs.queued + kernel.repairs.delayed === 0
        ? drift === 0
          ? "nothing to repair"
          : "all repaired"
        : `${count(kernel.repairs.queued + kernel.repairs.delayed)} to be repaired`,
      kernel.repairs.queued + kernel.repairs.delayed > 0 ? "warn" : "",
    ),
  ]);
}

/**
 * @param {string} title
 * @param {readonly string[]} value The number, and its unit.
 * @param {string} note
 * @param {string} [state]
 */
function figure(title, [value = "", unit = ""], note, state = "") {
  const number = element("p", { class: "value" }, value, ...(unit === "" ? [] : [element("small", {}, unit)]));
  return element(
    "div",
    { class: `figure ${state}`.trim() },
    element("h2", {}, title),
    number,
    element("p", { class: "note", title: note }, note),
  );
}

/** @param {Readonly<Record<string, number>>} counts */
function sum(counts) {
  return Object.values(counts).reduce((total, value) => total + value, 0);
}

/** @param {string} text */
function splitUnit(text) {
  const [value = "", unit = ""] = text.split(" ");
  return [value, ` ${unit}`];
}

const PROVIDER_COLUMNS = /** @type {const} */ ([
  ["In", "in"],
  ["Queued", "inQueued"],
  ["Most", "inMax"],
  ["Out", "out"],
  ["Queued", "outQueued"],
  ["Most", "outMax"],
  ["Errors", "errors"],
  ["Undone", "undone"],
  ["Yields", "yields"],
  ["Exceptions", "exceptions"],
]);

/** The counters as tables, for those who want every number, while they are unfolded. */
/** @param {Overview} now */
export function showCounters({ providers, dplane }) {
  const details = /** @type {HTMLDetailsElement} */ (byId("counters"));
  if (!details.open) return;
  const table = /** @type {HTMLTableElement} */ (byId("providers"));
  const head = ["Provider", "Priority", "State"].map((title) => element("th", { scope: "col" }, title));
  const numbers = PROVIDER_COLUMNS.map(([title]) => element("th", { scope: "col", class: "number" }, title));
  if (table.tHead !== null) setChildren(table.tHead, [element("tr", {}, ...head, ...numbers)]);
  const rows = providers.map((provider) =>
    element(
      "tr",
      {},
      element("th", { scope: "row" }, `${provider.name} (${provider.id})`),
      element("td", {}, provider.priority),
      element("td", {}, provider.reason === undefined ? provider.state : `${provider.state}: ${provider.reason}`),
      ...PROVIDER_COLUMNS.map(([, key]) => element("td", { class: "number" }, count(provider[key]))),
    ),
  );
  const [body] = table.tBodies;
  if (body !== undefined) setChildren(body, rows);
  const { results, pool } = dplane;
  const words = /** @type {const} */ ([
    ["Route updates", dplane.routeUpdates],
    ["Route update errors", dplane.routeUpdateErrors],
    ["Route update queue limit", dplane.queueLimit],
    ["Route update queue depth", dplane.queueDepth],
    ["Route update queue max", dplane.queueMax],
    ["Route update yields", dplane.yields],
    ["Work limit", dplane.workLimit],
    ["Cycles", dplane.cycles],
    ["Contexts free", pool.free],
    ["FIB programmed", results.fibProgrammed],
    ["FIB failed", results.fibFailed],
    ["RIB programmed", results.ribProgrammed],
    ["Skipped", results.skipped],
    ["Superseded", results.superseded],
    ["Rejected", results.rejected],
    ["Restarts", dplane.restarts],
  ]);
  const facts = words.map(([title, value]) =>
    element("div", {}, element("dt", {}, title), element("dd", {}, count(value))),
  );
  setChildren(byId("dplane"), facts);
}

/**
 * @param {string} id
 * @param {readonly (readonly [string, string, string?])[]} facts Name, value and state.
 */
function showFacts(id, facts) {
  const rows = facts.flatMap(([name, value, state]) => [
    element("dt", {}, name),
    element("dd", { class: state || undefined }, value),
  ]);
  setChildren(byId(id), rows);
}

/** @param {Overview} now */
export function showKernel({ kernel, routes, time, nexthopGroups }) {
  const { last, drift, nexthopDrift, repairs } = kernel;
  setText(byId("kernel-note"), last === null ? "not compared yet" : `compared ${ago(last.time, time)}`);
  showFacts("kernel", [
    ["Routes at the last audit", last === null ? "–" : count(last.routes)],
    [
      "Audits",
      last === null ? count(kernel.audits) : `${count(kernel.audits)}, the last in ${duration(last.elapsedMs)}`,
    ],
    ["Found missing", count(drift.missing), drift.missing > 0 ? "warn" : ""],
    ["Found changed", count(drift.changed), drift.changed > 0 ? "warn" : ""],
    ["Found unexpected", count(drift.unexpected), drift.unexpected > 0 ? "warn" : ""],
    ["Nexthop objects put right", count(sum(nexthopDrift)), sum(nexthopDrift) > 0 ? "warn" : ""],
    ["Repairs waiting", count(repairs.queued), repairs.queued > 0 ? "warn" : ""],
    ["Repairs put off", count(repairs.delayed), repairs.delayed > 0 ? "warn" : ""],
    ["Refused routes", count(kernel.failed), kernel.failed > 0 ? "bad" : ""],
    ["Tried again", count(kernel.retries)],
    ["Contested routes", count(kernel.contested)],
    ["Adopted, nobody's", count(routes.adopted)],
    ["Nexthop objects", count(nexthopGroups.objects)],
    ["Notifications lost", plural(kernel.overruns, "time"), kernel.overruns > 0 ? "warn" : ""],
  ]);
}

/** @param {Overview} now */
export function showOwners({ owners, ownerCount, time }) {
  const most = Math.max(1, ...owners.map(({ routes }) => routes));
  const shown = owners.slice(0, ROWS_MAX);
  setText(
    byId("owners-note"),
    ownerCount > shown.length ? `${shown.length} of ${count(ownerCount)}` : count(ownerCount),
  );
  const rows = shown.map((owner) => {
    const bar = element("span");
    bar.style.width = `${(100 * owner.routes) / most}%`;
    const notes = [`distance ${owner.distance}`];
    if (owner.held > 0) notes.push(`${count(owner.held)} held`);
    if (owner.prefixLimit > 0) notes.push(`limit ${count(owner.prefixLimit)}`);
    if (owner.tables.length > 0) notes.push(`tables ${owner.tables.join(" ")}`);
    if (owner.hasToken) notes.push("token");
    if (owner.takeOver) notes.push("take-over");
    if (owner.syncing) notes.push("syncing");
    else if (owner.syncedAt > 0) notes.push(`synced ${ago(owner.syncedAt, time)}`);
    return element(
      "div",
      { class: "row" },
      element(
        "div",
        { class: "row-head" },
        element("span", { class: "name" }, owner.name || "nobody: adopted, not claimed"),
        element("span", {}, plural(owner.routes, "route")),
      ),
      element("div", { class: "share", "aria-hidden": "true" }, bar),
      element("div", { class: "row-note" }, ...notes.map((note) => element("span", {}, note))),
    );
  });
  setChildren(byId("owners"), rows.length > 0 ? rows : [empty("Nobody has asked for a route yet.")]);
}

/** @param {string} text */
function empty(text) {
  return element("p", { class: "empty" }, text);
}

const GROUP_STATES = { fib_programmed: "good", fib_failed: "bad", rib_programmed: "warn" };
const GROUP_WORDS = { fib_programmed: "programmed", fib_failed: "failed", rib_programmed: "waiting" };

/** @param {Overview} now */
export function showGroups({ nexthopGroups: { count: total, failed, waiting, groups } }) {
  const notes = [
    count(total),
    ...(failed > 0 ? [`${count(failed)} failed`] : []),
    ...(waiting > 0 ? [`${count(waiting)} waiting`] : []),
  ];
  setText(byId("groups-note"), notes.join(" · "));
  const rows = groups.slice(0, ROWS_MAX).map((group) => {
    const { id, status, inline, kernelId, waitingFor, error, members, backup = [], memberCount } = group;
    const state = inline ? "good" : GROUP_STATES[status];
    const list = [...members, ...backup].map((member, index) => {
      const isBackup = index >= members.length;
      const weight = (member.weight ?? 1) > 1 ? ` weight ${member.weight}` : "";
      const words = `${isBackup ? "backup " : ""}${nexthopWords(member)}${weight}`;
      const dot = element("span", { class: "dot", "aria-hidden": "true" });
      return element(
        "li",
        { class: member.active ? "good" : isBackup ? "" : "bad" },
        dot,
        element("span", { class: "mono" }, words),
        ...(member.active ? [] : [element("span", { class: "hidden" }, "not in use")]),
      );
    });
    if (memberCount > members.length) list.push(element("li", {}, `and ${count(memberCount - members.length)} more`));
    const why = [
      waitingFor === undefined ? "" : `waiting for ${waitingFor}`,
      error === undefined ? "" : `${error.message} (${error.code})`,
    ];
    return element(
      "div",
      { class: "row" },
      element(
        "div",
        { class: "row-head" },
        element("span", { class: "name" }, `Group ${id}`),
        element("span", { class: `tag ${state}` }, inline ? "inline" : GROUP_WORDS[status]),
      ),
      element("ul", { class: "members" }, ...list),
      element(
        "div",
        { class: "row-note" },
        ...(kernelId === undefined ? [] : [element("span", {}, `kernel id ${kernelId}`)]),
        ...why
          .filter((text) => text !== "")
          .map((text) => element("span", { class: error === undefined ? "" : "bad" }, text)),
      ),
    );
  });
  setChildren(byId("groups"), rows.length > 0 ? rows : [empty("No client has defined one.")]);
}

const PROVIDER_STATES = { up: "good", starting: "warn", bypassed: "bad", failed: "bad" };

/** @param {Overview} now */
export function showPlugins({ providers }) {
  const plugins = providers.flatMap(({ name, state, reason, plugin }) =>
    plugin === undefined ? [] : [{ name, state, reason, ...plugin }],
  );
  byId("plugins-panel").hidden = plugins.length === 0;
  setText(byId("plugins-note"), count(plugins.length));
  const rows = plugins.map(({ name, state, reason, path, pid, failClosed, counters, metrics }) => {
    const notes = [
      path,
      pid === undefined ? "no process" : `process ${pid}, ${bytes(counters.memoryBytes)}`,
      `${count(counters.decided)} decided`,
      ...(counters.refused > 0 ? [`${count(counters.refused)} refused`] : []),
      ...(counters.bypassed > 0 ? [`${count(counters.bypassed)} went on without it`] : []),
      ...(counters.held > 0 ? [`${count(counters.held)} in its hands`] : []),
      `longest call ${duration(counters.longestCallMs)}`,
      ...(counters.overBudget > 0 ? [`${plural(counters.overBudget, "call")} over budget`] : []),
      ...(counters.failures > 0 ? [plural(counters.failures, "failure")] : []),
      ...(failClosed ? ["updates fail without it"] : []),
      ...metrics.map(({ name: metric, value }) => `${metric} ${short(value)}`),
    ];
    return element(
      "div",
      { class: "row" },
      element(
        "div",
        { class: "row-head" },
        element("span", { class: "name" }, name),
        element("span", { class: `tag ${PROVIDER_STATES[state]}` }, state),
      ),
      element(
        "div",
        { class: "row-note" },
        ...(reason === undefined ? [] : [element("span", { class: "bad" }, reason)]),
        ...notes.map((note) => element("span", {}, note)),
      ),
    );
  });
  setChildren(byId("plugins"), rows);
}

const PEER_STATES = { settled: "good", replaying: "warn", down: "bad", gone: "bad" };
const CLIENT_STATES = { connected: "good", replaying: "warn", connecting: "bad", stopped: "bad" };

/** @param {Overview} now */
export function showFpm({ fpm: { server, clients }, time }) {
  byId("fpm-panel").hidden = server === null && clients.length === 0;
  setText(byId("fpm-note"), server === null ? "" : `listens on ${server.listen}`);
  const peers = (server?.peers ?? []).map((peer) =>
    fpmRow(`from ${peer.address}`, peer.state, PEER_STATES[peer.state], [
      `owner ${peer.owner}`,
      plural(peer.held, "route"),
      `${peer.state} for ${span((time - peer.since) / 1000)}`,
      ...(peer.parkedNexthops > 0 ? [`${count(peer.parkedNexthops)} nexthops not explained`] : []),
      ...(peer.lastError === undefined ? [] : [peer.lastError]),
    ]),
  );
  const servers = clients.map(({ name, address, profile, state, counters }) =>
    fpmRow(`to ${address}`, state, CLIENT_STATES[state], [
      `provider ${name}`,
      profile,
      `${plural(counters.routesHeld, "route")} told`,
      ...(counters.routesQueued > 0 ? [`${count(counters.routesQueued)} to be told`] : []),
    ]),
  );
  const rows = [...peers, ...servers];
  setChildren(byId("fpm"), rows.length > 0 ? rows : [empty("No peer has connected yet.")]);
}

/**
 * @param {string} name
 * @param {string} state
 * @param {string} kind
 * @param {readonly string[]} notes
 */
function fpmRow(name, state, kind, notes) {
  return element(
    "div",
    { class: "row" },
    element(
      "div",
      { class: "row-head" },
      element("span", { class: "name mono" }, name),
      element("span", { class: `tag ${kind}` }, state),
    ),
    element("div", { class: "row-note" }, ...notes.map((note) => element("span", {}, note))),
  );
}

/** @param {Moment} moment */
export function showProcess({ now, before, seconds }) {
  const { process, workers, clients, startedAt, time, version } = now;
  const cpu = before === null || seconds <= 0 ? 0 : (process.cpuSeconds - before.process.cpuSeconds) / seconds;
  setText(byId("process-note"), `up ${span((time - startedAt) / 1000)}`);
  setText(byId("version"), `dplaned ${version}, since ${dateAndTime(startedAt).slice(0, 19)}`);
  showFacts("process", [
    ["Memory", bytes(process.rssBytes)],
    ["Processor", `${(100 * cpu).toFixed(cpu < 0.1 ? 1 : 0)} %`],
    ["Main thread late by at most", duration(process.loopLagMaxMs), process.loopLagMaxMs > 100 ? "warn" : ""],
    ...workers.map(
      ({ name, alive }) =>
        /** @type {const} */ ([`Thread ${name}`, alive ? "alive" : "dead or stuck", alive ? "" : "bad"]),
    ),
    ["Update streams", `${count(clients.streamsOpen)} open of ${count(clients.streams)}`],
    ["Read of them", bytes(clients.bytes)],
    ["Event listeners", count(clients.eventListeners)],
    ["As of", clock(time)],
  ]);
}
