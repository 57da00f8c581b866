/** A form that makes a call which reads, and shows the answer as it came. */
import { element } from "./dom.js";

/** @typedef {import("./docs_schema.js").Parameter} Parameter */

/** Bytes of an answer that are shown; a stream of events has no end. */
const SHOWN_MAX = 64 * 1024;
/** How long a stream without an end is listened to. */
const LISTEN_MS = 5000;

/**
 * @param {string} path
 * @param {readonly Parameter[]} parameters
 * @returns {HTMLElement[]}
 */
export function callForm(path, parameters) {
  const form = element("form", { class: "try" });
  for (const { name, required, schema } of parameters) {
    const choices = schema.type === "boolean" ? ["true", "false"] : schema.enum?.map(String);
    const field =
      choices === undefined
        ? element("input", {
            name,
            required,
            autocomplete: "off",
            spellcheck: "false",
            placeholder: String(schema.default ?? ""),
          })
        : element("select", { name }, ...["", ...choices].map((word) => element("option", { value: word }, word)));
    form.append(element("label", {}, name, field));
  }
  form.append(element("button", { class: "button", type: "submit" }, "Send"));
  const answer = element("div", { class: "answer", "aria-live": "polite" });
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    void send(addressOf(path, new FormData(form)), answer);
  });
  return [element("h4", {}, "Try it"), form, answer];
}

/**
 * @param {string} path
 * @param {FormData} data
 */
function addressOf(path, data) {
  let filled = path;
  const search = new URLSearchParams();
  for (const [name, value] of data) {
    const text = String(value);
    if (filled.includes(`{${name}}`)) filled = filled.replace(`{${name}}`, encodeURIComponent(text));
    else if (text !== "") search.set(name, text);
  }
  return search.size === 0 ? filled : `${filled}?${search}`;
}

/**
 * @param {string} address
 * @param {HTMLElement} place
 */
async function send(address, place) {
  const stop = new AbortController();
  const timer = setTimeout(() => stop.abort(), LISTEN_MS);
  const startedAt = performance.now();
  const note = element("p", { class: "note" }, `GET ${address} …`);
  const shown = element("pre", { tabindex: 0, "aria-label": "Answer" });
  place.replaceChildren(note, shown);
  try {
    const response = await fetch(address, { signal: stop.signal, cache: "no-store" });
    const took = (performance.now() - startedAt).toFixed(1);
    const type = response.headers.get("content-type") ?? "";
    note.textContent = `GET ${address}: ${response.status}, ${type}, after ${took} ms`;
    await readInto(shown, response, type, stop.signal);
  } catch {
    if (stop.signal.aborted) note.textContent += `; listened for ${LISTEN_MS / 1000} s`;
    else note.textContent = `GET ${address}: dplaned does not answer`;
  } finally {
    clearTimeout(timer);
    stop.abort();
  }
}

/**
 * @param {HTMLElement} shown
 * @param {Response} response
 * @param {string} type
 * @param {AbortSignal} signal
 */
async function readInto(shown, response, type, signal) {
  const reader = response.body?.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  while (reader !== undefined && text.length < SHOWN_MAX && !signal.aborted) {
    const { done, value } = await reader.read();
    if (done) break;
    text += value;
    shown.textContent = text;
  }
  if (text.length >= SHOWN_MAX) shown.textContent = `${text.slice(0, SHOWN_MAX)}\n…`;
  else if (/json$/.test(type) && !type.includes("ndjson"))
    shown.textContent = JSON.stringify(JSON.parse(text), null, 2);
}
