/** Whoever waits for results of updates, by the number that goes with each update. Main thread only. */
import type { UpdateSession } from "./outcome.ts";

/** Stands for the session of an update whose result nobody waits for. */
export const NO_SESSION = 0;

export class Sessions {
  readonly #sessions = new Map<number, UpdateSession>();
  #last = NO_SESSION;
  /** The session of the last result, which mostly is that of the next. */
  #recent: UpdateSession | undefined;
  #recentId = NO_SESSION;

  /** Its number, which no other that is open has. */
  open(session: UpdateSession): number {
    do this.#last = (this.#last + 1) >>> 0 || 1;
    while (this.#sessions.has(this.#last));
    this.#sessions.set(this.#last, session);
    return this.#last;
  }

  close(id: number): void {
    this.#sessions.delete(id);
    if (id !== this.#recentId) return;
    // Which is also the number of nobody's.
    this.#recentId = NO_SESSION;
    this.#recent = undefined;
  }

  /** Undefined if nobody waits, or not any more. */
  get(id: number): UpdateSession | undefined {
    if (id !== this.#recentId) {
      this.#recent = this.#sessions.get(id);
      this.#recentId = id;
    }
    return this.#recent;
  }
}
