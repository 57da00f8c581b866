/** What dplaned needs of the JavaScript runtime beyond the `node:` modules that Bun and Deno share: calls into libc. */
import type { Socket } from "node:net";
import type { Libc } from "../libc/symbols.ts";

export interface Runtime {
  readonly name: "bun" | "deno";
  readonly version: string;
  /** Opens libc for the calling thread; every thread opens its own. Throws when this system has no glibc. */
  openLibc(): Libc;
  /** A stream over a connected socket that this process was started with. */
  openSocket(fd: number): Socket;
  /**
   * Has the garbage of the calling thread collected soon, beside its work, and memory that is free given back. Does
   * nothing where the runtime takes care of that by itself.
   */
  collectGarbage(): void;
}
