/** A model of a FPM receiver: what the FIB should be after the frames of a connection, by the plainest way there is. */
import { formatAddress, formatPrefix } from "../../core/model/prefix.ts";
import type { Family } from "../../core/model/route.ts";
import { FPM_HEADER_LENGTH } from "../../ffi/fpm/frame.ts";
import { RTM_DELNEXTHOP, RTM_DELROUTE, RTN_UNICAST, RTPROT_KERNEL } from "../../ffi/netlink/constants.ts";
import { align4, messageLength } from "../../ffi/netlink/message.ts";
import { decodeNexthop, type NexthopMessage } from "../../ffi/netlink/nexthop.ts";
import type { RouteMessage } from "../../ffi/netlink/route.ts";
import { decodeRoute } from "../../ffi/netlink/route_decode.ts";
import { type Fib, type FibHop, formatHops } from "./fib.ts";

export class FpmModel {
  readonly #links: ReadonlyMap<number, string>;
  readonly #nexthops = new Map<number, NexthopMessage>();
  readonly #routes = new Map<string, RouteMessage>();

  /** `links` are the receiver's interfaces by their numbers. */
  constructor(links: ReadonlyMap<number, string>) {
    this.#links = links;
  }

  take(frame: Uint8Array): void {
    const view = new DataView(frame.buffer, frame.byteOffset, frame.byteLength);
    for (let at = FPM_HEADER_LENGTH, length = 0; at < frame.length; at += align4(length)) {
      length = messageLength(view, at, frame.length);
      if (length === 0) throw new Error("A message of FRR's is cut off");
      const route = decodeRoute(view, at, length);
      const nexthop = route === null ? decodeNexthop(view, at, length) : null;
      if (route !== null) this.#takeRoute(route);
      else if (nexthop?.type === RTM_DELNEXTHOP) this.#nexthops.delete(nexthop.id);
      else if (nexthop !== null) this.#nexthops.set(nexthop.id, nexthop);
    }
  }

  /** The routes, without the kernel's and connected ones. */
  fib(): Fib {
    const fib: Fib = new Map();
    for (const [name, route] of this.#routes) {
      if (route.protocol === RTPROT_KERNEL) continue;
      const isUnicast = route.routeType === RTN_UNICAST;
      fib.set(name, isUnicast ? formatHops(this.#hopsOf(route)) : `type ${route.routeType}`);
    }
    return fib;
  }

  #takeRoute(route: RouteMessage): void {
    const prefix = formatPrefix(route.family as Family, route.destination, 0, route.prefixLength);
    const name = `${prefix} table ${route.table}`;
    if (route.type === RTM_DELROUTE) this.#routes.delete(name);
    else this.#routes.set(name, route);
  }

  #hopsOf(route: RouteMessage): FibHop[] {
    if (route.nexthopId !== 0) return this.#members(route.nexthopId);
    return route.nexthops.map(({ viaFamily, via, ifindex, weight }) => ({
      gateway: viaFamily === 0 ? "" : formatAddress(viaFamily as Family, via, 0),
      dev: this.#links.get(ifindex) ?? `if${ifindex}`,
      weight,
    }));
  }

  #members(id: number): FibHop[] {
    const nexthop = this.#nexthops.get(id);
    if (nexthop === undefined) return [{ gateway: `unknown id ${id}`, dev: "", weight: 1 }];
    if (nexthop.group.length > 0) {
      return nexthop.group.flatMap((member) =>
        this.#members(member.id).map((hop) => ({ ...hop, weight: member.weight })),
      );
    }
    const gateway = nexthop.hasGateway ? formatAddress(nexthop.family as Family, nexthop.gateway, 0) : "";
    return [{ gateway, dev: this.#links.get(nexthop.oif) ?? `if${nexthop.oif}`, weight: 1 }];
  }
}
