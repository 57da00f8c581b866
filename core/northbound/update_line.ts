/**
 * An update as a route command, in the words and order of iproute2's `ip -batch`, into a `RouteUpdate`. Main thread.
 *
 * `add`, `replace` and `change` all install: whether a route is there already is the daemon's business, and adding it
 * again is no error. A word that iproute2 knows and dplaned cannot honour is refused by name; nothing is ignored but
 * what changes nothing (`scope global`, `pref medium`). docs/api.md lists where this differs from `ip`.
 */
import { MPLS_LABELS_MAX, NEXTHOPS_MAX, WEIGHT_MAX } from "../constants.ts";
import { packedFamily, parsePrefix } from "../model/prefix.ts";
import { EncapType, Family, type Nexthop, RouteType, type RouteUpdate } from "../model/route.ts";
import { suggest } from "../suggest.ts";
import {
  checkHarmless,
  outOfRange,
  parseNumber,
  splitWords,
  TABLES,
  UNSUPPORTED_TYPES,
  UNSUPPORTED_VERBS,
  UNSUPPORTED_WORDS,
  unsupported,
  VERBS,
  WORDS,
} from "./line_words.ts";
import { createUpdateError, quote, type UpdateError } from "./update_error.ts";
import {
  completeUpdate,
  MTU_MAX,
  type NameResolver,
  resetNexthop,
  resetUpdate,
  UPDATE_DEFAULTS,
  type UpdateDefaults,
} from "./update_rules.ts";
import {
  checkLabel,
  ROUTE_TYPES,
  setDevice,
  setPrefix,
  setPrefsrc,
  setProtocol,
  setSeg6Mode,
  setSegment,
  setSource,
  setVia,
  setVrf,
  U32_MAX,
} from "./update_values.ts";

/**
 * Fills `into` from one route command and returns what is wrong with it, or null. After an error `into` is to be thrown
 * away; only that `into.family` is not NONE tells that its prefix was read. Fields of errors are named as in JSON.
 */
export function parseUpdateLine(
  line: string,
  into: RouteUpdate,
  resolver: NameResolver,
  defaults: UpdateDefaults = UPDATE_DEFAULTS,
): UpdateError | null {
  resetUpdate(into, defaults);
  const words = splitWords(line);
  if (words === null) return createUpdateError("INVALID_LINE", "", "A quote is opened and never closed");
  return new LineParser(words, into, resolver).parse();
}

class LineParser {
  readonly #words: string[];
  readonly #into: RouteUpdate;
  readonly #resolver: NameResolver;
  #position = 0;
  /** Family that -4, -6, or `inet` and `inet6` ask for. */
  #family: Family = Family.NONE;
  #prefix: string | null = null;
  #source: string | null = null;
  #vrf: string | null = null;
  #nexthopCount = 0;
  /** Single nexthop, whose words stand between those of the route. */
  #own: Nexthop | null = null;
  /** Words that were there, under one name each: the route's, and the current nexthop's. */
  readonly #seen: string[] = [];
  readonly #seenOfNexthop: string[] = [];
  #isDeviceLoopback = false;

  constructor(words: string[], into: RouteUpdate, resolver: NameResolver) {
    this.#words = words;
    this.#into = into;
    this.#resolver = resolver;
  }

  parse(): UpdateError | null {
    const error = this.#parseCommand();
    if (error !== null) return error;
    this.#parseType();
    while (this.#position < this.#words.length) {
      const word = this.#words[this.#position++]!;
      const wordError = this.#parseWord(word);
      if (wordError !== null) return wordError;
    }
    return this.#finish();
  }

  /** `[ip] [-4|-6] route VERB`. */
  #parseCommand(): UpdateError | null {
    const words = this.#words;
    if (words[0] === "ip") this.#position++;
    const option = words[this.#position];
    if (option === "-4" || option === "-6") {
      this.#family = option === "-4" ? Family.IPV4 : Family.IPV6;
      this.#position++;
    }
    const object = words[this.#position++];
    if (object !== "route" && object !== "ro" && object !== "r") {
      const message = `A line begins with route, not with ${quote(object ?? "")}`;
      return createUpdateError("INVALID_LINE", "", message, "such as: route replace 203.0.113.0/24 via 10.0.0.2");
    }
    const verb = words[this.#position++] ?? "";
    const op = VERBS.get(verb);
    if (op !== undefined) {
      this.#into.op = op;
      return null;
    }
    const reason = UNSUPPORTED_VERBS.get(verb);
    if (reason !== undefined) {
      return createUpdateError("UNSUPPORTED", "op", `dplaned has no route ${verb}`, reason);
    }
    const near = suggest(verb, VERBS.keys());
    const hint = near === undefined ? "it is add, replace, change or del" : `did you mean ${near}?`;
    return createUpdateError("INVALID_LINE", "op", `There is no route command ${quote(verb)}`, hint);
  }

  #parseType(): void {
    if (this.#words[this.#position] === "to") this.#position++;
    const type = ROUTE_TYPES.get(this.#words[this.#position] ?? "");
    if (type === undefined) return;
    this.#into.type = type;
    this.#position++;
  }

  #parseWord(word: string): UpdateError | null {
    const into = this.#into;
    switch (word) {
      case "via":
      case "dev":
      case "oif":
      case "onlink":
      case "encap":
        this.#own ??= this.#addNexthop();
        return this.#parseNexthopWord(word, this.#own, "nexthops[0]");
      case "nexthop":
        return this.#parseNexthops();
      case "table":
        return this.#once("table") ?? this.#value(word, (text) => this.#setTable(text));
      case "vrf":
        return this.#once("vrf") ?? this.#value(word, (text) => this.#keepVrf(text));
      case "metric":
      case "priority":
      case "preference":
        return this.#once("metric") ?? this.#number(word, "metric", 0, U32_MAX, (value) => (into.metric = value));
      case "protocol":
      case "proto":
        return this.#once("protocol") ?? this.#value(word, (text) => this.#setProtocol(text));
      case "src":
        return this.#once("prefsrc") ?? this.#value(word, (text) => setPrefsrc(into, text));
      case "from":
        return this.#once("source") ?? this.#value(word, (text) => this.#keepSource(text));
      case "mtu":
        return this.#once("mtu") ?? this.#parseMtu();
      case "nhid":
        return this.#once("nhid") ?? this.#number(word, "nexthopGroup", 1, U32_MAX, (id) => (into.nexthopGroup = id));
      case "scope":
      case "pref":
      case "tos":
      case "dsfield":
        return this.#once(word) ?? this.#value(word, (text) => checkHarmless(word, text));
      case "to":
        return this.#value(word, (text) => this.#keepPrefix(text));
      default:
        return this.#parseOther(word);
    }
  }

  /** A word that is no keyword is the prefix, unless there is one already. */
  #parseOther(word: string): UpdateError | null {
    if (UNSUPPORTED_WORDS.has(word)) return unsupported(word);
    const isPrefix = word === "default" || word.includes(".") || word.includes(":") || word.includes("/");
    if (isPrefix) return this.#keepPrefix(word);
    if (UNSUPPORTED_TYPES.has(word)) {
      const hint = "it is unicast, blackhole, unreachable, prohibit or throw";
      return createUpdateError("UNSUPPORTED", "type", `dplaned does not program routes of type ${word}`, hint);
    }
    const near = suggest(word, WORDS);
    const hint = near === undefined ? undefined : `did you mean ${near}?`;
    if (word === "weight") return this.#weightWithoutNexthop();
    return createUpdateError("UNKNOWN_WORD", "", `${quote(word)} is not a word of a route`, hint);
  }

  #weightWithoutNexthop(): UpdateError {
    const message = "A weight belongs to a nexthop";
    return createUpdateError("UNKNOWN_WORD", "", message, "write: nexthop via ADDRESS weight N");
  }

  #once(name: string, seen = this.#seen): UpdateError | null {
    if (seen.includes(name)) {
      const owner = seen === this.#seen ? "route" : "nexthop";
      return createUpdateError("DUPLICATE_FIELD", name, `The ${owner} has more than one ${name}`);
    }
    seen.push(name);
    return null;
  }

  #value(word: string, set: (text: string) => UpdateError | null): UpdateError | null {
    const text = this.#words[this.#position++];
    if (text === undefined) return createUpdateError("INVALID_LINE", "", `The line ends where ${word} needs a value`);
    return set(text);
  }

  #number(word: string, field: string, min: number, max: number, set: (value: number) => void): UpdateError | null {
    return this.#value(word, (text) => {
      const value = parseNumber(text);
      if (value < min || value > max) return outOfRange(field, word, text, min, max);
      set(value);
      return null;
    });
  }

  #addNexthop(): Nexthop {
    return resetNexthop(this.#into, this.#nexthopCount++);
  }

  #setTable(text: string): UpdateError | null {
    const number = parseNumber(text);
    if (number >= 1 && number <= U32_MAX) {
      this.#into.table = number;
      return null;
    }
    if (/^[+-]?\d/.test(text)) return outOfRange("table", "table", text, 1, U32_MAX);
    const table = TABLES.get(text) ?? this.#resolver.tableNumber?.(text) ?? 0;
    if (table === 0) {
      const hint = "write its number; for a VRF's table write vrf NAME";
      return createUpdateError("UNKNOWN_TABLE", "table", `There is no table ${quote(text)}`, hint);
    }
    this.#into.table = table;
    return null;
  }

  #setProtocol(text: string): UpdateError | null {
    const number = parseNumber(text);
    if (number < 0) return setProtocol(this.#into, text);
    if (number > 255) return outOfRange("protocol", "proto", text, 0, 255);
    this.#into.protocol = number;
    return null;
  }

  #parseMtu(): UpdateError | null {
    if (this.#words[this.#position] === "lock") {
      const message = "dplaned cannot lock an MTU against path MTU discovery";
      return createUpdateError("UNSUPPORTED", "mtu", message, "leave lock out");
    }
    return this.#number("mtu", "mtu", 1, MTU_MAX, (value) => {
      this.#into.mtu = value;
    });
  }

  // The prefix, the source and the VRF depend on words that may come later.
  #keepPrefix(text: string): UpdateError | null {
    const error = this.#once("prefix");
    this.#prefix = text;
    return error;
  }

  #keepSource(text: string): UpdateError | null {
    this.#source = text;
    return null;
  }

  #keepVrf(text: string): UpdateError | null {
    this.#vrf = text;
    return null;
  }

  /** One of a nexthop's words, the keyword itself having been taken. */
  #parseNexthopWord(word: string, nexthop: Nexthop, path: string): UpdateError | null {
    const name = word === "oif" ? "dev" : word;
    const error = this.#once(name, this.#seenOfNexthop) ?? this.#setNexthopWord(word, nexthop);
    if (error !== null && error.field !== "") error.field = `${path}.${error.field}`;
    return error;
  }

  #setNexthopWord(word: string, nexthop: Nexthop): UpdateError | null {
    switch (word) {
      case "via":
        return this.#parseVia(nexthop);
      case "onlink":
        nexthop.onlink = true;
        return null;
      case "weight":
        return this.#number(word, "weight", 1, WEIGHT_MAX, (weight) => (nexthop.weight = weight));
      case "encap":
        return this.#value(word, (kind) => this.#parseEncap(kind, nexthop));
      default:
        return this.#value(word, (name) => this.#setDevice(nexthop, name));
    }
  }

  #setDevice(nexthop: Nexthop, name: string): UpdateError | null {
    this.#isDeviceLoopback = name === "lo";
    return setDevice(nexthop, name, this.#into.op, this.#resolver);
  }

  #parseVia(nexthop: Nexthop): UpdateError | null {
    const named = this.#words[this.#position];
    const family = named === "inet" ? Family.IPV4 : named === "inet6" ? Family.IPV6 : Family.NONE;
    if (family !== Family.NONE) this.#position++;
    return this.#value("via", (text) => {
      const error = setVia(nexthop, text);
      if (error !== null || family === Family.NONE || nexthop.viaFamily === family) return error;
      return createUpdateError("INVALID_ADDRESS", "via", `${quote(text)} is not an ${named} address`);
    });
  }

  #parseEncap(kind: string, nexthop: Nexthop): UpdateError | null {
    if (kind === "mpls") return this.#value("encap mpls", (text) => parseLabels(text, nexthop));
    if (kind === "seg6") return this.#parseSeg6(nexthop);
    const hint = "dplaned pushes MPLS labels (encap mpls) and SRv6 segments (encap seg6)";
    return createUpdateError("UNSUPPORTED", "encap", `dplaned does not program encap ${quote(kind)}`, hint);
  }

  /** `mode MODE segs ADDRESS[,ADDRESS]…`. */
  #parseSeg6(nexthop: Nexthop): UpdateError | null {
    if (this.#words[this.#position++] !== "mode") {
      return createUpdateError(
        "INVALID_LINE",
        "seg6.mode",
        "encap seg6 goes on with mode",
        "most routes take mode encap",
      );
    }
    const error = this.#value("mode", (mode) => setSeg6Mode(nexthop, mode));
    if (error !== null) return error;
    if (this.#words[this.#position++] !== "segs") {
      return createUpdateError("INVALID_LINE", "seg6.segs", "encap seg6 mode MODE goes on with segs");
    }
    return this.#value("segs", (list) => {
      const segments = list.split(",");
      for (let index = 0; index < segments.length; index++) {
        const segmentError = setSegment(nexthop, index, segments[index]!);
        if (segmentError !== null) return segmentError;
      }
      nexthop.segments.length = segments.length;
      return null;
    });
  }

  /** `nexthop …` until the end of the line: behind the first of them nothing else may come, as with `ip`. */
  #parseNexthops(): UpdateError | null {
    if (this.#own !== null) {
      const message = "A route has either one nexthop of its own (via, dev) or a list (nexthop …)";
      return createUpdateError("CONFLICT", "nexthops", message);
    }
    let isEmpty = true;
    let nexthop = this.#addNexthop();
    while (this.#position < this.#words.length) {
      const word = this.#words[this.#position++]!;
      if (word === "nexthop") {
        if (isEmpty) break;
        if (this.#nexthopCount === NEXTHOPS_MAX) {
          const message = `A route takes ${NEXTHOPS_MAX} nexthops at most`;
          return createUpdateError("OUT_OF_RANGE", "nexthops", message);
        }
        isEmpty = true;
        nexthop = this.#addNexthop();
        this.#seenOfNexthop.length = 0;
        continue;
      }
      if (!["via", "dev", "oif", "weight", "onlink", "encap"].includes(word)) return this.#notOfNexthop(word);
      const error = this.#parseNexthopWord(word, nexthop, `nexthops[${this.#nexthopCount - 1}]`);
      if (error !== null) return error;
      isEmpty = false;
    }
    if (!isEmpty) return null;
    return createUpdateError("INVALID_LINE", "nexthops", "nexthop needs via, dev or both behind it");
  }

  #notOfNexthop(word: string): UpdateError {
    if (UNSUPPORTED_WORDS.has(word)) return unsupported(word);
    const hint = WORDS.includes(word) ? "write it before the first nexthop" : undefined;
    return createUpdateError("UNKNOWN_WORD", "", `${quote(word)} is not a word of a nexthop`, hint);
  }

  #finish(): UpdateError | null {
    const into = this.#into;
    const error = this.#finishPrefix();
    if (error !== null) return error;
    if (this.#source !== null && this.#source !== "default") {
      const sourceError = setSource(into, this.#source, true);
      if (sourceError !== null) return sourceError;
    }
    if (this.#vrf !== null) {
      const vrfError = setVrf(into, this.#vrf, this.#seen.includes("table"), this.#resolver);
      if (vrfError !== null) return vrfError;
    }
    // `ip -6 route show` lists what drops packets with the device that the kernel made up for it.
    const isMadeUp = into.type !== RouteType.UNICAST && into.family === Family.IPV6 && this.#isDeviceLoopback;
    if (isMadeUp && this.#own?.viaFamily === Family.NONE && this.#own.encap === EncapType.NONE) this.#nexthopCount = 0;
    return completeUpdate(into, this.#nexthopCount);
  }

  #finishPrefix(): UpdateError | null {
    const into = this.#into;
    if (this.#prefix === null) {
      return createUpdateError(
        "MISSING_FIELD",
        "prefix",
        "The line has no prefix",
        "such as 203.0.113.0/24 or default",
      );
    }
    if (this.#prefix === "default") {
      into.family = this.#inferFamily();
      into.prefix.fill(0);
      return null;
    }
    const error = setPrefix(into, this.#prefix, true);
    if (error !== null || this.#family === Family.NONE || this.#family === into.family) return error;
    const option = this.#family === Family.IPV4 ? "-4" : "-6";
    return createUpdateError("FAMILY_MISMATCH", "prefix", `${option} does not go with ${quote(this.#prefix)}`);
  }

  /** Whose default route `default` is: the option's, else that of the first address beside it, else IPv4's. */
  #inferFamily(): Family {
    if (this.#family !== Family.NONE) return this.#family;
    const into = this.#into;
    for (let index = 0; index < this.#nexthopCount; index++) {
      const family = into.nexthops[index]!.viaFamily;
      if (family !== Family.NONE) return family;
    }
    if (into.prefsrcFamily !== Family.NONE) return into.prefsrcFamily;
    const source = this.#source === null ? -1 : parsePrefix(this.#source, into.source, 0, true);
    return source > 0 ? packedFamily(source) : Family.IPV4;
  }
}

function parseLabels(text: string, nexthop: Nexthop): UpdateError | null {
  const labels = text.split("/");
  if (labels.length > MPLS_LABELS_MAX) {
    const message = `A nexthop pushes ${MPLS_LABELS_MAX} labels at most, not ${labels.length}`;
    return createUpdateError("OUT_OF_RANGE", "labels", message);
  }
  nexthop.labels.length = 0;
  for (let index = 0; index < labels.length; index++) {
    const label = parseNumber(labels[index]!);
    if (label < 0) {
      const message = `${quote(labels[index]!)} is not an MPLS label`;
      return createUpdateError("INVALID_VALUE", `labels[${index}]`, message, "labels are numbers parted by /: 100/200");
    }
    const error = checkLabel(label, index);
    if (error !== null) return error;
    nexthop.labels.push(label);
  }
  nexthop.encap = EncapType.MPLS;
  return null;
}
