/**
 * Where the kernel is found to hold something else than was confirmed: counted, told, and repaired. Main thread only.
 *
 * The first repair of a route comes at once. One that is changed again and again is somebody else's as well: its repairs
 * come later and later, until it is left alone for a while.
 */
import { now } from "../clock.ts";
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
  /** Who did it, as far as known: `ip[4711]`, `the kernel`; empty if nobody was heard. */
  by: string;
  /** RTPROT_* of the route that was put in its place; 0 if none was seen. */
  protocol: number;
  /** When it is repaired, from now; 0 at once. */
  delayMs: number;
  /** How often it has been found different lately, this time included. */
  times: number;
}

interface Fight {
  times: number;
  lastAt: number;
}

/** A route that is found different again within this time of its last repair is fought over. */
const FIGHT_MS = 60_000;
const DELAY_MIN_MS = 250;
const DELAY_MAX_MS = 30_000;
/** Routes of which it is remembered that they were repaired, and by whom they were changed. */
const FIGHTS_MAX = 16_384;

export class Drift {
  readonly counts: Record<DriftKind, number> = { missing: 0, changed: 0, unexpected: 0 };
  /** Called for each. */
  onDrift: (event: DriftEvent) => void = () => {};
  readonly #fights = new Map<number, Fight>();
  /** By route: who was heard to change it since the last reading of the kernel. */
  readonly #authors = new Map<number, { by: string; protocol: number }>();

  /**
   * Notes who was heard to change or delete a route, and of which protocol another was put in its place (0 for none);
   * only a reading of the kernel tells what that came to.
   */
  hear(family: Family, route: number, by: string, protocol = 0): void {
    if (this.#authors.size < FIGHTS_MAX) this.#authors.set(routeKey(family, route), { by, protocol });
  }

  /** What was heard before this reading has been looked at. */
  forgetAuthors(): void {
    this.#authors.clear();
  }

  /** A route differs. Returns after how many milliseconds it is to be repaired. */
  found(kind: DriftKind, family: Family, route: number): number {
    const key = routeKey(family, route);
    const time = now();
    let fight = this.#fights.get(key);
    if (fight === undefined || time - fight.lastAt > FIGHT_MS) {
      fight = { times: 0, lastAt: time };
      if (this.#fights.size >= FIGHTS_MAX) this.#expire(time);
      if (this.#fights.size < FIGHTS_MAX) this.#fights.set(key, fight);
    }
    fight.times += 1;
    const delayMs = fight.times === 1 ? 0 : Math.min(DELAY_MAX_MS, DELAY_MIN_MS * 2 ** (fight.times - 2));
    fight.lastAt = time + delayMs;
    const { by, protocol } = this.#authors.get(key) ?? { by: "", protocol: 0 };
    this.counts[kind] += 1;
    this.onDrift({ kind, family, route, by, protocol, delayMs, times: fight.times });
    return delayMs;
  }

  /** How often a route has been found different lately. */
  timesOf(family: Family, route: number): number {
    const fight = this.#fights.get(routeKey(family, route));
    return fight === undefined || now() - fight.lastAt > FIGHT_MS ? 0 : fight.times;
  }

  #expire(time: number): void {
    for (const [key, { lastAt }] of this.#fights) if (time - lastAt > FIGHT_MS) this.#fights.delete(key);
  }
}
