/**
 * The one thread of a simulation as many: says which of them goes on next, and what time it is. Every choice comes from a
 * seed, so that the same seed gives the same run.
 *
 * A simulated thread has what a real one has: messages, timers, turns of its event loop, and waits on shared memory. One step
 * does one of these, with all that follows from it until the thread would wait again. A thread that is inside of a system call
 * can be interrupted by others (`interleave`).
 */
import type { Clock, Timer } from "../../core/clock.ts";
import type { Prng } from "../../core/prng.ts";
import { drainMicrotasks } from "./drain.ts";
import type { Trace } from "./trace.ts";

/** Some time in 2027. */
const START_MS = 1_800_000_000_000;
const AFTERLIFE_STEP_MS = 60_000;
/** How deep interruptions may interrupt one another. */
const DEPTH_MAX = 2;

interface PendingTimer extends Timer {
  due: number;
  callback: () => void;
}

interface PendingWait {
  cell: Int32Array;
  value: number;
  due: number;
  resolve: () => void;
}

/** Something that is not a thread and has things to do: a client, the world outside, a thread that blocks. */
export interface Actor {
  name: string;
  /** When it wants to go on: now or before, or later, or never (Infinity). */
  due(): number;
  run(): void;
  /** The thread that it is, if it is one. */
  thread?: SimThread;
}

export class SimThread {
  readonly name: string;
  readonly number: number;
  readonly clock: Clock;
  readonly inbox: (() => void)[] = [];
  readonly turns: (() => void)[] = [];
  timers: PendingTimer[] = [];
  waits: PendingWait[] = [];
  isAlive = true;
  /** It is inside of a step, which others have interrupted. */
  isBusy = false;
  /** It does nothing before that. */
  frozenUntil = 0;
  /** Keeps what it has written to shared memory until now, and takes back what it writes from now on. */
  rollBack: (() => () => void) | null = null;
  undo: (() => void) | null = null;

  constructor(scheduler: Scheduler, name: string, number: number, offsetMs: number) {
    this.name = name;
    this.number = number;
    const later = (delayMs: number): number => scheduler.time + Math.max(0, delayMs);
    let afterlife = START_MS * 2;
    this.clock = {
      // What is left of a thread that has ended comes to its next wait soon, and stays there.
      now: () => {
        if (this.isAlive) return scheduler.now() + offsetMs;
        afterlife += AFTERLIFE_STEP_MS;
        return afterlife;
      },
      time: () => scheduler.wallTime(),
      setTimeout: (callback, delayMs) => {
        const timer: PendingTimer = { due: later(delayMs), callback, unref: () => timer };
        if (this.isAlive) this.timers.push(timer);
        return timer;
      },
      clearTimeout: (timer) => {
        this.timers = this.timers.filter((each) => each !== timer);
      },
      turn: () => new Promise((resolve) => this.turns.push(resolve)),
      waitWhile: (cell, value, timeoutMs) => {
        if (this.isAlive && Atomics.load(cell, 0) !== value) return null;
        return new Promise<void>((resolve) => {
          this.waits.push({ cell, value, due: later(timeoutMs), resolve });
        });
      },
    };
  }

  /** It ends here, whatever it is doing. */
  kill(): void {
    this.isAlive = false;
    for (const list of [this.inbox, this.turns, this.timers, this.waits]) list.length = 0;
  }
}

export class Scheduler {
  time = START_MS;
  /** Milliseconds by which somebody has set the system's clock. */
  wallOffset = 0;
  steps = 0;
  /** What must not happen and has. The simulation ends with the first. */
  violation = "";
  readonly trace: Trace;
  readonly #prng: Prng;
  readonly #threads: SimThread[] = [];
  #actors: Actor[] = [];
  #depth = 0;
  #threadCount = 0;
  /** Called after each step. */
  afterStep: () => void = () => {};

  constructor(prng: Prng, trace: Trace) {
    this.#prng = prng;
    this.trace = trace;
  }

  now(): number {
    // Work takes time, now and then a lot.
    this.time += this.#prng.below(256) === 0 ? this.#prng.below(4000) / 1000 : 0.001;
    return this.time;
  }

  wallTime(): number {
    return Math.floor(this.time + this.wallOffset);
  }

  violate(text: string): void {
    if (this.violation === "") this.violation = text;
  }

  addThread(name: string, offsetMs = 0): SimThread {
    const thread = new SimThread(this, name, ++this.#threadCount, offsetMs);
    this.#threads.push(thread);
    return thread;
  }

  addActor(actor: Actor): void {
    this.#actors.push(actor);
  }

  removeActor(actor: Actor): void {
    this.#actors = this.#actors.filter((each) => each !== actor);
  }

  note(describe: () => string): void {
    this.trace.note(this.time, describe);
  }

  /** Does one thing. False if there is nothing left to do. Afterwards, promises have to be given their turn. */
  step(): boolean {
    const chosen = this.#choose() ?? this.#chooseLater();
    if (chosen === null) return false;
    this.steps += 1;
    this.time += this.#prng.below(64) / 1000;
    this.trace.mix(chosen.number * 8 + chosen.kind);
    this.trace.mix(this.time * 1000);
    const { thread } = chosen;
    if (thread !== undefined) thread.isBusy = true;
    try {
      chosen.run();
    } catch (error) {
      this.violate(`${chosen.name} threw: ${(error as Error).stack ?? error}`);
    }
    this.#finish = () => {
      if (thread !== undefined) {
        thread.isBusy = false;
        thread.undo?.();
        thread.undo = null;
      }
      this.afterStep();
    };
    return true;
  }

  #finish: () => void = () => {};

  /** The step is over, with all that promises had left to do. */
  settle(): void {
    const finish = this.#finish;
    this.#finish = () => {};
    finish();
  }

  /** A step, and what follows from it; only where that can be done at once. */
  #wholeStep(): boolean {
    if (!this.step()) return false;
    const finish = this.#finish;
    this.#finish = () => {};
    drainMicrotasks!();
    finish();
    return true;
  }

  /** The thread that is at work is inside of a system call: others do some steps, until `isReady` or `deadline`. */
  interleave(thread: SimThread, steps: number, deadline = Number.POSITIVE_INFINITY, isReady = () => false): void {
    if (drainMicrotasks === null || this.#depth >= DEPTH_MAX || this.violation !== "") return;
    const finish = this.#finish;
    this.#depth += 1;
    for (let done = 0; done < steps && this.time < deadline && this.violation === "" && !isReady(); done++) {
      if (this.#nextDue() > deadline || !this.#wholeStep()) break;
    }
    this.#depth -= 1;
    this.#finish = finish;
    // What it does from now on nobody sees.
    if (!thread.isAlive && thread.undo === null) thread.undo = thread.rollBack?.() ?? null;
  }

  /** When the first of all that is to be done is due. */
  #nextDue(): number {
    let due = Number.POSITIVE_INFINITY;
    for (const thread of this.#threads) {
      if (!thread.isAlive || thread.isBusy) continue;
      due = Math.min(due, Math.max(thread.frozenUntil, dueOf(thread)));
    }
    for (const actor of this.#actors) if (!isHeld(actor)) due = Math.min(due, actor.due());
    return due;
  }

  /** One of all the things that can be done now. */
  #choose(): Chosen | null {
    const { time } = this;
    let count = 0;
    for (let index = this.#threads.length - 1; index >= 0; index--) {
      const thread = this.#threads[index]!;
      if (!thread.isAlive && !thread.isBusy) this.#threads.splice(index, 1);
      else if (canRun(thread, time)) count += countWork(thread, time);
    }
    for (const actor of this.#actors) if (!isHeld(actor) && actor.due() <= time) count += 1;
    if (count === 0) return null;
    let which = this.#prng.below(count);
    for (const thread of this.#threads) {
      if (!canRun(thread, time)) continue;
      const own = countWork(thread, time);
      if (which < own) return takeWork(thread, time, which);
      which -= own;
    }
    for (const [index, actor] of this.#actors.entries()) {
      if (isHeld(actor) || actor.due() > time) continue;
      const { name, thread } = actor;
      if (which-- === 0) return { number: 1000 + index, kind: 5, name, thread, run: () => actor.run() };
    }
    throw new Error("there is less to do than was counted");
  }

  /** Nothing can be done now: time passes until something can. */
  #chooseLater(): Chosen | null {
    const due = this.#nextDue();
    if (due === Number.POSITIVE_INFINITY) return null;
    this.time = Math.max(this.time, due);
    return this.#choose();
  }
}

/** One thing that can be done. */
interface Chosen {
  number: number;
  kind: number;
  name: string;
  thread: SimThread | undefined;
  run: () => void;
}

function canRun({ isAlive, isBusy, frozenUntil }: SimThread, time: number): boolean {
  return isAlive && !isBusy && frozenUntil <= time;
}

/** Kinds of things that the thread could do now. */
function countWork(thread: SimThread, time: number): number {
  let count = 0;
  if (thread.inbox.length > 0) count += 1;
  if (thread.turns.length > 0) count += 1;
  if (dueTimer(thread, time) !== undefined) count += 1;
  if (endedWait(thread, time) !== undefined) count += 1;
  return count;
}

/** The first of the kind that is the `which`th of those that there are something of. */
function takeWork(thread: SimThread, time: number, which: number): Chosen {
  const { number, name } = thread;
  let left = which;
  if (thread.inbox.length > 0 && left-- === 0) {
    return { number, kind: 1, name, thread, run: () => thread.inbox.shift()!() };
  }
  if (thread.turns.length > 0 && left-- === 0) {
    return { number, kind: 2, name, thread, run: () => thread.turns.shift()!() };
  }
  const timer = dueTimer(thread, time);
  if (timer !== undefined && left-- === 0) {
    const run = (): void => {
      thread.timers.splice(thread.timers.indexOf(timer), 1);
      timer.callback();
    };
    return { number, kind: 3, name, thread, run };
  }
  const wait = endedWait(thread, time)!;
  const run = (): void => {
    thread.waits.splice(thread.waits.indexOf(wait), 1);
    wait.resolve();
  };
  return { number, kind: 4, name, thread, run };
}

function dueTimer({ timers }: SimThread, time: number): PendingTimer | undefined {
  let first: PendingTimer | undefined;
  for (const timer of timers) if (timer.due <= time && (first === undefined || timer.due < first.due)) first = timer;
  return first;
}

function endedWait({ waits }: SimThread, time: number): PendingWait | undefined {
  for (const wait of waits) if (wait.due <= time || Atomics.load(wait.cell, 0) !== wait.value) return wait;
  return undefined;
}

function isHeld({ thread }: Actor): boolean {
  return thread !== undefined && (!thread.isAlive || thread.isBusy);
}

function dueOf(thread: SimThread): number {
  if (thread.inbox.length > 0 || thread.turns.length > 0) return 0;
  let due = Number.POSITIVE_INFINITY;
  for (const timer of thread.timers) due = Math.min(due, timer.due);
  for (const wait of thread.waits) {
    due = Math.min(due, Atomics.load(wait.cell, 0) === wait.value ? wait.due : 0);
  }
  return due;
}
