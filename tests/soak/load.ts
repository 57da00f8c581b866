/**
 * The load of a soak: workers that ask the daemon for routes and groups, break off, come over FPM, and others that meddle with the
 * kernel. Each update's results are counted.
 */
import { connect } from "node:net";
import type { FpmJson, NexthopGroupUpdateJson, SyncSummaryJson } from "../../core/northbound/api_types.ts";
import { readAll, readLines } from "../../core/northbound/cli/client.ts";
import { Prng } from "../../core/prng.ts";
import type { DaemonProcess } from "../../scripts/daemon_process.ts";
import { FpmClient } from "../support/fpm_client.ts";
import type { Netns } from "../support/netns.ts";
import { until } from "../support/wait.ts";

const IPROUTE2 = { "content-type": "text/x-iproute2" };
/** Routes that a worker's stream of updates is about, and those of its full state. */
const STREAM_ROUTES = 8000;
const SYNC_ROUTES = 4000;
const UPDATES_MAX = 2000;
/** Share of a full state that is another the next time. */
const CHANGED_SHARE = 0.01;
const GROUPS = [7, 8] as const;
const FPM_ROUTES = 300;
const GATEWAYS = ["10.0.0.2", "10.0.0.3", "10.0.1.2", "10.0.1.3"] as const;
const GATEWAYS_IPV6 = ["2001:db8::2", "2001:db8::3", "2001:db8:1::2", "2001:db8:1::3"] as const;

export const deviceOf = (gateway: string): string => (/^10\.0\.0\.|db8::/.test(gateway) ? "v0" : "v2");

/** What is counted. */
export class LoadCounts {
  updates = 0;
  results = 0;
  resultsLost = 0;
  syncs = 0;
  groupChanges = 0;
  brokenOff = 0;
  fpmRoutes = 0;
  disturbances = 0;
  readonly statuses: Record<string, number> = {};
}

export class SoakLoad {
  readonly counts = new LoadCounts();
  /** Of the groups that are defined: their members. */
  readonly groups = new Map<number, NexthopGroupUpdateJson>();
  readonly #daemon: DaemonProcess;
  readonly #ns: Netns;
  readonly #workers: readonly Worker[];

  constructor(daemon: DaemonProcess, ns: Netns, workers: number, seed: number) {
    this.#daemon = daemon;
    this.#ns = ns;
    this.#workers = Array.from({ length: workers }, (_, index) => new Worker(this, index, new Prng(seed + index)));
  }

  /** Everybody asks for all of the routes that there will be. */
  async fill(): Promise<void> {
    for (const worker of this.#workers) await worker.fill();
  }

  /** Everybody works until `isOver`, and has ended what was begun. Throws the first error of any. */
  async run(isOver: () => boolean): Promise<void> {
    const loops = this.#workers.map(async (worker) => {
      while (!isOver()) await worker.act();
    });
    for (const end of await Promise.allSettled(loops)) if (end.status === "rejected") throw end.reason;
  }

  /** Sends updates, or a full state, and counts what comes back. */
  async send(request: { method: "POST" | "PUT"; path: string; query: Record<string, string> }, lines: string[]) {
    const { counts } = this;
    const response = await this.#daemon.client.request({ ...request, headers: IPROUTE2, body: lines.join("") });
    const seen = new Uint8Array(lines.length + 1);
    let summary: SyncSummaryJson | undefined;
    for await (const text of readLines(response)) {
      const answer = JSON.parse(text);
      if ("summary" in answer) {
        summary = answer.summary;
        continue;
      }
      counts.statuses[answer.status] = (counts.statuses[answer.status] ?? 0) + 1;
      // What a sync deletes has no line of its own.
      if (answer.line === 0) continue;
      counts.results += 1;
      seen[answer.line]! += 1;
    }
    counts.updates += lines.length;
    counts.resultsLost += seen.subarray(1).filter((times) => times !== 1).length;
    if (summary?.received !== lines.length) {
      throw new Error(`${request.method} ${request.path}: ${JSON.stringify(summary)} for ${lines.length} updates`);
    }
  }

  /** A client that goes away when the first results of its updates have come. */
  async breakOff(owner: string, lines: string[]): Promise<void> {
    const request = { method: "POST", path: "/v1/routes", query: { owner }, headers: IPROUTE2 } as const;
    const response = await this.#daemon.client.request({ ...request, body: lines.join("") });
    response.on("error", () => undefined);
    await readLines(response).next();
    response.destroy();
    this.counts.brokenOff += 1;
  }

  /** One that listens for events and goes, and one that has said only half of what it wants. */
  async listenAndGo(): Promise<void> {
    const response = await this.#daemon.client.request({ path: "/v1/events" });
    response.on("error", () => undefined);
    await readLines(response).next();
    response.destroy();
    const socket = connect(this.#daemon.socket);
    socket.on("error", () => undefined);
    await new Promise((resolve) => socket.write("POST /v1/routes HTTP/1.1\r\nhost: lo", resolve));
    socket.destroy();
    this.counts.brokenOff += 2;
  }

  async setGroup(id: number, definition: NexthopGroupUpdateJson): Promise<void> {
    const request = { method: "PUT", path: `/v1/nexthop-groups/${id}`, body: JSON.stringify(definition) } as const;
    await readAll(await this.#daemon.client.request({ ...request, headers: { "content-type": "application/json" } }));
    this.groups.set(id, definition);
    this.counts.groupChanges += 1;
  }

  /** A peer that comes, sends routes, takes some back, and goes. */
  async peer(prng: Prng): Promise<void> {
    const { server } = await this.#daemon.client.getJson<FpmJson>("/v1/fpm");
    const ifindex = this.#ns.ipJson("link", "show", "v0")[0].ifindex as number;
    const peer = await FpmClient.connect(Number(server!.listen.split(":").at(-1)));
    const routes = Array.from({ length: FPM_ROUTES }, (_, index) => ({
      prefix: `203.0.${index >> 8}.${index & 255}/32`,
      via: [prng.pick(["10.0.0.2", "10.0.0.3"])],
      ifindex,
    }));
    const kept = 1 + prng.below(FPM_ROUTES - 1);
    peer.frame(...routes.map((route) => peer.add(route)));
    peer.frame(...routes.slice(kept).map((route) => peer.delete(route)));
    await until("the peer's routes are answered", () => peer.replies.length >= kept);
    await peer.end();
    this.counts.fpmRoutes += FPM_ROUTES;
  }

  /** Somebody else does something to the kernel. */
  disturb(lines: readonly string[]): void {
    this.#ns.ipBatch(lines, { force: true });
    this.counts.disturbances += 1;
  }

  /** Everything that hinders the daemon is taken back. */
  heal(): void {
    this.#ns.ipBatch([
      ...["v0", "v1", "v2", "v3"].map((link) => `link set ${link} up`),
      // The kernel has taken the IPv6 addresses of a link that went down along.
      "address replace 2001:db8::1/64 dev v0 nodad",
      "address replace 2001:db8:1::1/64 dev v2 nodad",
    ]);
  }
}

/** One of several at the same time, with owners of its own. */
class Worker {
  readonly #load: SoakLoad;
  readonly #index: number;
  readonly #prng: Prng;
  /** A number for each kind of deed, so that a short soak has something of all. */
  readonly #first = [0, 60, 95, 75, 83, 88, 92];
  /** Its full state: lines by number. */
  readonly #state: string[];

  constructor(load: SoakLoad, index: number, prng: Prng) {
    this.#load = load;
    this.#index = index;
    this.#prng = prng;
    this.#state = Array.from({ length: SYNC_ROUTES }, (_, number) => this.#fullStateLine(number));
  }

  async fill(): Promise<void> {
    await this.#sync();
    const numbers = Array.from({ length: STREAM_ROUTES }, (_, number) => this.#firstNumber + number);
    await this.#send(numbers.map((number) => this.#install(number)));
  }

  async act(): Promise<void> {
    const chance = this.#first.pop() ?? this.#prng.below(100);
    if (chance < 60) return await this.#stream();
    if (chance < 75) return await this.#sync();
    if (chance < 83) return await this.#changeGroup();
    if (chance < 88) return await this.#load.breakOff(`gone-${this.#index}`, this.#updates(UPDATES_MAX));
    if (chance < 92) return await this.#load.listenAndGo();
    // One peer at a time, as with FRR.
    if (chance < 95) return this.#index === 0 ? await this.#load.peer(this.#prng) : await this.#stream();
    this.#load.disturb(this.#disturbance());
  }

  async #stream(): Promise<void> {
    await this.#send(this.#updates(1 + this.#prng.below(UPDATES_MAX)));
  }

  async #send(lines: string[]): Promise<void> {
    const request = { method: "POST", path: "/v1/routes", query: { owner: `stream-${this.#index}` } } as const;
    await this.#load.send(request, lines);
  }

  async #sync(): Promise<void> {
    for (let change = 0; change < SYNC_ROUTES * CHANGED_SHARE; change++) {
      const number = this.#prng.below(SYNC_ROUTES);
      this.#state[number] = this.#fullStateLine(number);
    }
    const request = { method: "PUT", path: `/v1/owners/full-${this.#index}/routes`, query: { ack: "all" } } as const;
    await this.#load.send(request, this.#state);
    this.#load.counts.syncs += 1;
  }

  async #changeGroup(): Promise<void> {
    const count = 1 + this.#prng.below(GATEWAYS.length);
    const first = this.#prng.below(GATEWAYS.length);
    const members = Array.from({ length: count }, (_, index) => {
      const via = GATEWAYS[(first + index) % GATEWAYS.length]!;
      return { via, dev: deviceOf(via), weight: 1 + this.#prng.below(4) };
    });
    // Two workers that set the same group at once would not know which of them was the last.
    if (this.#index >= GROUPS.length) return await this.#stream();
    await this.#load.setGroup(GROUPS[this.#index]!, { members });
  }

  /** Streams of two workers are about the same prefixes, so that owners compete. */
  get #firstNumber(): number {
    return (this.#index >> 1) * STREAM_ROUTES;
  }

  #updates(count: number): string[] {
    return Array.from({ length: count }, () => {
      const number = this.#firstNumber + this.#prng.below(STREAM_ROUTES);
      return this.#prng.chance(0.25) ? `route del ${streamPrefix(number)}\n` : this.#install(number);
    });
  }

  #install(number: number): string {
    const prng = this.#prng;
    const prefix = streamPrefix(number);
    const isIpv6 = prefix.includes(":");
    const groups = [...this.#load.groups.keys()];
    if (groups.length > 0 && !isIpv6 && prng.chance(0.1)) return `route replace ${prefix} nhid ${prng.pick(groups)}\n`;
    const via = prng.pick(isIpv6 ? GATEWAYS_IPV6 : GATEWAYS);
    const mtu = prng.chance(0.1) ? ` mtu ${1280 + prng.below(200)}` : "";
    return `route replace ${prefix} via ${via} dev ${deviceOf(via)}${mtu}\n`;
  }

  #fullStateLine(number: number): string {
    const via = this.#prng.pick(GATEWAYS);
    return `route add ${ipv4(150 + this.#index, number)} via ${via} dev ${deviceOf(via)}\n`;
  }

  #disturbance(): string[] {
    const prng = this.#prng;
    const some = Array.from({ length: 50 }, () => ipv4(150 + this.#index, prng.below(SYNC_ROUTES)));
    const others = [
      some.map((prefix) => `route del ${prefix} proto 210`),
      some.map((prefix) => `route change ${prefix} via 10.0.0.77 dev v0 metric 20 proto 210`),
      ["link set v2 down"],
      ["link set v3 down", "link set v3 up"],
      ["link set v2 up", "address replace 2001:db8:1::1/64 dev v2 nodad"],
      ["nexthop flush"],
      ["route flush proto 210"],
    ];
    return prng.pick(others);
  }
}

/** A quarter of the streams' routes is IPv6. */
function streamPrefix(number: number): string {
  return number % 4 === 0 ? `2001:db8:${(0x1000 + number).toString(16)}::/48` : ipv4(100, number);
}

function ipv4(second: number, number: number): string {
  return `10.${second + (number >> 16)}.${(number >> 8) & 255}.${number & 255}/32`;
}
