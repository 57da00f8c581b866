/** Nexthop objects of the model kernel: what may be made, changed and deleted, and what goes along. */
import { ERRNO } from "../../../ffi/libc/errno.ts";
import * as c from "../../../ffi/netlink/constants.ts";
import type { NexthopMessage } from "../../../ffi/netlink/nexthop.ts";
import type { Links } from "./links.ts";
import { type ModelHop, type ModelObject, type Refusal, refuse } from "./model.ts";

const { ENOENT, EEXIST, EINVAL, ENETDOWN } = ERRNO;

/** What the objects need of the rest of the kernel. */
export interface NexthopTableParts {
  links: Links;
  /** Whether a gateway may be used; null if so. */
  checkHop(hop: ModelHop, family: number): Refusal | null;
  /** An object has gone, and its routes with it. `portId`: of who asked for it, or null for the kernel by itself. */
  onGone(object: ModelObject, portId: number | null): void;
  /** An object was made or changed. */
  onNew(object: ModelObject, portId: number, flags: number): void;
  /** A group has lost a member. */
  onShrunk(object: ModelObject, portId: number | null): void;
  /** Whether IPv6 routes are on this object. */
  hasIpv6Routes(id: number): boolean;
}

export class NexthopTable {
  readonly objects = new Map<number, ModelObject>();
  readonly #parts: NexthopTableParts;
  /** Rises with each change; a dump that sees it move says so. */
  generation = 0;

  constructor(parts: NexthopTableParts) {
    this.#parts = parts;
  }

  add(message: NexthopMessage, portId: number): Refusal | null {
    const { id, flags } = message;
    const isReplace = (flags & c.NLM_F_REPLACE) !== 0;
    const object = this.#build(message);
    if ("errno" in object) return object;
    const old = this.objects.get(id);
    if (old === undefined) {
      if (isReplace && (flags & c.NLM_F_CREATE) === 0)
        return refuse(ENOENT, "Replace specified without create and no entry exists");
      this.objects.set(id, object);
    } else {
      if (!isReplace) return refuse(EEXIST);
      const refused = this.#checkReplace(old, object);
      if (refused !== null) return refused;
      Object.assign(old, object);
    }
    this.generation += 1;
    this.#parts.onNew(this.objects.get(id)!, portId, flags);
    return null;
  }

  remove(id: number, portId: number): Refusal | null {
    if (id === 0) return refuse(EINVAL, "Nexthop id is missing");
    const object = this.objects.get(id);
    if (object === undefined) return refuse(ENOENT);
    this.#drop(object, portId);
    return null;
  }

  /** The interface is down, gone or without carrier: what is on it goes without a word. */
  flushDevice(ifindex: number): void {
    for (const object of [...this.objects.values()]) {
      if (object.hop?.ifindex === ifindex && this.objects.has(object.id)) this.#drop(object, null);
    }
  }

  /** Whether an IPv4 gateway is among what the object leads to. */
  hasIpv4Gateway(id: number): boolean {
    const object = this.objects.get(id);
    if (object === undefined) return false;
    if (object.hop !== null) return object.family === c.AF_INET;
    return object.members.some((member) => this.hasIpv4Gateway(member.id));
  }

  #drop(object: ModelObject, portId: number | null): void {
    this.objects.delete(object.id);
    this.generation += 1;
    this.#parts.onGone(object, portId);
    for (const group of [...this.objects.values()]) {
      if (!group.members.some(({ id }) => id === object.id)) continue;
      if (group.members.length === 1) {
        this.#drop(group, portId);
        continue;
      }
      group.members = group.members.filter(({ id }) => id !== object.id);
      this.#parts.onShrunk(group, portId);
    }
  }

  #build(message: NexthopMessage): ModelObject | Refusal {
    const { id, protocol, family, nexthopFlags } = message;
    const object: ModelObject = {
      id,
      protocol,
      family,
      flags: nexthopFlags,
      hop: null,
      members: [],
      buckets: null,
      idleTimer: 0,
      unbalancedTimer: 0,
    };
    if (message.group.length > 0) return this.#buildGroup(message, object);
    if (message.oif === 0) {
      return refuse(EINVAL, "Device attribute required for non-blackhole and non-fdb nexthops");
    }
    const link = this.#parts.links.get(message.oif);
    if (link === undefined) return refuse(EINVAL, "Invalid device index");
    if (!link.up) return refuse(ENETDOWN, "Nexthop device is not up");
    if (!this.#parts.links.hasCarrier(link)) return refuse(ENETDOWN, "Carrier for nexthop device is down");
    const viaFamily = message.hasGateway ? family : 0;
    const via = message.gateway.slice();
    object.hop = { ifindex: message.oif, viaFamily, via, weight: 1, flags: nexthopFlags };
    return this.#parts.checkHop(object.hop, family) ?? object;
  }

  #buildGroup(message: NexthopMessage, object: ModelObject): ModelObject | Refusal {
    if (message.family !== 0) return refuse(EINVAL, "Invalid family");
    const seen = new Set<number>();
    for (const { id } of message.group) {
      if (seen.has(id)) return refuse(EINVAL, "Nexthop id can not be used twice in a group");
      seen.add(id);
    }
    for (const { id } of message.group) {
      const member = this.objects.get(id);
      if (member === undefined) return refuse(EINVAL, "Invalid nexthop id");
      if (member.hop === null) {
        const kind = member.buckets === null ? "Hash-threshold" : "Resilient";
        return refuse(EINVAL, `${kind} group can not be a nexthop within a group`);
      }
    }
    object.members = message.group.map(({ id, weight }) => ({ id, weight }));
    if (message.groupType === c.NEXTHOP_GRP_TYPE_RES) {
      const { buckets = 0, idleTimer = 0, unbalancedTimer = 0 } = message.resilient ?? {};
      object.buckets = buckets;
      object.idleTimer = idleTimer;
      object.unbalancedTimer = unbalancedTimer;
    }
    return object;
  }

  #checkReplace(old: ModelObject, object: ModelObject): Refusal | null {
    const wasGroup = old.hop === null;
    const isGroup = object.hop === null;
    if (wasGroup && !isGroup) return refuse(EINVAL, "Can not replace a nexthop group with a nexthop.");
    if (!wasGroup && isGroup) return refuse(EINVAL, "Can not replace a nexthop with a nexthop group.");
    if (wasGroup && (old.buckets === null) !== (object.buckets === null)) {
      return refuse(EINVAL, "Can not replace a nexthop group with one of a different type.");
    }
    if (wasGroup && old.buckets !== object.buckets) {
      return refuse(EINVAL, "Can not change number of buckets of a resilient nexthop group.");
    }
    return this.#checkUsers(old, object);
  }

  /** IPv6 routes cannot go by an IPv4 gateway, and so no object that they are on can come to one. */
  #checkUsers(old: ModelObject, object: ModelObject): Refusal | null {
    const leadsToIpv4 =
      object.hop === null ? object.members.some(({ id }) => this.hasIpv4Gateway(id)) : object.family === c.AF_INET;
    if (!leadsToIpv4) return null;
    const groups = [...this.objects.values()].filter(({ members }) => members.some(({ id }) => id === old.id));
    const isUsed = [old, ...groups].some(({ id }) => this.#parts.hasIpv6Routes(id));
    return isUsed ? refuse(EINVAL, "IPv6 routes can not use an IPv4 nexthop") : null;
  }
}
