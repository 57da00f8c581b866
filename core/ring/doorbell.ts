/**
 * Wakes a thread that has nothing to do. The one who rings adds to a shared number; the one who sleeps remembers the number
 * from before it last looked for work, so a ring between looking and sleeping is never lost: the wait returns at once
 * because the number has moved.
 *
 * To notify costs microseconds, and mostly nobody sleeps. So sleepers are counted: the count goes up before the number is
 * compared (D1), and the number is moved before the count is read (D2). Either the sleeper sees the number moved, or the one
 * who rings sees the sleeper.
 */

import { type Clock, SYSTEM_CLOCK } from "../clock.ts";

/** Away from the number, which the one who rings writes all the time. */
const SLEEPERS_OFFSET = 64;

export function createDoorbellStorage(): SharedArrayBuffer {
  return new SharedArrayBuffer(128);
}

export class Doorbell {
  readonly #cell: Int32Array;
  readonly #sleepers: Int32Array;
  readonly #clock: Clock;

  /** Whoever waits gives the clock of its thread. */
  constructor(storage: SharedArrayBuffer, clock: Clock = SYSTEM_CLOCK) {
    this.#clock = clock;
    this.#cell = new Int32Array(storage, 0, 1);
    this.#sleepers = new Int32Array(storage, SLEEPERS_OFFSET, 1);
  }

  /** Wakes whoever waits; call it after the work is visible (after the ring's P1). */
  ring(): void {
    Atomics.add(this.#cell, 0, 1); // D2, seen by D1
    if (Atomics.load(this.#sleepers, 0) > 0) Atomics.notify(this.#cell, 0);
  }

  /** The number to pass to {@linkcode wait}; read it before looking for work. */
  read(): number {
    return Atomics.load(this.#cell, 0);
  }

  /** Resolves when the bell has rung since `seen` was read, or after `timeoutMs`. The thread's event loop goes on. */
  async wait(seen: number, timeoutMs: number): Promise<void> {
    Atomics.add(this.#sleepers, 0, 1); // D1, seen by D2
    const waiting = this.#clock.waitWhile(this.#cell, seen, timeoutMs);
    if (waiting !== null) await waiting;
    Atomics.sub(this.#sleepers, 0, 1);
  }
}
