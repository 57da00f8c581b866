/**
 * An interface that was deleted and made again has another number, and those who named it by name mean the new one: what
 * owners want over the old number is moved to the new. Main thread only.
 */
import { ATTRS_NEXTHOP, type AttrsReader, NO_ATTRS } from "../context/attrs.ts";
import { createRouteUpdate } from "../model/route.ts";
import { routeKey } from "./claims.ts";
import { NOBODY } from "./owners.ts";
import type { Rib } from "./rib.ts";
import { walkRoutes } from "./walk.ts";

/** Moves all claims from interface `from` to interface `to`, and has their routes written. Returns how many there were. */
export async function renumberRoutes(rib: Rib, from: number, to: number): Promise<number> {
  /** By attributes: the same over the new interface, or NO_ATTRS if they are not over the old one. Both are held here. */
  const moved = new Map<number, number>();
  const update = createRouteUpdate();
  const move = (attrs: number): number => {
    let after = moved.get(attrs);
    if (after !== undefined) return after;
    after = NO_ATTRS;
    if (usesInterface(rib.attrs.reader, attrs, from)) {
      rib.attrs.reader.read(attrs, update);
      for (const nexthop of update.nexthops) if (nexthop.ifindex === from) nexthop.ifindex = to;
      after = rib.attrs.intern(update);
    }
    rib.attrs.acquire(attrs);
    moved.set(attrs, after);
    return after;
  };
  let routes = 0;
  await walkRoutes(rib, (family, store, route) => {
    const isContested = rib.claims.isContested(family, route);
    const desired = store.desired(route);
    if (desired === NO_ATTRS || (!isContested && (store.owner(route) === NOBODY || move(desired) === NO_ATTRS))) return;
    for (const { owner, attrs } of rib.claims.list(family, store, route)) {
      const after = move(attrs);
      if (after === NO_ATTRS) continue;
      rib.claims.set(family, store, route, owner, after);
      rib.reconciler.add(routeKey(family, route));
      routes += 1;
    }
  });
  for (const [before, after] of moved) {
    rib.attrs.release(before);
    if (after !== NO_ATTRS) rib.attrs.release(after);
  }
  return routes;
}

function usesInterface(reader: AttrsReader, attrs: number, ifindex: number): boolean {
  for (let index = 0; index < reader.nexthopCount(attrs); index++) {
    const offset = reader.nexthopOffset(attrs, index) + ATTRS_NEXTHOP.IFINDEX;
    if (reader.view.getUint32(offset, true) === ifindex) return true;
  }
  return false;
}
