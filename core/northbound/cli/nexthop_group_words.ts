/**
 * The words behind `dplaned nexthop-group …`, iproute2's wherever it has them, as the JSON of the API. What the values mean
 * is the daemon's to check. Pure.
 */
import { suggest } from "../../suggest.ts";
import type { NexthopGroupUpdateJson, NexthopJson, ResilientJson } from "../api_types.ts";
import { UsageError } from "./route_words.ts";

const NEXTHOP_WORDS = ["via", "dev", "weight", "onlink", "encap"] as const;
const RESILIENT_FIELDS: Readonly<Record<string, keyof ResilientJson>> = {
  buckets: "buckets",
  idle_timer: "idleTimer",
  unbalanced_timer: "unbalancedTimer",
};
const WORDS = ["nexthop", "backup", "type", ...NEXTHOP_WORDS, ...Object.keys(RESILIENT_FIELDS)];

/** A group's number. */
export function toGroupNumber(word: string): number {
  const number = Number(word);
  if (/^[1-9]\d{0,9}$/.test(word) && number <= 0xffff_ffff) return number;
  throw new UsageError(`Not a number of a nexthop group: ${JSON.stringify(word)}; it is 1 to 4294967295`);
}

/** `[nexthop] via A dev IF [weight N] … [nexthop …]… [backup …]… [type resilient buckets N …]` */
export function toNexthopGroup(words: readonly string[]): NexthopGroupUpdateJson {
  const group: NexthopGroupUpdateJson = { members: [] };
  const reader = new WordReader(words);
  let nexthop: NexthopJson | null = null;
  for (let word = reader.next(); word !== undefined; word = reader.next()) {
    if (word === "nexthop" || word === "backup") {
      nexthop = {};
      if (word === "nexthop") group.members.push(nexthop);
      else group.backup = [...(group.backup ?? []), nexthop];
    } else if (word === "type") {
      readType(reader.value(word), group);
    } else if (Object.hasOwn(RESILIENT_FIELDS, word)) {
      const resilient: Partial<ResilientJson> = group.resilient ?? {};
      resilient[RESILIENT_FIELDS[word]!] = reader.number(word);
      group.resilient = resilient as ResilientJson;
    } else {
      // One member alone needs no word before it, as in `ip route`.
      if (nexthop === null) {
        nexthop = {};
        group.members.push(nexthop);
      }
      readNexthopWord(word, nexthop, reader);
    }
  }
  if (group.members.length === 0) {
    throw new UsageError("Missing the group's members, such as: nexthop via 10.0.0.2 dev eth0");
  }
  return group;
}

function readType(type: string, group: NexthopGroupUpdateJson): void {
  if (type === "mpath") return;
  if (type !== "resilient") throw new UsageError(`Unknown type "${type}"; expected mpath or resilient`);
  group.resilient ??= {} as ResilientJson;
}

function readNexthopWord(word: string, nexthop: NexthopJson, reader: WordReader): void {
  switch (word) {
    case "via": {
      const address = reader.value(word);
      nexthop.via = address === "inet" || address === "inet6" ? reader.value(address) : address;
      return;
    }
    case "dev":
      nexthop.dev = reader.value(word);
      return;
    case "weight":
      nexthop.weight = reader.number(word);
      return;
    case "onlink":
      nexthop.onlink = true;
      return;
    case "encap":
      return readEncap(nexthop, reader);
    default: {
      const near = suggest(word, WORDS);
      const hint = near === undefined ? `expected ${WORDS.join(", ")}` : `did you mean "${near}"?`;
      throw new UsageError(`Unknown word "${word}"; ${hint}`);
    }
  }
}

function readEncap(nexthop: NexthopJson, reader: WordReader): void {
  const kind = reader.value("encap");
  if (kind === "mpls") {
    nexthop.labels = reader.value("mpls").split("/").map(Number);
    return;
  }
  if (kind !== "seg6") throw new UsageError(`Unknown encapsulation "${kind}"; expected mpls or seg6`);
  const seg6 = { mode: "encap", segs: [] as string[] };
  for (const part of ["mode", "segs"] as const) {
    const word = reader.value(part === "mode" ? "seg6" : "mode");
    if (word !== part) throw new UsageError(`Expected ${part} behind encap seg6, not "${word}"`);
    if (part === "mode") seg6.mode = reader.value(part);
    else seg6.segs = reader.value(part).split(",");
  }
  nexthop.seg6 = seg6;
}

class WordReader {
  readonly #words: readonly string[];
  #at = 0;

  constructor(words: readonly string[]) {
    this.#words = words;
  }

  next(): string | undefined {
    return this.#words[this.#at++];
  }

  value(word: string): string {
    const value = this.next();
    if (value === undefined) throw new UsageError(`Missing a value behind "${word}"`);
    return value;
  }

  number(word: string): number {
    const value = this.value(word);
    if (!/^\d+$/.test(value)) throw new UsageError(`Not a number behind "${word}": ${value}`);
    return Number(value);
  }
}
