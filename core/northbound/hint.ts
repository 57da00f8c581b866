/**
 * What an administrator may do about an update that failed, in the words of somebody who knows `ip route`: from the
 * kernel's errno, its extack text and the update itself. The kernel's answers are those of Linux 6.18; an answer that is
 * not known here gets no hint rather than a guess. Pure; any thread.
 */
import { formatAddress, formatPrefix } from "../model/prefix.ts";
import { EncapType, Family, type Nexthop, type RouteUpdate, SEG6_MODE_NAMES, UpdateOp } from "../model/route.ts";

/** Interface names by number; empty where the interface is gone. */
export type DeviceName = (ifindex: number) => string;

/** Nexthops that a hint spells out. */
const NEXTHOPS_SHOWN = 3;

/**
 * A hint for the failed `update`, or an empty string. `errno` is the name (`ENETUNREACH`), `message` the extack text or
 * empty.
 */
export function hintForFailure(errno: string, message: string, update: RouteUpdate, deviceName: DeviceName): string {
  return hintByMessage(message, update, deviceName) || hintByErrno(errno, update, deviceName);
}

/** What extack says is more exact than the errno. Matching ignores case and goes by the part that never changed. */
function hintByMessage(message: string, update: RouteUpdate, deviceName: DeviceName): string {
  const text = message.toLowerCase();
  if (text === "") return "";
  const ipv4 = update.nexthops.find(({ viaFamily }) => viaFamily === Family.IPV4);
  if (update.family === Family.IPV6 && ipv4 !== undefined) {
    const address = formatAddress(Family.IPV4, ipv4.via, 0);
    return `an IPv6 route cannot go via ${address}; a nexthop group with IPv4 gateways serves IPv4 routes only`;
  }
  if (text.includes("nexthop id does not exist")) return missingGroup(update);
  if (text.includes("fib table does not exist")) return `table ${update.table} has no routes`;
  if (text.includes("invalid prefsrc address") || text.includes("invalid source address")) {
    const address = formatAddress(update.prefsrcFamily, update.prefsrc, 0);
    return `prefsrc ${address} is on no interface of this machine; ip address show lists what is`;
  }
  if (text.includes("gateway can not be a local address")) {
    return `${describeGateways(update, deviceName)} is this machine's own address`;
  }
  if (text.includes("device for nexthop is not up") || text.includes("nexthop device is not up")) {
    return linkDown(update, deviceName);
  }
  if (text.includes("egress device not specified")) return "name the interface with dev";
  if (text.includes("ipv6 is disabled on nexthop device")) {
    return `IPv6 is switched off on ${describeDevices(update, deviceName)}; see sysctl net.ipv6.conf.*.disable_ipv6`;
  }
  if (text.includes("device only routes can not be added for ipv6")) {
    return "give every nexthop of an IPv6 multipath route a gateway";
  }
  if (text.includes("lwt encapsulation type not supported")) return missingModule(update);
  if (text.includes("nexthop device required for onlink")) return "name the interface with dev";
  if (text.includes("nexthop has invalid gateway")) return noRouteToGateway(update, deviceName);
  return "";
}

function hintByErrno(errno: string, update: RouteUpdate, deviceName: DeviceName): string {
  switch (errno) {
    case "ENETUNREACH":
    case "EHOSTUNREACH":
      return noRouteToGateway(update, deviceName);
    case "ENETDOWN":
      return linkDown(update, deviceName);
    case "ENODEV":
      return missingDevice(update, deviceName);
    case "EEXIST":
      return "another program's route has this prefix, table and metric: choose another metric, or remove that route";
    case "ENOENT":
    case "ESRCH":
      return hintForMissing(update);
    case "EINVAL":
      return hintForInvalid(update);
    case "EOPNOTSUPP":
      return missingModule(update);
    case "EAFNOSUPPORT":
      return update.family === Family.IPV6 ? "this kernel runs without IPv6 (ipv6.disable=1, or no ipv6 module)" : "";
    case "EPERM":
    case "EACCES":
      return "dplaned needs CAP_NET_ADMIN in the network namespace that it programs";
    case "ENOMEM":
    case "ENOBUFS":
      return "the kernel has no memory for it; send the update again when there is some";
    case "ENOSPC":
      return "the kernel's or the hardware's table is full; see sysctl net.ipv6.route.max_size and the switch driver's limits";
    case "EMSGSIZE":
      return "the route does not fit a netlink message; use a nexthop group, or fewer nexthops";
    default:
      return "";
  }
}

function noRouteToGateway(update: RouteUpdate, deviceName: DeviceName): string {
  const gateways = update.nexthops.filter((nexthop) => nexthop.viaFamily !== Family.NONE);
  if (gateways.length === 0) return "";
  if (gateways.length === 1) {
    const nexthop = gateways[0]!;
    const address = formatAddress(nexthop.viaFamily, nexthop.via, 0);
    if (nexthop.onlink) return `${address} is not a unicast address of a neighbour`;
    if (nexthop.ifindex === 0)
      return `no interface reaches ${address}; is it a connected address? Name dev to be exact`;
    return `no route to ${address} on ${nameOf(nexthop, deviceName)}; is it a connected address, or is onlink meant?`;
  }
  const list = describeGateways(update, deviceName);
  return `no route to one of ${list}; are they connected addresses, or is onlink meant?`;
}

/** `10.0.0.2 on v0, 10.0.0.3 on v0 and 30 more`. */
function describeGateways(update: RouteUpdate, deviceName: DeviceName): string {
  const gateways = update.nexthops.filter((nexthop) => nexthop.viaFamily !== Family.NONE);
  const texts = gateways.slice(0, NEXTHOPS_SHOWN).map((nexthop) => {
    const address = formatAddress(nexthop.viaFamily, nexthop.via, 0);
    return nexthop.ifindex === 0 ? address : `${address} on ${nameOf(nexthop, deviceName)}`;
  });
  return joinTexts(texts, gateways.length);
}

function describeDevices(update: RouteUpdate, deviceName: DeviceName): string {
  const named = update.nexthops.filter((nexthop) => nexthop.ifindex !== 0);
  const names = Array.from(new Set(named.map((nexthop) => nameOf(nexthop, deviceName))));
  return names.length === 0 ? "the interface" : joinTexts(names.slice(0, NEXTHOPS_SHOWN), names.length);
}

function joinTexts(texts: string[], count: number): string {
  return count > texts.length ? `${texts.join(", ")} and ${count - texts.length} more` : texts.join(", ");
}

function nameOf(nexthop: Nexthop, deviceName: DeviceName): string {
  return deviceName(nexthop.ifindex) || `interface ${nexthop.ifindex}`;
}

function linkDown(update: RouteUpdate, deviceName: DeviceName): string {
  const indexes = new Set(update.nexthops.map((nexthop) => nexthop.ifindex).filter((ifindex) => ifindex !== 0));
  const [first] = indexes;
  if (first === undefined) return "the nexthop's link is down; see ip link";
  const name = deviceName(first);
  if (indexes.size > 1 || name === "") return `${describeDevices(update, deviceName)}: a link is down; see ip link`;
  return `link ${name} is down; ip link set ${name} up`;
}

/** An interface that is there has no IP of that family, and mostly that is because its MTU is below what that needs. */
function missingDevice(update: RouteUpdate, deviceName: DeviceName): string {
  if (update.nexthops.length === 0) return "";
  const devices = describeDevices(update, deviceName);
  const isThere = update.nexthops.some(({ ifindex }) => ifindex !== 0 && deviceName(ifindex) !== "");
  const isGone = update.nexthops.some(({ ifindex }) => ifindex !== 0 && deviceName(ifindex) === "");
  if (isGone || !isThere) return `${devices} is gone; ip link shows what there is`;
  if (update.family === Family.IPV4) return `${devices} takes no IPv4 routes; its MTU has to be 68 or more`;
  return `${devices} takes no IPv6 routes; its MTU has to be 1280 or more`;
}

function hintForMissing(update: RouteUpdate): string {
  if (update.op === UpdateOp.INSTALL) return "";
  const prefix = formatPrefix(update.family, update.prefix, 0, update.prefixLength);
  return `there is no ${prefix} with metric ${update.metric} in table ${update.table}; is it another metric or table?`;
}

function hintForInvalid(update: RouteUpdate): string {
  if (update.nexthopGroup !== 0) return missingGroup(update);
  const isInline = (nexthop: Nexthop) => SEG6_MODE_NAMES[nexthop.seg6Mode] === "inline";
  if (update.nexthops.some((nexthop) => nexthop.encap === EncapType.SEG6 && !isInline(nexthop))) {
    return "the kernel refuses the encapsulation; l2encap modes need dev, and encap.red modes Linux 6.0";
  }
  if (update.prefsrcFamily !== Family.NONE) {
    return `is prefsrc ${formatAddress(update.prefsrcFamily, update.prefsrc, 0)} an address of this machine?`;
  }
  return "";
}

function missingGroup(update: RouteUpdate): string {
  const id = update.nexthopGroup;
  if (id === 0) return "the nexthop group is gone; ip nexthop shows what there is";
  const family = update.family === Family.IPV6 ? ", and an IPv6 route takes a group without IPv4 nexthops only" : "";
  return `is there a nexthop group ${id}? ip nexthop show id ${id}${family}`;
}

/** The kernel's module for each encapsulation. */
function missingModule(update: RouteUpdate): string {
  const encaps = update.nexthops.map((nexthop) => nexthop.encap);
  if (encaps.includes(EncapType.MPLS)) return "the kernel cannot push MPLS labels; modprobe mpls_iptunnel";
  if (encaps.includes(EncapType.SEG6)) return "the kernel was built without SRv6 (CONFIG_IPV6_SEG6_LWTUNNEL)";
  return "";
}
