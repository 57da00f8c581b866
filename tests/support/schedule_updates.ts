/** What owners ask for in random schedules: routes of all kinds on a pool of keys, and nexthop groups. */
import type { NexthopGroupUpdateJson, NexthopJson, UpdateJson } from "../../core/northbound/api_types.ts";
import type { Prng } from "../../core/prng.ts";
import { keyOf, type RouteKey } from "./schedule_model.ts";

const TABLES = [254, 100] as const;
/** Groups by number: of IPv4 nexthops, of IPv6 ones, and one that shares members with the first. */
export const GROUPS = [7, 8, 9] as const;
const MEMBER_FAMILIES: Readonly<Record<number, "-4" | "-6">> = { 7: "-4", 8: "-6", 9: "-4" };
/** Of wide schedules, by family: all, or only the last one. */
const COMMON: Readonly<Record<string, NexthopJson[]>> = {
  "-4": [
    { via: "10.0.1.3", dev: "v2", weight: 2 },
    { via: "10.0.0.3", dev: "v0" },
  ],
  "-6": [
    { via: "fe80::3", dev: "v2" },
    { via: "2001:db8::3", dev: "v0" },
  ],
};
const TYPES = ["blackhole", "unreachable", "prohibit", "throw"] as const;

/** Keys of each family beside the others in a wide schedule: enough for routes by nexthop objects of the daemon's own. */
const WIDE_KEYS = 160;

/** Prefixes inside one another and beside one another, of both families; none of them leads to a gateway. */
export function createKeys(prng: Prng): RouteKey[] {
  const prefixes = ["198.18.0.0/15", "198.18.0.0/16", "198.18.1.1/32", "2001:db8:f000::/36", "2001:db8:f001:1::1/128"];
  for (let index = 0; index < 28; index++) prefixes.push(`198.18.${index}.0/24`, `2001:db8:f${hex(index)}::/48`);
  return prefixes.map((prefix) => ({ prefix, table: prng.pick(TABLES), metric: prng.chance(0.8) ? 20 : 30 }));
}

/** Many more of them, all in one table. */
export function createWideKeys(): RouteKey[] {
  return Array.from({ length: WIDE_KEYS }, (_, index) => [`198.19.0.${index}/32`, `2001:db8:e${hex(index)}::/48`])
    .flat()
    .map((prefix) => ({ prefix, table: 254, metric: 20 }));
}

function isWide({ prefix }: RouteKey): boolean {
  return prefix.startsWith("198.19.") || prefix.startsWith("2001:db8:e");
}

function hex(index: number): string {
  return index.toString(16).padStart(3, "0");
}

export class RandomUpdates {
  readonly #prng: Prng;
  readonly #keys: readonly RouteKey[];

  constructor(prng: Prng, keys: readonly RouteKey[]) {
    this.#prng = prng;
    this.#keys = keys;
  }

  /** `tables`: those that the owner may write to. */
  updates(count: number, tables: readonly number[] = TABLES): UpdateJson[] {
    const keys = this.#keys.filter(({ table }) => tables.includes(table));
    return Array.from({ length: count }, () => {
      const key = this.#prng.pick(keys);
      return this.#prng.chance(0.25) ? { op: "delete", ...key } : this.#install(key);
    });
  }

  /** A full state that has much in common with `before`. */
  fullState(before: readonly UpdateJson[], tables: readonly number[] = TABLES): UpdateJson[] {
    const wanted = new Map(before.map((update) => [keyOf(update), update]));
    for (const update of before) if (this.#prng.chance(0.2)) wanted.delete(keyOf(update));
    for (const update of this.updates(this.#prng.below(20), tables)) {
      if (update.op !== "delete") wanted.set(keyOf(update), update);
    }
    return this.shuffled([...wanted.values()]);
  }

  group(number: number): NexthopGroupUpdateJson {
    const prng = this.#prng;
    const definition: NexthopGroupUpdateJson = { members: this.#nexthops(MEMBER_FAMILIES[number]!, 1 + prng.below(3)) };
    if (prng.chance(0.25)) definition.resilient = { buckets: prng.pick([8, 16]) };
    if (prng.chance(0.2)) {
      const backup = this.#nexthops(MEMBER_FAMILIES[number]!, 1);
      if (!definition.members.some(({ via }) => via === backup[0]!.via)) definition.backup = backup;
    }
    return definition;
  }

  shuffled<Value>(list: readonly Value[]): Value[] {
    const rest = [...list];
    return list.map(() => rest.splice(this.#prng.below(rest.length), 1)[0]!);
  }

  #install(key: RouteKey): UpdateJson {
    const prng = this.#prng;
    const isIpv6 = key.prefix.includes(":");
    // Nearly all by the same few nexthops.
    if (isWide(key) && prng.chance(0.9))
      return { ...key, nexthops: COMMON[isIpv6 ? "-6" : "-4"]!.slice(prng.below(2)) };
    const update: UpdateJson = { ...key, ...this.#destination(isIpv6) };
    if (prng.chance(0.1)) update.mtu = prng.pick([1400, 9000]);
    if (prng.chance(0.15)) update.distance = prng.pick([5, 20, 200]);
    if (prng.chance(0.1) && update.type === undefined) update.prefsrc = isIpv6 ? "2001:db8::1" : "10.0.0.1";
    return update;
  }

  #destination(isIpv6: boolean): Partial<UpdateJson> {
    const prng = this.#prng;
    const family = isIpv6 ? "-6" : "-4";
    switch (prng.below(10)) {
      case 0:
      case 1:
      case 2:
        return { nexthops: this.#nexthops(family, 1) };
      case 3:
        return { nexthops: this.#nexthops(family, 2 + prng.below(2)) };
      case 4:
        // The interface is for the kernel to find.
        return { nexthops: [{ via: prng.pick(isIpv6 ? ["2001:db8::4", "2001:db8:1::4"] : ["10.0.0.4", "10.0.1.4"]) }] };
      case 5:
        return { nexthops: [{ dev: prng.pick(["v0", "v2"]) }] };
      case 6:
        return { type: prng.pick(TYPES) };
      case 7:
        return { nexthops: this.#nexthops("-6", 1) };
      default:
        return { nexthopGroup: isIpv6 ? 8 : prng.pick(GROUPS) };
    }
  }

  /** Different nexthops; link-local ones are IPv6's alone. */
  #nexthops(family: "-4" | "-6", count: number): NexthopJson[] {
    const candidates: NexthopJson[] = [2, 3, 4].flatMap((host) => {
      if (family === "-4")
        return [
          { via: `10.0.0.${host}`, dev: "v0" },
          { via: `10.0.1.${host}`, dev: "v2" },
        ];
      return [
        { via: `2001:db8::${host}`, dev: "v0" },
        { via: `fe80::${host}`, dev: "v2" },
      ];
    });
    return this.shuffled(candidates)
      .slice(0, count)
      .map((nexthop) =>
        count > 1 && this.#prng.chance(0.5) ? { ...nexthop, weight: 1 + this.#prng.below(5) } : nexthop,
      );
  }
}
