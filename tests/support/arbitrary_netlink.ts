/** Arbitrary netlink messages for fast-check: everything that an encoder can write and a decoder reads back the same. */
import fc from "fast-check";
import { type AckMessage, createAckMessage } from "../../ffi/netlink/ack.ts";
import type { AddressMessage } from "../../ffi/netlink/address.ts";
import type { CarriedAttribute } from "../../ffi/netlink/attribute.ts";
import * as c from "../../ffi/netlink/constants.ts";
import { createEncap, type Encap } from "../../ffi/netlink/encap.ts";
import type { LinkMessage } from "../../ffi/netlink/link.ts";
import { createNexthopMessage, type NexthopMessage } from "../../ffi/netlink/nexthop.ts";
import type { RouteCacheInfo, RouteMessage, RouteNexthop } from "../../ffi/netlink/route.ts";

/** Without this option, some of the objects have no prototype, which deepEqual minds. */
function record<T>(fields: { [K in keyof T]: fc.Arbitrary<T[K]> }): fc.Arbitrary<T> {
  return fc.record(fields, { noNullPrototype: true }) as fc.Arbitrary<T>;
}

const u8 = fc.integer({ min: 0, max: 0xff });
const u16 = fc.integer({ min: 0, max: 0xffff });
const u32 = fc.integer({ min: 0, max: 0xffffffff });
const i32 = fc.integer({ min: -0x8000_0000, max: 0x7fff_ffff });
/** Numbers of which 0 stands for "absent". */
const nonzero = fc.oneof(fc.constant(0), u32);

function optional<T>(arbitrary: fc.Arbitrary<T>): fc.Arbitrary<T | undefined> {
  return fc.option(arbitrary, { nil: undefined });
}

function bytes(length: number): fc.Arbitrary<Uint8Array> {
  return fc.uint8Array({ minLength: length, maxLength: length });
}

/** An address of the first `length` of 16 bytes. */
function address(length: number): fc.Arbitrary<Uint8Array> {
  return bytes(length).map((some) => {
    const all = new Uint8Array(16);
    all.set(some);
    return all;
  });
}

function header(types: readonly number[]) {
  return { type: fc.constantFrom(...types), flags: u16, sequence: u32, portId: u32 };
}

/** Attributes of types from `min` on, above all that codecs of this kind interpret. */
function carried(min: number): fc.Arbitrary<CarriedAttribute[]> {
  const attribute = record({
    type: fc
      .tuple(fc.integer({ min, max: 0x3fff }), fc.constantFrom(0, c.NLA_F_NESTED, c.NLA_F_NET_BYTEORDER))
      .map(([type, flags]) => type | flags),
    bytes: fc.uint8Array({ maxLength: 40 }),
  });
  return fc.array(attribute, { maxLength: 3 });
}

const label = fc.integer({ min: 0, max: 0xfffff });
const text = fc.string({ unit: "grapheme", minLength: 1, maxLength: 15 }).filter((name) => !name.includes("\0"));
const optionalText = fc.oneof(fc.constant(""), text);

/** Every field of an object at a fixed value, to be overridden by arbitraries. */
function constants<T extends object>(value: T): { [K in keyof T]: fc.Arbitrary<T[K]> } {
  const entries = Object.entries(value).map(([key, field]) => [key, fc.constant(field)]);
  return Object.fromEntries(entries);
}

export const encap: fc.Arbitrary<Encap> = fc.oneof(
  record({
    ...constants(createEncap()),
    type: fc.constant(c.LWTUNNEL_ENCAP_MPLS),
    labels: fc.array(label, { minLength: 1, maxLength: 30 }),
    ttl: optional(u8),
  }),
  record({
    ...constants(createEncap()),
    type: fc.constant(c.LWTUNNEL_ENCAP_SEG6),
    seg6Mode: fc.integer({ min: 0, max: 4 }),
    segments: fc.array(bytes(16), { minLength: 1, maxLength: 16 }),
  }),
  record({
    ...constants(createEncap()),
    type: fc.constantFrom(c.LWTUNNEL_ENCAP_IP, c.LWTUNNEL_ENCAP_BPF, c.LWTUNNEL_ENCAP_SEG6_LOCAL, 99),
    raw: fc.integer({ min: 0, max: 10 }).chain((words) => bytes(4 * words)),
  }),
);

/** Family and address of a gateway; AF_UNSPEC and zeros for none. */
const via = fc.oneof(
  record({ viaFamily: fc.constant(c.AF_UNSPEC), via: fc.constant(new Uint8Array(16)) }),
  record({ viaFamily: fc.constant(c.AF_INET), via: address(4) }),
  record({ viaFamily: fc.constant(c.AF_INET6), via: address(16) }),
  record({ viaFamily: fc.constant(c.AF_PACKET), via: address(6) }),
);

function routeNexthop(fields: Partial<{ [K in keyof RouteNexthop]: fc.Arbitrary<RouteNexthop[K]> }>) {
  const rest = record({
    ifindex: i32,
    weight: fc.integer({ min: 1, max: 256 }),
    flags: u8,
    realm: nonzero,
    newLabels: fc.array(label, { maxLength: 3 }),
    encap: optional(encap),
    carried: carried(64),
    ...fields,
  });
  return fc.tuple(via, rest).map(([gateway, others]): RouteNexthop => ({ ...gateway, ...others }));
}

/** What only RTA_MULTIPATH can say is at its default; something must show that there is a nexthop at all. */
const inlineNexthop = routeNexthop({
  ifindex: i32.filter((ifindex) => ifindex !== 0),
  weight: fc.constant(1),
  realm: fc.constant(0),
  carried: fc.constant([]),
}).map((nexthop) => [nexthop]);

const cacheInfo: fc.Arbitrary<RouteCacheInfo> = record({
  references: u32,
  lastUse: u32,
  expires: i32,
  error: i32,
  used: u32,
  id: u32,
  timestamp: u32,
  timestampAge: u32,
});

const prefsrc = fc.oneof(
  record({ prefsrcFamily: fc.constant(c.AF_UNSPEC), prefsrc: fc.constant(new Uint8Array(16)) }),
  record({ prefsrcFamily: fc.constant(c.AF_INET), prefsrc: address(4) }),
  record({ prefsrcFamily: fc.constant(c.AF_INET6), prefsrc: address(16) }),
);

/** Destination and source of a family; a source of length 0 is not written, and so is zeros. */
function prefixes(family: number, length: number, prefixLengthMax: number) {
  const source = fc.oneof(
    record({ source: fc.constant(new Uint8Array(16)), sourceLength: fc.constant(0) }),
    record({ source: address(length), sourceLength: fc.integer({ min: 1, max: prefixLengthMax }) }),
  );
  const destination = record({
    family: fc.constant(family),
    destination: address(length),
    prefixLength: fc.integer({ min: 0, max: prefixLengthMax }),
  });
  return fc.tuple(source, destination).map(([from, to]) => ({ ...from, ...to }));
}

const routeFields = record({
  ...header([c.RTM_NEWROUTE, c.RTM_DELROUTE]),
  tos: u8,
  table: u32,
  protocol: u8,
  scope: u8,
  routeType: u8,
  routeFlags: u32,
  metric: optional(u32),
  mtu: nonzero,
  metricsLock: nonzero,
  metrics: carried(3),
  nexthopId: nonzero,
  nexthops: fc.oneof(
    fc.constant<RouteNexthop[]>([]),
    inlineNexthop,
    fc.array(routeNexthop({}), { minLength: 2, maxLength: 12 }),
  ),
  inInterface: nonzero,
  realm: nonzero,
  preference: optional(u8),
  expires: optional(u32),
  cacheInfo: optional(cacheInfo),
  ttlPropagate: optional(u8),
  carried: carried(64),
});

export const routeMessage: fc.Arbitrary<RouteMessage> = fc
  .tuple(
    fc.oneof(prefixes(c.AF_INET, 4, 32), prefixes(c.AF_INET6, 16, 128), prefixes(c.AF_MPLS, 4, 20)),
    prefsrc,
    routeFields,
  )
  .map(([prefix, source, fields]) => {
    const message: RouteMessage = { ...prefix, ...source, ...fields };
    // The header's low flags are those of the one inline nexthop, where there is one.
    if (message.nexthops.length === 1) message.routeFlags = (message.routeFlags & ~c.RTNH_F_MASK) >>> 0;
    return message;
  });

const nexthopHeader = {
  ...constants(createNexthopMessage()),
  ...header([c.RTM_NEWNEXTHOP]),
  family: fc.constantFrom(c.AF_INET, c.AF_INET6),
  protocol: u8,
  scope: u8,
  nexthopFlags: u32,
  id: nonzero,
  carried: carried(64),
};

export const nexthopMessage: fc.Arbitrary<NexthopMessage> = fc.oneof(
  record({
    ...nexthopHeader,
    oif: nonzero,
    blackhole: fc.boolean(),
    fdb: fc.boolean(),
    encap: optional(encap),
    opFlags: nonzero,
  }),
  record({
    ...nexthopHeader,
    family: fc.constant(c.AF_INET),
    hasGateway: fc.constant(true),
    gateway: address(4),
    oif: nonzero,
  }),
  record({
    ...nexthopHeader,
    family: fc.constant(c.AF_INET6),
    hasGateway: fc.constant(true),
    gateway: address(16),
    encap: optional(encap),
  }),
  record({
    ...nexthopHeader,
    group: fc.array(record({ id: u32, weight: fc.integer({ min: 1, max: 65_536 }) }), {
      minLength: 1,
      maxLength: 64,
    }),
    groupType: fc.constantFrom(c.NEXTHOP_GRP_TYPE_MPATH, c.NEXTHOP_GRP_TYPE_RES),
    resilient: optional(
      record({
        buckets: optional(u16),
        idleTimer: optional(u32),
        unbalancedTimer: optional(u32),
        unbalancedTime: optional(fc.maxSafeNat()),
      }),
    ),
  }),
);

export const linkMessage: fc.Arbitrary<LinkMessage> = record({
  ...header([c.RTM_NEWLINK, c.RTM_DELLINK, c.RTM_GETLINK, c.RTM_SETLINK, c.RTM_NEWLINKPROP]),
  family: u8,
  deviceType: u16,
  ifindex: i32,
  linkFlags: u32,
  changeMask: u32,
  name: optionalText,
  altNames: fc.array(text, { maxLength: 3 }),
  mtu: nonzero,
  operstate: optional(u8),
  carrier: optional(fc.boolean()),
  master: nonzero,
  link: nonzero,
  linkNetnsId: optional(i32),
  newNetnsId: optional(i32),
  newIfindex: optional(u32),
  kind: fc.oneof(fc.constant("vrf"), optionalText),
  slaveKind: fc.oneof(fc.constant("vrf"), optionalText),
  vrfTable: nonzero,
  slaveVrfTable: nonzero,
  address: fc.uint8Array({ maxLength: 32 }),
  carried: carried(100),
}).map((message) => ({
  ...message,
  vrfTable: message.kind === "vrf" ? message.vrfTable : 0,
  slaveVrfTable: message.slaveKind === "vrf" ? message.slaveVrfTable : 0,
}));

function addressFields(family: number, length: number): fc.Arbitrary<AddressMessage> {
  return record({
    ...header([c.RTM_NEWADDR, c.RTM_DELADDR, c.RTM_GETADDR]),
    family: fc.constant(family),
    prefixLength: u8,
    scope: u8,
    addressFlags: fc.oneof(u8, u32),
    ifindex: u32,
    local: address(length),
    hasLocal: fc.boolean(),
    address: address(length),
    hasAddress: fc.boolean(),
    label: optionalText,
    carried: carried(64),
  }).map((message) => ({
    ...message,
    local: message.hasLocal ? message.local : new Uint8Array(16),
    address: message.hasAddress ? message.address : new Uint8Array(16),
  }));
}

export const addressMessage = fc.oneof(addressFields(c.AF_INET, 4), addressFields(c.AF_INET6, 16));

const extendedAck = {
  text: optional(text),
  offset: optional(u32),
  missingType: optional(u32),
  missingNest: optional(u32),
  cookie: optional(fc.uint8Array({ maxLength: 20 })),
  policy: optional(carried(1)),
};

/** A request that an uncapped answer repeats: a header that gives its true length, and anything behind. */
const request = fc.uint8Array({ minLength: 16, maxLength: 200 }).map((all) => {
  new DataView(all.buffer).setUint32(0, all.length, true);
  return all;
});

export const ackMessage: fc.Arbitrary<AckMessage> = fc.oneof(
  record({
    ...constants(createAckMessage()),
    ...header([c.NLMSG_DONE]),
    ...extendedAck,
    errno: fc.integer({ min: 0, max: 4095 }),
    flags: fc.constant(c.NLM_F_ACK_TLVS | c.NLM_F_MULTI),
  }),
  record({
    ...constants(createAckMessage()),
    ...header([c.NLMSG_ERROR]),
    ...extendedAck,
    errno: fc.integer({ min: 0, max: 4095 }),
    flags: fc.constant(c.NLM_F_ACK_TLVS | c.NLM_F_CAPPED),
    requestType: u16,
    requestFlags: u16,
    requestLength: u32,
  }),
  record({
    ...constants(createAckMessage()),
    ...header([c.NLMSG_ERROR]),
    ...extendedAck,
    errno: fc.integer({ min: 0, max: 4095 }),
    flags: fc.constant(c.NLM_F_ACK_TLVS),
    request,
  }).map((message) => {
    const view = new DataView(message.request.buffer);
    return {
      ...message,
      requestLength: message.request.length,
      requestType: view.getUint16(4, true),
      requestFlags: view.getUint16(6, true),
    };
  }),
);
