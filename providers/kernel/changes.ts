/**
 * From the kernel's notifications to changes as the main thread hears of them. Says nothing of what we did ourselves, nor
 * of routes that are none of our business while nobody wants to hear of those. Runs in the monitor thread.
 */
import { METRIC_IPV6_ZERO } from "../../core/constants.ts";
import type { KernelAction, KernelChange } from "../../core/model/kernel_event.ts";
import { formatPrefix } from "../../core/model/prefix.ts";
import { Family } from "../../core/model/route.ts";
import { createAddressMessage, decodeAddress, ownAddress } from "../../ffi/netlink/address.ts";
import * as c from "../../ffi/netlink/constants.ts";
import { createLinkMessage, decodeLink } from "../../ffi/netlink/link.ts";
import { messageFlags, messagePortId, messageType } from "../../ffi/netlink/message.ts";
import { createNexthopMessage, decodeNexthop } from "../../ffi/netlink/nexthop.ts";
import { createRouteMessage } from "../../ffi/netlink/route.ts";
import { decodeRoute } from "../../ffi/netlink/route_decode.ts";
import { ChangeAuthors } from "./change_author.ts";
import { toLink } from "./read_links.ts";

/** Where `struct rtmsg` has its protocol, behind the header. */
const RTM_PROTOCOL_OFFSET = c.NLMSG_HDRLEN + 5;

export interface ChangeDecoderOptions {
  /** RTPROT_* of our routes. */
  protocol: number;
  /** Whether what came from this netlink port is our own doing. */
  isOwnPort: (portId: number) => boolean;
  /** Whether somebody wants to hear of all routes. */
  wantsAllRoutes: () => boolean;
}

export class ChangeDecoder {
  readonly #options: ChangeDecoderOptions;
  readonly #authors = new ChangeAuthors();
  readonly #link = createLinkMessage();
  readonly #address = createAddressMessage();
  readonly #route = createRouteMessage();
  readonly #nexthop = createNexthopMessage();

  constructor(options: ChangeDecoderOptions) {
    this.#options = options;
  }

  /** The change that the message tells of; null for one that is not to be told on, or no change at all. */
  decode(view: DataView, offset: number, length: number): KernelChange | null {
    switch (messageType(view, offset)) {
      case c.RTM_NEWLINK:
        return this.#decodeLink(view, offset, length, "new");
      case c.RTM_DELLINK:
        return this.#decodeLink(view, offset, length, "delete");
      case c.RTM_NEWADDR:
        return this.#decodeAddress(view, offset, length, "new");
      case c.RTM_DELADDR:
        return this.#decodeAddress(view, offset, length, "delete");
      case c.RTM_NEWROUTE:
        return this.#decodeRoute(view, offset, length, "new");
      case c.RTM_DELROUTE:
        return this.#decodeRoute(view, offset, length, "delete");
      case c.RTM_NEWNEXTHOP:
        return this.#decodeNexthop(view, offset, length, "new");
      case c.RTM_DELNEXTHOP:
        return this.#decodeNexthop(view, offset, length, "delete");
      default:
        return null;
    }
  }

  #decodeLink(view: DataView, offset: number, length: number, action: KernelAction): KernelChange | null {
    const message = decodeLink(view, offset, length, this.#link);
    // A port that leaves its bridge is "deleted" in family AF_BRIDGE; the interface itself stays.
    if (message === null || message.family !== 0) return null;
    return { kind: "link", action, link: toLink(message) };
  }

  #decodeAddress(view: DataView, offset: number, length: number, action: KernelAction): KernelChange | null {
    const message = decodeAddress(view, offset, length, this.#address);
    if (message === null) return null;
    const family = message.family as Family;
    const address = formatPrefix(family, ownAddress(message), 0, message.prefixLength);
    return { kind: "address", action, ifindex: message.ifindex, family, address };
  }

  #decodeRoute(view: DataView, offset: number, length: number, action: KernelAction): KernelChange | null {
    const portId = messagePortId(view, offset);
    if (this.#options.isOwnPort(portId) || length <= RTM_PROTOCOL_OFFSET) return null;
    // Another's full table is passed over without a look at its attributes.
    const isBeside = action === "new" && (messageFlags(view, offset) & (c.NLM_F_REPLACE | c.NLM_F_APPEND)) !== 0;
    const isOurs = isBeside || view.getUint8(offset + RTM_PROTOCOL_OFFSET) === this.#options.protocol;
    if (!isOurs && !this.#options.wantsAllRoutes()) return null;
    const message = decodeRoute(view, offset, length, this.#route);
    if (message === null || (message.family !== Family.IPV4 && message.family !== Family.IPV6)) return null;
    if ((message.routeFlags & c.RTM_F_CLONED) !== 0) return null;
    return {
      kind: "route",
      action,
      family: message.family,
      prefix: message.destination.slice(),
      prefixLength: message.prefixLength,
      source: message.source.slice(),
      sourceLength: message.sourceLength,
      table: message.table,
      metric: message.metric ?? (message.family === Family.IPV6 ? METRIC_IPV6_ZERO : 0),
      protocol: message.protocol,
      isOurs,
      portId,
      by: this.#authors.name(portId),
    };
  }

  #decodeNexthop(view: DataView, offset: number, length: number, action: KernelAction): KernelChange | null {
    const portId = messagePortId(view, offset);
    if (this.#options.isOwnPort(portId)) return null;
    const message = decodeNexthop(view, offset, length, this.#nexthop);
    if (message === null) return null;
    const { id, protocol } = message;
    return { kind: "nexthop", action, id, protocol, portId, by: this.#authors.name(portId) };
  }
}
