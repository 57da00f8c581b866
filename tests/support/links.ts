/** Interfaces for tests. */
import type { Link } from "../../core/model/link_table.ts";

/** An interface that is up, with the given fields. */
export function createLink(fields: Partial<Link>): Link {
  const defaults = { ifindex: 1, name: "lo", altNames: [], up: true, carrier: true, kind: "", mtu: 1500 };
  return { ...defaults, master: 0, vrfTable: 0, ...fields };
}
