/**
 * Runs everything that promises have left to do, before the next step of a simulation. Bun can do so in the middle of
 * something, and then a thread that waits for the kernel can be interrupted by others; elsewhere the event loop has to turn.
 */
import { setImmediate } from "node:timers";

/** Null where that cannot be done at once. */
export const drainMicrotasks: (() => void) | null = await findDrain();

async function findDrain(): Promise<(() => void) | null> {
  if (!("Bun" in globalThis)) return null;
  const name = "bun:jsc";
  const engine = (await import(name)) as { drainMicrotasks: () => void };
  return engine.drainMicrotasks;
}

/** The same, wherever it runs. */
export function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
