/**
 * The compiled daemon as a child process with a directory, socket and configuration of its own, for the demo, the
 * benchmarks and tests. Nothing of the machine's own dplaned is touched or read.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { clearTimeout, setTimeout } from "node:timers";
import { fileURLToPath } from "node:url";
import type { ReadyJson } from "../core/northbound/api_types.ts";
import { ApiClient } from "../core/northbound/cli/client.ts";

/** The executable under test: DPLANED_BINARY, or what `make build` made. */
export const BINARY = process.env["DPLANED_BINARY"] || fileURLToPath(new URL("../dist/dplaned", import.meta.url).href);

const READY_DEADLINE_MS = 30_000;
const STOP_DEADLINE_MS = 20_000;
const POLL_MS = 10;

export interface DaemonOptions {
  netns?: string;
  /** Text of its configuration file. */
  config?: string;
  environment?: Readonly<Record<string, string>>;
  /** Program and arguments that start it, such as `setpriv …`, before its own. */
  wrapper?: readonly string[];
  socket?: string;
  /** Where it serves its dashboard; by default at a port of 127.0.0.1 that is free. */
  http?: string;
  /** Its working directory. */
  cwd?: string;
  /** Any user may read its configuration, as one must who runs it and does not own it. */
  isReadable?: boolean;
}

export interface DaemonEnd {
  /** Null when a signal ended it. */
  status: number | null;
  signal: NodeJS.Signals | null;
}

export class DaemonProcess {
  readonly directory = mkdtempSync(join(tmpdir(), "dplaned-"));
  readonly socket: string;
  readonly client: ApiClient;
  /** Resolves when it has ended and all of its log was read. */
  readonly ended: Promise<DaemonEnd>;
  /** All that it wrote to standard error and output so far. */
  log = "";
  readonly #child: ChildProcess;
  #end: DaemonEnd | undefined;

  /** Starts it; see {@linkcode ready}. */
  constructor({
    netns,
    config = "",
    environment = {},
    wrapper = [],
    socket,
    http = "127.0.0.1:0",
    cwd,
    isReadable = false,
  }: DaemonOptions = {}) {
    this.socket = socket ?? join(this.directory, "dplaned.sock");
    this.client = new ApiClient(this.socket);
    const configPath = join(this.directory, "dplaned.toml");
    writeFileSync(configPath, config, { mode: isReadable ? 0o644 : 0o640 });
    if (isReadable) chmodSync(this.directory, 0o755);
    const args = ["run", "--config", configPath, "--socket", this.socket, "--http", http];
    if (netns !== undefined) args.push("--netns", netns);
    const [program, ...rest] = [...wrapper, BINARY, ...args];
    // A process group of its own: Ctrl-C is for whoever started it, who then ends it in order.
    this.#child = spawn(program!, rest, {
      detached: true,
      cwd,
      stdio: ["ignore", "pipe", "pipe"],
      env: { ...withoutOurs(process.env), ...environment },
    });
    for (const stream of [this.#child.stdout!, this.#child.stderr!]) {
      stream.setEncoding("utf8").on("data", (text: string) => {
        this.log += text;
      });
    }
    this.ended = new Promise((resolveEnd) => {
      const end = (status: number | null, signal: NodeJS.Signals | null) => {
        this.#end ??= { status, signal };
        resolveEnd(this.#end);
      };
      this.#child.once("close", end);
      this.#child.once("error", (error) => {
        this.log += `${error.message}\n`;
        end(127, null);
      });
    });
  }

  /** Starts it and resolves when it is ready. Throws with its log where that fails; then nothing of it is left. */
  static async start(options: DaemonOptions = {}): Promise<DaemonProcess> {
    const daemon = new DaemonProcess(options);
    try {
      await daemon.ready();
      return daemon;
    } catch (error) {
      await daemon.stop();
      throw error;
    }
  }

  get pid(): number {
    return this.#child.pid!;
  }

  get running(): boolean {
    return this.#end === undefined;
  }

  /** Address of its dashboard, which it tells in its log. */
  get dashboard(): string {
    const ready = this.log.split("\n").find((line) => line.includes('"message":"Ready"'));
    if (ready === undefined) throw new Error(`The daemon has not said that it is ready: ${this.log}`);
    return (JSON.parse(ready) as { http: string }).http;
  }

  /** Resolves when it answers that it is ready. */
  async ready(): Promise<void> {
    const deadline = performance.now() + READY_DEADLINE_MS;
    let reasons = ["it does not answer"];
    while (this.running) {
      try {
        const answer = await this.client.getJson<ReadyJson>("/readyz", {}, [503]);
        if (answer.ready) return;
        reasons = answer.reasons;
      } catch {
        // It does not listen yet.
      }
      if (performance.now() > deadline) {
        throw new Error(`The daemon is not ready after ${READY_DEADLINE_MS} ms: ${reasons.join("; ")}\n${this.log}`);
      }
      await new Promise((wake) => setTimeout(wake, POLL_MS));
    }
    throw new Error(`The daemon ended before it was ready, ${describeEnd(this.#end!)}:\n${this.log}`);
  }

  signal(name: NodeJS.Signals): void {
    if (this.running) this.#child.kill(name);
  }

  /** Ends it in order, or by force where that takes too long, and removes its directory. */
  async stop(): Promise<DaemonEnd> {
    this.signal("SIGTERM");
    const timer = setTimeout(() => this.signal("SIGKILL"), STOP_DEADLINE_MS);
    const end = await this.ended;
    clearTimeout(timer);
    rmSync(this.directory, { recursive: true, force: true });
    return end;
  }

  /** A line of /proc/PID/status in bytes: VmRSS is what it takes now, VmHWM the most it ever took. */
  memoryBytes(field: "VmRSS" | "VmHWM"): number {
    const match = new RegExp(`^${field}:\\s+(\\d+) kB$`, "m").exec(readFileSync(`/proc/${this.pid}/status`, "utf8"));
    return Number(match![1]) * 1024;
  }
}

export function describeEnd({ status, signal }: DaemonEnd): string {
  return signal === null ? `with exit status ${status}` : `by ${signal}`;
}

/** The environment without what would configure this daemon for another purpose. */
function withoutOurs(environment: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  return Object.fromEntries(
    Object.entries(environment).filter(([name]) => !/^(?:DPLANED_|NOTIFY_SOCKET$|WATCHDOG_|LISTEN_)/.test(name)),
  );
}
