/** Waiting in tests: for a condition, never for a time. The test's own time limit is the deadline. */

/** Resolves when the condition holds. */
export async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await turn();
}

/** Resolves when the value has not changed over many turns of the event loop and holds the condition. */
export async function settled<T>(read: () => T, condition: (value: T) => boolean): Promise<T> {
  let last = read();
  for (let still = 0; still < 50; still++) {
    await turn();
    const value = read();
    if (value !== last || !condition(value)) still = 0;
    last = value;
  }
  return last;
}

/** A turn of the event loop in which a millisecond of timers and I/O may run. */
function turn(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 1));
}
