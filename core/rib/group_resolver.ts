/** What the RIB asks of whoever keeps nexthops in the kernel (core/rib/nexthop_groups.ts). Main thread only. */
import type { KeyClass } from "./key_classes.ts";

/** Makes of a route by a shared nexthop group what the kernel is to get (core/rib/nexthop_groups.ts). */
export interface GroupResolver {
  /** The attributes to write, which the resolver keeps; NO_ATTRS while the group is not there. */
  resolve(attrs: number, keyClass: KeyClass): number;
  /** Takes a context with a nexthop object that has come back. */
  settle(slot: number): void;
  /** Many routes have the nexthops of these attributes, which no object stands for yet. */
  share(attrs: number): void;
  /**
   * A route that is on the object `id` from an earlier life is wanted with `attrs`, which come to the same. False if it
   * cannot be taken for a route with these.
   */
  adopt(attrs: number, id: number): boolean;
}
