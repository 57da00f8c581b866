/**
 * The main thread's side of the dataplane: admits updates, starts and watches the threads, collects results, and ends
 * it all in stages (FRR: `dplane_update_enqueue`, `zebra_dplane_init`, `_start`, `_pre_finish`, `_finish`,
 * `_shutdown`).
 *
 * Every update admitted here comes back through `onResults` exactly once: if the dataplane thread dies its successor
 * gets the updates that were under way again, in the order of their admission; if there is none, or at the end of a
 * shutdown, they are handed back as failed.
 */
import { assert } from "../assert.ts";
import { type Clock, pause, SYSTEM_CLOCK } from "../clock.ts";
import * as limits from "../constants.ts";
import { Contexts } from "../context/contexts.ts";
import {
  CONTEXT_DOUBLES,
  ContextFlag,
  ContextStatus,
  DplaneError,
  F64,
  isNexthopOp,
  U8,
  U32,
} from "../context/layout.ts";
import { ContextPool, NO_SLOT } from "../context/pool.ts";
import type { Log } from "../log.ts";
import { Doorbell } from "../ring/doorbell.ts";
import { RingConsumer, RingObserver, RingProducer } from "../ring/spsc_ring.ts";
import { LoopCounter, loopCounters } from "./counters.ts";
import { createDataplaneMemory, type DataplaneMemory, poolSize } from "./memory.ts";
import type { ProviderSpec, RegisteredProvider } from "./provider.ts";
import { Pulse } from "./pulse.ts";
import { ProviderRegistry, type ProviderSnapshot } from "./registry.ts";
import { DeathCount, type SpawnThread, Thread } from "./supervisor.ts";
import type { FromThread } from "./thread.ts";

/** Results handed over at a time; between two such lists whoever waits for room gets a turn. */
const SETTLE_BATCH = 256;

/** Updates that are admitted with one look at the clock, which costs as much as the rest of an admission: some 30 µs. */
const ADMISSIONS_A_TIME = 32;

export interface DataplaneOptions {
  queueLimit: number;
  workLimit: number;
  attrs: SharedArrayBuffer;
  /** Some providers have error texts that do not fit a context. */
  hasLongTexts?: boolean;
  spawn: SpawnThread;
  log: Log;
  /** Takes a record that a thread logged. */
  onLog: (message: Extract<FromThread, { type: "log" }>) => void;
  /** Takes finished contexts, a list at a time; each is to be released. */
  onResults: (slots: Uint32Array, count: number) => void;
  /** Something a health probe would say has changed. */
  onHealthChange: () => void;
  /** What a provider has told the main thread. */
  onProviderMessage?: (id: number, body: unknown) => void;
  stuckAfterMs?: number;
  startDeadlineMs?: number;
  clock?: Clock;
}

/** A thread as a health probe sees it. */
export interface WorkerHealth {
  name: string;
  alive: boolean;
  heartbeatAgeMs: number;
}

export type DataplaneState = "initialised" | "starting" | "running" | "finishing" | "failed" | "stopped";

export class Dataplane {
  readonly #options: DataplaneOptions;
  readonly #registry: ProviderRegistry;
  readonly pool: ContextPool;
  /** What everything on the main thread goes by that works with the dataplane. */
  readonly clock: Clock;
  #memory: DataplaneMemory;
  #contexts: Contexts;
  #incoming: RingProducer;
  #results: RingConsumer;
  #loopBell: Doorbell;
  #thread: Thread | null = null;
  #state: DataplaneState = "initialised";
  #failure = "";
  /** The threads are being told to end. */
  #isShuttingDown = false;
  readonly #started = Promise.withResolvers<void>();
  #pulse: Pulse;
  #admissions = 0;
  /** Of nexthop objects, which are no updates of routes. */
  #nexthopAdmissions = 0;
  #updateErrors = 0;
  #queueMax = 0;
  readonly #deaths = new DeathCount(limits.RESTART_WINDOW_MS, limits.RESTARTS_MAX);
  /** The thread has come up, which is before its first cycle. */
  #isReady = false;
  #restarts = 0;
  /** Counters of threads that are gone. */
  readonly #past = { cycles: 0, yields: 0 };
  readonly #batch: Uint32Array;
  /** By slot: 1 from its admission until its result. */
  readonly #isUnderWay: Uint8Array;
  #underWayCount = 0;
  #isHeld = false;
  /** Contexts that are taken and not admitted yet. */
  #waitingCount = 0;
  readonly #waiting: (() => void)[] = [];
  #queueLimit: number;
  #time = 0;
  #timeUses = 0;

  constructor(options: DataplaneOptions) {
    this.#options = options;
    this.clock = options.clock ?? SYSTEM_CLOCK;
    this.#pulse = new Pulse(this.clock);
    this.#queueLimit = options.queueLimit;
    const slots = poolSize(options.queueLimit, options.workLimit);
    this.#memory = createDataplaneMemory(slots, options.attrs, options.hasLongTexts);
    this.#contexts = new Contexts(this.#memory.contexts, this.#memory.longTexts);
    this.pool = new ContextPool(this.#contexts);
    this.#incoming = new RingProducer(this.#memory.incoming);
    this.#results = new RingConsumer(this.#memory.results);
    this.#loopBell = new Doorbell(this.#memory.loopBell);
    this.#batch = new Uint32Array(slots);
    this.#isUnderWay = new Uint8Array(slots);
    this.#registry = new ProviderRegistry({
      slots,
      workLimit: options.workLimit,
      spawn: options.spawn,
      log: options.log,
      onLog: options.onLog,
      onProviderMessage: (id, body) => options.onProviderMessage?.(id, body),
      onChange: options.onHealthChange,
      onLost: (reason) => this.#endAll(reason),
      clock: this.clock,
    });
  }

  /** The contexts; read it anew after every wait, because a restart of the dataplane thread replaces them. */
  get contexts(): Contexts {
    return this.#contexts;
  }

  get state(): DataplaneState {
    return this.#state;
  }

  /** Why the state is "failed". */
  get failure(): string {
    return this.#failure;
  }

  get queueLimit(): number {
    return this.#queueLimit;
  }

  /** Changes the limit of the incoming queue, within what the pool was made for. */
  setQueueLimit(limit: number): void {
    this.#queueLimit = Math.max(1, Math.min(limit, this.pool.size - 1));
  }

  /** Adds a provider, before or after the start (FRR: `dplane_provider_register`). Throws on a bad spec. */
  register(spec: ProviderSpec): RegisteredProvider {
    const registered = this.#registry.add(spec);
    if (this.#thread !== null && this.isAccepting()) this.#registry.launch(registered, this.#memory, this.#thread);
    return registered;
  }

  /** Has clients wait as if the queue were full, until {@linkcode openAdmission}. */
  holdAdmission(): void {
    this.#isHeld = true;
  }

  openAdmission(): void {
    this.#isHeld = false;
    this.#wakeWaiting();
  }

  /** Room for one more update. False while the queue is full or held, and when no more work is taken. */
  hasRoom(): boolean {
    return this.room() > 0;
  }

  /** Updates for which there is room now. */
  room(): number {
    if (this.#isHeld || !this.isAccepting()) return 0;
    return Math.max(0, Math.min(this.#queueLimit - this.#queueDepth(), this.pool.free));
  }

  /** Updates in the incoming queue, with those that have a context and wait for an earlier one of their route. */
  #queueDepth(): number {
    return this.#incoming.depth + this.#waitingCount;
  }

  /** False once the daemon shuts down or the dataplane has failed for good. */
  isAccepting(): boolean {
    return this.#state === "initialised" || this.#state === "starting" || this.#state === "running";
  }

  /**
   * Resolves when there may be room, first come first served, or when no more work is taken. Whoever had a turn calls
   * {@linkcode flush}, used or not, so that the next in line gets one.
   */
  waitForRoom(): Promise<void> {
    if (!this.isAccepting() || (this.#waiting.length === 0 && this.hasRoom())) return Promise.resolve();
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  /** Takes an empty context; the caller has asked {@linkcode hasRoom}. */
  acquire(): number {
    const slot = this.pool.acquire();
    assert(slot !== NO_SLOT, "a context is asked for only where there is room");
    this.#waitingCount += 1;
    return slot;
  }

  /** Gives a context back, after its result or without ever having been admitted. */
  release(slot: number): void {
    if (this.#contexts.getF64(slot, F64.ADMISSION) === 0) this.#waitingCount -= 1;
    this.pool.release(slot);
  }

  /** The time of an admission, on the clock of core/clock.ts. */
  admissionTime(): number {
    if (this.#timeUses++ % ADMISSIONS_A_TIME === 0) this.#time = this.clock.now();
    return this.#time;
  }

  /** Admits a filled context. It is seen by the dataplane thread at once, which is woken by {@linkcode flush}. */
  enqueue(slot: number): void {
    this.#admissions += 1;
    if (isNexthopOp(this.#contexts.getU8(slot, U8.OP))) this.#nexthopAdmissions += 1;
    this.#contexts.setF64(slot, F64.ADMISSION, this.#admissions);
    this.#waitingCount -= 1;
    this.#isUnderWay[slot] = 1;
    this.#underWayCount += 1;
    assert(this.#incoming.push(slot), "the incoming ring has room for every context");
    const depth = this.#queueDepth();
    if (depth > this.#queueMax) this.#queueMax = depth;
  }

  /** Sends a context that has come back on its way a second time, instead of releasing it. */
  enqueueAgain(slot: number): void {
    const flags = this.#contexts.getU8(slot, U8.FLAGS) & (ContextFlag.KNOWN | ContextFlag.TAKE_OVER);
    this.#contexts.setU8(slot, U8.FLAGS, flags);
    this.#contexts.setU8(slot, U8.STATUS, ContextStatus.QUEUED);
    this.#contexts.setU8(slot, U8.ERROR_TEXT_LENGTH, 0);
    this.#contexts.setU32(slot, U32.ERROR, 0);
    this.#contexts.setU32(slot, U32.BYPASSED, 0);
    this.#waitingCount += 1;
    this.enqueue(slot);
  }

  /** Ends a turn: wakes the dataplane thread for what was enqueued, and the next who waits if there is room left. */
  flush(): void {
    this.#timeUses = 0;
    this.#loopBell.ring();
    if (this.#waiting.length > 0) this.#wakeWaiting();
  }

  /** Counts an update that was refused before it got a context (FRR: `dg_route_errors`). */
  countUpdateError(): void {
    this.#updateErrors += 1;
  }

  /** Starts the threads; resolves when the pipeline is complete. Work offered before is done now. */
  start(): Promise<void> {
    assert(this.#state === "initialised", "the dataplane starts once");
    this.#state = "starting";
    // Whoever asks for the state need not wait here.
    this.#started.promise.catch(() => {});
    this.#launch();
    void this.#collect();
    void this.#watch();
    return this.#started.promise;
  }

  #launch(): void {
    const seats = this.#registry.seatAll();
    const thread = new Thread(
      "dataplane",
      this.#options.spawn,
      { role: "dataplane", memory: this.#memory, workLimit: this.#options.workLimit, providers: seats },
      (message) => this.#onMessage(message),
      this.clock,
    );
    this.#thread = thread;
    this.#isReady = false;
    this.#pulse = new Pulse(this.clock);
    this.#registry.launchThreads(this.#memory, thread);
    void thread.gone.then((reason) => this.#onThreadGone(thread, reason));
    thread.ready.then(
      () => {
        this.#isReady = thread === this.#thread;
        return this.#run(thread);
      },
      () => {}, // it died, and is replaced
    );
  }

  /** Lets the work begin when every provider is up or has failed, so that no update passes by one that is on its way. */
  async #run(thread: Thread): Promise<void> {
    await this.#registry.settled();
    if (thread !== this.#thread || !thread.alive) return;
    thread.post({ type: "run" });
    if (this.#state === "starting") this.#state = "running";
    this.#started.resolve();
    this.#options.onHealthChange();
  }

  #onMessage(message: FromThread): void {
    if (message.type === "log") this.#options.onLog(message);
    else if (message.type === "attached") this.#registry.onAttached(message.id);
    else if (message.type === "provider-failed") this.#registry.onFailed(message.id, message.error);
    else if (message.type === "condition") this.#registry.onCondition(message.id, message.condition);
    else if (message.type === "from-provider") this.#options.onProviderMessage?.(message.id, message.body);
  }

  /** Settles results as they come, in slices that leave the event loop free in between. */
  async #collect(): Promise<void> {
    while (this.#state !== "stopped") {
      const bell = new Doorbell(this.#memory.resultsBell, this.clock);
      const seen = bell.read();
      const more = this.#settle(this.clock.now() + limits.RESULTS_SLICE_MS);
      this.#wakeWaiting();
      if (more) await this.clock.turn();
      else await bell.wait(seen, 1000);
    }
  }

  /** Hands over results until `deadline`. True if there are more. */
  #settle(deadline: number): boolean {
    do {
      const count = this.#results.popMany(this.#batch, 0, SETTLE_BATCH);
      if (count === 0) return false;
      this.#handOver(this.#batch, count);
      this.#wakeWaiting();
    } while (this.clock.now() < deadline);
    return true;
  }

  #handOver(slots: Uint32Array, count: number): void {
    for (let index = 0; index < count; index++) this.#isUnderWay[slots[index]!] = 0;
    this.#underWayCount -= count;
    this.#options.onResults(slots, count);
  }

  /** Gives the first who waits for room a turn if there is some; all of them if no more work is taken. */
  #wakeWaiting(): void {
    if (!this.isAccepting()) for (const resolve of this.#waiting.splice(0)) resolve();
    else if (this.hasRoom()) this.#waiting.shift()?.();
  }

  /** Looks for stuck threads, by their heartbeats. */
  async #watch(): Promise<void> {
    const { stuckAfterMs = limits.STUCK_AFTER_MS, startDeadlineMs = limits.START_DEADLINE_MS } = this.#options;
    while (this.#state !== "stopped" && this.#state !== "failed") {
      await pause(this.clock, Math.min(1000, stuckAfterMs / 4), { keepsAlive: false });
      this.#registry.endStuckThreads(this.#memory, stuckAfterMs, startDeadlineMs);
      const beat = loopCounters(this.#memory.counters)[LoopCounter.HEARTBEAT]!;
      const reason = this.#pulse.stuckReason(beat, this.#isReady || beat !== 0, stuckAfterMs, startDeadlineMs);
      if (reason === "" || !this.#thread?.alive) continue;
      this.#options.log.error("Dataplane thread is stuck; it is replaced", { reason });
      // One that does not end keeps its memory to itself, and so its successor can start all the same.
      await this.#thread.terminate(reason);
    }
  }

  /** Milliseconds for which the dataplane thread has been seen to begin no cycle. */
  heartbeatAgeMs(): number {
    return this.#pulse.ageMs(loopCounters(this.#memory.counters)[LoopCounter.HEARTBEAT]!);
  }

  /**
   * False while the dataplane thread is dead or stuck, or once none is started any more. A provider's own thread does not
   * count: the pipeline goes on without it, and a restart of the daemon would not mend it.
   */
  isAlive(): boolean {
    return this.#state !== "failed" && this.workers()[0]!.alive;
  }

  /** The threads that are to run, and whether they do. */
  workers(): WorkerHealth[] {
    const stuckAfterMs = this.#options.stuckAfterMs ?? limits.STUCK_AFTER_MS;
    const age = this.heartbeatAgeMs();
    const alive = this.#thread === null || (this.#thread.alive && age < stuckAfterMs);
    const own = { name: "dataplane", alive, heartbeatAgeMs: Math.round(age) };
    return [own, ...this.#registry.workers(this.#memory, stuckAfterMs)];
  }

  /** The dataplane thread ended although nobody asked it to: start another, or give up. */
  #onThreadGone(thread: Thread, reason: string): void {
    if (thread !== this.#thread || this.#isShuttingDown) return;
    const isTooOften = this.#deaths.add(this.clock.now());
    Atomics.store(new Int32Array(this.#memory.stop), 0, 1);
    while (this.#settle(Number.POSITIVE_INFINITY)) {}
    void this.#registry.endThreads("the dataplane thread ended").then(() => {
      if (this.#isShuttingDown) return;
      if (this.#state === "finishing") return this.#failUnderWay(DplaneError.THREAD_DIED, reason);
      if (this.#failure !== "") return this.#giveUp(this.#failure);
      if (isTooOften) {
        return this.#giveUp(`the dataplane thread ended ${this.#deaths.recent} times within a minute, last: ${reason}`);
      }
      this.#restart(reason);
    });
  }

  #restart(reason: string): void {
    const old = this.#contexts;
    new Doorbell(this.#memory.resultsBell).ring(); // the collector moves on to the new memory
    this.#keepPastCounters();
    this.#memory = createDataplaneMemory(old.slots, this.#options.attrs, this.#options.hasLongTexts);
    this.#contexts = new Contexts(this.#memory.contexts, this.#memory.longTexts);
    this.#contexts.u8.set(old.u8);
    this.pool.moveTo(this.#contexts);
    this.#incoming = new RingProducer(this.#memory.incoming);
    this.#results = new RingConsumer(this.#memory.results);
    this.#loopBell = new Doorbell(this.#memory.loopBell);
    const underWay = this.underWay();
    for (const slot of underWay) {
      this.#contexts.setU8(slot, U8.STATUS, ContextStatus.QUEUED);
      const known = this.#contexts.getU8(slot, U8.FLAGS) & (ContextFlag.KNOWN | ContextFlag.TAKE_OVER);
      this.#contexts.setU8(slot, U8.FLAGS, ContextFlag.REPLAYED | known);
      this.#contexts.setU8(slot, U8.ERROR_TEXT_LENGTH, 0);
      this.#contexts.setU32(slot, U32.ERROR, 0);
      this.#contexts.setU32(slot, U32.BYPASSED, 0);
      this.#incoming.push(slot);
    }
    this.#restarts += 1;
    this.#options.log.error("Dataplane thread ended; another takes over", { reason, replayed: underWay.length });
    this.#launch();
    this.#options.onHealthChange();
  }

  /** Ends the dataplane thread, and with it all others, for good. */
  #endAll(reason: string): void {
    this.#failure = reason;
    void this.#thread?.terminate(reason);
  }

  /** No thread is there any more, nor will be: what is under way fails, and nothing is taken any more. */
  #giveUp(reason: string): void {
    this.#state = "failed";
    this.#failure = reason;
    this.#options.log.error("The dataplane has failed; no thread is started any more", { reason });
    this.#failUnderWay(DplaneError.THREAD_DIED, reason);
    this.#wakeWaiting();
    this.#started.reject(new Error(`Cannot start the dataplane: ${this.#failure}`));
    this.#options.onHealthChange();
  }

  /** Contexts that are admitted and not back, in the order of their admission. */
  underWay(): Uint32Array {
    const { f64 } = this.#contexts;
    const admission = (slot: number): number => f64[slot * CONTEXT_DOUBLES + F64.ADMISSION]!;
    const slots = new Uint32Array(this.#underWayCount);
    let count = 0;
    for (let slot = 0; slot < this.#isUnderWay.length; slot++) if (this.#isUnderWay[slot] === 1) slots[count++] = slot;
    return slots.sort((a, b) => admission(a) - admission(b));
  }

  /**
   * Hands back what no thread will finish any more. What a provider had programmed is said to be so. A result can make
   * room for an update that waited for it, so this goes on until nothing is under way.
   */
  #failUnderWay(error: number, reason: string): void {
    this.#registry.abandonQueues(this.#memory);
    while (this.#underWayCount > 0) {
      const slots = this.underWay();
      for (const slot of slots) {
        if (this.#contexts.getU8(slot, U8.STATUS) === ContextStatus.QUEUED) this.#contexts.fail(slot, error, reason);
      }
      this.#handOver(slots, slots.length);
    }
  }

  #keepPastCounters(): void {
    const counters = loopCounters(this.#memory.counters);
    this.#past.cycles += counters[LoopCounter.CYCLES]!;
    this.#past.yields += counters[LoopCounter.YIELDS]!;
    this.#registry.keepPastCounters(this.#memory);
  }

  /** First stage of the end: no new work, and the providers are told (FRR: `zebra_dplane_pre_finish`). */
  preFinish(): void {
    if (!this.isAccepting()) return;
    this.#state = "finishing";
    this.#wakeWaiting();
    this.#thread?.post({ type: "finish-early" });
    this.#registry.postToThreads({ type: "finish-early" });
    this.#options.onHealthChange();
  }

  /** Work in any queue or hand (FRR: `dplane_work_pending`, which looks only into the queues it can see). */
  workPending(): boolean {
    return this.#underWayCount > 0;
  }

  /** Second stage: waits until no work is pending, at most `deadlineMs`. True if none is (FRR: `zebra_dplane_finish`). */
  async finish(deadlineMs: number = limits.FINISH_DEADLINE_MS): Promise<boolean> {
    const deadline = this.clock.now() + deadlineMs;
    while (this.workPending() && this.clock.now() < deadline && this.#thread !== null) {
      await pause(this.clock, 10);
    }
    return !this.workPending();
  }

  /** Last stage: ends the threads and hands back what is left (FRR: `zebra_dplane_shutdown`). */
  async shutdown(): Promise<void> {
    if (this.#isShuttingDown) return;
    this.preFinish();
    this.#isShuttingDown = true;
    this.#registry.expectEnds();
    Atomics.store(new Int32Array(this.#memory.stop), 0, 1);
    this.#loopBell.ring();
    this.#registry.wakeThreads();
    const thread = this.#thread;
    if (thread !== null) {
      await Promise.race([thread.gone, pause(this.clock, limits.STOP_DEADLINE_MS)]);
      await thread.terminate("shutdown");
    }
    await this.#registry.endThreads("shutdown");
    while (this.#settle(Number.POSITIVE_INFINITY)) {}
    this.#failUnderWay(DplaneError.SHUTDOWN, "the daemon shut down before this update was done");
    this.#state = "stopped";
    this.#started.resolve();
    new Doorbell(this.#memory.resultsBell).ring();
  }

  /** Everything that `show dplane` and the metrics say about the queues. */
  snapshot(): DataplaneSnapshot {
    const counters = loopCounters(this.#memory.counters);
    return {
      state: this.#state,
      routeUpdates: this.#admissions - this.#nexthopAdmissions,
      routeUpdateErrors: this.#updateErrors,
      queueLimit: this.#queueLimit,
      queueDepth: this.#queueDepth(),
      queueMax: this.#queueMax,
      yields: this.#past.yields + counters[LoopCounter.YIELDS]!,
      cycles: this.#past.cycles + counters[LoopCounter.CYCLES]!,
      workLimit: this.#options.workLimit,
      poolSize: this.pool.size,
      poolFree: this.pool.free,
      resultsQueued: new RingObserver(this.#memory.results).depth,
      restarts: this.#restarts,
    };
  }

  providers(): ProviderSnapshot[] {
    return this.#registry.snapshot(this.#memory);
  }

  /** Sends plain data to a provider, if it runs. Buffers in `transfer` move over instead of being copied. */
  tellProvider(id: number, body: unknown, transfer?: readonly ArrayBuffer[]): void {
    this.#registry.tell(id, body, transfer);
  }

  /** The names of the providers that an update passed by (BYPASSED), for results. */
  bypassedNames(bits: number): string[] {
    return this.#registry.names(bits);
  }

  /** The name of a provider by its number, for results. */
  providerName(id: number): string {
    return this.#registry.name(id);
  }
}

export interface DataplaneSnapshot {
  state: DataplaneState;
  routeUpdates: number;
  routeUpdateErrors: number;
  queueLimit: number;
  queueDepth: number;
  queueMax: number;
  yields: number;
  cycles: number;
  workLimit: number;
  poolSize: number;
  poolFree: number;
  resultsQueued: number;
  restarts: number;
}
