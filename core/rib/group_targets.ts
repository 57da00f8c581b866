/**
 * What routes on a nexthop group come to in the kernel: attributes that name the group's object there, or that list its
 * nexthops. Made once for all routes that want the same. Main thread only.
 */
import { NO_ATTRS } from "../context/attrs.ts";
import type { AttrsStore } from "../context/attrs_store.ts";
import { createRouteUpdate, type Nexthop } from "../model/route.ts";

/** Sets of attributes of one group from which on those are let go that no route wants any more. */
const PURGE_MIN = 64;

interface Target {
  /** By the group's object. */
  byObject: number;
  inline: number;
}

export class GroupTargets {
  readonly #attrs: AttrsStore;
  readonly #targets = new Map<number, Target>();
  readonly #update = createRouteUpdate();
  #purgeAt = PURGE_MIN;
  /** Some route has its nexthops inline. */
  hasInline = false;

  constructor(attrs: AttrsStore) {
    this.#attrs = attrs;
  }

  /** True if it may be worth it to {@linkcode purge}. */
  get isLarge(): boolean {
    return this.#targets.size >= this.#purgeAt;
  }

  /** `attrs` by the object `id`. NO_ATTRS if there is no room for it. */
  byObject(attrs: number, id: number): number {
    const target = this.#target(attrs);
    if (target.byObject === NO_ATTRS) target.byObject = this.#intern(attrs, id, []);
    return target.byObject;
  }

  /** `attrs` with these nexthops. */
  inline(attrs: number, nexthops: () => Nexthop[]): number {
    const target = this.#target(attrs);
    this.hasInline = true;
    if (target.inline === NO_ATTRS) target.inline = this.#intern(attrs, 0, nexthops());
    return target.inline;
  }

  #target(attrs: number): Target {
    let target = this.#targets.get(attrs);
    if (target === undefined) {
      target = { byObject: NO_ATTRS, inline: NO_ATTRS };
      // Held, so that its number cannot come to mean something else.
      this.#attrs.acquire(attrs);
      this.#targets.set(attrs, target);
    }
    return target;
  }

  #intern(attrs: number, id: number, nexthops: Nexthop[]): number {
    const update = this.#update;
    this.#attrs.reader.read(attrs, update);
    update.nexthopGroup = id;
    update.nexthops = nexthops;
    return this.#attrs.intern(update);
  }

  /** The object is another from now on. Returns the old attributes, with the references to them. */
  changeObject(): number[] {
    const old: number[] = [];
    for (const target of this.#targets.values()) {
      if (target.byObject !== NO_ATTRS) old.push(target.byObject);
      target.byObject = NO_ATTRS;
    }
    return old;
  }

  /** The nexthops are others from now on. */
  changeNexthops(): void {
    for (const target of this.#targets.values()) this.#dropInline(target);
  }

  /**
   * Lets go of what no route wants any more. Not to be called while the RIB is at work on a route: it may hold a number
   * that it has asked for and not acquired yet.
   */
  purge(): void {
    for (const [attrs, target] of this.#targets) {
      const isWritten = target.byObject !== NO_ATTRS && this.#attrs.references(target.byObject) > 1;
      if (this.#attrs.references(attrs) > 1 || isWritten) continue;
      this.#drop(attrs, target);
    }
    this.#purgeAt = Math.max(PURGE_MIN, this.#targets.size * 2);
  }

  /** Lets go of all but what {@linkcode changeObject} has given out. */
  clear(): void {
    for (const [attrs, target] of this.#targets) this.#drop(attrs, target);
  }

  #drop(attrs: number, target: Target): void {
    this.#dropInline(target);
    if (target.byObject !== NO_ATTRS) this.#attrs.release(target.byObject);
    this.#attrs.release(attrs);
    this.#targets.delete(attrs);
  }

  #dropInline(target: Target): void {
    if (target.inline !== NO_ATTRS) this.#attrs.release(target.inline);
    target.inline = NO_ATTRS;
  }
}
