/**
 * One FPM connection: cuts its bytes into frames and messages, and has the peer's owner want what they say. Main thread.
 *
 * It never stops reading for long, because FRR breaks off a connection that takes nothing for 15 seconds: while the
 * dataplane has no room for a second, routes are only noted in the RIB, which brings the latest of each prefix later. So
 * memory is bounded by the number of prefixes, however fast a peer writes.
 */
import type { Socket } from "node:net";
import { clearTimeout, setTimeout } from "node:timers";
import { FPM_TYPE_NETLINK, FrameError, FrameReader } from "../../../ffi/fpm/frame.ts";
import * as c from "../../../ffi/netlink/constants.ts";
import { align4, messageLength, messageType } from "../../../ffi/netlink/message.ts";
import { createNexthopMessage, decodeNexthop } from "../../../ffi/netlink/nexthop.ts";
import { createRouteMessage } from "../../../ffi/netlink/route.ts";
import { decodeRoute } from "../../../ffi/netlink/route_decode.ts";
import { NO_ATTRS } from "../../context/attrs.ts";
import type { Dataplane } from "../../dataplane/dataplane.ts";
import { createRouteUpdate, RouteType, type RouteUpdate, UpdateOp } from "../../model/route.ts";
import { takeAsIs } from "../../rib/as_wanted.ts";
import { NOBODY, type Owner } from "../../rib/owners.ts";
import type { Rib } from "../../rib/rib.ts";
import { NO_ROUTE } from "../../rib/route_store.ts";
import type { Pacer } from "../pacer.ts";
import { type WithdrawalRoom, Withdrawals } from "../withdrawals.ts";
import type { FpmCounters } from "./fpm_counters.ts";
import { BLACKHOLE, type FpmNexthops } from "./fpm_nexthops.ts";
import type { FpmRouteReader, IgnoredReason } from "./fpm_route.ts";

/** Without room for so long, the session goes on without. */
const STALL_MS = 1000;
/** Routes taken before other sessions have their turn. */
const TURN_ROUTES = 64;
/** Bytes that may wait to be worked off before the peer has to wait. */
const BACKLOG_BYTES = 1 << 20;

export interface FpmSessionParts {
  rib: Rib;
  dataplane: Dataplane;
  pacer: Pacer;
  withdrawalRoom: WithdrawalRoom;
  /** Resolves when the kernel has been asked for all groups that are defined. */
  groupsIdle: () => Promise<void>;
}

export interface FpmSessionPeer {
  owner: Owner;
  /** Number of the session of the RIB that gets the results. */
  session: number;
  counters: FpmCounters;
  nexthops: FpmNexthops;
  routes: FpmRouteReader;
  /** Tables of ours that the peer has told routes of on this connection. */
  tables: Set<number>;
  /** Something has come; `portId` is the sender's netlink port, by which a restarted one is known. */
  onMessage(portId: number): void;
  /** A route is as the peer wants it, without a write. */
  onUnchanged(update: RouteUpdate): void;
  /** A message is left alone, for which somebody may want to know the reason. */
  onIgnored(reason: IgnoredReason): void;
  /** A message that cannot be read, or a route that the RIB does not take. */
  onError(reason: string): void;
}

/** Why a turn ended. */
type TurnEnd = "empty" | "no-room" | "groups" | "withdrawals" | "turn";

export class FpmSession {
  readonly #parts: FpmSessionParts;
  readonly #peer: FpmSessionPeer;
  readonly #socket: Socket;
  readonly #reader = new FrameReader();
  readonly #message = createRouteMessage();
  readonly #nexthop = createNexthopMessage();
  readonly #update = createRouteUpdate();
  /** A deletion that may be the first half of a replacement: FRR sends both in one frame. */
  readonly #held = createRouteUpdate();
  #hasHeld = false;
  /** Place in the frame that is being worked off. */
  #at = 0;
  #end = 0;
  #chunks: Uint8Array[] = [];
  #backlog = 0;
  /** The peer has ended the connection: what it had sent before is still worked off. */
  #isEnded = false;
  /** Nothing more is worked off. */
  #isAborted = false;
  #isWorking = false;
  /** There were routes before, of the owner or nobody's, that the peer may tell again just as they are. */
  readonly #mayBeAsIs: boolean;
  #wake: (() => void) | null = null;
  /** The dataplane has had no room for a while. */
  #isStalled = false;
  readonly #withdrawals: Withdrawals;
  readonly #withdrawn = createRouteUpdate();
  /** Brings the withdrawals that wait; null while none do. */
  #withdrawing: Promise<void> | null = null;

  constructor(parts: FpmSessionParts, peer: FpmSessionPeer, socket: Socket) {
    this.#parts = parts;
    this.#peer = peer;
    this.#socket = socket;
    this.#withdrawals = new Withdrawals(parts.withdrawalRoom);
    this.#mayBeAsIs = peer.owner.routes + parts.rib.owners.nobody.selected > 0;
    socket.on("data", (chunk: Uint8Array) => this.#receive(chunk));
    socket.on("close", () => {
      this.#isEnded = true;
      this.#wake?.();
    });
    // The reason is of no use to anybody: the connection is gone, and `close` follows.
    socket.on("error", () => {});
  }

  /** Breaks the connection off; what has come and was not worked off yet is dropped. */
  close(): void {
    this.#isAborted = true;
    this.#socket.destroy();
    this.#wake?.();
  }

  /** Something has come that is not worked off yet. */
  get isBusy(): boolean {
    return this.#isWorking || this.#chunks.length > 0 || this.#withdrawing !== null;
  }

  /** Works until the connection ends. Resolves with why the stream could not be read any further; empty if it just ended. */
  async run(): Promise<string> {
    try {
      while (await this.#nextChunk()) {
        this.#isWorking = true;
        await this.#work();
        this.#isWorking = false;
      }
      await this.#withdrawing;
      return "";
    } catch (error) {
      if (error instanceof FrameError) return error.message;
      throw error;
    } finally {
      this.close();
    }
  }

  #receive(chunk: Uint8Array): void {
    this.#peer.counters.bytesRead += chunk.length;
    this.#chunks.push(chunk);
    this.#backlog += chunk.length;
    if (this.#backlog >= BACKLOG_BYTES) this.#socket.pause();
    this.#wake?.();
  }

  async #nextChunk(): Promise<boolean> {
    while (this.#chunks.length === 0 && !this.#isEnded && !this.#isAborted) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
      this.#wake = null;
    }
    const chunk = this.#chunks.shift();
    if (chunk === undefined || this.#isAborted) return false;
    this.#backlog -= chunk.length;
    if (this.#backlog < BACKLOG_BYTES && this.#socket.isPaused()) this.#socket.resume();
    this.#reader.push(chunk);
    return true;
  }

  /** Works off the frames that are there as a whole, in turns with others. */
  async #work(): Promise<void> {
    const { rib, pacer, groupsIdle } = this.#parts;
    for (let end: TurnEnd = "turn"; end !== "empty"; ) {
      end = this.#takeTurn();
      rib.flush();
      if (end === "groups") {
        await groupsIdle();
        this.#peer.nexthops.hasChanged = false;
      } else if (end === "no-room") await this.#waitForRoom();
      else if (end === "withdrawals") await this.#withdrawing;
      if (pacer.isOver()) await pacer.pause();
      if (!this.#parts.dataplane.isAccepting()) this.close();
    }
  }

  async #waitForRoom(): Promise<void> {
    const { dataplane } = this.#parts;
    let hasGivenUp = false;
    const room = dataplane.waitForRoom().then(() => {
      // Whoever had a turn and does not use it passes it on.
      if (hasGivenUp) dataplane.flush();
      this.#isStalled = false;
    });
    await new Promise<void>((resolve) => {
      const timer = setTimeout(() => {
        hasGivenUp = true;
        this.#isStalled = true;
        resolve();
      }, STALL_MS);
      void room.then(() => {
        clearTimeout(timer);
        resolve();
      });
    });
  }

  #takeTurn(): TurnEnd {
    const { pacer } = this.#parts;
    for (let taken = 0; taken < TURN_ROUTES; ) {
      if (this.#at >= this.#end) {
        const held = this.#hasHeld ? this.#apply(this.#held) : null;
        if (held !== null) return held;
        this.#hasHeld = false;
        if (!this.#nextFrame()) return "empty";
        continue;
      }
      const length = messageLength(this.#reader.view, this.#at, this.#end);
      if (length === 0) {
        this.#peer.onError("a message is longer than its frame, or shorter than its header");
        this.#at = this.#end;
        continue;
      }
      const end = this.#take(length);
      if (end !== null) return end;
      this.#at += align4(length);
      taken += 1;
      if (pacer.isOver()) return "turn";
    }
    return "turn";
  }

  #nextFrame(): boolean {
    const reader = this.#reader;
    if (this.#isAborted || !reader.next()) return false;
    this.#peer.counters.frames += 1;
    this.#at = reader.start;
    this.#end = reader.end;
    if (reader.type !== FPM_TYPE_NETLINK) {
      this.#peer.onError(`a frame of type ${reader.type} instead of netlink (${FPM_TYPE_NETLINK})`);
      this.#at = this.#end;
    }
    return true;
  }

  /** Takes the message at this place. Why the turn ends before it, or null when it is dealt with. */
  #take(length: number): TurnEnd | null {
    const { view } = this.#reader;
    switch (messageType(view, this.#at)) {
      case c.RTM_NEWROUTE:
      case c.RTM_DELROUTE:
        return this.#takeRoute(length);
      case c.RTM_NEWNEXTHOP:
      case c.RTM_DELNEXTHOP:
        this.#takeNexthop(length);
        return null;
      default:
        this.#peer.onIgnored("otherKind");
        return null;
    }
  }

  #takeNexthop(length: number): void {
    const { counters, nexthops } = this.#peer;
    const message = decodeNexthop(this.#reader.view, this.#at, length, this.#nexthop, true);
    if (message === null) return this.#peer.onError("a nexthop message cannot be read");
    this.#peer.onMessage(message.portId);
    counters.nexthops += 1;
    if (message.type === c.RTM_DELNEXTHOP) return nexthops.delete(message.id);
    const ignored = nexthops.set(message);
    if (ignored !== null) this.#peer.onIgnored(ignored);
  }

  #takeRoute(length: number): TurnEnd | null {
    const peer = this.#peer;
    const message = decodeRoute(this.#reader.view, this.#at, length, this.#message);
    if (message === null) {
      peer.onError("a route message cannot be read");
      return null;
    }
    const update = this.#update;
    const ignored = peer.routes.read(message, update);
    const hasHeld = this.#hasHeld;
    if (hasHeld && ignored === null && update.op === UpdateOp.INSTALL && isSameRoute(update, this.#held)) {
      this.#hasHeld = false;
      peer.counters.replaced += 1;
    } else if (hasHeld) {
      const end = this.#apply(this.#held);
      if (end !== null) return end;
      this.#hasHeld = false;
    }
    if (ignored !== null) peer.onIgnored(ignored);
    else if (update.op === UpdateOp.DELETE) this.#hold(update);
    else {
      const end = this.#install(update);
      // It comes again, from its message.
      if (end !== null) return end;
    }
    peer.onMessage(message.portId);
    return null;
  }

  #hold({ family, prefix, prefixLength, source, sourceLength, table, metric }: RouteUpdate): void {
    const held = this.#held;
    Object.assign(held, { op: UpdateOp.DELETE, family, prefixLength, sourceLength, table, metric });
    held.prefix.set(prefix);
    held.source.set(source);
    this.#hasHeld = true;
  }

  #install(update: RouteUpdate): TurnEnd | null {
    const { nexthops, owner } = this.#peer;
    update.distance = owner.settings.distance;
    if (update.nexthopGroup !== 0) {
      const group = nexthops.groupOf(update.nexthopGroup);
      if (group === BLACKHOLE) update.type = RouteType.BLACKHOLE;
      update.nexthopGroup = group === BLACKHOLE ? 0 : group;
      if (nexthops.hasChanged) return "groups";
    }
    return this.#apply(update);
  }

  /** Has the owner want what the update says. Why the turn ends before it, or null when it is dealt with. */
  #apply(update: RouteUpdate): TurnEnd | null {
    const { rib, dataplane } = this.#parts;
    const { owner, counters } = this.#peer;
    const isInstall = update.op === UpdateOp.INSTALL;
    if (!isInstall && !this.#isKnown(update)) {
      counters.deletes += 1;
      this.#peer.onIgnored("unknownRoute");
      return null;
    }
    const hasRoom = dataplane.hasRoom();
    if (hasRoom) this.#isStalled = false;
    if (this.#withdrawing !== null || !(hasRoom || this.#isStalled)) {
      if (!this.#withdrawals.takes(update)) return this.#withdrawing === null ? "no-room" : "withdrawals";
      this.#withdrawals.push(update, 1);
      counters.deletes += 1;
      this.#withdrawing ??= this.#withdraw().catch((error: unknown) => {
        this.#peer.onError(`withdrawals failed: ${error}`);
        this.close();
      });
      return null;
    }
    if (isInstall) counters.routes += 1;
    else counters.deletes += 1;
    if (isInstall && this.#mayBeAsIs && takeAsIs(rib, update, owner)) {
      counters.unchanged += 1;
      this.#peer.tables.add(update.table);
      this.#peer.onUnchanged(update);
      return null;
    }
    this.#admit(update, hasRoom);
    return null;
  }

  #admit(update: RouteUpdate, hasRoom: boolean): void {
    const { rib } = this.#parts;
    const { owner, counters, session } = this.#peer;
    if (!hasRoom) counters.deferred += 1;
    const refused = hasRoom ? rib.admit(update, owner, session, 1) : rib.want(update, owner);
    if (refused !== null) this.#peer.onError(`a route is not taken: ${refused}`);
    else if (update.op === UpdateOp.INSTALL) this.#peer.tables.add(update.table);
  }

  /** Brings the withdrawals that wait, as there is room, or without once that has been missing for a while. */
  async #withdraw(): Promise<void> {
    const { dataplane, rib, pacer } = this.#parts;
    while (this.#withdrawals.count > 0 && !this.#isAborted) {
      if (!dataplane.hasRoom() && !this.#isStalled) await this.#waitForRoom();
      for (let taken = 0; taken < TURN_ROUTES && this.#withdrawals.count > 0; taken++) {
        const hasRoom = dataplane.hasRoom();
        if (hasRoom) this.#isStalled = false;
        else if (!this.#isStalled) break;
        this.#withdrawals.next(this.#withdrawn);
        // Somebody else may have had it withdrawn.
        if (this.#isKnown(this.#withdrawn)) this.#admit(this.#withdrawn, hasRoom);
      }
      rib.flush();
      if (pacer.isOver()) await pacer.pause();
    }
    this.#withdrawals.clear();
    this.#withdrawing = null;
  }

  /** Whether there is anything to delete: the owner wants it, or it was found in the kernel and is nobody's. */
  #isKnown(update: RouteUpdate): boolean {
    const { rib } = this.#parts;
    const route = rib.findRoute(update);
    if (route === NO_ROUTE) return false;
    const store = rib.store(update.family);
    if (rib.claims.wantedBy(update.family, store, route, this.#peer.owner.id) !== NO_ATTRS) return true;
    return store.owner(route) === NOBODY && store.desired(route) !== NO_ATTRS;
  }
}

function isSameRoute(a: RouteUpdate, b: RouteUpdate): boolean {
  if (a.family !== b.family || a.prefixLength !== b.prefixLength || a.sourceLength !== b.sourceLength) return false;
  if (a.table !== b.table || a.metric !== b.metric) return false;
  for (let at = 0; at < 16; at++) if (a.prefix[at] !== b.prefix[at] || a.source[at] !== b.source[at]) return false;
  return true;
}
