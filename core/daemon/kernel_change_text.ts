/** Changes in the kernel as events, in iproute2's words. Main thread. */
import type { KernelChange } from "../model/kernel_event.ts";
import type { LinkTable } from "../model/link_table.ts";
import { formatPrefix } from "../model/prefix.ts";
import { formatProtocol } from "../model/protocol.ts";
import type { KernelEventJson } from "../northbound/event_types.ts";

/** The event that `GET /v1/events` sends for a change. */
export function describeChange(change: KernelChange, links: LinkTable): KernelEventJson {
  const event = { time: Date.now(), object: change.kind, action: change.action, text: changeText(change, links) };
  if (change.kind !== "route") return event;
  const { family, table, metric } = change;
  const prefix = formatPrefix(family, change.prefix, 0, change.prefixLength);
  const key = { prefix, table, metric };
  if (change.sourceLength === 0) return { ...event, ...key };
  return { ...event, ...key, source: formatPrefix(family, change.source, 0, change.sourceLength) };
}

function changeText(change: KernelChange, links: LinkTable): string {
  switch (change.kind) {
    case "link": {
      const { name, up, carrier, mtu } = change.link;
      return `${name} state ${up ? "UP" : "DOWN"}${up && !carrier ? " NO-CARRIER" : ""} mtu ${mtu}`;
    }
    case "address":
      // An interface that is gone has no name any more; its number still tells which it was.
      return `${change.address} dev ${links.nameOf(change.ifindex) || `if${change.ifindex}`}`;
    case "route": {
      const { family, table, metric, protocol, by } = change;
      const prefix = formatPrefix(family, change.prefix, 0, change.prefixLength);
      const from =
        change.sourceLength === 0 ? "" : ` from ${formatPrefix(family, change.source, 0, change.sourceLength)}`;
      return `${prefix}${from} table ${table} proto ${formatProtocol(protocol)} metric ${metric} by ${by}`;
    }
    case "nexthop":
      return `id ${change.id} proto ${formatProtocol(change.protocol)} by ${change.by}`;
  }
}
