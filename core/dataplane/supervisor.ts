/**
 * Threads as the main thread sees them: started, watched, and known to be gone. What to do about a death is the
 * dataplane's business (core/dataplane/dataplane.ts).
 */
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
  readonly ready: Promise<void>;
  /** Resolves with the reason when the thread is gone. */
  readonly gone: Promise<string>;
  #alive = true;

  constructor(
    name: string,
    spawn: SpawnThread,
    start: DataplaneStart | ProviderStart,
    onMessage: (message: FromThread) => void,
  ) {
    this.name = name;
    const ready = Promise.withResolvers<void>();
    const gone = Promise.withResolvers<string>();
    this.ready = ready.promise;
    this.gone = gone.promise;
    const onExit = (error: string): void => {
      if (!this.#alive) return;
      this.#alive = false;
      const reason = error === "" ? `thread ${name} ended` : error;
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

  /** Ends the thread; `gone` resolves with `reason`, also where the runtime reports no exit of a terminated thread. */
  async terminate(reason: string): Promise<void> {
    if (!this.#alive) return;
    await this.#handle.terminate();
    this.#onTerminated(reason);
  }
}
