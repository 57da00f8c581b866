/**
 * The RIB: what clients want in the forwarding plane, and what became of it. Main thread only.
 *
 * An update enters through `admit`, which records the owner's claim, fills a context and gives it to the dataplane; its
 * result comes back through `settle`, which records the outcome and tells whoever asked. Of one route there is at most
 * one context with the dataplane: other updates wait here, and when the way is free one write does for all of them. So
 * updates of one route are applied in order, whatever the providers do, and a result always compares with what the
 * kernel really held before.
 *
 * Where the kernel is found to differ, or a better claim came or went, the daemon itself writes (`bring`).
 */
import type { Clock } from "../clock.ts";
import { SHARED_ROUTES_MIN } from "../constants.ts";
import { NO_ATTRS, NOT_SHARED } from "../context/attrs.ts";
import type { AttrsMemo, AttrsStore } from "../context/attrs_store.ts";
import { ContextFlag, ContextOp, ContextStatus, DplaneError, isNexthopOp, U8, U32 } from "../context/layout.ts";
import type { Dataplane } from "../dataplane/dataplane.ts";
import { type Family, type RouteUpdate, UpdateOp } from "../model/route.ts";
import { AdmissionError, checkClaim } from "./admission.ts";
import { keyFamily, keyRoute, routeKey } from "./claims.ts";
import type { GroupResolver } from "./group_resolver.ts";
import type { KeyClass } from "./key_classes.ts";
import { createLatencies, type Latencies, observeLatencies } from "./latency.ts";
import { Outcome, type RibObserver, type UpdateSession } from "./outcome.ts";
import { NOBODY, type Owner } from "./owners.ts";
import { Reconciler } from "./reconciler.ts";
import { fillContext, isAskedDelete, isInDoubt } from "./rib_context.ts";
import type { RouteSet } from "./route_set.ts";
import { NO_ROUTE, RouteState, type RouteStore } from "./route_store.ts";
import { epochSeconds, RouteTable } from "./route_table.ts";
import { NO_SESSION, Sessions } from "./sessions.ts";

export class Rib extends RouteTable {
  readonly clock: Clock;
  readonly reconciler: Reconciler;
  readonly latencies: Latencies = createLatencies();
  readonly observers: RibObserver[] = [];
  readonly results: Record<Outcome, number> = {
    fib_programmed: 0,
    fib_failed: 0,
    rib_programmed: 0,
    skipped: 0,
    superseded: 0,
  };
  /** Routes that were written to, or forgotten, while somebody watches for that. */
  readonly touched = new Set<RouteSet>();
  groups: GroupResolver | null = null;
  /** Routes with the same nexthops from which on an object of them is worth it. */
  sharedRoutesMin = SHARED_ROUTES_MIN;
  /** When the list of results being settled, or the last one, was taken; on the clock of core/clock.ts. */
  settledAt = 0;
  readonly #dataplane: Dataplane;
  readonly #sessions = new Sessions();
  /** Seconds since 1970, as of the list of results being settled. */
  #seconds = 0;
  /** Updates that wait for the context of their route that is with the dataplane, oldest first, by route key. */
  readonly #waiting = new Map<number, number[]>();
  /** Routes to be brought in line when the context that is with the dataplane is back. */
  readonly #again = new Set<number>();
  /** Routes of which what the kernel has refused is forgotten before they are brought in line. */
  readonly #pardons = new Set<number>();
  /** Routes of which the kernel may hold something else than what was last confirmed. */
  readonly #doubts = new Set<number>();
  /** Routes of which the kernel may hold what its owner has withdrawn, because another's is to replace it. */
  readonly #withdrawn = new Set<number>();

  constructor(attrs: AttrsStore, dataplane: Dataplane) {
    super(attrs);
    this.#dataplane = dataplane;
    this.clock = dataplane.clock;
    this.reconciler = new Reconciler(dataplane, (key) => this.#bring(key));
  }

  /** Has somebody watch what becomes of all routes. */
  observe(observer: RibObserver): void {
    if (!this.observers.includes(observer)) this.observers.push(observer);
  }

  unobserve(observer: RibObserver): void {
    const at = this.observers.indexOf(observer);
    if (at !== -1) this.observers.splice(at, 1);
  }

  /** Registers a session; its number goes with each of its updates. */
  openSession(session: UpdateSession): number {
    return this.#sessions.open(session);
  }

  /** Results of updates still under way go to nobody; the RIB keeps them all the same. */
  closeSession(id: number): void {
    this.#sessions.close(id);
  }

  /**
   * Admits one update; the caller has asked the dataplane for room. Exactly one result will go to the session, perhaps
   * before this returns, unless an error is returned: then nothing has happened. `memo` is for the attributes of updates
   * that all have the same.
   */
  admit(
    update: RouteUpdate,
    owner: Owner,
    session: number,
    line: number,
    memo: AttrsMemo | null = null,
  ): AdmissionError | null {
    return this.#enter(update, owner, session, line, memo);
  }

  /**
   * As {@linkcode admit}, for whoever cannot wait for room: the owner wants it from now on, and it is written when there
   * is room. There is no result, and what comes for the same route until then takes its place.
   */
  want(update: RouteUpdate, owner: Owner): AdmissionError | null {
    return this.#enter(update, owner, NO_SESSION, 0, null);
  }

  #enter(
    update: RouteUpdate,
    owner: Owner,
    session: number,
    line: number,
    memo: AttrsMemo | null,
  ): AdmissionError | null {
    const install = update.op === UpdateOp.INSTALL;
    const { family, table, metric, source, sourceLength } = update;
    if (!owner.mayWrite(table)) return AdmissionError.TABLE_NOT_ALLOWED;
    let attrs = NO_ATTRS;
    if (install) attrs = memo === null ? this.attrs.intern(update) : this.attrs.internAgain(update, memo);
    if (install && attrs === NO_ATTRS) return AdmissionError.OUT_OF_ATTRS;
    const keyClass = this.classes.intern(family, table, metric, source, sourceLength);
    const error =
      keyClass === undefined
        ? AdmissionError.OUT_OF_KEY_CLASSES
        : this.#admitTo(keyClass, update, owner, attrs, session, line);
    if (attrs !== NO_ATTRS) this.attrs.release(attrs);
    return error;
  }

  #admitTo(
    keyClass: KeyClass,
    update: RouteUpdate,
    owner: Owner,
    attrs: number,
    session: number,
    line: number,
  ): AdmissionError | null {
    const { family, prefix, prefixLength } = update;
    const store = this.store(family);
    let route = store.find(prefix, prefixLength, keyClass.id);
    const known = route !== NO_ROUTE;
    const refused = this.#checkClaim(family, store, route, owner, attrs);
    if (refused !== null) {
      if (keyClass.routes === 0) this.classes.drop(keyClass);
      return refused;
    }
    if (!known) route = this.insertMissing(keyClass, store, prefixLength);
    if (route === NO_ROUTE) {
      if (keyClass.routes === 0) this.classes.drop(keyClass);
      return AdmissionError.OUT_OF_ROUTES;
    }
    owner.newer?.add(family, route);
    if (session !== NO_SESSION) this.admitAt(family, route, owner, attrs, session, line, known);
    else {
      this.#claim(family, store, route, owner.id, attrs);
      this.reconciler.add(routeKey(family, route));
    }
    return null;
  }

  #checkClaim(family: Family, store: RouteStore, route: number, owner: Owner, attrs: number): AdmissionError | null {
    if (route === NO_ROUTE) return checkClaim(owner, owner.routes, NO_ATTRS, attrs, false);
    const own = this.claims.wantedBy(family, store, route, owner.id);
    const isOfOthers = store.desired(route) !== NO_ATTRS && store.owner(route) !== NOBODY;
    return checkClaim(owner, owner.routes, own, attrs, isOfOthers);
  }

  /**
   * As {@linkcode admit}, for a route that has its record: the owner wants it with `attrs`, or no longer with NO_ATTRS.
   * `known`: it had one before this update.
   */
  admitAt(
    family: Family,
    route: number,
    owner: Owner,
    attrs: number,
    session: number,
    line: number,
    known = true,
  ): void {
    const store = this.store(family);
    this.#claim(family, store, route, owner.id, attrs);
    const slot = this.#dataplane.acquire();
    fillContext(this.#dataplane, slot, store, route, this.keyClass(store, route));
    const { contexts } = this.#dataplane;
    contexts.setU32(slot, U32.OWNER, owner.id);
    contexts.setU32(slot, U32.CLIENT_OP, attrs === NO_ATTRS ? UpdateOp.DELETE : UpdateOp.INSTALL);
    contexts.setU32(slot, U32.SESSION, session);
    contexts.setU32(slot, U32.LINE, line);
    if (known) contexts.setFlag(slot, ContextFlag.KNOWN);
    if (!store.isInFlight(route)) this.#dispatchOne(family, store, route, slot, owner.id);
    else {
      const key = routeKey(family, route);
      const waiting = this.#waiting.get(key);
      if (waiting === undefined) this.#waiting.set(key, [slot]);
      else waiting.push(slot);
    }
  }

  #claim(family: Family, store: RouteStore, route: number, owner: number, attrs: number): void {
    const isWithdrawal = attrs === NO_ATTRS && store.owner(route) === owner;
    const before = store.desired(route) === NO_ATTRS ? NOBODY : store.owner(route);
    this.claims.set(family, store, route, owner, attrs);
    const after = store.owner(route);
    if (before !== NOBODY && before !== after) {
      for (const observer of this.observers) observer.onSelection?.(family, route, before, after, attrs === NO_ATTRS);
    }
    // Only where others want it as well does the route outlive a withdrawal.
    if (isWithdrawal && store.desired(route) !== NO_ATTRS) this.#withdrawn.add(routeKey(family, route));
  }

  /** Wakes the dataplane for what was admitted; call it at the end of a run of {@linkcode admit}. */
  flush(): void {
    this.#dataplane.flush();
  }

  #touch(family: Family, route: number): void {
    for (const set of this.touched) set.add(family, route);
  }

  /** What the kernel is to hold of a route; NO_ATTRS for nothing, and while what is wanted cannot be written. */
  target(store: RouteStore, route: number): number {
    const desired = store.desired(route);
    // What was found in the kernel names an object by the kernel's number.
    return store.owner(route) === NOBODY ? desired : this.resolve(store, route, desired);
  }

  /** What is written for a route that is wanted with `attrs`; NO_ATTRS where nothing can be. */
  resolve(store: RouteStore, route: number, attrs: number): number {
    if (attrs === NO_ATTRS || this.attrs.reader.nexthopGroup(attrs) === 0) return attrs;
    return this.groups?.resolve(attrs, this.keyClass(store, route)) ?? NO_ATTRS;
  }

  /** As {@linkcode #dispatch} for one update, which nearly always carries the write: without a list, a million times. */
  #dispatchOne(family: Family, store: RouteStore, route: number, slot: number, owner: number): void {
    const target = this.target(store, route);
    const isCarrier = target === NO_ATTRS ? store.desired(route) === NO_ATTRS : store.owner(route) === owner;
    if (isCarrier) this.#send(family, store, route, slot, target);
    else this.#dispatch(family, store, route, [slot]);
  }

  /**
   * Carries out the updates of a route that have come since the last write: one of them carries the write, if there is
   * anything to write, and the others have their results now.
   */
  #dispatch(family: Family, store: RouteStore, route: number, slots: readonly number[]): void {
    const { contexts } = this.#dataplane;
    // Whoever answers a result with another update of this route has it wait its turn.
    store.setInFlight(route, true);
    const target = this.target(store, route);
    const selected = store.owner(route);
    let carrier = slots.length - 1;
    if (store.desired(route) !== NO_ATTRS) {
      const isOfSelected = (slot: number): boolean => contexts.getU32(slot, U32.OWNER) === selected;
      const differs = !this.compare.isSame(target, store.programmed(route));
      carrier = slots.findLastIndex(isOfSelected);
      if (target === NO_ATTRS) {
        // There is no such nexthop group yet.
        carrier = -1;
        this.#setOutcome(store, route, RouteState.WAITING, 0);
      } else if (carrier === -1) {
        if (differs) carrier = slots.length - 1;
        else if (!this.#doubts.has(routeKey(family, route))) this.#confirm(family, store, route, target);
      }
    }
    for (const [index, slot] of slots.entries()) {
      if (index === carrier) continue;
      const owner = contexts.getU32(slot, U32.OWNER);
      const isReplaced = slots.some((later, at) => at > index && contexts.getU32(later, U32.OWNER) === owner);
      if (owner !== selected) contexts.setU32(slot, U32.WINNER, selected);
      contexts.setFlag(slot, ContextFlag.HELD);
      this.#deliver(slot, isReplaced ? Outcome.SUPERSEDED : Outcome.RIB_PROGRAMMED);
    }
    if (carrier !== -1) this.#send(family, store, route, slots[carrier]!, target);
    else this.#next(family, store, route);
  }

  /** The way of a route is free: what waits for it is carried out. */
  #next(family: Family, store: RouteStore, route: number): void {
    const key = routeKey(family, route);
    const waiting = this.#waiting.size === 0 ? undefined : this.#waiting.get(key);
    if (waiting !== undefined) {
      this.#waiting.delete(key);
      this.#dispatch(family, store, route, waiting);
      this.#dataplane.flush();
      return;
    }
    store.setInFlight(route, false);
    if (this.#again.size > 0 && this.#again.delete(key)) this.reconciler.add(key);
    else if (store.programmed(route) === NO_ATTRS && !this.#doubts.has(key)) this.forget(family, route);
  }

  /** Gives a context to the dataplane, together with what the kernel holds for its route. */
  #send(family: Family, store: RouteStore, route: number, slot: number, target: number): void {
    const { contexts } = this.#dataplane;
    const programmed = store.programmed(route);
    const selected = store.owner(route);
    if (target === NO_ATTRS) contexts.setU8(slot, U8.OP, ContextOp.ROUTE_DELETE);
    else {
      // What is in doubt and was never confirmed may be somebody else's: only a new route asks the kernel for that.
      contexts.setU8(slot, U8.OP, programmed !== NO_ATTRS ? ContextOp.ROUTE_UPDATE : ContextOp.ROUTE_INSTALL);
      const references = this.attrs.acquire(target);
      // A route has two, as wanted and as programmed.
      if (references >= 2 * this.sharedRoutesMin && this.attrs.object(target) === NOT_SHARED)
        this.groups?.share(target);
      contexts.setU32(slot, U32.ATTRS, target);
      if (selected !== contexts.getU32(slot, U32.OWNER)) contexts.setU32(slot, U32.WINNER, selected);
      if (this.owners.get(selected)?.settings.takeOver) contexts.setFlag(slot, ContextFlag.TAKE_OVER);
    }
    if (programmed !== NO_ATTRS) {
      this.attrs.acquire(programmed);
      contexts.setU32(slot, U32.OLD_ATTRS, programmed);
    }
    if (this.touched.size > 0) this.#touch(family, route);
    store.setInFlight(route, true);
    this.#dataplane.enqueue(slot);
  }

  /** Routes that a write is under way of. */
  underWay(): [Family, number][] {
    const { contexts } = this.#dataplane;
    const routes: [Family, number][] = [];
    for (const slot of this.#dataplane.underWay()) {
      if (isNexthopOp(contexts.getU8(slot, U8.OP))) continue;
      routes.push([contexts.getU8(slot, U8.FAMILY) as Family, contexts.getU32(slot, U32.ENTRY)]);
    }
    return routes;
  }

  /** Has the kernel hold what is wanted of a route, if it does not or that is in doubt. Needs room in the dataplane. */
  #bring(key: number): void {
    const family = keyFamily(key);
    const route = keyRoute(key);
    const store = this.store(family);
    if (!store.isUsed(route)) return;
    if (store.isInFlight(route)) {
      this.#again.add(key);
      return;
    }
    if (this.#pardons.delete(key)) this.claims.forgive(family, store, route);
    const target = this.target(store, route);
    const programmed = store.programmed(route);
    const isWanted = store.desired(route) !== NO_ATTRS;
    this.#seconds = epochSeconds();
    if (isWanted && target === NO_ATTRS) return this.#setOutcome(store, route, RouteState.WAITING, 0);
    if (!this.#doubts.has(key) && (target === programmed || this.compare.isSame(target, programmed))) {
      if (isWanted) this.#confirm(family, store, route, target);
      else this.forget(family, route);
      return;
    }
    const slot = this.#dataplane.acquire();
    fillContext(this.#dataplane, slot, store, route, this.keyClass(store, route));
    this.#dataplane.contexts.setFlag(slot, ContextFlag.KNOWN);
    this.#send(family, store, route, slot, target);
  }

  /** A route that was found in the kernel at the start is what the owner wants: it is the owner's, without a write. */
  claimAdopted(family: Family, route: number, owner: Owner, attrs: number): void {
    const store = this.store(family);
    this.claims.set(family, store, route, owner.id, attrs);
    this.#takeProgrammed(store, route, this.target(store, route));
    this.noteFound(family, route);
  }

  /** The kernel holds what is selected already: nothing has to be written. */
  #confirm(family: Family, store: RouteStore, route: number, target: number): void {
    const isNews = this.#takeProgrammed(store, route, target);
    if (isNews) this.noteFound(family, route);
    if (store.state(route) !== RouteState.PROGRAMMED) this.#setOutcome(store, route, RouteState.PROGRAMMED, 0);
    this.#withdrawn.delete(routeKey(family, route));
    this.claims.succeed(family, store, route, store.owner(route));
  }

  /** What the kernel holds comes to `target`, and is called that from now on. True if it had another name. */
  #takeProgrammed(store: RouteStore, route: number, target: number): boolean {
    const held = store.programmed(route);
    if (held === target) return false;
    const { reader } = this.attrs;
    const object = held === NO_ATTRS ? 0 : reader.nexthopGroup(held);
    // An object from an earlier life that stands for the nexthops is kept for as long as a route's attributes name it.
    if (object !== 0 && reader.nexthopGroup(target) !== object && !this.groups?.adopt(target, object)) return false;
    this.setProgrammed(store, route, target);
    return true;
  }

  /** Tries a route again that the kernel has refused. */
  retry(family: Family, route: number): void {
    this.pardon(family, route);
    this.reconciler.add(routeKey(family, route));
  }

  /** When the daemon writes the route the next time, it tries the best claim again, whatever the kernel has refused before. */
  pardon(family: Family, route: number): void {
    // Not now: the answer to a write that is under way may be a refusal from before.
    this.#pardons.add(routeKey(family, route));
  }

  /** It is not known what the last write of the route came to. */
  readonly isInDoubt = (family: Family, route: number): boolean => this.#doubts.has(routeKey(family, route));

  /** The kernel may hold something else than what was confirmed: it is written anew. */
  doubt(family: Family, route: number, delayMs = 0): void {
    const key = routeKey(family, route);
    this.#doubts.add(key);
    this.reconciler.add(key, delayMs);
  }

  /** The kernel no longer holds a route of ours: it is written again, after `delayMs`. */
  lose(family: Family, route: number, delayMs = 0): void {
    const store = this.store(family);
    this.setProgrammed(store, route, NO_ATTRS);
    this.noteFound(family, route);
    if (store.desired(route) === NO_ATTRS && !store.isInFlight(route)) {
      this.forget(family, route);
      return;
    }
    this.#seconds = epochSeconds();
    if (!store.isInFlight(route)) this.#setOutcome(store, route, RouteState.QUEUED, 0);
    this.reconciler.add(routeKey(family, route), delayMs);
  }

  /** Nobody wants what was found in the kernel at the start: it is taken away. */
  sweep(family: Family, route: number): void {
    this.claims.set(family, this.store(family), route, NOBODY, NO_ATTRS);
    this.reconciler.add(routeKey(family, route));
  }

  /** Nobody wants the route any more, whoever did: it is taken away. */
  withdraw(family: Family, route: number): void {
    const store = this.store(family);
    for (const { owner } of this.claims.list(family, store, route)) {
      this.claims.set(family, store, route, owner, NO_ATTRS);
    }
    this.reconciler.add(routeKey(family, route));
  }

  /** Takes finished contexts from the dataplane. */
  settle(slots: Uint32Array, count: number): void {
    const time = this.clock.now();
    this.settledAt = time;
    this.#seconds = epochSeconds();
    for (let index = 0; index < count; index++) {
      const slot = slots[index]!;
      if (isNexthopOp(this.#dataplane.contexts.getU8(slot, U8.OP))) this.groups?.settle(slot);
      else this.#settleOne(slot, time);
    }
  }

  #settleOne(slot: number, time: number): void {
    const { contexts } = this.#dataplane;
    const family = contexts.getU8(slot, U8.FAMILY) as Family;
    const route = contexts.getU32(slot, U32.ENTRY);
    const store = this.store(family);
    if (this.touched.size > 0) this.#touch(family, route);
    observeLatencies(this.latencies, contexts, slot, time);
    const outcome = this.#record(family, store, route, slot);
    if (outcome === null) return;
    // The route stays in flight while results are told, as in #dispatch.
    this.#deliver(slot, outcome);
    this.#next(family, store, route);
  }

  /** Notes what became of a write. The outcome for whoever asked; null if the context is on its way again. */
  #record(family: Family, store: RouteStore, route: number, slot: number): Outcome | null {
    const { contexts } = this.#dataplane;
    const isDelete = contexts.getU8(slot, U8.OP) === ContextOp.ROUTE_DELETE;
    const outcome = this.#outcome(slot);
    if (outcome === Outcome.FIB_FAILED) {
      if (isInDoubt(contexts, slot)) this.doubt(family, route, DOUBT_DELAY_MS);
      return this.#recordFailure(family, store, route, slot, isDelete);
    }
    if (outcome === Outcome.SKIPPED) this.#setOutcome(store, route, RouteState.SKIPPED, 0);
    else {
      if (this.#doubts.size > 0) this.#doubts.delete(routeKey(family, route));
      if (this.#withdrawn.size > 0) this.#withdrawn.delete(routeKey(family, route));
      this.setProgrammed(store, route, isDelete ? NO_ATTRS : contexts.getU32(slot, U32.ATTRS));
      if (!isDelete) this.#recordSuccess(family, store, route, slot);
    }
    const isSecond = contexts.getU32(slot, U32.FAILURE) !== 0;
    if (isSecond && !isAskedDelete(contexts, slot)) return this.#tellFirstFailure(store, route, slot);
    // Another owner's route was written: this one is held behind it.
    const isOfAnother = !isDelete && contexts.getU32(slot, U32.WINNER) !== 0;
    const isHeld = isOfAnother && contexts.getU32(slot, U32.CLIENT_OP) === UpdateOp.INSTALL;
    return isHeld ? Outcome.RIB_PROGRAMMED : outcome;
  }

  #recordSuccess(family: Family, store: RouteStore, route: number, slot: number): void {
    const { contexts } = this.#dataplane;
    this.#setOutcome(store, route, RouteState.PROGRAMMED, 0);
    const written = contexts.getU32(slot, U32.WINNER) || contexts.getU32(slot, U32.OWNER);
    if (this.claims.succeed(family, store, route, written)) this.reconciler.add(routeKey(family, route));
  }

  #recordFailure(family: Family, store: RouteStore, route: number, slot: number, isDelete: boolean): Outcome | null {
    const { contexts } = this.#dataplane;
    const key = routeKey(family, route);
    const failure = this.#internFailure(slot);
    this.#setOutcome(store, route, RouteState.FAILED, failure);
    const asker = contexts.getU32(slot, U32.OWNER);
    const written = contexts.getU32(slot, U32.WINNER) || asker;
    // With updates waiting, what is wanted has changed since; they are tried as they are.
    if (!this.#waiting.has(key) && !isDelete) {
      if (this.claims.fail(family, store, route, written, failure)) this.reconciler.add(key);
      else if (this.#withdrawn.has(key) && store.programmed(route) !== NO_ATTRS) {
        this.#takeAway(store, route, slot, failure);
        return null;
      }
    }
    const isHeld = written !== asker && contexts.getU32(slot, U32.CLIENT_OP) === UpdateOp.INSTALL;
    return isHeld ? Outcome.RIB_PROGRAMMED : Outcome.FIB_FAILED;
  }

  /**
   * What should have replaced a route that its owner has withdrawn was refused: the same context takes the route away,
   * so that whoever asked hears how that ended.
   */
  #takeAway(store: RouteStore, route: number, slot: number, failure: number): void {
    const { contexts } = this.#dataplane;
    const attrs = contexts.getU32(slot, U32.ATTRS);
    if (attrs !== NO_ATTRS) this.attrs.release(attrs);
    contexts.setU32(slot, U32.ATTRS, NO_ATTRS);
    contexts.setU8(slot, U8.OP, ContextOp.ROUTE_DELETE);
    contexts.setU32(slot, U32.FAILURE, failure);
    contexts.setFlag(slot, ContextFlag.KNOWN);
    store.setInFlight(route, true);
    this.#dataplane.enqueueAgain(slot);
    this.#dataplane.flush();
  }

  #tellFirstFailure(store: RouteStore, route: number, slot: number): Outcome {
    const { contexts } = this.#dataplane;
    const id = contexts.getU32(slot, U32.FAILURE);
    const { error, text, provider } = this.failures.get(id);
    contexts.fail(slot, error, text);
    contexts.setU8(slot, U8.PROVIDER, provider);
    this.#setOutcome(store, route, RouteState.FAILED, id);
    return Outcome.FIB_FAILED;
  }

  #outcome(slot: number): Outcome {
    const { contexts } = this.#dataplane;
    const status = contexts.getU8(slot, U8.STATUS);
    if (status === ContextStatus.FAILURE) return Outcome.FIB_FAILED;
    if (contexts.hasFlag(slot, ContextFlag.SKIP_KERNEL)) return Outcome.SKIPPED;
    if (status === ContextStatus.SUCCESS) return Outcome.FIB_PROGRAMMED;
    contexts.fail(slot, DplaneError.NOT_PROGRAMMED, "no provider programmed it");
    return Outcome.FIB_FAILED;
  }

  #internFailure(slot: number): number {
    const { contexts } = this.#dataplane;
    const error = contexts.getU32(slot, U32.ERROR);
    return this.failures.intern(error, contexts.errorText(slot), contexts.getU8(slot, U8.PROVIDER));
  }

  /** Tells who asked, and gives the context back with what it refers to. */
  #deliver(slot: number, outcome: Outcome): void {
    const { contexts } = this.#dataplane;
    const session = contexts.getU32(slot, U32.SESSION);
    if (contexts.getU32(slot, U32.OWNER) !== NOBODY) this.results[outcome] += 1;
    this.#sessions.get(session)?.onResult(slot, outcome, contexts);
    const { observers } = this;
    for (let index = 0; index < observers.length; index++) observers[index]!.onOutcome(slot, outcome, contexts);
    const attrs = contexts.getU32(slot, U32.ATTRS);
    const oldAttrs = contexts.getU32(slot, U32.OLD_ATTRS);
    if (attrs !== NO_ATTRS) this.attrs.release(attrs);
    if (oldAttrs !== NO_ATTRS) this.attrs.release(oldAttrs);
    this.#dataplane.release(slot);
  }

  #setOutcome(store: RouteStore, route: number, state: RouteState, failure: number): void {
    this.setOutcome(store, route, state, failure, this.#seconds);
  }

  override noteFound(family: Family, route: number): void {
    for (const observer of this.observers) observer.onFound?.(family, route);
  }

  override noteForget(family: Family, route: number): void {
    const key = routeKey(family, route);
    this.#withdrawn.delete(key);
    this.#doubts.delete(key);
    this.#pardons.delete(key);
    for (const observer of this.observers) observer.onForget?.(family, route);
  }
}

/** Pause before a route is written again of which it is not known what became of it. */
const DOUBT_DELAY_MS = 1000;
