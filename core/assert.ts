/** Assertions on the programmer's own mistakes: a failed one stops the thread. What a user or the kernel does wrong is a value, never an assertion. */

export class AssertionError extends Error {
  override name = "AssertionError";
}

/**
 * Throws an {@linkcode AssertionError} unless `condition` holds. On hot paths `message` is a constant: a text put together
 * for each call would cost more than what it guards.
 */
export function assert(condition: unknown, message: string): asserts condition {
  if (!condition) throw new AssertionError(`Assertion failed: ${message}`);
}
