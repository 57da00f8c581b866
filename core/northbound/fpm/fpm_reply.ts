/**
 * What goes back to an FPM peer: its route, with a flag that says whether the forwarding plane has it (FRR ≥ 8.5:
 * `fpm_read` in zebra/dplane_fpm_nl.c). FRR takes the nexthops of the answer for those that are in use, so all that it had
 * sent is in there again. Main thread.
 */
import { FPM_HEADER_LENGTH, putFrameHeader } from "../../../ffi/fpm/frame.ts";
import * as c from "../../../ffi/netlink/constants.ts";
import { align4 } from "../../../ffi/netlink/message.ts";
import { createRouteMessage, createRouteNexthop, encodeRoute, type RouteNexthop } from "../../../ffi/netlink/route.ts";
import { toEncap } from "../../context/netlink_route.ts";
import { EncapType, type Nexthop, type RouteUpdate } from "../../model/route.ts";

/** FRR sends all of its routes with it, whatever their own metric is (zebra/rt_netlink.c: NL_DEFAULT_ROUTE_METRIC). */
const FRR_METRIC = 20;
const BUFFER_BYTES = 64 << 10;

/** The peer's words for what is ours. */
export interface PeerNames {
  table: (ours: number) => number;
  ifindex: (ours: number) => number;
  nexthopId: (group: number) => number;
}

export class ReplyEncoder {
  readonly #view = new DataView(new ArrayBuffer(BUFFER_BYTES));
  readonly #message = createRouteMessage();

  /** A frame with the answer; null where it does not fit into one. */
  encode(update: RouteUpdate, isProgrammed: boolean, names: PeerNames): Uint8Array | null {
    const message = this.#message;
    message.type = c.RTM_NEWROUTE;
    message.flags = c.NLM_F_REQUEST;
    message.family = update.family;
    message.destination.set(update.prefix);
    message.prefixLength = update.prefixLength;
    message.source.set(update.source);
    message.sourceLength = update.sourceLength;
    message.table = names.table(update.table);
    message.protocol = update.protocol;
    message.routeType = update.type;
    message.routeFlags = isProgrammed ? c.RTM_F_OFFLOAD : c.RTM_F_OFFLOAD_FAILED;
    message.metric = FRR_METRIC;
    message.nexthopId = update.nexthopGroup === 0 ? 0 : names.nexthopId(update.nexthopGroup);
    message.nexthops =
      update.nexthopGroup === 0 ? update.nexthops.map((nexthop) => toRouteNexthop(nexthop, names)) : [];
    const length = encodeRoute(this.#view, FPM_HEADER_LENGTH, message);
    if (length === 0) return null;
    const frame = FPM_HEADER_LENGTH + align4(length);
    putFrameHeader(this.#view, 0, frame);
    return new Uint8Array(this.#view.buffer.slice(0, frame));
  }
}

function toRouteNexthop(nexthop: Nexthop, names: PeerNames): RouteNexthop {
  const { ifindex, viaFamily, via, weight, onlink, encap } = nexthop;
  return {
    ...createRouteNexthop(),
    ifindex: names.ifindex(ifindex),
    viaFamily,
    via,
    weight,
    flags: onlink ? c.RTNH_F_ONLINK : 0,
    encap: encap === EncapType.NONE ? undefined : toEncap(nexthop),
  };
}
