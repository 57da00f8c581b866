/**
 * What the kernel shows of our nexthop objects against what it is believed to hold: taken over at the start, compared
 * with each reading, and followed from notifications. Main thread only.
 */
import { NEXTHOP_ID_MAX, NEXTHOP_ID_MIN } from "../constants.ts";
import { type NexthopObject, NexthopObjectKind } from "../context/nexthop_object.ts";
import type { HeldNexthopObject, NexthopChange } from "../model/kernel_event.ts";
import { DriftKind, NOBODY_HEARD } from "./drift.ts";
import type { NexthopGroups } from "./nexthop_groups.ts";
import {
  type GroupObject,
  type GroupObjectMember,
  isSameContent,
  isSameShape,
  type NexthopObjects,
  nexthopKey,
  type Resilient,
  type SingleObject,
} from "./nexthop_objects.ts";

export class NexthopReadings {
  readonly #groups: NexthopGroups;
  readonly #objects: NexthopObjects;

  constructor(groups: NexthopGroups) {
    this.#groups = groups;
    this.#objects = groups.objects;
  }

  /**
   * Takes over what the kernel holds from an earlier life of the daemon, before anything is written. A client's group
   * that comes to the same as one of these groups has it from then on, as it is.
   */
  adopt(held: readonly HeldNexthopObject[]): void {
    const ours = held.filter(isOfUs);
    for (const { id, object } of ours) this.#addSingle(id, object);
    for (const { id, object } of ours) if (this.#objects.single(id) === undefined) this.#addGroup(id, object);
  }

  /** Lets everything go that was found and that nobody has claimed; a group that routes are on stays until they left. */
  sweep(): void {
    for (const group of this.#objects.groups()) if (group.isUnclaimed) this.#groups.discard(group);
    for (const single of this.#objects.singles()) single.isUnclaimed = false;
    this.#groups.collect();
  }

  /** A reading of the kernel begins: what is written from now on cannot be judged by it. */
  begin(): void {
    this.#objects.touched = new Set();
  }

  /** All objects that the reading has found. What differs is told and repaired; returns how many do. */
  end(held: readonly HeldNexthopObject[]): number {
    const touched = this.#objects.touched ?? new Set<number>();
    this.#objects.touched = null;
    const found = new Map(held.map((one) => [one.id, one]));
    let differing = 0;
    // Singles first: groups go along with them.
    for (const single of [...this.#objects.singles()]) {
      if (!single.isHeld || touched.has(single.id)) continue;
      if (!this.#compareSingle(single, found.get(single.id))) differing += 1;
    }
    for (const group of [...this.#objects.groups()]) {
      if (group.pending !== null || touched.has(group.id)) continue;
      if (!this.#compareGroup(group, found.get(group.id))) differing += 1;
    }
    for (const { id, object } of held.filter(isOfUs)) {
      const isKnown = this.#objects.single(id) !== undefined || this.#objects.group(id) !== undefined;
      if (isKnown || touched.has(id)) continue;
      this.#discard(id, object);
      this.#groups.note(DriftKind.UNEXPECTED, id, NOBODY_HEARD);
      differing += 1;
    }
    if (differing > 0) this.#groups.markAll();
    return differing;
  }

  /** Somebody else has changed or deleted an object. True if it is one of ours. */
  onChange(change: NexthopChange): boolean {
    const { action, id, by } = change;
    const single = this.#objects.single(id);
    const group = this.#objects.group(id);
    if (single === undefined && group === undefined) return false;
    this.#groups.note(action === "delete" ? DriftKind.MISSING : DriftKind.CHANGED, id, change);
    if (action === "delete") {
      // The one that is there now may have been written after that, and before it was heard.
      if (single !== undefined && single.lives > 1) this.#doubtSingle(single);
      else if (single !== undefined) this.#objects.loseSingle(single, by);
      if (group !== undefined) this.#objects.loseGroup(group, by);
    } else {
      if (single !== undefined) this.#doubtSingle(single);
      if (group !== undefined) this.#groups.doubt(group);
    }
    this.#groups.markAll();
    return true;
  }

  /** This link was down for a moment: the kernel may have dropped what is on it, and what is there is written again. */
  doubtOn(ifindex: number): void {
    for (const single of this.#objects.singles()) {
      if (single.isHeld && single.nexthop.ifindex === ifindex) this.#doubtSingle(single);
    }
  }

  #addSingle(id: number, object: NexthopObject | null): void {
    if (object?.kind !== NexthopObjectKind.SINGLE) return;
    const single = this.#objects.addSingle(id, object.nexthop);
    single.isHeld = true;
    single.lives = 1;
    single.isUnclaimed = true;
  }

  /** Also one that dplaned cannot have written: under our protocol and in our range it is nobody else's. */
  #addGroup(id: number, object: NexthopObject | null): GroupObject {
    const group = this.#objects.addGroup(id, resilientOf(object));
    this.#objects.beginWrite(group, this.#membersOf(object));
    this.#objects.endWrite(group, true);
    group.isUnclaimed = true;
    return group;
  }

  #discard(id: number, object: NexthopObject | null): void {
    this.#addSingle(id, object);
    const single = this.#objects.single(id);
    if (single === undefined) this.#groups.discard(this.#addGroup(id, object));
    else single.isUnclaimed = false;
  }

  /** True if the kernel holds it as it should. */
  #compareSingle(single: SingleObject, found: HeldNexthopObject | undefined): boolean {
    if (found === undefined) {
      this.#groups.note(DriftKind.MISSING, single.id, NOBODY_HEARD);
      this.#objects.loseSingle(single, "");
      return false;
    }
    const { isOurs, object } = found;
    if (isOurs && object?.kind === NexthopObjectKind.SINGLE && nexthopKey(object.nexthop) === single.key) return true;
    this.#groups.note(DriftKind.CHANGED, single.id, NOBODY_HEARD);
    this.#doubtSingle(single);
    return false;
  }

  #compareGroup(group: GroupObject, found: HeldNexthopObject | undefined): boolean {
    if (found === undefined) {
      this.#groups.note(DriftKind.MISSING, group.id, NOBODY_HEARD);
      this.#objects.loseGroup(group, "");
      return false;
    }
    if (group.isUnclaimed || group.isInDoubt) return true;
    const { isOurs, object } = found;
    const resilient = resilientOf(object);
    if (!isSameShape(group.resilient, resilient) || object?.kind === NexthopObjectKind.SINGLE) {
      // It was deleted in between, and made anew by somebody else.
      this.#groups.note(DriftKind.CHANGED, group.id, NOBODY_HEARD);
      this.#objects.loseGroup(group, "");
      return false;
    }
    const isSame = isOurs && isSameContent(group, this.#membersOf(object), resilient);
    if (isSame && membersCount(object) === group.members.length) return true;
    this.#groups.note(DriftKind.CHANGED, group.id, NOBODY_HEARD);
    this.#groups.doubt(group);
    return false;
  }

  /** It is written again, and so are the groups that have it. */
  #doubtSingle(single: SingleObject): void {
    single.isHeld = false;
    single.mayBeThere = true;
    for (const group of single.groups) this.#groups.doubt(group);
  }

  /** The members as far as they are known. */
  #membersOf(object: NexthopObject | null): GroupObjectMember[] {
    if (object === null || object.kind === NexthopObjectKind.SINGLE) return [];
    return object.members.flatMap(({ id, weight }) => {
      const single = this.#objects.single(id);
      return single === undefined ? [] : [{ single, weight }];
    });
  }
}

function membersCount(object: NexthopObject | null): number {
  return object === null || object.kind === NexthopObjectKind.SINGLE ? 0 : object.members.length;
}

function resilientOf(object: NexthopObject | null): Resilient | null {
  if (object?.kind !== NexthopObjectKind.RESILIENT) return null;
  const { buckets, idleTimer, unbalancedTimer } = object;
  return { buckets, idleTimer, unbalancedTimer };
}

function isOfUs({ id, isOurs }: HeldNexthopObject): boolean {
  return isOurs && id >= NEXTHOP_ID_MIN && id <= NEXTHOP_ID_MAX;
}
