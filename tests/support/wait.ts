/** Waiting for a condition instead of for a time. */
import { clearInterval, setImmediate, setInterval } from "node:timers";

/** Lets timers and messages run until `condition` holds; throws with `what` when it has not in `timeoutMs`. */
export async function until(
  what: string | (() => string),
  condition: () => boolean | Promise<boolean>,
  timeoutMs = 20_000,
): Promise<void> {
  const deadline = performance.now() + timeoutMs;
  while (!(await condition())) {
    if (performance.now() > deadline) {
      throw new Error(`Waited ${timeoutMs} ms in vain until ${typeof what === "string" ? what : what()}`);
    }
    await new Promise((resolve) => setImmediate(resolve));
  }
}

/** Waits for a promise that does not keep Deno's event loop alive by itself, as those of Atomics.waitAsync. */
export async function keepAlive<Value>(promise: Promise<Value>): Promise<Value> {
  const timer = setInterval(() => {}, 1000);
  try {
    return await promise;
  } finally {
    clearInterval(timer);
  }
}
