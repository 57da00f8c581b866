/**
 * A full-state sync: has an owner want exactly the routes of a list. Main thread only.
 *
 * First the whole list is staged, which changes nothing: each of its routes gets a bit, and those that are not yet as
 * wanted get three words that say what is to be done. Then the new and changed ones go to the RIB in the list's order,
 * and at last, when the kernel has answered all of them, what is not on the list is withdrawn. Updates of the owner that
 * come meanwhile are newer than the list and win over it.
 *
 * Everything is done in small steps, so that whoever drives it can let the event loop run in between, and can stop: what
 * has not been withdrawn by then stays.
 */
import { NO_ATTRS } from "../context/attrs.ts";
import type { AttrsMemo } from "../context/attrs_store.ts";
import { Family, type RouteUpdate, UpdateOp } from "../model/route.ts";
import { AdmissionError } from "./admission.ts";
import { isAdoptable, isAsWanted } from "./as_wanted.ts";
import { keyFamily, keyRoute, routeKey } from "./claims.ts";
import { NOBODY, type Owner } from "./owners.ts";
import type { Rib } from "./rib.ts";
import { RouteSet } from "./route_set.ts";
import { NO_ROUTE } from "./route_store.ts";
import { StaleWalk } from "./stale_walk.ts";
import { WordList } from "./word_list.ts";

/** Why a route cannot be on the list. */
export const StagingError = {
  ...AdmissionError,
  /** The route is on the list already. */
  DUPLICATE_ROUTE: "DUPLICATE_ROUTE",
  /** The list says what there is to be, and this is a deletion. */
  DELETE_IN_SYNC: "DELETE_IN_SYNC",
} as const;
export type StagingError = (typeof StagingError)[keyof typeof StagingError];

/** What a step did with the route at which the sync then stands. */
export const SyncStep = {
  /** There is nothing left to do. */
  DONE: 0,
  /** It is as wanted. */
  UNCHANGED: 1,
  /** A newer update of the owner has dealt with it. */
  SUPERSEDED: 2,
  /** The owner wants it from now on; a result will come. */
  INSTALLED: 3,
  /** The owner wants it with other attributes, or it is tried again; a result will come. */
  UPDATED: 4,
  /** The owner wants it no longer; a result will come. */
  DELETED: 5,
  /** Nobody wants what was found in the kernel: it will be gone, without a result. */
  SWEPT: 6,
  /** The sync is not about it. */
  PASSED: 7,
} as const;
export type SyncStep = (typeof SyncStep)[keyof typeof SyncStep];

/** Words of an entry: the route's key, its attributes (with a reference), and its line in the list. */
const ENTRY_WORDS = 3;

/** Routes passed by in one step. */
const PASSED_STEP = 64;
/** Records let go of between two pauses. */
const RELEASE_STEP = 64;

export interface SyncOptions {
  /** Makes an entry also of a route that is as wanted, for whoever reports on each. */
  keepsAll: boolean;
  /** Leaves what is stale in other tables alone. Absent: there is no such table. */
  tables?: ReadonlySet<number>;
  /** Only tells what would be done: updates of the owner need not be followed. */
  isDryRun: boolean;
}

export class RouteSync {
  readonly owner: Owner;
  /** Where the last step stood. */
  family: Family = Family.IPV4;
  route = NO_ROUTE;
  /** Attributes in the list; NO_ATTRS for what is not on it. */
  attrs = NO_ATTRS;
  /** Line in the list; 0 for what is not on it. */
  line = 0;
  readonly #rib: Rib;
  readonly #options: SyncOptions;
  /** Both keep their routes' records, so that the numbers stand for the same routes until the end. */
  readonly #listed = new RouteSet();
  readonly #newer = new RouteSet();
  readonly #entries = new WordList();
  #next = 0;
  #walk: StaleWalk | null = null;
  /** Whether what was found in a table must have been the owner's, by table. */
  readonly #isOwnTable = new Map<number, boolean>();

  /** Begins a sync; the owner has none under way. Call {@linkcode end} and {@linkcode release} at last. */
  constructor(rib: Rib, owner: Owner, options: SyncOptions) {
    this.#rib = rib;
    this.owner = owner;
    this.#options = options;
    rib.holds.add(this.#listed).add(this.#newer);
    if (!options.isDryRun) owner.newer = this.#newer;
  }

  /** Routes on the list. */
  get listed(): number {
    return this.#listed.size;
  }

  /** Those of them of which there is nothing to do or to report. */
  get passed(): number {
    return this.#listed.size - this.#entries.length / ENTRY_WORDS;
  }

  /** Entries that {@linkcode apply} has not come to. */
  get left(): number {
    return (this.#entries.length - this.#next) / ENTRY_WORDS;
  }

  /** Takes a route onto the list. Nothing has happened where it cannot be. `memo` is as in {@linkcode Rib.admit}. */
  stage(update: RouteUpdate, line: number, memo: AttrsMemo | null = null): StagingError | null {
    const { family, table } = update;
    const { prefixLimit } = this.owner.settings;
    if (update.op === UpdateOp.DELETE) return StagingError.DELETE_IN_SYNC;
    if (!this.owner.mayWrite(table)) return StagingError.TABLE_NOT_ALLOWED;
    const attrs = memo === null ? this.#rib.attrs.intern(update) : this.#rib.attrs.internAgain(update, memo);
    if (attrs === NO_ATTRS) return StagingError.OUT_OF_ATTRS;
    const route = this.#rib.findOrInsert(update);
    let error: StagingError | null = null;
    if (route === NO_ROUTE) error = this.#rib.whyNoRoute(family);
    else if (!this.#listed.add(family, route)) error = StagingError.DUPLICATE_ROUTE;
    else if (prefixLimit !== 0 && this.#listed.size > prefixLimit) error = StagingError.PREFIX_LIMIT;
    const store = this.#rib.store(family);
    if (error === null && (this.#options.keepsAll || !isAsWanted(this.#rib, this.owner, family, store, route, attrs))) {
      this.#entries.push(routeKey(family, route));
      this.#entries.push(attrs);
      this.#entries.push(line);
    } else {
      this.#rib.attrs.release(attrs);
    }
    return error;
  }

  /** Goes to the next entry. Its attributes are valid until {@linkcode drop}. False after the last one. */
  advance(): boolean {
    if (this.#next === this.#entries.length) return false;
    const key = this.#entries.at(this.#next);
    this.family = keyFamily(key);
    this.route = keyRoute(key);
    this.attrs = this.#entries.at(this.#next + 1);
    this.line = this.#entries.at(this.#next + 2);
    return true;
  }

  /** Lets go of the entry. */
  drop(): void {
    this.#rib.attrs.release(this.attrs);
    this.#next += ENTRY_WORDS;
  }

  /** Carries out the next entry, for which there must be room in the dataplane. */
  apply(session: number): SyncStep {
    if (!this.advance()) return SyncStep.DONE;
    const step = this.#applyEntry(session);
    this.drop();
    return step;
  }

  #applyEntry(session: number): SyncStep {
    const { family, route, attrs, owner } = this;
    const rib = this.#rib;
    const store = rib.store(family);
    if (this.#newer.has(family, route)) return SyncStep.SUPERSEDED;
    if (isAsWanted(rib, owner, family, store, route, attrs)) return SyncStep.UNCHANGED;
    if (isAdoptable(rib, store, route, attrs)) {
      rib.claimAdopted(family, route, owner, attrs);
      return SyncStep.UNCHANGED;
    }
    const isNew = rib.claims.wantedBy(family, store, route, owner.id) === NO_ATTRS;
    rib.admitAt(family, route, owner, attrs, session, this.line);
    return isNew ? SyncStep.INSTALLED : SyncStep.UPDATED;
  }

  /**
   * Deals with the next route of the RIB that is not on the list, for which there must be room in the dataplane. Only
   * after all results of {@linkcode apply} have come.
   */
  withdraw(session: number): SyncStep {
    const step = this.nextStale();
    if (step === SyncStep.DELETED) {
      this.#rib.admitAt(this.family, this.route, this.owner, NO_ATTRS, session, 0);
    } else if (step === SyncStep.SWEPT) {
      this.#rib.sweep(this.family, this.route);
    }
    return step;
  }

  /** What {@linkcode withdraw} is to do with the next route of the RIB, or some of those that it passes by. */
  nextStale(): SyncStep {
    let step = this.#nextStale();
    for (let passed = 1; step === SyncStep.PASSED && passed < PASSED_STEP; passed++) step = this.#nextStale();
    return step;
  }

  #nextStale(): SyncStep {
    const rib = this.#rib;
    this.#walk ??= new StaleWalk(rib);
    if (!this.#walk.next()) return SyncStep.DONE;
    const { family, route } = this.#walk;
    const store = rib.store(family);
    if (route === NO_ROUTE || !store.isUsed(route)) return SyncStep.PASSED;
    if (this.#listed.has(family, route) || this.#newer.has(family, route)) return SyncStep.PASSED;
    if (this.#options.tables?.has(rib.keyClass(store, route).table) === false) return SyncStep.PASSED;
    this.family = family;
    this.route = route;
    this.attrs = NO_ATTRS;
    this.line = 0;
    if (rib.claims.wantedBy(family, store, route, this.owner.id) !== NO_ATTRS) return SyncStep.DELETED;
    const isNobodys = store.owner(route) === NOBODY && store.desired(route) !== NO_ATTRS;
    return isNobodys && this.#isOwn(rib.keyClass(store, route).table) ? SyncStep.SWEPT : SyncStep.PASSED;
  }

  /** Ends it, however far it came: the owner may have another. What it holds is held until {@linkcode release}. */
  end(): void {
    if (this.owner.newer === this.#newer) this.owner.newer = null;
  }

  /** Lets go of what the sync holds; pauses now and then. */
  *release(): Generator<void> {
    for (let dropped = 1; this.advance(); dropped++) {
      this.drop();
      if (dropped % RELEASE_STEP === 0) yield;
    }
    yield* releaseRecords(this.#rib, this.#listed);
    yield* releaseRecords(this.#rib, this.#newer);
  }

  #isOwn(table: number): boolean {
    let isOwn = this.#isOwnTable.get(table);
    if (isOwn === undefined) {
      isOwn = this.#rib.owners.attribute(table) === this.owner;
      this.#isOwnTable.set(table, isOwn);
    }
    return isOwn;
  }
}

/** Frees the records that only `set` has kept, which no longer does; pauses now and then. */
export function* releaseRecords(rib: Rib, set: RouteSet): Generator<void> {
  rib.holds.delete(set);
  let released = 0;
  for (const family of [Family.IPV4, Family.IPV6] as const) {
    for (let route = set.next(family, 1); route !== NO_ROUTE; route = set.next(family, route + 1)) {
      rib.forget(family, route);
      released += 1;
      if (released % RELEASE_STEP === 0) yield;
    }
  }
}
