/**
 * The nexthops of one FPM session: what its numbers stand for, in whatever order it tells. Routes go by a nexthop group of
 * ours for each number that they name; a number that is not known yet, or whose members are not, has a group that is
 * defined later, and its routes wait for that. Main thread.
 */

import { RTNH_F_ONLINK } from "../../../ffi/netlink/constants.ts";
import type { NexthopMessage } from "../../../ffi/netlink/nexthop.ts";
import { NEXTHOPS_MAX } from "../../constants.ts";
import { readTunnel } from "../../context/netlink_route.ts";
import { createNexthop, type Family, type Nexthop } from "../../model/route.ts";
import type { GroupDefinition } from "../../rib/nexthop_group.ts";
import type { Resilient } from "../../rib/nexthop_objects.ts";
import type { FpmGroups } from "./fpm_groups.ts";
import type { IgnoredReason } from "./fpm_route.ts";

/** A nexthop of the peer that drops packets: routes by it do so themselves. */
export const BLACKHOLE = -1;

type NexthopEntry =
  | { kind: "single"; nexthop: Nexthop }
  | { kind: "blackhole" }
  | { kind: "group"; members: readonly { id: number; weight: number }[]; resilient: Resilient | null };

export class FpmNexthops {
  readonly #groups: FpmGroups;
  readonly #mapLink: (nexthop: Nexthop) => boolean;
  readonly #entries = new Map<number, NexthopEntry>();
  /** Numbers of the peer's groups that have a number as a member. */
  readonly #users = new Map<number, Set<number>>();
  /** Our groups by the peer's numbers. */
  readonly #numbers = new Map<number, number>();
  /** The peer's numbers by our groups. */
  readonly #ids = new Map<number, number>();
  /** Numbers that routes or groups name and that nobody has explained yet. */
  readonly #parked = new Set<number>();
  /** A group was defined since somebody last looked: its routes should come when the kernel has it. */
  hasChanged = false;

  /** `mapLink` has a nexthop name our interface; false where there is none. */
  constructor(groups: FpmGroups, mapLink: (nexthop: Nexthop) => boolean) {
    this.#groups = groups;
    this.#mapLink = mapLink;
    groups.freeAll();
  }

  get count(): number {
    return this.#entries.size;
  }

  /** Numbers that routes go by, and whose nexthops are not known (yet). */
  get parked(): number {
    return this.#parked.size;
  }

  /** Takes what the peer says of a nexthop. Returns why it is left alone, or null. */
  set(message: NexthopMessage): IgnoredReason | null {
    const { id } = message;
    if (message.fdb) return "otherKind";
    if (id === 0 || message.group.length > NEXTHOPS_MAX) return "unsupported";
    const entry = toEntry(message);
    if (entry === null) return "unsupported";
    if (entry.kind === "single" && !this.#mapLink(entry.nexthop)) return "unknownLink";
    this.#unlink(id);
    this.#entries.set(id, entry);
    if (entry.kind === "group") {
      for (const member of entry.members) {
        const users = this.#users.get(member.id);
        if (users === undefined) this.#users.set(member.id, new Set([id]));
        else users.add(id);
      }
    }
    this.#refresh(id);
    for (const user of this.#users.get(id) ?? []) this.#refresh(user);
    return null;
  }

  /** The peer has deleted a nexthop. The routes that are still on it stay until it says what becomes of them. */
  delete(id: number): void {
    this.#unlink(id);
    this.#entries.delete(id);
    this.#parked.delete(id);
    const number = this.#numbers.get(id);
    if (number === undefined) return;
    this.#numbers.delete(id);
    this.#ids.delete(number);
    this.#groups.free(number);
  }

  /** Our group for routes by this number of the peer, or {@linkcode BLACKHOLE}. */
  groupOf(id: number): number {
    const known = this.#numbers.get(id);
    if (known !== undefined) return known;
    if (this.#entries.get(id)?.kind === "blackhole") return BLACKHOLE;
    const definition = this.#definition(id);
    const number = this.#groups.take(definition);
    this.#numbers.set(id, number);
    this.#ids.set(number, id);
    if (definition === null) this.#parked.add(id);
    else this.hasChanged = true;
    return number;
  }

  /** The peer's number that a group of ours stands for; 0 if none does. */
  idOf(number: number): number {
    return this.#ids.get(number) ?? 0;
  }

  /** Routes are on it already: they follow. */
  #refresh(id: number): void {
    const number = this.#numbers.get(id);
    const definition = number === undefined ? null : this.#definition(id);
    if (number === undefined || definition === null) return;
    this.#parked.delete(id);
    this.#groups.define(number, definition);
    this.hasChanged = true;
  }

  /** What a number stands for; null while that is not known. */
  #definition(id: number): GroupDefinition | null {
    const entry = this.#entries.get(id);
    if (entry === undefined || entry.kind === "blackhole") return null;
    if (entry.kind === "single") return { members: [entry.nexthop], backup: [], resilient: null };
    const members: Nexthop[] = [];
    for (const { id: member, weight } of entry.members) {
      const single = this.#entries.get(member);
      if (single?.kind !== "single") return null;
      members.push({ ...single.nexthop, weight });
    }
    return { members, backup: [], resilient: entry.resilient };
  }

  /** The group of this number has its members no longer. */
  #unlink(id: number): void {
    const entry = this.#entries.get(id);
    if (entry?.kind !== "group") return;
    for (const { id: member } of entry.members) {
      const users = this.#users.get(member);
      users?.delete(id);
      if (users?.size === 0) this.#users.delete(member);
    }
  }
}

function toEntry(message: NexthopMessage): NexthopEntry | null {
  const { group, blackhole, family, hasGateway, oif, encap, nexthopFlags, gateway } = message;
  if (group.length > 0) return { kind: "group", members: [...group], resilient: toResilient(message) };
  if (blackhole) return { kind: "blackhole" };
  if (!hasGateway && oif === 0) return null;
  const nexthop = createNexthop();
  nexthop.ifindex = oif;
  nexthop.onlink = (nexthopFlags & RTNH_F_ONLINK) !== 0;
  if (hasGateway) {
    nexthop.viaFamily = family as Family;
    nexthop.via.set(gateway);
  }
  return encap === undefined || readTunnel(encap, nexthop) ? { kind: "single", nexthop } : null;
}

function toResilient({ resilient }: NexthopMessage): Resilient | null {
  if (resilient?.buckets === undefined) return null;
  return {
    buckets: resilient.buckets,
    idleTimer: resilient.idleTimer ?? 0,
    unbalancedTimer: resilient.unbalancedTimer ?? 0,
  };
}
