/**
 * Names of routing protocols by their RTPROT_* number: iproute2's words (`/etc/iproute2/rt_protos`) and, for the numbers
 * that those leave free, FRR's. Pure; any thread.
 */

/** `include/uapi/linux/rtnetlink.h`: RTPROT_*; from nhrp on FRR's own (`zebra/rt_netlink.h`). */
export const PROTOCOL_NUMBERS: ReadonlyMap<string, number> = new Map([
  ["unspec", 0],
  ["redirect", 1],
  ["kernel", 2],
  ["boot", 3],
  ["static", 4],
  ["gated", 8],
  ["ra", 9],
  ["mrt", 10],
  ["zebra", 11],
  ["bird", 12],
  ["dnrouted", 13],
  ["xorp", 14],
  ["ntk", 15],
  ["dhcp", 16],
  ["mrouted", 17],
  ["keepalived", 18],
  ["babel", 42],
  ["ovn", 84],
  ["openr", 99],
  ["bgp", 186],
  ["isis", 187],
  ["ospf", 188],
  ["rip", 189],
  ["ripng", 190],
  ["nhrp", 191],
  ["eigrp", 192],
  ["ldp", 193],
  ["sharp", 194],
  ["pbr", 195],
  ["zstatic", 196],
  ["openfabric", 197],
  ["srte", 198],
]);

const names: ReadonlyMap<number, string> = new Map(Array.from(PROTOCOL_NUMBERS, ([name, number]) => [number, name]));

/** The number of a protocol's name, or -1. */
export function protocolNumber(name: string): number {
  return PROTOCOL_NUMBERS.get(name) ?? -1;
}

/** The protocol's name, or its number as text where it has none. */
export function formatProtocol(number: number): string {
  return names.get(number) ?? String(number);
}
