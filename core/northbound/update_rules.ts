/**
 * What holds for every update, whichever syntax it came in: its defaults, and the rules between its fields that the
 * kernel would answer with a bare EINVAL, or worse, would silently take for something else. Pure; any thread.
 */
import {
  METRIC_DEFAULT,
  METRIC_IPV6_ZERO,
  NEXTHOPS_MAX,
  OWNER_DISTANCE_DEFAULT,
  RT_TABLE_DEFAULT,
} from "../constants.ts";
import { formatAddress, isSameAddress } from "../model/prefix.ts";
import type { Nexthop, RouteUpdate } from "../model/route.ts";
import {
  createNexthop,
  EncapType,
  Family,
  ROUTE_TYPE_NAMES,
  RouteType,
  SEG6_MODE_NAMES,
  UpdateOp,
} from "../model/route.ts";
import { createUpdateError, type UpdateError } from "./update_error.ts";

/** What names stand for at this moment. */
export interface NameResolver {
  /** Number of the interface; 0 where there is none of that name. */
  deviceIndex(name: string): number;
  /** Routing table of the VRF; 0 where there is none of that name. */
  vrfTable(name: string): number;
  /** Number of a table that /etc/iproute2/rt_tables names; 0 where it does not. Route commands use it. */
  tableNumber?(name: string): number;
}

/** What an update means where it does not say: the configuration's, and the owner's distance. */
export interface UpdateDefaults {
  table: number;
  metric: number;
  distance: number;
}

export const UPDATE_DEFAULTS: UpdateDefaults = {
  table: RT_TABLE_DEFAULT,
  metric: METRIC_DEFAULT,
  distance: OWNER_DISTANCE_DEFAULT,
};

/** RFC 791: every IPv4 link carries 68 bytes. RFC 8200: every IPv6 link carries 1280. */
export const MTU_MIN_IPV4 = 68;
export const MTU_MIN_IPV6 = 1280;
/** `net/ipv4/metrics.c`: a larger RTAX_MTU is silently lowered to 65535 - 15. */
export const MTU_MAX = 65_520;

/** Puts every field but the nexthops' own at its default. Nexthops stay, to be filled again. */
export function resetUpdate(into: RouteUpdate, defaults: UpdateDefaults): void {
  into.op = UpdateOp.INSTALL;
  into.family = Family.NONE;
  into.prefixLength = 0;
  into.sourceLength = 0;
  into.source.fill(0);
  into.table = defaults.table;
  into.metric = defaults.metric;
  into.type = RouteType.UNICAST;
  into.protocol = 0;
  into.instance = 0;
  into.distance = defaults.distance;
  into.tag = 0;
  into.mtu = 0;
  into.prefsrcFamily = Family.NONE;
  into.nexthopGroup = 0;
}

/** The nexthop at `index`, made where the update has never had so many, with every field at its default. */
export function resetNexthop(into: RouteUpdate, index: number): Nexthop {
  const nexthop = into.nexthops[index];
  if (nexthop === undefined) {
    const created = createNexthop();
    into.nexthops.push(created);
    return created;
  }
  nexthop.viaFamily = Family.NONE;
  nexthop.ifindex = 0;
  nexthop.weight = 1;
  nexthop.onlink = false;
  nexthop.encap = EncapType.NONE;
  return nexthop;
}

/**
 * Checks what concerns several fields and completes what follows from them. Every parser calls it last, with `into`
 * holding `nexthopCount` nexthops.
 *
 * A delete names its route by prefix, source, table and metric; whatever else a client sent along (often the very
 * object that it installed, over an interface that is gone by now) was read and is dropped here.
 */
export function completeUpdate(into: RouteUpdate, nexthopCount: number): UpdateError | null {
  if (into.family === Family.IPV6 && into.metric === 0) into.metric = METRIC_IPV6_ZERO;
  if (into.op === UpdateOp.DELETE) {
    into.nexthops.length = 0;
    into.nexthopGroup = 0;
    return null;
  }
  if (into.nexthops.length > nexthopCount) into.nexthops.length = nexthopCount;
  return checkTarget(into) ?? checkNexthops(into.nexthops, into.family) ?? checkAttributes(into);
}

function checkTarget(into: RouteUpdate): UpdateError | null {
  const hasNexthops = into.nexthops.length > 0;
  if (into.type !== RouteType.UNICAST) {
    if (!hasNexthops && into.nexthopGroup === 0) return null;
    const field = hasNexthops ? "nexthops" : "nexthopGroup";
    return createUpdateError("CONFLICT", field, `A route of type ${ROUTE_TYPE_NAMES[into.type]} has no nexthops`);
  }
  if (into.nexthopGroup === 0) {
    if (hasNexthops) return null;
    const hint = "name via or dev, or a nexthop group; to drop the packets, use type blackhole";
    return createUpdateError("MISSING_NEXTHOP", "nexthops", "A unicast route needs nexthops or a nexthop group", hint);
  }
  if (hasNexthops) {
    const message = "A route has either nexthops or a nexthop group, not both";
    return createUpdateError("CONFLICT", "nexthopGroup", message);
  }
  return null;
}

/**
 * Checks what concerns several fields of nexthops, or several nexthops. `field` is their place in what the client sent,
 * `family` that of the route; Family.NONE where routes of both may come.
 */
export function checkNexthops(nexthops: readonly Nexthop[], family: Family, field = "nexthops"): UpdateError | null {
  for (let index = 0; index < nexthops.length; index++) {
    const error = checkNexthop(nexthops[index]!, family);
    if (error === null) continue;
    error.field = `${field}[${index}].${error.field}`;
    return error;
  }
  return nexthops.length > 1 ? checkDuplicates(nexthops, field) : null;
}

function checkNexthop(nexthop: Nexthop, family: Family): UpdateError | null {
  const hasDevice = nexthop.ifindex !== 0;
  if (nexthop.viaFamily === Family.NONE) {
    if (!hasDevice) return createUpdateError("MISSING_FIELD", "via", "A nexthop needs via, dev or both");
    if (nexthop.onlink) {
      return createUpdateError("MISSING_FIELD", "via", "onlink is about a gateway, and the nexthop has no via");
    }
  } else {
    const error = checkGateway(nexthop, family, hasDevice);
    if (error !== null) return error;
  }
  if (nexthop.encap === EncapType.SEG6 && family === Family.IPV4 && SEG6_MODE_NAMES[nexthop.seg6Mode] === "inline") {
    const message = "SRv6 mode inline changes an IPv6 header, and the route is IPv4";
    return createUpdateError("FAMILY_MISMATCH", "seg6.mode", message, "use encap");
  }
  return null;
}

function checkGateway(nexthop: Nexthop, family: Family, hasDevice: boolean): UpdateError | null {
  const via = nexthop.via;
  const isIpv4 = nexthop.viaFamily === Family.IPV4;
  if (isIpv4 && family === Family.IPV6) {
    const text = formatAddress(Family.IPV4, via, 0);
    const message = `An IPv6 prefix cannot be reached via the IPv4 nexthop ${text}`;
    return createUpdateError("FAMILY_MISMATCH", "via", message, "only IPv4 via IPv6 exists (RFC 8950)");
  }
  const first = via[0]!;
  const isMulticast = isIpv4 ? first >= 224 && first < 240 : first === 0xff;
  if (isMulticast || (first === 0 && isUnspecified(via))) {
    const text = formatAddress(nexthop.viaFamily, via, 0);
    const kind = isMulticast ? "a multicast address" : "the unspecified address";
    const hint = isMulticast ? undefined : "for a route without a gateway leave via out and name dev";
    return createUpdateError("INVALID_ADDRESS", "via", `${text} is ${kind}, which is no gateway`, hint);
  }
  if (hasDevice) return null;
  if (nexthop.onlink) {
    return createUpdateError("MISSING_FIELD", "dev", "onlink needs dev: the gateway is looked for on that link");
  }
  if (first === 0xfe && (via[1]! & 0xc0) === 0x80 && !isIpv4) {
    const text = formatAddress(Family.IPV6, via, 0);
    return createUpdateError("MISSING_FIELD", "dev", `${text} is link-local and needs dev, because every link has it`);
  }
  return null;
}

function isUnspecified(address: Uint8Array): boolean {
  for (let index = 0; index < 16; index++) if (address[index] !== 0) return false;
  return true;
}

/** Up to here comparing each with each costs less than hashing. */
const PAIRWISE_MAX = 8;
const BUCKETS = NEXTHOPS_MAX * 2;
const buckets = new Int16Array(BUCKETS);

/** The kernel refuses duplicates on IPv6 (EEXIST) and takes them on IPv4, where weight is what is meant. */
function checkDuplicates(nexthops: readonly Nexthop[], field: string): UpdateError | null {
  if (nexthops.length <= PAIRWISE_MAX) {
    for (let later = 1; later < nexthops.length; later++) {
      for (let earlier = 0; earlier < later; earlier++) {
        if (isSameNexthop(nexthops[earlier]!, nexthops[later]!)) return duplicateNexthop(field, earlier, later);
      }
    }
    return null;
  }
  buckets.fill(-1);
  for (let later = 0; later < nexthops.length; later++) {
    const nexthop = nexthops[later]!;
    let bucket = hashNexthop(nexthop);
    for (; buckets[bucket]! >= 0; bucket = (bucket + 1) % BUCKETS) {
      const earlier = buckets[bucket]!;
      if (isSameNexthop(nexthops[earlier]!, nexthop)) return duplicateNexthop(field, earlier, later);
    }
    buckets[bucket] = later;
  }
  return null;
}

function duplicateNexthop(field: string, earlier: number, later: number): UpdateError {
  const message = `Nexthop ${later + 1} is the same as nexthop ${earlier + 1}`;
  return createUpdateError("DUPLICATE_NEXTHOP", `${field}[${later}]`, message, "give one of them a larger weight");
}

/** FNV-1a over gateway and device; nexthops that differ in nothing but encapsulation are few. */
function hashNexthop(nexthop: Nexthop): number {
  let hash = 0x811c9dc5 ^ nexthop.ifindex;
  if (nexthop.viaFamily !== Family.NONE) {
    for (let index = 0; index < 16; index++) hash = Math.imul(hash ^ nexthop.via[index]!, 0x01000193);
  }
  hash = Math.imul(hash ^ (hash >>> 15), 0x85ebca6b);
  return (hash >>> 8) % BUCKETS;
}

function isSameNexthop(a: Nexthop, b: Nexthop): boolean {
  if (a.ifindex !== b.ifindex || a.viaFamily !== b.viaFamily || a.encap !== b.encap) return false;
  if (a.viaFamily !== Family.NONE && !isSameAddress(a.via, 0, b.via, 0)) return false;
  if (a.encap === EncapType.MPLS) {
    return a.labels.length === b.labels.length && a.labels.every((label, index) => label === b.labels[index]);
  }
  if (a.encap === EncapType.SEG6) {
    if (a.seg6Mode !== b.seg6Mode || a.segments.length !== b.segments.length) return false;
    return a.segments.every((segment, index) => isSameAddress(segment, 0, b.segments[index]!, 0));
  }
  return true;
}

function checkAttributes(into: RouteUpdate): UpdateError | null {
  if (into.prefsrcFamily !== Family.NONE && into.prefsrcFamily !== into.family) {
    const text = formatAddress(into.prefsrcFamily, into.prefsrc, 0);
    const wanted = into.family === Family.IPV4 ? "IPv4" : "IPv6";
    const message = `${text} cannot be the source address of packets to an ${wanted} prefix`;
    return createUpdateError("FAMILY_MISMATCH", "prefsrc", message);
  }
  if (into.mtu !== 0) {
    const min = into.family === Family.IPV4 ? MTU_MIN_IPV4 : MTU_MIN_IPV6;
    if (into.mtu < min || into.mtu > MTU_MAX) {
      const message = `${into.mtu} is no MTU that the kernel honours; it is ${min} to ${MTU_MAX}`;
      return createUpdateError("OUT_OF_RANGE", "mtu", message);
    }
  }
  return null;
}
