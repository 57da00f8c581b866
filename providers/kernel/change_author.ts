/** Names who made a change in the kernel, by netlink port, for people to read. Runs in the monitor thread. */
import { readFileSync } from "node:fs";
import { now } from "../../core/clock.ts";

/** For this long a name is taken for still right: one process makes many changes, and another may get its number. */
const FRESH_MS = 1000;
const AUTHORS_MAX = 256;

export class ChangeAuthors {
  readonly #known = new Map<number, { by: string; until: number }>();
  readonly #readComm: (pid: number) => string;

  constructor(readComm: (pid: number) => string = readCommOf) {
    this.#readComm = readComm;
  }

  /** `ip[4711]`, `netlink port 4711` where no such process lives any more, or `the kernel`. */
  name(portId: number): string {
    if (portId === 0) return "the kernel";
    const time = now();
    const known = this.#known.get(portId);
    if (known !== undefined && time < known.until) return known.by;
    if (this.#known.size >= AUTHORS_MAX) this.#known.clear();
    const by = this.#find(portId);
    this.#known.set(portId, { by, until: time + FRESH_MS });
    return by;
  }

  /** The first socket of a process has its number for its port; further ones have numbers that no process has. */
  #find(portId: number): string {
    try {
      return `${this.#readComm(portId).trim()}[${portId}]`;
    } catch {
      return `netlink port ${portId}`;
    }
  }
}

function readCommOf(pid: number): string {
  return readFileSync(`/proc/${pid}/comm`, "utf8");
}
