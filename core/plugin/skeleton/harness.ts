/**
 * Tries a provider without a daemon: gives it updates as dplaned would, and says what it decided. `dplaned provider init` puts
 * this file beside a new provider as dplaned_harness.ts. It needs nothing but the contract.
 *
 *     const harness = await Harness.start(provider, { options: { maxLength: 24 } });
 *     const [result] = await harness.send({ prefix: "203.0.113.0/25", nexthops: [{ via: "10.0.0.2" }] });
 *     assert.equal(result.verdict, "failed");
 */
import type {
  Change,
  Dplaned,
  Log,
  Nexthop,
  NexthopObject,
  Priority,
  Provider,
  Route,
  Update,
  UpdateError,
  UpdateJson,
} from "../dplaned.d.ts";

/** An update to try a provider with: as the HTTP API takes it, and what a context has besides. */
export interface TrialUpdate extends Partial<Omit<UpdateJson, "nexthops">> {
  prefix: string;
  nexthops?: Partial<NonNullable<UpdateJson["nexthops"]>[number]>[];
  owner?: string;
  /** The route that is programmed; it makes an install a replace. */
  old?: Partial<Omit<TrialUpdate, "prefix">>;
  status?: Update["status"];
  error?: UpdateError;
}

/** What a provider decided about an update. */
export interface TrialResult {
  prefix: string;
  /** `undecided`: it threw, or a promise was rejected. `kept`: it has said nothing yet. */
  verdict: "passed" | "failed" | "skipped" | "programmed" | "undecided" | "kept";
  /** With `failed`. */
  code?: string;
  message?: string;
  hint?: string;
  /** With `undecided`. */
  error?: unknown;
}

export interface HarnessOptions {
  /** The table `options` of the configuration. */
  options?: Record<string, unknown>;
  name?: string;
  priority?: Priority;
}

export interface LogLine {
  level: keyof Log;
  message: string;
  fields: Readonly<Record<string, unknown>>;
}

export class Harness<Options> {
  readonly #provider: Provider<Options>;
  readonly #dplaned: Dplaned<Options>;
  readonly #ending = new AbortController();
  readonly #objects = new Map<number, NexthopObject>();
  #sequence = 0;
  /** Values of the provider's metrics. */
  readonly metrics: Record<string, number> = {};
  readonly logs: LogLine[] = [];

  /** Starts the provider: what its options and its start refuse is thrown. */
  static async start<Options>(provider: Provider<Options>, options: HarnessOptions = {}): Promise<Harness<Options>> {
    const harness = new Harness(provider, options);
    await provider.start?.(harness.#dplaned);
    return harness;
  }

  constructor(provider: Provider<Options>, { options = {}, name = "trial", priority = "pre-kernel" }: HarnessOptions) {
    this.#provider = provider;
    for (const metric of Object.keys(provider.metrics ?? {})) this.metrics[metric] = 0;
    const speak =
      (level: keyof Log) =>
      (message: string, fields: Readonly<Record<string, unknown>> = {}) =>
        void this.logs.push({ level, message, fields });
    this.#dplaned = {
      apiVersion: 1,
      version: "trial",
      name,
      priority,
      options: (provider.options === undefined ? options : provider.options(options)) as Options,
      log: { debug: speak("debug"), info: speak("info"), warn: speak("warn"), error: speak("error") },
      signal: this.#ending.signal,
      count: (metric, by = 1) => this.#measure(metric, (value) => value + by),
      set: (metric, value) => this.#measure(metric, () => value),
      nexthop: (id) => this.#objects.get(id),
    };
  }

  /** Gives updates to the provider, all at once, and waits for what it decides. */
  async send(...trials: TrialUpdate[]): Promise<TrialResult[]> {
    const updates = trials.map((trial) => this.#createUpdate(trial));
    const { process, update: decide } = this.#provider;
    if (process !== undefined) {
      await this.#call(updates, () => process.call(this.#provider, updates, this.#dplaned));
    } else if (decide !== undefined) {
      for (const update of updates)
        await this.#call([update], () => decide.call(this.#provider, update, this.#dplaned));
    }
    return updates.map((update) => update.result());
  }

  /** Has it take back its part of an update that failed later. */
  async undo(trial: TrialUpdate): Promise<void> {
    const error = trial.error ?? { code: "ENETUNREACH", message: "Nexthop has invalid gateway" };
    await this.#provider.undo?.(this.#createUpdate({ ...trial, status: "failed", error }), this.#dplaned);
  }

  /** Tells of a nexthop object. */
  nexthop(object: NexthopObject): void {
    if (object.kind === "removed") this.#objects.delete(object.id);
    else this.#objects.set(object.id, object);
    this.#provider.nexthop?.(object, this.#dplaned);
  }

  /** Brings its `export` a batch; rejects as the provider does, whereupon dplaned would bring it again. */
  async export(trials: readonly TrialUpdate[], { isFirst = false, isLast = false } = {}): Promise<void> {
    const changes = trials.map((trial): Change => this.#createUpdate(trial));
    await this.#provider.export?.({ changes, isFirst, isLast }, this.#dplaned);
  }

  async finish(): Promise<void> {
    await this.#provider.finish?.(this.#dplaned, true);
    this.#ending.abort();
    await this.#provider.finish?.(this.#dplaned, false);
  }

  async #call(updates: readonly TrialView[], call: () => void | Promise<void>): Promise<void> {
    try {
      const result = call();
      await result;
      for (const update of updates) update.end(result !== undefined);
    } catch (error) {
      for (const update of updates) update.abandon(error);
    }
  }

  #createUpdate(trial: TrialUpdate): TrialView {
    this.#sequence += 1;
    return new TrialView(trial, this.#sequence, this.#dplaned.priority);
  }

  #measure(metric: string, change: (value: number) => number): void {
    const value = this.metrics[metric];
    if (value === undefined) throw new TypeError(`there is no metric "${metric}"`);
    const changed = change(value);
    if (!Number.isFinite(changed)) throw new TypeError(`${metric}: ${changed} is no number`);
    this.metrics[metric] = changed;
  }
}

class TrialView implements Update {
  readonly sequence: number;
  readonly op: Update["op"];
  readonly family: 4 | 6;
  readonly prefix: string;
  readonly address: Uint8Array;
  readonly prefixLength: number;
  readonly source: string | undefined;
  readonly table: number;
  readonly metric: number;
  readonly route: Route | undefined;
  readonly oldRoute: Route | undefined;
  readonly owner: string;
  readonly requestedBy: string;
  readonly status: Update["status"];
  readonly error: UpdateError | undefined;
  readonly skipsKernel = false;
  readonly isBypassed = false;
  readonly isReplayed = false;
  readonly takesOver = false;
  readonly admittedAt = Date.now();
  readonly #trial: TrialUpdate;
  readonly #priority: Priority;
  #result: TrialResult | null = null;

  constructor(trial: TrialUpdate, sequence: number, priority: Priority) {
    const { op = "install", prefix, source, table = 254, metric = 20, owner = "default", old } = trial;
    const [address = "", length = ""] = prefix.split("/");
    this.#trial = trial;
    this.#priority = priority;
    this.sequence = sequence;
    this.prefix = prefix;
    this.family = address.includes(":") ? 6 : 4;
    this.address = this.family === 6 ? parseIpv6(address) : Uint8Array.from(address.split("."), Number);
    this.prefixLength = Number(length);
    this.source = source;
    this.table = table;
    this.metric = metric;
    this.owner = owner;
    this.requestedBy = owner;
    this.op = op === "delete" ? "delete" : old === undefined ? "install" : "replace";
    this.route = op === "delete" ? undefined : createRoute(trial);
    this.oldRoute = old === undefined ? undefined : createRoute(old);
    this.status = trial.status ?? "queued";
    this.error = trial.error;
  }

  pass(): void {
    this.#decide({ verdict: "passed" });
  }

  fail(code: string, message: string, hint?: string): void {
    if (!/^[A-Z][A-Z0-9_]{0,31}$/.test(code)) {
      throw new TypeError(`fail: the code "${code}" is not capital letters, digits and underscores, 32 at most`);
    }
    if (typeof message !== "string" || message === "") throw new TypeError("fail: the message says nothing");
    this.#decide({ verdict: "failed", code, message, ...(hint === undefined ? {} : { hint }) });
  }

  skipKernel(): void {
    if (this.#priority !== "preprocess" && this.#priority !== "pre-kernel") {
      throw new TypeError("skipKernel: only a provider before the kernel can have an update bypass it");
    }
    this.#decide({ verdict: "skipped" });
  }

  succeed(): void {
    if (this.#priority !== "kernel") {
      throw new TypeError('succeed: only a provider with priority "kernel" can say that an update is programmed');
    }
    this.#decide({ verdict: "programmed" });
  }

  keep(): void {
    if (this.#isDecided()) throw new TypeError(`keep: ${this.prefix} is decided already`);
    this.#result = { prefix: this.prefix, verdict: "kept" };
  }

  toJSON(): UpdateJson {
    const { old: _, owner: __, status: ___, error: ____, ...json } = this.#trial;
    const nexthops = json.nexthops?.map((nexthop) => ({ weight: 1, ...nexthop }));
    const full = { ...json, op: json.op ?? "install", table: this.table, metric: this.metric };
    return nexthops === undefined ? (full as UpdateJson) : { ...full, nexthops };
  }

  result(): TrialResult {
    return this.#result ?? { prefix: this.prefix, verdict: "passed" };
  }

  /** The call is over. What it kept is still kept, unless it was a promise for which it did. */
  end(wasPromise: boolean): void {
    if (this.#result === null || (wasPromise && !this.#isDecided())) {
      this.#result = { prefix: this.prefix, verdict: "passed" };
    }
  }

  abandon(error: unknown): void {
    if (!this.#isDecided()) this.#result = { prefix: this.prefix, verdict: "undecided", error };
  }

  #isDecided(): boolean {
    return this.#result !== null && this.#result.verdict !== "kept";
  }

  #decide(result: Omit<TrialResult, "prefix">): void {
    if (this.#isDecided()) throw new TypeError(`${this.prefix} is decided already; an update is decided once`);
    this.#result = { prefix: this.prefix, ...result };
  }
}

function createRoute(trial: Partial<TrialUpdate>): Route {
  const { type = "unicast", nexthops = [], protocol = 0, distance = 0, tag = 0, mtu = 0, prefsrc } = trial;
  return {
    type,
    nexthops: nexthops.map(createNexthop),
    nexthopObject: 0,
    protocol,
    instance: 0,
    distance,
    tag,
    mtu,
    prefsrc,
  };
}

function createNexthop(nexthop: Partial<NonNullable<UpdateJson["nexthops"]>[number]>): Nexthop {
  const { via, dev, weight = 1, onlink = false, labels = [], seg6 } = nexthop;
  return { via, dev, ifindex: dev === undefined ? 0 : 1, weight, onlink, labels, seg6 };
}

function parseIpv6(text: string): Uint8Array {
  const [head = "", tail] = text.split("::");
  const groups = (part: string): number[] =>
    part === "" ? [] : part.split(":").map((group) => Number.parseInt(group, 16));
  const front = groups(head);
  const back = tail === undefined ? [] : groups(tail);
  const middle = new Array<number>(tail === undefined ? 0 : 8 - front.length - back.length).fill(0);
  return Uint8Array.from([...front, ...middle, ...back].flatMap((group) => [group >> 8, group & 255]));
}
