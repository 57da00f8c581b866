/**
 * What updates would come to, without doing any of it: each is laid over the claims that there are, by the same rules as
 * in core/rib/claims.ts. Main thread only.
 */
import { NO_ATTRS } from "../context/attrs.ts";
import { Family, type RouteUpdate, UpdateOp } from "../model/route.ts";
import { AdmissionError, checkClaim } from "./admission.ts";
import { type Claim, putClaim, selectClaim } from "./claims.ts";
import { NOBODY, type Owner } from "./owners.ts";
import type { Rib } from "./rib.ts";
import { RouteSet } from "./route_set.ts";
import { NO_ROUTE } from "./route_store.ts";
import { RouteWords } from "./route_words.ts";
import { releaseRecords } from "./sync.ts";

/** What the kernel would be told: to take a route, another in its place, to give it up, or nothing. */
export type PlanKind = "add" | "replace" | "delete" | "none";

/** A route as the kernel holds it, or would. */
export interface Held {
  /** Its attributes in the words of whoever wants it so. */
  attrs: number;
  /** The same as the kernel is told. */
  written: number;
  owner: number;
}

export interface PlannedChange {
  kind: PlanKind;
  family: Family;
  route: number;
  old: Held | null;
  new: Held | null;
  /** Number of the owner whose route is selected, where that is not the one that asks; 0 for none. */
  winner: number;
  /** The nexthop group that the selected route waits for; 0 for none. */
  nexthopGroup: number;
}

/**
 * What the kernel is told when `owner` comes to want the route with `attrs`, or no longer with NO_ATTRS. `earlier`: what
 * the owner would want by then already, as a list of such steps.
 */
export function planClaim(
  rib: Rib,
  family: Family,
  route: number,
  owner: number,
  attrs: number,
  earlier: readonly number[] = [],
): PlannedChange {
  const store = rib.store(family);
  const claims = rib.claims.list(family, store, route).map((claim) => ({ ...claim }));
  let old = describeHeld(rib, family, route);
  for (const step of earlier) {
    putClaim(claims, owner, step);
    old = settle(rib, family, route, claims, old);
  }
  putClaim(claims, owner, attrs);
  const next = settle(rib, family, route, claims, old);
  const selected = selectClaim(rib.attrs.reader, claims);
  const isWaiting = selected !== undefined && rib.resolve(store, route, selected.attrs) === NO_ATTRS;
  return {
    kind: kindOf(rib, old, next),
    family,
    route,
    old,
    new: next,
    winner: selected === undefined || selected.owner === owner ? NOBODY : selected.owner,
    nexthopGroup: isWaiting ? rib.attrs.reader.nexthopGroup(selected.attrs) : 0,
  };
}

/** What the kernel holds of a route now. */
function describeHeld(rib: Rib, family: Family, route: number): Held | null {
  const store = rib.store(family);
  const written = store.programmed(route);
  if (written === NO_ATTRS) return null;
  const isAsWanted = rib.compare.isSame(rib.target(store, route), written);
  return { attrs: isAsWanted ? store.desired(route) : written, written, owner: store.owner(route) };
}

/** What the kernel holds once these claims are dealt with. */
function settle(rib: Rib, family: Family, route: number, claims: readonly Claim[], held: Held | null): Held | null {
  const selected = selectClaim(rib.attrs.reader, claims);
  if (selected === undefined) return null;
  const { attrs, owner } = selected;
  const written = rib.resolve(rib.store(family), route, attrs);
  // While there is nothing that could be written, what is there stays.
  return written === NO_ATTRS ? held : { attrs, written, owner };
}

function kindOf(rib: Rib, old: Held | null, next: Held | null): PlanKind {
  if (old === null) return next === null ? "none" : "add";
  if (next === null) return "delete";
  return rib.compare.isSame(next.written, old.written) ? "none" : "replace";
}

/** What an earlier update of the plan has the owner want of a route: these bits, and the attributes in those below. */
const IS_PLANNED = 1 << 31;
const WAS_WITHDRAWN = 1 << 30;
const ATTRS_MASK = WAS_WITHDRAWN - 1;

/** Records let go of between two pauses. */
const RELEASE_STEP = 64;

/** Updates of one owner, each laid over those before it. */
export class UpdatePlan {
  readonly #rib: Rib;
  readonly #owner: Owner;
  /** Keeps the records of the routes that only the plan knows. */
  readonly #routes = new RouteSet();
  /** Of these routes, what the owner would want by now; attributes with a reference. */
  readonly #wanted = new RouteWords();
  /** Routes that the owner would have. */
  #count: number;
  /** Attributes that the last update has replaced, kept for as long as its change is looked at. */
  #replaced = NO_ATTRS;

  /** Ends with {@linkcode UpdatePlan.release}. */
  constructor(rib: Rib, owner: Owner) {
    this.#rib = rib;
    this.#owner = owner;
    this.#count = owner.routes;
    rib.holds.add(this.#routes);
  }

  /** The change that the update would make, or why it would be refused. */
  plan(update: RouteUpdate): PlannedChange | AdmissionError {
    const rib = this.#rib;
    const { family } = update;
    this.#drop(this.#replaced);
    this.#replaced = NO_ATTRS;
    if (!this.#owner.mayWrite(update.table)) return AdmissionError.TABLE_NOT_ALLOWED;
    const attrs = update.op === UpdateOp.DELETE ? NO_ATTRS : rib.attrs.intern(update);
    if (attrs === NO_ATTRS && update.op !== UpdateOp.DELETE) return AdmissionError.OUT_OF_ATTRS;
    const route = rib.findOrInsert(update);
    if (route !== NO_ROUTE) this.#routes.add(family, route);
    const refused = route === NO_ROUTE ? rib.whyNoRoute(family) : this.#check(family, route, attrs);
    if (refused !== null) {
      this.#drop(attrs);
      return refused;
    }
    const earlier = this.#wanted.get(family, route);
    const steps: number[] = [];
    if ((earlier & WAS_WITHDRAWN) !== 0) steps.push(NO_ATTRS);
    if ((earlier & IS_PLANNED) !== 0) steps.push(earlier & ATTRS_MASK);
    const change = planClaim(rib, family, route, this.#owner.id, attrs, steps);
    const withdrawn = attrs === NO_ATTRS ? WAS_WITHDRAWN : earlier & WAS_WITHDRAWN;
    this.#wanted.set(family, route, (IS_PLANNED | withdrawn | attrs) >>> 0);
    this.#replaced = earlier & ATTRS_MASK;
    return change;
  }

  #check(family: Family, route: number, attrs: number): AdmissionError | null {
    const store = this.#rib.store(family);
    const earlier = this.#wanted.get(family, route);
    const claimed = this.#rib.claims.wantedBy(family, store, route, this.#owner.id);
    const own = (earlier & IS_PLANNED) !== 0 ? earlier & ATTRS_MASK : claimed;
    const isOfOthers = this.#rib.claims
      .list(family, store, route)
      .some(({ owner }) => owner !== this.#owner.id && owner !== NOBODY);
    const refused = checkClaim(this.#owner, this.#count, own, attrs, isOfOthers);
    if (refused === null) this.#count += Number(attrs !== NO_ATTRS) - Number(own !== NO_ATTRS);
    return refused;
  }

  #drop(attrs: number): void {
    if (attrs !== NO_ATTRS) this.#rib.attrs.release(attrs);
  }

  /** Lets go of what the plan holds; pauses now and then. */
  *release(): Generator<void> {
    this.#drop(this.#replaced);
    this.#replaced = NO_ATTRS;
    for (const family of [Family.IPV4, Family.IPV6] as const) {
      for (let route = this.#routes.next(family, 1); route !== NO_ROUTE; route = this.#routes.next(family, route + 1)) {
        this.#drop(this.#wanted.get(family, route) & ATTRS_MASK);
        if (route % RELEASE_STEP === 0) yield;
      }
    }
    yield* releaseRecords(this.#rib, this.#routes);
  }
}
