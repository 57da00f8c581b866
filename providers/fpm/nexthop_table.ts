/**
 * The nexthop objects that the kernel holds, as contexts and the main thread tell, and what the peer was told of them.
 * The thread of the FPM provider.
 *
 * An object goes to the peer under a number for export: the kernel's own, or, where the peer never changes a single
 * nexthop that it knows, a fresh one for each content. What a deletion would take routes from is deleted last.
 */
import { type NexthopObject, NexthopObjectKind } from "../../core/context/nexthop_object.ts";
import type { Nexthop } from "../../core/model/route.ts";
import { NLM_F_CREATE, NLM_F_REPLACE } from "../../ffi/netlink/constants.ts";
import { encodeNexthopDelete, encodeNexthopNew } from "../encode_nexthop.ts";
import type { FpmCounters } from "./counters.ts";
import type { OutputBuffer } from "./output.ts";
import type { FpmProfile } from "./profile.ts";

/** What the peer was told of an object. */
interface Announced {
  exportId: number;
  /** The content as text. */
  text: string;
  /** In this connection. */
  isSent: boolean;
}

/** A number that the peer need not know any more: of an object that is no more, 0 for one that has another number now. */
interface Retired {
  object: number;
  isSingle: boolean;
}

/** Fresh numbers begin in the upper part of what there is, at random: an earlier life may have left lower ones. */
const FRESH_MIN = 0x1000_0000;
const FRESH_SPAN = 0x6000_0000;

/** Deletions that are remembered until the connection ends. */
const DELETED_MAX = 16_384;

export interface NexthopTableOptions {
  profile: FpmProfile;
  protocol: number;
  /** Routes have their nexthops themselves, and the peer hears of no object. */
  isInline: boolean;
  counters: FpmCounters;
}

export class NexthopTable {
  readonly #options: NexthopTableOptions;
  readonly #objects = new Map<number, NexthopObject>();
  /** Groups by the objects in them. */
  readonly #users = new Map<number, Set<number>>();
  readonly #announced = new Map<number, Announced>();
  readonly #dirtySingles = new Set<number>();
  readonly #dirtyGroups = new Set<number>();
  /** Numbers that the peer may forget when no route needs them any more. */
  readonly #retired = new Map<number, Retired>();
  /** Objects whose routes come to something else than the peer was told. */
  readonly affected = new Set<number>();
  /** Objects that the peer knows now, for routes that could not be told without. */
  readonly appeared = new Set<number>();
  /** Counts changes of what routes on an object come to. */
  version = 0;
  /** While the objects are being listed: those listed, and those of which contexts told meanwhile. */
  #listed: Set<number> | null = null;
  #touched: Set<number> | null = null;
  /** Those being written while they were listed. */
  readonly #pending = new Set<number>();
  /** Numbers that the peer was told to forget, and may not have read that yet. */
  readonly #deleted = new Map<number, Retired>();
  #lastFresh = FRESH_MIN + Math.floor(Math.random() * FRESH_SPAN);

  constructor(options: NexthopTableOptions) {
    this.#options = options;
  }

  get hasDirty(): boolean {
    return this.#dirtySingles.size + this.#dirtyGroups.size > 0;
  }

  get hasRetired(): boolean {
    return this.#retired.size > 0;
  }

  /** A context says that the kernel holds this now; null for nothing. */
  onContext(id: number, object: NexthopObject | null): void {
    this.#touched?.add(id);
    if (object === null) this.#remove(id);
    else this.#install(id, object);
  }

  /** A list of all objects begins. */
  beginList(): void {
    this.#listed = new Set();
    this.#touched = new Set();
    this.#pending.clear();
  }

  onListed(id: number, object: NexthopObject): void {
    this.#listed?.add(id);
    if (this.#touched?.has(id) !== true) this.#install(id, object);
  }

  /** These are being written, and so not listed. */
  onPending(ids: readonly number[]): void {
    for (const id of ids) this.#pending.add(id);
  }

  /** The list is complete. What it has not is no more. */
  endList(): void {
    const [listed, touched] = [this.#listed, this.#touched];
    this.#listed = null;
    this.#touched = null;
    if (listed === null || touched === null) return;
    const gone = [...this.#objects.keys()].filter(
      (id) => !listed.has(id) && !touched.has(id) && !this.#pending.has(id),
    );
    for (const id of gone) if (!this.#isSingle(id)) this.#remove(id);
    for (const id of gone) this.#remove(id);
  }

  /** A new connection: everything is to be sent, and an answer to the old one will not come. */
  beginConnection(): void {
    this.#listed = null;
    this.#touched = null;
    this.affected.clear();
    this.appeared.clear();
    for (const [exportId, retired] of this.#deleted) this.#retired.set(exportId, retired);
    this.#deleted.clear();
    for (const announced of this.#announced.values()) announced.isSent = false;
    for (const id of this.#objects.keys()) this.#markDirty(id);
  }

  #install(id: number, object: NexthopObject): void {
    const isNews = textOf(this.#objects.get(id)) !== textOf(object);
    if (isNews) {
      this.#forgetMembers(id);
      this.#objects.set(id, object);
      for (const member of membersOf(object)) addTo(this.#users, member.id, id);
      if (this.#options.isInline) {
        this.#affect(id);
        this.appeared.add(id);
      }
    }
    if (isNews || this.#announced.get(id)?.isSent !== true) this.#markDirty(id);
  }

  #remove(id: number): void {
    this.#forgetMembers(id);
    const isSingle = this.#isSingle(id);
    if (!this.#objects.delete(id)) return;
    this.#dirtySingles.delete(id);
    this.#dirtyGroups.delete(id);
    const announced = this.#announced.get(id);
    if (announced === undefined) return;
    this.#announced.delete(id);
    this.#retired.set(announced.exportId, { object: id, isSingle });
    this.appeared.delete(id);
  }

  #forgetMembers(id: number): void {
    const before = this.#objects.get(id);
    if (before === undefined) return;
    for (const member of membersOf(before)) {
      const users = this.#users.get(member.id);
      users?.delete(id);
      if (users?.size === 0) this.#users.delete(member.id);
    }
  }

  #markDirty(id: number): void {
    if (!this.#options.isInline) (this.#isSingle(id) ? this.#dirtySingles : this.#dirtyGroups).add(id);
  }

  #isSingle(id: number): boolean {
    return this.#objects.get(id)?.kind === NexthopObjectKind.SINGLE;
  }

  /** Routes on the object, and on groups with it, come to something else. */
  #affect(id: number): void {
    this.version += 1;
    this.affected.add(id);
    for (const group of this.#users.get(id) ?? []) {
      this.affected.add(group);
      this.#markDirty(group);
    }
  }

  #appear(id: number): void {
    this.appeared.add(id);
    // Groups were told without it.
    for (const group of this.#users.get(id) ?? []) this.#markDirty(group);
  }

  /** The number that the peer knows the object by; 0 if it does not. */
  exportId(id: number): number {
    const announced = this.#announced.get(id);
    return announced?.isSent === true ? announced.exportId : 0;
  }

  /** The nexthops of the object; null if it is not known. */
  expand(id: number): Nexthop[] | null {
    const object = this.#objects.get(id);
    if (object === undefined) return null;
    if (object.kind === NexthopObjectKind.SINGLE) return [object.nexthop];
    return object.members.flatMap(({ id: member, weight }) => {
      const single = this.#objects.get(member);
      return single?.kind === NexthopObjectKind.SINGLE ? [{ ...single.nexthop, weight }] : [];
    });
  }

  /** Sends what is to be sent, singles first, while there is room. */
  send(output: OutputBuffer): void {
    for (const dirty of [this.#dirtySingles, this.#dirtyGroups]) {
      for (const id of dirty) {
        if (!output.hasRoom) return;
        dirty.delete(id);
        this.#sendOne(output, id);
      }
    }
  }

  #sendOne(output: OutputBuffer, id: number): void {
    const object = this.#objects.get(id);
    const told = object === undefined ? null : this.#toTell(object);
    if (told === null) return;
    const text = textOf(told);
    const before = this.#announced.get(id);
    if (before?.isSent === true && before.text === text) return;
    const { profile, protocol, counters } = this.#options;
    const isNumberKept = !profile.hasFixedSingles || before?.text === text || !this.#isSingle(id);
    const exportId = (isNumberKept ? before?.exportId : undefined) ?? this.#newExportId(id);
    const flags = NLM_F_CREATE | NLM_F_REPLACE;
    const at = output.begin();
    if (!output.end(encodeNexthopNew(output.view, at, exportId, told, protocol, flags, 0))) {
      counters.add("routesDropped");
      return;
    }
    counters.add("nexthopsSent");
    if (before !== undefined && before.exportId !== exportId)
      this.#retired.set(before.exportId, { object: 0, isSingle: true });
    this.#retired.delete(exportId);
    this.#deleted.delete(exportId);
    this.#announced.set(id, { exportId, text, isSent: true });
    if (before?.isSent !== true) this.#appear(id);
    if (before !== undefined && before.exportId !== exportId) this.#affect(id);
  }

  #newExportId(id: number): number {
    if (!this.#options.profile.hasFixedSingles) return id;
    this.#lastFresh = this.#lastFresh >= FRESH_MIN + FRESH_SPAN ? FRESH_MIN : this.#lastFresh + 1;
    return this.#lastFresh;
  }

  /** The object as the peer is to have it; null while the peer knows none of its members. */
  #toTell(object: NexthopObject): NexthopObject | null {
    if (object.kind === NexthopObjectKind.SINGLE) return object;
    const { weightMax, hasResilientGroups } = this.#options.profile;
    const members = object.members
      .map(({ id, weight }) => ({ id: this.exportId(id), weight: Math.min(weight, weightMax) }))
      .filter(({ id }) => id !== 0);
    if (members.length === 0) return null;
    return hasResilientGroups ? { ...object, members } : { kind: NexthopObjectKind.GROUP, members };
  }

  /**
   * Deletes what the peer need not know any more, while there is room: groups before their members. One that `isUsed` by a
   * route over there goes when the peer was told of the route. All routes that are to be sent anew must have been.
   */
  sendDeletions(output: OutputBuffer, isUsed: (object: number) => boolean): void {
    let isGroupLeft = false;
    for (const wanted of [false, true]) {
      if (isGroupLeft) return;
      for (const [exportId, retired] of this.#retired) {
        if (retired.isSingle !== wanted) continue;
        if (!output.hasRoom) return;
        // The kernel drops a group with its last member, which may be told before the group's end is noticed.
        const isMember = this.#users.has(retired.object);
        if (isMember || (retired.object !== 0 && isUsed(retired.object))) isGroupLeft = true;
        else this.#sendDeletion(output, exportId, retired);
      }
    }
  }

  #sendDeletion(output: OutputBuffer, exportId: number, retired: Retired): void {
    this.#retired.delete(exportId);
    const at = output.begin();
    if (!output.end(encodeNexthopDelete(output.view, at, exportId, 0))) return;
    this.#options.counters.add("nexthopDeletesSent");
    this.#deleted.set(exportId, retired);
    for (const oldest of this.#deleted.keys()) {
      if (this.#deleted.size <= DELETED_MAX) break;
      this.#deleted.delete(oldest);
    }
  }
}

function membersOf(object: NexthopObject): readonly { id: number; weight: number }[] {
  return object.kind === NexthopObjectKind.SINGLE ? [] : object.members;
}

function addTo(index: Map<number, Set<number>>, key: number, value: number): void {
  const values = index.get(key);
  if (values === undefined) index.set(key, new Set([value]));
  else values.add(value);
}

function textOf(object: NexthopObject | undefined): string {
  return JSON.stringify(object, (_key, value) => (value instanceof Uint8Array ? value.join(".") : value)) ?? "";
}
