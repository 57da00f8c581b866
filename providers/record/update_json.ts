/** A context as a line of the API's update format (DESIGN section 1), which `dplaned route load` takes. Any thread. */

import { CONTEXT_BYTES } from "../../core/constants.ts";
import type { AttrsReader } from "../../core/context/attrs.ts";
import { NO_ATTRS } from "../../core/context/attrs.ts";
import type { Contexts } from "../../core/context/contexts.ts";
import { U8, U32 } from "../../core/context/layout.ts";
import { type NexthopObject, NexthopObjectKind } from "../../core/context/nexthop_object.ts";
import { formatAddress, formatPrefix } from "../../core/model/prefix.ts";
import {
  createRouteUpdate,
  EncapType,
  Family,
  type Nexthop,
  ROUTE_TYPE_NAMES,
  RouteType,
  SEG6_MODE_NAMES,
} from "../../core/model/route.ts";

/** The name of an interface by its number. */
export type DeviceName = (ifindex: number) => string;

const shown = createRouteUpdate();

/** Nexthop objects by their numbers in the kernel. */
export type NexthopObjects = ReadonlyMap<number, NexthopObject>;

/** The route of a context with `attrs`, as an install, or as a delete for {@linkcode NO_ATTRS}; with its newline. */
export function formatUpdate(
  contexts: Contexts,
  attrsReader: AttrsReader,
  slot: number,
  attrs: number,
  deviceName: DeviceName,
  objects: NexthopObjects,
): string {
  const { u8 } = contexts;
  const base = slot * CONTEXT_BYTES;
  const family = u8[base + U8.FAMILY]! as Family;
  const sourceLength = u8[base + U8.SOURCE_LENGTH]!;
  const fields: Record<string, unknown> = {
    op: attrs === NO_ATTRS ? "delete" : "install",
    prefix: formatPrefix(family, u8, base + U8.PREFIX, u8[base + U8.PREFIX_LENGTH]!),
  };
  if (sourceLength > 0) fields["source"] = formatPrefix(family, u8, base + U8.SOURCE, sourceLength);
  fields["table"] = contexts.getU32(slot, U32.TABLE);
  fields["metric"] = contexts.getU32(slot, U32.METRIC);
  if (attrs !== NO_ATTRS) addAttributes(fields, attrsReader, attrs, deviceName, objects);
  return `${JSON.stringify(fields)}\n`;
}

function addAttributes(
  fields: Record<string, unknown>,
  attrsReader: AttrsReader,
  attrs: number,
  deviceName: DeviceName,
  objects: NexthopObjects,
): void {
  attrsReader.read(attrs, shown);
  if (shown.type !== RouteType.UNICAST) fields["type"] = ROUTE_TYPE_NAMES[shown.type];
  const nexthops = shown.nexthopGroup === 0 ? shown.nexthops : nexthopsOf(objects, shown.nexthopGroup);
  if (nexthops === null) fields["nexthopGroup"] = shown.nexthopGroup;
  else if (nexthops.length > 0) fields["nexthops"] = nexthops.map((nexthop) => nexthopFields(nexthop, deviceName));
  // The loading side has a default of its own for the distance, so it is always said.
  fields["distance"] = shown.distance;
  if (shown.protocol !== 0) fields["protocol"] = shown.protocol;
  if (shown.tag !== 0) fields["tag"] = shown.tag;
  if (shown.mtu !== 0) fields["mtu"] = shown.mtu;
  if (shown.prefsrcFamily !== Family.NONE) fields["prefsrc"] = formatAddress(shown.prefsrcFamily, shown.prefsrc, 0);
}

/** What a route by the object does; null where not all of it is known. */
function nexthopsOf(objects: NexthopObjects, id: number): Nexthop[] | null {
  const object = objects.get(id);
  if (object === undefined) return null;
  if (object.kind === NexthopObjectKind.SINGLE) return [object.nexthop];
  const nexthops: Nexthop[] = [];
  for (const { id: memberId, weight } of object.members) {
    const member = objects.get(memberId);
    if (member?.kind !== NexthopObjectKind.SINGLE) return null;
    nexthops.push({ ...member.nexthop, weight });
  }
  return nexthops;
}

function nexthopFields(nexthop: Nexthop, deviceName: DeviceName): Record<string, unknown> {
  const fields: Record<string, unknown> = {};
  if (nexthop.viaFamily !== Family.NONE) fields["via"] = formatAddress(nexthop.viaFamily, nexthop.via, 0);
  if (nexthop.ifindex !== 0) fields["dev"] = deviceName(nexthop.ifindex);
  if (nexthop.weight !== 1) fields["weight"] = nexthop.weight;
  if (nexthop.onlink) fields["onlink"] = true;
  if (nexthop.encap === EncapType.MPLS) fields["labels"] = nexthop.labels;
  if (nexthop.encap === EncapType.SEG6) {
    const segs = nexthop.segments.map((segment) => formatAddress(Family.IPV6, segment, 0));
    fields["seg6"] = { mode: SEG6_MODE_NAMES[nexthop.seg6Mode], segs };
  }
  return fields;
}
