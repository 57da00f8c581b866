/** Lets the reader choose the colours; core/northbound/web/theme.js puts the choice in place when a page is opened. */
import { byId } from "./dom.js";

const NEXT = { system: "light", light: "dark", dark: "system" };
const WORDS = { system: "as the system", light: "light", dark: "dark" };

/** @param {() => void} onChange Called when the colours are others. */
export function startThemeSwitch(onChange) {
  const button = byId("theme");
  const root = document.documentElement;
  const current = () => /** @type {keyof typeof NEXT} */ (root.dataset["theme"] ?? "system");
  const describe = () => button.setAttribute("aria-label", `Colours: ${WORDS[current()]}`);
  const change = () => {
    const theme = NEXT[current()];
    root.dataset["theme"] = theme;
    try {
      localStorage.setItem("dplaned-theme", theme);
    } catch {
      // It holds for as long as the page is open.
    }
    describe();
    onChange();
  };
  describe();
  button.addEventListener("click", change);
  document.addEventListener("keydown", (event) => {
    if (event.key === "t" && isFree(event)) change();
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", onChange);
}

/**
 * Whether a key is not meant for what has the focus.
 * @param {KeyboardEvent} event
 */
export function isFree(event) {
  const isTyping = event.target instanceof HTMLInputElement && event.target.type !== "radio";
  return !isTyping && !event.ctrlKey && !event.metaKey && !event.altKey;
}
