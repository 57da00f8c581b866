/**
 * A RIB with nexthop groups over a kernel in Maps, an FPM provider behind it, and the server that it exports to, all on the
 * test's own thread.
 */
import assert from "node:assert/strict";
import { clearInterval, setImmediate, setInterval } from "node:timers";
import { NO_ATTRS } from "../../core/context/attrs.ts";
import { NexthopObjectKind } from "../../core/context/nexthop_object.ts";
import type { ExportQuestion } from "../../core/context/route_export.ts";
import type { Provider, RegisteredProvider } from "../../core/dataplane/provider.ts";
import {
  createFpmClientCounterStorage,
  type FpmClientCounterName,
  readFpmClientCounters,
} from "../../core/model/fpm_client_counters.ts";
import { LinkTable } from "../../core/model/link_table.ts";
import { formatPrefix } from "../../core/model/prefix.ts";
import { createRouteUpdate, Family, RouteType, type RouteUpdate } from "../../core/model/route.ts";
import { RouteExport } from "../../core/rib/export.ts";
import { NexthopGroups } from "../../core/rib/nexthop_groups.ts";
import { createFpmProvider, type FpmOptions } from "../../providers/fpm/provider.ts";
import { FakeNexthopKernel } from "./fake_nexthop_kernel.ts";
import { describeGateway, FpmPeer, type FpmPeerOptions } from "./fpm_peer.ts";
import { Harness, specOf } from "./harness.ts";
import { KERNEL, POST_KERNEL, POSTPROCESS } from "./scripted_provider.ts";
import { createInlineSpawn } from "./spawn.ts";
import { numberedUpdate } from "./updates.ts";
import { until } from "./wait.ts";

const LINKS = [2, 3, 4];

export interface FpmBenchOptions extends FpmPeerOptions {
  options?: Partial<FpmOptions>;
  /** Stands behind the FPM provider. */
  last?: Provider;
  /** Leaves the server unstarted, and questions unanswered. */
  isClosed?: boolean;
}

export class FpmBench {
  readonly kernel = new FakeNexthopKernel();
  readonly peer: FpmPeer;
  readonly links = new LinkTable();
  readonly harness: Harness;
  readonly groups: NexthopGroups;
  readonly export: RouteExport;
  readonly counterStorage = createFpmClientCounterStorage();
  readonly #sonic: boolean;
  /** Waiting with Atomics.waitAsync does not keep Deno alive. */
  readonly #keepAlive = setInterval(() => {}, 1000);

  constructor({ options = {}, last, ...peerOptions }: FpmBenchOptions, port: number, peer: FpmPeer) {
    this.peer = peer;
    this.#sonic = peerOptions.sonic === true;
    const fpm: FpmOptions = {
      address: { host: "127.0.0.1", port },
      profile: this.#sonic ? "sonic" : "frr",
      nexthopGroups: true,
      exportFailed: false,
      protocol: 210,
      counters: this.counterStorage,
      retryMinMs: 10,
      ...options,
    };
    const spec = { kind: "fpm", name: "export", priority: POST_KERNEL, threaded: true };
    this.harness = new Harness({
      spawn: createInlineSpawn((registered: RegisteredProvider) =>
        registered.kind === "fpm" ? createFpmProvider(registered) : registered.name === "last" ? last! : this.kernel,
      ),
      providers: [
        specOf({ name: "kernel", priority: KERNEL }),
        { ...spec, options: fpm as unknown as Record<string, unknown> },
        ...(last === undefined ? [] : [specOf({ name: "last", priority: POSTPROCESS })]),
      ],
      onProviderMessage: (id, body) => this.export.onMessage(id, body as ExportQuestion),
    });
    const { rib, dataplane } = this.harness;
    for (const ifindex of LINKS) this.setLinkKnown(ifindex, true);
    this.groups = new NexthopGroups(rib, dataplane, this.links);
    rib.groups = this.groups;
    this.export = new RouteExport(rib, this.groups, (id, answer, transfer) =>
      dataplane.tellProvider(id, answer, transfer),
    );
  }

  static async start(options: FpmBenchOptions = {}): Promise<FpmBench> {
    const peer = await FpmPeer.start(options);
    const { port } = peer;
    if (options.isClosed === true) await peer.vanish();
    const bench = new FpmBench(options, port, peer);
    await bench.harness.start();
    if (options.isClosed !== true) bench.export.open();
    return bench;
  }

  setLinkKnown(ifindex: number, up: boolean): void {
    const common = { altNames: [], kind: "", mtu: 1500, master: 0, vrfTable: 0 };
    this.links.set({ ...common, ifindex, name: `v${ifindex}`, up, carrier: up });
  }

  setLink(ifindex: number, up: boolean): void {
    this.kernel.setLink(ifindex, up);
    this.setLinkKnown(ifindex, up);
    this.groups.onLink(ifindex);
  }

  counter(name: FpmClientCounterName): number {
    return readFpmClientCounters(this.counterStorage)[name];
  }

  onGroup(number: number, group: number): RouteUpdate {
    return { ...numberedUpdate(number), nexthopGroup: group, nexthops: [] };
  }

  /** Everything that is under way in the RIB has come to its end. */
  async settled(): Promise<void> {
    const { rib, dataplane } = this.harness;
    rib.flush();
    await this.harness.settled();
    for (let calm = 0; calm < 3; calm++) {
      await this.groups.idle();
      await this.groups.routes.idle();
      await rib.reconciler.idle();
      await new Promise((resolve) => setImmediate(resolve));
      if (dataplane.workPending()) calm = -1;
    }
  }

  /** What the kernel is believed to hold, as the server should have it. */
  expected(): Map<string, string> {
    const { rib } = this.harness;
    const wanted = new Map<string, string>();
    const bytes = new Uint8Array(16);
    const update = createRouteUpdate();
    for (const family of [Family.IPV4, Family.IPV6] as const) {
      const store = rib.store(family);
      for (let route = 1; route <= store.last; route++) {
        if (!store.isUsed(route) || store.programmed(route) === NO_ATTRS) continue;
        store.address(route, bytes);
        const { table, metric } = rib.keyClass(store, route);
        rib.attrs.reader.read(store.programmed(route), update);
        if (this.#sonic && (table !== 254 || ![RouteType.UNICAST, RouteType.BLACKHOLE].includes(update.type as 1))) {
          continue;
        }
        const prefix = formatPrefix(family, bytes, 0, store.prefixLength(route));
        wanted.set(`${prefix} table ${this.#sonic ? 0 : table} metric ${metric}`, this.#leadsTo(update));
      }
    }
    return wanted;
  }

  #leadsTo({ type, nexthops, nexthopGroup }: RouteUpdate): string {
    if (type !== RouteType.UNICAST) return `type ${type}`;
    if (nexthopGroup === 0) {
      return nexthops
        .map(({ ifindex, viaFamily, via, weight }) => `${ifindex}.${describeGateway(viaFamily, via)}*${weight}`)
        .sort()
        .join(" ");
    }
    const object = this.kernel.objects.get(nexthopGroup);
    if (object === undefined || object.kind === NexthopObjectKind.SINGLE) return "no group";
    return object.members
      .map(({ id, weight }) => {
        const single = this.kernel.objects.get(id);
        assert.ok(single?.kind === NexthopObjectKind.SINGLE);
        const { ifindex, viaFamily, via } = single.nexthop;
        // The weight of an only nexthop means nothing, and a route that has it itself does not say it.
        return `${ifindex}.${describeGateway(viaFamily, via)}*${object.members.length === 1 ? 1 : weight}`;
      })
      .sort()
      .join(" ");
  }

  /** Where the server's table differs from what it should be, at most a few lines. */
  differences(): string[] {
    const wanted = this.expected();
    const found = this.peer.table();
    const lines: string[] = [];
    for (const [key, value] of wanted) {
      if (found.get(key) !== value) lines.push(`${key}: wanted ${value}, found ${found.get(key)}`);
      if (lines.length > 5) return lines;
    }
    for (const key of found.keys()) if (!wanted.has(key)) lines.push(`${key}: not wanted`);
    return lines.slice(0, 5);
  }

  /** Waits until the server has just what it should have, and had to find fault with nothing. */
  async agreed(): Promise<void> {
    await this.settled();
    try {
      await until("the server has what it should have", () => this.#isQuiet() && this.differences().length === 0);
    } catch (error) {
      const state = JSON.stringify(readFpmClientCounters(this.counterStorage));
      assert.fail(`${error}: ${this.differences().join("\n")}\n${state}\n${this.peer.errors.slice(0, 5).join("\n")}`);
    }
    assert.deepEqual(this.peer.errors.slice(0, 5), []);
  }

  #isQuiet(): boolean {
    const { state, routesQueued, outputBytes } = readFpmClientCounters(this.counterStorage);
    return state === 2 && routesQueued === 0 && outputBytes === 0;
  }

  async close(): Promise<void> {
    this.groups.stop();
    await this.harness.stop();
    await this.peer.vanish();
    const { poolFree, poolSize } = this.harness.dataplane.snapshot();
    assert.equal(poolFree, poolSize);
    clearInterval(this.#keepAlive);
  }
}
