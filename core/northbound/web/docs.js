/** The reference of the API: what /openapi.json says, for people. Calls that read can be made from here. */
import { get } from "./api.js";
import { fieldList, inlineMarks, schemaName, typeWords } from "./docs_schema.js";
import { callForm } from "./docs_try.js";
import { byId, element, setText } from "./dom.js";
import { isFree, startThemeSwitch } from "./theme_switch.js";

/** @typedef {import("../openapi.ts").OpenapiDocument} OpenapiDocument */
/** @typedef {import("../openapi.ts").Operation} Operation */
/** @typedef {import("./docs_schema.js").Parameter} Parameter */

/**
 * @typedef {object} Call
 * @property {string} method
 * @property {string} path
 * @property {Operation} operation
 */

/**
 * @param {OpenapiDocument} document
 * @returns {Call[]}
 */
function callsOf({ paths }) {
  return Object.entries(paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({ method, path, operation })),
  );
}

/** @param {string} method */
function methodMark(method) {
  return element("span", { class: `method ${method}` }, method.toUpperCase());
}

/** @param {Call} call */
function callSection({ method, path, operation }) {
  const { operationId, summary, description, requestBody, responses } = operation;
  const parameters = /** @type {readonly Parameter[]} */ (operation.parameters ?? []);
  const title = element("h3", {}, methodMark(method), element("a", { href: `#${operationId}` }, path));
  const section = element(
    "section",
    { class: "panel call", id: operationId, "aria-label": `${method.toUpperCase()} ${path}` },
    title,
  );
  section.append(element("p", {}, ...inlineMarks(`${summary}.`)));
  if (description !== undefined) section.append(element("p", { class: "note" }, ...inlineMarks(description)));
  for (const { label, source } of operation["x-codeSamples"] ?? []) section.append(command(label, source));
  if (parameters.length > 0) {
    const rows = parameters.map(({ name, required, schema, description: meaning, in: where }) => ({
      name,
      isRequired: required,
      type: `${typeWords(schema)}${where === "path" ? ", in the path" : ""}`,
      schema,
      description: meaning,
    }));
    section.append(element("h4", {}, "Parameters"), fieldList(rows));
  }
  if (requestBody !== undefined) {
    const rows = Object.entries(requestBody.content).map(([type, { schema }]) => ({
      name: type,
      type: typeWords(schema),
      schema,
      description: schema.description ?? "",
    }));
    section.append(element("h4", {}, "Body"), fieldList(rows));
  }
  const answers = Object.entries(responses).map(([status, { description: meaning, content = {} }]) => {
    const kinds = Object.entries(content);
    const [first] = kinds;
    const type = kinds.map(([kind, { schema }]) => `${kind} ${typeWords(schema)}`.trim()).join(" or ");
    return { name: status, type, ...(first === undefined ? {} : { schema: first[1].schema }), description: meaning };
  });
  section.append(element("h4", {}, "Answers"), fieldList(answers));
  if (method === "get") section.append(...callForm(path, parameters));
  return section;
}

/**
 * @param {string} label
 * @param {string} source
 */
function command(label, source) {
  const button = element("button", { class: "button", type: "button", "aria-label": `Copy: ${label}` }, "Copy");
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText(source);
    setText(button, "Copied");
    setTimeout(() => setText(button, "Copy"), 1500);
  });
  // Copying is for pages that came safely; on others the text can be marked by hand.
  const copy = navigator.clipboard === undefined ? [] : [button];
  return element("figure", { class: "command" }, element("figcaption", {}, label), element("pre", {}, source), ...copy);
}

/** @param {OpenapiDocument} document */
function show(document) {
  const calls = callsOf(document);
  setText(byId("about"), `${document.info.description} Version ${document.info.version}.`);
  for (const { name, description } of document.tags) {
    const own = calls.filter(({ operation }) => operation.tags?.includes(name));
    byId("calls").append(
      element(
        "section",
        { class: "group", "aria-label": name },
        element("h2", {}, name),
        element("p", {}, description),
        ...own.map(callSection),
      ),
    );
    const links = own.map(({ method, path, operation }) =>
      element(
        "a",
        { href: `#${operation.operationId}`, "data-call": operation.operationId },
        methodMark(method),
        element("span", { class: "path" }, path),
      ),
    );
    byId("contents").append(element("h2", {}, name), ...links);
  }
  for (const [name, schema] of Object.entries(document.components.schemas)) {
    const details = element("details", { id: schemaName(name) }, element("summary", {}, name));
    if (schema.description !== undefined)
      details.append(element("p", { class: "note" }, ...inlineMarks(schema.description)));
    details.append(fieldList([], schema));
    byId("schemas").append(details);
  }
  openTarget();
}

/** Unfolds the schema that the page's address names, and goes to what it names. */
function openTarget() {
  const target = document.getElementById(location.hash.slice(1));
  if (target instanceof HTMLDetailsElement) target.open = true;
  target?.scrollIntoView();
}

/** @param {string} word */
function filter(word) {
  const wanted = word.trim().toLowerCase();
  let shown = 0;
  for (const call of document.querySelectorAll(".call")) {
    const fits = (call.textContent ?? "").toLowerCase().includes(wanted);
    /** @type {HTMLElement} */ (call).hidden = !fits;
    const link = document.querySelector(`[data-call="${call.id}"]`);
    if (link instanceof HTMLElement) link.hidden = !fits;
    shown += Number(fits);
  }
  for (const group of document.querySelectorAll(".group")) {
    /** @type {HTMLElement} */ (group).hidden = group.querySelector(".call:not([hidden])") === null;
  }
  byId("schemas").hidden = wanted !== "";
  byId("nothing").hidden = shown > 0;
}

startThemeSwitch(() => {});
const query = /** @type {HTMLInputElement} */ (byId("query"));
query.addEventListener("input", () => filter(query.value));
byId("search").addEventListener("submit", (event) => {
  event.preventDefault();
  filter(query.value);
  byId("main").focus();
});
document.addEventListener("keydown", (event) => {
  if (event.key !== "/" || !isFree(event)) return;
  event.preventDefault();
  query.focus();
});
window.addEventListener("hashchange", openTarget);
try {
  show(await get("/openapi.json"));
} catch {
  setText(byId("about"), "dplaned does not answer; load the page again when it runs.");
}
