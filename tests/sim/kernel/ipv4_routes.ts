/**
 * IPv4 routes of the model kernel (net/ipv4/fib_trie.c, fib_semantics.c): several of one key may stand behind one another, and what
 * goes with a link or an address goes without a word.
 */
import { Family } from "../../../core/model/route.ts";
import { ERRNO } from "../../../ffi/libc/errno.ts";
import * as c from "../../../ffi/netlink/constants.ts";
import type { RouteMessage, RouteNexthop } from "../../../ffi/netlink/route.ts";
import type { Links } from "./links.ts";
import {
  covers,
  hasHostBits,
  hex,
  isEqual,
  isSameHop,
  type ModelHop,
  type ModelRoute,
  type Refusal,
  RouteOrder,
  refuse,
} from "./model.ts";
import type { NexthopTable } from "./nexthop_table.ts";

const { EINVAL, EEXIST, ENOENT, ESRCH, ENODEV, ENETDOWN, ENETUNREACH } = ERRNO;

/** Tables that are there from the start. */
const FIRST_TABLES = [c.RT_TABLE_MAIN, c.RT_TABLE_LOCAL];
/** Types that drop packets; they have no way to go. */
export const REJECT_TYPES: readonly number[] = [c.RTN_BLACKHOLE, c.RTN_UNREACHABLE, c.RTN_PROHIBIT, c.RTN_THROW];

export interface RouteTableParts {
  links: Links;
  nexthops: () => NexthopTable;
  /** Another gateway family's check. */
  checkIpv6Hop(hop: ModelHop): Refusal | null;
  onRoute(type: number, route: ModelRoute, portId: number, flags: number): void;
  /** A route goes; another may take its place. */
  onLoss(route: ModelRoute, replacement: ModelRoute | null): void;
}

export class Ipv4Routes {
  readonly #parts: RouteTableParts;
  /** By table, address and length: routes in the order of their metrics, the one that counts first. */
  readonly #nodes = new Map<string, ModelRoute[]>();
  readonly #tables = new Set<number>(FIRST_TABLES);
  readonly order = new RouteOrder(() => this.all());

  constructor(parts: RouteTableParts) {
    this.#parts = parts;
  }

  all(): ModelRoute[] {
    return [...this.#nodes.values()].flat();
  }

  at(route: Pick<ModelRoute, "table" | "destination" | "prefixLength">): readonly ModelRoute[] {
    return this.#nodes.get(nodeKey(route)) ?? [];
  }

  /** `saysMetrics`: the request says something of them, if only that there is none. */
  add(message: RouteMessage, portId: number, saysMetrics: boolean): Refusal | null {
    const { flags } = message;
    if (hasHostBits(message.destination, message.prefixLength))
      return refuse(EINVAL, "Invalid prefix for given prefix length");
    if (message.nexthopId !== 0 && message.nexthops.length > 0)
      return refuse(EINVAL, "Nexthop specification and nexthop id are mutually exclusive");
    this.#tables.add(message.table);
    const built = this.#build(message, saysMetrics);
    if ("errno" in built) return built;
    const key = nodeKey(built);
    const node = this.#nodes.get(key) ?? [];
    const first = node.findIndex(({ metric }) => metric >= built.metric);
    const isThere = first !== -1 && node[first]!.metric === built.metric;
    let at = first === -1 ? node.length : first;
    let notified = 0;
    if (isThere) {
      if ((flags & c.NLM_F_EXCL) !== 0) return refuse(EEXIST);
      const same = node.findIndex((route) => route.metric === built.metric && isSameRoute(route, built));
      if ((flags & c.NLM_F_REPLACE) !== 0) {
        if (same === first) return null;
        if (same !== -1) return refuse(EEXIST);
        this.#parts.onLoss(node[first]!, built);
        node[first] = built;
        this.order.forget();
        this.#parts.onRoute(c.RTM_NEWROUTE, built, portId, c.NLM_F_REPLACE);
        return null;
      }
      if (same !== -1) return refuse(EEXIST);
      if ((flags & c.NLM_F_APPEND) !== 0) {
        notified = c.NLM_F_APPEND;
        at = node.findLastIndex(({ metric }) => metric === built.metric) + 1;
      }
    }
    if ((flags & c.NLM_F_CREATE) === 0) return refuse(ENOENT);
    node.splice(at, 0, built);
    this.order.forget();
    this.#nodes.set(key, node);
    this.#parts.onRoute(c.RTM_NEWROUTE, built, portId, notified | c.NLM_F_CREATE);
    return null;
  }

  remove(message: RouteMessage, portId: number): Refusal | null {
    if (hasHostBits(message.destination, message.prefixLength))
      return refuse(EINVAL, "Invalid prefix for given prefix length");
    if (message.nexthopId !== 0 && !this.#parts.nexthops().objects.has(message.nexthopId))
      return refuse(EINVAL, "Nexthop id does not exist");
    if (!this.#tables.has(message.table)) return refuse(ESRCH, "FIB table does not exist");
    const node = this.#nodes.get(nodeKey(message)) ?? [];
    const at = node.findIndex((route) => this.#isMeant(route, message));
    if (at === -1) return refuse(ESRCH);
    const route = node[at]!;
    this.#take(route);
    this.#parts.onRoute(c.RTM_DELROUTE, route, portId, 0);
    return null;
  }

  /** Takes routes away without a word; also those whose last way has gone. */
  flush(isMeant: (route: ModelRoute) => boolean): void {
    for (const route of this.all()) {
      if (isMeant(route)) this.#take(route);
    }
  }

  #take(route: ModelRoute): void {
    this.order.forget();
    this.#parts.onLoss(route, null);
    const key = nodeKey(route);
    const rest = this.#nodes.get(key)!.filter((each) => each !== route);
    if (rest.length === 0) this.#nodes.delete(key);
    else this.#nodes.set(key, rest);
  }

  /** The interface is down, or has lost its last address: what leads over it alone goes, several ways lose one. */
  disable(ifindex: number): void {
    this.#mark(ifindex, c.RTNH_F_DEAD | c.RTNH_F_LINKDOWN);
    this.flush(({ hops }) => hops.length > 0 && hops.every(({ flags }) => (flags & c.RTNH_F_DEAD) !== 0));
  }

  /** The interface has lost its carrier: routes stay, and say so. */
  loseCarrier(ifindex: number): void {
    this.#mark(ifindex, c.RTNH_F_LINKDOWN);
  }

  #mark(ifindex: number, flags: number): void {
    for (const { hops } of this.all()) for (const hop of hops) if (hop.ifindex === ifindex) hop.flags |= flags;
  }

  revive(ifindex: number, flags: number): void {
    for (const { hops } of this.all()) {
      for (const hop of hops) if (hop.ifindex === ifindex) hop.flags &= ~flags;
    }
  }

  /** The best route for an address in the main table, or null. */
  lookup(address: Uint8Array): ModelRoute | null {
    const found = this.#candidates(address, c.RT_TABLE_MAIN).find(
      ({ hops }) => hops.length === 0 || hops.some(isAlive),
    );
    return found ?? null;
  }

  #candidates(address: Uint8Array, table: number): ModelRoute[] {
    return this.all()
      .filter((route) => route.table === table && covers(route.destination, route.prefixLength, address))
      .sort((a, b) => b.prefixLength - a.prefixLength || a.metric - b.metric);
  }

  /**
   * Whether a gateway is reached over a link directly, or by a route that leads to one; fills in the interface. Null if so.
   */
  checkGateway(hop: ModelHop, table: number, scope: number): Refusal | null {
    const { links } = this.#parts;
    if ((hop.flags & c.RTNH_F_ONLINK) !== 0) {
      if (scope >= c.RT_SCOPE_LINK) return refuse(EINVAL, "Nexthop has invalid scope");
      const link = links.get(hop.ifindex);
      if (link === undefined) return refuse(ENODEV, "Nexthop device required for onlink");
      if (!link.up) return refuse(ENETDOWN, "Nexthop device is not up");
      if (links.isOwn(hop.via, Family.IPV4)) return refuse(EINVAL, "Nexthop has invalid gateway");
      return null;
    }
    const tables = table === c.RT_TABLE_MAIN ? [c.RT_TABLE_MAIN] : [table, c.RT_TABLE_MAIN];
    for (const each of tables) {
      const found = this.#findWay(hop, each);
      if (found === 0) continue;
      hop.ifindex = found;
      return null;
    }
    return refuse(ENETUNREACH, "Nexthop has invalid gateway");
  }

  /** The interface by which the gateway is reached; 0 for none. */
  #findWay({ via, ifindex }: ModelHop, table: number): number {
    const isWanted = (index: number): boolean => ifindex === 0 || index === ifindex;
    const ways: { prefixLength: number; ifindex: number }[] = [];
    if (table === c.RT_TABLE_MAIN) {
      for (const own of this.#parts.links.addresses)
        if (own.family === Family.IPV4 && isEqual(own.address, via)) ways.push({ ...own, prefixLength: 32 });
      ways.push(...this.#parts.links.connected(via, Family.IPV4));
    }
    for (const route of this.#candidates(via, table)) {
      if (route.scope < c.RT_SCOPE_LINK || route.type !== c.RTN_UNICAST) continue;
      for (const hop of route.hops) {
        if (isAlive(hop)) ways.push({ prefixLength: route.prefixLength, ifindex: hop.ifindex });
      }
    }
    return ways.sort((a, b) => b.prefixLength - a.prefixLength).find((way) => isWanted(way.ifindex))?.ifindex ?? 0;
  }

  #build(message: RouteMessage, saysMetrics: boolean): ModelRoute | Refusal {
    const { prefsrcFamily, nexthopId, routeType } = message;
    const route: ModelRoute = {
      family: Family.IPV4,
      table: message.table,
      destination: message.destination.slice(),
      prefixLength: message.prefixLength,
      source: new Uint8Array(16),
      sourceLength: 0,
      metric: message.metric ?? 0,
      protocol: message.protocol,
      scope: message.scope,
      type: routeType,
      prefsrc: prefsrcFamily === 0 ? null : message.prefsrc.slice(),
      mtu: message.mtu,
      objectId: nexthopId,
      hops: [],
      places: [],
    };
    if (nexthopId !== 0) {
      const shared = saysMetrics ? undefined : this.#sharedRoute(route);
      if (shared !== undefined) return { ...route, mtu: shared.mtu };
      if (!this.#parts.nexthops().objects.has(nexthopId)) return refuse(EINVAL, "Nexthop id does not exist");
      return this.#checkPrefsrc(route) ?? route;
    }
    if (REJECT_TYPES.includes(routeType)) {
      if (message.nexthops.length === 0) return route;
      return refuse(EINVAL, "Gateway, device and multipath can not be specified for this route type");
    }
    for (const nexthop of message.nexthops) {
      const hop = toHop(nexthop);
      const refused = this.#checkHop(hop, route);
      if (refused !== null) return refused;
      route.hops.push(hop);
    }
    if (route.hops.length === 0) return refuse(ENODEV);
    return this.#checkPrefsrc(route) ?? route;
  }

  /** One on the same object whose metrics a route without any gets (fib_semantics.c: fib_find_info_nh). */
  #sharedRoute(route: ModelRoute): ModelRoute | undefined {
    return this.all().find(
      (other) =>
        other.objectId === route.objectId &&
        other.protocol === route.protocol &&
        other.scope === route.scope &&
        other.type === route.type &&
        other.table === route.table &&
        other.metric === route.metric &&
        isSamePrefsrc(other, route),
    );
  }

  #checkPrefsrc({ prefsrc }: ModelRoute): Refusal | null {
    if (prefsrc === null || this.#parts.links.isOwn(prefsrc, Family.IPV4)) return null;
    return refuse(EINVAL, "Invalid prefsrc address");
  }

  #checkHop(hop: ModelHop, route: ModelRoute): Refusal | null {
    if (hop.viaFamily === Family.IPV6) {
      const refused = this.#parts.checkIpv6Hop(hop);
      // That there is no carrier is noted only when it is lost later.
      hop.flags &= ~c.RTNH_F_LINKDOWN;
      return refused;
    }
    if (hop.viaFamily === Family.IPV4)
      return this.checkGateway(hop, route.table, route.scope) ?? this.#checkUp(hop) ?? this.#markCarrier(hop);
    if ((hop.flags & c.RTNH_F_ONLINK) !== 0)
      return refuse(EINVAL, "Invalid flags for nexthop - PERVASIVE and ONLINK can not be set");
    const link = this.#parts.links.get(hop.ifindex);
    if (link === undefined) return refuse(ENODEV);
    if (!link.up) return refuse(ENETDOWN, "Device for nexthop is not up");
    return this.#markCarrier(hop);
  }

  #checkUp({ ifindex }: ModelHop): Refusal | null {
    return this.#parts.links.get(ifindex)?.up === true ? null : refuse(ENETDOWN);
  }

  #markCarrier(hop: ModelHop): null {
    if (!this.#parts.links.hasCarrier(this.#parts.links.get(hop.ifindex)!)) hop.flags |= c.RTNH_F_LINKDOWN;
    return null;
  }

  /** Whether a deletion means this route: what it does not say it does not care about. */
  #isMeant(route: ModelRoute, message: RouteMessage): boolean {
    const { routeType, scope, protocol, metric = 0, prefsrcFamily, nexthopId, nexthops, mtu } = message;
    if (routeType !== 0 && routeType !== route.type) return false;
    if (scope !== c.RT_SCOPE_NOWHERE && scope !== route.scope) return false;
    if (protocol !== 0 && protocol !== route.protocol) return false;
    if (metric !== 0 && metric !== route.metric) return false;
    if (prefsrcFamily !== 0 && (route.prefsrc === null || !isEqual(route.prefsrc, message.prefsrc))) return false;
    if (mtu !== 0 && mtu !== route.mtu) return false;
    if (nexthopId !== 0) return nexthopId === route.objectId;
    if (nexthops.length === 0) return true;
    if (route.objectId !== 0) return false;
    if (nexthops.length === 1) return isHopMeant(route.hops[0], nexthops[0]!);
    return nexthops.length === route.hops.length && nexthops.every((hop, index) => isHopMeant(route.hops[index], hop));
  }
}

export function isAlive({ flags }: ModelHop): boolean {
  return (flags & c.RTNH_F_DEAD) === 0;
}

export function toHop({ ifindex, viaFamily, via, weight, flags }: RouteNexthop): ModelHop {
  return { ifindex, viaFamily, via: via.slice(), weight, flags: flags & c.RTNH_F_ONLINK };
}

function isHopMeant(hop: ModelHop | undefined, wanted: RouteNexthop): boolean {
  if (hop === undefined) return false;
  if (wanted.ifindex !== 0 && wanted.ifindex !== hop.ifindex) return false;
  return wanted.viaFamily === 0 || (wanted.viaFamily === hop.viaFamily && isEqual(wanted.via, hop.via));
}

function nodeKey({ table, destination, prefixLength }: Pick<ModelRoute, "table" | "destination" | "prefixLength">) {
  return `${table} ${hex(destination.subarray(0, 4))}/${prefixLength}`;
}

function isSamePrefsrc(a: ModelRoute, b: ModelRoute): boolean {
  if (a.prefsrc === null || b.prefsrc === null) return a.prefsrc === b.prefsrc;
  return isEqual(a.prefsrc, b.prefsrc);
}

/** The kernel holds what they lead to once for both. */
function isSameRoute(a: ModelRoute, b: ModelRoute): boolean {
  return (
    a.protocol === b.protocol &&
    a.scope === b.scope &&
    a.type === b.type &&
    a.mtu === b.mtu &&
    a.objectId === b.objectId &&
    isSamePrefsrc(a, b) &&
    a.hops.length === b.hops.length &&
    a.hops.every((hop, index) => isSameHop(hop, b.hops[index]!) && hop.weight === b.hops[index]!.weight)
  );
}
