/**
 * Nexthop groups that clients define and routes share: keeps each in the kernel as an object, so that a change of it
 * moves every route on it with one message, and brings it back when the kernel has dropped it. Main thread only.
 *
 * Whatever happens to a group (a client changes it, a link goes or comes, somebody deletes an object) marks it, and one
 * pump brings what is marked: first the single objects that are missing, then the groups, then it deletes what nobody
 * uses any more. Each step waits for the kernel's answers to the one before.
 */
import type { Timer } from "../clock.ts";
import { NO_ATTRS } from "../context/attrs.ts";
import type { Dataplane } from "../dataplane/dataplane.ts";
import type { ChangeAuthor } from "../model/kernel_event.ts";
import type { LinkTable } from "../model/link_table.ts";
import { Family, type Nexthop } from "../model/route.ts";
import { DriftKind, type NexthopDrift, NOBODY_HEARD } from "./drift.ts";
import { GroupContents } from "./group_contents.ts";
import type { GroupResolver } from "./group_resolver.ts";
import { GroupRoutes, type GroupUsers } from "./group_routes.ts";
import { createKeptGroup, type KeptGroup, noteInline } from "./kept_group.ts";
import type { KeyClass } from "./key_classes.ts";
import { definitionKey, type GroupDefinition, type NexthopGroup, type NexthopObjectsMode } from "./nexthop_group.ts";
import {
  type GroupObject,
  type GroupObjectMember,
  groupObject,
  isSameContent,
  isSameShape,
  NexthopObjects,
  type Resilient,
} from "./nexthop_objects.ts";
import { NexthopSingles, NUMBERS_TRIED_MAX } from "./nexthop_singles.ts";
import { EEXIST, EINVAL, ENOENT, NexthopWriter, type WriteFailure } from "./nexthop_writer.ts";
import { RetiredObjects } from "./retired_objects.ts";
import type { Rib } from "./rib.ts";
import { SharedNexthops, type SharedSet } from "./shared_nexthops.ts";

/** Groups of the daemon's own have numbers from here on, which no client can say. */
const OWN_NUMBER_MIN = 2 ** 32;

/** Groups brought at a time. */
const TURN_GROUPS = 256;
/** Attempts at once where the kernel's answer shows that it holds something else than was believed. */
const ATTEMPTS_MAX = 3;
/** Pause before a write is tried again that failed; what it waits for is mostly noticed earlier. */
const RETRY_MS = 30_000;

export class NexthopGroups implements GroupResolver {
  readonly objects: NexthopObjects;
  readonly routes: GroupRoutes;
  readonly writer: NexthopWriter;
  readonly shared: SharedNexthops;
  /** Called for each object that the kernel was found to hold otherwise; tells how long what it harms is left alone. */
  onDrift: (drift: NexthopDrift) => number = () => 0;
  readonly #rib: Rib;
  readonly #links: LinkTable;
  readonly #mode: NexthopObjectsMode;
  /** Those of clients by their numbers, and those of shared sets. */
  readonly #groups = new Map<number, KeptGroup>();
  readonly #bySet = new Map<SharedSet, KeptGroup>();
  #lastOwnNumber = OWN_NUMBER_MIN - 1;
  readonly #byObject = new Map<GroupObject, KeptGroup>();
  readonly #retired: RetiredObjects;
  readonly #singles: NexthopSingles;
  readonly #contents: GroupContents;
  readonly #dirty = new Set<KeptGroup>();
  readonly #resting = new Set<KeptGroup>();
  /** Whether the kernel has nexthop objects; null until it was asked. */
  #hasObjects: boolean | null;
  #isPumping = false;
  #mustCollect = false;
  #retryTimer: Timer | null = null;
  #wakeIdle: (() => void)[] = [];
  /** Of something that is forgotten the kernel may hold an object; a reading tells. */
  onUnsure: () => void = () => {};

  constructor(rib: Rib, dataplane: Dataplane, links: LinkTable, mode: NexthopObjectsMode = "auto") {
    this.#rib = rib;
    this.#links = links;
    this.#mode = mode;
    this.#hasObjects = mode === "off" ? false : null;
    this.writer = new NexthopWriter(rib.attrs, dataplane);
    this.routes = new GroupRoutes(rib);
    this.objects = new NexthopObjects((object, by) => this.#onVanish(object, by));
    this.#contents = new GroupContents(this.objects, links);
    this.#singles = new NexthopSingles(this.objects, this.writer, {
      onUnsure: () => this.onUnsure(),
      onFailure: () => this.#retryLater(),
    });
    this.#retired = new RetiredObjects(rib.attrs, this, rib.clock, () => this.collect());
    const keeper = {
      keep: (set: SharedSet, object: GroupObject | null) => this.#keep(set, object),
      drop: (set: SharedSet) => this.#drop(set),
    };
    this.shared = new SharedNexthops(rib.attrs, rib.clock, this.objects, keeper, () => rib.compare.forget());
    rib.compare.membersOf = (id) => this.shared.membersOf(id);
  }

  // What clients ask for.

  get(number: number): NexthopGroup | undefined {
    return this.#groups.get(number);
  }

  get count(): number {
    return this.#groups.size - this.#bySet.size;
  }

  *list(): Iterable<NexthopGroup> {
    for (const group of this.#groups.values()) if (group.set === null) yield group;
  }

  /** Defines a group or changes it; resolves when the kernel has answered, or nothing can be asked of it yet. */
  set(number: number, definition: GroupDefinition): Promise<NexthopGroup> {
    let group = this.#groups.get(number);
    if (group === undefined) {
      group = createKeptGroup(number, definition, null, this.#rib.attrs);
      this.#groups.set(number, group);
    } else if (definitionKey(group.wanted) !== definitionKey(definition)) group.wanted = definition;
    const found = group;
    found.attempts = 0;
    found.restUntil = 0;
    return new Promise((resolve) => {
      found.waiters.push(() => resolve(found));
      this.#mark(found);
    });
  }

  /** Deletes a group that no route uses; otherwise tells who does. */
  async delete(number: number): Promise<GroupUsers> {
    const users = await this.routes.users(number);
    const group = this.#groups.get(number);
    if (group === undefined || users.count > 0) return users;
    this.#groups.delete(number);
    group.restUntil = 0;
    // A route may have come while others were looked at.
    const late = await this.routes.users(number);
    if (late.count > 0 && !this.#groups.has(number)) {
      this.#groups.set(number, group);
      this.routes.move(number);
      this.#mark(group);
      return late;
    }
    this.#mark(group);
    await this.idle();
    return users;
  }

  /** Deletes those of these groups that no route uses, after one look at all routes. Returns those that stay. */
  async deleteUnused(numbers: ReadonlySet<number>): Promise<Set<number>> {
    const used = await this.routes.inUse(numbers);
    const gone = new Map<number, KeptGroup>();
    for (const number of numbers) {
      const group = used.has(number) ? undefined : this.#groups.get(number);
      if (group === undefined) continue;
      gone.set(number, group);
      this.#groups.delete(number);
      group.restUntil = 0;
    }
    // A route may have come while others were looked at.
    const late = gone.size === 0 ? used : await this.routes.inUse(new Set(gone.keys()));
    for (const [number, group] of gone) {
      if (late.has(number) && !this.#groups.has(number)) {
        this.#groups.set(number, group);
        this.routes.move(number);
        used.add(number);
      }
      this.#mark(group);
    }
    return used;
  }

  /** Resolves when nothing is to be written now. */
  idle(): Promise<void> {
    if (!this.#isPumping) return Promise.resolve();
    return new Promise((resolve) => this.#wakeIdle.push(resolve));
  }

  /** Whether routes go by nexthop objects. Asks the kernel if it has not been asked yet. */
  async isUsingObjects(): Promise<boolean> {
    this.#hasObjects ??= await this.writer.probe();
    return this.#hasObjects;
  }

  /** Whether routes have the nexthops of their groups themselves. */
  get isInline(): boolean {
    return this.#hasObjects === false;
  }

  get mode(): NexthopObjectsMode {
    return this.#mode;
  }

  // What the RIB asks for.

  resolve(attrs: number, keyClass: KeyClass): number {
    const group = this.#groups.get(this.#rib.attrs.reader.nexthopGroup(attrs));
    if (group === undefined) return NO_ATTRS;
    const { targets, object } = group;
    let target: number;
    if (this.#mustBeInline(group, keyClass)) target = targets.inline(attrs, () => this.#contents.inlineNexthops(group));
    else if (object !== null) target = targets.byObject(attrs, object.id);
    else return NO_ATTRS;
    if (targets.isLarge) this.#mark(group);
    return target;
  }

  settle(slot: number): void {
    this.writer.settle(slot);
  }

  share(attrs: number): void {
    if (this.#hasObjects !== false) this.shared.share(attrs);
  }

  adopt(attrs: number, id: number): boolean {
    return this.#hasObjects !== false && this.shared.adopt(attrs, id);
  }

  // What shared sets of nexthops ask for.

  #keep(set: SharedSet, object: GroupObject | null): void {
    const group = createKeptGroup(++this.#lastOwnNumber, set.definition, set, this.#rib.attrs);
    this.#groups.set(group.number, group);
    this.#bySet.set(set, group);
    if (object !== null) {
      object.isUnclaimed = false;
      group.accepted = set.definition;
      this.#setObject(group, object);
      this.#settleSet(group);
    }
    this.#mark(group);
  }

  #drop(set: SharedSet): void {
    const group = this.#bySet.get(set)!;
    this.#bySet.delete(set);
    this.#groups.delete(group.number);
    group.restUntil = 0;
    this.#mark(group);
  }

  /** Routes go by an object only while it has all of the nexthops. */
  #settleSet(group: KeptGroup): void {
    const { object, set, wanted } = group;
    if (set === null) return;
    const isWhole = object !== null && isSameContent(object, this.#contents.held(wanted.members), null);
    this.shared.settle(set, isWhole && object.members.length === wanted.members.length ? object.id : 0);
  }

  /** The kernel takes no source prefix with an object, and no IPv4 gateway for an IPv6 route, which it then says. */
  #mustBeInline(group: KeptGroup, { family, sourceLength }: KeyClass): boolean {
    if (this.#hasObjects === false || sourceLength > 0) return true;
    if (family !== Family.IPV6) return false;
    const { members, backup } = group.accepted ?? group.wanted;
    return [...members, ...backup].some(({ viaFamily }) => viaFamily === Family.IPV4);
  }

  // What happens in the kernel.

  /**
   * A link has changed, come or gone, or its addresses have. Call it for each change, when the table of links has it: the
   * kernel has dropped the objects on a link that is down or without carrier, and does not bring them back.
   */
  onLink(ifindex: number): void {
    if (!this.#contents.isUsable(ifindex)) {
      const by = `the kernel with link ${this.#links.nameOf(ifindex) || `if${ifindex}`}`;
      for (const single of this.objects.singles()) {
        if (single.nexthop.ifindex !== ifindex) continue;
        if (single.isHeld) this.note(DriftKind.MISSING, single.id, { by, portId: 0 });
        this.objects.loseSingle(single, by);
      }
    }
    for (const group of this.#groups.values()) {
      const { members, backup } = group.wanted;
      const old = group.accepted?.members ?? [];
      const isOn = (nexthop: Nexthop): boolean => nexthop.ifindex === ifindex;
      if (!members.some(isOn) && !backup.some(isOn) && !old.some(isOn)) continue;
      group.attempts = 0;
      this.#mark(group);
    }
  }

  /** An interface was made again, and has another number: members over the old one are over the new. */
  renumber(from: number, to: number): void {
    const move = (nexthops: readonly Nexthop[]): readonly Nexthop[] =>
      nexthops.map((nexthop) => (nexthop.ifindex === from ? { ...nexthop, ifindex: to } : nexthop));
    for (const group of this.#groups.values()) {
      const { members, backup, resilient } = group.wanted;
      // Its routes are moved one by one, to other attributes.
      if (group.set !== null) continue;
      if (![...members, ...backup].some(({ ifindex }) => ifindex === from)) continue;
      group.wanted = { members: move(members), backup: move(backup), resilient };
      this.#mark(group);
    }
  }

  /** The kernel was found to hold something else under this number: for who watches. To be called before that has effect. */
  note(kind: DriftKind, id: number, author: ChangeAuthor): void {
    const groups = this.#groupsOf(id);
    const harmed = groups.filter(({ isWhole }) => isWhole);
    const clients = groups.filter(({ set }) => set === null).map(({ number }) => number);
    const delayMs = this.onDrift({ kind, id, groups: clients, harmed: harmed.map(({ number }) => number), author });
    for (const group of harmed) {
      group.isWhole = false;
      group.restUntil = delayMs === 0 ? 0 : this.#rib.clock.now() + delayMs;
    }
  }

  #groupsOf(id: number): KeptGroup[] {
    const object = this.objects.group(id);
    const objects = object === undefined ? [...(this.objects.single(id)?.groups ?? [])] : [object];
    return objects.flatMap((each) => this.#byObject.get(each) ?? []);
  }

  /** Somebody has changed this group: it is written again. */
  doubt(object: GroupObject): void {
    object.isInDoubt = true;
    const group = this.#byObject.get(object);
    if (group !== undefined) this.#mark(group);
  }

  /** Something may be missing that a group needs. */
  markAll(): void {
    for (const group of this.#groups.values()) this.#mark(group);
  }

  /** Nobody has claimed this object: it goes when no route is on it. */
  discard(object: GroupObject): void {
    object.isUnclaimed = false;
    this.#retire(object, [], true);
  }

  /** Objects of which nobody is known to need them are deleted. */
  collect(): void {
    this.#mustCollect = true;
    this.#start();
  }

  #onVanish(object: GroupObject, by: string): void {
    this.routes.lose(object.id, by);
    this.#retired.forget(object);
    const group = this.#byObject.get(object);
    if (group === undefined) return;
    this.#byObject.delete(object);
    group.object = null;
    for (const attrs of group.targets.changeObject()) this.#rib.attrs.release(attrs);
    if (group.set === null) this.routes.move(group.number);
    else this.#settleSet(group);
    this.#mark(group);
  }

  // The pump.

  #mark(group: KeptGroup): void {
    const restMs = group.restUntil - this.#rib.clock.now();
    if (restMs > 0) return this.#markLater(group, restMs);
    this.#dirty.add(group);
    this.#start();
  }

  #markLater(group: KeptGroup, delayMs: number): void {
    if (this.#resting.has(group)) return;
    this.#resting.add(group);
    const onTime = (): void => {
      this.#resting.delete(group);
      this.#mark(group);
    };
    this.#rib.clock.setTimeout(onTime, delayMs).unref();
  }

  #start(): void {
    if (this.#isPumping) return;
    this.#isPumping = true;
    void this.#pump();
  }

  async #pump(): Promise<void> {
    // What happens together is brought together, and never in the middle of the RIB's work on a route.
    await this.#rib.clock.turn();
    while ((this.#dirty.size > 0 || this.#mustCollect) && this.writer.isAccepting) {
      const groups = Array.from(this.#dirty).slice(0, TURN_GROUPS);
      for (const group of groups) this.#dirty.delete(group);
      const waiters = groups.map((group) => ({ group, wakes: group.waiters.splice(0) }));
      if (await this.isUsingObjects()) await this.#bring(groups);
      else for (const group of groups) group.accepted = group.wanted;
      this.#tidy(groups);
      // Also without objects of our own: an earlier life of the daemon may have left some.
      this.#mustCollect = false;
      await this.#retired.deleteFree();
      await this.#singles.deleteUnused();
      for (const group of groups) this.#settleInline(group);
      for (const { group, wakes } of waiters) {
        // Whoever waits is told of the last attempt.
        if (this.#dirty.has(group) && group.attempts > 0) group.waiters.push(...wakes);
        else for (const wake of wakes) wake();
      }
    }
    this.#isPumping = false;
    for (const group of this.#groups.values()) for (const wake of group.waiters.splice(0)) wake();
    for (const wake of this.#wakeIdle.splice(0)) wake();
  }

  async #bring(groups: readonly KeptGroup[]): Promise<void> {
    const kept = groups.filter((group) => this.#groups.get(group.number) === group);
    await Promise.all(kept.map((group) => this.#makeSingles(group)));
    await Promise.all(kept.map((group) => this.#makeGroup(group)));
  }

  /** Lets go of what groups need no longer. */
  #tidy(groups: readonly KeptGroup[]): void {
    for (const group of groups) {
      if (this.#groups.get(group.number) !== group) this.#forget(group);
      else if (group.failure !== null) this.#retryLater();
      // A member that came into doubt while the group was brought.
      else if (group.object?.members.some(({ single }) => !single.isHeld)) this.#mark(group);
      if (this.#groups.get(group.number) === group) this.#settleSet(group);
      if (group.targets.isLarge) group.targets.purge();
    }
  }

  async #makeSingles(group: KeptGroup): Promise<void> {
    for (const definition of new Set([group.wanted, group.accepted ?? group.wanted])) {
      await Promise.all(this.#contents.usable(definition.members).map((nexthop) => this.#singles.make(nexthop)));
      if (this.#contents.held(definition.members).length > 0) continue;
      await Promise.all(this.#contents.usable(definition.backup).map((nexthop) => this.#singles.make(nexthop)));
    }
  }

  /** Brings what is wanted of a group, or, where the kernel refuses that, what it last took. */
  async #makeGroup(group: KeptGroup): Promise<void> {
    const { wanted, accepted } = group;
    const isRefused = (nexthop: Nexthop): boolean => !this.objects.internSingle(nexthop).isHeld;
    group.refused = this.#contents.usable(wanted.members).find(isRefused) ?? null;
    group.failure = group.refused === null ? null : this.objects.internSingle(group.refused).failure;
    if (accepted !== wanted && (group.failure !== null || this.#contents.of(wanted).length === 0)) {
      if (accepted !== null) await this.#apply(group, accepted);
      return;
    }
    if (this.#contents.of(wanted).length === 0) return;
    const failure = await this.#apply(group, wanted);
    if (failure === null) {
      if (group.object !== null) group.accepted = wanted;
      group.isWhole = group.object !== null;
      return;
    }
    group.failure = failure;
    if (accepted !== null && accepted !== wanted) await this.#apply(group, accepted);
  }

  /** Writes the definition with those nexthops that the kernel has, if it is not what is there. */
  async #apply(group: KeptGroup, { members, backup, resilient }: GroupDefinition): Promise<WriteFailure | null> {
    const content = this.#contents.of({ members, backup, resilient });
    if (content.length === 0) return null;
    const { object } = group;
    const failure =
      object !== null && isSameShape(object.resilient, resilient)
        ? await this.#change(object, content, resilient)
        : await this.#create(group, content, resilient);
    if (failure === null) group.attempts = 0;
    else if (failure.isUnsure || failure.error === EINVAL) this.#distrust(group, content);
    return failure;
  }

  /** The kernel may hold something else than is believed: all that the group needs is written again, a few times. */
  #distrust(group: KeptGroup, content: readonly GroupObjectMember[]): void {
    group.attempts += 1;
    if (group.attempts >= ATTEMPTS_MAX) return;
    for (const { single } of content) {
      single.isHeld = false;
      single.mayBeThere = true;
    }
    if (group.object !== null) group.object.isInDoubt = true;
    this.#mark(group);
  }

  async #change(
    object: GroupObject,
    members: GroupObjectMember[],
    resilient: Resilient | null,
  ): Promise<WriteFailure | null> {
    if (!object.isInDoubt && isSameContent(object, members, resilient)) return null;
    const held = groupObject(object.resilient, object.members);
    this.objects.beginWrite(object, members);
    const failure = await this.writer.install(object.id, groupObject(resilient, members), held);
    // Its last member went while it was written: the pump brings it anew.
    if (this.objects.group(object.id) !== object) {
      if (failure === null) this.#retire(this.objects.addGroup(object.id, resilient), [], true);
      return null;
    }
    this.objects.endWrite(object, failure === null);
    if (failure === null) Object.assign(object, { resilient, isInDoubt: false });
    if (failure?.error === ENOENT) this.note(DriftKind.MISSING, object.id, NOBODY_HEARD);
    if (failure?.error === ENOENT || object.members.length === 0) {
      this.objects.loseGroup(object, "");
      return null;
    }
    return failure;
  }

  async #create(
    group: KeptGroup,
    members: GroupObjectMember[],
    resilient: Resilient | null,
  ): Promise<WriteFailure | null> {
    const found = this.objects.findUnclaimed(resilient, members);
    if (found !== undefined) {
      found.isUnclaimed = false;
      this.#setObject(group, found);
      return this.#change(found, members, resilient);
    }
    let failure: WriteFailure | null = null;
    for (let tried = 0; tried < NUMBERS_TRIED_MAX; tried++) {
      const object = this.objects.addGroup(this.objects.allocate(), resilient);
      this.objects.beginWrite(object, members);
      failure = await this.writer.install(object.id, groupObject(resilient, members), null);
      this.objects.endWrite(object, failure === null);
      if (object.members.length > 0) {
        this.#setObject(group, object);
        return null;
      }
      this.objects.forgetGroup(object);
      if (failure === null) {
        // All its links went while it was made, and it with them, or they had come back before: then it is there.
        this.#retire(this.objects.addGroup(object.id, resilient), [], true);
        this.#mark(group);
        return null;
      }
      if (failure.isUnsure || failure.error === EEXIST) this.onUnsure();
      if (failure.error !== EEXIST) return failure;
      this.objects.avoid(object.id);
    }
    return failure;
  }

  #setObject(group: KeptGroup, object: GroupObject): void {
    const old = group.object;
    const targets = group.targets.changeObject();
    group.object = object;
    this.#byObject.set(object, group);
    if (old !== null) this.#retire(old, targets, false);
    if (group.set === null) this.routes.move(group.number);
  }

  // What nobody uses.

  /** Its client has deleted the group. */
  #forget(group: KeptGroup): void {
    const wasUnclaimed = group.set?.wasUnclaimed ?? false;
    if (group.object !== null) this.#retire(group.object, group.targets.changeObject(), wasUnclaimed);
    group.object = null;
    group.targets.clear();
  }

  #retire(object: GroupObject, targets: number[], wasUnclaimed: boolean): void {
    this.#byObject.delete(object);
    this.#retired.add(object, targets, wasUnclaimed);
    this.collect();
  }

  #settleInline(group: KeptGroup): void {
    if (noteInline(group, this.#contents.inlineNexthops(group))) this.routes.move(group.number);
  }

  #retryLater(): void {
    if (this.#retryTimer !== null) return;
    this.#retryTimer = this.#rib.clock.setTimeout(() => {
      this.#retryTimer = null;
      for (const group of this.#groups.values()) {
        if (group.failure === null) continue;
        group.attempts = 0;
        this.#mark(group);
      }
      this.collect();
    }, RETRY_MS);
    this.#retryTimer.unref();
  }

  /** Takes every object out of the kernel that no route is on. */
  async withdraw(): Promise<void> {
    for (const group of this.#groups.values()) {
      this.#groups.delete(group.number);
      group.restUntil = 0;
      this.#mark(group);
    }
    await this.idle();
  }

  /** Takes no more: the daemon ends. */
  stop(): void {
    this.shared.stop();
    this.#retired.stop();
    if (this.#retryTimer !== null) this.#rib.clock.clearTimeout(this.#retryTimer);
  }
}
