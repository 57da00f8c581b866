/**
 * From a context to the bytes of a route message. Whoever speaks netlink about routes encodes here: the kernel provider,
 * and FPM, which carries the same messages. Runs on the thread of the provider that owns the encoder.
 *
 * What a route's attributes come to in bytes is the same for every route that has them, so it is encoded once and
 * copied: a message costs a header, its key, and a copy.
 */

import { CONTEXT_BYTES } from "../core/constants.ts";
import { ATTRS, ATTRS_NEXTHOP, ATTRS_NEXTHOP_ONLINK, type AttrsReader, NO_ATTRS } from "../core/context/attrs.ts";
import type { Contexts } from "../core/context/contexts.ts";
import { U8, U32 } from "../core/context/layout.ts";
import { toEncap } from "../core/context/netlink_route.ts";
import { EncapType, Family, RouteType } from "../core/model/route.ts";
import { beginNest, endNest, putAttribute, putBytes, putU32 } from "../ffi/netlink/attribute.ts";
import * as c from "../ffi/netlink/constants.ts";
import { putEncap } from "../ffi/netlink/encap.ts";
import { endMessage, putHeader } from "../ffi/netlink/message.ts";
import { beginRouteNexthop, putRouteHeader, putVia } from "../ffi/netlink/route.ts";

/**
 * Longest message. The kernel takes longer ones, up to the 64 KiB of the attribute that holds the nexthops. But it shows
 * its routes in pieces of 32 KiB, and where one does not fit, a dump of the table ends there without an error: nobody
 * would see the routes behind it any more (Linux 6.18; `ip` 6.1 has this trouble from 4 KiB on).
 */
export const ROUTE_MESSAGE_BYTES_MAX = 32 << 10;

/** What of it is left for a route's attributes, besides the key and what the kernel adds when it shows the route. */
const TEMPLATE_BYTES_MAX = ROUTE_MESSAGE_BYTES_MAX - 512;

/** Writers take offset 0 for "did not fit", so a template starts behind a place that stays empty. */
const TEMPLATE_START = 4;

/** Encoded attributes that are remembered; past it all are forgotten, which costs encoding them again. */
const TEMPLATES_MAX = 65_536;

/** A route's attributes as netlink. */
interface Template {
  /** Of the attrs record it was made from. */
  epoch: number;
  /** The nexthop object that stands for the record's nexthops; 0 where they are inline. */
  object: number;
  words: Uint32Array;
  type: number;
  scope: number;
  /** RTNH_F_* of a single inline nexthop, which stand in the route's own flags. */
  flags: number;
}

export interface ContextEncoderOptions {
  contexts: Contexts;
  attrs: AttrsReader;
  /** RTPROT_* that routes are written with, and by which a delete tells ours from others'. */
  protocol: number;
  /** Routes name the kernel's nexthop objects that stand for their nexthops (core/rib/shared_nexthops.ts). */
  byObject?: boolean;
}

export class ContextEncoder {
  readonly #contexts: Contexts;
  readonly #attrs: AttrsReader;
  readonly #protocol: number;
  readonly #byObject: boolean;
  readonly #templates = new Map<number, Template | null>();
  /** As of those templates: routes by nexthop objects say that they have no MTU, see #encodeTemplate. */
  #hasGroupMtu = false;
  readonly #scratch = new DataView(new ArrayBuffer(TEMPLATE_START + TEMPLATE_BYTES_MAX));

  constructor(options: ContextEncoderOptions) {
    this.#contexts = options.contexts;
    this.#attrs = options.attrs;
    this.#protocol = options.protocol;
    this.#byObject = options.byObject ?? false;
  }

  /**
   * Encodes RTM_NEWROUTE for the context's route with the attributes `attrs` at `offset`; returns its bytes, or 0 if it
   * does not fit. `flags` are added to NLM_F_REQUEST. `object` is what {@linkcode objectFor} says, or 0 to have the
   * nexthops inline. Ask {@linkcode canEncode} first.
   */
  encodeNew(
    view: DataView,
    offset: number,
    slot: number,
    attrs: number,
    flags: number,
    sequence: number,
    object = 0,
  ): number {
    const template = this.#template(attrs, this.#contexts.getU8(slot, U8.FAMILY), object)!;
    const at = this.#putKey(view, offset, slot, c.RTM_NEWROUTE, flags, sequence, template);
    return endMessage(view, offset, putTemplate(view, at, template));
  }

  /**
   * Encodes RTM_DELROUTE: the key and our protocol, so that it can hit no route but ours. Where the kernel would take the
   * key for less than it says, the nexthops of `attrs`, or the number of their object, go with it, and must agree; see
   * {@linkcode isKeyExact}.
   */
  encodeDelete(
    view: DataView,
    offset: number,
    slot: number,
    flags: number,
    sequence: number,
    attrs: number = NO_ATTRS,
  ): number {
    const isExact = attrs === NO_ATTRS || this.isKeyExact(slot);
    const template = isExact ? null : this.#template(attrs, this.#contexts.getU8(slot, U8.FAMILY));
    const at = this.#putKey(view, offset, slot, c.RTM_DELROUTE, flags, sequence, template);
    return endMessage(view, offset, template === null ? at : putTemplate(view, at, template));
  }

  /**
   * Encodes RTM_DELROUTE for that route of ours under the key which has the attributes `attrs`. Of several under one key
   * the kernel takes the first that agrees with all that is named. Ask {@linkcode canEncode} first.
   */
  encodeExactDelete(view: DataView, offset: number, slot: number, attrs: number, sequence: number, object = 0): number {
    const template = this.#template(attrs, this.#contexts.getU8(slot, U8.FAMILY), object)!;
    const at = this.#putKey(view, offset, slot, c.RTM_DELROUTE, 0, sequence, template);
    return endMessage(view, offset, putTemplate(view, at, template));
  }

  /**
   * False where a delete by key alone could hit another route of ours: to the kernel, metric 0 in the delete of an IPv4
   * route means any metric (net/ipv4/fib_semantics.c: fib_nh_match).
   */
  isKeyExact(slot: number): boolean {
    return this.#contexts.getU8(slot, U8.FAMILY) === Family.IPV6 || this.#contexts.getU32(slot, U32.METRIC) !== 0;
  }

  /**
   * The nexthop object by which the route may be written with `attrs`; 0 for none. The kernel takes no source prefix with
   * one; and where a deletion has to name the nexthops, it has to name them as the route did.
   */
  objectFor(slot: number, attrs: number): number {
    if (!this.#byObject) return 0;
    const object = this.#attrs.object(attrs);
    if (object === 0 || this.#contexts.getU8(slot, U8.SOURCE_LENGTH) > 0 || !this.isKeyExact(slot)) return 0;
    return object;
  }

  /** False where the nexthops take more room than a route message has. */
  canEncode(slot: number, attrs: number): boolean {
    return this.#template(attrs, this.#contexts.getU8(slot, U8.FAMILY)) !== null;
  }

  /** nlmsghdr, rtmsg and the attributes of the key. */
  #putKey(
    view: DataView,
    offset: number,
    slot: number,
    type: number,
    flags: number,
    sequence: number,
    template: Template | null,
  ): number {
    const { u8 } = this.#contexts;
    const base = slot * CONTEXT_BYTES;
    const family = u8[base + U8.FAMILY]!;
    const sourceLength = u8[base + U8.SOURCE_LENGTH]!;
    const table = this.#contexts.getU32(slot, U32.TABLE);
    let at = putRouteHeader(
      view,
      putHeader(view, offset, type, c.NLM_F_REQUEST | flags, sequence, 0),
      family,
      u8[base + U8.PREFIX_LENGTH]!,
      sourceLength,
      0,
      table,
      this.#protocol,
      // A delete names no scope, which an IPv4 route would have to match (net/ipv4/fib_trie.c: fib_table_delete).
      template?.scope ?? c.RT_SCOPE_NOWHERE,
      template?.type ?? 0,
      template?.flags ?? 0,
    );
    const addressBytes = family === Family.IPV6 ? 16 : 4;
    at = this.#putAddress(view, at, c.RTA_DST, base + U8.PREFIX, addressBytes);
    if (sourceLength > 0) at = this.#putAddress(view, at, c.RTA_SRC, base + U8.SOURCE, addressBytes);
    if (table >= 256) at = putU32(view, at, c.RTA_TABLE, table);
    return putU32(view, at, c.RTA_PRIORITY, this.#contexts.getU32(slot, U32.METRIC));
  }

  #putAddress(view: DataView, offset: number, type: number, from: number, length: number): number {
    const at = putAttribute(view, offset, type, length);
    if (at === 0) return 0;
    const { u8 } = this.#contexts;
    for (let index = 0; index < length; index++) view.setUint8(at + index, u8[from + index]!);
    return at + length;
  }

  /** The attributes as bytes; null where they do not fit. The same ones differ by the family of the route. */
  #template(attrs: number, family: number, object = 0): Template | null {
    if (this.#hasGroupMtu !== this.#attrs.hasGroupMtu()) {
      this.#hasGroupMtu = !this.#hasGroupMtu;
      this.#templates.clear();
    }
    const key = attrs * 4 + (family === Family.IPV6 ? 2 : 0) + (object === 0 ? 0 : 1);
    const known = this.#templates.get(key);
    const epoch = this.#attrs.epoch(attrs);
    if (known !== undefined && known?.epoch === epoch && known.object === object) return known;
    if (this.#templates.size >= TEMPLATES_MAX) this.#templates.clear();
    const template = this.#encodeTemplate(attrs, family, epoch, object);
    this.#templates.set(key, template);
    return template;
  }

  #encodeTemplate(attrs: number, family: number, epoch: number, shared: number): Template | null {
    const reader = this.#attrs;
    const view = this.#scratch;
    const type = reader.type(attrs);
    const mtu = reader.mtu(attrs);
    const base = reader.offset(attrs);
    const object = shared !== 0 ? shared : reader.nexthopGroup(attrs);
    const count = type === RouteType.UNICAST && object === 0 ? reader.nexthopCount(attrs) : 0;
    let at = TEMPLATE_START;
    // An IPv4 route that comes without metrics gets those of any other on the same object, in the same table and with the
    // same metric (net/ipv4/fib_semantics.c: fib_find_info_nh). Saying MTU 0 costs the kernel time, so only where some have one.
    if (mtu > 0 || (object !== 0 && family === Family.IPV4 && this.#hasGroupMtu)) {
      const nest = at;
      at = putU32(view, beginNest(view, at, c.RTA_METRICS), c.RTAX_MTU, mtu);
      at = endNest(view, nest, at);
    }
    const prefsrcFamily = reader.prefsrcFamily(attrs);
    if (prefsrcFamily !== Family.NONE) {
      const address = reader.u8.subarray(base + ATTRS.PREFSRC, base + ATTRS.PREFSRC + 16);
      at = putBytes(view, at, c.RTA_PREFSRC, address, prefsrcFamily === Family.IPV6 ? 16 : 4);
    }
    let flags = 0;
    // Routes by a nexthop object have this scope too, whatever the object is: only the kernel knows for certain.
    let scope: number = c.RT_SCOPE_UNIVERSE;
    if (object !== 0) {
      at = putU32(view, at, c.RTA_NH_ID, object);
    } else if (count === 1) {
      const hop = reader.nexthopOffset(attrs, 0);
      flags = this.#nexthopFlags(hop);
      // What is on the link itself has the link's scope; the kernel checks gateways of other routes by it.
      if (family === Family.IPV4 && reader.u8[hop + ATTRS_NEXTHOP.VIA_FAMILY] === Family.NONE) scope = c.RT_SCOPE_LINK;
      const ifindex = reader.view.getUint32(hop + ATTRS_NEXTHOP.IFINDEX, true);
      if (ifindex !== 0) at = putU32(view, at, c.RTA_OIF, ifindex);
      at = this.#putNexthop(view, at, attrs, 0, family);
    } else if (count > 1) {
      at = this.#putMultipath(view, at, attrs, count, family);
    }
    if (at === 0) return null;
    return { epoch, object: shared, words: new Uint32Array(view.buffer.slice(TEMPLATE_START, at)), type, scope, flags };
  }

  #nexthopFlags(hop: number): number {
    return (this.#attrs.u8[hop + ATTRS_NEXTHOP.FLAGS]! & ATTRS_NEXTHOP_ONLINK) !== 0 ? c.RTNH_F_ONLINK : 0;
  }

  #putMultipath(view: DataView, offset: number, attrs: number, count: number, family: number): number {
    const reader = this.#attrs;
    let at = beginNest(view, offset, c.RTA_MULTIPATH);
    for (let index = 0; index < count; index++) {
      const start = at;
      const hop = reader.nexthopOffset(attrs, index);
      const weight = reader.view.getUint16(hop + ATTRS_NEXTHOP.WEIGHT, true);
      const ifindex = reader.view.getUint32(hop + ATTRS_NEXTHOP.IFINDEX, true);
      at = beginRouteNexthop(view, start, this.#nexthopFlags(hop), weight, ifindex);
      at = endNest(view, start, this.#putNexthop(view, at, attrs, index, family));
    }
    return endNest(view, offset, at);
  }

  /** Gateway and encapsulation of one nexthop. */
  #putNexthop(view: DataView, offset: number, attrs: number, index: number, family: number): number {
    const nexthop = this.#attrs.nexthop(attrs, index);
    let at = offset;
    if (nexthop.viaFamily !== Family.NONE) at = putVia(view, at, family, nexthop.viaFamily, nexthop.via);
    if (nexthop.encap !== EncapType.NONE) at = putEncap(view, at, c.RTA_ENCAP, c.RTA_ENCAP_TYPE, toEncap(nexthop));
    return at;
  }
}

/** Copies word by word, because a view of the place to copy to at once would be garbage for every route. */
function putTemplate(view: DataView, offset: number, { words }: Template): number {
  if (offset === 0 || offset + words.byteLength > view.byteLength) return 0;
  for (let index = 0; index < words.length; index++) view.setUint32(offset + index * 4, words[index]!, true);
  return offset + words.byteLength;
}
