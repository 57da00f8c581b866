/** A nexthop group together with what keeping it in the kernel needs. Main thread only. */
import type { AttrsStore } from "../context/attrs_store.ts";
import type { Nexthop } from "../model/route.ts";
import type { Failure } from "./failures.ts";
import { GroupTargets } from "./group_targets.ts";
import { type GroupDefinition, memberKey, type NexthopGroup } from "./nexthop_group.ts";
import type { GroupObject } from "./nexthop_objects.ts";
import type { SharedSet } from "./shared_nexthops.ts";

export interface KeptGroup extends NexthopGroup {
  wanted: GroupDefinition;
  accepted: GroupDefinition | null;
  object: GroupObject | null;
  failure: Failure | null;
  refused: Nexthop | null;
  readonly targets: GroupTargets;
  /** The nexthops of routes that cannot go by the object, as text; by it a change is noticed. */
  inlineKey: string;
  /** Attempts to bring it since it was last fine. */
  attempts: number;
  /** It is as the daemon has brought it, as far as is known. */
  isWhole: boolean;
  restUntil: number;
  waiters: (() => void)[];
  /** The nexthops that it is kept for, where no client has defined it. */
  readonly set: SharedSet | null;
}

/** A group that is wanted and not in the kernel yet. */
export function createKeptGroup(
  number: number,
  wanted: GroupDefinition,
  set: SharedSet | null,
  attrs: AttrsStore,
): KeptGroup {
  return {
    number,
    wanted,
    accepted: null,
    object: null,
    failure: null,
    refused: null,
    targets: new GroupTargets(attrs),
    inlineKey: "",
    attempts: 0,
    isWhole: false,
    restUntil: 0,
    waiters: [],
    set,
  };
}

/** Notes the nexthops of routes that cannot go by the object. True if there may be such routes, and they are others. */
export function noteInline(group: KeptGroup, nexthops: readonly Nexthop[]): boolean {
  const key = nexthops.map(memberKey).join(" ");
  if (key === group.inlineKey || group.set !== null) return false;
  const isNew = group.inlineKey === "";
  group.inlineKey = key;
  group.targets.changeNexthops();
  return isNew || group.targets.hasInline;
}
