/**
 * Routes that the daemon itself has to write, because the kernel holds something else than what is wanted: a queue
 * without double entries, emptied as the dataplane has room, in turns with the clients. Main thread only.
 */
import type { Clock, Timer } from "../clock.ts";
import type { Dataplane } from "../dataplane/dataplane.ts";

/** Routes written in one turn. */
const TURN_ROUTES = 64;
/** Delayed routes that fall due within this time go together. */
const GRAIN_MS = 20;

export class Reconciler {
  readonly #dataplane: Dataplane;
  readonly #clock: Clock;
  readonly #bring: (key: number) => void;
  readonly #queue = new Set<number>();
  /** When a route is to go into the queue, on the clock of core/clock.ts. */
  readonly #delayed = new Map<number, number>();
  #timer: Timer | null = null;
  #timerDue = Number.POSITIVE_INFINITY;
  #isPumping = false;
  #wakeIdle: (() => void)[] = [];

  /** `bring` writes a route, or finds that nothing is to be written. */
  constructor(dataplane: Dataplane, bring: (key: number) => void) {
    this.#dataplane = dataplane;
    this.#clock = dataplane.clock;
    this.#bring = bring;
  }

  /** Routes that are to be written now. */
  get queued(): number {
    return this.#queue.size;
  }

  /** Routes that are to be written later. */
  get delayed(): number {
    return this.#delayed.size;
  }

  /** Milliseconds until a delayed route is written; 0 if it is not delayed. */
  delayOf(key: number): number {
    const due = this.#delayed.get(key);
    return due === undefined ? 0 : Math.max(0, due - this.#clock.now());
  }

  /** Has a route written, at once or later. Asking again never makes it later. */
  add(key: number, delayMs = 0): void {
    if (this.#queue.has(key)) return;
    if (delayMs > 0) {
      const due = this.#clock.now() + delayMs;
      if (due >= (this.#delayed.get(key) ?? Number.POSITIVE_INFINITY)) return;
      this.#delayed.set(key, due);
      this.#schedule(due);
      return;
    }
    this.#delayed.delete(key);
    this.#queue.add(key);
    if (this.#isPumping) return;
    this.#isPumping = true;
    void this.#pump();
  }

  /** Resolves when nothing is to be written now. */
  idle(): Promise<void> {
    if (!this.#isPumping) return Promise.resolve();
    return new Promise((resolve) => this.#wakeIdle.push(resolve));
  }

  /** Forgets everything: the dataplane takes no more. */
  stop(): void {
    this.#queue.clear();
    this.#delayed.clear();
    if (this.#timer !== null) this.#clock.clearTimeout(this.#timer);
    this.#timer = null;
  }

  async #pump(): Promise<void> {
    // Whoever asks first asks in the middle of something.
    await this.#clock.turn();
    while (this.#queue.size > 0 && this.#dataplane.isAccepting()) {
      if (!this.#dataplane.hasRoom()) await this.#dataplane.waitForRoom();
      let turn = 0;
      for (const key of this.#queue) {
        if (turn++ >= TURN_ROUTES || !this.#dataplane.hasRoom()) break;
        this.#queue.delete(key);
        this.#bring(key);
      }
      this.#dataplane.flush();
      await this.#clock.turn();
    }
    this.#isPumping = false;
    for (const wake of this.#wakeIdle.splice(0)) wake();
  }

  #schedule(due: number): void {
    if (due >= this.#timerDue) return;
    if (this.#timer !== null) this.#clock.clearTimeout(this.#timer);
    this.#timerDue = due;
    this.#timer = this.#clock.setTimeout(() => this.#release(), Math.max(1, due - this.#clock.now()));
    this.#timer.unref();
  }

  #release(): void {
    this.#timer = null;
    this.#timerDue = Number.POSITIVE_INFINITY;
    const time = this.#clock.now() + GRAIN_MS;
    let next = Number.POSITIVE_INFINITY;
    for (const [key, due] of this.#delayed) {
      if (due <= time) this.add(key);
      else if (due < next) next = due;
    }
    if (next !== Number.POSITIVE_INFINITY) this.#schedule(next);
  }
}
