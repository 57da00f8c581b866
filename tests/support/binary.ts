/** How tests run the compiled binary as a client, or any other program, without blocking the test's own event loop. */
import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import process from "node:process";
import { BINARY } from "../../scripts/daemon_process.ts";
import { skipReason } from "./netns.ts";

export interface Ended {
  status: number | null;
  signal: NodeJS.Signals | null;
  stdout: string;
  stderr: string;
}

export interface RunOptions {
  cwd?: string;
  input?: string;
  environment?: Readonly<Record<string, string | undefined>>;
}

/** Why the compiled binary cannot be tested here. */
export function binarySkipReason(): string | false {
  return existsSync(BINARY) ? false : "there is no compiled binary (make build)";
}

/** Why the compiled daemon cannot be tested in a namespace here. */
export function daemonSkipReason(): string | false {
  return binarySkipReason() || skipReason();
}

/** A program at work; what it has printed so far can be read all the time. */
export class RunningProgram {
  stdout = "";
  stderr = "";
  readonly ended: Promise<Ended>;
  readonly #child: ReturnType<typeof spawn>;

  constructor(program: string, args: readonly string[], { cwd, input, environment = {} }: RunOptions = {}) {
    const env = { ...process.env, ...environment };
    const child = spawn(program, args, { cwd, env, stdio: ["pipe", "pipe", "pipe"] });
    this.#child = child;
    child.stdout.setEncoding("utf8").on("data", (text: string) => {
      this.stdout += text;
    });
    child.stderr.setEncoding("utf8").on("data", (text: string) => {
      this.stderr += text;
    });
    // A program that does not read its input may be gone before it is written.
    child.stdin.on("error", () => undefined);
    child.stdin.end(input);
    this.ended = new Promise((resolve, reject) => {
      child.once("error", reject);
      child.once("close", (status, signal) => resolve({ status, signal, stdout: this.stdout, stderr: this.stderr }));
    });
  }

  get pid(): number {
    return this.#child.pid!;
  }

  kill(signal: NodeJS.Signals): void {
    this.#child.kill(signal);
  }
}

export function runProgram(program: string, args: readonly string[], options: RunOptions = {}): Promise<Ended> {
  return new RunningProgram(program, args, options).ended;
}

/** Runs the compiled binary to its end. */
export function runBinary(args: readonly string[], options: RunOptions = {}): Promise<Ended> {
  return runProgram(BINARY, args, options);
}
