/**
 * Shares the main thread out among the streams of the API: they may work for a slice all together, and then the event
 * loop runs, so that a health probe is answered and results are settled however much there is to do. Main thread.
 */
import { type Clock, SYSTEM_CLOCK } from "../clock.ts";

/** Results have a slice of their own (RESULTS_SLICE_MS); both and what else is due stay below 10 ms. */
const SLICE_MS = 2;

export class Pacer {
  /** When the slice ends; 0 if the event loop has run since the last one and none has begun. */
  #end = 0;
  readonly #clock: Clock;

  constructor(clock: Clock = SYSTEM_CLOCK) {
    this.#clock = clock;
  }

  /** Whether whoever works now must {@linkcode pause}. The first question after the event loop ran begins a slice. */
  isOver(): boolean {
    const time = this.#clock.now();
    if (this.#end === 0) {
      this.#end = time + SLICE_MS;
      void this.#clock.turn().then(() => {
        this.#end = 0;
      });
    }
    return time >= this.#end;
  }

  /** Lets the event loop run. */
  pause(): Promise<void> {
    return this.#clock.turn();
  }
}
