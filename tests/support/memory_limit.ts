/** A limit of memory for processes, by a cgroup of version 1 or 2. */
import { existsSync, mkdirSync, readFileSync, rmdirSync, writeFileSync } from "node:fs";
import process from "node:process";

const V1 = "/sys/fs/cgroup/memory";
const V2 = "/sys/fs/cgroup";

export class MemoryLimit {
  readonly #path: string;
  readonly #isV2: boolean;

  constructor(path: string, isV2: boolean) {
    this.#path = path;
    this.#isV2 = isV2;
  }

  /** Makes a group with this limit; throws with the reason where none can be made. */
  static create(bytes: number): MemoryLimit {
    const isV2 = existsSync(`${V2}/cgroup.controllers`);
    if (isV2 && !readFileSync(`${V2}/cgroup.controllers`, "latin1").includes("memory")) {
      throw new Error("the cgroups of this machine do not limit memory");
    }
    const path = `${isV2 ? V2 : V1}/dplaned-test-${process.pid}-${bytes}`;
    mkdirSync(path);
    const limit = new MemoryLimit(path, isV2);
    try {
      if (isV2 && !existsSync(`${path}/memory.max`)) throw new Error("memory is not delegated to cgroups here");
      writeFileSync(`${path}/${isV2 ? "memory.max" : "memory.limit_in_bytes"}`, String(bytes));
      return limit;
    } catch (error) {
      limit.delete();
      throw error;
    }
  }

  /** Words before a command that run it inside. */
  get wrapper(): string[] {
    return ["sh", "-c", `echo $$ > ${this.#path}/cgroup.procs && exec "$@"`, "sh"];
  }

  /** How often the kernel has ended a process of the group for it. */
  get kills(): number {
    const text = readFileSync(`${this.#path}/${this.#isV2 ? "memory.events" : "memory.oom_control"}`, "latin1");
    return Number(/^oom_kill (\d+)$/m.exec(text)?.[1] ?? 0);
  }

  delete(): void {
    rmdirSync(this.#path);
  }
}

/** Why memory cannot be limited here, for the `skip` option of `it`. */
export function memoryLimitSkipReason(): string | false {
  if (process.getuid?.() !== 0) return "not root, so no cgroup can be made";
  try {
    MemoryLimit.create(1 << 30).delete();
    return false;
  } catch (error) {
    return `no cgroup that limits memory can be made: ${(error as Error).message}`;
  }
}
