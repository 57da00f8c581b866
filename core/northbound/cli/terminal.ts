/**
 * The terminal as a full-screen program needs it: the alternate screen without a cursor, keys as they are pressed, its size,
 * and everything as it was at the end, however that comes. Main thread of a client process.
 */
import process from "node:process";
import { isatty } from "node:tty";
import { writeAll } from "../../output.ts";

export interface TerminalEvents {
  /** What was typed. */
  onKeys(keys: string): void;
  /** It has another size, or was given to others meanwhile: everything is to be drawn anew. */
  onRedraw(): void;
  /** The process is asked to end. */
  onStop(signal: NodeJS.Signals): void;
}

export interface Terminal {
  readonly size: { columns: number; rows: number };
  write(text: string): void;
  /** Takes the screen and the keyboard. */
  open(events: TerminalEvents): void;
  /** Gives both to whoever is in front until the shell says `fg`. */
  suspend(): void;
  /** Gives both back for good. */
  close(): void;
}

/** xterm's alternate screen, cleared; no cursor; lines that are too long are cut instead of wrapped. */
const ENTER = "\x1b[?1049h\x1b[2J\x1b[?25l\x1b[?7l";
const LEAVE = "\x1b[?7h\x1b[?25h\x1b[?1049l";

const STOP_SIGNALS = ["SIGINT", "SIGTERM", "SIGHUP"] as const;
const SIZE_DEFAULT = { columns: 80, rows: 24 };

/** The process's terminal, if both its input and its output are one. */
export function openTerminal(): Terminal | undefined {
  return isatty(0) && isatty(1) ? new ProcessTerminal() : undefined;
}

class ProcessTerminal implements Terminal {
  #events: TerminalEvents | null = null;
  readonly #onData = (data: Buffer | string): void => this.#events?.onKeys(String(data));
  readonly #onResize = (): void => this.#events?.onRedraw();
  readonly #onStop = (signal: NodeJS.Signals): void => this.#events?.onStop(signal);
  readonly #onContinue = (): void => {
    this.#take();
    this.#events?.onRedraw();
  };

  get size(): { columns: number; rows: number } {
    const { columns = 0, rows = 0 } = process.stdout;
    return columns > 0 && rows > 0 ? { columns, rows } : SIZE_DEFAULT;
  }

  write(text: string): void {
    writeAll(1, text);
  }

  open(events: TerminalEvents): void {
    this.#events = events;
    process.stdin.on("data", this.#onData);
    process.stdout.on("resize", this.#onResize);
    process.on("SIGCONT", this.#onContinue);
    for (const signal of STOP_SIGNALS) process.on(signal, this.#onStop);
    this.#take();
  }

  suspend(): void {
    this.#give();
    // The whole job, as the terminal itself would: whoever is in a pipe with us stops too.
    process.kill(0, "SIGTSTP");
  }

  close(): void {
    if (this.#events === null) return;
    this.#events = null;
    process.stdin.off("data", this.#onData);
    process.stdout.off("resize", this.#onResize);
    process.off("SIGCONT", this.#onContinue);
    for (const signal of STOP_SIGNALS) process.off(signal, this.#onStop);
    this.#give();
    process.stdin.pause();
  }

  #take(): void {
    process.stdin.setRawMode(true);
    process.stdin.resume();
    this.write(ENTER);
  }

  #give(): void {
    this.write(LEAVE);
    process.stdin.setRawMode(false);
  }
}
