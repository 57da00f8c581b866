/**
 * The words of route commands: how a line is parted into them, which there are, and what those of no consequence may say.
 * Pure; any thread.
 */
import { UpdateOp } from "../model/route.ts";
import { createUpdateError, quote, type UpdateError } from "./update_error.ts";

export const VERBS: ReadonlyMap<string, UpdateOp> = new Map([
  ["add", UpdateOp.INSTALL],
  ["replace", UpdateOp.INSTALL],
  ["change", UpdateOp.INSTALL],
  ["chg", UpdateOp.INSTALL],
  ["del", UpdateOp.DELETE],
  ["delete", UpdateOp.DELETE],
]);

export const UNSUPPORTED_VERBS: ReadonlyMap<string, string> = new Map([
  ["append", "dplaned holds one route a prefix, table and metric; list all its nexthops in one command"],
  ["prepend", "dplaned holds one route a prefix, table and metric; list all its nexthops in one command"],
  ["flush", "DELETE /v1/owners/O/routes withdraws all routes of an owner"],
]);

export const UNSUPPORTED_TYPES: ReadonlySet<string> = new Set(["local", "broadcast", "multicast", "anycast", "nat"]);

/** What `ip route` knows beside the words below. */
export const UNSUPPORTED_WORDS: ReadonlySet<string> = new Set([
  "advmss",
  "as",
  "congctl",
  "cwnd",
  "expires",
  "fastopen_no_cookie",
  "features",
  "hoplimit",
  "initcwnd",
  "initrwnd",
  "pervasive",
  "quickack",
  "realms",
  "reordering",
  "rto_min",
  "rtt",
  "rttvar",
  "ssthresh",
  "ttl-propagate",
  "window",
]);

export const WORDS = [
  "to",
  "via",
  "dev",
  "oif",
  "onlink",
  "encap",
  "nexthop",
  "table",
  "vrf",
  "metric",
  "priority",
  "preference",
  "protocol",
  "proto",
  "src",
  "from",
  "mtu",
  "scope",
  "nhid",
  "tos",
  "dsfield",
  "pref",
  "weight",
];

export const TABLES: ReadonlyMap<string, number> = new Map([
  ["default", 253],
  ["main", 254],
  ["local", 255],
]);

/** Whether a line has nothing but white space and a comment. */
export function isBlankLine(line: string): boolean {
  for (let index = 0; index < line.length; index++) {
    const character = line.charCodeAt(index);
    if (character === 0x23) return true;
    if (character !== 0x20 && character !== 0x09 && character !== 0x0d && character !== 0x0a) return false;
  }
  return true;
}

/** The line's words: white space parts them but within quotes, and `#` ends the line. Null where a quote stays open. */
export function splitWords(line: string): string[] | null {
  const comment = line.indexOf("#");
  const end = comment < 0 ? line.length : comment;
  const words: string[] = [];
  let position = 0;
  while (position < end) {
    const first = line.charCodeAt(position);
    if (isBlank(first)) {
      position++;
      continue;
    }
    const start = position;
    if (first === 0x22 || first === 0x27) {
      position = line.indexOf(line[start]!, start + 1);
      if (position < 0 || position >= end) return null;
      words.push(line.slice(start + 1, position++));
    } else {
      while (position < end && !isBlank(line.charCodeAt(position))) position++;
      words.push(line.slice(start, position));
    }
  }
  return words;
}

function isBlank(character: number): boolean {
  return character === 0x20 || (character >= 0x09 && character <= 0x0d);
}

/** Decimal digits as a number; -1 for anything else. */
export function parseNumber(word: string): number {
  if (word.length === 0 || word.length > 10) return -1;
  let value = 0;
  for (let index = 0; index < word.length; index++) {
    const digit = word.charCodeAt(index) - 0x30;
    if (digit < 0 || digit > 9) return -1;
    value = value * 10 + digit;
  }
  return value;
}

/** Words that stand in what `ip route show` prints, with the values that change nothing. */
export function checkHarmless(word: string, text: string): UpdateError | null {
  if (word === "scope") {
    if (["global", "link", "universe", "0", "253"].includes(text)) return null;
    return createUpdateError("UNSUPPORTED", "", `dplaned does not program scope ${quote(text)}`, "leave scope out");
  }
  if (word === "pref") {
    if (text === "medium") return null;
    return createUpdateError("UNSUPPORTED", "", `dplaned does not program pref ${quote(text)}`, "leave pref out");
  }
  if (/^(0|0x0+|default)$/.test(text)) return null;
  return createUpdateError("UNSUPPORTED", "", `dplaned does not program routes by ${word}`, "use a rule (ip rule)");
}

export function unsupported(word: string): UpdateError {
  return createUpdateError("UNSUPPORTED", "", `dplaned does not program ${quote(word)}`, "leave it out");
}

export function outOfRange(field: string, word: string, text: string, min: number, max: number): UpdateError {
  const isNumber = /^-?\d+$/.test(text);
  const problem = isNumber
    ? `${word} ${text.slice(0, 32)} is out of range`
    : `${word} takes a decimal number, not ${quote(text)}`;
  return createUpdateError(isNumber ? "OUT_OF_RANGE" : "INVALID_VALUE", field, `${problem}; it is ${min} to ${max}`);
}
