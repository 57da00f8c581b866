/** The dashboard: asks for the daemon's state once a second, and shows it. */
import { byId, setText } from "./dom.js";
import { span } from "./format.js";
import { Live } from "./live.js";
import {
  showCounters,
  showFigures,
  showFpm,
  showGroups,
  showKernel,
  showOwners,
  showPlugins,
  showProcess,
} from "./panels.js";
import { Pipeline } from "./pipeline.js";
import { Plots } from "./plots.js";
import { StoryDialog } from "./story.js";
import { isFree, startThemeSwitch } from "./theme_switch.js";
import { showTroubles } from "./troubles.js";

/** @typedef {import("./live.js").Moment} Moment */

const pipeline = new Pipeline();
const plots = new Plots();
new StoryDialog();
startThemeSwitch(() => plots.rebuild());

/** @type {Moment | null} */
let latest = null;

/** @param {Moment} moment */
function show(moment) {
  latest = moment;
  const { now, trend, troubles } = moment;
  document.body.classList.remove("is-offline");
  byId("offline").hidden = true;
  showState(now.ready ? "ready" : now.reasons.join("; "), now.ready ? "good" : "bad");
  showFigures(moment);
  pipeline.show(moment);
  plots.show(trend, now.time);
  showTroubles(troubles, now.time);
  showKernel(now);
  showOwners(now);
  showGroups(now);
  showPlugins(now);
  showFpm(now);
  showProcess(moment);
  showCounters(now);
}

/**
 * @param {string} text
 * @param {"good" | "bad"} kind
 */
function showState(text, kind) {
  const state = byId("state");
  state.className = `state ${kind}`;
  state.title = text;
  setText(byId("state-text"), text);
  document.title = kind === "good" ? "dplaned" : `dplaned: ${text}`;
}

/**
 * @param {string} why
 * @param {number} since
 */
function showLoss(why, since) {
  document.body.classList.add("is-offline");
  showState("disconnected", "bad");
  const offline = byId("offline");
  offline.hidden = false;
  const seconds = (Date.now() - since) / 1000;
  const last = latest === null ? "" : ` What is below is from ${span(seconds)} ago.`;
  setText(offline, `dplaned does not answer${why === "" ? "" : `: ${why}`}. Trying again.${last}`);
}

byId("counters").addEventListener("toggle", () => latest !== null && showCounters(latest.now));
document.addEventListener("keydown", (event) => {
  if (event.key !== "/" || !isFree(event)) return;
  event.preventDefault();
  byId("query").focus();
});
new Live(show, showLoss).start();
