/**
 * Frames as FRR's `dplane_fpm_nl` sends them by default: each nexthop once, as a nexthop object, and routes that name theirs by its
 * number; a frame for each message.
 */
import { METRIC_DEFAULT } from "../../core/constants.ts";
import { FPM_HEADER_LENGTH, putFrameHeader } from "../../ffi/fpm/frame.ts";
import * as c from "../../ffi/netlink/constants.ts";
import { align4 } from "../../ffi/netlink/message.ts";
import { createNexthopMessage, encodeNexthop } from "../../ffi/netlink/nexthop.ts";
import { createRouteMessage, encodeRoute } from "../../ffi/netlink/route.ts";
import { NEXTHOP_COUNT, type TableFamily } from "../../scripts/internet_table.ts";
import { NEXTHOP_BYTES, type RouteTable } from "./route_table.ts";

const AF = { 4: c.AF_INET, 6: c.AF_INET6 } as const;
const FLAGS = c.NLM_F_REQUEST | c.NLM_F_CREATE;
const FRAME_MAX = 256;
/** zebra's netlink port. */
const PORT_ID = 1;

function nexthopId(family: TableFamily, number: number): number {
  return (family === 4 ? 1 : 1 + NEXTHOP_COUNT) + number;
}

/** Frames with the nexthops of the table's families. */
export function fpmNexthops(table: RouteTable, ifindex: number): Uint8Array {
  const view = new DataView(new ArrayBuffer(2 * NEXTHOP_COUNT * FRAME_MAX));
  let end = 0;
  for (const family of [4, 6] as const) {
    if (!table.families.includes(family)) continue;
    for (let number = 0; number < NEXTHOP_COUNT; number++) {
      const message = createNexthopMessage();
      message.flags = FLAGS | c.NLM_F_REPLACE;
      message.portId = PORT_ID;
      message.protocol = c.RTPROT_ZEBRA;
      message.id = nexthopId(family, number);
      message.family = AF[family];
      message.oif = ifindex;
      message.hasGateway = true;
      message.gateway.set(NEXTHOP_BYTES[family][number]!);
      const length = FPM_HEADER_LENGTH + align4(encodeNexthop(view, end + FPM_HEADER_LENGTH, message));
      putFrameHeader(view, end, length);
      end += length;
    }
  }
  return new Uint8Array(view.buffer, 0, end);
}

/** Writes the frame of a route at `at`, and returns its length. */
export function fpmRoute(isDelete: boolean): (view: DataView, at: number, table: RouteTable, index: number) => number {
  const message = createRouteMessage();
  message.type = isDelete ? c.RTM_DELROUTE : c.RTM_NEWROUTE;
  message.flags = isDelete ? FLAGS : FLAGS | c.NLM_F_REPLACE;
  message.portId = PORT_ID;
  message.table = c.RT_TABLE_MAIN;
  message.protocol = c.RTPROT_ZEBRA;
  message.metric = METRIC_DEFAULT;
  message.routeType = isDelete ? c.RTN_UNSPEC : c.RTN_UNICAST;
  return (view, at, table, index) => {
    const family = table.family(index);
    message.family = AF[family];
    message.prefixLength = table.lengths[index]!;
    message.destination = table.address(index);
    message.nexthopId = isDelete ? 0 : nexthopId(family, table.nexthops[index]!);
    const length = FPM_HEADER_LENGTH + align4(encodeRoute(view, at + FPM_HEADER_LENGTH, message));
    putFrameHeader(view, at, length);
    return length;
  };
}
