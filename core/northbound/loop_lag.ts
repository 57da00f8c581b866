/** How late the main thread's timers come, for the metrics and the overview. Main thread. */
import { setInterval } from "node:timers";
import { now } from "../clock.ts";

const LAG_INTERVAL_MS = 100;
/** The worst is remembered for one to two of these. */
const LAG_WINDOW_MS = 30_000;

/** How late timers come: what a slow turn of the event loop does to everybody else. */
export class LoopLag {
  last = 0;
  #max = 0;
  #maxBefore = 0;

  constructor(shutdown: AbortSignal) {
    let due = now() + LAG_INTERVAL_MS;
    let windowEnd = due + LAG_WINDOW_MS;
    const timer = setInterval(() => {
      const time = now();
      this.last = Math.max(0, time - due);
      due = time + LAG_INTERVAL_MS;
      if (time > windowEnd) {
        this.#maxBefore = this.#max;
        this.#max = 0;
        windowEnd = time + LAG_WINDOW_MS;
      }
      this.#max = Math.max(this.#max, this.last);
    }, LAG_INTERVAL_MS);
    timer.unref();
    shutdown.addEventListener("abort", () => clearInterval(timer), { once: true });
  }

  max(): number {
    return Math.max(this.#max, this.#maxBefore);
  }
}
