/**
 * An update as JSON from its bytes straight into a `RouteUpdate`, without text or objects in between: of each of a
 * million lines those cost several times more than everything else that is done with it. Main thread.
 *
 * It takes right updates as programs write them, and nothing else. Whatever is unusual (an escape, an exponent, a field
 * twice) or wrong is left to `update_text.ts`, so that there is one place which says what JSON is and what is wrong with
 * an update. tests/fuzz/update_bytes_fuzz_test.ts compares the two.
 */
import { MPLS_LABELS_MAX, NEXTHOPS_MAX, SEG6_SEGMENTS_MAX, WEIGHT_MAX } from "../constants.ts";
import { packedFamily, packedLength, parseAddressBytes, parsePrefixBytes } from "../model/prefix.ts";
import { EncapType, Family, type Nexthop, type RouteUpdate, UpdateOp } from "../model/route.ts";
import { FieldNames, WordCache } from "./byte_words.ts";
import { type MemoEntry, UpdateMemo } from "./update_memo.ts";
import {
  completeUpdate,
  MTU_MAX,
  type NameResolver,
  resetNexthop,
  resetUpdate,
  UPDATE_DEFAULTS,
  type UpdateDefaults,
} from "./update_rules.ts";
import { checkLabel, setProtocol, setSeg6Mode, setType, setVrf, U32_MAX } from "./update_values.ts";

const QUOTE = 0x22;
const COMMA = 0x2c;
const ZERO = 0x30;
const COLON = 0x3a;
const OPEN_BRACKET = 0x5b;
const BACKSLASH = 0x5c;
const CLOSE_BRACKET = 0x5d;
const LETTER_F = 0x66;
const LETTER_T = 0x74;
const OPEN_BRACE = 0x7b;
const CLOSE_BRACE = 0x7d;

/** What a position is where the rest is for others to read. */
const UNUSUAL = -1;
/** Before the first field of an object. */
const NO_FIELD = -1;

/** In the order of {@linkcode UpdateField}. */
const UPDATE_FIELDS = new FieldNames([
  "op",
  "prefix",
  "source",
  "table",
  "vrf",
  "type",
  "nexthops",
  "nexthopGroup",
  "metric",
  "distance",
  "protocol",
  "tag",
  "mtu",
  "prefsrc",
]);
const UpdateField = {
  OP: 0,
  PREFIX: 1,
  SOURCE: 2,
  TABLE: 3,
  VRF: 4,
  TYPE: 5,
  NEXTHOPS: 6,
  NEXTHOP_GROUP: 7,
  METRIC: 8,
  DISTANCE: 9,
  PROTOCOL: 10,
  TAG: 11,
  MTU: 12,
  PREFSRC: 13,
} as const;

/** In the order of {@linkcode NexthopField}. */
const NEXTHOP_FIELDS = new FieldNames(["via", "dev", "weight", "onlink", "labels", "seg6"]);
const NexthopField = { VIA: 0, DEV: 1, WEIGHT: 2, ONLINK: 3, LABELS: 4, SEG6: 5 } as const;
const ENCAP_FIELDS = (1 << NexthopField.LABELS) | (1 << NexthopField.SEG6);

const SEG6_FIELDS = new FieldNames(["mode", "segs"]);
const Seg6Field = { MODE: 0, SEGS: 1 } as const;
const SEG6_COMPLETE = (1 << Seg6Field.MODE) | (1 << Seg6Field.SEGS);

/** White space as JSON has it. */
export function isJsonSpace(byte: number): boolean {
  return byte === 0x20 || byte === 0x0a || byte === 0x0d || byte === 0x09;
}

/**
 * Reads one update at a time. The methods that read a part of it take the position where it begins and return the one
 * behind it, or UNUSUAL. They may read past the update's end, into what comes next or lay there before; that is found
 * out at the end, because an update that is complete ends where it says.
 */
export class UpdateBytesParser {
  readonly #words = new WordCache();
  /** Nexthops that updates with fewer of them have no use for. */
  readonly #spares: Nexthop[] = [];
  #resolver!: NameResolver;
  /** The number that was read last. */
  #number = 0;
  /** Where the VRF's name is. */
  #vrfStart = 0;
  #vrfEnd = 0;
  #nexthopCount = 0;
  #hasUnknownDevice = false;
  /** Name of the nexthop's interface, and of each nexthop's. */
  #device = "";
  readonly #devices: string[] = [];
  /** Where the prefix is. */
  #prefixStart = 0;
  #prefixEnd = 0;
  /** The update has nothing that is not remembered: a VRF, labels, segments. */
  #isCommon = true;
  #memo = new UpdateMemo();
  /** What the memo's entries are lent to, and by which defaults they were made. */
  #into: RouteUpdate | null = null;
  #table = 0;
  #metric = 0;
  #distance = 0;
  /** The nexthops of `#into` are the memo's. */
  #isLent = false;

  /**
   * Fills `into` from the update in `bytes[from..to)`. False, with anything in `into`, if it is wrong, or not for this
   * parser.
   */
  parse(
    bytes: Uint8Array,
    from: number,
    to: number,
    into: RouteUpdate,
    resolver: NameResolver,
    defaults: UpdateDefaults = UPDATE_DEFAULTS,
  ): boolean {
    this.#resolver = resolver;
    this.#own(into, defaults);
    const isWorthwhile = this.#memo.isWorthwhile();
    if (isWorthwhile && this.#isKnown(bytes, from, to, into, defaults)) return true;
    resetUpdate(into, defaults);
    // What is lent must not be written.
    if (this.#isLent) into.nexthops.length = 0;
    this.#isLent = false;
    this.#nexthopCount = 0;
    this.#hasUnknownDevice = false;
    this.#isCommon = true;
    let position = skipSpace(bytes, from);
    if (bytes[position] !== OPEN_BRACE) return false;
    position = this.#readUpdate(bytes, position + 1, into);
    if (position === UNUSUAL || position > to) return false;
    while (position < to) if (!isJsonSpace(bytes[position++]!)) return false;
    this.#trimNexthops(into, into.op === UpdateOp.DELETE ? 0 : this.#nexthopCount);
    if (completeUpdate(into, this.#nexthopCount) !== null) return false;
    if (isWorthwhile) this.#remember(bytes, from, to, into);
    return true;
  }

  /** Forgets what depends on other defaults, and what was lent to another update. */
  #own(into: RouteUpdate, { table, metric, distance }: UpdateDefaults): void {
    const isSame = this.#table === table && this.#metric === metric && this.#distance === distance;
    if (isSame && this.#into === into) return;
    this.#into = into;
    this.#table = table;
    this.#metric = metric;
    this.#distance = distance;
    this.#memo = new UpdateMemo();
    this.#isLent = false;
  }

  /** Fills `into` if an update like this one was read before. */
  #isKnown(bytes: Uint8Array, from: number, to: number, into: RouteUpdate, defaults: UpdateDefaults): boolean {
    const start = this.#memo.prefixStart(bytes, from);
    const end = start < 0 ? UNUSUAL : endOfString(bytes, start - 1);
    if (end !== UNUSUAL && end < to) {
      const packed = parsePrefixBytes(bytes, start, end, into.prefix, 0, false);
      const entry = packed < 0 ? null : this.#memo.find(bytes, end, to, packedFamily(packed));
      if (entry !== null && this.#isCurrent(entry)) {
        // An update to which something is lent has nothing else than that.
        if (!this.#isLent) this.#reset(into, defaults);
        into.family = packedFamily(packed);
        into.prefixLength = packedLength(packed);
        this.#fill(into, entry);
        return true;
      }
    }
    return false;
  }

  #reset(into: RouteUpdate, defaults: UpdateDefaults): void {
    resetUpdate(into, defaults);
    this.#trimNexthops(into, 0);
    this.#isLent = true;
  }

  /** Whether names still stand for what they stood for. */
  #isCurrent({ nexthops, devices }: MemoEntry): boolean {
    for (let index = 0; index < nexthops.length; index++) {
      const name = devices[index]!;
      if (name !== "" && this.#resolver.deviceIndex(name) !== nexthops[index]!.ifindex) return false;
    }
    return true;
  }

  #fill(into: RouteUpdate, entry: MemoEntry): void {
    into.op = entry.op;
    into.table = entry.table;
    into.metric = entry.metric;
    into.type = entry.type;
    into.protocol = entry.protocol;
    into.distance = entry.distance;
    into.tag = entry.tag;
    into.mtu = entry.mtu;
    into.nexthopGroup = entry.nexthopGroup;
    const { nexthops } = entry;
    for (let index = 0; index < nexthops.length; index++) into.nexthops[index] = nexthops[index]!;
    if (into.nexthops.length > nexthops.length) into.nexthops.length = nexthops.length;
  }

  /** Keeps what the update says, unless it has one of the things that are rare. */
  #remember(bytes: Uint8Array, from: number, to: number, into: RouteUpdate): void {
    if (!this.#isCommon || into.sourceLength !== 0 || into.prefsrcFamily !== Family.NONE) return;
    const entry = this.#memo.learn(bytes, from, this.#prefixStart, this.#prefixEnd, to);
    if (entry === null) return;
    entry.family = into.family;
    entry.op = into.op;
    entry.table = into.table;
    entry.metric = into.metric;
    entry.type = into.type;
    entry.protocol = into.protocol;
    entry.distance = into.distance;
    entry.tag = into.tag;
    entry.mtu = into.mtu;
    entry.nexthopGroup = into.nexthopGroup;
    // The entry may be another's that was forgotten.
    this.#trimNexthops(entry, 0);
    for (let index = 0; index < into.nexthops.length; index++) {
      entry.nexthops[index] = into.nexthops[index]!;
      entry.devices[index] = this.#devices[index]!;
    }
    this.#isLent = true;
  }

  /** Reads the fields, and what depends on several of them. */
  #readUpdate(bytes: Uint8Array, start: number, into: RouteUpdate): number {
    let seen = 0;
    let field = NO_FIELD;
    let position = start;
    do {
      position = skipSpace(bytes, position);
      let name = UPDATE_FIELDS.guess(bytes, position, field);
      if (name < 0) {
        const nameEnd = endOfString(bytes, position);
        if (nameEnd === UNUSUAL) return UNUSUAL;
        name = UPDATE_FIELDS.find(bytes, position + 1, nameEnd, field);
        position = startOfValue(bytes, nameEnd + 1);
        if (name < 0 || position === UNUSUAL) return UNUSUAL;
      } else position = skipSpace(bytes, position + UPDATE_FIELDS.writtenLength(name));
      field = name;
      if ((seen & (1 << field)) !== 0) return UNUSUAL;
      seen |= 1 << field;
      position = this.#readField(field, bytes, position, into);
      if (position === UNUSUAL) return UNUSUAL;
      position = skipSpace(bytes, position);
    } while (bytes[position++] === COMMA);
    if (bytes[position - 1] !== CLOSE_BRACE || (seen & (1 << UpdateField.PREFIX)) === 0) return UNUSUAL;
    if ((seen & (1 << UpdateField.SOURCE)) !== 0 && into.family !== Family.IPV6) return UNUSUAL;
    if (this.#hasUnknownDevice && into.op !== UpdateOp.DELETE) return UNUSUAL;
    if ((seen & (1 << UpdateField.VRF)) === 0) return position;
    const name = this.#words.take(bytes, this.#vrfStart, this.#vrfEnd);
    const isTableGiven = (seen & (1 << UpdateField.TABLE)) !== 0;
    return name !== null && setVrf(into, name, isTableGiven, this.#resolver) === null ? position : UNUSUAL;
  }

  #readField(field: number, bytes: Uint8Array, start: number, into: RouteUpdate): number {
    switch (field) {
      case UpdateField.PREFIX:
        return this.#readPrefix(bytes, start, into);
      case UpdateField.NEXTHOPS:
        return this.#readNexthops(bytes, start, into);
      case UpdateField.TABLE:
      case UpdateField.NEXTHOP_GROUP:
      case UpdateField.METRIC:
      case UpdateField.DISTANCE:
      case UpdateField.TAG:
      case UpdateField.MTU:
        return this.#readNumberField(field, bytes, start, into);
      case UpdateField.PROTOCOL:
        if (bytes[start] !== QUOTE) return this.#readNumberField(field, bytes, start, into);
        return this.#readWordField(field, bytes, start, into);
      case UpdateField.SOURCE:
        return readSource(bytes, start, into);
      case UpdateField.PREFSRC:
        return readPrefsrc(bytes, start, into);
      default:
        return this.#readWordField(field, bytes, start, into);
    }
  }

  #readPrefix(bytes: Uint8Array, start: number, into: RouteUpdate): number {
    const end = endOfString(bytes, start);
    if (end === UNUSUAL) return UNUSUAL;
    const packed = parsePrefixBytes(bytes, start + 1, end, into.prefix, 0, false);
    if (packed < 0) return UNUSUAL;
    into.family = packedFamily(packed);
    into.prefixLength = packedLength(packed);
    this.#prefixStart = start + 1;
    this.#prefixEnd = end;
    return end + 1;
  }

  #readNumberField(field: number, bytes: Uint8Array, start: number, into: RouteUpdate): number {
    switch (field) {
      case UpdateField.TABLE: {
        const end = this.#readNumber(bytes, start, 1, U32_MAX);
        into.table = this.#number;
        return end;
      }
      case UpdateField.NEXTHOP_GROUP: {
        const end = this.#readNumber(bytes, start, 1, U32_MAX);
        into.nexthopGroup = this.#number;
        return end;
      }
      case UpdateField.METRIC: {
        const end = this.#readNumber(bytes, start, 0, U32_MAX);
        into.metric = this.#number;
        return end;
      }
      case UpdateField.DISTANCE: {
        const end = this.#readNumber(bytes, start, 0, 255);
        into.distance = this.#number;
        return end;
      }
      case UpdateField.PROTOCOL: {
        const end = this.#readNumber(bytes, start, 0, 255);
        into.protocol = this.#number;
        return end;
      }
      case UpdateField.TAG: {
        const end = this.#readNumber(bytes, start, 0, U32_MAX);
        into.tag = this.#number;
        return end;
      }
      default: {
        const end = this.#readNumber(bytes, start, 1, MTU_MAX);
        into.mtu = this.#number;
        return end;
      }
    }
  }

  #readWordField(field: number, bytes: Uint8Array, start: number, into: RouteUpdate): number {
    const end = endOfString(bytes, start);
    if (end === UNUSUAL) return UNUSUAL;
    if (field === UpdateField.VRF) {
      this.#vrfStart = start + 1;
      this.#vrfEnd = end;
      this.#isCommon = false;
      return end + 1;
    }
    const word = this.#words.take(bytes, start + 1, end);
    if (word === null) return UNUSUAL;
    if (field === UpdateField.TYPE) return setType(into, word) === null ? end + 1 : UNUSUAL;
    if (field === UpdateField.PROTOCOL) return setProtocol(into, word) === null ? end + 1 : UNUSUAL;
    if (word === "delete") into.op = UpdateOp.DELETE;
    else if (word !== "install") return UNUSUAL;
    return end + 1;
  }

  #readNexthops(bytes: Uint8Array, start: number, into: RouteUpdate): number {
    if (bytes[start] !== OPEN_BRACKET) return UNUSUAL;
    let position = skipSpace(bytes, start + 1);
    if (bytes[position] === CLOSE_BRACKET) return position + 1;
    let count = 0;
    for (; count < NEXTHOPS_MAX; count++) {
      position = skipSpace(bytes, position);
      if (bytes[position] !== OPEN_BRACE) return UNUSUAL;
      this.#device = "";
      position = this.#readNexthop(bytes, position + 1, this.#nexthopAt(into, count));
      if (position === UNUSUAL) return UNUSUAL;
      this.#devices[count] = this.#device;
      position = skipSpace(bytes, position);
      if (bytes[position++] !== COMMA) break;
    }
    this.#nexthopCount = count + 1;
    return bytes[position - 1] === CLOSE_BRACKET ? position : UNUSUAL;
  }

  #readNexthop(bytes: Uint8Array, start: number, nexthop: Nexthop): number {
    let seen = 0;
    let field = NO_FIELD;
    let position = skipSpace(bytes, start);
    do {
      position = skipSpace(bytes, position);
      let name = NEXTHOP_FIELDS.guess(bytes, position, field);
      if (name < 0) {
        const nameEnd = endOfString(bytes, position);
        if (nameEnd === UNUSUAL) return UNUSUAL;
        name = NEXTHOP_FIELDS.find(bytes, position + 1, nameEnd, field);
        position = startOfValue(bytes, nameEnd + 1);
        if (name < 0 || position === UNUSUAL) return UNUSUAL;
      } else position = skipSpace(bytes, position + NEXTHOP_FIELDS.writtenLength(name));
      field = name;
      if ((seen & (1 << field)) !== 0) return UNUSUAL;
      seen |= 1 << field;
      position = this.#readNexthopField(field, bytes, position, nexthop);
      if (position === UNUSUAL) return UNUSUAL;
      position = skipSpace(bytes, position);
    } while (bytes[position++] === COMMA);
    return bytes[position - 1] === CLOSE_BRACE && (seen & ENCAP_FIELDS) !== ENCAP_FIELDS ? position : UNUSUAL;
  }

  #readNexthopField(field: number, bytes: Uint8Array, start: number, nexthop: Nexthop): number {
    switch (field) {
      case NexthopField.VIA: {
        const end = endOfString(bytes, start);
        if (end === UNUSUAL) return UNUSUAL;
        const family = parseAddressBytes(bytes, start + 1, end, nexthop.via, 0);
        if (family < 0) return UNUSUAL;
        nexthop.viaFamily = family as Family;
        return end + 1;
      }
      case NexthopField.DEV: {
        const end = endOfString(bytes, start);
        if (end === UNUSUAL) return UNUSUAL;
        const name = this.#words.take(bytes, start + 1, end);
        if (name === null) return UNUSUAL;
        this.#device = name;
        nexthop.ifindex = this.#resolver.deviceIndex(name);
        // Whether that matters, the operation tells, which may come later.
        if (nexthop.ifindex === 0) this.#hasUnknownDevice = true;
        return end + 1;
      }
      case NexthopField.WEIGHT: {
        const end = this.#readNumber(bytes, start, 1, WEIGHT_MAX);
        nexthop.weight = this.#number;
        return end;
      }
      case NexthopField.ONLINK:
        return readOnlink(bytes, start, nexthop);
      case NexthopField.LABELS:
        return this.#readLabels(bytes, start, nexthop);
      default:
        return this.#readSeg6(bytes, start, nexthop);
    }
  }

  #readLabels(bytes: Uint8Array, start: number, nexthop: Nexthop): number {
    if (bytes[start] !== OPEN_BRACKET) return UNUSUAL;
    nexthop.encap = EncapType.MPLS;
    this.#isCommon = false;
    let position = start + 1;
    let count = 0;
    for (; count < MPLS_LABELS_MAX; count++) {
      position = this.#readNumber(bytes, skipSpace(bytes, position), 0, U32_MAX);
      if (position === UNUSUAL || checkLabel(this.#number, count) !== null) return UNUSUAL;
      nexthop.labels[count] = this.#number;
      position = skipSpace(bytes, position);
      if (bytes[position++] !== COMMA) break;
    }
    nexthop.labels.length = Math.min(count + 1, MPLS_LABELS_MAX);
    return bytes[position - 1] === CLOSE_BRACKET ? position : UNUSUAL;
  }

  #readSeg6(bytes: Uint8Array, start: number, nexthop: Nexthop): number {
    if (bytes[start] !== OPEN_BRACE) return UNUSUAL;
    this.#isCommon = false;
    let seen = 0;
    let field = NO_FIELD;
    let position = start + 1;
    do {
      position = skipSpace(bytes, position);
      let name = SEG6_FIELDS.guess(bytes, position, field);
      if (name < 0) {
        const nameEnd = endOfString(bytes, position);
        if (nameEnd === UNUSUAL) return UNUSUAL;
        name = SEG6_FIELDS.find(bytes, position + 1, nameEnd, field);
        position = startOfValue(bytes, nameEnd + 1);
        if (name < 0 || position === UNUSUAL) return UNUSUAL;
      } else position = skipSpace(bytes, position + SEG6_FIELDS.writtenLength(name));
      field = name;
      if ((seen & (1 << field)) !== 0) return UNUSUAL;
      seen |= 1 << field;
      position =
        field === Seg6Field.MODE ? this.#readMode(bytes, position, nexthop) : readSegments(bytes, position, nexthop);
      if (position === UNUSUAL) return UNUSUAL;
      position = skipSpace(bytes, position);
    } while (bytes[position++] === COMMA);
    return bytes[position - 1] === CLOSE_BRACE && seen === SEG6_COMPLETE ? position : UNUSUAL;
  }

  #readMode(bytes: Uint8Array, start: number, nexthop: Nexthop): number {
    const end = endOfString(bytes, start);
    if (end === UNUSUAL) return UNUSUAL;
    const mode = this.#words.take(bytes, start + 1, end);
    return mode !== null && setSeg6Mode(nexthop, mode) === null ? end + 1 : UNUSUAL;
  }

  /** A whole number from `min` to `max`, in digits alone. What may not follow it, the caller does not find. */
  #readNumber(bytes: Uint8Array, start: number, min: number, max: number): number {
    let position = start;
    let number = 0;
    for (; ; position++) {
      const digit = bytes[position]! - ZERO;
      if (!(digit >= 0 && digit <= 9)) break;
      number = number * 10 + digit;
      if (number > max) return UNUSUAL;
    }
    if (position === start || number < min) return UNUSUAL;
    if (bytes[start] === ZERO && position > start + 1) return UNUSUAL;
    this.#number = number;
    return position;
  }

  /** The nexthop at `index`, with every field at its default. */
  #nexthopAt(into: RouteUpdate, index: number): Nexthop {
    if (index === into.nexthops.length && this.#spares.length > 0) into.nexthops.push(this.#spares.pop()!);
    return resetNexthop(into, index);
  }

  /** Leaves `count` nexthops, and keeps the others for updates with more. */
  #trimNexthops(into: RouteUpdate | MemoEntry, count: number): void {
    while (into.nexthops.length > count) {
      const spare = into.nexthops.pop()!;
      if (this.#spares.length < NEXTHOPS_MAX) this.#spares.push(spare);
    }
  }
}

function skipSpace(bytes: Uint8Array, start: number): number {
  let position = start;
  // Nearly always there is none.
  while (bytes[position]! <= 0x20 && isJsonSpace(bytes[position]!)) position++;
  return position;
}

/** 1 for each byte before which a plain string stops: its end, an escape, and what is no printable ASCII. */
const STOPS = Uint8Array.from({ length: 256 }, (_, byte) =>
  byte < 0x20 || byte >= 0x80 || byte === QUOTE || byte === BACKSLASH ? 1 : 0,
);

/** Where the string that begins at `start` has its closing quote; UNUSUAL if it has anything but plain ASCII. */
function endOfString(bytes: Uint8Array, start: number): number {
  if (bytes[start] !== QUOTE) return UNUSUAL;
  let position = start + 1;
  // At the end of all bytes it stops too.
  while (STOPS[bytes[position]!] === 0) position++;
  return bytes[position] === QUOTE ? position : UNUSUAL;
}

/** Where the value begins that follows a field's name. */
function startOfValue(bytes: Uint8Array, start: number): number {
  const position = skipSpace(bytes, start);
  return bytes[position] === COLON ? skipSpace(bytes, position + 1) : UNUSUAL;
}

/** A source prefix, which only IPv6 has. */
function readSource(bytes: Uint8Array, start: number, into: RouteUpdate): number {
  const end = endOfString(bytes, start);
  if (end === UNUSUAL) return UNUSUAL;
  const packed = parsePrefixBytes(bytes, start + 1, end, into.source, 0, false);
  if (packed < 0 || packedFamily(packed) !== Family.IPV6) return UNUSUAL;
  into.sourceLength = packedLength(packed);
  return end + 1;
}

function readPrefsrc(bytes: Uint8Array, start: number, into: RouteUpdate): number {
  const end = endOfString(bytes, start);
  if (end === UNUSUAL) return UNUSUAL;
  const family = parseAddressBytes(bytes, start + 1, end, into.prefsrc, 0);
  if (family < 0) return UNUSUAL;
  into.prefsrcFamily = family as Family;
  return end + 1;
}

function readOnlink(bytes: Uint8Array, start: number, nexthop: Nexthop): number {
  nexthop.onlink = bytes[start] === LETTER_T;
  if (nexthop.onlink) return isLiteral(bytes, start, TRUE) ? start + TRUE.length : UNUSUAL;
  return bytes[start] === LETTER_F && isLiteral(bytes, start, FALSE) ? start + FALSE.length : UNUSUAL;
}

const TRUE = Uint8Array.of(0x74, 0x72, 0x75, 0x65);
const FALSE = Uint8Array.of(0x66, 0x61, 0x6c, 0x73, 0x65);

function isLiteral(bytes: Uint8Array, start: number, literal: Uint8Array): boolean {
  for (let index = 0; index < literal.length; index++) if (bytes[start + index] !== literal[index]) return false;
  return true;
}

function readSegments(bytes: Uint8Array, start: number, nexthop: Nexthop): number {
  if (bytes[start] !== OPEN_BRACKET) return UNUSUAL;
  const { segments } = nexthop;
  let position = start + 1;
  let count = 0;
  for (; count < SEG6_SEGMENTS_MAX; count++) {
    position = skipSpace(bytes, position);
    const end = endOfString(bytes, position);
    if (end === UNUSUAL) return UNUSUAL;
    if (count === segments.length) segments.push(new Uint8Array(16));
    if (parseAddressBytes(bytes, position + 1, end, segments[count]!, 0) !== Family.IPV6) return UNUSUAL;
    position = skipSpace(bytes, end + 1);
    if (bytes[position++] !== COMMA) break;
  }
  segments.length = Math.min(count + 1, SEG6_SEGMENTS_MAX);
  return bytes[position - 1] === CLOSE_BRACKET ? position : UNUSUAL;
}
