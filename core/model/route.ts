/**
 * What a client says about a route, as plain data: the vocabulary that the northbound parses into, the RIB keeps and
 * contexts carry. Pure; any thread.
 */

/** Address families, spelled with the kernel's numbers (`include/linux/socket.h`: AF_INET, AF_INET6). 0 means "none". */
export const Family = { NONE: 0, IPV4: 2, IPV6: 10 } as const;
export type Family = (typeof Family)[keyof typeof Family];

/** Route types a client may ask for, with the kernel's numbers (`include/uapi/linux/rtnetlink.h`: RTN_*). */
export const RouteType = { UNICAST: 1, BLACKHOLE: 6, UNREACHABLE: 7, PROHIBIT: 8, THROW: 9 } as const;
export type RouteType = (typeof RouteType)[keyof typeof RouteType];

/** The words of `RouteType` in the API, in iproute2's spelling. */
export const ROUTE_TYPE_NAMES: Readonly<Record<RouteType, string>> = {
  [RouteType.UNICAST]: "unicast",
  [RouteType.BLACKHOLE]: "blackhole",
  [RouteType.UNREACHABLE]: "unreachable",
  [RouteType.PROHIBIT]: "prohibit",
  [RouteType.THROW]: "throw",
};

/** What a client asks for: `install` adds or replaces, `delete` removes. */
export const UpdateOp = { INSTALL: 1, DELETE: 2 } as const;
export type UpdateOp = (typeof UpdateOp)[keyof typeof UpdateOp];

/** SRv6 encapsulation modes (`include/uapi/linux/seg6_iptunnel.h`: SEG6_IPTUN_MODE_*), in iproute2's spelling. */
export const SEG6_MODE_NAMES = ["inline", "encap", "l2encap", "encap.red", "l2encap.red"] as const;

/** How a nexthop wraps a packet before sending it. */
export const EncapType = { NONE: 0, MPLS: 1, SEG6: 2 } as const;
export type EncapType = (typeof EncapType)[keyof typeof EncapType];

/** One nexthop of a route. Addresses are 16 bytes long in network order; IPv4 uses the first four. */
export interface Nexthop {
  /** Family of `via`; `Family.NONE` for a device-only nexthop. */
  viaFamily: Family;
  via: Uint8Array;
  /** Interface number; 0 where the client gave no device. */
  ifindex: number;
  /** 1..256; the kernel stores weight − 1. */
  weight: number;
  onlink: boolean;
  encap: EncapType;
  /** MPLS labels to push, outermost first; used when `encap` is MPLS. */
  labels: number[];
  /** Index into {@linkcode SEG6_MODE_NAMES}; used when `encap` is SEG6. */
  seg6Mode: number;
  /** SRv6 segments in travel order, 16 bytes each; used when `encap` is SEG6. */
  segments: Uint8Array[];
}

/**
 * One update as a client sent it, validated and with names resolved. A parser fills and re-fills the same object, so
 * whoever wants to keep something of it copies.
 */
export interface RouteUpdate {
  op: UpdateOp;
  family: Family;
  /** 16 bytes, network order; host bits are zero. */
  prefix: Uint8Array;
  prefixLength: number;
  /** Source prefix of a source-specific IPv6 route; length 0 means none. */
  source: Uint8Array;
  sourceLength: number;
  table: number;
  /** Kernel metric (RTA_PRIORITY), part of the route's key. An IPv6 metric of 0 is 1024 already here, as in the kernel. */
  metric: number;
  type: RouteType;
  /** Who the route comes from, by RTPROT_* number; information only, the kernel always gets the daemon's own protocol. */
  protocol: number;
  /** Instance of that protocol, as FRR counts them (FPM); 0 if there is one. */
  instance: number;
  /** Administrative distance, 0..255. */
  distance: number;
  tag: number;
  /** Path MTU of the route (RTAX_MTU, not locked); 0 for none. */
  mtu: number;
  /** Preferred source address; `Family.NONE` for none. */
  prefsrcFamily: Family;
  prefsrc: Uint8Array;
  /** Shared nexthop group that the client named; 0 for inline nexthops. */
  nexthopGroup: number;
  nexthops: Nexthop[];
}

/** A nexthop with every field at its default. */
export function createNexthop(): Nexthop {
  return {
    viaFamily: Family.NONE,
    via: new Uint8Array(16),
    ifindex: 0,
    weight: 1,
    onlink: false,
    encap: EncapType.NONE,
    labels: [],
    seg6Mode: 0,
    segments: [],
  };
}

/** An update with every field at its default; parsers reset and fill it. */
export function createRouteUpdate(): RouteUpdate {
  return {
    op: UpdateOp.INSTALL,
    family: Family.NONE,
    prefix: new Uint8Array(16),
    prefixLength: 0,
    source: new Uint8Array(16),
    sourceLength: 0,
    table: 254,
    metric: 20,
    type: RouteType.UNICAST,
    protocol: 0,
    instance: 0,
    distance: 0,
    tag: 0,
    mtu: 0,
    prefsrcFamily: Family.NONE,
    prefsrc: new Uint8Array(16),
    nexthopGroup: 0,
    nexthops: [],
  };
}
