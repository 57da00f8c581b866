/** What the model kernel holds, as the messages in which a kernel tells of it. */
import { Family } from "../../../core/model/route.ts";
import { createAckMessage, encodeAck } from "../../../ffi/netlink/ack.ts";
import { createAddressMessage, encodeAddress } from "../../../ffi/netlink/address.ts";
import * as c from "../../../ffi/netlink/constants.ts";
import { createLinkMessage, encodeLink } from "../../../ffi/netlink/link.ts";
import { endMessage, type MessageHeader, putHeader } from "../../../ffi/netlink/message.ts";
import { createNexthopMessage, encodeNexthop } from "../../../ffi/netlink/nexthop.ts";
import { createRouteMessage, createRouteNexthop, encodeRoute } from "../../../ffi/netlink/route.ts";
import type { ModelAddress, ModelLink, ModelObject, ModelRoute, Refusal } from "./model.ts";

const scratch = new Uint8Array(64 << 10);
const view = new DataView(scratch.buffer);

/** The bytes of one message. */
function take(length: number): Uint8Array {
  if (length === 0) throw new RangeError("a message of the model kernel does not fit");
  return scratch.slice(0, length);
}

export function encodeModelRoute(header: MessageHeader, route: ModelRoute): Uint8Array {
  const message = { ...createRouteMessage(), ...header };
  message.family = route.family;
  message.destination = route.destination;
  message.prefixLength = route.prefixLength;
  message.source = route.source;
  message.sourceLength = route.sourceLength;
  message.table = route.table;
  message.protocol = route.protocol;
  message.scope = route.scope;
  message.routeType = route.type;
  message.metric = route.metric === 0 ? undefined : route.metric;
  message.nexthopId = route.objectId;
  message.mtu = route.mtu;
  if (route.prefsrc !== null) {
    message.prefsrcFamily = route.family;
    message.prefsrc = route.prefsrc;
  }
  for (const hop of route.hops) message.nexthops.push({ ...createRouteNexthop(), ...hop });
  return take(encodeRoute(view, 0, message));
}

export function encodeModelObject(header: MessageHeader, object: ModelObject): Uint8Array {
  const message = { ...createNexthopMessage(), ...header };
  message.id = object.id;
  message.protocol = object.protocol;
  message.nexthopFlags = object.flags;
  message.family = object.family;
  message.scope = object.hop === null ? 0 : c.RT_SCOPE_LINK;
  if (object.hop !== null) {
    message.oif = object.hop.ifindex;
    message.hasGateway = object.hop.viaFamily !== Family.NONE;
    message.gateway = object.hop.via;
  }
  message.group = object.members;
  if (object.buckets !== null) {
    const { buckets, idleTimer, unbalancedTimer } = object;
    message.groupType = c.NEXTHOP_GRP_TYPE_RES;
    message.resilient = { buckets, idleTimer, unbalancedTimer, unbalancedTime: 0 };
  }
  return take(encodeNexthop(view, 0, message));
}

export function encodeModelLink(header: MessageHeader, link: ModelLink, hasCarrier: boolean): Uint8Array {
  const message = { ...createLinkMessage(), ...header };
  message.ifindex = link.ifindex;
  message.name = link.name;
  message.mtu = link.mtu;
  message.kind = link.kind;
  message.linkFlags = (link.up ? c.IFF_UP : 0) | (hasCarrier ? c.IFF_LOWER_UP | c.IFF_RUNNING : 0);
  return take(encodeLink(view, 0, message));
}

export function encodeModelAddress(header: MessageHeader, address: ModelAddress): Uint8Array {
  const message = { ...createAddressMessage(), ...header };
  message.family = address.family;
  message.prefixLength = address.prefixLength;
  message.ifindex = address.ifindex;
  message.address = address.address;
  message.hasAddress = true;
  return take(encodeAddress(view, 0, message));
}

/** The answer to a request that asks for none but to know whether it was obeyed. */
export function encodeAnswer(request: MessageHeader, portId: number, refusal: Refusal | null): Uint8Array {
  const message = createAckMessage();
  const text = refusal === null || refusal.text === "" ? undefined : refusal.text;
  message.flags = c.NLM_F_CAPPED | (text === undefined ? 0 : c.NLM_F_ACK_TLVS);
  message.sequence = request.sequence;
  message.portId = portId;
  message.errno = refusal?.errno ?? 0;
  message.requestType = request.type;
  message.requestFlags = request.flags;
  message.text = text;
  return take(encodeAck(view, 0, message));
}

/** The end of a dump. */
export function encodeDone(sequence: number, portId: number, errno = 0): Uint8Array {
  const at = putHeader(view, 0, c.NLMSG_DONE, c.NLM_F_MULTI, sequence, portId);
  view.setInt32(at, -errno, true);
  return take(endMessage(view, 0, at + 4));
}

export function concatenate(messages: readonly Uint8Array[]): Uint8Array {
  const all = new Uint8Array(messages.reduce((length, { length: more }) => length + more, 0));
  let at = 0;
  for (const message of messages) {
    all.set(message, at);
    at += message.length;
  }
  return all;
}
