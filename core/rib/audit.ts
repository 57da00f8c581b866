/**
 * One reading of the kernel, compared with what the RIB takes for confirmed. Main thread only.
 *
 * A reading takes a while, and routes are written meanwhile: those are left out, for what was read of them may be from
 * before or from after. What a reading does not show is missing only if the reading is complete (ffi/netlink/dump.ts).
 */
import { ATTRS, NO_ATTRS } from "../context/attrs.ts";
import { nextRecord, RECORD, RECORD_UNREADABLE } from "../context/route_record.ts";
import type { ReadingIsComplete } from "../model/kernel_event.ts";
import { Family } from "../model/route.ts";
import { type Drift, DriftKind } from "./drift.ts";
import type { Rib } from "./rib.ts";
import { RouteSet } from "./route_set.ts";
import { NO_ROUTE, RouteState } from "./route_store.ts";
import { walkRoutes } from "./walk.ts";

/** What an audit came to. */
export interface AuditReport {
  /** Routes of ours that the kernel holds. */
  routes: number;
  missing: number;
  changed: number;
  unexpected: number;
  /** False if somebody wrote all the time, so that routes may be missing which were not found so. */
  complete: boolean;
  elapsedMs: number;
}

/** Records of routes that the RIB does not have are kept up to this number; the next audit finds the others, soon. */
const UNEXPECTED_MAX = 10_000;
/** Distinct attributes that are kept from one route of the reading to the next. */
const HELD_MAX = 4096;

export class Audit {
  readonly #rib: Rib;
  readonly #drift: Drift;
  readonly #startedAt: number;
  readonly #seen = new RouteSet();
  readonly #touched = new RouteSet();
  /** Routes that a write was under way of when the reading began. */
  readonly #underWay: readonly (readonly [Family, number])[];
  readonly #forgottenBefore: number;
  readonly #report: AuditReport = { routes: 0, missing: 0, changed: 0, unexpected: 0, complete: false, elapsedMs: 0 };
  /** Routes that differ, and how; judged at the end, for a dump may start over. */
  readonly #differing: Record<4 | 6, Map<number, number>> = { 4: new Map(), 6: new Map() };
  /** Routes that the kernel holds more than once, which a replace in place would leave so. */
  readonly #twins: Record<4 | 6, Set<number>> = { 4: new Set(), 6: new Set() };
  /** Records of routes that nobody asked for. */
  readonly #unexpected: Record<4 | 6, Uint8Array[]> = { 4: [], 6: [] };
  readonly #routes: Record<4 | 6, number> = { 4: 0, 6: 0 };
  /**
   * Attributes as the kernel tells them, with a reference. What clients say beside it the kernel does not keep, so mostly
   * nobody else refers to these, and without this they would be made, compared and freed again for each single route.
   */
  readonly #held = new Set<number>();
  /** There are routes that only another audit can judge. */
  #hasMore = false;
  #isFinishing = false;

  constructor(rib: Rib, drift: Drift) {
    this.#rib = rib;
    this.#drift = drift;
    this.#startedAt = rib.clock.now();
    this.#forgottenBefore = rib.forgotten;
    rib.touched.add(this.#touched);
    this.#underWay = rib.underWay();
  }

  /** Takes some routes of the reading, in records of core/context/route_record.ts. */
  take(records: ArrayBuffer): void {
    const bytes = new Uint8Array(records);
    const view = new DataView(records);
    for (let offset = 0; offset < bytes.length; offset = nextRecord(view, offset)) this.#takeOne(bytes, view, offset);
  }

  /** The reading of this family begins anew. */
  restart(family: Family): void {
    const of = family === Family.IPV6 ? 6 : 4;
    this.#seen.clear(family);
    for (const attrs of this.#differing[of].values()) if (attrs !== NO_ATTRS) this.#rib.attrs.release(attrs);
    this.#differing[of].clear();
    this.#twins[of].clear();
    this.#unexpected[of] = [];
    this.#routes[of] = 0;
  }

  #takeOne(bytes: Uint8Array, view: DataView, offset: number): void {
    const rib = this.#rib;
    const family = bytes[offset + RECORD.FAMILY] as Family;
    const of = family === Family.IPV6 ? 6 : 4;
    this.#routes[of] += 1;
    const store = rib.store(family);
    const route = rib.findRecord(bytes, view, offset);
    if (route === NO_ROUTE || (store.desired(route) === NO_ATTRS && store.programmed(route) === NO_ATTRS)) {
      if (route !== NO_ROUTE && (store.isInFlight(route) || this.#touched.has(family, route))) return;
      const kept = this.#unexpected[of];
      if (kept.length >= UNEXPECTED_MAX) this.#hasMore = true;
      else kept.push(bytes.slice(offset, nextRecord(view, offset)));
      return;
    }
    const isTwin = !this.#seen.add(family, route);
    if (this.#touched.has(family, route) || store.isInFlight(route)) {
      // What is written to it takes the place of one of the two.
      if (isTwin) this.#hasMore = true;
      return;
    }
    if (isTwin) this.#twins[of].add(route);
    const isReadable = (bytes[offset + RECORD.FLAGS]! & RECORD_UNREADABLE) === 0;
    const length = view.getUint32(offset + RECORD.ATTRS + ATTRS.LENGTH, true);
    const held = isReadable ? rib.attrs.internEncoded(bytes, offset + RECORD.ATTRS, length) : NO_ATTRS;
    if (isReadable && held !== NO_ATTRS && rib.compare.isSame(store.programmed(route), held)) {
      if (this.#held.size < HELD_MAX && !this.#held.has(held)) this.#held.add(held);
      else rib.attrs.release(held);
      return;
    }
    const before = this.#differing[of].get(route) ?? NO_ATTRS;
    if (before !== NO_ATTRS) rib.attrs.release(before);
    this.#differing[of].set(route, held);
  }

  /** The reading is at its end: what differs is told and repaired. */
  async finish(complete: ReadingIsComplete): Promise<AuditReport> {
    const rib = this.#rib;
    const report = this.#report;
    this.#isFinishing = true;
    await walkRoutes(rib, (family, store, route) => {
      const isComplete = family === Family.IPV6 ? complete.ipv6 : complete.ipv4;
      if (!isComplete || store.programmed(route) === NO_ATTRS || this.#seen.has(family, route)) return;
      if (this.#touched.has(family, route) || store.isInFlight(route)) {
        // A write that is refused says nothing of what was there before.
        const isRefused = store.isInFlight(route) || store.state(route) === RouteState.FAILED;
        if (isRefused && this.#drift.keep(family, route)) this.#hasMore = true;
        return;
      }
      report.missing += 1;
      rib.lose(family, route, this.#drift.found(DriftKind.MISSING, family, route));
    });
    for (const family of [Family.IPV4, Family.IPV6] as const) {
      const of = family === Family.IPV6 ? 6 : 4;
      // A dump that is not complete may show a route twice that is there once.
      const isComplete = family === Family.IPV6 ? complete.ipv6 : complete.ipv4;
      const twins = isComplete ? this.#twins[of] : new Set<number>();
      for (const [route, held] of this.#differing[of]) {
        if (!twins.has(route)) this.#judge(family, route, held);
        else if (held !== NO_ATTRS) rib.attrs.release(held);
      }
      for (const route of twins) this.#judgeTwin(family, route);
      this.#removeUnexpected(family);
    }
    for (const [family, route] of this.#underWay) if (this.#drift.keep(family, route)) this.#hasMore = true;
    this.#letGo();
    report.routes = this.#routes[4] + this.#routes[6];
    report.complete = complete.ipv4 && complete.ipv6 && complete.nexthops && !this.#hasMore;
    report.elapsedMs = Math.round(rib.clock.now() - this.#startedAt);
    return report;
  }

  /** The reading will not come to its end. One that has is judged all the same. */
  abandon(): void {
    if (this.#isFinishing) return;
    this.restart(Family.IPV4);
    this.restart(Family.IPV6);
    this.#letGo();
  }

  #letGo(): void {
    this.#rib.touched.delete(this.#touched);
    for (const attrs of this.#held) this.#rib.attrs.release(attrs);
    this.#held.clear();
  }

  #judge(family: Family, route: number, held: number): void {
    const rib = this.#rib;
    if (this.#isJudgeable(family, route)) {
      this.#report.changed += 1;
      const delayMs = this.#drift.found(DriftKind.CHANGED, family, route);
      // It bears our protocol, so it may be replaced whatever it is.
      if (held !== NO_ATTRS) rib.setProgrammed(rib.store(family), route, held);
      rib.doubt(family, route, delayMs);
    }
    if (held !== NO_ATTRS) rib.attrs.release(held);
  }

  /** Somebody has put a route beside ours, or before it. An install that meets them takes them away and makes it anew. */
  #judgeTwin(family: Family, route: number): void {
    // What has been written to it since took the place of one of the two, or one that is to go yet takes one along.
    if (!this.#isJudgeable(family, route) || this.#rib.store(family).desired(route) === NO_ATTRS) {
      this.#hasMore = true;
      return;
    }
    this.#report.changed += 1;
    // What the kernel has refused meanwhile it may have refused because of the two.
    this.#rib.pardon(family, route);
    this.#rib.lose(family, route, this.#drift.found(DriftKind.CHANGED, family, route));
  }

  /** Nothing has been written to it since it was read. */
  #isJudgeable(family: Family, route: number): boolean {
    const store = this.#rib.store(family);
    return !this.#touched.has(family, route) && store.isUsed(route) && !store.isInFlight(route);
  }

  /**
   * Routes that bear our protocol and that nobody asked for are taken over as nobody's, and away. A route that was
   * forgotten during the reading may have been read before it went: then the next audit tells.
   */
  #removeUnexpected(family: Family): void {
    const rib = this.#rib;
    const records = this.#unexpected[family === Family.IPV6 ? 6 : 4];
    if (records.length > 0 && rib.forgotten !== this.#forgottenBefore) {
      this.#hasMore = true;
      return;
    }
    for (const record of records) {
      const view = new DataView(record.buffer);
      if (rib.findRecord(record, view, 0) !== NO_ROUTE) {
        // A second one under the same key; the first has to go before this one can.
        this.#hasMore = true;
        continue;
      }
      if (!rib.adopt(record, view, 0)) continue;
      const route = rib.findRecord(record, view, 0);
      this.#report.unexpected += 1;
      this.#drift.found(DriftKind.UNEXPECTED, family, route);
      rib.sweep(family, route);
    }
  }
}
