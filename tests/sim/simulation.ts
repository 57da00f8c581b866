/**
 * One simulation: a daemon, its clients, a kernel and everybody else who works on that, all of it from one seed. It ends when
 * the kernel holds what was asked for, or with a violation.
 */

import { type Provider, ProviderPriority, type ProviderSpec } from "../../core/dataplane/provider.ts";
import type { LogRecord } from "../../core/log.ts";
import type { FromMonitor } from "../../core/model/kernel_event.ts";
import type { UpdateJson } from "../../core/northbound/api_types.ts";
import { parseNexthopGroup } from "../../core/northbound/nexthop_group_json.ts";
import { Prng } from "../../core/prng.ts";
import type { DriftEvent } from "../../core/rib/drift.ts";
import { SLOW_RETRY_MS } from "../../core/rib/retry.ts";
import type { Rib } from "../../core/rib/rib.ts";
import { createKernelProvider, type KernelOptions } from "../../providers/kernel/provider.ts";
import type { RouteKey } from "../support/schedule_model.ts";
import { ScheduleModel } from "../support/schedule_model.ts";
import { createKeys, GROUPS, RandomUpdates } from "../support/schedule_updates.ts";
import { checkQuiet, checkStep, findDifferences, KernelBooks, keyInRib } from "./checks.ts";
import { type ClientWorld, Exchange } from "./clients.ts";
import { PROTOCOL, SimDaemon, type SimDaemonOptions } from "./daemon.ts";
import { drainMicrotasks, turn } from "./drain.ts";
import { type FaultKind, Faults } from "./faults.ts";
import { ModelKernel } from "./kernel/model_kernel.ts";
import { ModelNetlink } from "./kernel/model_netlink.ts";
import { Meddler } from "./meddler.ts";
import { UnreliableProvider } from "./providers.ts";
import { type Actor, Scheduler, type SimThread } from "./scheduler.ts";
import { Threads } from "./threads.ts";
import { Trace } from "./trace.ts";

/** Distances of the owners, so far apart that what routes say of their own makes no two equal. */
const DISTANCES = new Map([
  ["a", 10],
  ["b", 20],
  ["c", 30],
]);
/** How long everything may take in the end to be as asked; the slow timer that tries everything again is part of it. */
const SETTLE_MS = 2 * SLOW_RETRY_MS + 60_000;
/** How often it is looked at then. */
const LOOK_MS = 500;
const STEPS_MAX = 200_000;

export interface SimulationOptions {
  seed: number;
  /** Kinds of faults that do not happen. */
  without?: ReadonlySet<FaultKind>;
  /** What clients and others do, at most; for shorter runs of the same seed. */
  deedsMax?: number;
  keepsTrace?: boolean;
  canary?: Canary;
}

/** Parts that are put in the place of the right ones, to see whether that is noticed. */
export interface Canary {
  kernelProvider?: (provider: Provider) => Provider;
  daemon?: (daemon: SimDaemon) => void;
  netlink?: (netlink: ModelNetlink) => void;
  monitor?: (message: FromMonitor) => FromMonitor;
}

export interface SimulationResult {
  seed: number;
  /** What must not happen and has; empty if nothing has. */
  violation: string;
  hash: string;
  steps: number;
  /** Simulated time. */
  elapsedMs: number;
  trace: readonly string[];
  faults: ReadonlyMap<FaultKind, number>;
  updates: number;
  requests: number;
}

export async function runSimulation(options: SimulationOptions): Promise<SimulationResult> {
  return await new Simulation(options).run();
}

class Simulation {
  readonly #options: SimulationOptions;
  readonly #prng: Prng;
  readonly #scheduler: Scheduler;
  readonly #faults: Faults;
  readonly #kernel = new ModelKernel();
  readonly #netlink: ModelNetlink;
  readonly #books: KernelBooks;
  readonly #model = new ScheduleModel(DISTANCES);
  readonly #updates: RandomUpdates;
  readonly #meddler: Meddler;
  readonly #keys: RouteKey[];
  readonly #providers: readonly ProviderSpec[];
  readonly #limits: Pick<
    SimDaemonOptions,
    "queueLimit" | "workLimit" | "staleTimeMs" | "auditIntervalMs" | "sharedRoutesMin"
  >;
  #daemon!: SimDaemon;
  /** By owner: what is going on. */
  readonly #exchanges = new Map<string, Exchange>();
  /** Owners that have to sync, because nobody knows what became of what they asked for. */
  readonly #uncertain = new Set<string>();
  readonly #stalledUntil = new Map<string, number>();
  #deedsLeft: number;
  #restarting = false;
  #updatesSent = 0;
  #groupsUnderWay = 0;

  constructor(options: SimulationOptions) {
    const { seed } = options;
    this.#options = options;
    this.#prng = new Prng(seed ^ 0x0c11_e475);
    const prng = this.#prng;
    this.#scheduler = new Scheduler(new Prng(seed), new Trace(options.keepsTrace ?? false));
    this.#faults = new Faults(seed, options.without);
    this.#faults.onFault = (kind) => this.#note(() => `fault: ${kind}`);
    this.#netlink = new ModelNetlink(this.#kernel, this.#faults);
    this.#books = new KernelBooks(this.#kernel);
    this.#books.note = (describe) => this.#note(describe);
    const keys = createKeys(prng);
    const all = keys.length;
    // Few routes meet one another more often.
    this.#keys = prng.chance(0.6) ? keys.filter(() => prng.chance(8 / all)) : keys;
    if (this.#keys.length === 0) this.#keys.push(keys[0]!);
    this.#updates = new RandomUpdates(prng, this.#keys);
    this.#meddler = new Meddler(this.#kernel, new Prng(seed ^ 0x3edd_1e5), this.#keys);
    this.#deedsLeft = Math.min(5 + prng.below(30), options.deedsMax ?? Number.POSITIVE_INFINITY);
    this.#providers = randomProviders(prng);
    this.#limits = {
      queueLimit: prng.pick([2, 4, 16, 64]),
      workLimit: prng.pick([1, 2, 8, 64]),
      staleTimeMs: prng.pick([100, 1000, 20_000]),
      auditIntervalMs: prng.pick([0, 300, 60_000]),
      sharedRoutesMin: prng.pick([2, 3, 64]),
    };
    this.#model.areGroupsInline = prng.chance(0.15);
  }

  async run(): Promise<SimulationResult> {
    const { scheduler } = { scheduler: this.#scheduler };
    const startedAt = scheduler.time;
    scheduler.afterStep = () => this.#check();
    this.#meddler.prepare();
    this.#kernel.refuseAnyway = () => this.#faults.refusal();
    this.#options.canary?.netlink?.(this.#netlink);
    this.#note(() => `limits ${JSON.stringify(this.#limits)}, providers ${JSON.stringify(this.#providers)}`);
    this.#boot();
    scheduler.addActor(this.#clientsActor());
    scheduler.addActor(this.#worldActor());
    await this.#drive(
      () => this.#deedsLeft === 0 && this.#exchanges.size === 0 && !this.#restarting,
      Number.POSITIVE_INFINITY,
    );
    await this.#settle();
    await this.#withdraw();
    await this.#end();
    const { violation, steps, trace } = scheduler;
    return {
      seed: this.#options.seed,
      violation,
      hash: trace.hash,
      steps,
      elapsedMs: scheduler.time - startedAt,
      trace: trace.lines,
      faults: this.#faults.counts,
      updates: this.#updatesSent,
      requests: this.#books.requests,
    };
  }

  #note(describe: () => string): void {
    this.#scheduler.note(describe);
  }

  /** Does steps until it is done, or something is wrong, or it takes too long. */
  async #drive(isDone: () => boolean, deadline: number): Promise<boolean> {
    const scheduler = this.#scheduler;
    while (scheduler.violation === "" && scheduler.time < deadline) {
      if (isDone()) return true;
      if (scheduler.steps > STEPS_MAX) {
        scheduler.violate(`no end after ${STEPS_MAX} steps`);
        break;
      }
      if (!scheduler.step()) {
        scheduler.violate("nobody has anything to do, and it is not over");
        break;
      }
      if (drainMicrotasks === null) await turn();
      else drainMicrotasks();
      scheduler.settle();
    }
    return false;
  }

  #check(): void {
    const { steps } = this.#scheduler;
    const wrong = checkStep(this.#daemon, steps);
    if (wrong !== "") this.#scheduler.violate(wrong);
  }

  // The daemon.

  #boot(): void {
    const prng = this.#prng;
    const scheduler = this.#scheduler;
    const clockOffset = (): number => prng.pick([0, 0, 5, -5, 3_600_000, -3_600_000]);
    const main = scheduler.addThread("main", clockOffset());
    const { canary = {} } = this.#options;
    const threads = new Threads({
      scheduler,
      netlink: this.#netlink,
      main,
      clockOffset,
      onMonitorMessage: (message) => this.#onMonitorMessage(message),
      hooks: (thread) => this.#hooks(thread),
      providers: (thread, libc) => (provider) => {
        if (provider.kind !== "kernel") return new UnreliableProvider(this.#faults, thread.clock);
        const own = createKernelProvider(libc, provider.options as unknown as KernelOptions, thread.clock);
        return canary.kernelProvider?.(own) ?? own;
      },
    });
    this.#daemon = new SimDaemon({
      main,
      threads,
      ...this.#limits,
      providers: this.#providers,
      owners: [...DISTANCES].map(([name, distance]) => ({ name, distance })),
      nexthopObjects: this.#model.areGroupsInline ? "off" : "auto",
      onLog: (record) => this.#onLog(record),
      onDrift: (event, rib) => this.#onDrift(event, rib),
    });
    canary.daemon?.(this.#daemon);
    this.#daemon.start();
  }

  #onMonitorMessage(message: FromMonitor): FromMonitor {
    if (message.type !== "log") this.#note(() => `monitor: ${describeMessage(message)}`);
    return this.#options.canary?.monitor?.(message) ?? message;
  }

  #onLog({ level, message, fields = {} }: LogRecord): void {
    const { error } = fields;
    this.#note(() => `log ${level}: ${message} ${JSON.stringify({ ...fields, error: String(error ?? "") })}`);
    // Nothing that goes wrong here is a reason for that.
    if (error instanceof Error) this.#scheduler.violate(`${message}: ${error.stack}`);
  }

  #onDrift({ kind, family, route, by }: DriftEvent, rib: Rib): void {
    const key = keyInRib(rib, family, route);
    this.#note(() => `drift: ${key} ${kind} ${by}`);
    if (kind !== "missing" || this.#books.mayBeMissing(key)) return;
    this.#scheduler.violate(`${key} is said to be missing, and the kernel has had it all the time`);
  }

  #hooks(thread: SimThread) {
    const scheduler = this.#scheduler;
    return {
      isDead: () => !thread.isAlive,
      beforeRequest: () => {
        // What is left of one that has died is over at once: what others did meanwhile would be taken back with its own.
        if (!thread.isAlive || !this.#faults.happens("interruption")) return;
        scheduler.interleave(thread, 1 + this.#faults.below("interruption", 12));
      },
      wait: (timeoutMs: number, isReady: () => boolean) => {
        if (!thread.isAlive) return;
        const deadline = scheduler.time + timeoutMs;
        scheduler.interleave(thread, 2000, deadline, isReady);
        if (!isReady()) scheduler.time = Math.max(scheduler.time, deadline);
      },
    };
  }

  /** It is killed, or has given up: a new one takes over, and its clients have to come again. */
  #restart(why: string): void {
    this.#note(() => `the daemon ends: ${why}`);
    this.#daemon.kill();
    this.#netlink.closeDead();
    for (const [owner, exchange] of this.#exchanges) {
      exchange.lose();
      this.#uncertain.add(owner);
    }
    this.#exchanges.clear();
    for (const owner of DISTANCES.keys()) this.#uncertain.add(owner);
    this.#groupsUnderWay = 0;
    this.#boot();
    this.#wanted = this.#model.restart();
    this.#defineGroups = true;
  }

  /** What owners wanted of a daemon that is no more, and want of the next. */
  #wanted = new Map<string, UpdateJson[]>();
  #defineGroups = false;

  // Clients.

  #clientsActor(): Actor {
    const scheduler = this.#scheduler;
    let next = 0;
    return {
      name: "clients",
      due: () => {
        for (const [owner, exchange] of this.#exchanges) {
          if (!exchange.isIdle || exchange.isDone) return Math.max(scheduler.time, this.#stalledUntil.get(owner) ?? 0);
        }
        return next;
      },
      run: () => {
        next = scheduler.time + this.#prng.below(40);
        this.#act();
        if (this.#prng.chance(0.1)) next += this.#prng.below(3000);
      },
    };
  }

  #act(): void {
    const prng = this.#prng;
    for (const [owner, exchange] of [...this.#exchanges]) if (exchange.isDone) this.#finish(owner, exchange);
    const busy = [...this.#exchanges].filter(
      ([owner, exchange]) => !exchange.isIdle && (this.#stalledUntil.get(owner) ?? 0) <= this.#scheduler.time,
    );
    if (busy.length > 0 && prng.chance(0.9)) {
      const [owner, exchange] = prng.pick(busy);
      if (this.#faults.happens("clientStall")) {
        const stallMs = this.#faults.below("clientStall", 2) === 0 ? 500 : 90_000;
        this.#stalledUntil.set(owner, this.#scheduler.time + this.#faults.below("clientStall", stallMs));
      } else if (this.#faults.happens("clientGone")) {
        this.#note(() => `${owner}'s client goes away`);
        exchange.vanish();
      } else exchange.act();
      return;
    }
    if (this.#daemon.failure !== "") {
      if (prng.chance(0.1)) this.#restart(this.#daemon.failure);
      return;
    }
    if (!this.#daemon.isReady) return;
    if (this.#defineGroups) {
      this.#defineGroups = false;
      for (const number of this.#model.groups.keys()) this.#setGroup(number);
    } else if (this.#deedsLeft > 0) this.#clientDeed();
    else this.#makeCertain();
  }

  #finish(owner: string, exchange: Exchange): void {
    this.#exchanges.delete(owner);
    if (exchange.isUncertain) this.#uncertain.add(owner);
  }

  /** Owners of whom nobody knows what became of their requests ask again. */
  #makeCertain(): void {
    for (const owner of this.#uncertain) if (!this.#exchanges.has(owner)) this.#sync(owner);
  }

  #clientDeed(): void {
    const prng = this.#prng;
    this.#deedsLeft -= 1;
    const owner = prng.pick(this.#model.owners);
    if (this.#exchanges.has(owner)) return;
    const chance = prng.below(100);
    if (this.#uncertain.has(owner)) this.#sync(owner);
    else if (chance < 55)
      this.#open("post", owner, this.#updates.updates(1 + prng.below(prng.pick([3, 20, 80]))).map(withoutDistance));
    else if (chance < 75) this.#sync(owner);
    else this.#setGroup(prng.pick(GROUPS));
  }

  #sync(owner: string): void {
    // Its last sync may be under way still, although its client is gone.
    if (this.#daemon.rib.owners.find(owner)?.isSyncing) return;
    const before = this.#wanted.get(owner) ?? this.#model.routesOf(owner);
    this.#open("sync", owner, this.#updates.fullState(before).map(withoutDistance));
  }

  #open(kind: "post" | "sync", owner: string, updates: readonly UpdateJson[]): void {
    this.#note(() => `${owner} begins a ${kind} of ${updates.length} updates`);
    this.#updatesSent += updates.length;
    const known = this.#daemon.rib.owners.intern(owner)!;
    this.#exchanges.set(owner, new Exchange(kind, known, updates, this.#daemon, this.#clientWorld()));
  }

  #clientWorld(): ClientWorld {
    return {
      prng: this.#prng,
      violate: (text) => this.#scheduler.violate(text),
      note: (describe) => this.#note(describe),
      requests: () => this.#books.requests,
      wasAsked: (key, update, since) => this.#books.wasAsked(key, update, since),
      accept: (owner, update) => this.#model.apply(owner, update),
      acceptSync: (owner, updates) => {
        this.#uncertain.delete(owner);
        this.#wanted.delete(owner);
        this.#model.sync(owner, updates);
      },
    };
  }

  #setGroup(number: number): void {
    const value = this.#model.groups.get(number) ?? this.#updates.group(number);
    const changed = this.#deedsLeft > 0 && this.#prng.chance(0.7) ? this.#updates.group(number) : value;
    const definition = parseNexthopGroup(changed, this.#daemon.streams.resolver);
    // An interface may not be known yet.
    if ("code" in definition || !this.#daemon.dataplane.isAccepting()) return;
    this.#note(() => `group ${number} is ${JSON.stringify(changed)}`);
    this.#model.groups.set(number, changed);
    this.#groupsUnderWay += 1;
    const daemon = this.#daemon;
    void daemon.groups.set(number, definition).then(() => {
      if (daemon === this.#daemon) this.#groupsUnderWay -= 1;
    });
  }

  // The world.

  #worldActor(): Actor {
    const scheduler = this.#scheduler;
    let next = scheduler.time;
    return {
      name: "the world",
      due: () => next,
      run: () => {
        next = scheduler.time + this.#prng.below(200);
        if (this.#deedsLeft === 0) {
          next = Number.POSITIVE_INFINITY;
          return;
        }
        if (this.#prng.chance(0.08)) {
          this.#deedsLeft -= 1;
          const deed = this.#meddler.meddle();
          this.#note(() => deed);
        }
        this.#disturbThreads();
      },
    };
  }

  #disturbThreads(): void {
    const faults = this.#faults;
    const scheduler = this.#scheduler;
    for (const [thread, role] of [...this.#daemon.threads.running]) {
      const kind = role === "dataplane" ? "dataplaneDeath" : role === "monitor" ? "monitorDeath" : "providerDeath";
      // They are looked at seldom, so all of it happens oftener than its rate says.
      for (let times = 0; times < 20; times++) {
        if (thread.isAlive && faults.happens(kind)) this.#daemon.threads.kill(thread, "it was killed");
        if (faults.happens("threadStall")) {
          thread.frozenUntil =
            scheduler.time + faults.below("threadStall", faults.below("threadStall", 2) === 0 ? 500 : 25_000);
          this.#note(() => `${thread.name} stands still`);
        }
      }
    }
    for (let times = 0; times < 20; times++) {
      if (faults.happens("processPause")) scheduler.time += faults.below("processPause", 120_000);
      if (faults.happens("clockJump")) scheduler.wallOffset += (faults.below("clockJump", 2001) - 1000) * 86_400;
      if (faults.happens("daemonKill")) return this.#restart("killed");
    }
  }

  // The end.

  /** Nothing goes wrong any more, and everybody knows what became of what he asked for. */
  async #settle(): Promise<void> {
    const scheduler = this.#scheduler;
    this.#faults.isOn = false;
    this.#meddler.heal();
    this.#note(() => "everything is whole again");
    const deadline = scheduler.time + SETTLE_MS;
    for (const number of GROUPS)
      if (!this.#model.groups.has(number)) this.#model.groups.set(number, this.#updates.group(number));
    this.#defineGroups = true;
    let lookAt = scheduler.time;
    let differences: string[] = ["nobody has looked"];
    const isSettled = (): boolean => {
      if (scheduler.time < lookAt) return false;
      lookAt = scheduler.time + LOOK_MS;
      const isQuiet = this.#exchanges.size === 0 && this.#uncertain.size === 0 && this.#groupsUnderWay === 0;
      if (!isQuiet || !this.#daemon.isReady || this.#daemon.failure !== "" || this.#defineGroups) {
        differences = ["clients are still at work"];
        return false;
      }
      differences = [...findDifferences(this.#daemon, this.#books, this.#model), ...this.#meddler.missingBystanders()];
      return differences.length === 0;
    };
    if (!(await this.#drive(isSettled, deadline))) {
      scheduler.violate(`in the end, ${differences.length} differences, such as ${differences.slice(0, 3).join("; ")}`);
    }
    const wrong = scheduler.violation === "" ? checkQuiet(this.#daemon) : "";
    if (wrong !== "") scheduler.violate(wrong);
  }

  /** All owners withdraw everything, and nothing of it is left. */
  async #withdraw(): Promise<void> {
    const scheduler = this.#scheduler;
    if (scheduler.violation !== "") return;
    for (const owner of this.#model.owners) this.#open("sync", owner, []);
    const { rib, groups } = this.#daemon;
    let deleted = 0;
    await this.#drive(() => this.#exchanges.size === 0, scheduler.time + SETTLE_MS);
    for (const number of GROUPS) void groups.delete(number).then(() => (deleted += 1));
    const leftovers = (): string[] => {
      const objects = [...this.#kernel.nexthops.objects.values()].filter(({ protocol }) => protocol === PROTOCOL);
      return [...this.#books.held().keys(), ...objects.map(({ id }) => `nexthop object ${id}`)];
    };
    const isEmpty = (): boolean => deleted === GROUPS.length && leftovers().length === 0 && rib.attrs.count === 0;
    if (await this.#drive(isEmpty, scheduler.time + SETTLE_MS)) return;
    const left = leftovers();
    scheduler.violate(
      `after all was withdrawn, ${left.length} are left, such as ${left[0]}; ${rib.attrs.count} attributes`,
    );
  }

  async #end(): Promise<void> {
    const scheduler = this.#scheduler;
    if (scheduler.violation !== "") return;
    let hasEnded = false;
    void this.#daemon.end().then(() => {
      hasEnded = true;
    });
    if (!(await this.#drive(() => hasEnded, scheduler.time + SETTLE_MS))) scheduler.violate("the daemon does not end");
    const { poolFree, poolSize } = this.#daemon.dataplane.snapshot();
    if (poolFree !== poolSize) scheduler.violate(`at the end ${poolFree} of ${poolSize} contexts are free`);
  }
}

function describeMessage({ type, ...rest }: FromMonitor): string {
  const details = Object.values(rest).map((value) => (Array.isArray(value) ? value.length : value));
  return `${type} ${JSON.stringify(details)}`;
}

/** Distances stay the owners', so that no two are equal. */
function withoutDistance({ distance: _, ...update }: UpdateJson): UpdateJson {
  return update;
}

function randomProviders(prng: Prng): ProviderSpec[] {
  const spec = (kind: string, priority: ProviderPriority, threaded = false): ProviderSpec => {
    return { kind, name: "", priority, threaded, options: {} };
  };
  const specs = [{ ...spec("kernel", ProviderPriority.KERNEL, prng.chance(0.2)), name: "kernel" }];
  if (prng.chance(0.25)) specs.push(spec("unreliable", ProviderPriority.PRE_KERNEL, prng.chance(0.5)));
  if (prng.chance(0.35)) specs.push(spec("unreliable", ProviderPriority.POST_KERNEL, prng.chance(0.5)));
  return specs;
}
