/**
 * The process of a plugin, as the provider's thread sees it: started, talked to, watched, ended. It is this same program with
 * one word as its argument (providers/plugin/host.ts). On the provider's thread.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import type { Socket } from "node:net";
import process from "node:process";
import { clearTimeout, setTimeout } from "node:timers";
import type { Log } from "../../core/log.ts";
import { FROM_HOST_MAX, FrameReader } from "./frames.ts";
import { OutputLines } from "./output_lines.ts";

/** How long what it sent before its end may still be on its way. */
const DRAIN_MS = 200;

export interface ChildOptions {
  /** The program and its arguments. */
  command: readonly string[];
  log: Log;
  onFrame: (type: number, body: Uint8Array<ArrayBuffer>) => void;
  /** Once, when it is gone and everything that it sent has been taken: why. */
  onEnd: (reason: string) => void;
}

export class PluginChild {
  readonly #options: ChildOptions;
  readonly #process: ChildProcess;
  readonly #socket: Socket;
  readonly #ended = Promise.withResolvers<void>();
  /** Why it was ended; empty if it ended by itself. */
  #reason = "";
  #hasEnded = false;

  /** Starts it. */
  constructor(options: ChildOptions) {
    this.#options = options;
    const [program, ...args] = options.command;
    const child = spawn(program!, args, {
      // Descriptor 3 is the socket; what the plugin prints becomes lines of the log.
      stdio: ["ignore", "pipe", "pipe", "pipe"],
      cwd: "/",
      env: environmentOf(process.env),
      // Out of the reach of a terminal's Ctrl-C: the daemon decides when it ends.
      detached: true,
    });
    this.#process = child;
    this.#socket = child.stdio[3] as unknown as Socket;
    const reader = new FrameReader(FROM_HOST_MAX, (type, body) => this.#take(type, body));
    this.#socket.on("data", (chunk: Uint8Array) => this.#read(reader, chunk));
    this.#socket.on("error", () => {}); // its end is told by the process
    for (const stream of [child.stdout!, child.stderr!]) {
      const lines = new OutputLines((text) => options.log.info("Plugin wrote a line", { text }));
      stream.on("data", (chunk: Uint8Array) => lines.push(chunk));
    }
    child.once("error", (error) => this.#end(`cannot start it: ${error.message}`));
    child.once("exit", (status, signal) => this.#onExit(describeEnd(status, signal)));
  }

  get pid(): number {
    return this.#process.pid ?? 0;
  }

  send(frame: Uint8Array): void {
    if (!this.#hasEnded) this.#socket.write(frame);
  }

  /** Ends it, whatever it is doing. */
  kill(reason: string): void {
    if (this.#hasEnded || this.#reason !== "") return;
    this.#reason = reason;
    this.#killGroup();
  }

  /** It, and what it has started. */
  #killGroup(): void {
    try {
      if (this.pid > 0) process.kill(-this.pid, "SIGKILL");
    } catch {
      // ESRCH: there is nobody left.
    }
  }

  /** Resolves when it has ended by itself, or was made to after `deadlineMs`. */
  async ended(deadlineMs: number): Promise<void> {
    if (this.#hasEnded) return;
    const timer = setTimeout(() => this.kill("it did not end when it was told to"), deadlineMs);
    await this.#ended.promise;
    clearTimeout(timer);
  }

  /** Memory that is its own, and not that of files. 0 if it is gone. */
  memoryBytes(): number {
    try {
      const status = readFileSync(`/proc/${this.pid}/status`, "latin1");
      const parts = status.matchAll(/^(?:RssAnon|RssShmem|VmSwap):\s+(\d+) kB$/gm);
      return Array.from(parts, ([, kilobytes]) => Number(kilobytes) * 1024).reduce((sum, bytes) => sum + bytes, 0);
    } catch {
      return 0;
    }
  }

  #read(reader: FrameReader, chunk: Uint8Array): void {
    // What was on its way when it was killed decides nothing any more.
    if (this.#hasEnded || this.#reason !== "") return;
    try {
      reader.push(chunk);
    } catch (error) {
      this.kill(`it sent what is no answer: ${(error as Error).message}`);
    }
  }

  #take(type: number, body: Uint8Array<ArrayBuffer>): void {
    if (this.#reason === "") this.#options.onFrame(type, body);
  }

  /** What it sent in order before its end still counts. */
  #onExit(reason: string): void {
    const end = (): void => this.#end(reason);
    if (this.#reason !== "" || this.#socket.destroyed) return end();
    this.#socket.once("close", end);
    setTimeout(end, DRAIN_MS).unref();
  }

  #end(reason: string): void {
    if (this.#hasEnded) return;
    this.#hasEnded = true;
    this.#killGroup();
    this.#socket.destroy();
    this.#options.onEnd(this.#reason || reason);
    this.#ended.resolve();
  }
}

function describeEnd(status: number | null, signal: string | null): string {
  return signal === null ? `its process ended with exit status ${status}` : `its process was ended by ${signal}`;
}

/** Without what is the daemon's own business, and what would load foreign code into the process. */
function environmentOf(environment: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  const isOurs =
    /^(?:DPLANED_|BUN_|DENO_|NODE_|NOTIFY_SOCKET$|WATCHDOG_|LISTEN_|LD_|CREDENTIALS_DIRECTORY$|INVOCATION_ID$|JOURNAL_STREAM$)/;
  const kept = Object.entries(environment).filter(([name]) => !isOurs.test(name));
  // No cache of compiled plugins on disk, which somebody could change.
  return { ...Object.fromEntries(kept), BUN_RUNTIME_TRANSPILER_CACHE_PATH: "0" };
}
