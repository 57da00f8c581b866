/**
 * The namespace of a random schedule: its links, addresses and routes of others, everything that disturbs the daemon in it,
 * and what its kernel holds.
 */
import type { NexthopJson } from "../../core/northbound/api_types.ts";
import type { Prng } from "../../core/prng.ts";
import { addTestLinks } from "./kernel_harness.ts";
import { createNetns, type Netns } from "./netns.ts";
import { describeNexthops, keyOf, type RouteKey } from "./schedule_model.ts";

const LINKS = ["v0", "v1", "v2", "v3"] as const;
const ADDRESSES = ["10.0.0.1/24 dev v0", "10.0.1.1/24 dev v2", "2001:db8::1/64 dev v0", "2001:db8:1::1/64 dev v2"];
/** RTPROT_BGP, of the routes of others that come and go. */
const FOREIGN = 186;
/** Routes of others that stay, beside the daemon's, by key: nothing may touch them. */
const BYSTANDERS: readonly RouteKey[] = [
  { prefix: "198.18.1.0/24", table: 254, metric: 5 },
  { prefix: "198.18.1.0/24", table: 300, metric: 20 },
  { prefix: "2001:db8:f001::/48", table: 254, metric: 5 },
];
/** RTPROT_BIRD. */
const BYSTANDER = 12;

/** What the kernel holds of our protocol. */
export interface Held {
  /** By key, as the model describes them. */
  routes: Map<string, string>;
  /** By number: the nexthops of its members, `resilient` or nothing, and the members' numbers. */
  groups: Map<number, { text: string; members: number[] }>;
  /** Numbers of the objects that are no groups. */
  nexthops: number[];
}

export class ScheduleWorld {
  readonly ns: Netns = createNetns();
  readonly #prng: Prng;
  readonly #keys: readonly RouteKey[];
  /** Keys that somebody else has put a route on. */
  readonly #foreign = new Set<RouteKey>();
  readonly #down = new Set<string>();
  readonly #removed = new Set<string>();
  /** Links whose MTU is too small for IPv6. */
  readonly #small = new Set<string>();
  /** Links that have IPv6 switched off. */
  readonly #ipv4Only = new Set<string>();

  /** `keys`: those that owners choose from. */
  constructor(prng: Prng, keys: readonly RouteKey[]) {
    this.#prng = prng;
    this.#keys = keys;
    addTestLinks(this.ns);
    this.ns.ipBatch(BYSTANDERS.map((key) => `route add blackhole ${words(key)} proto ${BYSTANDER}`));
  }

  /** Something to be done behind the daemon's back; doing it says what it was. */
  disturbance(): () => string {
    const disturbances: (() => string[] | (() => string[]))[] = [
      () => this.#flipLink(["v0", "v2"]),
      () => this.#flipLink(["v1", "v3"]),
      () => this.#flipAddress(),
      () => this.#flushAddresses(),
      () => this.#flipMtu(),
      () => this.#flipIpv6(),
      () => this.#some(6).map((key) => `route del ${words(key)} proto 210`),
      () => this.#some(4).map((key) => `route change ${words(key)} ${this.#elsewhere(key)} proto 210`),
      () => this.#replaceWithForeign(),
      () => this.#addForeign(),
      () => this.#removeForeign(),
      () => this.#addStrays(),
      () => ["nexthop flush"],
      () => this.#damageNexthops(),
      () => this.#keys.map((key) => `route del ${words(key)} proto 210`),
    ];
    const lines = this.#prng.pick(disturbances)();
    return () => {
      const all = typeof lines === "function" ? lines() : lines;
      this.#run(all);
      return all.length > 10 ? `${all[0]}, and ${all.length - 1} more` : all.join("; ");
    };
  }

  /** Takes back everything that hinders the daemon. */
  heal(): void {
    this.#down.clear();
    this.#removed.clear();
    this.#small.clear();
    const ipv6 = Array.from(this.#ipv4Only, (link) => switchIpv6(link, true));
    this.#ipv4Only.clear();
    this.#run(LINKS.map((link) => `link set ${link} up mtu 1500`));
    this.#run([...ipv6, ...this.#restoreAddresses(), ...this.#removeForeign()]);
  }

  read(): Held {
    const routes = new Map<string, string>();
    // Numbers in the place of names of protocols and tables, which depend on the machine's files.
    for (const route of this.#show("-4", 210)) addRoute(routes, route, "-4");
    for (const route of this.#show("-6", 210)) addRoute(routes, route, "-6");
    const objects = new Map(this.ns.ipJson("-d", "nexthop").map((object) => [object.id as number, object]));
    const groups: Held["groups"] = new Map();
    for (const { id, group, type = "" } of objects.values()) {
      if (group === undefined) continue;
      // biome-ignore lint/suspicious/noExplicitAny: iproute2's JSON
      const members = group.map(({ id: member, weight }: any) => ({
        ...objects.get(member),
        via: objects.get(member)?.gateway,
        weight,
      }));
      groups.set(id, {
        text: `${describeNexthops(members)} ${type}`.trim(),
        members: members.map((member: { id: number }) => member.id),
      });
    }
    return { routes, groups, nexthops: [...objects.keys()].filter((id) => !groups.has(id)) };
  }

  /** Routes of others that stay and yet are gone. */
  missingBystanders(): string[] {
    const held = new Map<string, string>();
    for (const family of ["-4", "-6"] as const) {
      for (const route of this.#show(family, BYSTANDER)) addRoute(held, route, family);
    }
    return BYSTANDERS.map(keyOf)
      .filter((key) => held.get(key) !== "blackhole")
      .map((key) => `${key}: somebody else's route is gone`);
  }

  // biome-ignore lint/suspicious/noExplicitAny: iproute2's JSON
  #show(family: "-4" | "-6", protocol: number): any[] {
    return this.ns.ipJson("-N", family, "route", "show", "table", "all", "proto", String(protocol));
  }

  /** Lines of `ip -batch`, and `sysctl` ones before them; what the kernel refuses does not matter. */
  #run(lines: readonly string[]): void {
    const isSysctl = (line: string): boolean => line.startsWith(SYSCTL);
    // An interface with so small an MTU has no such switch, which -e overlooks.
    for (const line of lines.filter(isSysctl)) this.ns.exec("sysctl", ["-eqw", line.slice(SYSCTL.length)]);
    this.ns.ipBatch(
      lines.filter((line) => !isSysctl(line)),
      { force: true },
    );
  }

  #some(countMax: number): RouteKey[] {
    return Array.from({ length: 1 + this.#prng.below(countMax) }, () => this.#prng.pick(this.#keys));
  }

  #flipLink(links: readonly string[]): string[] {
    const link = this.#prng.pick(links);
    if (!this.#down.delete(link)) {
      this.#down.add(link);
      return [`link set ${link} down`];
    }
    // The kernel has taken the link's IPv6 addresses along.
    return [`link set ${link} up`, ...this.#restoreAddresses()];
  }

  #flipAddress(): string[] {
    const address = this.#prng.pick(ADDRESSES);
    if (this.#removed.delete(address)) return this.#restoreAddresses();
    this.#removed.add(address);
    return [`address del ${address}`];
  }

  #flushAddresses(): string[] {
    const link = this.#prng.pick(["v0", "v2"]);
    for (const address of ADDRESSES) if (address.endsWith(link)) this.#removed.add(address);
    return [`address flush dev ${link}`];
  }

  /** With an MTU below 1280 a link has no IPv6. */
  #flipMtu(): string[] {
    const link = this.#prng.pick(["v0", "v2"]);
    if (this.#small.delete(link)) return [`link set ${link} mtu 1500`, ...this.#restoreAddresses()];
    this.#small.add(link);
    return [`link set ${link} mtu 1200`];
  }

  #flipIpv6(): string[] {
    const link = this.#prng.pick(["v0", "v2"]);
    if (this.#ipv4Only.delete(link)) return [switchIpv6(link, true), ...this.#restoreAddresses()];
    this.#ipv4Only.add(link);
    return [switchIpv6(link, false)];
  }

  #restoreAddresses(): string[] {
    return ADDRESSES.filter((address) => !this.#removed.has(address)).map(
      (address) => `address replace ${address}${address.includes("::") ? " nodad" : ""}`,
    );
  }

  #elsewhere({ prefix }: RouteKey): string {
    const [via, dev] = this.#prng.pick([
      ["10.0.0.77", "v0"],
      ["10.0.1.77", "v2"],
    ] as const);
    return `via ${prefix.includes(":") ? `fe80::77` : via} dev ${dev}`;
  }

  #replaceWithForeign(): string[] {
    const keys = this.#some(3);
    for (const key of keys) this.#foreign.add(key);
    return keys.map((key) => `route replace ${words(key)} ${this.#elsewhere(key)} proto ${FOREIGN}`);
  }

  #addForeign(): string[] {
    const keys = this.#some(4);
    for (const key of keys) this.#foreign.add(key);
    return keys.map((key) => `route add ${words(key)} ${this.#elsewhere(key)} proto ${FOREIGN}`);
  }

  #removeForeign(): string[] {
    const lines = [...this.#foreign].map((key) => `route del ${words(key)} proto ${FOREIGN}`);
    this.#foreign.clear();
    return lines;
  }

  /** Routes that bear our protocol and that nobody asked the daemon for, on keys of owners or not. */
  #addStrays(): string[] {
    const keys = this.#some(4).map((key) => (this.#prng.chance(0.5) ? key : { ...key, metric: 77 }));
    const how = this.#prng.pick(["add", "append", "prepend"]);
    return keys.map((key) => `route ${how} ${words(key)} ${this.#elsewhere(key)} proto 210`);
  }

  /** Which objects there are is known only when it is done. */
  #damageNexthops(): () => string[] {
    const [place, isDeleted] = [this.#prng.fraction(), this.#prng.chance(0.5)];
    return () => {
      const objects = this.ns.ipJson("nexthop");
      if (objects.length === 0) return [];
      const { id, group } = objects[Math.floor(place * objects.length)];
      if (group === undefined || isDeleted) return [`nexthop del id ${id}`];
      return [`nexthop replace id ${id} group ${group[0].id}`];
    };
  }
}

const SYSCTL = "sysctl ";

function switchIpv6(link: string, isOn: boolean): string {
  return `${SYSCTL}net.ipv6.conf.${link}.disable_ipv6=${isOn ? 0 : 1}`;
}

function words({ prefix, table, metric }: RouteKey): string {
  return `${prefix} table ${table} metric ${metric}`;
}

const TYPE_NAMES: Readonly<Record<string, string>> = { 6: "blackhole", 7: "unreachable", 8: "prohibit", 9: "throw" };

/** A nexthop as `ip -json` shows it. */
interface ShownNexthop {
  gateway?: string;
  via?: { host: string };
  dev?: string;
  weight?: number;
}

// biome-ignore lint/suspicious/noExplicitAny: iproute2's JSON
function addRoute(routes: Map<string, string>, route: any, family: "-4" | "-6"): void {
  const { dst, table = "254", metric = 0, type = "1", nhid, nexthops = [route], metrics, prefsrc } = route;
  const prefix = dst.includes("/") ? dst : `${dst}/${family === "-4" ? 32 : 128}`;
  const parts: string[] = [];
  if (type !== "1") parts.push(TYPE_NAMES[type] ?? `type ${type}`);
  else if (nhid !== undefined) parts.push(`nhid ${nhid}`);
  else parts.push(describeNexthops((nexthops as ShownNexthop[]).map(toNexthop)));
  if (metrics !== undefined) parts.push(`mtu ${metrics[0].mtu}`);
  if (prefsrc !== undefined) parts.push(`src ${prefsrc}`);
  const key = keyOf({ prefix, table: Number(table), metric });
  // Two of one key are possible for IPv4: one of them is in the other's shadow.
  routes.set(key, [routes.get(key), parts.join(" ")].filter((text) => text !== undefined).join(" and "));
}

function toNexthop({ gateway, via, dev, weight }: ShownNexthop): NexthopJson {
  return {
    ...((gateway ?? via) === undefined ? {} : { via: gateway ?? via!.host }),
    ...(dev === undefined ? {} : { dev }),
    ...(weight === undefined ? {} : { weight }),
  };
}
