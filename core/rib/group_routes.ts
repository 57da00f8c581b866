/**
 * The routes on nexthop groups: finds them when a group's object has changed or gone, and has them brought. It walks
 * over all routes, in slices, because nothing else knows which are on a group; that costs a few milliseconds for a
 * hundred thousand routes, now and then, where a list of them would cost memory for each route, always. Main thread only.
 */
import { NO_ATTRS } from "../context/attrs.ts";
import { formatPrefix } from "../model/prefix.ts";
import { Family } from "../model/route.ts";
import { routeKey } from "./claims.ts";
import { NOBODY } from "./owners.ts";
import type { Rib } from "./rib.ts";
import { RouteState, type RouteStore } from "./route_store.ts";

/** How long the walk goes on before other work gets its turn, and the routes between two looks at the clock. */
const SLICE_MS = 2;
const SLICE_ROUTES = 512;

/** Pause before routes are looked at again that were under way when their group went. */
const AGAIN_MS = 20;

export interface GroupUsers {
  count: number;
  /** One of them; empty if there is none. */
  example: string;
}

export class GroupRoutes {
  readonly #rib: Rib;
  /** Called for each route that has gone with its group. */
  onLose: (family: Family, route: number, by: string) => void = () => {};
  /**
   * The kernel may hold something else than this route on its group, because somebody has changed it, or because a write had no
   * answer: a reading will tell.
   */
  isForReading: (family: Family, route: number) => boolean = () => false;
  /** Numbers in the kernel of groups that have vanished from it with their routes, and who took them away. */
  #lost = new Map<number, string>();
  /** Groups by the clients' numbers whose routes are to be brought. */
  #moved = new Set<number>();
  #walk: Promise<void> | null = null;

  constructor(rib: Rib) {
    this.#rib = rib;
  }

  /** The kernel has dropped every route on this object, which will not be there again. */
  lose(id: number, by: string): void {
    this.#lost.set(id, by);
    this.#walk ??= this.#run();
  }

  #loseAgain(lost: ReadonlyMap<number, string>): void {
    for (const [id, by] of lost) this.lose(id, by);
  }

  /** What routes on this group come to has changed. */
  move(number: number): void {
    this.#moved.add(number);
    this.#walk ??= this.#run();
  }

  /** Resolves when every route has been found that was to be. */
  async idle(): Promise<void> {
    while (this.#walk !== null) await this.#walk;
  }

  async #run(): Promise<void> {
    // Groups mostly change together, as a link goes.
    await this.#rib.clock.turn();
    while (this.#lost.size > 0 || this.#moved.size > 0) {
      const [lost, moved] = [this.#lost, this.#moved];
      this.#lost = new Map();
      this.#moved = new Set();
      let isUnderWay = false;
      await this.#forEach((family, store, route) => {
        if (lost.size > 0 && this.#loseOne(family, store, route, lost)) isUnderWay = true;
        if (moved.size > 0) this.#moveOne(family, store, route, moved);
      });
      if (isUnderWay) this.#rib.clock.setTimeout(() => this.#loseAgain(lost), AGAIN_MS).unref();
    }
    this.#walk = null;
  }

  /** True if an answer is under way that may say that the route is on a group which is gone. */
  #loseOne(family: Family, store: RouteStore, route: number, lost: ReadonlyMap<number, string>): boolean {
    const rib = this.#rib;
    const programmed = store.programmed(route);
    const by = programmed === NO_ATTRS ? undefined : lost.get(rib.attrs.reader.nexthopGroup(programmed));
    // What is being written may have taken its place before.
    if (by !== undefined && store.isInFlight(route)) return true;
    if (by !== undefined) {
      if (this.isForReading(family, route)) return false;
      this.onLose(family, route, by);
      // Nobody has claimed it since the start, and nobody can have it back.
      if (store.owner(route) === NOBODY) rib.sweep(family, route);
      rib.lose(family, route);
      return false;
    }
    const desired = store.desired(route);
    return store.isInFlight(route) && desired !== NO_ATTRS && rib.attrs.reader.nexthopGroup(desired) !== 0;
  }

  #moveOne(family: Family, store: RouteStore, route: number, moved: ReadonlySet<number>): void {
    const rib = this.#rib;
    if (rib.claims.contested > 0 && rib.claims.isContested(family, route)) {
      // One that the kernel has refused may be good now, and better than the one that is there.
      if ([...moved].some((number) => this.#isOn(family, store, route, number))) rib.retry(family, route);
      return;
    }
    const desired = store.desired(route);
    if (desired === NO_ATTRS || !moved.has(rib.attrs.reader.nexthopGroup(desired))) return;
    if (store.owner(route) === NOBODY) return;
    const isFine = store.state(route) === RouteState.PROGRAMMED;
    if (isFine && rib.compare.isSame(rib.target(store, route), store.programmed(route))) return;
    rib.reconciler.add(routeKey(family, route));
  }

  /** Whether anybody wants this route by the client's group. */
  #isOn(family: Family, store: RouteStore, route: number, number: number): boolean {
    const { claims, attrs } = this.#rib;
    if (!claims.isContested(family, route)) {
      const desired = store.desired(route);
      if (desired === NO_ATTRS || store.owner(route) === NOBODY) return false;
      return attrs.reader.nexthopGroup(desired) === number;
    }
    return claims.list(family, store, route).some((claim) => attrs.reader.nexthopGroup(claim.attrs) === number);
  }

  /** The routes that owners want by the client's group, selected or not. */
  async users(number: number): Promise<GroupUsers> {
    const users = { count: 0, example: "" };
    const address = new Uint8Array(16);
    await this.#forEach((family, store, route) => {
      if (!this.#isOn(family, store, route, number)) return;
      users.count += 1;
      if (users.example !== "") return;
      store.address(route, address);
      users.example = formatPrefix(family, address, 0, store.prefixLength(route));
    });
    return users;
  }

  /** Those of these groups, by the clients' numbers, that owners want routes by. */
  async inUse(numbers: ReadonlySet<number>): Promise<Set<number>> {
    const { claims, attrs } = this.#rib;
    const found = new Set<number>();
    const note = (wanted: number): void => {
      const number = wanted === NO_ATTRS ? 0 : attrs.reader.nexthopGroup(wanted);
      if (numbers.has(number)) found.add(number);
    };
    await this.#forEach((family, store, route) => {
      if (claims.contested > 0 && claims.isContested(family, route)) {
        for (const claim of claims.list(family, store, route)) note(claim.attrs);
      } else if (store.owner(route) !== NOBODY) note(store.desired(route));
    });
    return found;
  }

  /** Those of these numbers in the kernel that routes are programmed with. */
  async programmedWith(ids: ReadonlySet<number>): Promise<Set<number>> {
    const found = new Set<number>();
    await this.#forEach((_family, store, route) => {
      const programmed = store.programmed(route);
      if (programmed === NO_ATTRS) return;
      const id = this.#rib.attrs.reader.nexthopGroup(programmed);
      if (ids.has(id)) found.add(id);
    });
    return found;
  }

  /** Calls for every route there is. Routes that come or go in the meantime may be left out. */
  async #forEach(visit: (family: Family, store: RouteStore, route: number) => void): Promise<void> {
    const { clock } = this.#rib;
    let sliceEnd = clock.now() + SLICE_MS;
    for (const family of [Family.IPV4, Family.IPV6]) {
      const store = this.#rib.store(family);
      for (let route = 1; route <= store.last; route++) {
        if (store.isUsed(route)) visit(family, store, route);
        if (route % SLICE_ROUTES !== 0 || clock.now() < sliceEnd) continue;
        await clock.turn();
        sliceEnd = clock.now() + SLICE_MS;
      }
    }
  }
}
