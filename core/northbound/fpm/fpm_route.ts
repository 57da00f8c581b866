/**
 * What a route message of an FPM peer means here: its tables and interfaces by our numbers, and why we leave it alone if we
 * do. Main thread.
 */

import { RTM_DELROUTE, RTPROT_KERNEL, RTPROT_ZEBRA } from "../../../ffi/netlink/constants.ts";
import type { RouteMessage } from "../../../ffi/netlink/route.ts";
import { METRIC_IPV6_ZERO, RT_TABLE_DEFAULT } from "../../constants.ts";
import { readRouteAttributes, readRouteKey } from "../../context/netlink_route.ts";
import { Family, type Nexthop, ROUTE_TYPE_NAMES, type RouteUpdate, UpdateOp } from "../../model/route.ts";

/** Why a message has no effect, though nothing is wrong with it; the words of the API. */
export const IGNORED_REASONS = [
  /** Neither of IPv4 nor of IPv6 unicast: MPLS, bridge, multicast, and messages about other things. */
  "otherKind",
  /** From the peer's own kernel (protocol 2), as connected routes are. */
  "kernelRoute",
  /** Of a route type that is no client's to ask for: local, broadcast, multicast. */
  "routeType",
  /** With something that dplaned cannot express: a TOS, a realm, metrics other than the MTU, another tunnel. */
  "unsupported",
  /** By an interface that `link-map` names and that is not there. */
  "unknownLink",
  /** The peer programs the same kernel, and it would land in the same table. */
  "sharedKernel",
  /** A deletion of what the peer's owner has not asked for. */
  "unknownRoute",
] as const;
export type IgnoredReason = (typeof IGNORED_REASONS)[number];

/** FRR takes routes of others with such a metric for the worst there can be, and keeps its own (zebra/rt_netlink.c). */
const HARMLESS_METRIC_MIN = 0xff00_0000;

export interface FpmMapping {
  /** The peer's tables that are others here. */
  tables: ReadonlyMap<number, number>;
  /** Names of our interfaces by the peer's numbers. */
  links: ReadonlyMap<number, string>;
  /** Of all routes. */
  metric: number;
  acceptKernel: boolean;
  /** Number of an interface; 0 if there is none of this name. */
  deviceIndex: (name: string) => number;
}

export class FpmRouteReader {
  readonly #mapping: FpmMapping;
  readonly #sharesKernel: boolean;

  constructor(mapping: FpmMapping, sharesKernel: boolean) {
    this.#mapping = mapping;
    this.#sharesKernel = sharesKernel;
  }

  /**
   * Fills `update`, but for the owner's distance; the number of a nexthop object stays the peer's. Returns why the message
   * is left alone, or null.
   */
  read(message: RouteMessage, update: RouteUpdate): IgnoredReason | null {
    const { metric, acceptKernel } = this.#mapping;
    if (message.family !== Family.IPV4 && message.family !== Family.IPV6) return "otherKind";
    if (!readRouteKey(message, update)) return "unsupported";
    update.op = message.type === RTM_DELROUTE ? UpdateOp.DELETE : UpdateOp.INSTALL;
    update.table = this.#table(message.table);
    update.metric = metric === 0 && message.family === Family.IPV6 ? METRIC_IPV6_ZERO : metric;
    if (update.op === UpdateOp.DELETE) return null;
    if (message.protocol === RTPROT_KERNEL && !acceptKernel) return "kernelRoute";
    if (!(message.routeType in ROUTE_TYPE_NAMES)) return "routeType";
    if (!readRouteAttributes(message, update)) return "unsupported";
    update.protocol = message.protocol;
    for (const nexthop of update.nexthops) if (!this.mapLink(nexthop)) return "unknownLink";
    if (isOldModule(message)) for (const nexthop of update.nexthops) nexthop.weight -= 1;
    if (!this.#sharesKernel || update.metric >= HARMLESS_METRIC_MIN) return null;
    // The main table is FRR's in any case.
    const isWatched = update.table === (message.table || RT_TABLE_DEFAULT) || update.table === RT_TABLE_DEFAULT;
    return isWatched ? "sharedKernel" : null;
  }

  /** Has a nexthop name our interface. False where that is not there, and the address does not tell either. */
  mapLink(nexthop: Nexthop): boolean {
    const { links, deviceIndex } = this.#mapping;
    const name = links.get(nexthop.ifindex);
    if (name === undefined) return true;
    nexthop.ifindex = deviceIndex(name);
    // An address other than a link-local one leads to an interface by itself.
    return nexthop.ifindex !== 0 || (nexthop.viaFamily !== Family.NONE && !isLinkLocal(nexthop));
  }

  /** What the peer's main table is here. */
  get mainTable(): number {
    return this.#table(RT_TABLE_DEFAULT);
  }

  /** Table 0 is what FRR's older module says in deletions, and SONiC everywhere, for the main one. */
  #table(table: number): number {
    const { tables } = this.#mapping;
    const named = tables.get(table);
    if (named !== undefined) return named;
    return table === 0 ? (tables.get(RT_TABLE_DEFAULT) ?? RT_TABLE_DEFAULT) : table;
  }
}

/** FRR's older module writes weights where the kernel has weights less one (zebra/zebra_fpm_netlink.c). */
function isOldModule({ protocol, nexthopId, nexthops }: RouteMessage): boolean {
  return (
    protocol === RTPROT_ZEBRA && nexthopId === 0 && nexthops.length > 1 && nexthops.every(({ weight }) => weight > 1)
  );
}

function isLinkLocal({ viaFamily, via }: Nexthop): boolean {
  return viaFamily === Family.IPV6 && via[0] === 0xfe && (via[1]! & 0xc0) === 0x80;
}
