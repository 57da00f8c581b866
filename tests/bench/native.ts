/** The programs in C that the benchmarks use, compiled when first asked for; and children of ours, measured. */
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

export type NativeProgram = "feed" | "netlink_loop" | "measured";

/** Why nothing can be compiled here. */
export function compilerSkipReason(): string | false {
  return spawnSync("cc", ["--version"]).status === 0 ? false : "there is no C compiler (cc)";
}

export class NativePrograms {
  readonly #folder: string;
  readonly #compiled = new Set<NativeProgram>();

  /** Executables go to `folder`. */
  constructor(folder: string) {
    this.#folder = folder;
  }

  path(program: NativeProgram): string {
    const executable = join(this.#folder, program);
    if (!this.#compiled.has(program)) {
      const source = fileURLToPath(new URL(`contenders/${program}.c`, import.meta.url).href);
      const { status, stderr } = spawnSync("cc", ["-O2", "-o", executable, source], { encoding: "utf8" });
      if (status !== 0) throw new Error(`cc ${source}: ${stderr}`);
      this.#compiled.add(program);
    }
    return executable;
  }
}

/** A child that answers each line with a line. */
export class LineProgram {
  readonly #child: ChildProcess;
  readonly #lines: AsyncIterator<string>;
  readonly #name: string;
  #errors = "";
  #isAsked = false;

  constructor(program: string, args: readonly string[]) {
    this.#name = program;
    this.#child = spawn(program, args, { stdio: ["pipe", "pipe", "pipe"] });
    this.#child.stderr!.setEncoding("utf8").on("data", (text: string) => {
      this.#errors += text;
    });
    this.#child.stdin!.on("error", () => undefined);
    this.#lines = createInterface({ input: this.#child.stdout! })[Symbol.asyncIterator]();
  }

  get pid(): number {
    return this.#child.pid!;
  }

  async ask(line: string): Promise<string> {
    this.#isAsked = true;
    this.#child.stdin!.write(`${line}\n`);
    const answer = await this.#lines.next();
    this.#isAsked = false;
    if (answer.done) throw new Error(`${this.#name} ended: ${this.#errors}`);
    return answer.value;
  }

  /** Ends it, also in the middle of an answer. */
  async end(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    if (this.#isAsked) this.#child.kill("SIGKILL");
    else this.#child.stdin!.end();
    await once(this.#child, "close");
  }
}
