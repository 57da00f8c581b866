/**
 * Any netlink message as one line of text, in iproute2's words where it has some: for debug logs, and for tests, whose
 * differences a human must read. Never throws; what it cannot parse it shows in hex. Pure; any thread.
 */
import { decodeAck } from "./ack.ts";
import { type AddressMessage, decodeAddress, ownAddress } from "./address.ts";
import { type CarriedAttribute, readBytes } from "./attribute.ts";
import * as constants from "./constants.ts";
import type { Encap } from "./encap.ts";
import { decodeLink, type LinkMessage } from "./link.ts";
import { align4, messageFlags, messageLength, messagePortId, messageSequence, messageType } from "./message.ts";
import { decodeNexthop, type NexthopMessage } from "./nexthop.ts";
import type { RouteMessage, RouteNexthop } from "./route.ts";
import { addressLength } from "./route.ts";
import { decodeRoute } from "./route_decode.ts";

const { AF_INET, AF_INET6, AF_MPLS } = constants;

/** Names of all constants with this prefix, by number, without the prefix. */
function namesOf(prefix: string): ReadonlyMap<number, string> {
  const names = new Map<number, string>();
  for (const [name, value] of Object.entries(constants)) {
    if (typeof value === "number" && name.startsWith(prefix)) names.set(value, name.slice(prefix.length));
  }
  return names;
}

const MESSAGE_NAMES: ReadonlyMap<number, string> = new Map(
  [...namesOf("NLMSG_"), ...namesOf("RTM_")].filter(
    ([value, name]) => !name.startsWith("F_") && name !== "HDRLEN" && name !== "MIN_TYPE" && value < 0x100,
  ),
);
const ROUTE_TYPE_NAMES = namesOf("RTN_");
const SCOPE_NAMES = namesOf("RT_SCOPE_");
const ENCAP_NAMES = namesOf("LWTUNNEL_ENCAP_");
const SEG6_MODE_NAMES = ["inline", "encap", "l2encap", "encap.red", "l2encap.red"];
const TABLE_NAMES: Readonly<Record<number, string>> = { 253: "default", 254: "main", 255: "local" };
const OPERSTATE_NAMES = ["unknown", "notpresent", "down", "lowerlayerdown", "testing", "dormant", "up"];

const NEXTHOP_FLAGS: readonly [number, string][] = [
  [constants.RTNH_F_DEAD, "dead"],
  [constants.RTNH_F_PERVASIVE, "pervasive"],
  [constants.RTNH_F_ONLINK, "onlink"],
  [constants.RTNH_F_OFFLOAD, "offload"],
  [constants.RTNH_F_LINKDOWN, "linkdown"],
  [constants.RTNH_F_UNRESOLVED, "unresolved"],
  [constants.RTNH_F_TRAP, "trap"],
];
const ROUTE_FLAGS: readonly [number, string][] = [
  ...NEXTHOP_FLAGS,
  [constants.RTM_F_NOTIFY, "notify"],
  [constants.RTM_F_CLONED, "cloned"],
  [constants.RTM_F_PREFIX, "prefix"],
  [constants.RTM_F_LOOKUP_TABLE, "lookup-table"],
  [constants.RTM_F_FIB_MATCH, "fib-match"],
  [constants.RTM_F_OFFLOAD, "rt-offload"],
  [constants.RTM_F_TRAP, "rt-trap"],
  [constants.RTM_F_OFFLOAD_FAILED, "rt-offload-failed"],
];
const LINK_FLAGS: readonly [number, string][] = [
  [constants.IFF_UP, "up"],
  [constants.IFF_BROADCAST, "broadcast"],
  [constants.IFF_LOOPBACK, "loopback"],
  [constants.IFF_POINTOPOINT, "pointopoint"],
  [constants.IFF_RUNNING, "running"],
  [constants.IFF_NOARP, "noarp"],
  [constants.IFF_MULTICAST, "multicast"],
  [constants.IFF_LOWER_UP, "lower-up"],
];
const COMMON_FLAGS: readonly [number, string][] = [
  [constants.NLM_F_REQUEST, "request"],
  [constants.NLM_F_MULTI, "multi"],
  [constants.NLM_F_ACK, "ack"],
  [constants.NLM_F_ECHO, "echo"],
  [constants.NLM_F_DUMP_INTR, "dump-intr"],
  [constants.NLM_F_DUMP_FILTERED, "dump-filtered"],
];
/** Above 0xff, what a flag means depends on whether the type is a NEW, DEL or GET, which its low two bits say. */
const TYPE_FLAGS: readonly (readonly [number, string][])[] = [
  [
    [constants.NLM_F_CREATE, "create"],
    [constants.NLM_F_REPLACE, "replace"],
    [constants.NLM_F_EXCL, "excl"],
    [constants.NLM_F_APPEND, "append"],
  ],
  [
    [constants.NLM_F_NONREC, "nonrec"],
    [constants.NLM_F_BULK, "bulk"],
  ],
  [
    [constants.NLM_F_DUMP, "dump"],
    [constants.NLM_F_ROOT, "root"],
    [constants.NLM_F_MATCH, "match"],
    [constants.NLM_F_ATOMIC, "atomic"],
  ],
  [],
];
const ANSWER_FLAGS: readonly [number, string][] = [
  [constants.NLM_F_CAPPED, "capped"],
  [constants.NLM_F_ACK_TLVS, "tlvs"],
];

/** The message at `offset`, of which `length` bytes are there. */
export function describeMessage(view: DataView, offset: number, length: number): string {
  const size = messageLength(view, offset, offset + length);
  if (size === 0) {
    const there = Math.max(0, Math.min(length, view.byteLength - offset));
    return `malformed message of ${there} bytes: ${hexOf(readBytes(view, offset, offset < 0 ? 0 : there))}`;
  }
  const type = messageType(view, offset);
  const head =
    `${MESSAGE_NAMES.get(type) ?? `type ${type}`} ${describeFlags(type, messageFlags(view, offset))}` +
    ` seq ${messageSequence(view, offset)} pid ${messagePortId(view, offset)}: `;
  const body = describeBody(view, offset, size, type);
  if (body !== undefined) return head + body;
  return `${head}${size} bytes ${hexOf(readBytes(view, offset + constants.NLMSG_HDRLEN, size - constants.NLMSG_HDRLEN))}`;
}

/** All messages of a datagram, a line each. */
export function describeDatagram(view: DataView, offset: number, length: number): string[] {
  const lines: string[] = [];
  const end = offset + length;
  let size = 0;
  for (let at = offset; at < end; at += align4(size)) {
    lines.push(describeMessage(view, at, end - at));
    size = messageLength(view, at, end);
    if (size === 0) break;
  }
  return lines;
}

/** Undefined if we have no words for it, or it is malformed. */
function describeBody(view: DataView, offset: number, size: number, type: number): string | undefined {
  const route = decodeRoute(view, offset, size);
  if (route !== null) return describeRoute(route);
  const nexthop = decodeNexthop(view, offset, size);
  if (nexthop !== null) return describeNexthop(nexthop);
  const link = decodeLink(view, offset, size);
  if (link !== null) return describeLink(link);
  const address = decodeAddress(view, offset, size);
  if (address !== null) return describeAddress(address);
  return type === constants.NLMSG_ERROR || type === constants.NLMSG_DONE ? describeAck(view, offset, size) : undefined;
}

function describeFlags(type: number, flags: number): string {
  const special = type < constants.NLMSG_MIN_TYPE ? ANSWER_FLAGS : TYPE_FLAGS[type & 3]!;
  return `[${flagNames(flags, [...COMMON_FLAGS, ...special]).join("|")}]`;
}

/** Names of the bits that are set, the rest as a number. A name of several bits needs all of them and uses them up. */
function flagNames(flags: number, table: readonly (readonly [number, string])[]): string[] {
  const names: string[] = [];
  let rest = flags;
  for (const [bits, name] of table) {
    if ((rest & bits) !== bits) continue;
    names.push(name);
    rest &= ~bits;
  }
  if (rest !== 0) names.push(`0x${(rest >>> 0).toString(16)}`);
  return names;
}

function describeRoute(route: RouteMessage): string {
  const { family } = route;
  const parts = [
    ROUTE_TYPE_NAMES.get(route.routeType)?.toLowerCase() ?? `type ${route.routeType}`,
    formatDestination(family, route.destination, route.prefixLength),
  ];
  if (route.sourceLength > 0) parts.push(`from ${formatAddress(family, route.source)}/${route.sourceLength}`);
  if (route.tos !== 0) parts.push(`tos 0x${route.tos.toString(16)}`);
  parts.push(`table ${TABLE_NAMES[route.table] ?? route.table}`);
  parts.push(`proto ${constants.RTPROT_NAMES[route.protocol] ?? route.protocol}`);
  parts.push(`scope ${SCOPE_NAMES.get(route.scope)?.toLowerCase() ?? route.scope}`);
  if (route.metric !== undefined) parts.push(`metric ${route.metric}`);
  if (route.prefsrcFamily !== 0) parts.push(`src ${formatAddress(route.prefsrcFamily, route.prefsrc)}`);
  if (route.nexthopId !== 0) parts.push(`nhid ${route.nexthopId}`);
  for (const nexthop of route.nexthops) parts.push(describeRouteNexthop(nexthop, route.nexthops.length > 1));
  if (route.mtu !== 0) parts.push(`mtu ${route.mtu}`);
  if (route.metricsLock !== 0) parts.push(`lock 0x${route.metricsLock.toString(16)}`);
  if (route.metrics.length > 0) parts.push(`metrics ${describeCarried(route.metrics)}`);
  if (route.realm !== 0) parts.push(`realm ${route.realm}`);
  if (route.inInterface !== 0) parts.push(`iif ${route.inInterface}`);
  if (route.preference !== undefined) parts.push(`pref ${route.preference}`);
  if (route.expires !== undefined) parts.push(`expires ${route.expires}s`);
  if (route.cacheInfo !== undefined && route.cacheInfo.error !== 0) parts.push(`error ${route.cacheInfo.error}`);
  if (route.ttlPropagate !== undefined) parts.push(`ttl-propagate ${route.ttlPropagate}`);
  parts.push(...flagNames(route.routeFlags, ROUTE_FLAGS));
  if (route.carried.length > 0) parts.push(`others ${describeCarried(route.carried)}`);
  return parts.join(" ");
}

function describeRouteNexthop(nexthop: RouteNexthop, several: boolean): string {
  const parts = several ? ["nexthop"] : [];
  if (nexthop.newLabels.length > 0) parts.push(`as ${nexthop.newLabels.join("/")}`);
  if (nexthop.viaFamily !== 0) parts.push(`via ${formatAddress(nexthop.viaFamily, nexthop.via)}`);
  if (nexthop.encap !== undefined) parts.push(describeEncap(nexthop.encap));
  if (nexthop.ifindex !== 0) parts.push(`oif ${nexthop.ifindex}`);
  if (several) parts.push(`weight ${nexthop.weight}`);
  if (nexthop.realm !== 0) parts.push(`realm ${nexthop.realm}`);
  parts.push(...flagNames(nexthop.flags, NEXTHOP_FLAGS));
  if (nexthop.carried.length > 0) parts.push(`others ${describeCarried(nexthop.carried)}`);
  return parts.join(" ");
}

function describeEncap(encap: Encap): string {
  const name = ENCAP_NAMES.get(encap.type)?.toLowerCase() ?? encap.type;
  if (encap.labels.length > 0) {
    return `encap ${name} ${encap.labels.join("/")}${encap.ttl === undefined ? "" : ` ttl ${encap.ttl}`}`;
  }
  if (encap.segments.length > 0) {
    const segments = encap.segments.map((segment) => formatAddress(AF_INET6, segment));
    return `encap ${name} mode ${SEG6_MODE_NAMES[encap.seg6Mode] ?? encap.seg6Mode} segs ${segments.join(",")}`;
  }
  return `encap ${name} ${hexOf(encap.raw)}`;
}

function describeNexthop(nexthop: NexthopMessage): string {
  const parts = [`id ${nexthop.id}`];
  if (nexthop.group.length > 0) {
    const members = nexthop.group.map(({ id, weight }) => (weight === 1 ? `${id}` : `${id},${weight}`));
    parts.push(`group ${members.join("/")}`);
    if (nexthop.groupType !== 0) parts.push(nexthop.groupType === 1 ? "type resilient" : `type ${nexthop.groupType}`);
  }
  if (nexthop.resilient !== undefined) {
    const { buckets, idleTimer, unbalancedTimer, unbalancedTime } = nexthop.resilient;
    if (buckets !== undefined) parts.push(`buckets ${buckets}`);
    if (idleTimer !== undefined) parts.push(`idle_timer ${idleTimer / constants.CLOCK_T_PER_SECOND}s`);
    if (unbalancedTimer !== undefined) {
      parts.push(`unbalanced_timer ${unbalancedTimer / constants.CLOCK_T_PER_SECOND}s`);
    }
    if (unbalancedTime !== undefined) parts.push(`unbalanced_time ${unbalancedTime / constants.CLOCK_T_PER_SECOND}s`);
  }
  if (nexthop.blackhole) parts.push("blackhole");
  if (nexthop.hasGateway) parts.push(`via ${formatAddress(nexthop.family, nexthop.gateway)}`);
  if (nexthop.encap !== undefined) parts.push(describeEncap(nexthop.encap));
  if (nexthop.oif !== 0) parts.push(`oif ${nexthop.oif}`);
  if (nexthop.fdb) parts.push("fdb");
  parts.push(`proto ${constants.RTPROT_NAMES[nexthop.protocol] ?? nexthop.protocol}`);
  parts.push(...flagNames(nexthop.nexthopFlags, NEXTHOP_FLAGS));
  if (nexthop.opFlags !== 0) parts.push(`op-flags 0x${nexthop.opFlags.toString(16)}`);
  if (nexthop.carried.length > 0) parts.push(`others ${describeCarried(nexthop.carried)}`);
  return parts.join(" ");
}

function describeLink(link: LinkMessage): string {
  const parts = [`${link.ifindex}: ${link.name === "" ? "?" : link.name}`];
  if (link.family !== 0) parts.push(`family ${link.family}`);
  parts.push(`<${flagNames(link.linkFlags, LINK_FLAGS).join(",")}>`);
  if (link.changeMask !== 0) parts.push(`change 0x${link.changeMask.toString(16)}`);
  if (link.mtu !== 0) parts.push(`mtu ${link.mtu}`);
  if (link.operstate !== undefined) parts.push(`state ${OPERSTATE_NAMES[link.operstate] ?? link.operstate}`);
  if (link.carrier !== undefined) parts.push(link.carrier ? "carrier" : "no-carrier");
  if (link.kind !== "") parts.push(`type ${link.kind}`);
  if (link.vrfTable !== 0) parts.push(`table ${link.vrfTable}`);
  if (link.master !== 0) parts.push(`master ${link.master}`);
  if (link.slaveKind !== "") parts.push(`port of ${link.slaveKind}`);
  if (link.slaveVrfTable !== 0) parts.push(`port table ${link.slaveVrfTable}`);
  if (link.link !== 0) parts.push(`link ${link.link}`);
  if (link.linkNetnsId !== undefined) parts.push(`link-netnsid ${link.linkNetnsId}`);
  if (link.newNetnsId !== undefined) parts.push(`new-netnsid ${link.newNetnsId}`);
  if (link.newIfindex !== undefined) parts.push(`new-ifindex ${link.newIfindex}`);
  if (link.address.length > 0) parts.push(`address ${Array.from(link.address, hexByte).join(":")}`);
  for (const name of link.altNames) parts.push(`altname ${name}`);
  if (link.carried.length > 0) parts.push(`and ${link.carried.length} others`);
  return parts.join(" ");
}

function describeAddress(message: AddressMessage): string {
  const { family } = message;
  const own = formatAddress(family, ownAddress(message));
  const peer = formatAddress(family, message.address);
  const parts = [`${own === peer || !message.hasAddress ? own : `${own} peer ${peer}`}/${message.prefixLength}`];
  parts.push(`dev ${message.ifindex}`);
  parts.push(`scope ${SCOPE_NAMES.get(message.scope)?.toLowerCase() ?? message.scope}`);
  if (message.label !== "") parts.push(`label ${message.label}`);
  if (message.addressFlags !== 0) parts.push(`flags 0x${message.addressFlags.toString(16)}`);
  if (message.carried.length > 0) parts.push(`others ${describeCarried(message.carried)}`);
  return parts.join(" ");
}

function describeAck(view: DataView, offset: number, size: number): string | undefined {
  const ack = decodeAck(view, offset, size);
  if (ack === null) return undefined;
  const parts = [ack.errno === 0 ? "ok" : `errno ${ack.errno}`];
  if (ack.type === constants.NLMSG_ERROR) parts.push(`to ${MESSAGE_NAMES.get(ack.requestType) ?? ack.requestType}`);
  if (ack.text !== undefined) parts.push(`"${ack.text}"`);
  if (ack.offset !== undefined) parts.push(`at offset ${ack.offset}`);
  if (ack.missingType !== undefined) parts.push(`missing attribute ${ack.missingType}`);
  if (ack.missingNest !== undefined) parts.push(`in the nest at offset ${ack.missingNest}`);
  if (ack.cookie !== undefined) parts.push(`cookie ${hexOf(ack.cookie)}`);
  if (ack.policy !== undefined) parts.push(`policy ${describeCarried(ack.policy)}`);
  return parts.join(" ");
}

function describeCarried(attributes: readonly CarriedAttribute[]): string {
  return attributes
    .map(({ type, bytes }) => `${type & constants.NLA_TYPE_MASK}=${bytes.length === 0 ? "-" : hexOf(bytes)}`)
    .join(",");
}

function formatDestination(family: number, destination: Uint8Array, prefixLength: number): string {
  if (family === AF_MPLS) return `label ${labelOf(destination)}`;
  return `${formatAddress(family, destination)}/${prefixLength}`;
}

function labelOf(bytes: Uint8Array): number {
  return (bytes[0]! << 12) | (bytes[1]! << 4) | (bytes[2]! >> 4);
}

function formatAddress(family: number, bytes: Uint8Array): string {
  if (family === AF_INET) return bytes.subarray(0, 4).join(".");
  if (family === AF_INET6) return formatIpv6(bytes);
  return `family ${family} ${hexOf(bytes.subarray(0, addressLength(family)))}`;
}

/** RFC 5952: lower case, no leading zeros, the first longest run of two or more zero groups as "::". */
function formatIpv6(bytes: Uint8Array): string {
  const groups = Array.from({ length: 8 }, (_, i) => ((bytes[2 * i]! << 8) | bytes[2 * i + 1]!).toString(16));
  let runAt = 0;
  let runLength = 1;
  for (let i = 0; i < 8; i++) {
    let end = i;
    while (groups[end] === "0") end++;
    if (end - i > runLength) {
      runAt = i;
      runLength = end - i;
    }
  }
  if (runLength < 2) return groups.join(":");
  return `${groups.slice(0, runAt).join(":")}::${groups.slice(runAt + runLength).join(":")}`;
}

function hexByte(byte: number): string {
  return byte.toString(16).padStart(2, "0");
}

function hexOf(bytes: Uint8Array): string {
  return Array.from(bytes, hexByte).join("");
}
