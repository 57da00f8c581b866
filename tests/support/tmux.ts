/** A real terminal for tests: tmux, on a server of its own, which interprets what a program writes and tells what it shows. */
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import process from "node:process";
import { until } from "./wait.ts";

const TMUX = "/usr/bin/tmux";
let counter = 0;

export function tmuxSkipReason(): string | false {
  return existsSync(TMUX) ? false : `no ${TMUX} (package tmux)`;
}

export class TmuxTerminal {
  readonly #server = `dplaned-test-${process.pid}-${++counter}`;

  /** Starts a shell in it. */
  constructor(columns: number, rows: number, environment: Readonly<Record<string, string>> = {}) {
    // Whoever runs the tests may want no colours; that is not what is tested.
    const variables = { LANG: "C.UTF-8", NO_COLOR: "", ...environment };
    const set = Object.entries(variables).flatMap(([name, value]) => ["-e", `${name}=${value}`]);
    this.#tmux(
      "new-session",
      "-d",
      "-x",
      String(columns),
      "-y",
      String(rows),
      "-s",
      "x",
      ...set,
      "/bin/bash --norc --noprofile",
    );
  }

  #tmux(...args: string[]): string {
    const { status, stdout, stderr } = spawnSync(TMUX, ["-L", this.#server, "-f", "/dev/null", ...args], {
      encoding: "utf8",
    });
    if (status !== 0) throw new Error(`tmux ${args.join(" ")}: ${stderr.trim()}`);
    return stdout;
  }

  /** The lines that are shown; with `styles`, as they were styled. */
  lines({ styles = false } = {}): string[] {
    return this.#tmux("capture-pane", "-p", ...(styles ? ["-e"] : []), "-t", "x")
      .split("\n")
      .slice(0, -1);
  }

  /** Types a line, and Enter. */
  run(command: string): void {
    this.#tmux("send-keys", "-t", "x", "-l", command);
    this.press("Enter");
  }

  /** Presses keys by tmux's names: `q`, `C-c`. */
  press(...keys: string[]): void {
    this.#tmux("send-keys", "-t", "x", ...keys);
  }

  resize(columns: number, rows: number): void {
    this.#tmux("resize-window", "-t", "x", "-x", String(columns), "-y", String(rows));
  }

  /** `1` or `0` for each of: the alternate screen is shown, the cursor is, long lines wrap. */
  get state(): string {
    return this.#tmux("display-message", "-p", "-t", "x", "#{alternate_on}#{cursor_flag}#{wrap_flag}").trim();
  }

  /** Waits until some line is like this. */
  sees(pattern: RegExp): Promise<void> {
    return until(
      () => `${pattern} is shown:\n${this.lines().join("\n")}`,
      () => this.lines().some((line) => pattern.test(line)),
    );
  }

  close(): void {
    spawnSync(TMUX, ["-L", this.#server, "kill-server"]);
  }
}
