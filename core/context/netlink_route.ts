/**
 * Route messages of netlink as updates of our own model: what the kernel shows of its routes, and what FPM peers send. Pure;
 * any thread.
 */
import * as c from "../../ffi/netlink/constants.ts";
import { createEncap, type Encap } from "../../ffi/netlink/encap.ts";
import type { RouteMessage, RouteNexthop } from "../../ffi/netlink/route.ts";
import { METRIC_IPV6_ZERO } from "../constants.ts";
import {
  createNexthop,
  EncapType,
  Family,
  type Nexthop,
  ROUTE_TYPE_NAMES,
  RouteType,
  type RouteUpdate,
} from "../model/route.ts";

/** Fills the key of `update` with what a message says of a route; false if an update could not say it. */
export function readRouteKey(message: RouteMessage, update: RouteUpdate): boolean {
  if ((message.family !== Family.IPV4 && message.family !== Family.IPV6) || message.tos !== 0) return false;
  update.family = message.family;
  update.prefix.set(message.destination);
  update.prefixLength = message.prefixLength;
  update.source.set(message.source);
  update.sourceLength = message.sourceLength;
  update.table = message.table;
  update.metric = message.metric ?? (message.family === Family.IPV6 ? METRIC_IPV6_ZERO : 0);
  return true;
}

/** Fills in what becomes of packets; false if an update could not say it. */
export function readRouteAttributes(message: RouteMessage, update: RouteUpdate): boolean {
  clearRouteAttributes(update);
  if (!(message.routeType in ROUTE_TYPE_NAMES) || message.realm !== 0) return false;
  if (message.metrics.length > 0 || message.metricsLock !== 0) return false;
  if ((message.preference ?? 0) !== 0 || (message.cacheInfo?.expires ?? 0) !== 0) return false;
  update.type = message.routeType as RouteUpdate["type"];
  update.mtu = message.mtu;
  update.prefsrcFamily = message.prefsrcFamily as Family;
  update.prefsrc.set(message.prefsrc);
  if (message.nexthopId !== 0) {
    // Whatever nexthops the kernel tells along are the object's.
    update.nexthopGroup = message.nexthopId;
    return update.type === RouteType.UNICAST;
  }
  // A blackhole of IPv6 has the loopback device in the kernel, which nobody asked for.
  if (update.type !== RouteType.UNICAST) return true;
  if (message.nexthops.length === 0) return false;
  for (const hop of message.nexthops) {
    const nexthop = toNexthop(hop);
    if (nexthop === null) return false;
    update.nexthops.push(nexthop);
  }
  return true;
}

/** Has the update say nothing of that. */
export function clearRouteAttributes(update: RouteUpdate): void {
  update.type = RouteType.UNICAST;
  update.mtu = 0;
  update.prefsrcFamily = Family.NONE;
  update.nexthopGroup = 0;
  update.nexthops.length = 0;
}

function toNexthop(hop: RouteNexthop): Nexthop | null {
  if (hop.realm !== 0) return null;
  const nexthop = createNexthop();
  nexthop.ifindex = hop.ifindex;
  nexthop.viaFamily = hop.viaFamily as Family;
  nexthop.via.set(hop.via);
  nexthop.weight = hop.weight;
  nexthop.onlink = (hop.flags & c.RTNH_F_ONLINK) !== 0;
  return hop.encap === undefined || readTunnel(hop.encap, nexthop) ? nexthop : null;
}

/** Fills in what the nexthop wraps packets in; false if an update could not say it. */
export function readTunnel(encap: Encap, nexthop: Nexthop): boolean {
  if (encap.labels.length > 0 && encap.ttl === undefined) {
    nexthop.encap = EncapType.MPLS;
    nexthop.labels = encap.labels;
    return true;
  }
  if (encap.segments.length === 0) return false;
  nexthop.encap = EncapType.SEG6;
  nexthop.seg6Mode = encap.seg6Mode;
  nexthop.segments = encap.segments;
  return true;
}

/** What a nexthop wraps packets in, as netlink says it. */
export function toEncap(nexthop: Nexthop): Encap {
  const encap = createEncap();
  if (nexthop.encap === EncapType.MPLS) {
    encap.type = c.LWTUNNEL_ENCAP_MPLS;
    encap.labels = nexthop.labels;
  } else {
    encap.type = c.LWTUNNEL_ENCAP_SEG6;
    encap.seg6Mode = nexthop.seg6Mode;
    encap.segments = nexthop.segments;
  }
  return encap;
}
