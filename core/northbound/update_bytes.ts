/**
 * An update as JSON from its bytes straight into a `RouteUpdate`, without text or objects in between: of each of a
 * million lines those cost several times more than everything else that is done with it. Main thread.
 *
 * It takes right updates as programs write them, and nothing else. Whatever is unusual (an escape, an exponent, a field
 * twice) or wrong is left to `update_text.ts`, so that there is one place which says what JSON is and what is wrong with
 * an update. tests/fuzz/update_bytes_fuzz_test.ts compares the two.
 */
import type { AttrsMemo } from "../context/attrs_store.ts";
import { packedFamily, packedLength, parseAddressBytes, parsePrefixBytes } from "../model/prefix.ts";
import { Family, type RouteUpdate, UpdateOp } from "../model/route.ts";
import { FieldNames, WordCache } from "./byte_words.ts";
import {
  CLOSE_BRACE,
  COMMA,
  endOfString,
  isJsonSpace,
  NO_FIELD,
  NumberReader,
  OPEN_BRACE,
  QUOTE,
  skipSpace,
  startOfValue,
  UNUSUAL,
} from "./json_bytes.ts";
import { NexthopsReader } from "./nexthop_bytes.ts";
import { type MemoEntry, UpdateMemo } from "./update_memo.ts";
import {
  completeUpdate,
  MTU_MAX,
  type NameResolver,
  resetUpdate,
  UPDATE_DEFAULTS,
  type UpdateDefaults,
} from "./update_rules.ts";
import { setProtocol, setType, setVrf, U32_MAX } from "./update_values.ts";

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

/**
 * Reads one update at a time. The methods that read a part of it take the position where it begins and return the one
 * behind it, or UNUSUAL. They may read past the update's end, into what comes next or lay there before; that is found
 * out at the end, because an update that is complete ends where it says.
 */
export class UpdateBytesParser {
  readonly #words = new WordCache();
  readonly #number = new NumberReader();
  readonly #nexthops = new NexthopsReader(this.#words);
  #resolver!: NameResolver;
  /** Where the VRF's name is. */
  #vrfStart = 0;
  #vrfEnd = 0;
  /** Where the prefix is. */
  #prefixStart = 0;
  #prefixEnd = 0;
  #hasVrf = false;
  #memo = new UpdateMemo();
  /** What the memo's entries are lent to, and by which defaults they were made. */
  #into: RouteUpdate | null = null;
  #table = 0;
  #metric = 0;
  #distance = 0;
  /** The nexthops of `#into` are the memo's. */
  #isLent = false;
  /** Of the update that was read last, if one like it was read before: the number of its attributes in the RIB. */
  attrsMemo: AttrsMemo | null = null;

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
    this.attrsMemo = null;
    this.#own(into, defaults);
    const isWorthwhile = this.#memo.isWorthwhile();
    if (isWorthwhile && this.#isKnown(bytes, from, to, into, defaults)) return true;
    resetUpdate(into, defaults);
    // What is lent must not be written.
    if (this.#isLent) into.nexthops.length = 0;
    this.#isLent = false;
    this.#nexthops.reset(resolver);
    this.#hasVrf = false;
    let position = skipSpace(bytes, from);
    if (bytes[position] !== OPEN_BRACE) return false;
    position = this.#readUpdate(bytes, position + 1, into);
    if (position === UNUSUAL || position > to) return false;
    while (position < to) if (!isJsonSpace(bytes[position++]!)) return false;
    this.#nexthops.trim(into, into.op === UpdateOp.DELETE ? 0 : this.#nexthops.count);
    if (completeUpdate(into, this.#nexthops.count) !== null) return false;
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
        this.attrsMemo = entry.memo;
        return true;
      }
    }
    return false;
  }

  #reset(into: RouteUpdate, defaults: UpdateDefaults): void {
    resetUpdate(into, defaults);
    this.#nexthops.trim(into, 0);
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
    if (this.#hasVrf || this.#nexthops.hasEncap) return;
    if (into.sourceLength !== 0 || into.prefsrcFamily !== Family.NONE) return;
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
    this.#nexthops.trim(entry, 0);
    for (let index = 0; index < into.nexthops.length; index++) {
      entry.nexthops[index] = into.nexthops[index]!;
      entry.devices[index] = this.#nexthops.devices[index]!;
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
    if (this.#nexthops.hasUnknownDevice && into.op !== UpdateOp.DELETE) return UNUSUAL;
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
        return this.#nexthops.read(bytes, start, into);
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
        const end = this.#number.read(bytes, start, 1, U32_MAX);
        into.table = this.#number.value;
        return end;
      }
      case UpdateField.NEXTHOP_GROUP: {
        const end = this.#number.read(bytes, start, 1, U32_MAX);
        into.nexthopGroup = this.#number.value;
        return end;
      }
      case UpdateField.METRIC: {
        const end = this.#number.read(bytes, start, 0, U32_MAX);
        into.metric = this.#number.value;
        return end;
      }
      case UpdateField.DISTANCE: {
        const end = this.#number.read(bytes, start, 0, 255);
        into.distance = this.#number.value;
        return end;
      }
      case UpdateField.PROTOCOL: {
        const end = this.#number.read(bytes, start, 0, 255);
        into.protocol = this.#number.value;
        return end;
      }
      case UpdateField.TAG: {
        const end = this.#number.read(bytes, start, 0, U32_MAX);
        into.tag = this.#number.value;
        return end;
      }
      default: {
        const end = this.#number.read(bytes, start, 1, MTU_MAX);
        into.mtu = this.#number.value;
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
      this.#hasVrf = true;
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
