/** feed.c as a child: streams a file to a program that programs routes. */
import { LineProgram, type NativePrograms } from "../native.ts";
import type { CpuSeconds } from "../process_cost.ts";

export interface Fed {
  ms: number;
  client: CpuSeconds;
  /** Routes that were said to be well, where it is said. */
  good: number;
}

export class Feeder {
  readonly #program: LineProgram;

  constructor(native: NativePrograms, ...args: readonly string[]) {
    this.#program = new LineProgram(native.path("feed"), args);
  }

  get pid(): number {
    return this.#program.pid;
  }

  async send(file: string, routes: number): Promise<Fed> {
    const answer = await this.#program.ask(`${file} ${routes}`);
    const [nanoseconds, user, system, , good] = answer.split(" ").map(Number);
    return { ms: nanoseconds! / 1e6, client: { user: user! / 1e6, system: system! / 1e6 }, good: good! };
  }

  end(): Promise<void> {
    return this.#program.end();
  }
}

/** Throws where not all routes of an op were said to be well. */
export function expectAll(name: string, good: number, routes: number): void {
  if (good !== routes) throw new Error(`${name}: ${good} of ${routes} routes were said to be well`);
}
