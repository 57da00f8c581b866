/**
 * What is known of routes: who wants what of each, what the kernel has confirmed, and what became of the last write. The
 * records are here; how updates pass by them is core/rib/rib.ts. Main thread only.
 */
import { ATTRS, NO_ATTRS } from "../context/attrs.ts";
import type { AttrsStore } from "../context/attrs_store.ts";
import { RECORD } from "../context/route_record.ts";
import { Family, type RouteUpdate } from "../model/route.ts";
import { AdmissionError } from "./admission.ts";
import { Claims } from "./claims.ts";
import { FailureList } from "./failures.ts";
import { FibCompare } from "./fib_compare.ts";
import { type KeyClass, KeyClasses } from "./key_classes.ts";
import { NOBODY, Owners } from "./owners.ts";
import type { RouteSet } from "./route_set.ts";
import { NO_ROUTE, RouteState, RouteStore } from "./route_store.ts";

export interface RibCounts {
  ipv4: number;
  ipv6: number;
  attrs: number;
  attrsBytes: number;
}

export class RouteTable {
  readonly attrs: AttrsStore;
  readonly owners = new Owners();
  readonly claims: Claims;
  readonly compare: FibCompare;
  readonly classes = new KeyClasses();
  readonly failures = new FailureList();
  /** Routes whose records must stay although nothing of them is wanted or programmed, and who needs them. */
  readonly holds = new Set<RouteSet>();
  /** Routes whose last write failed. */
  failedCount = 0;
  /** Routes forgotten so far. */
  forgotten = 0;
  /** Routes to be taken over from the kernel that were there already, such as one of two under the same key. */
  metAgain = 0;
  readonly #ipv4 = new RouteStore(4);
  readonly #ipv6 = new RouteStore(16);
  // Filled again for each record of a reading: views of a million records would be garbage.
  readonly #recordPrefix = new Uint8Array(16);
  readonly #recordSource = new Uint8Array(16);

  constructor(attrs: AttrsStore) {
    this.attrs = attrs;
    this.claims = new Claims(attrs, this.owners);
    this.compare = new FibCompare(attrs.reader);
  }

  store(family: number): RouteStore {
    return family === Family.IPV6 ? this.#ipv6 : this.#ipv4;
  }

  counts(): RibCounts {
    const { count, usedBytes } = this.attrs;
    return { ipv4: this.#ipv4.count, ipv6: this.#ipv6.count, attrs: count, attrsBytes: usedBytes };
  }

  keyClass(store: RouteStore, route: number): KeyClass {
    return this.classes.get(store.keyClass(route));
  }

  /**
   * The record of the route that an update names, made if there is none, for whoever goes on to admit it there or
   * {@linkcode forget} it: until then it has to be among {@linkcode holds}. NO_ROUTE if there are too many routes or key
   * classes.
   */
  findOrInsert({ family, prefix, prefixLength, table, metric, source, sourceLength }: RouteUpdate): number {
    const keyClass = this.classes.intern(family, table, metric, source, sourceLength);
    if (keyClass === undefined) return NO_ROUTE;
    const store = this.store(family);
    const route = store.find(prefix, prefixLength, keyClass.id);
    return route === NO_ROUTE ? this.insertMissing(keyClass, store, prefixLength) : route;
  }

  /** Why a route has no record and gets none. */
  whyNoRoute(family: Family): AdmissionError {
    return this.store(family).hasRoom ? AdmissionError.OUT_OF_KEY_CLASSES : AdmissionError.OUT_OF_ROUTES;
  }

  /** The route that an update names; NO_ROUTE if there is none. */
  findRoute({ family, prefix, prefixLength, table, metric, source, sourceLength }: RouteUpdate): number {
    const keyClass = this.classes.find(family, table, metric, source, sourceLength);
    return keyClass === undefined ? NO_ROUTE : this.store(family).find(prefix, prefixLength, keyClass.id);
  }

  /** The route that a record of core/context/route_record.ts at `offset` names; NO_ROUTE if there is none. */
  findRecord(bytes: Uint8Array, view: DataView, offset: number): number {
    this.#readRecordKey(bytes, offset);
    const family = bytes[offset + RECORD.FAMILY] as Family;
    const table = view.getUint32(offset + RECORD.TABLE, true);
    const metric = view.getUint32(offset + RECORD.METRIC, true);
    const sourceLength = bytes[offset + RECORD.SOURCE_LENGTH]!;
    const keyClass = this.classes.find(family, table, metric, this.#recordSource, sourceLength);
    if (keyClass === undefined) return NO_ROUTE;
    return this.store(family).find(this.#recordPrefix, bytes[offset + RECORD.PREFIX_LENGTH]!, keyClass.id);
  }

  #readRecordKey(bytes: Uint8Array, offset: number): void {
    for (let at = 0; at < 16; at++) {
      this.#recordPrefix[at] = bytes[offset + RECORD.PREFIX + at]!;
      this.#recordSource[at] = bytes[offset + RECORD.SOURCE + at]!;
    }
  }

  /** Makes the record of a route that was just looked for in vain; NO_ROUTE if there are too many. */
  insertMissing(keyClass: KeyClass, store: RouteStore, prefixLength: number): number {
    if (!store.hasRoom) return NO_ROUTE;
    this.classes.countIn(keyClass, prefixLength);
    return store.insertMissing();
  }

  /**
   * Takes over a route that the kernel already holds from an earlier life of the daemon: `bytes` has a record of
   * core/context/route_record.ts at `offset`. It belongs to nobody until a client claims it. False if it cannot be kept.
   */
  adopt(bytes: Uint8Array, view: DataView, offset: number): boolean {
    const family = view.getUint8(offset + RECORD.FAMILY) as Family;
    const prefixLength = view.getUint8(offset + RECORD.PREFIX_LENGTH);
    const prefix = this.#recordPrefix;
    this.#readRecordKey(bytes, offset);
    const sourceLength = view.getUint8(offset + RECORD.SOURCE_LENGTH);
    const table = view.getUint32(offset + RECORD.TABLE, true);
    const metric = view.getUint32(offset + RECORD.METRIC, true);
    const keyClass = this.classes.intern(family, table, metric, this.#recordSource, sourceLength);
    if (keyClass === undefined) return false;
    const store = this.store(family);
    let route = store.find(prefix, prefixLength, keyClass.id);
    // Whoever asked in the meantime knows better.
    if (route !== NO_ROUTE && this.#isNeeded(store, route)) {
      this.metAgain += 1;
      return true;
    }
    const length = view.getUint32(offset + RECORD.ATTRS + ATTRS.LENGTH, true);
    const attrs = this.attrs.internEncoded(bytes, offset + RECORD.ATTRS, length);
    if (attrs === NO_ATTRS) return false;
    if (route === NO_ROUTE) route = this.insertMissing(keyClass, store, prefixLength);
    if (route === NO_ROUTE) {
      this.attrs.release(attrs);
      return false;
    }
    this.claims.set(family, store, route, NOBODY, attrs);
    this.setProgrammed(store, route, attrs);
    this.attrs.release(attrs);
    this.setOutcome(store, route, RouteState.PROGRAMMED, 0, epochSeconds());
    this.noteFound(family, route);
    return true;
  }

  /** Records what the kernel holds of a route. */
  setProgrammed(store: RouteStore, route: number, attrs: number): void {
    const before = store.programmed(route);
    if (attrs !== NO_ATTRS) this.attrs.acquire(attrs);
    if (before !== NO_ATTRS) this.attrs.release(before);
    store.setProgrammed(route, attrs);
  }

  /** Records what became of the last write of a route, and when. */
  setOutcome(store: RouteStore, route: number, state: RouteState, failure: number, seconds: number): void {
    if (store.state(route) === RouteState.FAILED) this.failedCount -= 1;
    if (state === RouteState.FAILED) this.failedCount += 1;
    store.setOutcome(route, state, failure, seconds);
  }

  /**
   * Frees the record of a route that nobody wants and the kernel does not hold, unless somebody needs it all the same.
   * True if it is gone.
   */
  forget(family: Family, route: number): boolean {
    const store = this.store(family);
    if (!store.isUsed(route) || this.#isNeeded(store, route)) return false;
    for (const set of this.holds) if (set.has(family, route)) return false;
    if (store.state(route) === RouteState.FAILED) this.failedCount -= 1;
    this.forgotten += 1;
    this.noteForget(family, route);
    this.classes.countOut(this.keyClass(store, route), store.prefixLength(route));
    store.remove(route);
    return true;
  }

  /** What is known of the kernel's route has changed, and no context will tell: for who watches. */
  noteFound(_family: Family, _route: number): void {}

  /** The record is about to go: for who watches. */
  noteForget(_family: Family, _route: number): void {}

  /** Somebody wants it, the kernel holds it, or an update of it is under way. */
  #isNeeded(store: RouteStore, route: number): boolean {
    return store.programmed(route) !== NO_ATTRS || store.desired(route) !== NO_ATTRS || store.isInFlight(route);
  }
}

/** Seconds since 1970. */
export function epochSeconds(): number {
  return Math.floor(Date.now() / 1000);
}
