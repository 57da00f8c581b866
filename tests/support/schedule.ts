/**
 * A random schedule: owners ask the compiled daemon for routes and groups while links flap, others meddle with the kernel,
 * and the daemon is killed and started again. In the end the kernel holds what they last asked for. A seed makes the steps;
 * what happens between them at the same time is the machine's.
 */
import assert from "node:assert/strict";
import { setImmediate } from "node:timers";
import type { AuditJson, DplaneJson, RouteHistoryJson, UpdateJson } from "../../core/northbound/api_types.ts";
import { readAll } from "../../core/northbound/cli/client.ts";
import { Prng } from "../../core/prng.ts";
import { SLOW_RETRY_MS } from "../../core/rib/retry.ts";
import { DaemonProcess } from "../../scripts/daemon_process.ts";
import { ribRoutes } from "./daemon_routes.ts";
import { ScheduleClient } from "./schedule_client.ts";
import { describeNexthops, ScheduleModel } from "./schedule_model.ts";
import { createKeys, createWideKeys, GROUPS, RandomUpdates } from "./schedule_updates.ts";
import { type Held, ScheduleWorld } from "./schedule_world.ts";
import { until } from "./wait.ts";

/** Distances of the owners' routes; the first two are configured. */
const DISTANCES = new Map([
  ["a", 10],
  ["c", 20],
  ["b", 20],
]);
/** How long the daemon may take in the end to put everything right: its slow timer for what nobody told it of included. */
const SETTLE_MS = 20_000 + SLOW_RETRY_MS;
/** When it has needed the slow timer, which is worth a look. */
const PROMPT_MS = 10_000;

export class Schedule {
  /** What was done, a line each. */
  readonly steps: string[] = [];
  /** What was not right for longer than it should take; empty if all was soon. */
  late = "";
  readonly #prng: Prng;
  readonly #updates: RandomUpdates;
  readonly #model = new ScheduleModel(DISTANCES);
  readonly #world: ScheduleWorld;
  /** Owner `c` may write to one table only. */
  readonly #isTied: boolean;
  #daemon!: DaemonProcess;
  #client!: ScheduleClient;

  constructor(seed: number) {
    this.#prng = new Prng(seed);
    const keys = createKeys(this.#prng);
    if (this.#prng.chance(0.3)) keys.push(...createWideKeys());
    this.#updates = new RandomUpdates(this.#prng, keys);
    this.#world = new ScheduleWorld(this.#prng, keys);
    this.#isTied = this.#prng.chance(0.3);
  }

  /** Goes through with it. Throws with what is wrong. */
  async run(): Promise<void> {
    await this.#start();
    for (const number of GROUPS) if (this.#prng.chance(0.7)) await this.#setGroup(number);
    const count = 15 + this.#prng.below(11);
    for (let step = 0; step < count; step++) {
      this.#model.tick();
      await this.#step();
    }
    this.#model.tick();
    await this.#settle();
    await this.#withdraw();
  }

  /** Leaves nothing behind. */
  async close(): Promise<void> {
    await this.#daemon?.stop();
    this.#world.ns.delete();
  }

  /** The end of the daemon's log. */
  logTail(): string {
    return this.#daemon.log.split("\n").slice(-20).join("\n");
  }

  async #step(): Promise<void> {
    const chance = this.#prng.below(100);
    if (chance < 28) return await this.#post(this.#owner(), 1 + this.#prng.below(40));
    if (chance < 38) return await this.#sync(this.#owner());
    if (chance < 42) return await this.#breakOff();
    if (chance < 46) return await this.#badSync();
    if (chance < 54) return await this.#setGroup(this.#prng.pick(GROUPS));
    if (chance < 56) return await this.#deleteGroup();
    if (chance < 70) return await this.#disturb();
    if (chance < 75) return await together(this.#post("a", 200), this.#post("b", 200));
    if (chance < 83) return await together(this.#post(this.#owner(), 300), this.#disturb());
    if (chance < 87) return await together(this.#sync("a"), this.#setGroup(7), this.#disturb());
    if (chance < 90) return await together(this.#sync("b"), this.#post("a", 100));
    if (chance < 96) return await this.#restart(this.#prng.pick(["SIGTERM", "SIGKILL"]));
    return await this.#restartDuring(this.#prng.pick(["SIGTERM", "SIGKILL", "SIGKILL"]));
  }

  #owner(): string {
    return this.#prng.pick(this.#model.owners);
  }

  #tables(owner: string): readonly number[] | undefined {
    return owner === "c" && this.#isTied ? [100] : undefined;
  }

  // Each step draws all of its random numbers before it waits for anything, so that the seed makes them the same.

  async #post(owner: string, count: number): Promise<void> {
    const updates = this.#updates.updates(count, this.#tables(owner));
    this.steps.push(`${owner} sends ${count} updates`);
    for (const update of updates) this.#model.apply(owner, update);
    await this.#client.post(owner, updates);
  }

  async #sync(owner: string): Promise<void> {
    const updates = this.#updates.fullState(this.#model.routesOf(owner), this.#tables(owner));
    this.steps.push(`${owner} syncs ${updates.length} routes`);
    this.#model.sync(owner, updates);
    await this.#client.sync(owner, updates);
  }

  async #breakOff(): Promise<void> {
    const owner = this.#owner();
    this.steps.push(`${owner} breaks a sync off`);
    await this.#client.brokenSync(owner, this.#updates.fullState([], this.#tables(owner)));
  }

  async #badSync(): Promise<void> {
    const owner = this.#owner();
    const good = this.#updates.fullState([], this.#tables(owner));
    const key = { prefix: "198.18.250.0/24", table: 100 };
    const bad: UpdateJson[] = this.#prng.pick([
      [{ ...key, op: "delete" }],
      [{ ...key, nexthops: [{ dev: "v9" }] }],
      [
        { ...key, type: "throw" },
        { ...key, type: "blackhole" },
      ],
    ]);
    this.steps.push(`${owner} sends a bad sync`);
    await this.#client.badSync(owner, this.#updates.shuffled([...good, ...bad]));
  }

  async #setGroup(number: number): Promise<void> {
    const definition = this.#updates.group(number);
    this.steps.push(`group ${number} is ${JSON.stringify(definition)}`);
    this.#model.groups.set(number, definition);
    await this.#client.setGroup(number, definition);
  }

  async #deleteGroup(): Promise<void> {
    const number = this.#prng.pick(GROUPS);
    const isGone = await this.#client.deleteGroup(number);
    if (isGone) this.#model.groups.delete(number);
    this.steps.push(`group ${number} is ${isGone ? "deleted" : "not deleted"}`);
  }

  async #disturb(): Promise<void> {
    const disturbance = this.#world.disturbance();
    await turns(this.#prng.below(20));
    this.steps.push(`disturbance: ${disturbance()}`);
  }

  async #start(): Promise<void> {
    const prng = this.#prng;
    const lines = [
      "[kernel]",
      `stale-time = "${prng.pick(["100ms", "300ms", "700ms"])}"`,
      `audit-interval = "${prng.pick(["0s", "0s", "0s", "300ms"])}"`,
    ];
    this.#model.areGroupsInline = prng.chance(0.1);
    if (this.#model.areGroupsInline) lines.push('nexthop-objects = "off"');
    lines.push("[[owner]]", 'name = "a"', "distance = 10", `take-over = ${prng.chance(0.3)}`);
    lines.push("[[owner]]", 'name = "c"', `tables = [${this.#tables("c") ?? ""}]`);
    this.#daemon = await DaemonProcess.start({ netns: this.#world.ns.name, config: `${lines.join("\n")}\n` });
    this.#client = new ScheduleClient(this.#daemon);
  }

  /** Ends the daemon and starts it anew. Most owners come back with what they want, and have their groups defined. */
  async #restart(signal: "SIGTERM" | "SIGKILL"): Promise<void> {
    const prng = this.#prng;
    const whileDown = prng.chance(0.4) ? this.#world.disturbance() : null;
    const afterStart = prng.chance(0.3) ? this.#world.disturbance() : null;
    const areAtOnce = prng.chance(0.3);
    const owners = this.#updates.shuffled(this.#model.owners).filter(() => !prng.chance(0.1));
    const groups = this.#updates.shuffled([...this.#model.groups]);
    const areGroupsFirst = prng.chance(0.7);
    this.#daemon.signal(signal);
    const end = await this.#daemon.ended;
    if (signal === "SIGTERM") assert.equal(end.status, 0, `exit status after SIGTERM\n${this.logTail()}`);
    await this.#daemon.stop();
    this.steps.push(`${signal}${whileDown === null ? "" : `, while it is down: ${whileDown()}`}`);
    await this.#start();
    if (afterStart !== null) this.steps.push(`after the start: ${afterStart()}`);
    const wanted = this.#model.restart();
    const comeBack = async (owner: string): Promise<void> => {
      if (!areAtOnce) this.#model.tick();
      this.#model.sync(owner, wanted.get(owner)!);
      await this.#client.sync(owner, wanted.get(owner)!);
    };
    const define = async (): Promise<void> => {
      for (const [number, definition] of groups) await this.#client.setGroup(number, definition);
    };
    if (areGroupsFirst) await define();
    if (areAtOnce) await together(...owners.map(comeBack));
    else for (const owner of owners) await comeBack(owner);
    if (!areGroupsFirst) await define();
    this.steps.push(`started; ${owners.join(areAtOnce ? " and " : ", then ")} come back`);
  }

  async #restartDuring(signal: "SIGTERM" | "SIGKILL"): Promise<void> {
    const count = this.#prng.below(60);
    this.#client.mayEnd = true;
    const requests = together(this.#post("a", 400), this.#sync("b"), this.#setGroup(7), this.#post("c", 200));
    this.steps.push(`in the middle of that: ${signal}`);
    await turns(count);
    await together(requests, this.#restart(signal));
  }

  /** Nothing disturbs the daemon any more: it comes to what was last asked for. */
  async #settle(): Promise<void> {
    this.#world.heal();
    this.steps.push("everything is whole again");
    for (const number of GROUPS) if (!this.#model.groups.has(number)) await this.#setGroup(number);
    let differences: string[] = [];
    const startedAt = performance.now();
    const isSettled = async (): Promise<boolean> => {
      differences = await this.#differences();
      if (differences.length > 0 && this.late === "" && performance.now() - startedAt > PROMPT_MS) {
        this.late = `${await this.#storyOf(differences[0]!)}\n${differences.join("\n")}`;
      }
      return differences.length === 0;
    };
    await until("kernel and daemon are as asked", isSettled, SETTLE_MS).catch(async () => {
      throw new Error(`${await this.#storyOf(differences[0]!)}\n${differences.join("\n")}`);
    });
    const answer = await this.#daemon.client.request({ method: "POST", path: "/v1/audit" });
    const { missing, changed, unexpected, nexthops, complete } = JSON.parse(await readAll(answer)) as AuditJson;
    const report = { missing, changed, unexpected, nexthops, complete };
    assert.deepEqual(report, { missing: 0, changed: 0, unexpected: 0, nexthops: 0, complete: true }, "an audit");
    assert.deepEqual(this.#world.missingBystanders(), []);
    const errors = this.#daemon.log.split("\n").filter((line) => line.includes('"level":"error"'));
    assert.deepEqual(errors, [], "errors in the log");
  }

  /** Everybody withdraws everything, and nothing is left. */
  async #withdraw(): Promise<void> {
    await together(...this.#model.owners.map((owner) => this.#client.sync(owner, [])));
    for (const number of GROUPS) assert.ok(await this.#client.deleteGroup(number), `group ${number} is not in use`);
    await until("the kernel is empty", () => {
      const { routes, groups, nexthops } = this.#world.read();
      return routes.size + groups.size + nexthops.length === 0;
    });
  }

  async #differences(): Promise<string[]> {
    const found = this.#model.ribDifferences(await ribRoutes(this.#daemon));
    const groups = await this.#client.groups();
    const { pool } = await this.#daemon.client.getJson<DplaneJson>("/v1/dplane");
    if (pool.free !== pool.size) found.push(`contexts: ${pool.free} of ${pool.size} are free`);
    // The kernel is worth a look only when the daemon believes that all is well.
    if (found.length > 0) return found;
    const held = this.#world.read();
    const kernelIds = new Map(groups.map(({ id, kernelId = 0 }) => [id, kernelId]));
    const shared = showShared(held, new Set(kernelIds.values()));
    found.push(...this.#model.routeDifferences(held.routes, kernelIds));
    const needed = this.#model.areGroupsInline ? [] : [...kernelIds.values()];
    found.push(...leftovers(held, [...needed, ...shared]));
    if (!this.#model.areGroupsInline) found.push(...this.#groupDifferences(held, kernelIds));
    return found;
  }

  #groupDifferences(held: Held, kernelIds: ReadonlyMap<number, number>): string[] {
    const found: string[] = [];
    for (const [number, { members, resilient }] of this.#model.groups) {
      const expected = `${describeNexthops(members)}${resilient === undefined ? "" : " resilient"}`;
      const text = held.groups.get(kernelIds.get(number) ?? 0)?.text;
      if (text !== expected) found.push(`group ${number}: ${text} in the kernel, not ${expected}`);
    }
    return found;
  }

  /** What the daemon knows of the route that a difference begins with. */
  async #storyOf(difference: string): Promise<string> {
    const [prefix = "", , table] = difference.split(" ");
    if (!prefix.includes("/")) return "";
    const story = await this.#daemon.client.getJson<RouteHistoryJson>("/v1/routes/history", { prefix, table });
    return JSON.stringify(story, null, 1);
  }
}

/**
 * Shows routes by objects of the daemon's own as if they had the nexthops themselves. Returns the numbers of these objects,
 * and of those that stand for nexthops which routes have inline: the daemon keeps them for routes to come.
 */
function showShared({ routes, groups }: Held, ofClients: ReadonlySet<number>): number[] {
  for (const [key, text] of routes) {
    const [word, id] = text.split(" ");
    if (word !== "nhid" || ofClients.has(Number(id))) continue;
    routes.set(key, text.replace(`nhid ${id}`, groups.get(Number(id))?.text ?? "a nexthop object that is not there"));
  }
  const inline = new Set(routes.values());
  return [...groups].filter(([id, { text }]) => !ofClients.has(id) && inline.has(text)).map(([id]) => id);
}

/** Nexthop objects that none of these groups needs. */
function leftovers({ groups, nexthops }: Held, kernelIds: readonly number[]): string[] {
  const needed = new Set(kernelIds.flatMap((id) => groups.get(id)?.members ?? []));
  const orphans = nexthops.filter((id) => !needed.has(id));
  const strange = [...groups.keys()].filter((id) => !kernelIds.includes(id));
  return [...orphans, ...strange].map((id) => `nexthop object ${id}: nobody needs it`);
}

/** Lets the event loop turn a number of times. */
async function turns(count: number): Promise<void> {
  for (let turn = 0; turn < count; turn++) await new Promise((resolve) => setImmediate(resolve));
}

/** Waits for all of them, and then tells the first error. */
async function together(...running: readonly Promise<unknown>[]): Promise<void> {
  for (const result of await Promise.allSettled(running)) if (result.status === "rejected") throw result.reason;
}
