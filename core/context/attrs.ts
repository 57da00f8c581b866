/**
 * Route attributes: everything that a route says besides its key (type, protocol, distance, tag, mtu, preferred source,
 * nexthops), as one immutable record in shared memory. Many routes share few records, so a context and a RIB entry hold
 * only a number: the record's place in the arena (BIRD's `rta`, FRR's nexthop hash entry, taken together).
 *
 * The main thread writes a record before it hands out its number through a ring, and reuses its space only after the
 * last context that names it has come back; until then any thread may read it without further care.
 */
import { assert } from "../assert.ts";
import { NEXTHOPS_MAX } from "../constants.ts";
import { createNexthop, EncapType, type Nexthop, type RouteUpdate } from "../model/route.ts";

/** The number that no record has. */
export const NO_ATTRS = 0;

/** Records start on multiples of this; an attrs number is the record's offset divided by it. */
export const ATTRS_ALIGN = 16;

/** Fields of a record by byte offset. */
export const ATTRS = {
  /** Length of the whole record in bytes. */
  LENGTH: 0,
  /** Tells this record from another that had the same place before; keeps caches by number right. Never 0. */
  EPOCH: 4,
  /** Routes and contexts that name it; the main thread's alone. */
  REFERENCES: 8,
  /** Hash of the content; the main thread's alone. */
  HASH: 12,
  /**
   * Number of the nexthop object in the kernel that stands for the nexthops of this record, or one of {@linkcode NOT_SHARED}
   * and {@linkcode NO_OBJECT}. The one field that changes while the record is in use: the main thread writes it before it
   * hands out contexts that may rely on it, and takes it back before it has the object deleted.
   */
  OBJECT: 16,
  CONTENT: 32,
  TYPE: 32,
  PROTOCOL: 33,
  DISTANCE: 34,
  PREFSRC_FAMILY: 35,
  INSTANCE: 36,
  NEXTHOP_COUNT: 38,
  TAG: 40,
  MTU: 44,
  NEXTHOP_GROUP: 48,
  PREFSRC: 52,
  NEXTHOPS: 80,
} as const;

/** ATTRS.OBJECT of a record whose nexthops go inline. */
export const NOT_SHARED = 0;
/** ATTRS.OBJECT of a record that is to have an object (core/rib/shared_nexthops.ts), and has none at this moment. */
export const NO_OBJECT = 1;

/**
 * A byte of the arena's first unit, where no record is: 1 from when there first was a record with an MTU and a nexthop
 * group. It is written before the record is handed out, as the record is.
 */
export const ARENA_HAS_GROUP_MTU = 0;

/** Fields of one nexthop in a record by byte offset from the nexthop. */
export const ATTRS_NEXTHOP = {
  IFINDEX: 0,
  VIA_FAMILY: 4,
  FLAGS: 5,
  WEIGHT: 6,
  ENCAP: 8,
  /** Labels or segments. */
  ENCAP_COUNT: 9,
  SEG6_MODE: 10,
  /** Where labels (4 bytes each) or segments (16 bytes each) start, in words from the record. */
  ENCAP_WORD: 12,
  VIA: 16,
  BYTES: 32,
} as const;

export const ATTRS_NEXTHOP_ONLINK = 0x01;

/** Views over the arena, or over a copy of records in memory that is not shared, with readers that any thread may use. */
export class AttrsReader<Storage extends ArrayBufferLike = SharedArrayBuffer> {
  readonly storage: Storage;
  readonly u8: Uint8Array;
  readonly view: DataView;

  constructor(storage: Storage) {
    this.storage = storage;
    this.u8 = new Uint8Array(storage);
    this.view = new DataView(storage);
  }

  /** Byte offset of a record in the arena. */
  offset(attrs: number): number {
    return attrs * ATTRS_ALIGN;
  }

  epoch(attrs: number): number {
    return this.view.getUint32(attrs * ATTRS_ALIGN + ATTRS.EPOCH, true);
  }

  type(attrs: number): number {
    return this.u8[attrs * ATTRS_ALIGN + ATTRS.TYPE]!;
  }

  protocol(attrs: number): number {
    return this.u8[attrs * ATTRS_ALIGN + ATTRS.PROTOCOL]!;
  }

  distance(attrs: number): number {
    return this.u8[attrs * ATTRS_ALIGN + ATTRS.DISTANCE]!;
  }

  instance(attrs: number): number {
    return this.view.getUint16(attrs * ATTRS_ALIGN + ATTRS.INSTANCE, true);
  }

  tag(attrs: number): number {
    return this.view.getUint32(attrs * ATTRS_ALIGN + ATTRS.TAG, true);
  }

  mtu(attrs: number): number {
    return this.view.getUint32(attrs * ATTRS_ALIGN + ATTRS.MTU, true);
  }

  prefsrcFamily(attrs: number): number {
    return this.u8[attrs * ATTRS_ALIGN + ATTRS.PREFSRC_FAMILY]!;
  }

  /** A nexthop group, or the nexthop object in the kernel that stands for it; 0 for none. */
  nexthopGroup(attrs: number): number {
    return this.view.getUint32(attrs * ATTRS_ALIGN + ATTRS.NEXTHOP_GROUP, true);
  }

  /** Whether an object stands for the record's nexthops, or did, or is to. */
  isShared(attrs: number): boolean {
    return this.view.getUint32(attrs * ATTRS_ALIGN + ATTRS.OBJECT, true) !== NOT_SHARED;
  }

  /** The nexthop object that stands for the record's nexthops; 0 while none does. */
  object(attrs: number): number {
    const object = this.view.getUint32(attrs * ATTRS_ALIGN + ATTRS.OBJECT, true);
    return object === NO_OBJECT ? 0 : object;
  }

  nexthopCount(attrs: number): number {
    return this.view.getUint16(attrs * ATTRS_ALIGN + ATTRS.NEXTHOP_COUNT, true);
  }

  /** Whether there has ever been a record with an MTU and a nexthop group. */
  hasGroupMtu(): boolean {
    return this.u8[ARENA_HAS_GROUP_MTU] !== 0;
  }

  /** Byte offset of the nexthop's fields in the arena. */
  nexthopOffset(attrs: number, index: number): number {
    return attrs * ATTRS_ALIGN + ATTRS.NEXTHOPS + index * ATTRS_NEXTHOP.BYTES;
  }

  /** Copies a record into the attribute fields of `update`; its key is left alone. For display, not for the hot path. */
  read(attrs: number, update: RouteUpdate): void {
    const base = attrs * ATTRS_ALIGN;
    update.type = this.type(attrs) as RouteUpdate["type"];
    update.protocol = this.protocol(attrs);
    update.distance = this.distance(attrs);
    update.instance = this.instance(attrs);
    update.tag = this.tag(attrs);
    update.mtu = this.mtu(attrs);
    update.prefsrcFamily = this.prefsrcFamily(attrs) as RouteUpdate["prefsrcFamily"];
    update.prefsrc.set(this.u8.subarray(base + ATTRS.PREFSRC, base + ATTRS.PREFSRC + 16));
    update.nexthopGroup = this.nexthopGroup(attrs);
    update.nexthops = [];
    for (let index = 0; index < this.nexthopCount(attrs); index++) update.nexthops.push(this.nexthop(attrs, index));
  }

  /** One nexthop of a record as an object of its own. */
  nexthop(attrs: number, index: number): Nexthop {
    const base = this.nexthopOffset(attrs, index);
    const nexthop = createNexthop();
    nexthop.ifindex = this.view.getUint32(base + ATTRS_NEXTHOP.IFINDEX, true);
    nexthop.viaFamily = this.u8[base + ATTRS_NEXTHOP.VIA_FAMILY]! as Nexthop["viaFamily"];
    nexthop.onlink = (this.u8[base + ATTRS_NEXTHOP.FLAGS]! & ATTRS_NEXTHOP_ONLINK) !== 0;
    nexthop.weight = this.view.getUint16(base + ATTRS_NEXTHOP.WEIGHT, true);
    nexthop.via.set(this.u8.subarray(base + ATTRS_NEXTHOP.VIA, base + ATTRS_NEXTHOP.VIA + 16));
    nexthop.encap = this.u8[base + ATTRS_NEXTHOP.ENCAP]! as Nexthop["encap"];
    const count = this.u8[base + ATTRS_NEXTHOP.ENCAP_COUNT]!;
    let at = attrs * ATTRS_ALIGN + this.view.getUint16(base + ATTRS_NEXTHOP.ENCAP_WORD, true) * 4;
    if (nexthop.encap === EncapType.MPLS) {
      for (let label = 0; label < count; label++, at += 4) nexthop.labels.push(this.view.getUint32(at, true));
    } else if (nexthop.encap === EncapType.SEG6) {
      nexthop.seg6Mode = this.u8[base + ATTRS_NEXTHOP.SEG6_MODE]!;
      for (let segment = 0; segment < count; segment++, at += 16) nexthop.segments.push(this.u8.slice(at, at + 16));
    }
    return nexthop;
  }
}

/** Bytes that the record of this update takes. */
export function attrsLength(update: RouteUpdate): number {
  let length = ATTRS.NEXTHOPS + update.nexthops.length * ATTRS_NEXTHOP.BYTES;
  const { nexthops } = update;
  for (let index = 0; index < nexthops.length; index++) {
    const nexthop = nexthops[index]!;
    if (nexthop.encap === EncapType.MPLS) length += nexthop.labels.length * 4;
    else if (nexthop.encap === EncapType.SEG6) length += nexthop.segments.length * 16;
  }
  return (length + ATTRS_ALIGN - 1) & ~(ATTRS_ALIGN - 1);
}

/** Writes the content of a record at `base`; everything from {@linkcode ATTRS.CONTENT} on, padding zeroed. */
export function encodeAttrs(view: DataView, bytes: Uint8Array, base: number, update: RouteUpdate): number {
  assert(update.nexthops.length <= NEXTHOPS_MAX, "a route has at most NEXTHOPS_MAX nexthops");
  const length = attrsLength(update);
  bytes.fill(0, base + ATTRS.CONTENT, base + length);
  view.setUint32(base + ATTRS.LENGTH, length, true);
  bytes[base + ATTRS.TYPE] = update.type;
  bytes[base + ATTRS.PROTOCOL] = update.protocol;
  bytes[base + ATTRS.DISTANCE] = update.distance;
  bytes[base + ATTRS.PREFSRC_FAMILY] = update.prefsrcFamily;
  view.setUint16(base + ATTRS.INSTANCE, update.instance, true);
  view.setUint16(base + ATTRS.NEXTHOP_COUNT, update.nexthops.length, true);
  view.setUint32(base + ATTRS.TAG, update.tag, true);
  view.setUint32(base + ATTRS.MTU, update.mtu, true);
  view.setUint32(base + ATTRS.NEXTHOP_GROUP, update.nexthopGroup, true);
  if (update.prefsrcFamily !== 0) bytes.set(update.prefsrc, base + ATTRS.PREFSRC);
  let at = base + ATTRS.NEXTHOPS;
  let encapAt = at + update.nexthops.length * ATTRS_NEXTHOP.BYTES;
  for (let index = 0; index < update.nexthops.length; index++) {
    encapAt = encodeNexthop(view, bytes, base, at, encapAt, update.nexthops[index]!);
    at += ATTRS_NEXTHOP.BYTES;
  }
  return length;
}

function encodeNexthop(
  view: DataView,
  bytes: Uint8Array,
  base: number,
  at: number,
  encapAt: number,
  nexthop: Nexthop,
): number {
  view.setUint32(at + ATTRS_NEXTHOP.IFINDEX, nexthop.ifindex, true);
  bytes[at + ATTRS_NEXTHOP.VIA_FAMILY] = nexthop.viaFamily;
  bytes[at + ATTRS_NEXTHOP.FLAGS] = nexthop.onlink ? ATTRS_NEXTHOP_ONLINK : 0;
  view.setUint16(at + ATTRS_NEXTHOP.WEIGHT, nexthop.weight, true);
  if (nexthop.viaFamily !== 0) bytes.set(nexthop.via, at + ATTRS_NEXTHOP.VIA);
  if (nexthop.encap === EncapType.NONE) return encapAt;
  bytes[at + ATTRS_NEXTHOP.ENCAP] = nexthop.encap;
  view.setUint16(at + ATTRS_NEXTHOP.ENCAP_WORD, (encapAt - base) / 4, true);
  if (nexthop.encap === EncapType.MPLS) {
    bytes[at + ATTRS_NEXTHOP.ENCAP_COUNT] = nexthop.labels.length;
    for (const label of nexthop.labels) {
      view.setUint32(encapAt, label, true);
      encapAt += 4;
    }
  } else {
    bytes[at + ATTRS_NEXTHOP.ENCAP_COUNT] = nexthop.segments.length;
    bytes[at + ATTRS_NEXTHOP.SEG6_MODE] = nexthop.seg6Mode;
    for (const segment of nexthop.segments) {
      bytes.set(segment, encapAt);
      encapAt += 16;
    }
  }
  return encapAt;
}
