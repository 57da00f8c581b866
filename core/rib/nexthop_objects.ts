/**
 * The nexthop objects of ours that the kernel is believed to hold: which there are, who uses them, and what goes along
 * when one goes. It follows what the kernel does by itself, mostly without a word (Linux 6.18): an object goes with its
 * link or the link's carrier, groups shrink, and a group with its last member, and all routes on it. Writes nothing.
 * Main thread only.
 *
 * A single object keeps its number for as long as anybody uses it. The number of a group is good for one life in the
 * kernel: one that has vanished comes back under another, so that no route that was written to the old one can be taken
 * for one on the new.
 */
import { assert } from "../assert.ts";
import { NEXTHOP_ID_MAX, NEXTHOP_ID_MIN } from "../constants.ts";
import { type NexthopObject, NexthopObjectKind } from "../context/nexthop_object.ts";
import { formatAddress } from "../model/prefix.ts";
import { EncapType, Family, type Nexthop } from "../model/route.ts";
import type { Failure } from "./failures.ts";

/** What makes a group resilient: flows keep their nexthop while it lives. Timers are in seconds. */
export interface Resilient {
  buckets: number;
  idleTimer: number;
  unbalancedTimer: number;
}

/** A single nexthop. */
export interface SingleObject {
  id: number;
  /** What it is, as text: equal nexthops have one object. */
  key: string;
  nexthop: Nexthop;
  /** The kernel has confirmed it, and nothing is known that would have taken it away since. */
  isHeld: boolean;
  /** The kernel may have it although nothing has confirmed that. */
  mayBeThere: boolean;
  /** Groups that have it in the kernel, or are just being written with it. */
  groups: Set<GroupObject>;
  /** How often it was written, or found in the kernel. */
  lives: number;
  /** How often it was lost; an answer to a write from before the last time says nothing. */
  losses: number;
  /** Why the kernel refused it the last time. */
  failure: Failure | null;
  /** Found in the kernel at the start or by a reading, and nobody's yet. */
  isUnclaimed: boolean;
}

export interface GroupObjectMember {
  single: SingleObject;
  weight: number;
}

/** A group in the kernel. */
export interface GroupObject {
  id: number;
  resilient: Resilient | null;
  /** What the kernel holds. */
  members: GroupObjectMember[];
  /** What it is being changed to. */
  pending: GroupObjectMember[] | null;
  /** Somebody has changed it: what it holds is not known for certain. */
  isInDoubt: boolean;
  isUnclaimed: boolean;
}

export class NexthopObjects {
  readonly #singles = new Map<number, SingleObject>();
  readonly #byKey = new Map<string, SingleObject>();
  readonly #groups = new Map<number, GroupObject>();
  /** Numbers in our range that somebody else has. */
  readonly #foreign = new Set<number>();
  readonly #onVanish: (group: GroupObject, by: string) => void;
  /** Numbers of objects that were written to, or lost, while a reading of the kernel is under way. */
  touched: Set<number> | null = null;
  /** What the kernel holds is known to be something else now, and no context has told the providers. */
  onFound: () => void = () => {};
  /** The number given last, or found in the kernel if that is higher: one that vanishes is not given soon again. */
  #last = NEXTHOP_ID_MIN - 1;

  /** `onVanish`: the kernel has dropped a group, and all routes on it; `by` whom, as far as it is known. */
  constructor(onVanish: (group: GroupObject, by: string) => void) {
    this.#onVanish = onVanish;
  }

  singles(): Iterable<SingleObject> {
    return this.#singles.values();
  }

  groups(): Iterable<GroupObject> {
    return this.#groups.values();
  }

  get count(): number {
    return this.#singles.size + this.#groups.size;
  }

  single(id: number): SingleObject | undefined {
    return this.#singles.get(id);
  }

  group(id: number): GroupObject | undefined {
    return this.#groups.get(id);
  }

  /** A number that neither we nor, as far as is known, anybody else has. */
  allocate(): number {
    do this.#last = this.#last >= NEXTHOP_ID_MAX ? NEXTHOP_ID_MIN : this.#last + 1;
    while (this.#singles.has(this.#last) || this.#groups.has(this.#last) || this.#foreign.has(this.#last));
    return this.#last;
  }

  /** Somebody else has this number. */
  avoid(id: number): void {
    this.#foreign.add(id);
  }

  /** The object of this nexthop, with a number, though perhaps not in the kernel yet. */
  internSingle(nexthop: Nexthop): SingleObject {
    const key = nexthopKey(nexthop);
    const known = this.#byKey.get(key);
    if (known !== undefined) {
      known.isUnclaimed = false;
      return known;
    }
    return this.addSingle(this.allocate(), nexthop, key);
  }

  addSingle(id: number, nexthop: Nexthop, key = nexthopKey(nexthop)): SingleObject {
    const single: SingleObject = {
      id,
      key,
      nexthop: { ...nexthop, weight: 1 },
      isHeld: false,
      mayBeThere: false,
      groups: new Set(),
      lives: 0,
      losses: 0,
      failure: null,
      isUnclaimed: false,
    };
    this.#singles.set(id, single);
    this.#last = Math.max(this.#last, id);
    // An equal one from an earlier life keeps its own users.
    if (!this.#byKey.has(key)) this.#byKey.set(key, single);
    return single;
  }

  /** Gives a single another number: somebody else turned out to have its own. */
  renumber(single: SingleObject): void {
    this.#singles.delete(single.id);
    this.#foreign.add(single.id);
    single.id = this.allocate();
    this.#singles.set(single.id, single);
  }

  forgetSingle(single: SingleObject): void {
    assert(single.groups.size === 0, "a nexthop object in use is kept");
    this.#singles.delete(single.id);
    if (this.#byKey.get(single.key) === single) this.#byKey.delete(single.key);
  }

  addGroup(id: number, resilient: Resilient | null): GroupObject {
    const group: GroupObject = {
      id,
      resilient,
      members: [],
      pending: null,
      isInDoubt: false,
      isUnclaimed: false,
    };
    this.#groups.set(id, group);
    this.#last = Math.max(this.#last, id);
    return group;
  }

  /** Notes that the group is about to be written with these members. */
  beginWrite(group: GroupObject, members: GroupObjectMember[]): void {
    this.touched?.add(group.id);
    group.pending = members;
    for (const { single } of members) single.groups.add(group);
  }

  /** The write is done. Members that were lost in the meantime are not in it, whatever the kernel has answered. */
  endWrite(group: GroupObject, succeeded: boolean): void {
    this.touched?.add(group.id);
    const before = group.members;
    const pending = group.pending ?? [];
    group.pending = null;
    if (succeeded) group.members = pending;
    this.#unlink(group, [...before, ...pending]);
  }

  /** A group is no more: deleted, vanished, or never made. */
  forgetGroup(group: GroupObject): void {
    this.touched?.add(group.id);
    const members = [...group.members, ...(group.pending ?? [])];
    group.members = [];
    group.pending = null;
    this.#unlink(group, members);
    this.#groups.delete(group.id);
  }

  #unlink(group: GroupObject, members: readonly GroupObjectMember[]): void {
    for (const { single } of members) {
      const isUsed = [...group.members, ...(group.pending ?? [])].some((member) => member.single === single);
      if (!isUsed) single.groups.delete(group);
    }
  }

  /** The kernel no longer has this single: groups are without it, and those with nothing else are gone. */
  loseSingle(single: SingleObject, by: string): void {
    single.isHeld = false;
    single.mayBeThere = false;
    single.losses += 1;
    this.touched?.add(single.id);
    this.onFound();
    for (const group of [...single.groups]) {
      this.touched?.add(group.id);
      const isOther = (member: GroupObjectMember): boolean => member.single !== single;
      const wasHeld = group.members.length > 0;
      group.members = group.members.filter(isOther);
      if (group.pending !== null) group.pending = group.pending.filter(isOther);
      single.groups.delete(group);
      if (wasHeld && group.members.length === 0) this.loseGroup(group, by);
    }
  }

  /** The kernel no longer has this group, nor any route on it. */
  loseGroup(group: GroupObject, by: string): void {
    if (!this.#groups.has(group.id)) return;
    this.onFound();
    this.forgetGroup(group);
    this.#onVanish(group, by);
  }

  /** An unclaimed group of this shape with just these nexthops, to be taken over without a write. */
  findUnclaimed(resilient: Resilient | null, members: readonly GroupObjectMember[]): GroupObject | undefined {
    const wanted = contentKey(members);
    for (const group of this.#groups.values()) {
      if (group.isUnclaimed && isSameShape(group.resilient, resilient) && contentKey(group.members) === wanted)
        return group;
    }
    return undefined;
  }
}

/** Whether one can be changed into the other in place; the kernel refuses any other change (EINVAL). */
export function isSameShape(a: Resilient | null, b: Resilient | null): boolean {
  return a === null || b === null ? a === b : a.buckets === b.buckets;
}

/** Whether the group is just this, in any order. */
export function isSameContent(
  group: GroupObject,
  members: readonly GroupObjectMember[],
  resilient: Resilient | null,
): boolean {
  if (!isSameShape(group.resilient, resilient) || group.members.length !== members.length) return false;
  if (group.resilient?.idleTimer !== resilient?.idleTimer) return false;
  if (group.resilient?.unbalancedTimer !== resilient?.unbalancedTimer) return false;
  const weights = new Map(group.members.map(({ single, weight }) => [single, weight]));
  return members.every(({ single, weight }) => weights.get(single) === weight);
}

function contentKey(members: readonly GroupObjectMember[]): string {
  return members
    .map(({ single, weight }) => `${single.key}*${weight}`)
    .sort()
    .join(" ");
}

export function singleObject(single: SingleObject): NexthopObject {
  return { kind: NexthopObjectKind.SINGLE, nexthop: single.nexthop };
}

export function groupObject(resilient: Resilient | null, members: readonly GroupObjectMember[]): NexthopObject {
  const ids = members.map(({ single, weight }) => ({ id: single.id, weight }));
  if (resilient === null) return { kind: NexthopObjectKind.GROUP, members: ids };
  return { kind: NexthopObjectKind.RESILIENT, members: ids, ...resilient };
}

/** A nexthop without its weight, as text. */
export function nexthopKey(nexthop: Nexthop): string {
  const { viaFamily, via, ifindex, onlink, encap, labels, seg6Mode, segments } = nexthop;
  let key = `${ifindex} ${viaFamily === Family.NONE ? "-" : formatAddress(viaFamily, via, 0)}`;
  if (onlink) key += " onlink";
  if (encap === EncapType.MPLS) key += ` mpls ${labels.join("/")}`;
  if (encap === EncapType.SEG6) {
    key += ` seg6 ${seg6Mode} ${segments.map((segment) => formatAddress(Family.IPV6, segment, 0)).join(",")}`;
  }
  return key;
}
