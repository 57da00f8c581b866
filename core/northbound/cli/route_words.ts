/**
 * iproute2's words behind `dplaned route …`. What installs or deletes a route goes to the daemon as the line of `ip -batch`
 * that it is, checked by the daemon's own parser; only the words that are no part of the route itself are read here. Pure.
 */
import { createRouteUpdate } from "../../model/route.ts";
import { suggest } from "../../suggest.ts";
import type { ResultStatus, RouteListQuery } from "../api_types.ts";
import { parseUpdateLine } from "../update_line.ts";

/** The arguments are wrong: exit status 2. */
export class UsageError extends Error {
  override name = "UsageError";
}

/** An update as a line of `ip -batch`, and the owner whom the words name. */
export interface UpdateLine {
  line: string;
  owner: string | undefined;
}

const STATUSES: readonly ResultStatus[] = [
  "fib_programmed",
  "fib_failed",
  "rib_programmed",
  "skipped",
  "superseded",
  "rejected",
];
const LIST_WORDS = ["exact", "root", "to", "table", "vrf", "owner", "status", "limit"];
const LOOKUP_WORDS = ["to", "table", "vrf"];

/** Words behind which `owner` is the name of something. */
const NAME_WORDS: ReadonlySet<string> = new Set(["dev", "oif", "vrf", "table"]);

/** The kernel's own names of tables (`/etc/iproute2/rt_tables`). */
const TABLE_NUMBERS: Readonly<Record<string, string>> = { default: "253", main: "254", local: "255" };

/** The line that installs or deletes the route which the words describe. */
export function toUpdateLine(
  op: "install" | "delete",
  words: readonly string[],
  ownerFlag: string | undefined,
): UpdateLine {
  const kept: string[] = [];
  let owner = ownerFlag;
  for (let index = 0; index < words.length; index++) {
    const word = words[index]!;
    if (!/^[^\s"'\\#]+$/.test(word)) throw new UsageError(`Not a word of a route: ${JSON.stringify(word)}`);
    if (word !== "owner" || NAME_WORDS.has(words[index - 1] ?? "")) kept.push(word);
    else owner = mergeOwner(owner, argumentOf(words, index++));
  }
  if (kept.length === 0) throw new UsageError("Missing the prefix of the route");
  const line = `route ${op === "install" ? "replace" : "del"} ${kept.join(" ")}`;
  checkLine(line);
  return { line, owner };
}

/** Finds mistyped words before the daemon is asked. What names stand for is the daemon's to know: here all of them are good. */
function checkLine(line: string): void {
  const names: string[] = [];
  const numberOf = (name: string) => (names.includes(name) ? names.indexOf(name) + 1 : names.push(name));
  const resolver = { deviceIndex: numberOf, vrfTable: numberOf, tableNumber: numberOf };
  const error = parseUpdateLine(line, createRouteUpdate(), resolver);
  if (error !== null)
    throw new UsageError(error.hint === undefined ? error.message : `${error.message}; ${error.hint}`);
}

/** The filters of `route list`. */
export function toListQuery(words: readonly string[], family: { ipv4: boolean; ipv6: boolean }): RouteListQuery {
  const query: RouteListQuery = {};
  if (family.ipv4 && family.ipv6)
    throw new UsageError("-4 and -6 exclude each other; leave both out for both families");
  if (family.ipv4) query.family = "ipv4";
  if (family.ipv6) query.family = "ipv6";
  for (let index = 0; index < words.length; index++) {
    const word = words[index]!;
    switch (word) {
      case "to":
        break;
      case "exact":
        setOnce(query, "prefix", argumentOf(words, index++));
        break;
      case "root":
        setOnce(query, "prefix", argumentOf(words, index++));
        query.longer = "true";
        break;
      case "table":
      case "vrf":
        setTable(query, word, argumentOf(words, index++));
        break;
      case "owner":
        setOnce(query, "owner", argumentOf(words, index++));
        break;
      case "status":
        setOnce(query, "status", parseStatus(argumentOf(words, index++)));
        break;
      case "limit":
        setOnce(query, "limit", parseCount(argumentOf(words, index++)));
        break;
      default:
        setOnce(query, "prefix", parseAddressWord(word, LIST_WORDS));
    }
  }
  return query;
}

/** Whose routes `route flush` withdraws. */
export function toFlushedOwner(words: readonly string[], ownerFlag: string | undefined): string {
  let owner = ownerFlag;
  for (let index = 0; index < words.length; index++) {
    const word = words[index]!;
    if (word !== "owner") throw new UsageError(`Unknown word "${word}"; routes are flushed by owner: owner O`);
    owner = mergeOwner(owner, argumentOf(words, index++));
  }
  if (owner === undefined) throw new UsageError("Missing whose routes are to be flushed: owner O");
  return owner;
}

/** What `route lookup` asks for. */
export function toLookupQuery(words: readonly string[]): { address: string; table?: string } {
  const query: { address?: string; table?: string } = {};
  for (let index = 0; index < words.length; index++) {
    const word = words[index]!;
    if (word === "table" || word === "vrf") setTable(query, word, argumentOf(words, index++));
    else if (word !== "to") setOnce(query, "address", parseAddressWord(word, LOOKUP_WORDS));
  }
  if (query.address === undefined) throw new UsageError("Missing the address to look up");
  return { ...query, address: query.address };
}

function argumentOf(words: readonly string[], index: number): string {
  const argument = words[index + 1];
  if (argument === undefined) throw new UsageError(`Missing a value behind "${words[index]}"`);
  return argument;
}

function mergeOwner(first: string | undefined, second: string): string {
  if (first !== undefined && first !== second) throw new UsageError(`Two owners are given, ${first} and ${second}`);
  return second;
}

function setOnce<K extends string, V extends string>(query: { [key in K]?: V }, key: K, value: V): void {
  if (query[key] !== undefined) throw new UsageError(`The ${key} is given twice, as ${query[key]} and ${value}`);
  query[key] = value;
}

function setTable(query: { table?: string }, word: "table" | "vrf", value: string): void {
  if (word === "table" && value === "all") return;
  setOnce(query, "table", word === "table" ? (TABLE_NUMBERS[value] ?? value) : value);
}

function parseStatus(value: string): ResultStatus {
  const status = STATUSES.find((known) => known === value);
  if (status === undefined) throw new UsageError(`Unknown status "${value}"; expected one of ${STATUSES.join(", ")}`);
  return status;
}

function parseCount(value: string): string {
  if (!/^[1-9]\d*$/.test(value)) throw new UsageError(`Not a number of routes: ${value}`);
  return value;
}

/** A prefix or address, as far as one can be told from a mistyped word; the daemon reads it in full. */
function parseAddressWord(word: string, known: readonly string[]): string {
  if (word === "default" || /^[0-9A-Fa-f]*[.:][0-9A-Fa-f.:]*(?:\/\d+)?$/.test(word)) return word;
  if (/^\d+(?:\/\d+)?$/.test(word)) return word;
  const meant = suggest(word, known);
  throw new UsageError(
    `Unknown word "${word}"${meant === undefined ? `; expected ${known.join(", ")}` : `; did you mean "${meant}"?`}`,
  );
}
