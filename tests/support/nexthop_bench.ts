/** Nexthop groups over a kernel in Maps (tests/support/fake_nexthop_kernel.ts). */
import assert from "node:assert/strict";
import { clearInterval, setImmediate, setInterval } from "node:timers";
import { NEXTHOP_ID_MIN } from "../../core/constants.ts";
import { NO_ATTRS } from "../../core/context/attrs.ts";
import { type NexthopObject, NexthopObjectKind } from "../../core/context/nexthop_object.ts";
import { LinkTable } from "../../core/model/link_table.ts";
import { createNexthop, Family, type Nexthop } from "../../core/model/route.ts";
import { Drift } from "../../core/rib/drift.ts";
import type { GroupDefinition, NexthopObjectsMode } from "../../core/rib/nexthop_group.ts";
import { NexthopGroups } from "../../core/rib/nexthop_groups.ts";
import { NexthopReadings } from "../../core/rib/nexthop_readings.ts";
import { NO_ROUTE, type RouteState } from "../../core/rib/route_store.ts";
import { FakeNexthopKernel } from "./fake_nexthop_kernel.ts";
import { Harness, specOf } from "./harness.ts";
import { KERNEL } from "./scripted_provider.ts";
import { createInlineSpawn } from "./spawn.ts";
import { numberedUpdate } from "./updates.ts";

/** Interfaces of the bench: `v2` to `v4`. */
export const LINKS = [2, 3, 4];

/** Groups, their RIB and a dataplane over it, on the test's own thread. */
export class NexthopBench {
  readonly kernel = new FakeNexthopKernel();
  readonly links = new LinkTable();
  readonly harness: Harness;
  readonly groups: NexthopGroups;
  readonly readings: NexthopReadings;
  readonly drift = new Drift();
  /** Objects and routes that were found to differ, a line each. */
  told: string[] = [];
  /** Waiting with Atomics.waitAsync does not keep Deno alive. */
  readonly #keepAlive = setInterval(() => {}, 1000);

  constructor(mode: NexthopObjectsMode = "auto") {
    this.harness = new Harness({
      spawn: createInlineSpawn(() => this.kernel),
      providers: [specOf({ name: "kernel", priority: KERNEL })],
    });
    for (const ifindex of LINKS) this.#setLink(ifindex, true);
    this.groups = new NexthopGroups(this.harness.rib, this.harness.dataplane, this.links, mode);
    this.readings = new NexthopReadings(this.groups);
    this.harness.rib.groups = this.groups;
  }

  /** Has drift told, and fights over groups noticed. */
  watch(): void {
    this.groups.onDrift = (found) => this.drift.foundNexthop(found);
    this.groups.routes.onLose = (family, route, by) => this.drift.lost(family, route, by);
    this.drift.onNexthopDrift = ({ kind, id, groups, by, delayMs, times }) =>
      this.told.push(`${id - NEXTHOP_ID_MIN} of [${groups}] ${kind} by ${by}, ${times}: ${delayMs}`);
    this.drift.onDrift = ({ kind, route, by, delayMs }) =>
      this.told.push(`route ${route} ${kind} by ${by}: ${delayMs}`);
  }

  static async start(mode?: NexthopObjectsMode): Promise<NexthopBench> {
    const bench = new NexthopBench(mode);
    await bench.harness.start();
    return bench;
  }

  #setLink(ifindex: number, up: boolean): void {
    const common = { altNames: [], kind: "", mtu: 1500, master: 0, vrfTable: 0 };
    this.links.set({ ...common, ifindex, name: `v${ifindex}`, up, carrier: up });
  }

  /** The kernel's notice of a link. */
  notice(ifindex: number, up: boolean): void {
    this.#setLink(ifindex, up);
    this.groups.onLink(ifindex);
  }

  /** A link goes up or down, in the kernel and at once for us. */
  setLink(ifindex: number, up: boolean): void {
    this.kernel.setLink(ifindex, up);
    this.notice(ifindex, up);
  }

  route(number: number, group: number): number {
    return this.harness.admit({ ...numberedUpdate(number), nexthopGroup: group, nexthops: [] });
  }

  /** Everything that is under way has come to its end. */
  async settled(): Promise<void> {
    const { rib } = this.harness;
    rib.flush();
    await this.harness.settled();
    for (let calm = 0; calm < 3; calm++) {
      await this.groups.idle();
      await this.groups.routes.idle();
      await rib.reconciler.idle();
      await new Promise((resolve) => setImmediate(resolve));
      if (this.harness.dataplane.workPending()) calm = -1;
    }
  }

  state(number: number): RouteState {
    return this.harness.rib.store(Family.IPV4).state(this.#find(number));
  }

  /** Whether the RIB believes the route in the kernel. */
  isProgrammed(number: number): boolean {
    return this.harness.rib.store(Family.IPV4).programmed(this.#find(number)) !== NO_ATTRS;
  }

  #find(number: number): number {
    const { rib } = this.harness;
    const update = numberedUpdate(number);
    const keyClass = rib.classes.intern(update.family, update.table, update.metric, update.source, 0)!;
    const route = rib.store(Family.IPV4).find(update.prefix, 32, keyClass.id);
    assert.notEqual(route, NO_ROUTE);
    return route;
  }

  /** The group's object in the kernel as text: `2.9*1 3.4*10`, `2.9*1 buckets 8`, or `none`. */
  held(number: number): string {
    const id = this.groups.get(number)?.object?.id ?? 0;
    return this.describe(this.kernel.objects.get(id));
  }

  describe(object: NexthopObject | undefined): string {
    if (object === undefined || object.kind === NexthopObjectKind.SINGLE) return "none";
    const members = object.members.map(({ id, weight }) => {
      const single = this.kernel.objects.get(id);
      assert.ok(single?.kind === NexthopObjectKind.SINGLE);
      return `${single.nexthop.ifindex}.${single.nexthop.via[3]}*${weight}`;
    });
    if (object.kind === NexthopObjectKind.RESILIENT) members.push(`buckets ${object.buckets}`);
    return members.join(" ");
  }

  id(number: number): number {
    return this.groups.get(number)!.object!.id;
  }

  /** Number in the kernel of the first single object. */
  singleId(): number {
    return [...this.kernel.objects].find(([, { kind }]) => kind === NexthopObjectKind.SINGLE)![0];
  }

  async close(): Promise<void> {
    this.groups.stop();
    await this.harness.stop();
    const { poolFree, poolSize } = this.harness.dataplane.snapshot();
    assert.equal(poolFree, poolSize);
    clearInterval(this.#keepAlive);
  }
}

/** `10.0.<ifindex>.<host>` on that interface. */
export function nexthop(ifindex: number, host: number, weight = 1): Nexthop {
  const made = { ...createNexthop(), ifindex, weight, viaFamily: Family.IPV4 };
  made.via.set([10, 0, ifindex, host]);
  return made;
}

export function group(members: Nexthop[], more: Partial<GroupDefinition> = {}): GroupDefinition {
  return { members, backup: [], resilient: null, ...more };
}

export const RESILIENT = { buckets: 8, idleTimer: 120, unbalancedTimer: 0 };
