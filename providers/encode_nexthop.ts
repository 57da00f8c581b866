/**
 * From a nexthop object to the bytes of a nexthop message, as encode_context.ts does it for routes. There are few objects
 * and many routes on each, so nothing is remembered here. Runs on the thread of the provider that writes them.
 */
import { toEncap } from "../core/context/netlink_route.ts";
import { type NexthopObject, NexthopObjectKind, type NexthopObjectMember } from "../core/context/nexthop_object.ts";
import { EncapType, Family, type Nexthop } from "../core/model/route.ts";
import * as c from "../ffi/netlink/constants.ts";
import { createNexthopMessage, encodeNexthop, type NexthopMessage } from "../ffi/netlink/nexthop.ts";

/** Encodes RTM_NEWNEXTHOP at `offset`; returns its bytes, or 0 if it does not fit. `flags` are added to NLM_F_REQUEST. */
export function encodeNexthopNew(
  view: DataView,
  offset: number,
  id: number,
  object: NexthopObject,
  protocol: number,
  flags: number,
  sequence: number,
): number {
  const message = createNexthopMessage();
  message.flags = c.NLM_F_REQUEST | flags;
  message.sequence = sequence;
  message.protocol = protocol;
  message.id = id;
  if (object.kind === NexthopObjectKind.SINGLE) fillSingle(message, object.nexthop);
  else fillGroup(message, object.members);
  if (object.kind === NexthopObjectKind.RESILIENT) {
    message.groupType = c.NEXTHOP_GRP_TYPE_RES;
    message.resilient = {
      buckets: object.buckets,
      idleTimer: object.idleTimer * c.CLOCK_T_PER_SECOND,
      unbalancedTimer: object.unbalancedTimer * c.CLOCK_T_PER_SECOND,
      unbalancedTime: undefined,
    };
  }
  return encodeNexthop(view, offset, message);
}

/** Encodes RTM_DELNEXTHOP. It cannot bear a protocol: the kernel deletes the object whosever it is. */
export function encodeNexthopDelete(view: DataView, offset: number, id: number, sequence: number): number {
  const message = createNexthopMessage();
  message.type = c.RTM_DELNEXTHOP;
  message.flags = c.NLM_F_REQUEST;
  message.sequence = sequence;
  message.id = id;
  return encodeNexthop(view, offset, message);
}

function fillSingle(message: NexthopMessage, nexthop: Nexthop): void {
  // A device alone has a family to the kernel too. IPv6 serves routes of both families, IPv4 only those of IPv4.
  message.family = nexthop.viaFamily === Family.NONE ? Family.IPV6 : nexthop.viaFamily;
  message.hasGateway = nexthop.viaFamily !== Family.NONE;
  message.gateway.set(nexthop.via);
  message.oif = nexthop.ifindex;
  if (nexthop.onlink) message.nexthopFlags = c.RTNH_F_ONLINK;
  if (nexthop.encap !== EncapType.NONE) message.encap = toEncap(nexthop);
}

function fillGroup(message: NexthopMessage, members: readonly NexthopObjectMember[]): void {
  for (const { id, weight } of members) message.group.push({ id, weight });
}
