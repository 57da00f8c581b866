/**
 * Whether a thread shows signs of life, as the main thread sees it: by whether its heartbeat changes, not by what the
 * heartbeat says, because the clocks of two threads agree only until somebody sets the system's.
 */
import type { Clock } from "../clock.ts";

/** Most that one look adds to the age: a process that was stopped, or a main thread that was held, saw nothing. */
const LOOK_MAX_MS = 2000;

export class Pulse {
  #beat = 0;
  #ageMs = 0;
  readonly #clock: Clock;
  /** When the thread was started, which this is made with. */
  readonly startedAt: number;
  #lookedAt: number;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.startedAt = clock.now();
    this.#lookedAt = this.startedAt;
  }

  /** Looks, and returns why the thread is taken for stuck: it shows no sign of life, or has not come up. Empty if it is not. */
  stuckReason(beat: number, isUp: boolean, stuckAfterMs: number, startDeadlineMs: number): string {
    const age = this.ageMs(beat);
    if (isUp) return age >= stuckAfterMs ? `no sign of life for ${Math.round(age)} ms` : "";
    const isLate = this.#clock.now() - this.startedAt >= startDeadlineMs;
    return isLate ? `it has not come up within ${startDeadlineMs} ms` : "";
  }

  /** Looks at the heartbeat and returns for how long it has not changed; 0 for a thread that has not begun. */
  ageMs(beat: number): number {
    const time = this.#clock.now();
    const elapsedMs = Math.min(time - this.#lookedAt, LOOK_MAX_MS);
    this.#lookedAt = time;
    this.#ageMs = beat === this.#beat && beat !== 0 ? this.#ageMs + elapsedMs : 0;
    this.#beat = beat;
    return this.#ageMs;
  }
}
