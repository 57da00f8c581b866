/**
 * Sets of nexthops that many routes have inline: each is kept in the kernel as an object of the daemon's own, and routes
 * are written by its number. The kernel then neither checks nor keeps the nexthops of each route, which halves what a
 * route costs it. Clients see nothing of it: a route is wanted, confirmed, shown and exported with its nexthops. Main
 * thread only.
 *
 * Whether a route is written by the object is looked up where it is encoded, in ATTRS.OBJECT of its attributes, so that
 * nothing waits for an object and nothing breaks with it: without one, and where the kernel refuses a route by it, routes
 * go inline. That an object goes only when no route is on it rests on references: a record has one for each route that
 * wants it, that is programmed with it, and that is under way with it, and one of ours.
 */
import type { Clock, Timer } from "../clock.ts";
import { NO_OBJECT, NOT_SHARED } from "../context/attrs.ts";
import type { AttrsStore } from "../context/attrs_store.ts";
import { createRouteUpdate, Family, type Nexthop, RouteType } from "../model/route.ts";
import { type GroupDefinition, memberKey } from "./nexthop_group.ts";
import type { GroupObject, NexthopObjects } from "./nexthop_objects.ts";

/** How long an object stays that no route needs: a table that is withdrawn is often told again. */
const LINGER_MS = 1000;

/** A set of nexthops that has an object, or is to have one. */
export interface SharedSet {
  readonly key: string;
  readonly definition: GroupDefinition;
  /** Attributes with these nexthops, which differ in what routes say beside them. Each is held. */
  readonly users: Set<number>;
  /** The object, while it has all nexthops. */
  object: number;
  /** The object was found in the kernel: routes that nobody has claimed may be on it. */
  wasUnclaimed: boolean;
}

/** Who keeps the objects in the kernel (core/rib/nexthop_groups.ts). */
export interface SharedSetKeeper {
  /** Has the kernel hold an object of these nexthops, `object` if that is not null; tells {@linkcode SharedNexthops.settle}. */
  keep(set: SharedSet, object: GroupObject | null): void;
  /** No route is on the object any more. */
  drop(set: SharedSet): void;
}

export class SharedNexthops {
  readonly #attrs: AttrsStore;
  readonly #clock: Clock;
  readonly #objects: NexthopObjects;
  readonly #keeper: SharedSetKeeper;
  readonly #onChange: () => void;
  readonly #sets = new Map<string, SharedSet>();
  readonly #byObject = new Map<number, SharedSet>();
  readonly #update = createRouteUpdate();
  #timer: Timer | null = null;

  /** `onChange`: what {@linkcode membersOf} an object are has changed. */
  constructor(attrs: AttrsStore, clock: Clock, objects: NexthopObjects, keeper: SharedSetKeeper, onChange: () => void) {
    this.#attrs = attrs;
    this.#clock = clock;
    this.#objects = objects;
    this.#keeper = keeper;
    this.#onChange = onChange;
    attrs.onUnused = () => this.#purgeSoon();
  }

  /** Sets that have an object now, and all. */
  counts(): { objects: number; sets: number } {
    return { objects: this.#byObject.size, sets: this.#sets.size };
  }

  /** Many routes have these attributes, which are not shared yet. */
  share(attrs: number): void {
    const members = this.#eligible(attrs);
    if (members === null) return;
    const key = setKey(members);
    const set = this.#sets.get(key) ?? this.#open(key, members, null);
    this.#use(set, attrs);
  }

  /**
   * A route that is on the object `id` from an earlier life of the daemon is wanted with `attrs`, whose nexthops are
   * those of the object: routes with these go by it from now on. True if the route may be taken for one with `attrs`; false if the
   * object has to be kept for it.
   */
  adopt(attrs: number, id: number): boolean {
    if (this.#attrs.object(attrs) === id) return true;
    const members = this.#eligible(attrs);
    if (members === null) return false;
    const key = setKey(members);
    const found = this.#objects.group(id);
    const set = this.#sets.get(key) ?? (found?.isUnclaimed ? this.#open(key, members, found) : undefined);
    if (set?.object !== id) return false;
    this.#use(set, attrs);
    return true;
  }

  /** The nexthops of routes on this object, where they stand for themselves; null for the object of a client's group. */
  membersOf(id: number): readonly Nexthop[] | null {
    const set = this.#byObject.get(id);
    if (set !== undefined) return set.definition.members;
    const found = this.#objects.group(id);
    if (found === undefined || !found.isUnclaimed || found.resilient !== null) return null;
    const members = found.members.map(({ single, weight }) => ({ ...single.nexthop, weight }));
    // Of two objects for the same, the one that is kept stands for it, and routes are moved to that.
    return this.#sets.has(setKey(members)) ? null : members;
  }

  /** The object that the kernel holds for the set has changed; 0 if there is none with all nexthops. */
  settle(set: SharedSet, object: number): void {
    if (set.object === object) return;
    if (set.object !== 0) this.#byObject.delete(set.object);
    set.object = object;
    if (object !== 0) this.#byObject.set(object, set);
    for (const attrs of set.users) this.#attrs.setObject(attrs, object === 0 ? NO_OBJECT : object);
    this.#onChange();
  }

  /** Ends the lingering: the daemon takes everything out of the kernel, or ends. */
  stop(): void {
    if (this.#timer !== null) this.#clock.clearTimeout(this.#timer);
    this.#timer = null;
  }

  #open(key: string, members: readonly Nexthop[], object: GroupObject | null): SharedSet {
    const definition = { members, backup: [], resilient: null };
    const set: SharedSet = { key, definition, users: new Set(), object: 0, wasUnclaimed: object !== null };
    this.#sets.set(key, set);
    this.#keeper.keep(set, object);
    return set;
  }

  #use(set: SharedSet, attrs: number): void {
    if (set.users.has(attrs)) return;
    this.#attrs.acquire(attrs);
    set.users.add(attrs);
    this.#attrs.setObject(attrs, set.object === 0 ? NO_OBJECT : set.object);
  }

  /** The nexthops of attributes that an object may stand for: those of which the kernel keeps just the same by it. */
  #eligible(attrs: number): readonly Nexthop[] | null {
    const { reader } = this.#attrs;
    // Routes by one object get the MTU of one another (net/ipv4/fib_semantics.c: fib_find_info_nh).
    if (reader.type(attrs) !== RouteType.UNICAST || reader.nexthopGroup(attrs) !== 0 || reader.mtu(attrs) !== 0)
      return null;
    const count = reader.nexthopCount(attrs);
    if (count === 0) return null;
    reader.read(attrs, this.#update);
    const { nexthops } = this.#update;
    // An object has an interface; and a route without a gateway would lose the scope by which gateways are found.
    if (nexthops.some(({ ifindex, viaFamily }) => ifindex === 0 || viaFamily === Family.NONE)) return null;
    if (count > 1 && new Set(nexthops.map((nexthop) => memberKey({ ...nexthop, weight: 1 }))).size < count) return null;
    // The kernel does not keep the weight of a nexthop that is alone.
    return count === 1 ? [{ ...nexthops[0]!, weight: 1 }] : nexthops;
  }

  #purgeSoon(): void {
    if (this.#timer !== null) return;
    this.#timer = this.#clock.setTimeout(() => {
      this.#timer = null;
      this.#purge();
    }, LINGER_MS);
    this.#timer.unref();
  }

  /** Lets go of attributes that no route has, and of objects that no attributes need. */
  #purge(): void {
    for (const set of this.#sets.values()) {
      for (const attrs of set.users) {
        if (this.#attrs.references(attrs) > 1) continue;
        this.#attrs.setObject(attrs, NOT_SHARED);
        set.users.delete(attrs);
        this.#attrs.release(attrs);
      }
      if (set.users.size > 0) continue;
      this.#sets.delete(set.key);
      this.#byObject.delete(set.object);
      this.#onChange();
      this.#keeper.drop(set);
    }
  }
}

/** A set as text, whatever its order. */
function setKey(members: readonly Nexthop[]): string {
  return members.map(memberKey).sort().join(" ");
}
