/**
 * IPv6 routes of the model kernel (net/ipv6/route.c, ip6_fib.c): routes of one key and metric that have gateways are siblings of one
 * another, and the kernel tells of what it takes away.
 */
import { METRIC_IPV6_ZERO } from "../../../core/constants.ts";
import { Family } from "../../../core/model/route.ts";
import { ERRNO } from "../../../ffi/libc/errno.ts";
import * as c from "../../../ffi/netlink/constants.ts";
import type { RouteMessage } from "../../../ffi/netlink/route.ts";
import { isAlive, REJECT_TYPES, type RouteTableParts, toHop } from "./ipv4_routes.ts";
import { LOOPBACK_INDEX } from "./links.ts";
import {
  covers,
  hex,
  isEqual,
  isSameHop,
  type ModelHop,
  type ModelRoute,
  masked,
  type Refusal,
  RouteOrder,
  refuse,
} from "./model.ts";

const { EINVAL, EEXIST, ENOENT, ESRCH, ENODEV, ENETDOWN, EHOSTUNREACH } = ERRNO;

/** Tables that are there from the start. */
const FIRST_TABLES = [c.RT_TABLE_MAIN, c.RT_TABLE_LOCAL];

export class Ipv6Routes {
  readonly #parts: RouteTableParts;
  /** By table, address, source and lengths: routes in the order of their metrics. Siblings are one route here. */
  readonly #nodes = new Map<string, ModelRoute[]>();
  readonly #tables = new Set<number>(FIRST_TABLES);
  readonly order = new RouteOrder(() => this.all());
  #lastPlace = 0;

  constructor(parts: RouteTableParts) {
    this.#parts = parts;
  }

  all(): ModelRoute[] {
    return [...this.#nodes.values()].flat();
  }

  add(message: RouteMessage, portId: number, _saysMetrics: boolean): Refusal | null {
    const { flags } = message;
    const built = this.#build(message);
    if ("errno" in built) return built;
    const key = nodeKey(built);
    const node = this.#nodes.get(key) ?? [];
    const isReplace = (flags & c.NLM_F_REPLACE) !== 0;
    const isCreate = (flags & c.NLM_F_CREATE) !== 0;
    if (isReplace && !isCreate && node.length === 0) return refuse(ENOENT, "Can not replace route - no match found");
    const peers = node.filter(({ metric }) => metric === built.metric);
    if (peers.length > 0 && (flags & c.NLM_F_EXCL) !== 0) return refuse(EEXIST);
    if (isReplace && peers.length > 0) return this.#replace(node, peers, built, portId);
    if (isReplace && !isCreate) return refuse(ENOENT);
    return this.#join(node, peers, built, portId);
  }

  /** One that may have siblings takes the place of one that may, if there is one, and of its siblings. */
  #replace(node: ModelRoute[], peers: readonly ModelRoute[], built: ModelRoute, portId: number): null {
    const old = peers.find((peer) => maySibling(peer) === maySibling(built)) ?? peers[0]!;
    this.#parts.onLoss(old, built);
    this.#place(built, old.places[0]);
    node[node.indexOf(old)] = built;
    this.order.forget();
    this.#parts.onRoute(c.RTM_NEWROUTE, built, portId, c.NLM_F_REPLACE);
    return null;
  }

  #join(node: ModelRoute[], peers: readonly ModelRoute[], built: ModelRoute, portId: number): Refusal | null {
    for (const peer of peers) if (isDuplicate(peer, built)) return refuse(EEXIST);
    const sibling = maySibling(built) ? peers.find(maySibling) : undefined;
    if (sibling !== undefined) {
      this.#place(built);
      sibling.hops.push(...built.hops);
      sibling.places.push(...built.places);
      this.#parts.onRoute(c.RTM_NEWROUTE, sibling, portId, c.NLM_F_CREATE);
      return null;
    }
    this.#place(built);
    const after = node.findIndex(({ metric }) => metric > built.metric);
    node.splice(after === -1 ? node.length : after, 0, built);
    this.order.forget();
    this.#nodes.set(nodeKey(built), node);
    this.#parts.onRoute(c.RTM_NEWROUTE, built, portId, c.NLM_F_CREATE);
    return null;
  }

  /** Puts it behind what is there, or its first sibling in the place of another route. */
  #place(route: ModelRoute, first?: number): void {
    route.places = Array.from({ length: Math.max(1, route.hops.length) }, () => ++this.#lastPlace);
    if (first !== undefined) route.places[0] = first;
  }

  /**
   * Whether a dump leaves the route out: behind a route it goes on behind the last of its siblings, whatever stands between
   * (net/ipv6/ip6_fib.c: fib6_dump_node), which can only be others of its metric.
   */
  isHidden(route: ModelRoute): boolean {
    const [place = 0] = route.places;
    return (this.#nodes.get(nodeKey(route)) ?? []).some(
      (other) =>
        other !== route && other.metric === route.metric && other.places[0]! < place && place < other.places.at(-1)!,
    );
  }

  remove(message: RouteMessage, portId: number): Refusal | null {
    const { metric = 0, protocol, nexthopId, nexthops } = message;
    if (nexthopId !== 0 && !this.#parts.nexthops().objects.has(nexthopId))
      return refuse(EINVAL, "Nexthop id does not exist");
    if (!this.#tables.has(message.table)) return refuse(ESRCH, "FIB table does not exist");
    const [wanted] = nexthops;
    const destination = masked(message.destination, message.prefixLength);
    const source = masked(message.source, message.sourceLength);
    for (const route of this.#nodes.get(nodeKey({ ...message, destination, source })) ?? []) {
      if (metric !== 0 && metric !== route.metric) continue;
      if (protocol !== 0 && protocol !== route.protocol) continue;
      if (nexthopId !== 0 && nexthopId !== route.objectId) continue;
      if (route.objectId === 0 && wanted !== undefined) {
        const hop = route.hops.find(
          (each) =>
            (wanted.ifindex === 0 || wanted.ifindex === each.ifindex) &&
            (wanted.viaFamily === 0 || isEqual(wanted.via, each.via)),
        );
        if (hop === undefined) continue;
        if (wanted.viaFamily !== 0 && route.hops.length > 1) {
          route.places.splice(route.hops.indexOf(hop), 1);
          route.hops.splice(route.hops.indexOf(hop), 1);
          this.#parts.onRoute(c.RTM_DELROUTE, { ...route, hops: [hop] }, portId, 0);
          return null;
        }
      }
      this.#take(route);
      this.#parts.onRoute(c.RTM_DELROUTE, route, portId, 0);
      return null;
    }
    return refuse(ESRCH);
  }

  /** Takes routes away, and tells. */
  flush(isMeant: (route: ModelRoute) => boolean): void {
    for (const route of this.all()) {
      if (!isMeant(route)) continue;
      this.#take(route);
      this.#parts.onRoute(c.RTM_DELROUTE, route, 0, 0);
    }
  }

  /** The interface is down. */
  disable(ifindex: number): void {
    this.#mark(ifindex, c.RTNH_F_DEAD | c.RTNH_F_LINKDOWN);
    this.flush(({ hops }) => hops.length > 0 && !hops.some(isAlive));
  }

  loseCarrier(ifindex: number): void {
    this.#mark(ifindex, c.RTNH_F_LINKDOWN);
  }

  #mark(ifindex: number, flags: number): void {
    for (const { hops } of this.all()) for (const hop of hops) if (hop.ifindex === ifindex) hop.flags |= flags;
  }

  revive(ifindex: number, flags: number): void {
    for (const { hops } of this.all()) for (const hop of hops) if (hop.ifindex === ifindex) hop.flags &= ~flags;
  }

  /** The best route for an address in the main table, or null. */
  lookup(address: Uint8Array): ModelRoute | null {
    return (
      this.#candidates(address, c.RT_TABLE_MAIN).find(({ hops }) => hops.length === 0 || hops.some(isAlive)) ?? null
    );
  }

  /** Whether a gateway is reached over a link directly; fills in the interface. Null if so. */
  checkGateway(hop: ModelHop, table: number): Refusal | null {
    const { links } = this.#parts;
    const link = links.get(hop.ifindex);
    if (hop.ifindex !== 0 && link === undefined) return refuse(ENODEV);
    const isLinkLocal = hop.via[0] === 0xfe && (hop.via[1]! & 0xc0) === 0x80;
    if ((hop.flags & c.RTNH_F_ONLINK) !== 0) {
      if (link === undefined) return refuse(ENODEV, "Nexthop device required for onlink");
      if (!link.up) return refuse(ENETDOWN, "Nexthop device is not up");
    }
    if (links.isOwn(hop.via, Family.IPV6, isLinkLocal ? hop.ifindex : 0))
      return refuse(EINVAL, "Gateway can not be a local address");
    if (!isLinkLocal && (hop.flags & c.RTNH_F_ONLINK) === 0) {
      const way = this.#findWay(hop, table) || this.#findWay(hop, c.RT_TABLE_MAIN);
      if (way === 0) return refuse(EHOSTUNREACH);
      hop.ifindex = way;
    }
    if (hop.ifindex === 0) return refuse(EINVAL, "Egress device not specified");
    return this.#checkUp(hop);
  }

  #checkUp(hop: ModelHop): Refusal | null {
    const { links } = this.#parts;
    const link = links.get(hop.ifindex);
    if (link === undefined) return refuse(ENODEV);
    if (!link.up) return refuse(ENETDOWN, "Nexthop device is not up");
    if (!links.hasCarrier(link)) hop.flags |= c.RTNH_F_LINKDOWN;
    return null;
  }

  #candidates(address: Uint8Array, table: number): ModelRoute[] {
    return this.all()
      .filter((route) => route.table === table && covers(route.destination, route.prefixLength, address))
      .sort((a, b) => b.prefixLength - a.prefixLength || a.metric - b.metric);
  }

  /** The interface by which the gateway is reached; 0 for none. A route with a gateway of its own does not do. */
  #findWay({ via, ifindex }: ModelHop, table: number): number {
    const ways: { prefixLength: number; ifindex: number; isDirect: boolean }[] = [];
    if (table === c.RT_TABLE_MAIN) {
      for (const way of this.#parts.links.connected(via, Family.IPV6)) ways.push({ ...way, isDirect: true });
    }
    for (const { prefixLength, type, hops } of this.#candidates(via, table)) {
      const [hop = null] = hops.filter((each) => isAlive(each) && (ifindex === 0 || each.ifindex === ifindex));
      if (hop === null && type === c.RTN_UNICAST) continue;
      const isDirect = type === c.RTN_UNICAST && hop?.viaFamily === 0;
      ways.push({ prefixLength, ifindex: hop?.ifindex ?? 0, isDirect });
    }
    const best = ways
      .sort((a, b) => b.prefixLength - a.prefixLength)
      .find((way) => ifindex === 0 || way.ifindex === ifindex);
    return best?.isDirect === true ? best.ifindex : 0;
  }

  #build(message: RouteMessage): ModelRoute | Refusal {
    const { prefsrcFamily, nexthopId, routeType } = message;
    if (message.nexthops.length > 1 && message.nexthops.some(({ viaFamily }) => viaFamily === 0))
      return refuse(EINVAL, "Device only routes can not be added for IPv6 using the multipath API.");
    this.#tables.add(message.table);
    const route: ModelRoute = {
      family: Family.IPV6,
      table: message.table,
      destination: masked(message.destination, message.prefixLength),
      prefixLength: message.prefixLength,
      source: masked(message.source, message.sourceLength),
      sourceLength: message.sourceLength,
      metric: message.metric || METRIC_IPV6_ZERO,
      protocol: message.protocol,
      scope: 0,
      type: routeType,
      prefsrc: prefsrcFamily === 0 ? null : message.prefsrc.slice(),
      mtu: message.mtu,
      objectId: nexthopId,
      hops: [],
      places: [],
    };
    if (nexthopId !== 0) {
      if (message.nexthops.length > 0) return refuse(EINVAL);
      const nexthops = this.#parts.nexthops();
      if (!nexthops.objects.has(nexthopId)) return refuse(EINVAL, "Nexthop id does not exist");
      if (route.sourceLength > 0) return refuse(EINVAL, "IPv6 routes using source address can not use nexthop objects");
      if (nexthops.hasIpv4Gateway(nexthopId)) return refuse(EINVAL, "IPv6 routes can not use an IPv4 nexthop");
      return this.#checkPrefsrc(route) ?? route;
    }
    if (REJECT_TYPES.includes(routeType)) {
      route.hops.push({ ifindex: LOOPBACK_INDEX, viaFamily: 0, via: new Uint8Array(16), weight: 1, flags: 0 });
      return this.#checkPrefsrc(route) ?? route;
    }
    return this.#buildHops(message, route);
  }

  #buildHops(message: RouteMessage, route: ModelRoute): ModelRoute | Refusal {
    for (const nexthop of message.nexthops) {
      const hop = toHop(nexthop);
      let refused: Refusal | null;
      if (hop.viaFamily !== 0) refused = this.checkGateway(hop, route.table);
      else refused = this.#checkUp(hop);
      refused ??= this.#checkPrefsrc(route);
      if (refused !== null) return refused;
      if (route.hops.some((other) => isSameHop(other, hop))) return refuse(EEXIST);
      route.hops.push(hop);
    }
    return route.hops.length === 0 ? refuse(ENODEV) : route;
  }

  #checkPrefsrc({ prefsrc }: ModelRoute): Refusal | null {
    if (prefsrc === null || this.#parts.links.isOwn(prefsrc, Family.IPV6)) return null;
    return refuse(EINVAL, "Invalid source address");
  }

  /** The interface is gone: each way over it goes. */
  dropHops(ifindex: number): void {
    for (const route of this.all()) {
      if (route.objectId !== 0) continue;
      route.places = route.places.filter((_, index) => route.hops[index]!.ifindex !== ifindex);
      route.hops = route.hops.filter((hop) => hop.ifindex !== ifindex);
    }
    this.flush(({ hops, objectId }) => objectId === 0 && hops.length === 0);
  }

  #take(route: ModelRoute): void {
    this.order.forget();
    this.#parts.onLoss(route, null);
    const key = nodeKey(route);
    const rest = this.#nodes.get(key)!.filter((each) => each !== route);
    if (rest.length === 0) this.#nodes.delete(key);
    else this.#nodes.set(key, rest);
  }

  /** No route prefers this source any more, which is not its own. */
  forgetPrefsrc(address: Uint8Array): void {
    for (const route of this.all()) {
      if (route.prefsrc !== null && isEqual(route.prefsrc, address)) route.prefsrc = null;
    }
  }
}

/** Whether others of its key and metric may be its siblings. */
function maySibling({ objectId, hops }: ModelRoute): boolean {
  return objectId === 0 && hops.some(({ viaFamily }) => viaFamily !== 0);
}

function isDuplicate(a: ModelRoute, b: ModelRoute): boolean {
  if (a.objectId !== 0 || b.objectId !== 0) return a.objectId === b.objectId;
  return a.hops.some((hop) => b.hops.some((other) => isSameHop(hop, other)));
}

type NodeName = Pick<ModelRoute, "table" | "destination" | "prefixLength" | "source" | "sourceLength">;

function nodeKey({ table, destination, prefixLength, source, sourceLength }: NodeName): string {
  return `${table} ${hex(destination)}/${prefixLength} ${hex(source)}/${sourceLength}`;
}
