/**
 * A soak: the compiled daemon under high churn for as long as one likes. Between rounds of load everybody is quiet for a moment,
 * and what the daemon holds then must not grow; now and then, and in the end, the kernel is what the RIB says.
 */
import { readdirSync } from "node:fs";
import type { DplaneJson, OwnersJson } from "../../core/northbound/api_types.ts";
import { readAll } from "../../core/northbound/cli/client.ts";
import { DaemonProcess } from "../../scripts/daemon_process.ts";
import { agreement } from "../support/daemon_routes.ts";
import { addTestLinks } from "../support/kernel_harness.ts";
import { createNetns, type Netns } from "../support/netns.ts";
import { until } from "../support/wait.ts";
import { courseOf, growthIn, SAMPLES_MIN, type Sample, type SoakFigures } from "./figures.ts";
import { deviceOf, SoakLoad } from "./load.ts";

/** What is refused while a link is down is tried again, more and more seldom. */
const SETTLE_MS = 90_000;
/** A peer's routes go soon after the peer. */
const CONFIG = `[kernel]
audit-interval = "10s"
[fpm]
listen = "127.0.0.1:0"
offload-replies = true
quiet-time = "500ms"
hold-time = "1s"
`;

export interface SoakOptions {
  seed: number;
  forMs: number;
  /** Of one round; between two of them a sample is taken. */
  roundMs: number;
  /** After so many rounds kernel and RIB are compared. */
  roundsToCompare: number;
  workers: number;
  /** Told of each sample. */
  onSample: (sample: Sample) => void;
}

export class Soak {
  readonly #options: SoakOptions;
  readonly #ns: Netns = createNetns();
  readonly #samples: Sample[] = [];
  readonly #violations: string[] = [];
  #daemon!: DaemonProcess;
  #load!: SoakLoad;
  #startedAt = 0;
  #comparisons = 0;
  #isInterrupted = false;

  constructor(options: SoakOptions) {
    this.#options = options;
  }

  async run(): Promise<SoakFigures> {
    const { seed, forMs, roundsToCompare, workers } = this.#options;
    addTestLinks(this.#ns);
    this.#daemon = await DaemonProcess.start({ netns: this.#ns.name, config: CONFIG });
    this.#load = new SoakLoad(this.#daemon, this.#ns, workers, seed);
    await this.#load.fill();
    this.#startedAt = performance.now();
    for (let round = 1; this.#elapsedMs() < forMs || round <= SAMPLES_MIN; round++) {
      await this.#round();
      if (round % roundsToCompare === 0) await this.#compare();
    }
    const seconds = Math.round(this.#elapsedMs() / 1000);
    await this.#compare();
    this.#violations.push(...growthIn(this.#samples));
    const left = await this.#withdraw();
    return this.#figures(seconds, left);
  }

  /** Ends it at once: {@linkcode run} throws. */
  interrupt(): void {
    this.#isInterrupted = true;
    this.#daemon?.signal("SIGTERM");
  }

  /** Leaves nothing behind. */
  async close(): Promise<void> {
    await this.#daemon?.stop();
    this.#ns.delete();
  }

  #elapsedMs(): number {
    if (this.#isInterrupted) throw new Error("interrupted");
    return performance.now() - this.#startedAt;
  }

  async #round(): Promise<void> {
    const end = performance.now() + this.#options.roundMs;
    await this.#load.run(() => performance.now() >= end || this.#isInterrupted);
    const sample = await this.#sample();
    this.#samples.push(sample);
    this.#options.onSample(sample);
  }

  /** Waits until nothing is under way and nobody but us is connected, and looks at what the daemon holds then. */
  async #sample(): Promise<Sample> {
    let metrics = await this.#metrics();
    let contextsHeld = 0;
    const isQuiet = async (): Promise<boolean> => {
      const { pool } = await this.#dplane();
      contextsHeld = pool.size - pool.free;
      metrics = await this.#metrics();
      return contextsHeld === 0 && metrics.get("dplaned_http_connections")! <= 1;
    };
    const what = () => `${contextsHeld} contexts are held, ${metrics.get("dplaned_http_connections")} connections open`;
    await until(what, isQuiet, SETTLE_MS).catch((error: Error) => this.#violate(error.message));
    return {
      atMs: Math.round(this.#elapsedMs()),
      updates: this.#load.counts.updates,
      memoryBytes: this.#daemon.memoryBytes("VmRSS"),
      descriptors: readdirSync(`/proc/${this.#daemon.pid}/fd`).length,
      threads: readdirSync(`/proc/${this.#daemon.pid}/task`).length,
      contextsHeld,
      attributes: metrics.get("dplaned_rib_attributes")!,
      routes: metrics.get("dplaned_rib_routes")!,
    };
  }

  /** Nothing hinders the daemon any more: the kernel comes to what the RIB says. */
  async #compare(): Promise<void> {
    this.#load.heal();
    const groups = new Map(
      [...this.#load.groups].map(([id, { members }]) => [
        id,
        members
          .map(({ via = "" }) => `${via}@${deviceOf(via)}`)
          .sort()
          .join(" "),
      ]),
    );
    let differences: string[] = [];
    const agree = async (): Promise<boolean> => {
      differences = await agreement(this.#daemon, this.#ns, groups);
      return differences.length === 0;
    };
    const what = () => `kernel and RIB agree; ${differences.length} differences: ${differences.slice(0, 3).join("; ")}`;
    await until(what, agree, SETTLE_MS).catch((error: Error) => this.#violate(error.message));
    this.#comparisons += 1;
  }

  /** Everybody withdraws everything. Returns how many routes and nexthop objects of ours are left all the same. */
  async #withdraw(): Promise<number> {
    const { owners } = await this.#daemon.client.getJson<OwnersJson>("/v1/owners");
    // One without a name stands for what was found in the kernel at the start.
    for (const { name } of owners) if (name !== "") await this.#delete(`/v1/owners/${name}/routes`);
    for (const id of this.#load.groups.keys()) await this.#delete(`/v1/nexthop-groups/${id}`);
    let left = 0;
    const isEmpty = (): boolean => {
      const routes = ["-4", "-6"].flatMap((family) =>
        this.#ns.ipJson("-N", family, "route", "show", "table", "all", "proto", "210"),
      );
      left = routes.length + this.#ns.ipJson("nexthop").length;
      return left === 0;
    };
    const what = () => `the kernel is empty; ${left} routes and nexthop objects are left`;
    await until(what, isEmpty, SETTLE_MS).catch((error: Error) => this.#violate(error.message));
    return left;
  }

  async #delete(path: string): Promise<void> {
    await readAll(await this.#daemon.client.request({ method: "DELETE", path }));
  }

  async #figures(seconds: number, kernelLeft: number): Promise<SoakFigures> {
    const { seed } = this.#options;
    const last = await this.#sample();
    const { pool, restarts } = await this.#dplane();
    const { counts } = this.#load;
    if (last.attributes > 0) this.#violate(`${last.attributes} sets of attributes are left`);
    if (counts.resultsLost > 0) this.#violate(`${counts.resultsLost} updates had no result, or more than one`);
    if (restarts > 0) this.#violate(`the dataplane thread was replaced ${restarts} times`);
    const errors = this.#daemon.log.split("\n").filter((line) => line.includes('"level":"error"'));
    if (errors.length > 0) this.#violate(`${errors.length} errors in the log: ${errors[0]}`);
    const courses = {
      memoryBytes: courseOf(this.#samples, "memoryBytes"),
      descriptors: courseOf(this.#samples, "descriptors"),
      threads: courseOf(this.#samples, "threads"),
    };
    return {
      seed,
      seconds,
      ...counts,
      comparisons: this.#comparisons,
      samples: this.#samples.length,
      contexts: pool.size,
      contextsLeaked: last.contextsHeld,
      attributesLeft: last.attributes,
      kernelLeft,
      courses,
      violations: this.#violations,
    };
  }

  #violate(what: string): void {
    this.#violations.push(what);
  }

  #dplane(): Promise<DplaneJson> {
    return this.#daemon.client.getJson<DplaneJson>("/v1/dplane");
  }

  /** Each metric by its name; those with labels are summed. */
  async #metrics(): Promise<Map<string, number>> {
    const text = await readAll(await this.#daemon.client.request({ path: "/metrics" }));
    const metrics = new Map<string, number>();
    for (const [, name, value] of text.matchAll(/^(\w+)(?:\{.*\})? (\S+)$/gm)) {
      metrics.set(name!, (metrics.get(name!) ?? 0) + Number(value));
    }
    return metrics;
  }
}
