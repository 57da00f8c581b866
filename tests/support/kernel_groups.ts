/**
 * Nexthop groups over a real kernel: the dataplane of the kernel harness, and the monitor's thread, whose news reach the
 * groups as the daemon passes them on.
 */
import assert from "node:assert/strict";
import { clearInterval, setInterval } from "node:timers";
import { nextRecord } from "../../core/context/route_record.ts";
import { spawnWorker } from "../../core/daemon/spawn.ts";
import {
  type FromMonitor,
  type KernelChange,
  type MonitorStart,
  READING_REQUEST,
} from "../../core/model/kernel_event.ts";
import { LinkTable } from "../../core/model/link_table.ts";
import { parseAddress } from "../../core/model/prefix.ts";
import { createNexthop, type Family, type Nexthop } from "../../core/model/route.ts";
import type { NexthopObjectsMode } from "../../core/rib/nexthop_group.ts";
import { NexthopGroups } from "../../core/rib/nexthop_groups.ts";
import { NexthopReadings } from "../../core/rib/nexthop_readings.ts";
import { KERNEL_THREAD_ENTRY, KernelHarness, PROTOCOL } from "./kernel_harness.ts";
import type { Netns } from "./netns.ts";
import { until } from "./wait.ts";

export class KernelGroups {
  readonly ns: Netns;
  readonly harness: KernelHarness;
  readonly links = new LinkTable();
  readonly groups: NexthopGroups;
  readonly readings: NexthopReadings;
  readonly #wantRoutes = new SharedArrayBuffer(4);
  readonly #stop = new SharedArrayBuffer(4);
  #isListening = false;
  #hasEnded = false;
  /** Waiting with Atomics.waitAsync does not keep Deno alive. */
  readonly #keepAlive = setInterval(() => {}, 1000);

  static async start(ns: Netns, mode: NexthopObjectsMode = "auto", { adopt = false } = {}): Promise<KernelGroups> {
    const portIdCell = new SharedArrayBuffer(4);
    const harness = new KernelHarness({ netns: ns.name, portIdCell });
    harness.readLinks(ns);
    const bench = new KernelGroups(ns, harness, mode);
    bench.#listen(portIdCell, adopt);
    await harness.dataplane.start();
    await until("the monitor listens", () => bench.#isListening);
    return bench;
  }

  constructor(ns: Netns, harness: KernelHarness, mode: NexthopObjectsMode) {
    this.ns = ns;
    this.harness = harness;
    this.groups = new NexthopGroups(harness.rib, harness.dataplane, this.links, mode);
    this.readings = new NexthopReadings(this.groups);
    harness.rib.groups = this.groups;
  }

  #listen(portIdCell: SharedArrayBuffer, adopt: boolean): void {
    const start: MonitorStart = {
      role: "monitor",
      netns: this.ns.name,
      protocol: PROTOCOL,
      portIdCell,
      taken: new SharedArrayBuffer(4),
      wantRoutes: this.#wantRoutes,
      request: new SharedArrayBuffer(4 * READING_REQUEST.WORDS),
      heartbeat: new SharedArrayBuffer(8),
      stop: this.#stop,
    };
    spawnWorker<FromMonitor>(KERNEL_THREAD_ENTRY, start, {
      onMessage: (message) => {
        if (message.type === "links") this.links.replaceAll(message.links);
        if (message.type === "changes") for (const change of message.changes) this.#follow(change);
        if (message.type === "nexthops" && adopt) this.readings.adopt(message.objects);
        if (message.type === "routes" && adopt) this.#adoptRoutes(message.records, message.count);
        if (message.type === "read") this.#isListening = true;
      },
      onExit: () => {
        this.#hasEnded = true;
      },
    });
  }

  #adoptRoutes(records: ArrayBuffer, count: number): void {
    const view = new DataView(records);
    let offset = 0;
    for (let index = 0; index < count; index++, offset = nextRecord(view, offset)) {
      assert.ok(this.harness.rib.adopt(new Uint8Array(records), view, offset));
    }
  }

  #follow(change: KernelChange): void {
    if (change.kind === "nexthop") this.readings.onChange(change);
    else if (change.kind === "address") this.groups.onLink(change.ifindex);
    else if (change.kind === "link") {
      if (change.action === "new") this.links.set(change.link);
      else this.links.delete(change.link.ifindex);
      this.groups.onLink(change.link.ifindex);
    }
  }

  /** A member in a few words: `10.0.0.2 v0 3`. */
  nexthop(words: string): Nexthop {
    const [via, dev, weight = "1"] = words.split(" ");
    const made = createNexthop();
    made.viaFamily = parseAddress(via!, 0, via!.length, made.via, 0) as Family;
    made.ifindex = this.links.indexOf(dev!);
    made.weight = Number(weight);
    return made;
  }

  /** The group as `ip nexthop` shows it, each member by its gateway: `10.0.0.2 10.0.1.2*3`, or nothing. */
  held(number: number): string {
    const id = this.groups.get(number)?.object?.id;
    const shown = new Map(this.ns.ipJson("-d", "nexthop").map((object) => [object.id, object]));
    // biome-ignore lint/suspicious/noExplicitAny: iproute2's JSON
    const members: any[] = shown.get(id)?.group ?? [];
    return members
      .map((member) => `${shown.get(member.id).gateway}${member.weight === undefined ? "" : `*${member.weight}`}`)
      .join(" ");
  }

  /** Numbers of the objects that routes of ours are on. */
  routesOn(): Map<number, number> {
    const counts = new Map<number, number>();
    for (const route of this.ns.ipJson("route", "show", "proto", String(PROTOCOL)))
      counts.set(route.nhid, (counts.get(route.nhid) ?? 0) + 1);
    return counts;
  }

  async settled(): Promise<void> {
    await this.groups.idle();
    await this.groups.routes.idle();
    await this.harness.rib.reconciler.idle();
    await until("nothing is under way", () => !this.harness.dataplane.workPending());
  }

  async close(): Promise<void> {
    this.groups.stop();
    Atomics.store(new Int32Array(this.#stop), 0, 1);
    await until("the monitor ends", () => this.#hasEnded);
    await this.harness.close();
    clearInterval(this.#keepAlive);
  }
}
