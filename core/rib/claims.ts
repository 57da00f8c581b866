/**
 * Who wants what of each route, and whose want is the one for the forwarding plane. Main thread only.
 *
 * Nearly every route is wanted by one owner only; then its record in the store says all. Where several want it, their
 * claims are kept here and the record shows the selected one: of those that the kernel has not refused the one with the
 * lowest distance, and of several such the one that came first. If the kernel has refused all, the best of them stays.
 */
import { assert } from "../assert.ts";
import { type AttrsReader, NO_ATTRS } from "../context/attrs.ts";
import type { AttrsStore } from "../context/attrs_store.ts";
import { Family } from "../model/route.ts";
import { NOBODY, type Owners } from "./owners.ts";
import { RouteState, type RouteStore } from "./route_store.ts";

/** What one owner wants of a route. */
export interface Claim {
  owner: number;
  attrs: number;
  /** Rising in the order in which the owners came to the route. */
  order: number;
  /** Number of the kernel's reason for refusing it; 0 if it did not. */
  failure: number;
}

/** Which of two claims of a route goes before the other: negative for the first. The one that goes before all is selected. */
export function compareClaims(reader: AttrsReader, a: Claim, b: Claim): number {
  const byFailure = Number(a.failure !== 0) - Number(b.failure !== 0);
  return byFailure || reader.distance(a.attrs) - reader.distance(b.attrs) || a.order - b.order;
}

/** The claim that is selected; undefined if there is none. */
export function selectClaim(reader: AttrsReader, claims: readonly Claim[]): Claim | undefined {
  let best = claims[0];
  for (const claim of claims) if (best !== undefined && compareClaims(reader, claim, best) < 0) best = claim;
  return best;
}

/**
 * Has the claims of a route say that the owner wants it with `attrs`, or no longer with NO_ATTRS. What was found in the
 * kernel and is nobody's gives way to whatever an owner says.
 */
export function putClaim(claims: Claim[], owner: number, attrs: number): void {
  if (claims[0]?.owner === NOBODY && owner !== NOBODY) claims.length = 0;
  const own = claims.findIndex((claim) => claim.owner === owner);
  if (attrs === NO_ATTRS) {
    if (own !== -1) claims.splice(own, 1);
  } else if (own === -1) {
    claims.push({ owner, attrs, order: 1 + Math.max(0, ...claims.map((claim) => claim.order)), failure: 0 });
  } else {
    claims[own] = { ...claims[own]!, attrs, failure: 0 };
  }
}

/** Names a route of either family in a Map or Set. */
export function routeKey(family: Family, route: number): number {
  return route * 2 + (family === Family.IPV6 ? 1 : 0);
}

export function keyFamily(key: number): Family {
  return (key & 1) === 1 ? Family.IPV6 : Family.IPV4;
}

export function keyRoute(key: number): number {
  return Math.floor(key / 2);
}

export class Claims {
  readonly #attrs: AttrsStore;
  readonly #owners: Owners;
  /** Routes that more than one owner wants, with all their claims, in no order. */
  readonly #contested = new Map<number, Claim[]>();

  constructor(attrs: AttrsStore, owners: Owners) {
    this.#attrs = attrs;
    this.#owners = owners;
  }

  /** Routes that more than one owner wants. */
  get contested(): number {
    return this.#contested.size;
  }

  isContested(family: Family, route: number): boolean {
    return this.#contested.has(routeKey(family, route));
  }

  /** What this owner wants of the route; NO_ATTRS if nothing. */
  wantedBy(family: Family, store: RouteStore, route: number, owner: number): number {
    const claims = this.#contested.size === 0 ? undefined : this.#contested.get(routeKey(family, route));
    if (claims !== undefined) return claims.find((claim) => claim.owner === owner)?.attrs ?? NO_ATTRS;
    return store.owner(route) === owner ? store.desired(route) : NO_ATTRS;
  }

  /** What the kernel has said to this owner's claim of a contested route: the number of its reason; 0 for nothing bad. */
  failureOf(family: Family, route: number, owner: number): number {
    const claims = this.#contested.get(routeKey(family, route));
    return claims?.find((claim) => claim.owner === owner)?.failure ?? 0;
  }

  /** All claims of a route, the selected one first, then in the order in which they would take over. */
  list(family: Family, store: RouteStore, route: number): Claim[] {
    const claims = this.#contested.get(routeKey(family, route));
    if (claims !== undefined) return claims.toSorted((a, b) => compareClaims(this.#attrs.reader, a, b));
    const attrs = store.desired(route);
    if (attrs === NO_ATTRS) return [];
    // With a write under way, what the last one came to says nothing of what is wanted now.
    const isRefused = store.state(route) === RouteState.FAILED && !store.isInFlight(route);
    const failure = isRefused ? store.failure(route) : 0;
    return [{ owner: store.owner(route), attrs, order: 1, failure }];
  }

  /**
   * Has the owner want the route with these attributes, or no longer with NO_ATTRS. The record shows the selected claim
   * then.
   */
  set(family: Family, store: RouteStore, route: number, owner: number, attrs: number): void {
    const holder = store.owner(route);
    const held = store.desired(route);
    // Nearly always nobody else wants it, or any other route.
    if (this.#contested.size === 0 && (held === NO_ATTRS || holder === owner)) {
      if ((held === NO_ATTRS) !== (attrs === NO_ATTRS)) this.#count(owner, attrs === NO_ATTRS ? -1 : 1);
      this.#select(store, route, owner, attrs);
      return;
    }
    const key = routeKey(family, route);
    const claims = this.#contested.get(key);
    const before = this.wantedBy(family, store, route, owner);
    if (before === NO_ATTRS && attrs !== NO_ATTRS) this.#count(owner, 1);
    else if (before !== NO_ATTRS && attrs === NO_ATTRS) this.#count(owner, -1);

    if (claims === undefined && (held === NO_ATTRS || holder === owner || holder === NOBODY)) {
      this.#select(store, route, owner, attrs);
      return;
    }
    // The only claim so far gets its entry, with a reference of its own and what the kernel has said to it.
    const all = claims ?? this.list(family, store, route);
    if (claims === undefined) this.#attrs.acquire(held);
    assert(attrs !== NO_ATTRS || before !== NO_ATTRS, "an owner withdraws what it wanted");
    if (attrs !== NO_ATTRS) this.#attrs.acquire(attrs);
    putClaim(all, owner, attrs);
    if (before !== NO_ATTRS) this.#attrs.release(before);
    this.#contested.set(key, all);
    this.#settle(key, store, route, all);
  }

  /** The kernel has refused what this owner wants. True if another's claim is selected now. */
  fail(family: Family, store: RouteStore, route: number, owner: number, failure: number): boolean {
    const key = routeKey(family, route);
    const claims = this.#contested.get(key);
    const claim = claims?.find((each) => each.owner === owner);
    if (claims === undefined || claim === undefined) return false;
    claim.failure = failure;
    this.#settle(key, store, route, claims);
    return store.owner(route) !== owner;
  }

  /** The kernel has taken what this owner wants, which it may have refused before. True if its claim is selected only now. */
  succeed(family: Family, store: RouteStore, route: number, owner: number): boolean {
    if (this.#contested.size === 0) return false;
    const key = routeKey(family, route);
    const claims = this.#contested.get(key);
    const claim = claims?.find((each) => each.owner === owner);
    if (claims === undefined || claim === undefined || claim.failure === 0) return false;
    const before = store.owner(route);
    claim.failure = 0;
    this.#settle(key, store, route, claims);
    return store.owner(route) !== before;
  }

  /** Forgets what the kernel has refused, so that the best claim is tried again. */
  forgive(family: Family, store: RouteStore, route: number): void {
    const key = routeKey(family, route);
    const claims = this.#contested.get(key);
    if (claims === undefined) return;
    for (const claim of claims) claim.failure = 0;
    this.#settle(key, store, route, claims);
  }

  /** Claims that the kernel has refused where several are: the route's key, and the failure's number. */
  *refused(): Generator<readonly [key: number, failure: number]> {
    for (const [key, claims] of this.#contested) {
      for (const { failure } of claims) if (failure !== 0) yield [key, failure];
    }
  }

  /** Has the record show the best claim, and nothing be kept here of a route that only one owner wants. */
  #settle(key: number, store: RouteStore, route: number, claims: Claim[]): void {
    const best = selectClaim(this.#attrs.reader, claims)!;
    this.#select(store, route, best.owner, best.attrs);
    if (claims.length > 1) return;
    this.#attrs.release(best.attrs);
    this.#contested.delete(key);
  }

  #select(store: RouteStore, route: number, owner: number, attrs: number): void {
    const before = store.desired(route);
    if (before !== NO_ATTRS) this.#owners.counted(store.owner(route)).selected -= 1;
    if (attrs !== NO_ATTRS) this.#owners.counted(owner).selected += 1;
    if (attrs !== NO_ATTRS) this.#attrs.acquire(attrs);
    if (before !== NO_ATTRS) this.#attrs.release(before);
    store.setDesired(route, attrs);
    store.setOwner(route, owner);
  }

  #count(owner: number, change: number): void {
    const found = this.#owners.get(owner);
    if (found !== undefined) found.routes += change;
  }
}
