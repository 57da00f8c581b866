/**
 * Counts what the kernel announces about routes and nexthop objects of our protocol in a namespace: every write of them,
 * whoever did it. A netlink socket with room for all of it, which is read when somebody asks.
 */
import { RTPROT_DEFAULT } from "../../core/constants.ts";
import { errnoName } from "../../ffi/libc/errno.ts";
import {
  NLMSG_HDRLEN,
  RTM_DELNEXTHOP,
  RTM_DELROUTE,
  RTM_NEWNEXTHOP,
  RTM_NEWROUTE,
  RTNLGRP_IPV4_ROUTE,
  RTNLGRP_IPV6_ROUTE,
  RTNLGRP_NEXTHOP,
} from "../../ffi/netlink/constants.ts";
import { align4, messageLength, messageType } from "../../ffi/netlink/message.ts";
import { type NetlinkSocket, openNetlinkSocket } from "../../ffi/netlink/socket.ts";
import { selectRuntime } from "../../ffi/runtime/select.ts";
import type { Netns } from "./netns.ts";

/** Some 30,000 announcements. */
const RECEIVE_BUFFER_BYTES = 64 << 20;
const DATAGRAM_BYTES = 64 << 10;

/** Behind the message's header: `rtm_protocol` of struct rtmsg, `nh_protocol` of struct nhmsg. */
const ROUTE_PROTOCOL = NLMSG_HDRLEN + 5;
const NEXTHOP_PROTOCOL = NLMSG_HDRLEN + 2;

const libc = (await selectRuntime()).openLibc();

export interface KernelChanges {
  routesSet: number;
  routesDeleted: number;
  nexthopsSet: number;
  nexthopsDeleted: number;
}

/** Of a namespace in which nothing was written. */
export const NO_CHANGES: KernelChanges = { routesSet: 0, routesDeleted: 0, nexthopsSet: 0, nexthopsDeleted: 0 };

export class ChangeCounter {
  readonly #socket: NetlinkSocket;
  readonly #buffer = new Uint8Array(DATAGRAM_BYTES);
  readonly #view = new DataView(this.#buffer.buffer);

  /** Counts from now on; `groups` narrows down what is listened to. */
  constructor(netns: Netns, groups: readonly number[] = [RTNLGRP_IPV4_ROUTE, RTNLGRP_IPV6_ROUTE, RTNLGRP_NEXTHOP]) {
    this.#socket = openNetlinkSocket(libc, { netns: netns.name, groups, receiveBufferBytes: RECEIVE_BUFFER_BYTES });
  }

  /**
   * What was written since the last call. The kernel announces a change before it confirms it, so all that a daemon has
   * called programmed is counted. Throws if there was more than the socket holds.
   */
  take(): KernelChanges {
    const changes = { ...NO_CHANGES };
    for (let bytes = this.#socket.receive(this.#buffer); bytes !== 0; bytes = this.#socket.receive(this.#buffer)) {
      if (bytes < 0) throw new Error(`Cannot count the kernel's changes: ${errnoName(-bytes)}`);
      for (let offset = 0, length = 0; offset < bytes; offset += align4(length)) {
        length = messageLength(this.#view, offset, bytes);
        if (length === 0) throw new Error("Cannot count the kernel's changes: a message is cut off");
        this.#count(offset, changes);
      }
    }
    return changes;
  }

  close(): void {
    this.#socket.close();
  }

  #count(offset: number, changes: KernelChanges): void {
    const type = messageType(this.#view, offset);
    const isRoute = type === RTM_NEWROUTE || type === RTM_DELROUTE;
    const protocol = this.#buffer[offset + (isRoute ? ROUTE_PROTOCOL : NEXTHOP_PROTOCOL)];
    if (protocol !== RTPROT_DEFAULT) return;
    if (type === RTM_NEWROUTE) changes.routesSet += 1;
    else if (type === RTM_DELROUTE) changes.routesDeleted += 1;
    else if (type === RTM_NEWNEXTHOP) changes.nexthopsSet += 1;
    else if (type === RTM_DELNEXTHOP) changes.nexthopsDeleted += 1;
  }
}
