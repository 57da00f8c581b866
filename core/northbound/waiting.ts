/** What a route that is not in the forwarding plane waits for, in words. Pure but for the links. Main thread. */
import type { LinkTable } from "../model/link_table.ts";
import { formatAddress } from "../model/prefix.ts";
import { Family, type RouteUpdate } from "../model/route.ts";
import { Cause } from "../rib/retry.ts";

/** `link v0`, `gateway 10.0.0.2`, `IPv6 on v0`; undefined for what nothing could come of. */
export function describeCause(cause: Cause, update: RouteUpdate, links: LinkTable): string | undefined {
  switch (cause) {
    case Cause.NONE:
    case Cause.PLUGIN:
      return undefined;
    case Cause.LINK:
      return `link${list(linkNames(update, links))}`;
    case Cause.ADDRESS: {
      const down = downLinks(update, links);
      return down.length > 0 ? `link${list(down)}` : describeAddress(update);
    }
    case Cause.SOURCE:
      if (update.prefsrcFamily === Family.NONE) return "address";
      return `address ${formatAddress(update.prefsrcFamily, update.prefsrc, 0)}`;
    case Cause.IPV6: {
      const names = linkNames(update, links);
      return names.length === 0 ? "IPv6" : `IPv6 on${list(names)}`;
    }
    case Cause.ROOM:
      return "room in the kernel's table";
    case Cause.FOREIGN:
      return "foreign route";
    case Cause.NEXTHOP:
      return update.nexthopGroup === 0 ? "nexthop group" : `nexthop-group ${update.nexthopGroup}`;
    case Cause.DATAPLANE:
      return "dataplane";
    case Cause.PROVIDER:
      return "provider";
  }
}

/** `repair in 4 s`: one that is fought over. */
export function describeRepair(delayMs: number): string {
  return `repair in ${delayMs < 1000 ? `${Math.ceil(delayMs)} ms` : `${Math.ceil(delayMs / 1000)} s`}`;
}

/** Names of the update's interfaces that carry nothing at the moment; `if7` for one that is gone. */
export function downLinks(update: RouteUpdate, links: LinkTable): string[] {
  const indexes = interfaces(update).filter((ifindex) => {
    const link = links.get(ifindex);
    return link === undefined || !link.up || !link.carrier;
  });
  return indexes.map((ifindex) => links.nameOf(ifindex) || `if${ifindex}`);
}

function describeAddress(update: RouteUpdate): string {
  const gateways = update.nexthops.filter(({ viaFamily }) => viaFamily !== Family.NONE);
  if (gateways.length > 0)
    return `gateway${list(gateways.map(({ viaFamily, via }) => formatAddress(viaFamily, via, 0)))}`;
  return "address";
}

function linkNames(update: RouteUpdate, links: LinkTable): string[] {
  return interfaces(update).map((ifindex) => links.nameOf(ifindex) || `if${ifindex}`);
}

function interfaces(update: RouteUpdate): number[] {
  return [...new Set(update.nexthops.map(({ ifindex }) => ifindex).filter((ifindex) => ifindex !== 0))];
}

/** Some of them, with a blank before. */
function list(names: readonly string[]): string {
  if (names.length === 0) return "";
  return ` ${names.slice(0, 3).join(" or ")}${names.length > 3 ? ` and ${names.length - 3} more` : ""}`;
}
