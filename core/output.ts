/**
 * What the command line and the log share about writing text to a descriptor.
 * `process.stdout` is avoided on purpose: on Bun, touching it makes the descriptor non-blocking, after which a write to a
 * full pipe fails with EAGAIN and `process.exit` loses what is still buffered.
 */
import { writeSync } from "node:fs";

/** What a shell sees of a program that SIGPIPE ended; ours ends by itself, because Bun and Deno ignore that signal. */
export const EXIT_BROKEN_PIPE = 128 + 13;

const encoder = new TextEncoder();
const pauseCell = new Int32Array(new SharedArrayBuffer(4));

/**
 * Writes all of `data`; where the descriptor is non-blocking and full, tries again until its reader takes more. It waits,
 * so the daemon must not use it while it serves.
 */
export function writeAll(fd: number, data: string | Uint8Array): void {
  const bytes = typeof data === "string" ? encoder.encode(data) : data;
  let offset = 0;
  while (offset < bytes.length) {
    try {
      offset += writeSync(fd, bytes, offset, bytes.length - offset);
    } catch (error) {
      if (errorCode(error) !== "EAGAIN") throw error;
      Atomics.wait(pauseCell, 0, 0, 1);
    }
  }
}

/** Whether the reader of our output went away, as with `dplaned route list | head`. */
export function isBrokenPipe(error: unknown): boolean {
  return errorCode(error) === "EPIPE";
}

/** The errno name of a failed system call, or undefined for any other error. */
export function errorCode(error: unknown): string | undefined {
  if (!(error instanceof Error) || !("code" in error)) return undefined;
  return typeof error.code === "string" ? error.code : undefined;
}

/**
 * Text with its control characters spelled out. Names and messages that others sent end up in logs and on terminals, where
 * none of them may start a line or drive the terminal; `kept` are the characters that the text's own form needs.
 */
export function escapeControls(text: string, kept = ""): string {
  return text.replace(/\p{Cc}/gu, (character) =>
    kept.includes(character) ? character : `\\x${character.charCodeAt(0).toString(16).padStart(2, "0")}`,
  );
}
