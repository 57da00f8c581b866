/**
 * One FPM peer over all of its connections. FPM has neither a hello nor a mark where a replay ends, and who was away does
 * not tell what it has withdrawn meanwhile (FRR: zebra/dplane_fpm_nl.c). So each connection begins a sync of the peer's
 * owner: what is told marks its routes, and after a while of silence the others are removed. Main thread.
 *
 * A sender that has kept its netlink port is the same process as before, and tells all it has at once. One that was started
 * anew learns its routes again from its own neighbours, which takes time: then what is unmarked stays for the hold time.
 */
import type { Socket } from "node:net";
import { clearInterval, setInterval, setTimeout } from "node:timers";
import { now } from "../../clock.ts";
import type { Log } from "../../log.ts";
import type { RouteUpdate } from "../../model/route.ts";
import type { Outcome, UpdateSession } from "../../rib/outcome.ts";
import type { Owner } from "../../rib/owners.ts";
import { RouteSync, SyncStep } from "../../rib/sync.ts";
import { createFpmCounters } from "./fpm_counters.ts";
import type { FpmGroups } from "./fpm_groups.ts";
import { FpmNexthops } from "./fpm_nexthops.ts";
import { type FpmMapping, FpmRouteReader, type IgnoredReason } from "./fpm_route.ts";
import { FpmSession, type FpmSessionParts } from "./fpm_session.ts";

/** How often a peer's timers are looked at. */
const TICK_MS = 100;
/** Silence on a connection after which the kernel asks whether the far end is still there. */
const KEEP_ALIVE_MS = 10_000;
/** How often nexthop groups that nothing is on are looked for, which takes a look at all routes. */
const GROUPS_SWEEP_MS = 2000;

/** What a peer is doing; the words of the API. */
export type FpmPeerState =
  /** Connected; it may not have told all of its routes yet. */
  | "replaying"
  /** Connected; its routes are what it has told. */
  | "settled"
  /** Not connected; its routes are kept. */
  | "down"
  /** Not connected for longer than the hold time: its routes are removed. */
  | "gone";

export interface FpmPeerParts extends FpmSessionParts {
  mapping: FpmMapping;
  quietTimeMs: number;
  holdTimeMs: number;
  log: Log;
}

export class FpmPeer implements UpdateSession {
  readonly address: string;
  readonly owner: Owner;
  readonly counters = createFpmCounters();
  /** Of the present connection. */
  nexthops: FpmNexthops | null = null;
  /** When the present connection began, or the last one ended, in milliseconds since the Unix epoch. */
  since = 0;
  lastError = "";
  state: FpmPeerState = "gone";
  /** Called with a route that is as the peer wants it without a write. */
  onUnchanged: (update: RouteUpdate) => void = () => {};
  readonly #parts: FpmPeerParts;
  readonly #groups: FpmGroups;
  readonly #session: number;
  #connection: { session: FpmSession; socket: Socket; ended: Promise<void> } | null = null;
  #connecting = Promise.resolve();
  #isClosed = false;
  #sync: RouteSync | null = null;
  /** A sweep that is under way. */
  #sweeping: Promise<void> | null = null;
  #changedAt = 0;
  #heardAt = 0;
  #sweptGroupsAt = 0;
  /** Netlink port of the last sender that named one, and of the sender of the present connection. */
  #portId = 0;
  #senderPort = 0;
  #isSameSender = false;
  readonly #timer: ReturnType<typeof setInterval>;

  constructor(parts: FpmPeerParts, address: string, owner: Owner, groups: FpmGroups) {
    this.#parts = parts;
    this.address = address;
    this.owner = owner;
    this.#groups = groups;
    this.#session = parts.rib.openSession(this);
    this.#timer = setInterval(() => this.#tick(), TICK_MS);
    this.#timer.unref();
  }

  /** Socket of the present connection; null if there is none. */
  get socket(): Socket | null {
    return this.#connection?.socket ?? null;
  }

  get groups(): number {
    return this.#groups.count;
  }

  /** A new connection, which takes the place of the one there is. */
  connect(socket: Socket, sharesKernel: boolean): void {
    socket.pause();
    // A dead peer does not say that it is.
    socket.setKeepAlive(true, KEEP_ALIVE_MS);
    // One after the other, however fast they come.
    this.#connecting = this.#connecting.then(() => this.#connect(socket, sharesKernel));
  }

  async #connect(socket: Socket, sharesKernel: boolean): Promise<void> {
    const { log } = this.#parts;
    const before = this.#connection;
    if (before !== null) {
      log.warn("An FPM peer connects again before its connection has ended", { peer: this.address });
      before.session.close();
      await before.ended;
    }
    await this.#sweeping;
    // A client of the API may be making them others just now.
    while (this.owner.isSyncing) await new Promise((resolve) => setTimeout(resolve, TICK_MS));
    if (socket.destroyed || this.#isClosed) return void socket.destroy();
    this.counters.connects += 1;
    const routes = new FpmRouteReader(this.#parts.mapping, sharesKernel);
    const nexthops = new FpmNexthops(this.#groups, (nexthop) => routes.mapLink(nexthop));
    // zebra replays the tables of its VRFs and no others: what it does not tell of them on a new connection stays.
    const tables = new Set([routes.mainTable]);
    const session = new FpmSession(
      this.#parts,
      {
        owner: this.owner,
        session: this.#session,
        counters: this.counters,
        nexthops,
        routes,
        tables,
        onMessage: (portId) => this.#onMessage(portId),
        onUnchanged: (update) => this.onUnchanged(update),
        onIgnored: (reason) => this.#onIgnored(reason),
        onError: (reason) => this.#onError(reason),
      },
      socket,
    );
    this.nexthops = nexthops;
    this.#isSameSender = false;
    this.#senderPort = 0;
    this.#setState("replaying");
    this.#heardAt = now();
    this.#sync = new RouteSync(this.#parts.rib, this.owner, { keepsAll: false, isDryRun: false, tables });
    log.info("An FPM peer has connected", {
      peer: this.address,
      owner: this.owner.name,
      keptRoutes: this.owner.routes,
    });
    const ended = this.#run(session);
    this.#connection = { session, socket, ended };
    socket.resume();
  }

  async #run(session: FpmSession): Promise<void> {
    const { log } = this.#parts;
    const reason = await session.run().catch((error: unknown) => {
      log.error("An FPM connection failed", { peer: this.address, error: String(error) });
      return String(error);
    });
    this.counters.closes += 1;
    this.#connection = null;
    this.nexthops = null;
    await this.#sweeping;
    await this.#endSync();
    this.#setState("down");
    if (reason !== "") {
      this.counters.errors += 1;
      this.lastError = reason;
      log.error("An FPM connection is closed, because its stream cannot be read", { peer: this.address, reason });
    }
    log.info("An FPM peer is gone; its routes are kept for the hold time", {
      peer: this.address,
      routes: this.owner.routes,
      holdMs: this.#parts.holdTimeMs,
    });
  }

  /** Ends the connection; routes stay as they are. */
  async close(): Promise<void> {
    clearInterval(this.#timer);
    this.#isClosed = true;
    this.#connection?.session.close();
    await this.#connection?.ended;
    await this.#sweeping;
    this.#parts.rib.closeSession(this.#session);
  }

  onResult(_slot: number, outcome: Outcome): void {
    if (outcome === "fib_programmed") this.counters.programmed += 1;
    else if (outcome === "fib_failed") this.counters.failed += 1;
  }

  #setState(state: FpmPeerState): void {
    this.state = state;
    this.since = Date.now();
    this.#changedAt = now();
  }

  #onMessage(portId: number): void {
    this.#heardAt = now();
    if (portId === this.#senderPort) return;
    this.#isSameSender = portId !== 0 && portId === this.#portId;
    this.#senderPort = portId;
    if (portId !== 0) this.#portId = portId;
  }

  #onIgnored(reason: IgnoredReason): void {
    this.counters.ignored[reason] += 1;
    if (reason !== "sharedKernel") return;
    const way =
      "give them a table of their own ([fpm] table-map), a metric of 4278190080 or more ([fpm] metric), or dplaned a " +
      "network namespace of its own; see docs/frr.md";
    this.#parts.log.warn("Routes of an FPM peer are refused: it programs the same kernel", {
      peer: this.address,
      wayOut: way,
    });
  }

  #onError(reason: string): void {
    this.counters.errors += 1;
    this.lastError = reason;
    this.#parts.log.warn("Something of an FPM peer is skipped", { peer: this.address, reason });
  }

  async #endSync(): Promise<void> {
    const { pacer } = this.#parts;
    const sync = this.#sync;
    this.#sync = null;
    sync?.end();
    for (const _ of sync?.release() ?? []) if (pacer.isOver()) await pacer.pause();
  }

  #tick(): void {
    if (this.#sweeping !== null) return;
    const { quietTimeMs, holdTimeMs } = this.#parts;
    const time = now();
    // What waits here for the dataplane was told, too.
    if (this.#connection?.session.isBusy) this.#heardAt = time;
    const isQuiet = time - this.#heardAt >= quietTimeMs;
    const isHeld = time - this.#changedAt < holdTimeMs;
    if (this.state === "replaying" && isQuiet && (this.#isSameSender || !isHeld)) this.#sweep("settled");
    else if (this.state === "down" && !isHeld && !this.owner.isSyncing) this.#sweep("gone");
    else if (time - this.#sweptGroupsAt >= GROUPS_SWEEP_MS) {
      this.#sweptGroupsAt = time;
      void this.#groups.sweep();
    }
  }

  /** Removes what the peer has not told since its connection began, or all. */
  #sweep(state: FpmPeerState): void {
    if (state === "gone") this.#sync = new RouteSync(this.#parts.rib, this.owner, { keepsAll: false, isDryRun: false });
    this.#sweeping = this.#withdraw().then((removed) => {
      this.#sweeping = null;
      this.counters.swept += removed;
      this.#setState(state);
      if (state === "gone") this.#groups.freeAll();
      const text = state === "gone" ? "The hold time of an FPM peer is over" : "The replay of an FPM peer is over";
      this.#parts.log.info(text, { peer: this.address, routes: this.owner.routes, removed });
    });
  }

  async #withdraw(): Promise<number> {
    const { rib, dataplane, pacer } = this.#parts;
    let removed = 0;
    for (let step: SyncStep = SyncStep.PASSED; this.#sync !== null && step !== SyncStep.DONE; ) {
      if (!dataplane.isAccepting()) break;
      if (!dataplane.hasRoom()) await dataplane.waitForRoom();
      step = dataplane.hasRoom() ? this.#sync.withdraw(this.#session) : SyncStep.PASSED;
      if (step === SyncStep.DELETED || step === SyncStep.SWEPT) removed += 1;
      if (!pacer.isOver()) continue;
      rib.flush();
      await pacer.pause();
    }
    rib.flush();
    this.owner.syncedAt = Date.now();
    await this.#endSync();
    return removed;
  }
}
