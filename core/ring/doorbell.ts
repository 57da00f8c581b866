/**
 * Wakes a thread that has nothing to do. The one who rings adds to a shared number, then notifies; the one who sleeps
 * remembers the number from before it last looked for work, so a ring between looking and sleeping is never lost: the
 * wait returns at once because the number has moved.
 */

export function createDoorbellStorage(): SharedArrayBuffer {
  return new SharedArrayBuffer(64);
}

export class Doorbell {
  readonly #cell: Int32Array;

  constructor(storage: SharedArrayBuffer) {
    this.#cell = new Int32Array(storage, 0, 1);
  }

  /** Wakes whoever waits; call it after the work is visible (after the ring's P1). */
  ring(): void {
    Atomics.add(this.#cell, 0, 1);
    Atomics.notify(this.#cell, 0);
  }

  /** The number to pass to {@linkcode wait}; read it before looking for work. */
  read(): number {
    return Atomics.load(this.#cell, 0);
  }

  /** Resolves when the bell has rung since `seen` was read, or after `timeoutMs`. The thread's event loop goes on. */
  async wait(seen: number, timeoutMs: number): Promise<void> {
    const outcome = Atomics.waitAsync(this.#cell, 0, seen, timeoutMs);
    if (outcome.async) await outcome.value;
  }
}
