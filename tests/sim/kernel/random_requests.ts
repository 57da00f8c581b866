/**
 * Random netlink requests about routes and nexthop objects, and random changes of links and addresses, in words that mean the same
 * to any kernel: interfaces by name. All of it is about a few prefixes and objects, so that they meet one another.
 */

import { parsePrefix } from "../../../core/model/prefix.ts";
import { Family } from "../../../core/model/route.ts";
import type { Prng } from "../../../core/prng.ts";
import * as c from "../../../ffi/netlink/constants.ts";
import { createNexthopMessage, encodeNexthop } from "../../../ffi/netlink/nexthop.ts";
import { createRouteMessage, createRouteNexthop, encodeRoute, type RouteNexthop } from "../../../ffi/netlink/route.ts";
import { bytesOf } from "./model.ts";

/** An interface's number by its name; 0 for the empty one. */
export type IndexOf = (device: string) => number;

/** One thing to do, in words, and how. */
export type Deed =
  | { kind: "request"; text: string; encode: (view: DataView, indexOf: IndexOf, sequence: number) => number }
  | { kind: "link"; text: string; device: string; up: boolean }
  | { kind: "address"; text: string; device: string; address: string; isAdded: boolean };

/** Both are up and have addresses at first. */
export const TEST_ADDRESSES = [
  ["v0", "10.0.0.1/24"],
  ["v2", "10.0.1.1/24"],
  ["v0", "2001:db8::1/64"],
  ["v2", "2001:db8:1::1/64"],
] as const;
const DEVICES = ["v0", "v1", "v2", "v3"] as const;
/** No interface has it. */
const NO_DEVICE = "gone";

const PREFIXES_4 = ["10.9.0.0/16", "10.9.0.0/24", "10.9.1.0/24", "10.9.1.1/32", "10.0.5.0/24", "0.0.0.0/0"];
const PREFIXES_6 = ["2001:db8:9::/48", "2001:db8:9::/64", "2001:db8:9:1::1/128", "2001:db8:5::/64"];
const GATEWAYS_4 = ["10.0.0.2", "10.0.0.3", "10.0.1.2", "10.0.5.2", "192.0.2.9"];
const GATEWAYS_6 = ["2001:db8::2", "2001:db8::3", "2001:db8:1::2", "fe80::2", "2001:db8:5::2", "2001:db8:77::9"];
const TYPES = [c.RTN_BLACKHOLE, c.RTN_UNREACHABLE, c.RTN_PROHIBIT, c.RTN_THROW];
const OBJECTS = [1, 2, 3, 4, 5, 6, 7];
const FLAGS = [
  c.NLM_F_CREATE | c.NLM_F_EXCL,
  c.NLM_F_CREATE | c.NLM_F_EXCL,
  c.NLM_F_CREATE | c.NLM_F_REPLACE,
  c.NLM_F_CREATE | c.NLM_F_REPLACE,
  c.NLM_F_REPLACE,
  c.NLM_F_CREATE,
  c.NLM_F_CREATE | c.NLM_F_APPEND,
];

/** A nexthop with its interface by name. */
interface NamedHop {
  device: string;
  via: string;
  weight: number;
  onlink: boolean;
}

export class RandomRequests {
  readonly #prng: Prng;

  constructor(prng: Prng) {
    this.#prng = prng;
  }

  next(): Deed {
    const chance = this.#prng.below(100);
    if (chance < 50) return this.#newRoute();
    if (chance < 66) return this.#deleteRoute();
    if (chance < 85) return this.#newObject();
    if (chance < 91) return this.#deleteObject();
    return chance < 95 ? this.#changeLink() : this.#changeAddress();
  }

  #changeLink(): Deed {
    const device = this.#prng.pick(DEVICES);
    const up = this.#prng.chance(0.6);
    return { kind: "link", text: `link ${device} ${up ? "up" : "down"}`, device, up };
  }

  #changeAddress(): Deed {
    const [device, address] = this.#prng.pick(TEST_ADDRESSES);
    const isAdded = this.#prng.chance(0.6);
    const text = `address ${address} ${isAdded ? "added" : "removed"}`;
    return { kind: "address", text, device, address, isAdded };
  }

  #newRoute(): Deed {
    const prng = this.#prng;
    const isIpv6 = prng.chance(0.5);
    const prefix = this.#prefix(isIpv6);
    const flags = prng.pick(FLAGS);
    const [table, metric, protocol] = this.#key();
    const isReject = prng.chance(0.12);
    const type = isReject ? prng.pick(TYPES) : c.RTN_UNICAST;
    const object = !isReject && prng.chance(0.3) ? prng.pick(OBJECTS) : 0;
    const hops = isReject || object !== 0 ? [] : this.#hops(isIpv6);
    const isDirect = hops.length === 1 && hops[0]!.via === "";
    const scope = isDirect && !isIpv6 ? c.RT_SCOPE_LINK : c.RT_SCOPE_UNIVERSE;
    const mtu = prng.chance(0.12) ? prng.pick([1400, 9000]) : 0;
    const prefsrc = isReject || !prng.chance(0.15) ? "" : this.#prefsrc(isIpv6);
    const route = { type: c.RTM_NEWROUTE, flags, prefix, table, metric, protocol, scope, routeType: type };
    return requestOf({ ...route, object, hops, mtu, prefsrc });
  }

  #deleteRoute(): Deed {
    const prng = this.#prng;
    const isIpv6 = prng.chance(0.5);
    const [table, metric, protocol] = this.#key();
    const object = prng.chance(0.1) ? prng.pick(OBJECTS) : 0;
    const hops = object === 0 && prng.chance(0.2) ? [this.#hop(isIpv6)] : [];
    return requestOf({
      type: c.RTM_DELROUTE,
      flags: 0,
      prefix: this.#prefix(isIpv6),
      table,
      metric,
      protocol: prng.chance(0.2) ? 0 : protocol,
      scope: c.RT_SCOPE_NOWHERE,
      routeType: 0,
      object,
      hops,
      mtu: 0,
      prefsrc: "",
    });
  }

  #key(): [number, number, number] {
    const prng = this.#prng;
    return [prng.pick([254, 254, 100, 1000]), prng.pick([20, 20, 20, 30, 0]), prng.pick([210, 210, 210, 99])];
  }

  #prefix(isIpv6: boolean): string {
    if (this.#prng.chance(0.02)) return isIpv6 ? "2001:db8:9::1/48" : "10.9.0.1/24";
    return this.#prng.pick(isIpv6 ? PREFIXES_6 : PREFIXES_4);
  }

  #prefsrc(isIpv6: boolean): string {
    return this.#prng.pick(
      isIpv6 ? ["2001:db8::1", "2001:db8:1::1", "2001:db8:66::1"] : ["10.0.0.1", "10.0.1.1", "192.0.2.1"],
    );
  }

  #hops(isIpv6: boolean): NamedHop[] {
    const count = this.#prng.pick([1, 1, 1, 2, 3]);
    return Array.from({ length: count }, () => this.#hop(isIpv6));
  }

  #hop(isIpv6: boolean): NamedHop {
    const prng = this.#prng;
    const weight = prng.pick([1, 1, 3]);
    if (prng.chance(0.2)) return { device: prng.pick(["v0", "v2", NO_DEVICE]), via: "", weight, onlink: false };
    const isOther = !isIpv6 && prng.chance(0.15);
    const via = prng.pick(isIpv6 || isOther ? GATEWAYS_6 : GATEWAYS_4);
    const isNamed = via.startsWith("fe80") || prng.chance(0.6);
    const device = isNamed ? prng.pick(["v0", "v2", "v0", "v2", "v0", "v2", NO_DEVICE]) : "";
    return { device, via, weight, onlink: !isIpv6 && !isOther && prng.chance(0.1) };
  }

  #newObject(): Deed {
    const prng = this.#prng;
    const id = prng.pick(OBJECTS);
    const flags = prng.pick([c.NLM_F_CREATE | c.NLM_F_EXCL, c.NLM_F_CREATE | c.NLM_F_REPLACE, c.NLM_F_REPLACE]);
    const isGroup = id > 4 ? prng.chance(0.9) : prng.chance(0.05);
    if (isGroup) {
      const members = Array.from({ length: 1 + prng.below(3) }, () => ({
        id: prng.pick(OBJECTS.slice(0, 5)),
        weight: prng.pick([1, 1, 4]),
      }));
      return objectOf({
        id,
        flags,
        hop: null,
        isIpv6: false,
        members,
        buckets: prng.chance(0.3) ? prng.pick([8, 16]) : 0,
      });
    }
    const isIpv6 = prng.chance(0.5);
    const hop = this.#hop(isIpv6);
    // A gateway of its own family, on an interface.
    if (hop.via.includes(":") !== isIpv6 && hop.via !== "") hop.via = prng.pick(isIpv6 ? GATEWAYS_6 : GATEWAYS_4);
    if (hop.device === "" && prng.chance(0.9)) hop.device = prng.pick(["v0", "v2"]);
    return objectOf({ id, flags, hop, isIpv6, members: [], buckets: 0 });
  }

  #deleteObject(): Deed {
    const id = this.#prng.chance(0.05) ? 0 : this.#prng.pick(OBJECTS);
    return {
      kind: "request",
      text: `delete object ${id}`,
      encode: (view, _indexOf, sequence) => {
        const message = createNexthopMessage();
        message.type = c.RTM_DELNEXTHOP;
        message.flags = c.NLM_F_REQUEST | c.NLM_F_ACK;
        message.sequence = sequence;
        message.id = id;
        return encodeNexthop(view, 0, message);
      },
    };
  }
}

interface RouteWords {
  type: number;
  flags: number;
  prefix: string;
  table: number;
  metric: number;
  protocol: number;
  scope: number;
  routeType: number;
  object: number;
  hops: readonly NamedHop[];
  mtu: number;
  prefsrc: string;
}

function requestOf(words: RouteWords): Deed {
  return {
    kind: "request",
    text: JSON.stringify(words),
    encode: (view, indexOf, sequence) => {
      const { prefix, metric, object, hops, prefsrc, ...fields } = words;
      const message = { ...createRouteMessage(), ...fields, sequence };
      message.flags |= c.NLM_F_REQUEST | c.NLM_F_ACK;
      message.family = prefix.includes(":") ? Family.IPV6 : Family.IPV4;
      const [address = "", length] = prefix.split("/");
      // With host bits, too.
      if (parsePrefix(prefix, message.destination, 0, true) < 0) message.destination = bytesOf(address);
      message.prefixLength = Number(length);
      message.metric = metric === 0 ? undefined : metric;
      message.nexthopId = object;
      message.nexthops = hops.map((hop) => toNexthop(hop, indexOf));
      if (prefsrc !== "") {
        message.prefsrcFamily = message.family;
        message.prefsrc = bytesOf(prefsrc);
      }
      return encodeRoute(view, 0, message);
    },
  };
}

function toNexthop({ device, via, weight, onlink }: NamedHop, indexOf: IndexOf): RouteNexthop {
  const nexthop = createRouteNexthop();
  nexthop.ifindex = device === "" ? 0 : indexOf(device);
  nexthop.weight = weight;
  nexthop.flags = onlink ? c.RTNH_F_ONLINK : 0;
  if (via !== "") {
    nexthop.viaFamily = via.includes(":") ? Family.IPV6 : Family.IPV4;
    nexthop.via = bytesOf(via);
  }
  return nexthop;
}

interface ObjectWords {
  id: number;
  flags: number;
  hop: NamedHop | null;
  isIpv6: boolean;
  members: { id: number; weight: number }[];
  buckets: number;
}

function objectOf(words: ObjectWords): Deed {
  return {
    kind: "request",
    text: `object ${JSON.stringify(words)}`,
    encode: (view, indexOf, sequence) => {
      const { id, flags, hop, isIpv6, members, buckets } = words;
      const message = createNexthopMessage();
      message.flags = c.NLM_F_REQUEST | c.NLM_F_ACK | flags;
      message.sequence = sequence;
      message.protocol = 210;
      message.id = id;
      message.group = members;
      if (buckets > 0) {
        message.groupType = c.NEXTHOP_GRP_TYPE_RES;
        message.resilient = { buckets, idleTimer: 6000, unbalancedTimer: 0, unbalancedTime: undefined };
      }
      if (hop !== null) {
        message.family = isIpv6 ? Family.IPV6 : Family.IPV4;
        message.oif = hop.device === "" ? 0 : indexOf(hop.device);
        message.hasGateway = hop.via !== "";
        if (hop.via !== "") message.gateway = bytesOf(hop.via);
        message.nexthopFlags = hop.onlink ? c.RTNH_F_ONLINK : 0;
      }
      return encodeNexthop(view, 0, message);
    },
  };
}
