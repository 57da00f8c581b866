/** The programs that `make reliability` runs, each a process of its own that leaves its figures as JSON. */
import { type ChildProcess, spawn } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";

const ROOT = fileURLToPath(new URL("..", import.meta.url).href);

export class Programs {
  readonly #folder: string;
  readonly #running = new Set<ChildProcess>();
  #count = 0;
  #isInterrupted = false;

  /** `folder`: for their figures. */
  constructor(folder: string) {
    this.#folder = folder;
  }

  /** Ends those that run; each cleans up after itself. */
  interrupt(): void {
    this.#isInterrupted = true;
    for (const child of this.#running) child.kill("SIGTERM");
  }

  /** Runs a script to its end and returns its figures. What it prints goes to standard error. */
  async run<Figures>(script: string, args: readonly string[]): Promise<Figures> {
    if (this.#isInterrupted) throw new Error("interrupted");
    const json = join(this.#folder, `${++this.#count}.json`);
    const words = [script, ...args, "--json", json];
    const child = spawn(process.execPath, words, { cwd: ROOT, stdio: ["ignore", 2, 2] });
    this.#running.add(child);
    const [status, signal] = await new Promise<[number | null, string | null]>((end, fail) => {
      child.once("exit", (code, name) => end([code, name]));
      child.once("error", fail);
    });
    this.#running.delete(child);
    if (this.#isInterrupted) throw new Error("interrupted");
    if (!existsSync(json))
      throw new Error(`${script} ended without figures, with ${signal ?? `exit status ${status}`}`);
    const figures = JSON.parse(readFileSync(json, "utf8")) as Figures;
    // Its figures say what was found, and it must have ended accordingly: 0, or 1 for a finding.
    if (status !== 0 && status !== 1) throw new Error(`${script} ended with ${signal ?? `exit status ${status}`}`);
    return figures;
  }
}
