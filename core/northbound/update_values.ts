/**
 * The values inside of an update that both syntaxes, JSON and route commands, write as text: prefixes, addresses, names
 * and ranges. Each function fills its field and returns what is wrong with it, or null. Pure; any thread.
 */
import { MPLS_LABEL_VALUE_MAX, SEG6_SEGMENTS_MAX } from "../constants.ts";
import {
  AddressError,
  addressErrorCode,
  describeAddressError,
  packedFamily,
  packedLength,
  parseAddress,
  parsePrefix,
} from "../model/prefix.ts";
import { PROTOCOL_NUMBERS, protocolNumber } from "../model/protocol.ts";
import type { Nexthop, RouteUpdate } from "../model/route.ts";
import { EncapType, Family, ROUTE_TYPE_NAMES, type RouteType, SEG6_MODE_NAMES, UpdateOp } from "../model/route.ts";
import { suggest } from "../suggest.ts";
import { createUpdateError, quote, type UpdateError } from "./update_error.ts";
import type { NameResolver } from "./update_rules.ts";

/** The largest u32: tables, metrics, tags, nexthop groups. */
export const U32_MAX = 0xffff_ffff;

/** RFC 3032: implicit null is signalled but never in a packet; the kernel refuses to push it. */
const MPLS_LABEL_IMPLICIT_NULL = 3;

export const ROUTE_TYPES: ReadonlyMap<string, RouteType> = new Map(
  Object.entries(ROUTE_TYPE_NAMES).map(([number, name]) => [name, Number(number) as RouteType]),
);

const NO_SOURCE_IPV4 = "The kernel has source prefixes for IPv6 only, and would ignore this one";

/** The route's destination. `into.family` stays NONE unless it is a prefix, so that a result can tell whether to show it. */
export function setPrefix(into: RouteUpdate, text: string, bareIsHost: boolean): UpdateError | null {
  const packed = parsePrefix(text, into.prefix, 0, bareIsHost);
  if (packed < 0) return prefixError("prefix", packed, text);
  into.family = packedFamily(packed);
  into.prefixLength = packedLength(packed);
  return null;
}

/** The source prefix; the destination is known by now. Length 0 is the same as none. */
export function setSource(into: RouteUpdate, text: string, bareIsHost: boolean): UpdateError | null {
  const packed = parsePrefix(text, into.source, 0, bareIsHost);
  if (packed < 0) return prefixError("source", packed, text);
  if (into.family === Family.IPV4) {
    const hint = "for packets from some sources only, use a rule (ip rule) and a table of its own";
    return createUpdateError("FAMILY_MISMATCH", "source", NO_SOURCE_IPV4, hint);
  }
  if (packedFamily(packed) !== Family.IPV6) {
    const message = "An IPv6 route cannot have an IPv4 source prefix";
    return createUpdateError("FAMILY_MISMATCH", "source", message);
  }
  into.sourceLength = packedLength(packed);
  return null;
}

function prefixError(field: string, result: number, text: string): UpdateError {
  const { message, hint } = describeAddressError(result, text, "prefix");
  const code = addressErrorCode(result) === AddressError.HOST_BITS ? "HOST_BITS_SET" : "INVALID_PREFIX";
  return createUpdateError(code, field, message, hint);
}

export function setPrefsrc(into: RouteUpdate, text: string): UpdateError | null {
  const family = parseAddress(text, 0, text.length, into.prefsrc, 0);
  if (family < 0) return addressError("prefsrc", family, text);
  into.prefsrcFamily = family as Family;
  return null;
}

export function setVia(nexthop: Nexthop, text: string): UpdateError | null {
  const family = parseAddress(text, 0, text.length, nexthop.via, 0);
  if (family < 0) return addressError("via", family, text);
  nexthop.viaFamily = family as Family;
  return null;
}

function addressError(field: string, result: number, text: string): UpdateError {
  const { message, hint } = describeAddressError(result, text, "address");
  return createUpdateError("INVALID_ADDRESS", field, message, hint);
}

/** A delete goes without the interface, which may be gone: it is not needed to name the route. */
export function setDevice(nexthop: Nexthop, name: string, op: UpdateOp, resolver: NameResolver): UpdateError | null {
  nexthop.ifindex = resolver.deviceIndex(name);
  if (nexthop.ifindex !== 0 || op === UpdateOp.DELETE) return null;
  const message = `There is no interface ${quote(name)}`;
  return createUpdateError(
    "UNKNOWN_DEVICE",
    "dev",
    message,
    "`ip link`, in the namespace that dplaned programs, lists those there are",
  );
}

/** Sets the VRF's table. `isTableGiven`: `into.table` holds one that the client named, and it must be the same. */
export function setVrf(
  into: RouteUpdate,
  name: string,
  isTableGiven: boolean,
  resolver: NameResolver,
): UpdateError | null {
  const table = resolver.vrfTable(name);
  if (table === 0) {
    const message = `There is no VRF ${quote(name)}`;
    return createUpdateError("UNKNOWN_VRF", "vrf", message, "`ip vrf` lists those there are");
  }
  if (isTableGiven && into.table !== table) {
    const message = `VRF ${quote(name)} has table ${table}, not ${into.table}`;
    return createUpdateError("CONFLICT", "table", message, "name the VRF or the table, not both");
  }
  into.table = table;
  return null;
}

export function setProtocol(into: RouteUpdate, name: string): UpdateError | null {
  const number = protocolNumber(name);
  if (number < 0) return unknownValue("protocol", "a protocol", name, PROTOCOL_NUMBERS.keys());
  into.protocol = number;
  return null;
}

export function setType(into: RouteUpdate, name: string): UpdateError | null {
  const type = ROUTE_TYPES.get(name);
  if (type === undefined) return unknownValue("type", "a route type", name, ROUTE_TYPES.keys());
  into.type = type;
  return null;
}

export function setSeg6Mode(nexthop: Nexthop, name: string): UpdateError | null {
  const mode = (SEG6_MODE_NAMES as readonly string[]).indexOf(name);
  if (mode < 0) return unknownValue("seg6.mode", "an SRv6 mode", name, SEG6_MODE_NAMES);
  nexthop.encap = EncapType.SEG6;
  nexthop.seg6Mode = mode;
  return null;
}

/** SRv6 segment `index`, in travel order. */
export function setSegment(nexthop: Nexthop, index: number, text: string): UpdateError | null {
  const field = `seg6.segs[${index}]`;
  if (index >= SEG6_SEGMENTS_MAX) {
    const message = `A nexthop takes ${SEG6_SEGMENTS_MAX} SRv6 segments at most`;
    return createUpdateError("OUT_OF_RANGE", "seg6.segs", message);
  }
  let segment = nexthop.segments[index];
  if (segment === undefined) {
    segment = new Uint8Array(16);
    nexthop.segments.push(segment);
  }
  const family = parseAddress(text, 0, text.length, segment, 0);
  if (family < 0) return addressError(field, family, text);
  if (family === Family.IPV6) return null;
  return createUpdateError("FAMILY_MISMATCH", field, `An SRv6 segment is an IPv6 address, and ${quote(text)} is not`);
}

/** Why `label` cannot be pushed, or null. */
export function checkLabel(label: number, index: number): UpdateError | null {
  const field = `labels[${index}]`;
  if (label > MPLS_LABEL_VALUE_MAX) {
    return createUpdateError("OUT_OF_RANGE", field, `${label} is no MPLS label; it is 0 to ${MPLS_LABEL_VALUE_MAX}`);
  }
  if (label !== MPLS_LABEL_IMPLICIT_NULL) return null;
  const message = "Label 3 (implicit null) is never in a packet and cannot be pushed";
  return createUpdateError("INVALID_VALUE", field, message, "leave it out: it means that no label is pushed");
}

/** The error for a word that is none of `known`. */
export function unknownValue(field: string, kind: string, name: string, known: Iterable<string>): UpdateError {
  const words = Array.from(known);
  const near = suggest(name, words);
  const hint = near === undefined ? `it is one of: ${words.join(", ")}` : `did you mean ${near}?`;
  return createUpdateError("INVALID_VALUE", field, `${quote(name)} is not ${kind}`, hint);
}
