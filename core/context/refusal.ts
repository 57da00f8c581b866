/**
 * The refusal of an update by a plugin, in the error text of a context of which the error is PROVIDER_REFUSED: a code of
 * the plugin's own, what is wrong, and what to do about it, as one text. Pure; any thread.
 */

export interface Refusal {
  code: string;
  message: string;
  /** Empty for none. */
  hint: string;
}

/** In no text of a provider that is not a plugin, and taken out of those that are. */
const SEPARATOR = "\u001f";

export function formatRefusal({ code, message, hint }: Refusal): string {
  return [code, message, hint].map((part) => part.replaceAll(SEPARATOR, " ")).join(SEPARATOR);
}

/** Undefined for an error text that is no refusal of a plugin. */
export function parseRefusal(text: string): Refusal | undefined {
  const [code, message, hint = ""] = text.split(SEPARATOR);
  return code === undefined || message === undefined ? undefined : { code, message, hint };
}
