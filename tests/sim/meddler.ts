/**
 * What others do to the kernel while the daemon works: links and addresses go and come, routes and nexthop objects are deleted,
 * changed, put in the way and flushed by other programs. It works on the model kernel as `ip` does on a real one.
 */
import { parsePrefix } from "../../core/model/prefix.ts";
import { Family } from "../../core/model/route.ts";
import type { Prng } from "../../core/prng.ts";
import { ERRNO } from "../../ffi/libc/errno.ts";
import * as c from "../../ffi/netlink/constants.ts";
import { createNexthopMessage, encodeNexthop } from "../../ffi/netlink/nexthop.ts";
import { createRouteMessage, createRouteNexthop, encodeRoute, type RouteMessage } from "../../ffi/netlink/route.ts";
import type { RouteKey } from "../support/schedule_model.ts";
import { PROTOCOL } from "./daemon.ts";
import { bytesOf, type Refusal } from "./kernel/model.ts";
import type { ModelKernel } from "./kernel/model_kernel.ts";

/** Pairs of links; each first one has addresses. */
export const LINKS = [
  ["v0", "v1"],
  ["v2", "v3"],
] as const;
export const ADDRESSES = [
  ["v0", "10.0.0.1/24"],
  ["v2", "10.0.1.1/24"],
  ["v0", "2001:db8::1/64"],
  ["v2", "2001:db8:1::1/64"],
] as const;
/** Port of other programs' sockets. */
export const MEDDLER_PORT = 77;
/** RTPROT_* of another program whose routes get in the way, and of one whose routes must stay. */
const FOREIGN = 99;
const BYSTANDER = 98;
const BYSTANDERS: readonly RouteKey[] = [
  { prefix: "198.18.0.0/15", table: 254, metric: 5 },
  { prefix: "198.18.200.0/24", table: 100, metric: 20 },
  { prefix: "2001:db8:f000::/36", table: 254, metric: 5 },
];

export class Meddler {
  readonly #kernel: ModelKernel;
  readonly #prng: Prng;
  readonly #keys: readonly RouteKey[];
  readonly #scratch = new DataView(new ArrayBuffer(4096));
  readonly #foreign = new Set<RouteKey>();

  constructor(kernel: ModelKernel, prng: Prng, keys: readonly RouteKey[]) {
    this.#kernel = kernel;
    this.#prng = prng;
    this.#keys = keys;
  }

  /** Makes the links and what is there before the daemon comes. */
  prepare(): void {
    for (const [name, peer] of LINKS) this.#kernel.addLinks(name, peer);
    this.#restoreAddresses();
    for (const key of BYSTANDERS) this.#add(key, { protocol: BYSTANDER, routeType: c.RTN_BLACKHOLE }, c.NLM_F_CREATE);
  }

  /** Does something, and says what. */
  meddle(): string {
    const prng = this.#prng;
    const deeds: (() => string)[] = [
      () => this.#flipLink(),
      () => this.#flipLink(),
      () => this.#flipAddress(),
      () => this.#flipAddress(),
      () => this.#each(6, "delete", (key) => this.#delete(key, PROTOCOL)),
      () => this.#each(4, "change", (key) => this.#add(key, this.#elsewhere(key, PROTOCOL), c.NLM_F_REPLACE)),
      () => this.#each(3, "replace by another's", (key) => this.#addForeign(key, c.NLM_F_CREATE | c.NLM_F_REPLACE)),
      () => this.#each(4, "add another's", (key) => this.#addForeign(key, c.NLM_F_CREATE | c.NLM_F_EXCL)),
      () => this.#removeForeign(),
      () => {
        const flag = prng.pick([c.NLM_F_EXCL, c.NLM_F_APPEND, 0]);
        return this.#each(4, "add strays", (key) => {
          const stray = prng.chance(0.5) ? key : { ...key, metric: 77 };
          this.#add(stray, this.#elsewhere(key, PROTOCOL), c.NLM_F_CREATE | flag);
        });
      },
      () => this.#flushObjects(),
      () => this.#damageObject(),
      () => {
        for (const key of this.#keys) this.#delete(key, PROTOCOL);
        return "delete all of ours";
      },
    ];
    return prng.pick(deeds)();
  }

  /** Takes back everything that hinders the daemon. */
  heal(): void {
    for (const name of LINKS.flat()) this.#kernel.setLink(name, true);
    this.#restoreAddresses();
    this.#removeForeign();
  }

  /** Routes of others that should have stayed. */
  missingBystanders(): string[] {
    const routes = this.#kernel.routes().filter(({ protocol }) => protocol === BYSTANDER);
    return routes.length === BYSTANDERS.length
      ? []
      : [`${BYSTANDERS.length - routes.length} routes of others are gone`];
  }

  #each(countMax: number, what: string, act: (key: RouteKey) => void): string {
    const keys = Array.from({ length: 1 + this.#prng.below(countMax) }, () => this.#prng.pick(this.#keys));
    for (const key of keys) act(key);
    return `${what}: ${keys.map(({ prefix }) => prefix).join(", ")}`;
  }

  #flipLink(): string {
    const name = this.#prng.pick(LINKS.flat());
    const link = this.#kernel.links.named(name)!;
    this.#kernel.setLink(name, !link.up);
    // The kernel has taken the link's IPv6 addresses along.
    if (link.up) this.#restoreAddresses(name);
    return `link ${name} ${link.up ? "up" : "down"}`;
  }

  #flipAddress(): string {
    const [name, address] = this.#prng.pick(ADDRESSES);
    const isThere = this.#kernel.links.isOwn(bytesOf(address.split("/")[0]!), familyOf(address));
    if (isThere) this.#kernel.removeAddress(name, address);
    else this.#kernel.addAddress(name, address);
    return `address ${address} ${isThere ? "removed" : "added"}`;
  }

  #restoreAddresses(link?: string): void {
    for (const [name, address] of ADDRESSES) {
      if (link === undefined || link === name) this.#kernel.addAddress(name, address);
    }
  }

  #elsewhere({ prefix }: RouteKey, protocol: number): Partial<RouteMessage> {
    const isIpv6 = prefix.includes(":");
    const [via, name] = this.#prng.pick([
      [isIpv6 ? "fe80::77" : "10.0.0.77", "v0"],
      [isIpv6 ? "fe80::77" : "10.0.1.77", "v2"],
    ] as const);
    const nexthop = createRouteNexthop();
    nexthop.ifindex = this.#kernel.links.named(name)!.ifindex;
    nexthop.viaFamily = familyOf(prefix);
    nexthop.via = bytesOf(via);
    return { protocol, routeType: c.RTN_UNICAST, nexthops: [nexthop] };
  }

  #addForeign(key: RouteKey, flags: number): void {
    this.#foreign.add(key);
    this.#add(key, this.#elsewhere(key, FOREIGN), flags);
  }

  #removeForeign(): string {
    for (const key of this.#foreign) {
      let refusal: Refusal | null;
      do refusal = this.#delete(key, FOREIGN);
      while (refusal === null);
      // For want of memory it is still there.
      if (refusal.errno === ERRNO.ESRCH) this.#foreign.delete(key);
    }
    return "remove others' routes";
  }

  #flushObjects(): string {
    for (const id of [...this.#kernel.nexthops.objects.keys()]) this.#changeObject(c.RTM_DELNEXTHOP, id, []);
    return "flush nexthop objects";
  }

  #damageObject(): string {
    const objects = [...this.#kernel.nexthops.objects.values()];
    if (objects.length === 0) return "nothing";
    const { id, members } = this.#prng.pick(objects);
    if (members.length === 0 || this.#prng.chance(0.5)) this.#changeObject(c.RTM_DELNEXTHOP, id, []);
    else this.#changeObject(c.RTM_NEWNEXTHOP, id, [members[0]!.id]);
    return `damage nexthop object ${id}`;
  }

  #changeObject(type: number, id: number, group: readonly number[]): void {
    const message = createNexthopMessage();
    message.type = type;
    message.flags = c.NLM_F_REQUEST | (type === c.RTM_NEWNEXTHOP ? c.NLM_F_REPLACE : 0);
    message.id = id;
    message.protocol = c.RTPROT_STATIC;
    message.group = group.map((member) => ({ id: member, weight: 1 }));
    const length = encodeNexthop(this.#scratch, 0, message);
    this.#kernel.change(this.#scratch, 0, length, MEDDLER_PORT);
  }

  #add(key: RouteKey, fields: Partial<RouteMessage>, flags: number): Refusal | null {
    return this.#send(key, { type: c.RTM_NEWROUTE, flags: c.NLM_F_REQUEST | flags, scope: 0, ...fields });
  }

  #delete(key: RouteKey, protocol: number): Refusal | null {
    return this.#send(key, { type: c.RTM_DELROUTE, flags: c.NLM_F_REQUEST, scope: c.RT_SCOPE_NOWHERE, protocol });
  }

  #send({ prefix, table, metric }: RouteKey, fields: Partial<RouteMessage>): Refusal | null {
    const message = { ...createRouteMessage(), ...fields, table, metric };
    parsePrefix(prefix, message.destination, 0, true);
    message.family = familyOf(prefix);
    message.prefixLength = Number(prefix.split("/")[1]);
    const length = encodeRoute(this.#scratch, 0, message);
    return this.#kernel.change(this.#scratch, 0, length, MEDDLER_PORT);
  }
}

function familyOf(text: string): Family {
  return text.includes(":") ? Family.IPV6 : Family.IPV4;
}
