/** A shared nexthop group as a client defines it and as it stands. Main thread only. */
import type { Nexthop } from "../model/route.ts";
import type { Failure } from "./failures.ts";
import { type GroupObject, nexthopKey, type Resilient } from "./nexthop_objects.ts";

/** What a client wants a group to be. */
export interface GroupDefinition {
  members: readonly Nexthop[];
  /** Take the members' place while none of them can be used. */
  backup: readonly Nexthop[];
  resilient: Resilient | null;
}

/** When routes go by objects; `auto`: where the kernel has them. */
export type NexthopObjectsMode = "auto" | "on" | "off";

/** A group as it stands. */
export interface NexthopGroup {
  readonly number: number;
  readonly wanted: GroupDefinition;
  /** The last definition that the kernel has taken as a whole. */
  readonly accepted: GroupDefinition | null;
  readonly object: GroupObject | null;
  /** Why the kernel does not have what is wanted, or not all of it. */
  readonly failure: Failure | null;
  /** Somebody fights for it: it is left alone until then, on the clock of core/clock.ts. */
  readonly restUntil: number;
  /** The member that the kernel does not take; null where the group as a whole is meant. */
  readonly refused: Nexthop | null;
}

/** A nexthop with its weight, as text. */
export function memberKey(nexthop: Nexthop): string {
  return `${nexthopKey(nexthop)}*${nexthop.weight}`;
}

/** A definition as text; definitions with the same text are the same. */
export function definitionKey({ members, backup, resilient }: GroupDefinition): string {
  const nexthops = [members, backup].map((list) => list.map(memberKey).join(", ")).join("; ");
  return `${nexthops} ${JSON.stringify(resilient)}`;
}

/** Whether the kernel uses this nexthop for the group at this moment. */
export function isActive({ object }: NexthopGroup, nexthop: Nexthop): boolean {
  const key = nexthopKey(nexthop);
  return object?.members.some(({ single }) => single.key === key) ?? false;
}
