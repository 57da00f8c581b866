/**
 * Reads the nexthop objects of our protocol out of the kernel, as read_routes.ts does it for routes, and on the same
 * thread.
 */

import { NEXTHOP_ID_MAX, NEXTHOP_ID_MIN } from "../../core/constants.ts";
import { readTunnel } from "../../core/context/netlink_route.ts";
import { type NexthopObject, NexthopObjectKind } from "../../core/context/nexthop_object.ts";
import type { HeldNexthopObject } from "../../core/model/kernel_event.ts";
import { createNexthop, Family } from "../../core/model/route.ts";
import * as c from "../../ffi/netlink/constants.ts";
import { type DumpOptions, type DumpResult, type DumpSocket, dump, type Steps } from "../../ffi/netlink/dump.ts";
import { createNexthopMessage, decodeNexthop, encodeNexthop, type NexthopMessage } from "../../ffi/netlink/nexthop.ts";

const REQUEST_BYTES = 64;

/** Reads all objects that bear `protocol` or have a number of ours. Uses up sequence numbers from `sequence` on, one for each try. */
export function* readNexthops(
  socket: DumpSocket,
  protocol: number,
  sequence: number,
  options: DumpOptions = {},
): Steps<{ dump: DumpResult; objects: HeldNexthopObject[] }> {
  const request = createNexthopMessage();
  request.type = c.RTM_GETNEXTHOP;
  request.flags = c.NLM_F_REQUEST | c.NLM_F_DUMP;
  request.sequence = sequence;
  const bytes = new Uint8Array(REQUEST_BYTES);
  const length = encodeNexthop(new DataView(bytes.buffer), 0, request);
  const message = createNexthopMessage();
  let objects: HeldNexthopObject[] = [];
  const handlers = {
    onMessage: (view: DataView, offset: number, size: number) => {
      const decoded = decodeNexthop(view, offset, size, message);
      // The kernel has no filter for this.
      if (decoded === null) return;
      const { id } = decoded;
      const isOurs = decoded.protocol === protocol;
      if (!isOurs && (id < NEXTHOP_ID_MIN || id > NEXTHOP_ID_MAX)) return;
      objects.push({ id, isOurs, object: toNexthopObject(decoded) });
    },
    onRestart: () => {
      objects = [];
    },
  };
  const answer = yield* dump(socket, bytes.subarray(0, length), handlers, options);
  return { dump: answer, objects };
}

/** The object as dplaned says it; null for one that dplaned could not have written. */
function toNexthopObject(message: NexthopMessage): NexthopObject | null {
  if (message.blackhole || message.fdb || message.carried.length > 0) return null;
  if (message.group.length === 0) return toSingle(message);
  const members = message.group.map(({ id, weight }) => ({ id, weight }));
  if (message.groupType === c.NEXTHOP_GRP_TYPE_MPATH) return { kind: NexthopObjectKind.GROUP, members };
  const { buckets, idleTimer, unbalancedTimer } = message.resilient ?? {};
  if (message.groupType !== c.NEXTHOP_GRP_TYPE_RES || buckets === undefined) return null;
  const seconds = [idleTimer, unbalancedTimer].map((timer) => (timer ?? Number.NaN) / c.CLOCK_T_PER_SECOND);
  if (!seconds.every(Number.isInteger)) return null;
  const [idle, unbalanced] = seconds as [number, number];
  return { kind: NexthopObjectKind.RESILIENT, members, buckets, idleTimer: idle, unbalancedTimer: unbalanced };
}

function toSingle(message: NexthopMessage): NexthopObject | null {
  // A device alone is written for both families, as encode_nexthop.ts says.
  if (!message.hasGateway && message.family !== Family.IPV6) return null;
  const nexthop = createNexthop();
  nexthop.ifindex = message.oif;
  if (message.hasGateway) nexthop.viaFamily = message.family as Family;
  nexthop.via.set(message.gateway);
  nexthop.onlink = (message.nexthopFlags & c.RTNH_F_ONLINK) !== 0;
  if (message.encap !== undefined && !readTunnel(message.encap, nexthop)) return null;
  return { kind: NexthopObjectKind.SINGLE, nexthop };
}
