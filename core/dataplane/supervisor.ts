/**
 * Threads as the main thread sees them: started, watched, and known to be gone. What to do about a death is the
 * dataplane's business (core/dataplane/dataplane.ts).
 */
import { type Clock, pause } from "../clock.ts";
import { TERMINATE_DEADLINE_MS } from "../constants.ts";
import type { DataplaneStart, FromThread, ProviderStart, ToThread } from "./thread.ts";

/** A running thread, made by main.ts. */
export interface ThreadHandle {
  post(message: ToThread, transfer?: readonly ArrayBuffer[]): void;
  /** Ends the thread whatever it is doing. */
  terminate(): Promise<void>;
}

export interface ThreadEvents {
  onMessage(message: FromThread): void;
  /** Once, however it ended; `error` is empty for a thread that returned. */
  onExit(error: string): void;
}

export type SpawnThread = (start: DataplaneStart | ProviderStart, events: ThreadEvents) => ThreadHandle;

/** One thread and whether it is up. */
export class Thread {
  readonly name: string;
  readonly #handle: ThreadHandle;
  readonly #clock: Clock;
  readonly ready: Promise<void>;
  /** Resolves with the reason when the thread is gone. */
  readonly gone: Promise<string>;
  #alive = true;
  /** Why it is being ended by force; empty while it is not. */
  #ending = "";

  constructor(
    name: string,
    spawn: SpawnThread,
    start: DataplaneStart | ProviderStart,
    onMessage: (message: FromThread) => void,
    clock: Clock,
  ) {
    this.name = name;
    this.#clock = clock;
    const ready = Promise.withResolvers<void>();
    const gone = Promise.withResolvers<string>();
    this.ready = ready.promise;
    this.gone = gone.promise;
    const onExit = (error: string): void => {
      if (!this.#alive) return;
      this.#alive = false;
      const reason = this.#ending || error || `thread ${name} ended`;
      ready.reject(new Error(reason));
      gone.resolve(reason);
    };
    // Nobody may be waiting for readiness when the thread dies.
    this.ready.catch(() => {});
    this.#handle = spawn(start, {
      onMessage: (message) => {
        if (message.type === "ready") ready.resolve();
        onMessage(message);
      },
      onExit,
    });
    this.#onTerminated = onExit;
  }

  readonly #onTerminated: (error: string) => void;

  get alive(): boolean {
    return this.#alive;
  }

  post(message: ToThread, transfer?: readonly ArrayBuffer[]): void {
    if (this.#alive) this.#handle.post(message, transfer);
  }

  /**
   * Ends the thread; `gone` resolves with `reason`, also where the runtime reports no exit of a terminated thread. Resolves
   * with false if it does not end, as one may that waits in the kernel: it is given up, and may still wake up one day.
   */
  async terminate(reason: string): Promise<boolean> {
    if (!this.#alive) return true;
    this.#ending = reason;
    const hasEnded = await Promise.race([
      this.#handle.terminate().then(() => true),
      pause(this.#clock, TERMINATE_DEADLINE_MS, { keepsAlive: false }).then(() => false),
    ]);
    this.#onTerminated(reason);
    return hasEnded;
  }
}

/** Deaths of a thread, and whether there are too many of them to go on. */
export class DeathCount {
  readonly #windowMs: number;
  readonly #max: number;
  #deaths: number[] = [];

  constructor(windowMs: number, max: number) {
    this.#windowMs = windowMs;
    this.#max = max;
  }

  /** Deaths within the window. */
  get recent(): number {
    return this.#deaths.length;
  }

  /** Counts one. True if there were more than may be. */
  add(time: number): boolean {
    this.#deaths = this.#deaths.filter((death) => time - death < this.#windowMs);
    this.#deaths.push(time);
    return this.#deaths.length > this.#max;
  }
}
