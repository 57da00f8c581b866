/** How much a plugin may fail, and how soon it is started again. Pure; times are milliseconds of one clock. */

const WINDOW_MS = 60_000;
/** First and longest pause before a plugin is started again. */
export const RESTART_MIN_MS = 1000;
export const RESTART_MAX_MS = 60_000;
/** Whoever has run so long has come to his senses: the next pause is a short one again. */
const GOOD_AFTER_MS = 60_000;

/** Errors within the last minute. */
export class ErrorBudget {
  readonly #limit: number;
  /** When they were, and how many at a time. */
  #errors: { time: number; count: number }[] = [];

  constructor(limit: number) {
    this.#limit = limit;
  }

  /** Adds errors. The number within the last minute, if that is more than there may be; else 0. */
  add(count: number, time: number): number {
    this.#errors.push({ time, count });
    this.#errors = this.#errors.filter((error) => error.time > time - WINDOW_MS);
    const sum = this.#errors.reduce((total, error) => total + error.count, 0);
    return sum > this.#limit ? sum : 0;
  }
}

/** Pauses that double, until there was a good time. */
export class BackOff {
  readonly #minMs: number;
  #restarts = 0;

  constructor(minMs: number = RESTART_MIN_MS) {
    this.#minMs = minMs;
  }

  /** The pause after a failure; `upMs` is for how long all was well before it. */
  next(upMs: number): number {
    if (upMs >= GOOD_AFTER_MS) this.#restarts = 0;
    const pauseMs = Math.min(this.#minMs * 2 ** this.#restarts, RESTART_MAX_MS);
    this.#restarts += 1;
    return pauseMs;
  }

  /** Somebody has seen to it: the next pause is the first. */
  reset(): void {
    this.#restarts = 0;
  }
}
