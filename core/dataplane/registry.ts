/**
 * The providers of a dataplane as the main thread knows them: who is registered, in what state, with which thread.
 * A threaded provider whose thread ends is taken out of the pipeline, and started again after a pause that doubles.
 */
import { assert } from "../assert.ts";
import { type Clock, pause } from "../clock.ts";
import {
  PROVIDER_RESTART_MAX_MS,
  PROVIDER_RESTART_MIN_MS,
  PROVIDERS_MAX,
  RESTART_WINDOW_MS,
  STOP_DEADLINE_MS,
} from "../constants.ts";
import type { Log } from "../log.ts";
import { Doorbell } from "../ring/doorbell.ts";
import { RingObserver } from "../ring/spsc_ring.ts";
import { ProviderCounter, providerCounters } from "./counters.ts";
import { createProviderMemory, type DataplaneMemory, type ProviderMemory } from "./memory.ts";
import {
  PROVIDER_PRIORITY_NAMES,
  type ProviderCondition,
  type ProviderSpec,
  providerBit,
  type RegisteredProvider,
} from "./provider.ts";
import { Pulse } from "./pulse.ts";
import { type SpawnThread, Thread } from "./supervisor.ts";
import type { FromThread, ProviderSeat, ToThread } from "./thread.ts";

export interface RegistryOptions {
  slots: number;
  workLimit: number;
  spawn: SpawnThread;
  log: Log;
  onLog: (message: Extract<FromThread, { type: "log" }>) => void;
  onProviderMessage: (id: number, body: unknown) => void;
  onChange: () => void;
  /** A thread cannot be ended, and may still touch contexts that others have by now: nobody can go on. */
  onLost: (reason: string) => void;
  clock: Clock;
}

/** `bypassed`: its thread runs, but it does not do its work, and updates go on without it. */
export type ProviderState = "starting" | ProviderCondition["state"];

const UP: ProviderCondition = { state: "up", reason: "" };

/** What `show providers` and the metrics say about one provider; in = out + inQueued + errors. */
export interface ProviderSnapshot {
  id: number;
  name: string;
  kind: string;
  priority: string;
  threaded: boolean;
  state: ProviderState;
  /** Why it is not up; empty if it is. */
  reason: string;
  in: number;
  /** In its queue and in its hands. */
  inQueued: number;
  inMax: number;
  out: number;
  outQueued: number;
  outMax: number;
  errors: number;
  undone: number;
  yields: number;
  exceptions: number;
}

interface Entry {
  registered: RegisteredProvider;
  state: ProviderState;
  reason: string;
  /** What it says of itself, which counts while it is in the pipeline. */
  condition: ProviderCondition;
  memory: ProviderMemory | null;
  thread: Thread | null;
  pulse: Pulse;
  restarts: number;
  past: Float64Array;
  /** Deepest that out queues now gone have been. */
  pastOutMax: number;
}

/** Counters that live on when the memory they were kept in is replaced. */
const LASTING = [
  ProviderCounter.OUT,
  ProviderCounter.ERRORS,
  ProviderCounter.YIELDS,
  ProviderCounter.UNDONE,
  ProviderCounter.EXCEPTIONS,
];

export class ProviderRegistry {
  readonly #options: RegistryOptions;
  readonly #entries: Entry[] = [];
  #dataplane: Thread | null = null;
  #ending = false;
  #settling: (() => void)[] = [];

  constructor(options: RegistryOptions) {
    this.#options = options;
  }

  /** Registers a provider: it gets the next number, and `provider-<id>` if it has no name. Throws on a bad spec. */
  add(spec: ProviderSpec): RegisteredProvider {
    if (!(spec.priority in PROVIDER_PRIORITY_NAMES)) {
      throw new RangeError(`Cannot register provider "${spec.name}": there is no priority ${spec.priority}`);
    }
    if (this.#entries.length >= PROVIDERS_MAX) {
      throw new RangeError(`Cannot register provider "${spec.name}": there are ${PROVIDERS_MAX} already`);
    }
    const id = this.#entries.length + 1;
    const registered = { ...spec, id, name: spec.name === "" ? `provider-${id}` : spec.name };
    if (this.#entries.some((entry) => entry.registered.name === registered.name)) {
      throw new RangeError(`Cannot register provider "${registered.name}": the name is taken`);
    }
    this.#entries.push({
      registered,
      state: "starting",
      reason: "it is being started",
      condition: UP,
      memory: null,
      thread: null,
      pulse: new Pulse(this.#options.clock),
      restarts: 0,
      past: new Float64Array(16),
      pastOutMax: 0,
    });
    return registered;
  }

  name(id: number): string {
    return this.#entries[id - 1]?.registered.name ?? "";
  }

  /** The names for the bits of a context's BYPASSED. */
  names(bits: number): string[] {
    const registered = this.#entries.map((entry) => entry.registered);
    return registered.filter(({ id }) => (bits & providerBit(id)) !== 0).map(({ name }) => name);
  }

  /** Gives each provider fresh queues, for a new dataplane thread, and names those that live on it. */
  seatAll(): ProviderSeat[] {
    this.#ending = false;
    return this.#entries.map((entry) => this.#seat(entry)).filter(({ registered }) => !registered.threaded);
  }

  /** Starts the threads of the threaded providers. */
  launchThreads(memory: DataplaneMemory, dataplane: Thread): void {
    this.#dataplane = dataplane;
    for (const entry of this.#entries) if (entry.registered.threaded) this.#launchThread(entry, memory, dataplane);
  }

  /** Brings one provider into a running pipeline. */
  launch(registered: RegisteredProvider, memory: DataplaneMemory, dataplane: Thread): void {
    const entry = this.#entry(registered.id);
    this.#dataplane = dataplane;
    const seat = this.#seat(entry);
    if (registered.threaded) this.#launchThread(entry, memory, dataplane);
    else dataplane.post({ type: "attach", seat });
  }

  #seat(entry: Entry): ProviderSeat {
    this.#dropMemory(entry);
    entry.memory = createProviderMemory(this.#options.slots);
    entry.state = "starting";
    entry.reason = "it is being started";
    entry.condition = UP;
    return { registered: entry.registered, memory: entry.memory };
  }

  /** Starts a provider's thread. The loop gets to know of it when it is ready, so one that never is costs no update. */
  #launchThread(entry: Entry, memory: DataplaneMemory, dataplane: Thread): void {
    const { registered } = entry;
    const seat = { registered, memory: entry.memory! };
    const thread = new Thread(
      `provider ${registered.name}`,
      this.#options.spawn,
      { role: "provider", memory, workLimit: this.#options.workLimit, seat },
      (message) => {
        if (message.type === "log") this.#options.onLog(message);
        else if (message.type === "ready") dataplane.post({ type: "attach", seat });
        else if (message.type === "condition") this.onCondition(message.id, message.condition);
        else if (message.type === "from-provider") this.#options.onProviderMessage(message.id, message.body);
      },
      this.#options.clock,
    );
    entry.thread = thread;
    entry.pulse = new Pulse(this.#options.clock);
    void thread.gone.then((reason) => this.#onThreadGone(entry, thread, memory, reason));
  }

  /** The thread of a provider ended although nobody asked it to. */
  #onThreadGone(entry: Entry, thread: Thread, memory: DataplaneMemory, reason: string): void {
    if (this.#ending || entry.thread !== thread) return;
    entry.thread = null;
    this.#setState(entry, "failed", reason);
    const { name } = entry.registered;
    // One that has worked for a while has earned a new start without a long pause.
    if (this.#options.clock.now() - entry.pulse.startedAt > RESTART_WINDOW_MS) entry.restarts = 0;
    const pauseMs = Math.min(PROVIDER_RESTART_MIN_MS * 2 ** entry.restarts, PROVIDER_RESTART_MAX_MS);
    this.#options.log.error("Provider failed; the pipeline goes on without it", { provider: name, reason, pauseMs });
    const dataplane = this.#dataplane!;
    dataplane.post({ type: "detach", registered: entry.registered });
    entry.restarts += 1;
    const launchAgain = (): void => {
      if (this.#ending || this.#dataplane !== dataplane || entry.thread !== null) return;
      this.launch(entry.registered, memory, dataplane);
    };
    this.#options.clock.setTimeout(launchAgain, pauseMs).unref();
  }

  /** The loop took the provider in. */
  onAttached(id: number): void {
    const entry = this.#entry(id);
    // The thread of a threaded one may have ended meanwhile.
    if (entry.registered.threaded && entry.thread === null) return;
    this.#setState(entry, entry.condition.state, entry.condition.reason);
  }

  /** What a provider says of itself. */
  onCondition(id: number, condition: ProviderCondition): void {
    const entry = this.#entry(id);
    entry.condition = condition;
    const isAttached = entry.state !== "starting" && (!entry.registered.threaded || entry.thread !== null);
    if (isAttached) this.#setState(entry, condition.state, condition.reason);
  }

  /** A provider on the dataplane thread could not be started. */
  onFailed(id: number, reason: string): void {
    const entry = this.#entry(id);
    this.#setState(entry, "failed", reason);
    this.#options.log.error("Provider could not be started; the pipeline goes on without it", {
      provider: entry.registered.name,
      reason,
    });
  }

  #setState(entry: Entry, state: ProviderState, reason: string): void {
    entry.state = state;
    entry.reason = reason;
    for (const resolve of this.#settling.splice(0)) resolve();
    this.#options.onChange();
  }

  /** Resolves when no provider is being started any more. */
  async settled(): Promise<void> {
    while (this.#entries.some((entry) => entry.state === "starting")) {
      await new Promise<void>((resolve) => this.#settling.push(resolve));
    }
  }

  /**
   * Ends threads that show no sign of life, and those that have not come up in time; what follows is as for a thread that
   * died.
   */
  endStuckThreads(memory: DataplaneMemory, stuckAfterMs: number, startDeadlineMs: number): void {
    for (const entry of this.#entries) {
      const { registered, thread, state, pulse } = entry;
      if (thread === null) continue;
      const beat = providerCounters(memory.counters, registered.id)[ProviderCounter.HEARTBEAT]!;
      const reason = pulse.stuckReason(beat, state !== "starting", stuckAfterMs, startDeadlineMs);
      if (reason !== "" && (state === "up" || state === "starting")) this.#endStuck(entry, thread, reason);
    }
  }

  #endStuck({ registered: { name } }: Entry, thread: Thread, reason: string): void {
    this.#options.log.error("Provider is stuck; its thread is ended", { provider: name, reason });
    void thread.terminate(reason).then((hasEnded) => {
      if (!hasEnded) this.#options.onLost(`the thread of provider ${name} cannot be ended`);
    });
  }

  /** The threads of threaded providers, and whether they run. */
  workers(memory: DataplaneMemory, stuckAfterMs: number): { name: string; alive: boolean; heartbeatAgeMs: number }[] {
    return this.#entries
      .filter(({ registered }) => registered.threaded)
      .map(({ registered, thread, pulse }) => {
        const age = pulse.ageMs(providerCounters(memory.counters, registered.id)[ProviderCounter.HEARTBEAT]!);
        const alive = thread?.alive === true && age < stuckAfterMs;
        return { name: `provider ${registered.name}`, alive, heartbeatAgeMs: Math.round(age) };
      });
  }

  /** From now on a thread that ends does what it is to do. */
  expectEnds(): void {
    this.#ending = true;
  }

  /** Ends all threads of providers, for good or before they are started anew with a new dataplane thread. */
  async endThreads(reason: string): Promise<void> {
    this.expectEnds();
    this.wakeThreads();
    const threads = this.#entries.map((entry) => entry.thread).filter((thread) => thread !== null);
    const gone = Promise.all(threads.map((thread) => thread.gone));
    await Promise.race([gone, pause(this.#options.clock, STOP_DEADLINE_MS)]);
    await Promise.all(threads.map((thread) => thread.terminate(reason)));
    for (const entry of this.#entries) entry.thread = null;
  }

  wakeThreads(): void {
    for (const { memory, thread } of this.#entries)
      if (memory !== null && thread !== null) new Doorbell(memory.bell).ring();
  }

  postToThreads(message: ToThread): void {
    for (const { thread } of this.#entries) thread?.post(message);
  }

  /** Sends something to one provider, if its thread runs. */
  tell(id: number, body: unknown, transfer?: readonly ArrayBuffer[]): void {
    const { registered, thread } = this.#entry(id);
    const host = registered.threaded ? thread : this.#dataplane;
    host?.post({ type: "to-provider", id, body }, transfer);
  }

  /** Remembers what was counted, before the memory is replaced. What was under way is counted when it is done again. */
  keepPastCounters(memory: DataplaneMemory): void {
    for (const entry of this.#entries) {
      const counters = providerCounters(memory.counters, entry.registered.id);
      const queuedMax = Math.max(entry.past[ProviderCounter.QUEUED_MAX]!, counters[ProviderCounter.QUEUED_MAX]!);
      entry.past[ProviderCounter.QUEUED_MAX] = queuedMax;
      for (const counter of LASTING) entry.past[counter]! += counters[counter]!;
      entry.past[ProviderCounter.IN]! += counters[ProviderCounter.OUT]! + counters[ProviderCounter.ERRORS]!;
    }
  }

  /** No thread works any more: what is in a queue or hand has come out as an error. */
  abandonQueues(memory: DataplaneMemory): void {
    for (const entry of this.#entries) {
      const counters = providerCounters(memory.counters, entry.registered.id);
      counters[ProviderCounter.ERRORS] = counters[ProviderCounter.IN]! - counters[ProviderCounter.OUT]!;
      this.#dropMemory(entry);
    }
  }

  /** Forgets the queues of a provider, but not how deep they were. */
  #dropMemory(entry: Entry): void {
    if (entry.memory === null) return;
    entry.pastOutMax = Math.max(entry.pastOutMax, new RingObserver(entry.memory.outRing).highWater);
    entry.memory = null;
  }

  snapshot(memory: DataplaneMemory): ProviderSnapshot[] {
    const order = [...this.#entries].sort((a, b) => a.registered.priority - b.registered.priority);
    return order.map((entry) => snapshotEntry(entry, providerCounters(memory.counters, entry.registered.id)));
  }

  #entry(id: number): Entry {
    const entry = this.#entries[id - 1];
    assert(entry !== undefined, `provider ${id} is registered`);
    return entry;
  }
}

function snapshotEntry(entry: Entry, counters: Float64Array): ProviderSnapshot {
  const { registered, memory, past } = entry;
  const outRing = memory === null ? null : new RingObserver(memory.outRing);
  const total = (counter: number): number => past[counter]! + counters[counter]!;
  // Read in this order, what moves meanwhile makes the queue look longer, and never shorter than empty.
  const [errors, out] = [total(ProviderCounter.ERRORS), total(ProviderCounter.OUT)];
  const given = total(ProviderCounter.IN);
  return {
    id: registered.id,
    name: registered.name,
    kind: registered.kind,
    priority: PROVIDER_PRIORITY_NAMES[registered.priority],
    threaded: registered.threaded,
    state: entry.state,
    reason: entry.reason,
    in: given,
    inQueued: given - out - errors,
    inMax: Math.max(past[ProviderCounter.QUEUED_MAX]!, counters[ProviderCounter.QUEUED_MAX]!),
    out,
    outQueued: outRing?.depth ?? 0,
    outMax: Math.max(entry.pastOutMax, outRing?.highWater ?? 0),
    errors,
    undone: total(ProviderCounter.UNDONE),
    yields: total(ProviderCounter.YIELDS),
    exceptions: total(ProviderCounter.EXCEPTIONS),
  };
}
