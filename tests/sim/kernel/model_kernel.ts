/**
 * A kernel in one object: takes rtnetlink requests as bytes and answers them as Linux 6.18 does, tells of its changes, and does by
 * itself what Linux does when a link, an address or a nexthop object comes or goes. Knows nothing of sockets.
 */
import { Family } from "../../../core/model/route.ts";
import { ERRNO } from "../../../ffi/libc/errno.ts";
import { attributeLength, attributeType } from "../../../ffi/netlink/attribute.ts";
import * as c from "../../../ffi/netlink/constants.ts";
import { align4, type MessageHeader, messageType, readHeader } from "../../../ffi/netlink/message.ts";
import { decodeNexthop } from "../../../ffi/netlink/nexthop.ts";
import type { RouteMessage } from "../../../ffi/netlink/route.ts";
import { decodeRoute } from "../../../ffi/netlink/route_decode.ts";
import { Ipv4Routes } from "./ipv4_routes.ts";
import { Ipv6Routes } from "./ipv6_routes.ts";
import { Links } from "./links.ts";
import {
  isEqual,
  type ModelHop,
  type ModelLink,
  type ModelObject,
  type ModelRoute,
  type Refusal,
  refuse,
} from "./model.ts";
import { NexthopTable } from "./nexthop_table.ts";
import { encodeModelAddress, encodeModelLink, encodeModelObject, encodeModelRoute } from "./wire.ts";

/** Takes a notification for a multicast group. */
export type Notify = (group: number, bytes: Uint8Array) => void;

/** A request about a route or an object, and what became of it. */
export interface Request {
  portId: number;
  type: number;
  flags: number;
  /** The route; null where the request was about an object. */
  route: RouteMessage | null;
  /** The object's number; 0 where the request was about a route. */
  objectId: number;
  refusal: Refusal | null;
}

/** A dump that is going on: each call gives the next messages, at most so many, and an empty list at its end. */
export interface ModelDump {
  next(count: number): Uint8Array[];
  /** The entries have changed in between, and the kernel says so. */
  isInterrupted(): boolean;
}

export class ModelKernel {
  readonly links = new Links();
  readonly nexthops: NexthopTable;
  readonly ipv4: Ipv4Routes;
  readonly ipv6: Ipv6Routes;
  notify: Notify = () => {};
  /** Told of each request to change something. */
  onRequest: (request: Request) => void = () => {};
  /** Told of each route that goes, and of what takes its place. */
  onLoss: (route: ModelRoute, replacement: ModelRoute | null) => void = () => {};
  /** Refuses a request although nothing is wrong with it. */
  refuseAnyway: (type: number) => Refusal | null = () => null;

  constructor() {
    const parts = {
      links: this.links,
      nexthops: () => this.nexthops,
      checkIpv6Hop: (hop: ModelHop) => this.ipv6.checkGateway(hop, c.RT_TABLE_MAIN),
      onRoute: (type: number, route: ModelRoute, portId: number, flags: number) =>
        this.#tellRoute(type, route, portId, flags),
      onLoss: (route: ModelRoute, replacement: ModelRoute | null) => this.onLoss(route, replacement),
    };
    this.ipv4 = new Ipv4Routes(parts);
    this.ipv6 = new Ipv6Routes(parts);
    this.nexthops = new NexthopTable({
      links: this.links,
      checkHop: (hop, family) => this.#checkObjectHop(hop, family),
      onGone: (object, portId) => this.#onObjectGone(object, portId),
      onNew: (object, portId, flags) => this.#tellObject(c.RTM_NEWNEXTHOP, object, portId, flags),
      onShrunk: (object, portId) => {
        if (portId !== null) this.#tellObject(c.RTM_NEWNEXTHOP, object, portId, 0);
      },
      hasIpv6Routes: (id) => this.ipv6.all().some(({ objectId }) => objectId === id),
    });
  }

  routes(): ModelRoute[] {
    return [...this.ipv4.all(), ...this.ipv6.all()];
  }

  /** Carries out a request to change something. Null if it was obeyed. */
  change(view: DataView, offset: number, length: number, portId: number): Refusal | null {
    const type = messageType(view, offset);
    let refusal = this.refuseAnyway(type);
    let route: RouteMessage | null = null;
    let objectId = 0;
    if (type === c.RTM_NEWROUTE || type === c.RTM_DELROUTE) {
      route = decodeRoute(view, offset, length);
      if (route === null) return refuse(ERRNO.EINVAL);
      refusal ??= this.#changeRoute(route, portId, hasAttribute(view, offset, length, c.RTA_METRICS));
    } else if (type === c.RTM_NEWNEXTHOP || type === c.RTM_DELNEXTHOP) {
      const message = decodeNexthop(view, offset, length);
      if (message === null) return refuse(ERRNO.EINVAL);
      objectId = message.id;
      if (type === c.RTM_DELNEXTHOP) refusal ??= this.nexthops.remove(objectId, portId);
      else refusal ??= this.nexthops.add(message, portId);
    } else return refuse(ERRNO.EOPNOTSUPP);
    const header: MessageHeader = { type: 0, flags: 0, sequence: 0, portId: 0 };
    readHeader(view, offset, header);
    this.onRequest({ portId, type, flags: header.flags, route, objectId, refusal });
    return refusal;
  }

  #changeRoute(route: RouteMessage, portId: number, saysMetrics: boolean): Refusal | null {
    const table = route.family === Family.IPV6 ? this.ipv6 : this.ipv4;
    if (route.type === c.RTM_DELROUTE) return table.remove(route, portId);
    return table.add(route, portId, saysMetrics);
  }

  /** Answers a question about one route or object: with a message, or with why not. */
  tell(view: DataView, offset: number, length: number, header: MessageHeader): Uint8Array | Refusal {
    if (header.type === c.RTM_GETNEXTHOP) {
      const object = this.nexthops.objects.get(decodeNexthop(view, offset, length)?.id ?? 0);
      if (object === undefined) return refuse(ERRNO.ENOENT);
      return encodeModelObject({ ...header, type: c.RTM_NEWNEXTHOP, flags: 0 }, object);
    }
    const question = header.type === c.RTM_GETROUTE ? decodeRoute(view, offset, length) : null;
    if (question === null) return refuse(ERRNO.EOPNOTSUPP);
    const table = question.family === Family.IPV6 ? this.ipv6 : this.ipv4;
    const found = table.lookup(question.destination);
    if (found === null || found.type !== c.RTN_UNICAST) return refuse(ERRNO.ENETUNREACH);
    return encodeModelRoute({ ...header, type: c.RTM_NEWROUTE, flags: 0 }, found);
  }

  /** Begins a dump of links, objects or the routes of one family that bear the protocol that the request names. */
  dump(view: DataView, offset: number, length: number, header: MessageHeader): ModelDump | Refusal {
    const { sequence, portId } = header;
    const reply = (type: number, extra = 0): MessageHeader => ({
      type,
      flags: c.NLM_F_MULTI | extra,
      sequence,
      portId,
    });
    if (header.type === c.RTM_GETLINK) {
      return byKey(
        () => [...this.links.all()].sort((a, b) => a.ifindex - b.ifindex),
        ({ ifindex }) => ifindex,
        (link) => encodeModelLink(reply(c.RTM_NEWLINK), link, this.links.hasCarrier(link)),
      );
    }
    if (header.type === c.RTM_GETNEXTHOP) {
      const started = this.nexthops.generation;
      const isInterrupted = (): boolean => this.nexthops.generation !== started;
      const objects = byKey(
        () => [...this.nexthops.objects.values()].sort((a, b) => a.id - b.id),
        ({ id }) => id,
        (object) => encodeModelObject(reply(c.RTM_NEWNEXTHOP, isInterrupted() ? c.NLM_F_DUMP_INTR : 0), object),
      );
      return { ...objects, isInterrupted };
    }
    const wanted = header.type === c.RTM_GETROUTE ? decodeRoute(view, offset, length) : null;
    if (wanted === null) return refuse(ERRNO.EOPNOTSUPP);
    const isMeant = ({ protocol }: ModelRoute): boolean => wanted.protocol === 0 || wanted.protocol === protocol;
    const encode = (route: ModelRoute): Uint8Array => encodeModelRoute(reply(c.RTM_NEWROUTE), route);
    const isShown = (route: ModelRoute): boolean => isMeant(route) && !this.ipv6.isHidden(route);
    if (wanted.family === Family.IPV6) return byCount(() => this.ipv6.order.routes, isShown, encode);
    const { order } = this.ipv4;
    return byKey(
      () => order.routes.filter(isMeant),
      (route) => order.placeOf(route),
      encode,
    );
  }

  // What happens to links and addresses.

  /** Adds a pair of interfaces, both up. */
  addLinks(name: string, peerName: string): void {
    for (const link of this.links.addPair(name, peerName)) link.up = true;
    for (const each of [name, peerName]) this.#tellLink(c.RTM_NEWLINK, this.links.named(each)!);
  }

  setLink(name: string, up: boolean): void {
    const link = this.links.named(name);
    if (link === undefined || link.up === up) return;
    link.up = up;
    const peer = this.links.get(link.peer);
    if (up) {
      this.#onUp(link);
      this.ipv6.revive(link.ifindex, c.RTNH_F_DEAD | (this.links.hasCarrier(link) ? c.RTNH_F_LINKDOWN : 0));
    } else this.#onDown(link);
    this.#tellLink(c.RTM_NEWLINK, link);
    if (peer?.up !== true) return;
    if (up) this.#onCarrier(peer);
    else this.#onNoCarrier(peer);
    this.#tellLink(c.RTM_NEWLINK, peer);
  }

  /** Removes a pair of interfaces. */
  removeLinks(name: string): void {
    const link = this.links.named(name);
    if (link === undefined) return;
    for (const each of [link, this.links.get(link.peer)!]) {
      each.up = false;
      this.#onDown(each);
      for (const address of [...this.links.addresses]) {
        if (address.ifindex !== each.ifindex) continue;
        this.links.addresses.splice(this.links.addresses.indexOf(address), 1);
        this.#tellAddress(c.RTM_DELADDR, address);
      }
      this.ipv4.flush(({ hops }) => hops.some(({ ifindex }) => ifindex === each.ifindex));
      this.ipv6.dropHops(each.ifindex);
      this.links.remove(each);
      this.#tellLink(c.RTM_DELLINK, each);
    }
  }

  addAddress(name: string, text: string): void {
    const link = this.links.named(name);
    if (link === undefined) return;
    const added = this.links.addAddress(link.ifindex, text);
    if (added === null) return;
    if (link.up && added.family === Family.IPV4) this.#onUp(link);
    this.#tellAddress(c.RTM_NEWADDR, added);
  }

  removeAddress(name: string, text: string): void {
    const link = this.links.named(name);
    const gone = link === undefined ? null : this.links.removeAddress(link.ifindex, text);
    if (gone === null) return;
    this.#afterAddress(gone.address, gone.family, gone.ifindex);
    this.#tellAddress(c.RTM_DELADDR, gone);
  }

  #afterAddress(address: Uint8Array, family: Family, ifindex: number): void {
    const isLeft = this.links.isOwn(address, family);
    if (family === Family.IPV6) {
      if (!isLeft) this.ipv6.forgetPrefsrc(address);
      return;
    }
    const prefers = ({ table, prefsrc }: ModelRoute): boolean =>
      table === c.RT_TABLE_MAIN && prefsrc !== null && isEqual(prefsrc, address);
    if (!isLeft) this.ipv4.flush(prefers);
    if (this.links.addressesOf(ifindex, Family.IPV4).length === 0) this.ipv4.disable(ifindex);
  }

  /** The interface is up, or has an IPv4 address again. */
  #onUp(link: ModelLink): void {
    const flags = c.RTNH_F_DEAD | (this.links.hasCarrier(link) ? c.RTNH_F_LINKDOWN : 0);
    this.ipv4.revive(link.ifindex, flags);
  }

  #onDown({ ifindex }: ModelLink): void {
    this.nexthops.flushDevice(ifindex);
    this.ipv4.disable(ifindex);
    this.ipv6.disable(ifindex);
    // IPv6 addresses go with their link.
    for (const address of this.links.addressesOf(ifindex, Family.IPV6)) {
      this.links.addresses.splice(this.links.addresses.indexOf(address), 1);
      this.#tellAddress(c.RTM_DELADDR, address);
    }
  }

  #onCarrier({ ifindex }: ModelLink): void {
    this.ipv4.revive(ifindex, c.RTNH_F_LINKDOWN);
    this.ipv6.revive(ifindex, c.RTNH_F_LINKDOWN);
  }

  #onNoCarrier({ ifindex }: ModelLink): void {
    this.nexthops.flushDevice(ifindex);
    this.ipv4.loseCarrier(ifindex);
    this.ipv6.loseCarrier(ifindex);
  }

  // What is told.

  #checkObjectHop(hop: ModelHop, family: number): Refusal | null {
    if (hop.viaFamily === 0) return null;
    return family === Family.IPV6
      ? this.ipv6.checkGateway(hop, c.RT_TABLE_MAIN)
      : this.ipv4.checkGateway(hop, c.RT_TABLE_MAIN, 0);
  }

  /** IPv4 routes go without a word, IPv6 routes with one that names nobody. */
  #onObjectGone(object: ModelObject, portId: number | null): void {
    if (portId !== null) this.#tellObject(c.RTM_DELNEXTHOP, object, portId, 0);
    this.ipv4.flush(({ objectId }) => objectId === object.id);
    this.ipv6.flush(({ objectId }) => objectId === object.id);
  }

  #tellRoute(type: number, route: ModelRoute, portId: number, flags: number): void {
    const group = route.family === Family.IPV6 ? c.RTNLGRP_IPV6_ROUTE : c.RTNLGRP_IPV4_ROUTE;
    this.notify(group, encodeModelRoute({ type, flags, sequence: 0, portId }, route));
  }

  #tellObject(type: number, object: ModelObject, portId: number, flags: number): void {
    this.notify(c.RTNLGRP_NEXTHOP, encodeModelObject({ type, flags, sequence: 0, portId }, object));
  }

  #tellLink(type: number, link: ModelLink): void {
    const header = { type, flags: 0, sequence: 0, portId: 0 };
    this.notify(c.RTNLGRP_LINK, encodeModelLink(header, link, this.links.hasCarrier(link)));
  }

  #tellAddress(type: number, address: Parameters<typeof encodeModelAddress>[1]): void {
    const group = address.family === Family.IPV6 ? c.RTNLGRP_IPV6_IFADDR : c.RTNLGRP_IPV4_IFADDR;
    this.notify(group, encodeModelAddress({ type, flags: 0, sequence: 0, portId: 0 }, address));
  }
}

/** Whether the route message has an attribute of this type. */
function hasAttribute(view: DataView, offset: number, length: number, wanted: number): boolean {
  for (let at = offset + c.NLMSG_HDRLEN + c.RTMSG_LENGTH; at + c.NLA_HDRLEN <= offset + length; ) {
    const size = attributeLength(view, at, offset + length);
    if (size === 0) return false;
    if (attributeType(view, at) === wanted) return true;
    at += align4(size);
  }
  return false;
}

/** A dump that goes on behind the last entry that it has shown. `list` is in the order of the keys. */
function byKey<Entry>(
  list: () => readonly Entry[],
  keyOf: (entry: Entry) => number | string,
  encode: (entry: Entry) => Uint8Array,
): ModelDump {
  let last: number | string | null = null;
  return {
    next: (count) => {
      const rest = list().filter((entry) => last === null || keyOf(entry) > last);
      let end = Math.min(count, rest.length);
      // Several of one key go together.
      while (end > 0 && end < rest.length && keyOf(rest[end]!) === keyOf(rest[end - 1]!)) end += 1;
      if (end > 0) last = keyOf(rest[end - 1]!);
      return rest.slice(0, end).map(encode);
    },
    isInterrupted: () => false,
  };
}

/** A dump that goes on by counting: entries are missed, or shown twice, when others come or go before them. */
function byCount<Entry>(
  list: () => readonly Entry[],
  isMeant: (entry: Entry) => boolean,
  encode: (entry: Entry) => Uint8Array,
): ModelDump {
  let passed = 0;
  return {
    next: (count) => {
      const messages: Uint8Array[] = [];
      const all = list();
      while (passed < all.length && messages.length < count) {
        const entry = all[passed++]!;
        if (isMeant(entry)) messages.push(encode(entry));
      }
      return messages;
    },
    isInterrupted: () => false,
  };
}
