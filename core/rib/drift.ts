/**
 * Where the kernel is found to hold something else than was confirmed: counted, told, and repaired. Main thread only.
 *
 * The first repair of a route comes at once. One that is changed again and again is somebody else's as well: its repairs
 * come later and later, until it is left alone for a while. But no repair is put off for longer than the fight has been
 * going on: `ip route flush` deletes what it finds until it finds nothing, and that is over soon. What the kernel takes
 * away with a link or an address is nobody's doing, however often the link flaps.
 */
import { now } from "../clock.ts";
import type { ChangeAuthor } from "../model/kernel_event.ts";
import type { Family } from "../model/route.ts";
import { routeKey } from "./claims.ts";

/** How the kernel differs. */
export const DriftKind = {
  /** The route is not there. */
  MISSING: "missing",
  /** It is there, and leads elsewhere. */
  CHANGED: "changed",
  /** A route of our protocol that nobody asked for. */
  UNEXPECTED: "unexpected",
} as const;
export type DriftKind = (typeof DriftKind)[keyof typeof DriftKind];

export interface DriftEvent {
  kind: DriftKind;
  family: Family;
  /** Number of the route in the RIB. */
  route: number;
  /** Who did it, as far as known: `ip[4711]`, `the kernel with link v0`; empty if nobody was heard. */
  by: string;
  /** RTPROT_* of the route that was put in its place; 0 if none was seen. */
  protocol: number;
  /** When it is repaired, from now; 0 at once. */
  delayMs: number;
  /** How often it has been found different lately, this time included. */
  times: number;
}

/** Of what is found without a word about it. */
export const NOBODY_HEARD: ChangeAuthor = { by: "", portId: -1 };

/** A nexthop object differs. */
export interface NexthopDrift {
  kind: DriftKind;
  /** Number of the object in the kernel. */
  id: number;
  /** Groups by the clients' numbers: those that it stands for, or is a member of. */
  groups: readonly number[];
  /** Those of them that were whole before. */
  harmed: readonly number[];
  /** Who did it; nobody, with an empty `by`, where nobody was heard. */
  author: ChangeAuthor;
}

export interface NexthopDriftEvent extends Pick<NexthopDrift, "kind" | "id" | "groups"> {
  by: string;
  /** When the groups are repaired, from now; 0 at once. */
  delayMs: number;
  /** How often one of them has been found different lately, this time included. */
  times: number;
}

interface Fight {
  times: number;
  startedAt: number;
  lastAt: number;
}

/** Who was heard to change a route, and of which protocol another was put in its place; 0 for none. */
interface Author {
  by: string;
  protocol: number;
  isKernel: boolean;
}

interface Heard {
  /** By route. */
  authors: Map<number, Author>;
  /** With what the kernel may have dropped routes that nobody was heard to change. */
  silent: Set<string>;
  /** There was more, and it was lost. */
  isLost: boolean;
}

function createHeard(): Heard {
  return { authors: new Map(), silent: new Set(), isLost: false };
}

/** A route that is found different again within this time of its last repair is fought over. */
const FIGHT_MS = 60_000;
const DELAY_MIN_MS = 250;
const DELAY_MAX_MS = 30_000;
/** Routes of which it is remembered that they were repaired, and by whom they were changed. */
const FIGHTS_MAX = 16_384;
/** Fights that are over are looked for this often at most: with a flushed table each route would have all of them looked at. */
const EXPIRE_PAUSE_MS = 1000;
/** Links and addresses that are named where any of them may be why routes went. */
const NAMED_MAX = 3;

export class Drift {
  readonly counts: Record<DriftKind, number> = { missing: 0, changed: 0, unexpected: 0 };
  readonly nexthopCounts: Record<DriftKind, number> = { missing: 0, changed: 0, unexpected: 0 };
  /** Called for each. */
  onDrift: (event: DriftEvent) => void = () => {};
  onNexthopDrift: (event: NexthopDriftEvent) => void = () => {};
  readonly #now: () => number;
  /** By route key, and by the number of a nexthop group below 0. */
  readonly #fights = new Map<number, Fight>();
  #expiredAt = Number.NEGATIVE_INFINITY;
  /** What was heard before the reading that is under way, and since its beginning, which it may not show yet. */
  #before = createHeard();
  #since = createHeard();

  /** `clock` tells milliseconds. */
  constructor(clock: () => number = now) {
    this.#now = clock;
  }

  /**
   * Notes who was heard to change or delete a route, and of which protocol another was put in its place (0 for none);
   * only a reading of the kernel tells what that came to.
   */
  hear(family: Family, route: number, author: ChangeAuthor, protocol = 0): void {
    const { authors } = this.#since;
    const { by, portId } = author;
    if (authors.size < FIGHTS_MAX) authors.set(routeKey(family, route), { by, protocol, isKernel: portId === 0 });
  }

  /** Whether somebody was heard to change or delete the route, or may have been, and no reading has shown yet what that came to. */
  isHeard(family: Family, route: number): boolean {
    if (this.#since.isLost || this.#before.isLost) return true;
    const key = routeKey(family, route);
    return this.#since.authors.has(key) || this.#before.authors.has(key);
  }

  /** Notes that something has changed with which the kernel drops routes without a word, such as `link v0`. */
  hearSilent(what: string): void {
    const { silent } = this.#since;
    if (silent.size <= NAMED_MAX) silent.add(what);
  }

  /** Notes that more has happened than was heard. */
  hearLoss(): void {
    this.#since.isLost = true;
  }

  /** The number of a route is free for another, which has nothing to do with what was done to this one. */
  forget(family: Family, route: number): void {
    const key = routeKey(family, route);
    this.#fights.delete(key);
    this.#before.authors.delete(key);
    this.#since.authors.delete(key);
  }

  /** A reading of the kernel begins, which will show what all that was heard so far came to. */
  beginReading(): void {
    for (const [key, author] of this.#since.authors) this.#before.authors.set(key, author);
    for (const what of this.#since.silent) this.#before.silent.add(what);
    this.#before.isLost ||= this.#since.isLost;
    this.#since = createHeard();
  }

  /**
   * What the reading has to say of this route may be from before its last write was done, which may be from before what was
   * heard. True if something was heard that may have changed it; that is kept for the next reading.
   */
  keep(family: Family, route: number): boolean {
    const key = routeKey(family, route);
    const author = this.#before.authors.get(key);
    if (author !== undefined && !this.#since.authors.has(key)) this.#since.authors.set(key, author);
    for (const what of this.#before.silent) this.#since.silent.add(what);
    this.#since.isLost ||= this.#before.isLost;
    return author !== undefined || this.#before.silent.size > 0 || this.#before.isLost;
  }

  /** What was heard before the reading has been looked at. */
  endReading(): void {
    this.#before = createHeard();
  }

  /** A route differs. Returns after how many milliseconds it is to be repaired. */
  found(kind: DriftKind, family: Family, route: number): number {
    const key = routeKey(family, route);
    const author = this.#authorOf(key);
    const { by = "", protocol = 0 } = author ?? {};
    const { times, delayMs } = author?.isKernel ? { times: 1, delayMs: 0 } : this.#fight(key);
    this.counts[kind] += 1;
    this.onDrift({ kind, family, route, by, protocol, delayMs, times });
    return delayMs;
  }

  /** A route has gone with its nexthop object, and comes back with that. */
  lost(family: Family, route: number, by: string): void {
    this.counts.missing += 1;
    this.onDrift({ kind: DriftKind.MISSING, family, route, by, protocol: 0, delayMs: 0, times: 1 });
  }

  /** A nexthop object differs. Returns after how many milliseconds the groups that it harms are to be repaired. */
  foundNexthop({ kind, id, groups, harmed, author }: NexthopDrift): number {
    const by = author.by || this.#silentText();
    let delayMs = 0;
    let times = 1;
    if (author.portId !== 0 && (author.by !== "" || by === "")) {
      for (const group of harmed) {
        const fight = this.#fight(-group);
        delayMs = Math.max(delayMs, fight.delayMs);
        times = Math.max(times, fight.times);
      }
    }
    this.nexthopCounts[kind] += 1;
    this.onNexthopDrift({ kind, id, groups, by, delayMs, times });
    return delayMs;
  }

  #authorOf(key: number): Author | null {
    const heard = this.#since.authors.get(key) ?? this.#before.authors.get(key);
    if (heard !== undefined) return heard;
    const by = this.#silentText();
    return by === "" ? null : { by, protocol: 0, isKernel: true };
  }

  /** With what the kernel may have done it without a word; empty if with nothing. */
  #silentText(): string {
    const silent = [...this.#before.silent.union(this.#since.silent)];
    if (silent.length === 0) return "";
    const named = silent.slice(0, NAMED_MAX).join(", ");
    return `the kernel with ${named}${silent.length > NAMED_MAX ? " or another" : ""}`;
  }

  /** Somebody has changed the route or the group, perhaps again: how often by now, and how long it is left alone. */
  #fight(key: number): { times: number; delayMs: number } {
    const time = this.#now();
    let fight = this.#fights.get(key);
    if (fight === undefined || time - fight.lastAt > FIGHT_MS) {
      fight = { times: 0, startedAt: time, lastAt: time };
      if (this.#fights.size >= FIGHTS_MAX) this.#expire(time);
      if (this.#fights.size < FIGHTS_MAX) this.#fights.set(key, fight);
    }
    fight.times += 1;
    const delayMs = fight.times === 1 ? 0 : delayOf(fight.times, time - fight.startedAt);
    fight.lastAt = time + delayMs;
    return { times: fight.times, delayMs };
  }

  #expire(time: number): void {
    if (time - this.#expiredAt < EXPIRE_PAUSE_MS) return;
    this.#expiredAt = time;
    for (const [key, { lastAt }] of this.#fights) if (time - lastAt > FIGHT_MS) this.#fights.delete(key);
  }
}

/** How long the repair is put off that is the next after `times` in a fight that has been going on for `elapsedMs`. */
function delayOf(times: number, elapsedMs: number): number {
  const delayMs = Math.min(DELAY_MAX_MS, DELAY_MIN_MS * 2 ** (times - 2));
  return Math.min(delayMs, Math.max(DELAY_MIN_MS, elapsedMs));
}
