/**
 * The RIB: what clients want in the forwarding plane, and what became of it. Main thread only.
 *
 * An update enters through `admit`, which records what is desired, fills a context and gives it to the dataplane; its
 * result comes back through `settle`, which records the outcome and tells whoever asked. Of one route there is at most
 * one update with the dataplane: others wait here, and when the way is free the latest goes and those before it are
 * superseded. So updates of one route are applied in order, whatever the providers do, and a result always compares
 * with what the kernel really held before.
 */
import { now } from "../clock.ts";
import { CONTEXT_BYTES } from "../constants.ts";
import { ATTRS, NO_ATTRS } from "../context/attrs.ts";
import type { AttrsStore } from "../context/attrs_store.ts";
import type { Contexts } from "../context/contexts.ts";
import { ContextFlag, ContextOp, ContextStatus, DplaneError, F64, U8, U32 } from "../context/layout.ts";
import { RECORD } from "../context/route_record.ts";
import type { Dataplane } from "../dataplane/dataplane.ts";
import { Family, type RouteUpdate, UpdateOp } from "../model/route.ts";
import { FailureList } from "./failures.ts";
import { type KeyClass, KeyClasses } from "./key_classes.ts";
import { createLatencies, type Latencies } from "./latency.ts";
import { NO_ROUTE, OWNERS_MAX, RouteState, RouteStore } from "./route_store.ts";

/** What became of an update, as DESIGN names it. */
export const Outcome = {
  FIB_PROGRAMMED: "fib_programmed",
  FIB_FAILED: "fib_failed",
  SKIPPED: "skipped",
  SUPERSEDED: "superseded",
} as const;
export type Outcome = (typeof Outcome)[keyof typeof Outcome];

/** Who sent updates and gets their results. */
export interface UpdateSession {
  /** One result. Everything about the update is read from the context, which is gone after the call. */
  onResult(slot: number, outcome: Outcome, contexts: Contexts): void;
}

/** Why an update could not be admitted. */
export const AdmissionError = {
  OUT_OF_ATTRS: "OUT_OF_ATTRS",
  OUT_OF_KEY_CLASSES: "OUT_OF_KEY_CLASSES",
  /** Shared groups cannot be defined yet, so none that a route names exists. */
  UNKNOWN_NEXTHOP_GROUP: "UNKNOWN_NEXTHOP_GROUP",
} as const;
export type AdmissionError = (typeof AdmissionError)[keyof typeof AdmissionError];

export interface RibCounts {
  ipv4: number;
  ipv6: number;
  attrs: number;
  attrsBytes: number;
}

export class Rib {
  readonly attrs: AttrsStore;
  readonly classes = new KeyClasses();
  readonly failures = new FailureList();
  readonly latencies: Latencies = createLatencies();
  readonly results: Record<Outcome, number> = { fib_programmed: 0, fib_failed: 0, skipped: 0, superseded: 0 };
  readonly #ipv4 = new RouteStore(4);
  readonly #ipv6 = new RouteStore(16);
  readonly #dataplane: Dataplane;
  readonly #sessions = new Map<number, UpdateSession>();
  #lastSession = 0;
  /** Seconds since 1970, as of the list of results being settled. */
  #seconds = 0;
  readonly #owners = [""];
  // Filled again for each route that is taken over: views of its record would be garbage, two a route.
  readonly #adoptedPrefix = new Uint8Array(16);
  readonly #adoptedSource = new Uint8Array(16);
  /** Updates that wait for the one of their route that is with the dataplane, oldest first, by {@linkcode waitingKey}. */
  readonly #waiting = new Map<number, number[]>();
  /** Called for each outcome, for those who watch all of them. */
  onOutcome: ((slot: number, outcome: Outcome, contexts: Contexts) => void) | null = null;

  constructor(attrs: AttrsStore, dataplane: Dataplane) {
    this.attrs = attrs;
    this.#dataplane = dataplane;
  }

  store(family: number): RouteStore {
    return family === Family.IPV6 ? this.#ipv6 : this.#ipv4;
  }

  counts(): RibCounts {
    const { count, usedBytes } = this.attrs;
    return { ipv4: this.#ipv4.count, ipv6: this.#ipv6.count, attrs: count, attrsBytes: usedBytes };
  }

  /** Registers a session; its number goes with each of its updates. */
  openSession(session: UpdateSession): number {
    do this.#lastSession = (this.#lastSession + 1) >>> 0 || 1;
    while (this.#sessions.has(this.#lastSession));
    this.#sessions.set(this.#lastSession, session);
    return this.#lastSession;
  }

  /** Results of updates still under way go to nobody; the RIB keeps them all the same. */
  closeSession(id: number): void {
    this.#sessions.delete(id);
  }

  /** The number of an owner, made on first use; 0 if there are too many. */
  ownerId(name: string): number {
    const known = this.#owners.indexOf(name);
    if (known > 0) return known;
    if (this.#owners.length > OWNERS_MAX) return 0;
    return this.#owners.push(name) - 1;
  }

  ownerName(id: number): string {
    return this.#owners[id] ?? "";
  }

  /** Names of all owners, in the order of their numbers from 1. */
  owners(): readonly string[] {
    return this.#owners.slice(1);
  }

  /**
   * Admits one update; the caller has asked the dataplane for room. Exactly one result will go to the session, unless
   * an error is returned: then nothing has happened.
   */
  admit(update: RouteUpdate, owner: number, session: number, line: number): AdmissionError | null {
    const install = update.op === UpdateOp.INSTALL;
    if (install && update.nexthopGroup !== 0) return AdmissionError.UNKNOWN_NEXTHOP_GROUP;
    const attrs = install ? this.attrs.intern(update) : NO_ATTRS;
    if (install && attrs === NO_ATTRS) return AdmissionError.OUT_OF_ATTRS;
    const { family, table, metric, source, sourceLength } = update;
    const keyClass = this.classes.intern(family, table, metric, source, sourceLength);
    if (keyClass === undefined) {
      if (install) this.attrs.release(attrs);
      return AdmissionError.OUT_OF_KEY_CLASSES;
    }
    const store = this.store(family);
    let route = store.find(update.prefix, update.prefixLength, keyClass.id);
    const known = route !== NO_ROUTE;
    if (!known) {
      route = store.insert(update.prefix, update.prefixLength, keyClass.id);
      this.classes.countIn(keyClass, update.prefixLength);
    }
    store.setOwner(route, owner);
    this.#setDesired(store, route, attrs);

    const slot = this.#dataplane.acquire();
    this.#fill(slot, update, route, attrs, session, line);
    if (known) this.#dataplane.contexts.setFlag(slot, ContextFlag.KNOWN);
    if (store.isInFlight(route)) this.#wait(family, route, slot);
    else this.#send(store, route, slot);
    return null;
  }

  /**
   * Takes over a route that the kernel already holds from an earlier life of the daemon: `bytes` has a record of
   * core/context/route_record.ts at `offset`. It belongs to nobody until a client claims it. False if it cannot be kept.
   */
  adopt(bytes: Uint8Array, view: DataView, offset: number): boolean {
    const family = view.getUint8(offset + RECORD.FAMILY) as Family;
    const prefixLength = view.getUint8(offset + RECORD.PREFIX_LENGTH);
    const prefix = this.#adoptedPrefix;
    const source = this.#adoptedSource;
    for (let at = 0; at < 16; at++) {
      prefix[at] = bytes[offset + RECORD.PREFIX + at]!;
      source[at] = bytes[offset + RECORD.SOURCE + at]!;
    }
    const sourceLength = view.getUint8(offset + RECORD.SOURCE_LENGTH);
    const table = view.getUint32(offset + RECORD.TABLE, true);
    const keyClass = this.classes.intern(
      family,
      table,
      view.getUint32(offset + RECORD.METRIC, true),
      source,
      sourceLength,
    );
    if (keyClass === undefined) return false;
    const store = this.store(family);
    // Whoever asked in the meantime knows better.
    if (store.find(prefix, prefixLength, keyClass.id) !== NO_ROUTE) return true;
    const length = view.getUint32(offset + RECORD.ATTRS + ATTRS.LENGTH, true);
    const attrs = this.attrs.internEncoded(bytes, offset + RECORD.ATTRS, length);
    if (attrs === NO_ATTRS) return false;
    const route = store.insert(prefix, prefixLength, keyClass.id);
    this.classes.countIn(keyClass, prefixLength);
    this.#setDesired(store, route, attrs);
    this.#setProgrammed(store, route, attrs);
    this.attrs.release(attrs);
    store.setOutcome(route, RouteState.PROGRAMMED, 0, epochSeconds());
    return true;
  }

  /** Wakes the dataplane for what was admitted; call it at the end of a run of {@linkcode admit}. */
  flush(): void {
    this.#dataplane.flush();
  }

  #fill(slot: number, update: RouteUpdate, route: number, attrs: number, session: number, line: number): void {
    const { contexts } = this.#dataplane;
    const { u8 } = contexts;
    const base = slot * CONTEXT_BYTES;
    u8[base + U8.OP] = update.op === UpdateOp.DELETE ? ContextOp.ROUTE_DELETE : ContextOp.ROUTE_INSTALL;
    u8[base + U8.FAMILY] = update.family;
    u8[base + U8.PREFIX_LENGTH] = update.prefixLength;
    u8[base + U8.SOURCE_LENGTH] = update.sourceLength;
    for (let at = 0; at < 16; at++) u8[base + U8.PREFIX + at] = update.prefix[at]!;
    if (update.sourceLength > 0) u8.set(update.source, base + U8.SOURCE);
    contexts.setU32(slot, U32.TABLE, update.table);
    contexts.setU32(slot, U32.METRIC, update.metric);
    contexts.setU32(slot, U32.ATTRS, attrs);
    contexts.setU32(slot, U32.ENTRY, route);
    contexts.setU32(slot, U32.SESSION, session);
    contexts.setU32(slot, U32.LINE, line);
    contexts.setF64(slot, F64.ADMITTED_AT, now());
  }

  #wait(family: number, route: number, slot: number): void {
    const key = waitingKey(family, route);
    const waiting = this.#waiting.get(key);
    if (waiting === undefined) this.#waiting.set(key, [slot]);
    else waiting.push(slot);
  }

  /** Gives a context to the dataplane, together with what the kernel holds for its route. */
  #send(store: RouteStore, route: number, slot: number): void {
    const { contexts } = this.#dataplane;
    const programmed = store.programmed(route);
    if (programmed !== NO_ATTRS) {
      this.attrs.acquire(programmed);
      contexts.setU32(slot, U32.OLD_ATTRS, programmed);
      if (contexts.getU8(slot, U8.OP) === ContextOp.ROUTE_INSTALL) contexts.setU8(slot, U8.OP, ContextOp.ROUTE_UPDATE);
    }
    store.setInFlight(route, true);
    this.#dataplane.enqueue(slot);
  }

  /** Takes finished contexts from the dataplane. */
  settle(slots: Uint32Array, count: number): void {
    const time = now();
    this.#seconds = epochSeconds();
    for (let index = 0; index < count; index++) this.#settleOne(slots[index]!, time);
  }

  #settleOne(slot: number, time: number): void {
    const { contexts } = this.#dataplane;
    const family = contexts.getU8(slot, U8.FAMILY);
    const store = this.store(family);
    const route = contexts.getU32(slot, U32.ENTRY);
    const outcome = this.#outcome(slot);
    this.#observe(slot, time);
    if (contexts.getU8(slot, U8.OP) === ContextOp.ROUTE_DELETE) this.#recordDelete(store, route, slot, outcome);
    else this.#recordInstall(store, route, slot, outcome);
    // The route stays in flight while results are told: whoever answers one with another update has it wait its turn.
    this.#deliver(slot, outcome);
    const key = waitingKey(family, route);
    const waiting = this.#waiting.get(key);
    if (waiting !== undefined) {
      this.#waiting.delete(key);
      const latest = waiting.pop()!;
      for (const superseded of waiting) this.#deliver(superseded, Outcome.SUPERSEDED);
      this.#send(store, route, latest);
      this.#dataplane.flush();
      return;
    }
    store.setInFlight(route, false);
    if (store.desired(route) === NO_ATTRS && store.programmed(route) === NO_ATTRS) this.#forget(store, route);
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

  #recordInstall(store: RouteStore, route: number, slot: number, outcome: Outcome): void {
    const { contexts } = this.#dataplane;
    if (outcome === Outcome.FIB_PROGRAMMED) {
      this.#setProgrammed(store, route, contexts.getU32(slot, U32.ATTRS));
      store.setOutcome(route, RouteState.PROGRAMMED, 0, this.#seconds);
    } else if (outcome === Outcome.SKIPPED) {
      store.setOutcome(route, RouteState.SKIPPED, 0, this.#seconds);
    } else {
      store.setOutcome(route, RouteState.FAILED, this.#internFailure(slot), this.#seconds);
    }
  }

  #recordDelete(store: RouteStore, route: number, slot: number, outcome: Outcome): void {
    if (outcome === Outcome.FIB_PROGRAMMED) this.#setProgrammed(store, route, NO_ATTRS);
    else if (outcome === Outcome.SKIPPED) store.setOutcome(route, RouteState.SKIPPED, 0, this.#seconds);
    else store.setOutcome(route, RouteState.FAILED, this.#internFailure(slot), this.#seconds);
  }

  #internFailure(slot: number): number {
    const { contexts } = this.#dataplane;
    const error = contexts.getU32(slot, U32.ERROR);
    return this.failures.intern(error, contexts.errorText(slot), contexts.getU8(slot, U8.PROVIDER));
  }

  /** Tells who asked, and gives the context back with what it refers to. */
  #deliver(slot: number, outcome: Outcome): void {
    const { contexts } = this.#dataplane;
    this.results[outcome] += 1;
    this.#sessions.get(contexts.getU32(slot, U32.SESSION))?.onResult(slot, outcome, contexts);
    this.onOutcome?.(slot, outcome, contexts);
    const attrs = contexts.getU32(slot, U32.ATTRS);
    const oldAttrs = contexts.getU32(slot, U32.OLD_ATTRS);
    if (attrs !== NO_ATTRS) this.attrs.release(attrs);
    if (oldAttrs !== NO_ATTRS) this.attrs.release(oldAttrs);
    this.#dataplane.release(slot);
  }

  #setDesired(store: RouteStore, route: number, attrs: number): void {
    const before = store.desired(route);
    if (attrs !== NO_ATTRS) this.attrs.acquire(attrs);
    if (before !== NO_ATTRS) this.attrs.release(before);
    store.setDesired(route, attrs);
  }

  #setProgrammed(store: RouteStore, route: number, attrs: number): void {
    const before = store.programmed(route);
    if (attrs !== NO_ATTRS) this.attrs.acquire(attrs);
    if (before !== NO_ATTRS) this.attrs.release(before);
    store.setProgrammed(route, attrs);
  }

  #forget(store: RouteStore, route: number): void {
    this.classes.countOut(this.keyClass(store, route), store.prefixLength(route));
    store.remove(route);
  }

  keyClass(store: RouteStore, route: number): KeyClass {
    return this.classes.get(store.keyClass(route));
  }

  #observe(slot: number, time: number): void {
    const { contexts } = this.#dataplane;
    const { latencies } = this;
    const admitted = contexts.getF64(slot, F64.ADMITTED_AT);
    const taken = contexts.getF64(slot, F64.TAKEN_AT);
    const done = contexts.getF64(slot, F64.DONE_AT);
    latencies.total.observe(time - admitted);
    // A context that never reached the dataplane thread has no times of its own.
    if (taken === 0 || done === 0) return;
    latencies.queue.observe(taken - admitted);
    latencies.pipeline.observe(done - taken);
    latencies.result.observe(time - done);
  }
}

function waitingKey(family: number, route: number): number {
  return route * 2 + (family === Family.IPV6 ? 1 : 0);
}

function epochSeconds(): number {
  return Math.floor(Date.now() / 1000);
}
