/**
 * What a splitter found, into a `RouteUpdate`: the one place where the two syntaxes meet. Main thread.
 */
import { LINE_BYTES_MAX } from "../constants.ts";
import type { RouteUpdate } from "../model/route.ts";
import { Family } from "../model/route.ts";
import { isJsonSpace } from "./json_bytes.ts";
import { BodyFormat } from "./line_splitter.ts";
import { isBlankLine } from "./line_words.ts";
import { SplitKind, type UpdateSplitter } from "./splitter.ts";
import { createUpdateError, type UpdateError } from "./update_error.ts";
import { parseUpdateObject } from "./update_json.ts";
import { parseUpdateLine } from "./update_line.ts";
import { type NameResolver, UPDATE_DEFAULTS, type UpdateDefaults } from "./update_rules.ts";

/**
 * Whether the update that `splitter` found as TEXT is blank (for route commands also: a comment) and gets no result.
 */
export function isBlankUpdate(splitter: UpdateSplitter, format: BodyFormat): boolean {
  if (format === BodyFormat.LINES) return splitter.text !== null && isBlankLine(splitter.text);
  const { bytes, from, to } = splitter;
  for (let position = from; position < to; position++) if (!isJsonSpace(bytes[position]!)) return false;
  return true;
}

/** Fills `into` from what `splitter.next()` found and returned as `kind`, and returns what is wrong with it, or null. */
export function parseUpdate(
  kind: SplitKind,
  splitter: UpdateSplitter,
  format: BodyFormat,
  into: RouteUpdate,
  resolver: NameResolver,
  defaults: UpdateDefaults = UPDATE_DEFAULTS,
): UpdateError | null {
  const text = kind === SplitKind.TEXT ? splitter.text : null;
  if (text === null) {
    into.family = Family.NONE;
    return splitError(kind);
  }
  if (format === BodyFormat.LINES) return parseUpdateLine(text, into, resolver, defaults);
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    into.family = Family.NONE;
    return invalidJson(text, error);
  }
  return parseUpdateObject(value, into, resolver, defaults);
}

function splitError(kind: SplitKind): UpdateError {
  switch (kind) {
    case SplitKind.TOO_LONG:
      return createUpdateError("LINE_TOO_LONG", "", `An update is longer than ${LINE_BYTES_MAX} bytes`);
    case SplitKind.TEXT:
    case SplitKind.INVALID_UTF8:
      return createUpdateError("INVALID_UTF8", "", "The update has bytes that are not UTF-8");
    default:
      return createUpdateError("TRUNCATED", "", "The body ended inside of an update or before the array's end");
  }
}

function invalidJson(text: string, error: unknown): UpdateError {
  // The engines' messages differ, but each says what it met.
  const reason = error instanceof Error ? error.message : String(error);
  const start = text.trimStart();
  let hint: string | undefined;
  if (start.startsWith("route ") || start.startsWith("ip ")) {
    hint = "for route commands send Content-Type: text/x-iproute2";
  } else if (start.trimEnd() === "{") {
    hint = "write an update on one line, or send Content-Type: application/json";
  }
  return createUpdateError("INVALID_JSON", "", `Not JSON: ${reason.slice(0, 160)}`, hint);
}
