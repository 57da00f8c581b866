/**
 * What owners have last asked for in a random schedule, kept as plainly as possible, and what the kernel and the daemon
 * must therefore show once nothing disturbs them. It knows nothing of how the daemon works.
 */
import type { NexthopGroupUpdateJson, NexthopJson, RouteJson, UpdateJson } from "../../core/northbound/api_types.ts";

/** What one owner wants of one route. */
interface Want {
  update: UpdateJson;
  distance: number;
  /** When the owner came to the route; equal for owners that came at the same moment, of whom either may be the first. */
  order: number;
}

/** What names a route. */
export interface RouteKey {
  prefix: string;
  table: number;
  metric: number;
}

export function keyOf({ prefix, table = 254, metric = 20 }: Pick<UpdateJson, "prefix" | "table" | "metric">): string {
  return `${prefix} table ${table} metric ${metric}`;
}

export class ScheduleModel {
  readonly groups = new Map<number, NexthopGroupUpdateJson>();
  /** Routes on groups have the members' nexthops themselves. */
  areGroupsInline = false;
  readonly #distances: ReadonlyMap<string, number>;
  readonly #wants = new Map<string, Map<string, Want>>();
  #order = 1;

  /** `distances`: of each owner's routes that give none. */
  constructor(distances: ReadonlyMap<string, number>) {
    this.#distances = distances;
  }

  get owners(): string[] {
    return [...this.#distances.keys()];
  }

  /** What comes from here on comes later than what came before. */
  tick(): void {
    this.#order += 1;
  }

  /** The owner has sent this update. */
  apply(owner: string, update: UpdateJson): void {
    const key = keyOf(update);
    const wants = this.#wants.get(key) ?? new Map<string, Want>();
    if (update.op === "delete") wants.delete(owner);
    else {
      const distance = update.distance ?? this.#distances.get(owner)!;
      wants.set(owner, { update, distance, order: wants.get(owner)?.order ?? this.#order });
    }
    if (wants.size === 0) this.#wants.delete(key);
    else this.#wants.set(key, wants);
  }

  /** The owner has synced: these are its routes now. */
  sync(owner: string, updates: readonly UpdateJson[]): void {
    const kept = new Set(updates.map(keyOf));
    for (const update of this.routesOf(owner))
      if (!kept.has(keyOf(update))) this.apply(owner, { ...update, op: "delete" });
    for (const update of updates) this.apply(owner, update);
  }

  /** The daemon has started anew, and owners have to come to their routes again. Returns what each of them wanted. */
  restart(): Map<string, UpdateJson[]> {
    const wanted = new Map(this.owners.map((owner) => [owner, this.routesOf(owner)]));
    this.#wants.clear();
    return wanted;
  }

  routesOf(owner: string): UpdateJson[] {
    return [...this.#wants.values()].flatMap((wants) => wants.get(owner)?.update ?? []);
  }

  /** Keys that somebody wants. */
  keys(): string[] {
    return [...this.#wants.keys()];
  }

  /** Where a settled daemon's `GET /v1/routes` differs from what was asked for, in words. */
  ribDifferences(routes: readonly RouteJson[]): string[] {
    const found: string[] = [];
    const shown = new Map<string, RouteJson>();
    for (const route of routes) {
      const name = `${keyOf(route)} of ${route.owner}`;
      if (shown.has(name)) found.push(`${name}: shown twice`);
      shown.set(name, route);
    }
    for (const [key, wants] of this.#wants) {
      const best = bestOf(wants);
      const selected = [...wants.keys()].filter(
        (owner) => shown.get(`${key} of ${owner}`)?.status === "fib_programmed",
      );
      if (selected.length !== 1 || !best.includes(selected[0]!)) {
        found.push(`${key}: programmed is that of ${selected}, not of ${best}`);
      }
      for (const [owner, { update, distance }] of wants) {
        const name = `${key} of ${owner}`;
        const route = shown.get(name);
        shown.delete(name);
        if (route === undefined) found.push(`${name}: not shown`);
        else if (this.#inKernel(route) !== this.#inKernel(update) || (route.distance ?? 20) !== distance) {
          found.push(`${name}: shown is ${JSON.stringify(route)}`);
        } else if (owner !== selected[0] && route.winner !== selected[0]) {
          found.push(`${name}: ${JSON.stringify(route)} instead of held behind ${selected}`);
        }
      }
    }
    for (const [name, route] of shown) found.push(`${name}: nobody asked for it, ${JSON.stringify(route)}`);
    return found;
  }

  /** Where the kernel's routes of our protocol, by key, differ from the best of what was asked for. */
  routeDifferences(held: ReadonlyMap<string, string>, kernelIds: ReadonlyMap<number, number>): string[] {
    const found: string[] = [];
    for (const [key, wants] of this.#wants) {
      const text = held.get(key);
      const expected = bestOf(wants).map((owner) => this.#inKernel(wants.get(owner)!.update, kernelIds));
      if (text === undefined) found.push(`${key}: not in the kernel, where it should be ${expected.join(" or ")}`);
      else if (!expected.includes(text)) found.push(`${key}: ${text} in the kernel, not ${expected.join(" or ")}`);
    }
    for (const [key, text] of held) if (!this.#wants.has(key)) found.push(`${key}: ${text} in the kernel, for nobody`);
    return found;
  }

  /** A route as {@linkcode readSchedule} describes it. `ids`: the kernel's numbers of groups. */
  #inKernel(update: UpdateJson, ids?: ReadonlyMap<number, number>): string {
    const { type = "unicast", nexthops, nexthopGroup, mtu, prefsrc } = update;
    const words: string[] = [];
    if (type !== "unicast") words.push(type);
    else if (nexthopGroup === undefined) words.push(describeNexthops(nexthops!));
    else if (this.areGroupsInline) words.push(describeNexthops(this.groups.get(nexthopGroup)!.members));
    else words.push(`nhid ${ids?.get(nexthopGroup) ?? `of group ${nexthopGroup}`}`);
    if (mtu !== undefined) words.push(`mtu ${mtu}`);
    if (prefsrc !== undefined) words.push(`src ${prefsrc}`);
    return words.join(" ");
  }
}

/** The owners whose want may be the one in the FIB: the lowest distance, then who came first. */
function bestOf(wants: ReadonlyMap<string, Want>): string[] {
  const rank = ({ distance, order }: Want) => distance * 2 ** 32 + order;
  const best = Math.min(...[...wants.values()].map(rank));
  return [...wants].filter(([, want]) => rank(want) === best).map(([owner]) => owner);
}

/** Nexthops in a form that does not depend on their order, with the interface that the test's addresses imply. */
export function describeNexthops(nexthops: readonly NexthopJson[]): string {
  const isOne = nexthops.length === 1;
  const words = nexthops.map(({ via = "", dev = interfaceOf(via), weight = 1 }) => {
    return `${via}@${dev}${isOne || weight === 1 ? "" : `*${weight}`}`;
  });
  return words.sort().join(" ");
}

function interfaceOf(via: string): string {
  return via.startsWith("10.0.0.") || via.startsWith("2001:db8::") ? "v0" : "v2";
}
