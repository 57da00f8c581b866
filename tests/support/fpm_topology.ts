/**
 * Two namespaces as two routers that stand for one: A, where FRR is, and B, where its routes shall be programmed over FPM.
 * Both have the same customer links, with the same names, ifindexes and addresses, so that a route of A is valid in B.
 *
 *     A fpm0 10.9.0.1 ── 10.9.0.2 fpm0 B         and in each: v0 10.0.0.1/24 2001:db8::1/64, v2 10.0.1.1/24 2001:db8:1::1/64
 */
import { createNetns, type Netns } from "./netns.ts";

/** Addresses of the link over which FPM goes. */
export const FRR_ADDRESS = "10.9.0.1";
export const SERVER_ADDRESS = "10.9.0.2";

/** The links that routes lead over; their other ends, in the same namespace, answer nothing. */
const CUSTOMER_LINKS = [
  { name: "v0", index: 10, peer: "v1", ipv4: "10.0.0.1/24", ipv6: "2001:db8::1/64" },
  { name: "v2", index: 12, peer: "v3", ipv4: "10.0.1.1/24", ipv6: "2001:db8:1::1/64" },
] as const;

export interface FpmTopology {
  /** FRR's. */
  a: Netns;
  /** dplaned's. */
  b: Netns;
  delete(): void;
}

/** Lines for `ip -batch` that make the links with the same numbers wherever they are run. */
export function customerLinks(): string[] {
  return CUSTOMER_LINKS.flatMap(({ name, index, peer, ipv4, ipv6 }) => [
    `link add ${name} index ${index} type veth peer name ${peer} index ${index + 1}`,
    `link set ${name} up`,
    `link set ${peer} up`,
    `address add ${ipv4} dev ${name}`,
    `address add ${ipv6} dev ${name} nodad`,
  ]);
}

export function createFpmTopology(): FpmTopology {
  const a = createNetns();
  const b = createNetns();
  a.ip("link", "add", "fpm0", "index", "2", "type", "veth", "peer", "name", "fpm0", "index", "2", "netns", b.name);
  for (const [ns, own] of [
    [a, FRR_ADDRESS],
    [b, SERVER_ADDRESS],
  ] as const) {
    ns.ipBatch([`address add ${own}/30 dev fpm0`, "link set fpm0 up", ...customerLinks()]);
  }
  return {
    a,
    b,
    delete: () => {
      a.delete();
      b.delete();
    },
  };
}
