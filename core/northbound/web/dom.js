/** How the pages make and find elements. Text goes in as text, so nothing that a route says becomes markup. */

/** @typedef {Node | string} Child */

/**
 * The element with this id, of which there must be one.
 * @param {string} id
 * @returns {HTMLElement}
 */
export function byId(id) {
  const found = document.getElementById(id);
  if (found === null) throw new Error(`The page has no #${id}`);
  return found;
}

/**
 * An element with attributes and children. `class` and the like are attributes; what is undefined or false is left out.
 * @template {keyof HTMLElementTagNameMap} Tag
 * @param {Tag} tag
 * @param {Readonly<Record<string, string | number | boolean | undefined>>} [attributes]
 * @param {...Child} children
 * @returns {HTMLElementTagNameMap[Tag]}
 */
export function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  setAttributes(made, attributes);
  made.append(...children);
  return made;
}

const SVG = "http://www.w3.org/2000/svg";

/**
 * The same for what is drawn.
 * @template {keyof SVGElementTagNameMap} Tag
 * @param {Tag} tag
 * @param {Readonly<Record<string, string | number | boolean | undefined>>} [attributes]
 * @param {...Child} children
 * @returns {SVGElementTagNameMap[Tag]}
 */
export function drawing(tag, attributes = {}, ...children) {
  const made = document.createElementNS(SVG, tag);
  setAttributes(made, attributes);
  made.append(...children);
  return made;
}

/**
 * @param {Element} of
 * @param {Readonly<Record<string, string | number | boolean | undefined>>} attributes
 */
function setAttributes(of, attributes) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== undefined && value !== false) of.setAttribute(name, value === true ? "" : String(value));
  }
}

/**
 * Sets a text only if it differs, so that an idle page is not laid out again each second.
 * @param {Element} of
 * @param {string} text
 */
export function setText(of, text) {
  if (of.textContent !== text) of.textContent = text;
}

/**
 * @param {Element} of
 * @param {string} name
 * @param {string} value
 */
export function setAttribute(of, name, value) {
  if (of.getAttribute(name) !== value) of.setAttribute(name, value);
}

/**
 * Puts children in the place of others unless they would look the same; whoever has the focus in there keeps it.
 * @param {Element} of
 * @param {readonly Child[]} children
 */
export function setChildren(of, children) {
  const fresh = document.createElement("div");
  fresh.append(...children);
  if (fresh.innerHTML === of.innerHTML) return;
  const focused = of.contains(document.activeElement) ? document.activeElement : null;
  const key = focused?.getAttribute("data-key");
  of.replaceChildren(...fresh.childNodes);
  if (key === null || key === undefined) return;
  for (const candidate of of.querySelectorAll("[data-key]")) {
    if (candidate instanceof HTMLElement && candidate.dataset["key"] === key) return candidate.focus();
  }
}
