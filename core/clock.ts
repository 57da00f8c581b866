/**
 * Time, and waiting for it: what everything of a thread that needs either goes by, so that a test can put a simulated one
 * in its place (tests/sim).
 *
 * One clock for all threads, in milliseconds with a microsecond's grain, that never goes back within a thread.
 * `performance.now()` and `process.hrtime()` both count from each thread's own start on both runtimes; adding when that
 * was makes the threads agree. They disagree by as much as somebody set the system's clock between two threads' starts:
 * good enough to measure with, so nothing is decided by comparing the times of two threads.
 */
import { clearTimeout, setImmediate, setTimeout } from "node:timers";

const origin = performance.timeOrigin;

/** Milliseconds since about 1970, rising steadily. */
export function now(): number {
  return origin + performance.now();
}

/** What to add to {@linkcode now} to get milliseconds since 1970 as the system's clock tells them. */
export function epochOffset(): number {
  return Date.now() - now();
}

/** A timer that is set. */
export interface Timer {
  /** The timer does not keep the process from ending. */
  unref(): Timer;
}

export interface Clock {
  /** Milliseconds since about 1970, rising steadily. */
  now(): number;
  /** Milliseconds since 1970 as the system's clock tells them, which somebody may set. */
  time(): number;
  setTimeout(callback: () => void, delayMs: number): Timer;
  clearTimeout(timer: Timer): void;
  /** Resolves when the thread's event loop has run once. */
  turn(): Promise<void>;
  /**
   * Resolves when the cell is notified while it holds `value`, or after `timeoutMs`, and leaves the event loop running
   * meanwhile. Null if the cell holds something else already.
   */
  waitWhile(cell: Int32Array, value: number, timeoutMs: number): Promise<unknown> | null;
}

/** Resolves after a while. Without `keepsAlive` it does not keep the process from ending. */
export function pause(clock: Clock, delayMs: number, { keepsAlive = true } = {}): Promise<void> {
  return new Promise((resolve) => {
    const timer = clock.setTimeout(resolve, delayMs);
    if (!keepsAlive) timer.unref();
  });
}

/** The machine's own. */
export const SYSTEM_CLOCK: Clock = {
  now,
  time: () => Date.now(),
  setTimeout: (callback, delayMs) => setTimeout(callback, delayMs),
  clearTimeout: (timer) => clearTimeout(timer as ReturnType<typeof setTimeout>),
  turn: () => new Promise((resolve) => setImmediate(resolve)),
  waitWhile: (cell, value, timeoutMs) => {
    const outcome = Atomics.waitAsync(cell, 0, value, timeoutMs);
    return outcome.async ? outcome.value : null;
  },
};
