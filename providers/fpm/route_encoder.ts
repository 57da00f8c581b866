/**
 * From a route's key and attributes to the message for the peer, by the kernel's own encoder (providers/encode_context.ts).
 * The attributes come from the arena or from an answer of the main thread; what the peer is to get instead of them (other
 * numbers of nexthop objects, or the nexthops themselves) is worked out once for all routes that have them, and kept in an
 * arena of this thread's own. The thread of the FPM provider.
 */
import { ATTRS, ATTRS_ALIGN, AttrsReader, attrsLength, encodeAttrs } from "../../core/context/attrs.ts";
import { Contexts, createContextStorage } from "../../core/context/contexts.ts";
import { createRouteUpdate, RouteType } from "../../core/model/route.ts";
import { NLM_F_CREATE, NLM_F_REPLACE, RTPROT_KERNEL } from "../../ffi/netlink/constants.ts";
import { ContextEncoder } from "../encode_context.ts";
import type { NexthopTable } from "./nexthop_table.ts";
import type { OutputBuffer } from "./output.ts";
import type { FpmProfile } from "./profile.ts";
import type { RouteKey } from "./route_key.ts";

/** The arena and what leads to it start anew when this is full. */
const ARENA_BYTES = 8 << 20;
const KNOWN_MAX = 65_536;
/** The context that has the key of the message being encoded. */
const KEY_SLOT = 0;

/** Attributes as the peer gets them. */
export interface Prepared {
  /** Of the attributes it was made from. */
  epoch: number;
  /** Number in this thread's arena; 0 where the peer cannot be told such a route. */
  local: number;
  protocol: number;
  /** The kernel's number of the nexthop object; 0 for none. */
  object: number;
  /** By which it is noticed that the object has become something else. */
  exportId: number;
  version: number;
}

export interface RouteEncoderOptions {
  profile: FpmProfile;
  /** RTPROT_* of routes that have none of their own. */
  protocol: number;
  isInline: boolean;
  nexthops: NexthopTable;
}

export class RouteEncoder {
  readonly #options: RouteEncoderOptions;
  readonly #known = new Map<number, Prepared>();
  readonly #arena = new AttrsReader(new SharedArrayBuffer(ARENA_BYTES));
  #brk = ATTRS_ALIGN;
  #epoch = 0;
  readonly #key = new Contexts(createContextStorage(1));
  readonly #encoders = new Map<number, ContextEncoder>();

  constructor(options: RouteEncoderOptions) {
    this.#options = options;
  }

  /**
   * What the peer is to get for the attributes at `offset` of `bytes`, which are number `attrs` with this epoch. Null
   * while their nexthop object is not known to it.
   */
  prepare(bytes: Uint8Array, offset: number, attrs: number, epoch: number): Prepared | null {
    const known = this.#known.get(attrs);
    if (known !== undefined && known.epoch === epoch && this.#isCurrent(known)) return known;
    const length = readU32(bytes, offset + ATTRS.LENGTH);
    // What takes its place may be longer: an object's nexthops.
    if (this.#brk + length + (ARENA_BYTES >> 3) > ARENA_BYTES || this.#known.size >= KNOWN_MAX) this.#clear();
    const prepared = this.#prepare(bytes, offset, length, epoch);
    if (prepared !== null) this.#known.set(attrs, prepared);
    return prepared;
  }

  #isCurrent({ object, exportId, version }: Prepared): boolean {
    if (object === 0) return true;
    const { nexthops, isInline } = this.#options;
    return isInline ? version === nexthops.version : exportId !== 0 && exportId === nexthops.exportId(object);
  }

  #prepare(bytes: Uint8Array, offset: number, length: number, epoch: number): Prepared | null {
    const { nexthops, isInline, profile } = this.#options;
    const reader = this.#arena;
    const base = this.#brk;
    const local = base / ATTRS_ALIGN;
    for (let at = 0; at < length; at++) reader.u8[base + at] = bytes[offset + at]!;
    const type = reader.type(local);
    const object = reader.nexthopGroup(local);
    const own = reader.protocol(local);
    const protocol = own === 0 || own === RTPROT_KERNEL ? this.#options.protocol : own;
    const prepared = { epoch, local, protocol, object, exportId: 0, version: nexthops.version };
    if (profile.types !== null && !profile.types.includes(type)) return { ...prepared, local: 0 };
    let used = length;
    if (object !== 0 && type === RouteType.UNICAST) {
      const update = createRouteUpdate();
      reader.read(local, update);
      if (isInline) {
        const hops = nexthops.expand(object);
        if (hops === null || hops.length === 0) return null;
        update.nexthops = hops;
        update.nexthopGroup = 0;
      } else {
        prepared.exportId = nexthops.exportId(object);
        if (prepared.exportId === 0) return null;
        update.nexthopGroup = prepared.exportId;
      }
      used = attrsLength(update);
      encodeAttrs(reader.view, reader.u8, base, update);
    }
    this.#epoch = (this.#epoch + 1) >>> 0 || 1;
    reader.view.setUint32(base + ATTRS.EPOCH, this.#epoch, true);
    this.#brk += used;
    return prepared;
  }

  #clear(): void {
    this.#known.clear();
    this.#brk = ATTRS_ALIGN;
  }

  /** Appends RTM_NEWROUTE to the output; false if the peer cannot be told such a route. */
  putNew(output: OutputBuffer, key: RouteKey, { local, protocol }: Prepared): boolean {
    const table = this.#options.profile.tableOf(key.table);
    if (local === 0 || table < 0) return false;
    const encoder = this.#encoder(protocol);
    key.toContext(this.#key, KEY_SLOT, table);
    if (!encoder.canEncode(KEY_SLOT, local)) return false;
    const at = output.begin();
    return output.end(encoder.encodeNew(output.view, at, KEY_SLOT, local, NLM_F_CREATE | NLM_F_REPLACE, 0));
  }

  /** Appends RTM_DELROUTE; false if the peer cannot have been told such a route. */
  putDelete(output: OutputBuffer, key: RouteKey, protocol: number): boolean {
    const table = this.#options.profile.tableOf(key.table);
    if (table < 0) return false;
    key.toContext(this.#key, KEY_SLOT, table);
    const encoder = this.#encoder(protocol || this.#options.protocol);
    const at = output.begin();
    return output.end(encoder.encodeDelete(output.view, at, KEY_SLOT, 0, 0));
  }

  #encoder(protocol: number): ContextEncoder {
    let encoder = this.#encoders.get(protocol);
    if (encoder === undefined) {
      encoder = new ContextEncoder({ contexts: this.#key, attrs: this.#arena, protocol });
      this.#encoders.set(protocol, encoder);
    }
    return encoder;
  }
}

function readU32(bytes: Uint8Array, at: number): number {
  return (bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24)) >>> 0;
}
