/**
 * Keeps the RIB true to the kernel: adopts what is there at the start, follows links, addresses, routes and nexthop
 * objects, has the kernel read and compared when something may differ and every now and then, tries again what was
 * refused, and sweeps what nobody has claimed. Main thread.
 *
 * What the kernel does by itself it mostly does not tell: with a link or an address IPv4 routes go without a word. So a
 * notification never changes the RIB; it says that something happened, and perhaps who did it, and then a reading of the
 * kernel shows what is.
 */
import type { Clock, Timer } from "../clock.ts";
import { NO_ATTRS } from "../context/attrs.ts";
import { U32 } from "../context/layout.ts";
import { nextRecord } from "../context/route_record.ts";
import type { WorkerHealth } from "../dataplane/dataplane.ts";
import type { Log, LogRecord } from "../log.ts";
import {
  FIRST_READING,
  type FromMonitor,
  type HeldNexthopObject,
  type KernelChange,
  type LinkChange,
  type ReadingIsComplete,
  type RouteChange,
} from "../model/kernel_event.ts";
import type { Link, LinkTable } from "../model/link_table.ts";
import { Audit, type AuditReport } from "../rib/audit.ts";
import { type Drift, type DriftEvent, DriftKind } from "../rib/drift.ts";
import { type Journal, JournalKind } from "../rib/journal.ts";
import type { NexthopGroups } from "../rib/nexthop_groups.ts";
import { NexthopReadings } from "../rib/nexthop_readings.ts";
import { NOBODY } from "../rib/owners.ts";
import { renumberRoutes } from "../rib/renumber.ts";
import { Cause, causeOf, type Retrier } from "../rib/retry.ts";
import type { Rib } from "../rib/rib.ts";
import { NO_ROUTE } from "../rib/route_store.ts";
import { walkRoutes } from "../rib/walk.ts";
import { MonitorThread, type SpawnMonitor } from "./monitor_thread.ts";

/** Changes come in bursts: a reading waits this long for the burst to end. */
const GATHER_MS = 30;
/** After a reading that changes asked for, the next such one waits this many times as long as it took. */
const PAUSE_FACTOR = 2;
/** But no longer: a reading may have taken long because the whole process stood still. */
const PAUSE_MAX_MS = 10_000;
/** Interfaces that are gone of which the name is remembered. */
const GONE_LINKS_MAX = 4096;
/** The sweep of what nobody claims looks this often whether the syncs under way have ended. */
const SYNC_PAUSE_MS = 500;
/** A reading that is not there by then will not come. */
const READING_TIMEOUT_MS = 120_000;

/** Why a refused route is tried again. */
const CAUSE_TEXTS: Readonly<Record<Cause, string>> = {
  none: "",
  link: "a link has changed",
  address: "an address or a route to its gateway may have come",
  source: "the address to send from may have come",
  ipv6: "IPv6 may be switched on by now",
  room: "there may be room by now",
  foreign: "the route that was in the way may be gone",
  nexthop: "the nexthop may be there by now",
  dataplane: "the dataplane works again",
  provider: "the provider that has to decide may be there by now",
  plugin: "a provider that had refused it was started anew",
};

export interface KernelWatchOptions {
  spawn: SpawnMonitor;
  netns: string | undefined;
  protocol: number;
  portIdCell: SharedArrayBuffer;
  staleTimeMs: number;
  auditIntervalMs: number;
  links: LinkTable;
  rib: Rib;
  drift: Drift;
  retrier: Retrier;
  journal: Journal;
  groups: NexthopGroups;
  onLog: (record: LogRecord) => void;
  onChange: (change: KernelChange) => void;
  onDrift: (event: DriftEvent) => void;
  onHealthChange: () => void;
  /** Nobody listens to the kernel any more, nor will again. */
  onGivenUp: (reason: string) => void;
  log: Log;
  stuckAfterMs?: number;
}

/** What an audit came to, with the nexthop objects that differed. */
export type AuditResult = AuditReport & { nexthops: number };

/** What the first look at the kernel found. */
export interface Adoption {
  routes: number;
  /** Routes of our protocol that are left alone, because dplaned could not have written them. */
  unreadable: number;
}

export class KernelWatch {
  readonly #options: KernelWatchOptions;
  readonly #clock: Clock;
  readonly #monitor: MonitorThread;
  readonly #nexthops: NexthopReadings;
  readonly #adopted = Promise.withResolvers<Adoption>();
  /** Messages of the thread are worked off one after the other. */
  #work = Promise.resolve();
  #isAdopting = true;
  #refused = 0;
  #reading = FIRST_READING;
  #audit: Audit | null = null;
  /** Nexthop objects that the reading under way has found. */
  #objects: readonly HeldNexthopObject[] = [];
  #auditStartedAt = 0;
  /** Those who wait for the end of the audit that is under way, or of the next one. */
  #waiting: PromiseWithResolvers<AuditResult>[] = [];
  #timer: Timer | null = null;
  #timerDue = Number.POSITIVE_INFINITY;
  /** No reading that a change asks for begins before this. */
  #restUntil = 0;
  #staleTimer: Timer | null = null;
  /** Links of the changes that are worked off, and those that were down in between, by their numbers. */
  readonly #touchedLinks = new Set<number>();
  readonly #downLinks = new Set<number>();
  /** Numbers of interfaces that are gone, by name, oldest first. */
  readonly #goneLinks = new Map<string, number>();
  #isStopped = false;
  #areChangesWanted = false;
  #hasConflicts = false;
  /** The last audit that came to its end, and how many did. */
  lastAudit: (AuditResult & { time: number }) | null = null;
  audits = 0;
  overruns = 0;

  constructor(options: KernelWatchOptions) {
    this.#options = options;
    this.#clock = options.rib.clock;
    this.#nexthops = new NexthopReadings(options.groups);
    this.#adopted.promise.catch(() => {}); // the daemon may be on its way out when the thread dies
    this.#monitor = new MonitorThread({
      ...options,
      clock: this.#clock,
      onMessage: (message) => this.#onMessage(message),
      onDeath: (error) => this.#onDeath(error),
    });
    options.groups.onUnsure = () => this.#readSoon();
    options.drift.onDrift = (event) => this.#onDrift(event);
    options.groups.onDrift = (found) => options.drift.foundNexthop(found);
    options.groups.routes.onLose = (family, route, by) => options.drift.lost(family, route, by);
    options.groups.routes.isForReading = (family, route) => {
      const isUnsure = options.drift.isHeard(family, route) || options.rib.isInDoubt(family, route);
      if (isUnsure) this.#readSoon();
      return isUnsure;
    };
    options.retrier.onRetry = (family, route, cause) =>
      options.journal.note(JournalKind.RETRIED, family, route, { text: CAUSE_TEXTS[cause] });
    options.rib.observe({
      onOutcome: (slot, outcome, contexts) => {
        if (outcome !== "fib_failed" || this.#hasConflicts) return;
        const cause = causeOf(contexts.getU32(slot, U32.ERROR), contexts.errorText(slot));
        if (cause === Cause.FOREIGN) this.#noteConflicts(true);
      },
      onForget: (family, route) => options.drift.forget(family, route),
    });
  }

  get alive(): boolean {
    return this.#monitor.alive;
  }

  worker(): WorkerHealth {
    return this.#monitor.worker();
  }

  /** Starts the thread; resolves when the links are known and the routes found in the kernel are in the RIB. */
  start(): Promise<Adoption> {
    this.#monitor.start();
    return this.#adopted.promise;
  }

  /** Whether changes of all routes are wanted. */
  wantChanges(wanted: boolean): void {
    this.#areChangesWanted = wanted;
    this.#monitor.wantRoutes(wanted || this.#hasConflicts);
  }

  /** Begins what goes on by itself: audits, retries, and the sweep of what nobody claims. */
  run(): void {
    const { staleTimeMs, retrier } = this.#options;
    this.#sweepStaleIn(staleTimeMs);
    retrier.start();
    this.#scheduleNext();
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    for (const timer of [this.#timer, this.#staleTimer]) if (timer !== null) this.#clock.clearTimeout(timer);
    this.#options.retrier.stop();
    await this.#monitor.stop();
    this.#abandon("dplaned is shutting down");
  }

  /** Has the kernel read and compared; resolves with what came of it. */
  audit(): Promise<AuditResult> {
    const waiter = Promise.withResolvers<AuditResult>();
    this.#waiting.push(waiter);
    this.#readAt(this.#clock.now());
    return waiter.promise;
  }

  /** Something may differ: the kernel is read soon, but not all the time. */
  #readSoon(): void {
    this.#readAt(Math.max(this.#clock.now() + GATHER_MS, this.#restUntil));
  }

  #readAt(due: number): void {
    if (this.#isStopped || this.#isAdopting || due >= this.#timerDue) return;
    if (this.#timer !== null) this.#clock.clearTimeout(this.#timer);
    this.#timerDue = due;
    this.#timer = this.#clock.setTimeout(() => this.#read(), Math.max(0, due - this.#clock.now()));
    this.#timer.unref();
  }

  #scheduleNext(): void {
    const { auditIntervalMs } = this.#options;
    if (auditIntervalMs > 0) this.#readAt(this.#clock.now() + auditIntervalMs);
  }

  #read(): void {
    this.#timer = null;
    this.#timerDue = Number.POSITIVE_INFINITY;
    if (this.#isStopped || !this.#monitor.alive) return;
    // One at a time; a change during a reading asks for another one.
    if (this.#audit !== null && this.#clock.now() - this.#auditStartedAt < READING_TIMEOUT_MS)
      return this.#readAt(this.#clock.now() + GATHER_MS);
    if (this.#audit !== null) this.#abandon("the kernel's answer did not come to its end");
    this.#reading += 1;
    this.#auditStartedAt = this.#clock.now();
    this.#options.drift.beginReading();
    this.#audit = new Audit(this.#options.rib, this.#options.drift);
    this.#nexthops.begin();
    this.#monitor.requestReading(this.#reading);
  }

  #onDeath(error: string): void {
    this.#adopted.reject(new Error(error));
    this.#abandon(error);
  }

  #abandon(reason: string): void {
    if (this.#audit !== null) {
      this.#audit.abandon();
      this.#audit = null;
      // What may still come of its reading is not for the next one.
      this.#reading += 1;
    }
    for (const waiter of this.#waiting.splice(0)) waiter.reject(new Error(`The audit was broken off: ${reason}`));
  }

  #onMessage(message: FromMonitor): void {
    if (message.type === "log") return this.#options.onLog(message.record);
    // In their order, and routes in pieces that let the event loop run in between.
    this.#work = this.#work
      .then(() => this.#handle(message))
      .catch((error: unknown) => {
        // What comes after it must not be lost as well.
        this.#options.log.error("A message about the kernel could not be handled", { type: message.type, error });
        this.#adopted.reject(error);
        this.#abandon(String(error));
        this.#restUntil = this.#clock.now() + PAUSE_MAX_MS;
        this.#readSoon();
      });
  }

  async #handle(message: FromMonitor): Promise<void> {
    const { rib, log } = this.#options;
    switch (message.type) {
      case "links":
        // Whoever asks for them anew has lost notifications, or has taken over from a thread that heard them.
        if (!this.#isAdopting) this.#options.drift.hearLoss();
        return this.#replaceLinks(message.links);
      case "changes":
        for (const change of message.changes) this.#onChange(change);
        return this.#tellGroups();
      case "overrun":
        this.overruns += 1;
        this.#options.drift.hearLoss();
        log.warn("Notifications of the kernel were lost; its tables are read anew");
        this.#options.retrier.wake(Cause.FOREIGN, Cause.ADDRESS, Cause.SOURCE, Cause.IPV6, Cause.NEXTHOP);
        return this.#readSoon();
      case "nexthops":
        if (this.#isAdopting) this.#nexthops.adopt(message.objects);
        else if (message.reading === this.#reading) this.#objects = message.objects;
        return;
      case "restarted":
        if (!this.#isAdopting && message.reading === this.#reading) this.#audit?.restart(message.family);
        return;
      case "routes":
        if (this.#isAdopting) this.#adopt(message.records);
        else if (message.reading === this.#reading) this.#audit?.take(message.records);
        await this.#clock.turn();
        // Gone at once: the runtime would leave all 94 MB of a full reading to a collection that comes when it comes.
        message.records.transfer(0);
        this.#monitor.chunkTaken();
        return;
      case "read":
        if (this.#isAdopting) {
          this.#isAdopting = false;
          rib.flush();
          // The kernel may hold one twice, which only an audit can set right.
          if (rib.metAgain > 0) this.#readSoon();
          const { routes, unreadable } = message;
          this.#adopted.resolve({ routes, unreadable: unreadable + this.#refused });
        } else if (this.#audit !== null && message.reading === this.#reading)
          await this.#endAudit(this.#audit, message.complete);
        // A thread that took over for one that died begins with a reading that nobody asked for.
        else if (message.reading === FIRST_READING) this.#readSoon();
    }
  }

  #adopt(records: ArrayBuffer): void {
    const bytes = new Uint8Array(records);
    const view = new DataView(records);
    for (let offset = 0; offset < bytes.length; offset = nextRecord(view, offset)) {
      if (!this.#options.rib.adopt(bytes, view, offset)) this.#refused += 1;
    }
  }

  async #endAudit(audit: Audit, complete: ReadingIsComplete): Promise<void> {
    const { rib, drift, log } = this.#options;
    const nexthops = complete.nexthops ? this.#nexthops.end(this.#objects) : 0;
    this.#objects = [];
    const report = { ...(await audit.finish(complete)), nexthops };
    // The thread may have died meanwhile.
    if (this.#audit === audit) this.#audit = null;
    drift.endReading();
    if (this.#hasConflicts && rib.failedCount === 0) this.#noteConflicts(false);
    this.audits += 1;
    this.lastAudit = { ...report, time: this.#clock.time() };
    const took = this.#clock.now() - this.#auditStartedAt;
    this.#restUntil = this.#clock.now() + Math.min(took * PAUSE_FACTOR, PAUSE_MAX_MS);
    const { missing, changed, unexpected } = report;
    if (missing + changed + unexpected + nexthops > 0) {
      const found = { missing, changed, unexpected, nexthops };
      log.warn("The kernel held something else than was confirmed; it is repaired", found);
    }
    for (const waiter of this.#waiting.splice(0)) waiter.resolve(report);
    if (!report.complete) this.#readSoon();
    this.#scheduleNext();
  }

  #onDrift(event: DriftEvent): void {
    const { journal, rib } = this.#options;
    const { kind, family, route, by: text, protocol, delayMs } = event;
    const owner = rib.store(family).owner(route);
    if (kind === DriftKind.UNEXPECTED) journal.note(JournalKind.SWEPT, family, route, { text });
    else if (kind === DriftKind.CHANGED) journal.note(JournalKind.DRIFT_CHANGED, family, route, { owner, text });
    else if (protocol === 0) journal.note(JournalKind.DRIFT_MISSING, family, route, { owner, text });
    else journal.note(JournalKind.DRIFT_REPLACED, family, route, { owner, text, protocol });
    if (delayMs > 0) journal.note(JournalKind.REPAIR_DELAYED, family, route, { text, delayMs });
    this.#options.onDrift(event);
  }

  #onChange(change: KernelChange): void {
    const { retrier } = this.#options;
    switch (change.kind) {
      case "link":
        this.#onLink(change);
        break;
      case "address":
        this.#touchedLinks.add(change.ifindex);
        if (change.action === "new") {
          // No route goes because of it, so there is nothing to read.
          retrier.wake(Cause.SOURCE, Cause.IPV6);
          // A link-local one comes with its link, and leads to no gateway that was not reached before.
          if (!change.address.startsWith("fe80:")) retrier.wake(Cause.ADDRESS);
        } else {
          this.#afterSilence(`address ${change.address}`);
          this.#readSoon();
        }
        break;
      case "route":
        this.#onRoute(change);
        break;
      case "nexthop":
        if (this.#nexthops.onChange(change) && change.action === "delete") {
          // Routes by objects of the daemon's own are found missing by a reading only.
          this.#options.drift.hearSilent(`nexthop object ${change.id} (${change.by})`);
        }
        if (change.action === "new") retrier.wake(Cause.NEXTHOP);
        this.#readSoon();
    }
    this.#options.onChange(change);
  }

  #onLink({ action, link }: LinkChange): void {
    const { links } = this.#options;
    const before = links.get(link.ifindex);
    if (action === "new") {
      links.set(link);
      this.#takeName(link);
    } else {
      links.delete(link.ifindex);
      this.#leaveName(before ?? link);
    }
    if (action === "new" && before !== undefined && isSameState(before, link)) return;
    if (!isCarrying(link)) this.#downLinks.add(link.ifindex);
    // Also one that was up before may take now what it did not: no IPv6 goes over an MTU below 1280.
    this.#afterLink(link, action === "new" && link.up);
  }

  /** The interface is gone; one of its name may come. */
  #leaveName({ name, ifindex }: Link): void {
    this.#goneLinks.delete(name);
    this.#goneLinks.set(name, ifindex);
    if (this.#goneLinks.size > GONE_LINKS_MAX) this.#goneLinks.delete(this.#goneLinks.keys().next().value!);
  }

  /** An interface has the name of one that is gone: who named it by name means the new one. */
  #takeName({ name, ifindex }: Link): void {
    const { rib, groups, log } = this.#options;
    const gone = this.#goneLinks.get(name);
    if (gone === undefined) return;
    this.#goneLinks.delete(name);
    if (gone === ifindex) return;
    groups.renumber(gone, ifindex);
    void renumberRoutes(rib, gone, ifindex).then((routes) => {
      if (routes > 0) log.info("An interface was made again; its routes go over the new one", { link: name, routes });
    });
  }

  /** After notifications were lost: what each link became. */
  #replaceLinks(found: readonly Link[]): void {
    const { links } = this.#options;
    const before = new Map(Array.from(links.links(), (link) => [link.ifindex, link]));
    links.replaceAll(found);
    for (const link of found) {
      const old = before.get(link.ifindex);
      before.delete(link.ifindex);
      if (old === undefined || !isSameState(old, link)) this.#afterLink(link, true);
    }
    for (const link of before.values()) {
      this.#leaveName(link);
      this.#afterLink(link, false);
    }
    for (const link of found) this.#takeName(link);
    this.#tellGroups();
  }

  /** `isBack`: what waits for a link may find it there. */
  #afterLink({ ifindex, name }: Link, isBack: boolean): void {
    if (this.#isAdopting) return;
    const { retrier } = this.#options;
    this.#afterSilence(`link ${name}`);
    this.#touchedLinks.add(ifindex);
    if (isBack) retrier.wake(Cause.LINK, Cause.ADDRESS, Cause.IPV6);
    this.#readSoon();
  }

  /**
   * Several changes of a link are told at once after they all were, and what was written by then is there all the same. So
   * objects are taken for gone only with a link that is down now; with one that was down in between the kernel is asked.
   */
  #tellGroups(): void {
    for (const ifindex of this.#touchedLinks) {
      this.#options.groups.onLink(ifindex);
      if (this.#downLinks.has(ifindex)) this.#nexthops.doubtOn(ifindex);
    }
    this.#touchedLinks.clear();
    this.#downLinks.clear();
  }

  /** With this the kernel drops IPv4 routes without a word: ours, and those of others that may be in the way of ours. */
  #afterSilence(what: string): void {
    this.#options.drift.hearSilent(what);
    this.#options.retrier.wake(Cause.FOREIGN);
  }

  #onRoute(change: RouteChange): void {
    const { rib, drift, retrier } = this.#options;
    const { family, table, metric, source, sourceLength, prefix, prefixLength } = change;
    const keyClass = rib.classes.find(family, table, metric, source, sourceLength);
    const route = keyClass === undefined ? NO_ROUTE : rib.store(family).find(prefix, prefixLength, keyClass.id);
    if (route !== NO_ROUTE) {
      if (!change.isOurs && change.action === "delete") retrier.makeWay(family, route);
      const isReplaced = change.action === "new" && change.protocol !== this.#options.protocol;
      drift.hear(family, route, change, isReplaced ? change.protocol : 0);
    }
    if (change.isOurs) this.#readSoon();
  }

  /** While a route of somebody else keeps one of ours out, deletions of others' routes are wanted. */
  #noteConflicts(hasConflicts: boolean): void {
    this.#hasConflicts = hasConflicts;
    this.wantChanges(this.#areChangesWanted);
    // It may have gone before we listened.
    if (hasConflicts) this.#options.retrier.wake(Cause.FOREIGN);
  }

  #sweepStaleIn(delayMs: number): void {
    this.#staleTimer = this.#clock.setTimeout(() => void this.#sweepStale(), delayMs);
    this.#staleTimer.unref();
  }

  /** Takes away what was found at the start and nobody has claimed since. */
  async #sweepStale(): Promise<void> {
    // A sync claims nothing before its body has come to its end.
    const isSyncing = this.#options.rib.owners.values().some((owner) => owner.isSyncing);
    if (isSyncing) return this.#sweepStaleIn(SYNC_PAUSE_MS);
    const swept = await this.#sweepUnclaimed();
    if (swept > 0) this.#options.log.info("Routes that nobody has claimed since the start are removed", { swept });
    await this.#options.rib.reconciler.idle();
    if (!this.#isStopped) this.#nexthops.sweep();
  }

  async #sweepUnclaimed(): Promise<number> {
    const { rib, journal } = this.#options;
    let swept = 0;
    await walkRoutes(rib, (family, store, route) => {
      if (store.owner(route) !== NOBODY || store.desired(route) === NO_ATTRS) return;
      journal.note(JournalKind.SWEPT, family, route);
      rib.sweep(family, route);
      swept += 1;
    });
    return swept;
  }
}

function isCarrying({ up, carrier }: Link): boolean {
  return up && carrier;
}

/** Nothing has changed by which routes come or go. */
function isSameState(a: Link, b: Link): boolean {
  return a.up === b.up && a.carrier === b.carrier && a.mtu === b.mtu && a.name === b.name && a.master === b.master;
}
