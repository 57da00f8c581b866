/**
 * The nexthops of an update as JSON, from their bytes. Main thread. For `update_bytes.ts`, which says what is read and what
 * is not; positions are those of `json_bytes.ts`.
 */
import { MPLS_LABELS_MAX, NEXTHOPS_MAX, SEG6_SEGMENTS_MAX, WEIGHT_MAX } from "../constants.ts";
import { parseAddressBytes } from "../model/prefix.ts";
import { EncapType, Family, type Nexthop, type RouteUpdate } from "../model/route.ts";
import { FieldNames, type WordCache } from "./byte_words.ts";
import {
  CLOSE_BRACE,
  CLOSE_BRACKET,
  COMMA,
  endOfBoolean,
  endOfString,
  NO_FIELD,
  NumberReader,
  OPEN_BRACE,
  OPEN_BRACKET,
  skipSpace,
  startOfValue,
  UNUSUAL,
} from "./json_bytes.ts";
import { type NameResolver, resetNexthop } from "./update_rules.ts";
import { checkLabel, setSeg6Mode, U32_MAX } from "./update_values.ts";

/** In the order of {@linkcode NexthopField}. */
const NEXTHOP_FIELDS = new FieldNames(["via", "dev", "weight", "onlink", "labels", "seg6"]);
const NexthopField = { VIA: 0, DEV: 1, WEIGHT: 2, ONLINK: 3, LABELS: 4, SEG6: 5 } as const;
const ENCAP_FIELDS = (1 << NexthopField.LABELS) | (1 << NexthopField.SEG6);

const SEG6_FIELDS = new FieldNames(["mode", "segs"]);
const Seg6Field = { MODE: 0, SEGS: 1 } as const;
const SEG6_COMPLETE = (1 << Seg6Field.MODE) | (1 << Seg6Field.SEGS);

const LETTER_T = 0x74;

/** Reads the nexthops of one update after the other, and gives the objects out again. */
export class NexthopsReader {
  /** Nexthops of the update that is read. */
  count = 0;
  /** A nexthop is over an interface that is not there. Whether that matters, the operation tells, which may come later. */
  hasUnknownDevice = false;
  /** A nexthop has labels or segments. */
  hasEncap = false;
  /** The names of the nexthops' interfaces; empty where one has none. */
  readonly devices: string[] = [];
  #device = "";
  readonly #words: WordCache;
  readonly #number = new NumberReader();
  /** Nexthops that updates with fewer of them have no use for. */
  readonly #spares: Nexthop[] = [];
  #resolver!: NameResolver;

  constructor(words: WordCache) {
    this.#words = words;
  }

  /** Before each update. */
  reset(resolver: NameResolver): void {
    this.#resolver = resolver;
    this.count = 0;
    this.hasUnknownDevice = false;
    this.hasEncap = false;
  }

  /** Reads all of them into `into`. */
  read(bytes: Uint8Array, start: number, into: RouteUpdate): number {
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
      this.devices[count] = this.#device;
      position = skipSpace(bytes, position);
      if (bytes[position++] !== COMMA) break;
    }
    this.count = count + 1;
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
        if (nexthop.ifindex === 0) this.hasUnknownDevice = true;
        return end + 1;
      }
      case NexthopField.WEIGHT: {
        const end = this.#number.read(bytes, start, 1, WEIGHT_MAX);
        nexthop.weight = this.#number.value;
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
    this.hasEncap = true;
    let position = start + 1;
    let count = 0;
    for (; count < MPLS_LABELS_MAX; count++) {
      position = this.#number.read(bytes, skipSpace(bytes, position), 0, U32_MAX);
      if (position === UNUSUAL || checkLabel(this.#number.value, count) !== null) return UNUSUAL;
      nexthop.labels[count] = this.#number.value;
      position = skipSpace(bytes, position);
      if (bytes[position++] !== COMMA) break;
    }
    nexthop.labels.length = Math.min(count + 1, MPLS_LABELS_MAX);
    return bytes[position - 1] === CLOSE_BRACKET ? position : UNUSUAL;
  }

  #readSeg6(bytes: Uint8Array, start: number, nexthop: Nexthop): number {
    if (bytes[start] !== OPEN_BRACE) return UNUSUAL;
    this.hasEncap = true;
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

  /** The nexthop at `index`, with every field at its default. */
  #nexthopAt(into: RouteUpdate, index: number): Nexthop {
    if (index === into.nexthops.length && this.#spares.length > 0) into.nexthops.push(this.#spares.pop()!);
    return resetNexthop(into, index);
  }

  /** Leaves `count` nexthops, and keeps the others for updates with more. */
  trim(into: { nexthops: Nexthop[] }, count: number): void {
    while (into.nexthops.length > count) {
      const spare = into.nexthops.pop()!;
      if (this.#spares.length < NEXTHOPS_MAX) this.#spares.push(spare);
    }
  }
}

function readOnlink(bytes: Uint8Array, start: number, nexthop: Nexthop): number {
  nexthop.onlink = bytes[start] === LETTER_T;
  return endOfBoolean(bytes, start);
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
