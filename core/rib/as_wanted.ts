/**
 * Whether a route is already as its owner says it is to be, so that nothing has to be written. A client that tells all of
 * its routes again, after a restart of its own or of the daemon, mostly says what is so. Main thread only.
 */
import { NO_ATTRS } from "../context/attrs.ts";
import type { Family, RouteUpdate } from "../model/route.ts";
import { NOBODY, type Owner } from "./owners.ts";
import type { Rib } from "./rib.ts";
import { NO_ROUTE, RouteState, type RouteStore } from "./route_store.ts";

/** The owner wants it like this, and the kernel has confirmed that it is so, or holds a better route of another. */
export function isAsWanted(
  rib: Rib,
  owner: Owner,
  family: Family,
  store: RouteStore,
  route: number,
  attrs: number,
): boolean {
  if (rib.claims.wantedBy(family, store, route, owner.id) !== attrs) return false;
  if (store.owner(route) !== owner.id) return rib.claims.failureOf(family, route, owner.id) === 0;
  return isConfirmed(rib, store, route, attrs);
}

/** It is in the kernel from an earlier life of the daemon, just as the owner wants it. */
export function isAdoptable(rib: Rib, store: RouteStore, route: number, attrs: number): boolean {
  const isNobodys = store.owner(route) === NOBODY && store.desired(route) !== NO_ATTRS;
  return isNobodys && isConfirmed(rib, store, route, attrs);
}

/** Has the owner want what an install says if nothing has to be written for that; then true. */
export function takeAsIs(rib: Rib, update: RouteUpdate, owner: Owner): boolean {
  const { family } = update;
  const route = rib.findRoute(update);
  if (route === NO_ROUTE || !owner.mayWrite(update.table)) return false;
  const attrs = rib.attrs.intern(update);
  if (attrs === NO_ATTRS) return false;
  const store = rib.store(family);
  let isTaken = isAsWanted(rib, owner, family, store, route, attrs);
  if (!isTaken && !owner.isFull() && isAdoptable(rib, store, route, attrs)) {
    rib.claimAdopted(family, route, owner, attrs);
    isTaken = true;
  }
  if (isTaken) owner.newer?.add(family, route);
  rib.attrs.release(attrs);
  return isTaken;
}

function isConfirmed(rib: Rib, store: RouteStore, route: number, attrs: number): boolean {
  if (store.state(route) !== RouteState.PROGRAMMED || store.isInFlight(route)) return false;
  return rib.compare.isSame(rib.resolve(store, route, attrs), store.programmed(route));
}
