/**
 * What must be true of a simulation: after every step the invariants of docs/architecture.md, and in the end that the kernel holds
 * what the owners have last asked for.
 */

import { formatPrefix } from "../../core/model/prefix.ts";
import { Family } from "../../core/model/route.ts";
import type { UpdateJson } from "../../core/northbound/api_types.ts";
import type { Rib } from "../../core/rib/rib.ts";
import { RingObserver } from "../../core/ring/spsc_ring.ts";
import { ERRNO, errnoName } from "../../ffi/libc/errno.ts";
import * as c from "../../ffi/netlink/constants.ts";
import type { RouteMessage } from "../../ffi/netlink/route.ts";
import { describeNexthops, keyOf, type ScheduleModel } from "../support/schedule_model.ts";
import { PROTOCOL, type SimDaemon } from "./daemon.ts";
import type { ModelHop, ModelRoute } from "./kernel/model.ts";
import type { ModelKernel, Request } from "./kernel/model_kernel.ts";
import { MEDDLER_PORT } from "./meddler.ts";

/** Requests of one route that are remembered. */
const ASKED_MAX = 1000;
/** Steps between two looks at the counters, and between two looks into every ring. */
const COUNTERS_EVERY = 4;
const RINGS_EVERY = 16;

interface Asked {
  number: number;
  isDelete: boolean;
  isAgreed: boolean;
  /** The route as {@linkcode describeRoute} puts it. */
  text: string;
}

const TYPE_NAMES: Readonly<Record<number, string>> = {
  [c.RTN_BLACKHOLE]: "blackhole",
  [c.RTN_UNREACHABLE]: "unreachable",
  [c.RTN_PROHIBIT]: "prohibit",
  [c.RTN_THROW]: "throw",
};

export class KernelBooks {
  readonly #kernel: ModelKernel;
  readonly #asked = new Map<string, Asked[]>();
  /** Routes of ours that have gone since they were last written. */
  readonly #lost = new Set<string>();
  /** Requests that the kernel has got. */
  requests = 0;
  note: (describe: () => string) => void = () => {};

  constructor(kernel: ModelKernel) {
    this.#kernel = kernel;
    kernel.onRequest = (request) => this.#onRequest(request);
    kernel.onLoss = (route, replacement) => {
      if (route.protocol === PROTOCOL && replacement?.protocol !== PROTOCOL) this.#lost.add(keyOfRoute(route));
    };
  }

  #onRequest(request: Request): void {
    const { portId, route, refusal, type } = request;
    this.note(() => `kernel: ${this.#describeRequest(request)}`);
    if (portId === MEDDLER_PORT || route === null) return;
    this.requests += 1;
    const key = keyOfMessage(route);
    const asked = this.#asked.get(key) ?? [];
    const isDelete = type === c.RTM_DELROUTE;
    if (!isDelete && refusal === null) this.#lost.delete(key);
    const text = isDelete ? "" : this.#describe(route);
    const isAgreed = refusal === null || (isDelete && refusal.errno !== ERRNO.ENOMEM && refusal.errno !== ERRNO.ENOSPC);
    asked.push({ number: this.requests, isDelete, isAgreed, text });
    if (asked.length > ASKED_MAX) asked.shift();
    this.#asked.set(key, asked);
  }

  #describeRequest({ portId, type, flags, route, objectId, refusal }: Request): string {
    const who = portId === MEDDLER_PORT ? "meddler" : `port ${portId}`;
    const verb = type === c.RTM_NEWROUTE || type === c.RTM_NEWNEXTHOP ? `new(${flags.toString(16)})` : "delete";
    const by = route === null || route.nexthopId === 0 ? "" : ` nhid ${route.nexthopId}:`;
    const what = route === null ? `object ${objectId}` : `${keyOfMessage(route)}${by} ${this.#describe(route)}`;
    return `${who} ${verb} ${what}: ${refusal === null ? "ok" : `${errnoName(refusal.errno)} ${refusal.text}`}`;
  }

  /** Whether the kernel has been asked for what the update says since the request of this number, and has agreed. */
  wasAsked(key: string, update: UpdateJson, since: number): boolean {
    const asked = (this.#asked.get(key) ?? []).filter(({ number, isAgreed }) => number > since && isAgreed);
    // Where an owner withdraws what another wants too, that of the other is written.
    if (update.op === "delete") return asked.length > 0;
    if (update.nexthopGroup !== undefined) return asked.some(({ isDelete }) => !isDelete);
    const { type = "unicast", nexthops } = update;
    const text = type === "unicast" ? describeNexthops(nexthops!) : type;
    return asked.some((each) => each.text === text);
  }

  #describe(route: RouteMessage): string {
    const type = TYPE_NAMES[route.routeType];
    if (type !== undefined) return type;
    if (route.nexthopId !== 0) return this.#describeObject(route.nexthopId);
    return this.#hops(route.nexthops.map((hop) => ({ ...hop })));
  }

  /** Whether a route that is said to be missing may be. */
  mayBeMissing(key: string): boolean {
    return this.#lost.has(key);
  }

  /** What an object leads to. */
  #describeObject(id: number): string {
    const { objects } = this.#kernel.nexthops;
    const object = objects.get(id);
    if (object === undefined) return `nhid ${id}`;
    if (object.hop !== null) return this.#hops([object.hop]);
    return this.#hops(object.members.map((member) => ({ ...objects.get(member.id)!.hop!, weight: member.weight })));
  }

  #hops(hops: readonly ModelHop[]): string {
    return describeNexthops(
      hops.map(({ ifindex, viaFamily, via, weight }) => {
        const dev = this.#kernel.links.get(ifindex)?.name;
        return {
          ...(viaFamily === 0
            ? {}
            : { via: formatPrefix(viaFamily as Family, via, 0, viaFamily === 2 ? 32 : 128).split("/")[0]! }),
          ...(dev === undefined ? {} : { dev }),
          weight,
        };
      }),
    );
  }

  /**
   * Routes of our protocol by key, as {@linkcode ScheduleModel} describes them. `groups`: numbers of objects that stand for
   * clients' groups; any other stands for its nexthops.
   */
  held(groups: ReadonlySet<number> = new Set()): Map<string, string> {
    const routes = new Map<string, string>();
    for (const route of this.#kernel.routes()) {
      if (route.protocol !== PROTOCOL) continue;
      const words: string[] = [];
      const type = TYPE_NAMES[route.type];
      if (type !== undefined) words.push(type);
      else if (route.objectId === 0) words.push(this.#hops(route.hops));
      else words.push(groups.has(route.objectId) ? `nhid ${route.objectId}` : this.#describeObject(route.objectId));
      if (route.mtu !== 0) words.push(`mtu ${route.mtu}`);
      if (route.prefsrc !== null) words.push(`src ${addressOf(route.family, route.prefsrc)}`);
      const key = keyOfRoute(route);
      routes.set(key, [routes.get(key), words.join(" ")].filter((text) => text !== undefined).join(" and "));
    }
    return routes;
  }

  /** Groups of our protocol by number, as {@linkcode ScheduleModel} describes them, and single objects that nobody has. */
  heldGroups(): { groups: Map<number, string>; orphans: number[] } {
    const objects = [...this.#kernel.nexthops.objects.values()].filter(({ protocol }) => protocol === PROTOCOL);
    const groups = new Map<number, string>();
    const members = new Set<number>();
    for (const group of objects) {
      if (group.hop !== null) continue;
      groups.set(group.id, `${this.#describeObject(group.id)}${group.buckets === null ? "" : " resilient"}`);
      for (const { id } of group.members) members.add(id);
    }
    const orphans = objects.filter(({ id, hop }) => hop !== null && !members.has(id)).map(({ id }) => id);
    return { groups, orphans };
  }
}

function addressOf(family: Family, address: Uint8Array): string {
  return formatPrefix(family, address, 0, family === Family.IPV6 ? 128 : 32).split("/")[0]!;
}

function keyOfRoute({ family, destination, prefixLength, table, metric }: ModelRoute): string {
  return keyOf({ prefix: formatPrefix(family, destination, 0, prefixLength), table, metric });
}

/** The key of a route of the RIB. */
export function keyInRib(rib: Rib, family: Family, route: number): string {
  const store = rib.store(family);
  const { table, metric } = rib.keyClass(store, route);
  const address = new Uint8Array(16);
  store.address(route, address);
  return keyOf({ prefix: formatPrefix(family, address, 0, store.prefixLength(route)), table, metric });
}

function keyOfMessage({ family, destination, prefixLength, table, metric = 0 }: RouteMessage): string {
  const prefix = formatPrefix(family as Family, destination, 0, prefixLength);
  return keyOf({ prefix, table, metric });
}

/** The invariants that hold at any moment. Empty if they do. */
export function checkStep(daemon: SimDaemon, step: number): string {
  if (step % COUNTERS_EVERY !== 0) return "";
  const { dataplane } = daemon;
  const { queueDepth, poolFree, poolSize } = dataplane.snapshot();
  if (poolFree < 0 || poolFree > poolSize) return `${poolFree} contexts of ${poolSize} are free`;
  if (queueDepth > poolSize) return `${queueDepth} updates wait, more than there are contexts`;
  for (const { name, inQueued, in: given, out, errors } of dataplane.providers()) {
    if (inQueued < 0) return `provider ${name} has put out more (${out} + ${errors}) than it was given (${given})`;
  }
  return step % RINGS_EVERY === 0 ? checkRings(daemon) : "";
}

/** A context is in one place at a time. */
function checkRings({ threads, dataplane }: SimDaemon): string {
  const { memory } = threads;
  // What a thread that has ended left in rings nobody looks at any more.
  if (memory === null || ![...threads.running.values()].includes("dataplane")) return "";
  const seen = new Set<number>();
  const rings = [memory.incoming, memory.results];
  for (const seat of threads.seats.values()) rings.push(seat.inRing, seat.outRing);
  let count = 0;
  for (const ring of rings) {
    for (const slot of new RingObserver(ring).elements()) {
      if (seen.has(slot)) return `context ${slot} is in two rings, or twice in one`;
      seen.add(slot);
      count += 1;
    }
  }
  const taken = dataplane.pool.size - dataplane.pool.free;
  return count > taken ? `${count} contexts are in rings, and ${taken} are taken` : "";
}

/** Where a daemon that had time enough differs from what was asked for. */
export function findDifferences(daemon: SimDaemon, books: KernelBooks, model: ScheduleModel): string[] {
  const found: string[] = [];
  const { poolFree, poolSize } = daemon.dataplane.snapshot();
  if (poolFree !== poolSize) found.push(`${poolSize - poolFree} contexts of ${poolSize} are not free`);
  const kernelIds = new Map<number, number>();
  for (const { number, object } of daemon.groups.list()) kernelIds.set(number, object?.id ?? 0);
  const needed = new Set(model.areGroupsInline ? [] : kernelIds.values());
  found.push(...model.routeDifferences(books.held(needed), kernelIds));
  const { groups, orphans } = books.heldGroups();
  for (const id of orphans) found.push(`nexthop object ${id}: nobody needs it`);
  for (const id of groups.keys()) {
    // One that many routes share has no client.
    if (!needed.has(id) && daemon.groups.shared.membersOf(id) === null) found.push(`group ${id}: nobody needs it`);
  }
  if (model.areGroupsInline) return found;
  for (const [number, { members, resilient }] of model.groups) {
    const expected = `${describeNexthops(members)}${resilient === undefined ? "" : " resilient"}`;
    const text = groups.get(kernelIds.get(number) ?? 0);
    if (text !== expected) found.push(`group ${number}: ${text} in the kernel, not ${expected}`);
  }
  return found;
}

/** What only holds when nothing is under way any more. */
export function checkQuiet(daemon: SimDaemon): string {
  for (const { name, inQueued, outQueued } of daemon.dataplane.providers()) {
    if (inQueued !== 0 || outQueued !== 0)
      return `provider ${name} has ${inQueued} and ${outQueued} contexts in its queues`;
  }
  return "";
}
