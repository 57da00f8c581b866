/**
 * Whose a route or a nexthop object is that stands where one of ours was to go: asks the kernel, and changes nothing.
 * Belongs to the kernel provider and runs on its thread. It has a socket of its own, because an answer must not come
 * between those to a batch.
 */

import { CONTEXT_BYTES, METRIC_IPV6_ZERO } from "../../core/constants.ts";
import type { Contexts } from "../../core/context/contexts.ts";
import { U8, U32 } from "../../core/context/layout.ts";
import { NexthopObjectKind } from "../../core/context/nexthop_object.ts";
import { Family } from "../../core/model/route.ts";
import { ERRNO } from "../../ffi/libc/errno.ts";
import type { Libc } from "../../ffi/libc/symbols.ts";
import { ackErrno, isAck } from "../../ffi/netlink/ack.ts";
import * as c from "../../ffi/netlink/constants.ts";
import { align4, messageLength, messageSequence, messageType } from "../../ffi/netlink/message.ts";
import { createNexthopMessage, decodeNexthop, encodeNexthop } from "../../ffi/netlink/nexthop.ts";
import { createRouteMessage, encodeRoute } from "../../ffi/netlink/route.ts";
import { decodeRoute } from "../../ffi/netlink/route_decode.ts";
import { type NetlinkSocket, openNetlinkSocket } from "../../ffi/netlink/socket.ts";

/** A route with 512 nexthops, or a group of as many members, fits. */
const ANSWER_BYTES = 64 << 10;
const REQUEST_BYTES = 128;
/** The kernel answers within the send; this is for an answer that was lost. */
const ANSWER_TIMEOUT_MS = 100;

/** What the kernel says of a holder besides its protocol number: nobody has it, it is not told, or it does not answer. */
export const HOLDER_NONE = -1;
export const HOLDER_UNKNOWN = -2;
export const HOLDER_SILENT = -3;

export class Holders {
  readonly #socket: NetlinkSocket;
  readonly #request = new Uint8Array(REQUEST_BYTES);
  readonly #requestView = new DataView(this.#request.buffer);
  readonly #answer = new Uint8Array(ANSWER_BYTES);
  readonly #answerView = new DataView(this.#answer.buffer);
  readonly #route = createRouteMessage();
  readonly #nexthop = createNexthopMessage();
  #sequence = 0;

  constructor(libc: Libc, netns: string | undefined) {
    this.#socket = openNetlinkSocket(libc, { netns, strictCheck: true, capAck: true });
  }

  /**
   * RTPROT_* of the route with the key of the context, or what of HOLDER_* applies. It looks an address of the prefix up,
   * which costs the same however many routes there are, but sees only the best of its routes, in a table that the
   * policy rules lead to, and of a type that forwards. Of any other the kernel would tell only in a dump of the table.
   */
  route(contexts: Contexts, slot: number): number {
    const base = slot * CONTEXT_BYTES;
    const family = contexts.getU8(slot, U8.FAMILY);
    const addressBytes = family === Family.IPV6 ? 16 : 4;
    const prefix = contexts.u8.subarray(base + U8.PREFIX, base + U8.PREFIX + addressBytes);
    const message = createRouteMessage();
    message.type = c.RTM_GETROUTE;
    message.flags = c.NLM_F_REQUEST;
    message.family = family;
    message.prefixLength = addressBytes * 8;
    message.destination.set(prefix);
    // The unspecified address means the host itself, and so does ::1 behind it.
    if (prefix.every((byte) => byte === 0)) message.destination[addressBytes - 1] = 2;
    // IPv6 always tells the table, and refuses to be asked for it.
    message.routeFlags = c.RTM_F_FIB_MATCH | (family === Family.IPV4 ? c.RTM_F_LOOKUP_TABLE : 0);
    message.sequence = ++this.#sequence;
    const found = this.#ask(encodeRoute(this.#requestView, 0, message));
    if (found < 0) return found;
    const route = decodeRoute(
      this.#answerView,
      found,
      messageLength(this.#answerView, found, ANSWER_BYTES),
      this.#route,
    );
    if (route === null) return HOLDER_UNKNOWN;
    const isIt =
      route.prefixLength === contexts.getU8(slot, U8.PREFIX_LENGTH) &&
      route.sourceLength === contexts.getU8(slot, U8.SOURCE_LENGTH) &&
      route.tos === 0 &&
      route.table === contexts.getU32(slot, U32.TABLE) &&
      (route.metric ?? (family === Family.IPV6 ? METRIC_IPV6_ZERO : 0)) === contexts.getU32(slot, U32.METRIC) &&
      prefix.every((byte, index) => byte === route.destination[index]);
    return isIt ? route.protocol : HOLDER_UNKNOWN;
  }

  /** RTPROT_* of the nexthop object with this number, or what of HOLDER_* applies. */
  nexthop(id: number): number {
    const message = createNexthopMessage();
    message.type = c.RTM_GETNEXTHOP;
    message.flags = c.NLM_F_REQUEST;
    message.id = id;
    message.sequence = ++this.#sequence;
    const found = this.#ask(encodeNexthop(this.#requestView, 0, message));
    if (found < 0) return found;
    const length = messageLength(this.#answerView, found, ANSWER_BYTES);
    return decodeNexthop(this.#answerView, found, length, this.#nexthop)?.protocol ?? HOLDER_UNKNOWN;
  }

  /** Of what kind the object is that {@linkcode nexthop} has found. */
  get nexthopKind(): NexthopObjectKind {
    const { group, groupType } = this.#nexthop;
    if (group.length === 0) return NexthopObjectKind.SINGLE;
    return groupType === c.NEXTHOP_GRP_TYPE_RES ? NexthopObjectKind.RESILIENT : NexthopObjectKind.GROUP;
  }

  close(): void {
    this.#socket.close();
  }

  /** Sends the request of `length` bytes. Returns where in the buffer its answer begins, or what of HOLDER_* applies. */
  #ask(length: number): number {
    if (this.#socket.send(this.#request, length) < 0) return HOLDER_SILENT;
    while (this.#socket.poll(ANSWER_TIMEOUT_MS)) {
      const bytes = this.#socket.receive(this.#answer);
      if (bytes < 0) return HOLDER_UNKNOWN;
      for (let offset = 0, size = 0; offset < bytes; offset += align4(size)) {
        size = messageLength(this.#answerView, offset, bytes);
        if (size === 0) break;
        // An answer that came too late for the question before is passed over.
        if (messageSequence(this.#answerView, offset) !== this.#sequence) continue;
        if (messageType(this.#answerView, offset) !== c.NLMSG_ERROR) return offset;
        if (!isAck(this.#answerView, offset, size)) return HOLDER_UNKNOWN;
        return ackErrno(this.#answerView, offset) === ERRNO.ENOENT ? HOLDER_NONE : HOLDER_UNKNOWN;
      }
    }
    return HOLDER_SILENT;
  }
}

/** The protocol as `ip` names it, and its number. */
export function describeProtocol(protocol: number): string {
  const name = c.RTPROT_NAMES[protocol];
  return name === undefined ? `protocol ${protocol}` : `protocol ${name} (${protocol})`;
}
