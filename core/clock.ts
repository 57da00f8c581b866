/**
 * One clock for all threads, in milliseconds with a microsecond's grain, that never goes back within a thread.
 * `performance.now()` and `process.hrtime()` both count from each thread's own start on both runtimes; adding when that
 * was makes the threads agree. They disagree by as much as somebody set the system's clock between two threads' starts:
 * good enough to measure with, so nothing is decided by comparing the times of two threads.
 */

const origin = performance.timeOrigin;

/** Milliseconds since about 1970, rising steadily. */
export function now(): number {
  return origin + performance.now();
}

/** What to add to {@linkcode now} to get milliseconds since 1970 as the system's clock tells them. */
export function epochOffset(): number {
  return Date.now() - now();
}
