/** What a client command touches of its process, in one object that tests replace. Main thread of a client process. */
import type { Readable } from "node:stream";
import { isatty } from "node:tty";
import { writeAll } from "../../output.ts";
import { openTerminal, type Terminal } from "./terminal.ts";

export interface CliIo {
  stdout(text: string): void;
  stderr(text: string): void;
  /** Width of the terminal on standard error; undefined where that is no terminal. */
  readonly columns: number | undefined;
  readonly environment: Readonly<Record<string, string | undefined>>;
  stdin(): Readable;
  /** Calls back at the first Ctrl-C, in place of the process's end; the function returned calls that off. */
  onInterrupt(callback: () => void): () => void;
  /** The terminal that a full-screen command may take; undefined where there is none. */
  terminal(): Terminal | undefined;
}

export function createCliIo(): CliIo {
  return {
    stdout: (text) => writeAll(1, text),
    stderr: (text) => writeAll(2, text),
    columns: isatty(2) ? process.stderr.columns || 80 : undefined,
    environment: process.env,
    stdin: () => process.stdin,
    onInterrupt: (callback) => {
      process.once("SIGINT", callback);
      return () => process.off("SIGINT", callback);
    },
    terminal: openTerminal,
  };
}
