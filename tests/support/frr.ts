/**
 * FRR in a network namespace: zebra, staticd and bgpd as children of the test, with directory, sockets and configuration
 * of their own. Nothing of the machine's own FRR is touched or read.
 */
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { chmodSync, existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Netns } from "./netns.ts";
import { until } from "./wait.ts";

const FOLDER = "/usr/lib/frr";
const VTYSH = "/usr/bin/vtysh";
/** The daemons give up root for this user, who then needs to write sockets and pid files. */
const OWNER = "frr:frr";
const STOP_MS = 10_000;

export type FrrDaemon = "zebra" | "staticd" | "bgpd";

/** Which of zebra's modules sends the routes, and where to. */
export interface FpmModule {
  name: "dplane_fpm_nl" | "fpm";
  address: string;
  port: number;
}

export interface FrrOptions {
  /** Text of each daemon's configuration; a daemon without one is not started, but zebra always is. */
  configs?: Partial<Record<FrrDaemon, string>>;
  fpm?: FpmModule;
}

/** Why FRR cannot be started here. */
export function frrSkipReason(): string | false {
  for (const program of [`${FOLDER}/zebra`, `${FOLDER}/staticd`, `${FOLDER}/bgpd`, VTYSH]) {
    if (!existsSync(program)) return `there is no ${program} (package frr)`;
  }
  return false;
}

/** The version, as `8.4.4`. */
export function frrVersion(): string {
  return /version (\S+)/.exec(execFileSync(`${FOLDER}/zebra`, ["--version"], { encoding: "utf8" }))?.[1] ?? "?";
}

/** The line of zebra's configuration by which it finds its FPM server; the modules have a command each. */
export function fpmCommand({ name, address, port }: FpmModule): string {
  return name === "fpm" ? `fpm connection ip ${address} port ${port}` : `fpm address ${address} port ${port}`;
}

interface Running {
  child: ChildProcess;
  ended: Promise<void>;
}

export class Frr {
  readonly directory: string;
  /** What the daemons have said, of all their lives. */
  log = "";
  readonly #ns: Netns;
  readonly #options: FrrOptions;
  readonly #running = new Map<FrrDaemon, Running>();

  constructor(ns: Netns, options: FrrOptions = {}) {
    this.#ns = ns;
    this.#options = options;
    this.directory = mkdtempSync(join(tmpdir(), "dplaned-frr-"));
    mkdirSync(join(this.directory, "vty"));
    const zebra = [options.configs?.zebra ?? "", options.fpm ? fpmCommand(options.fpm) : ""].join("\n");
    for (const [daemon, text] of Object.entries({ ...options.configs, zebra })) {
      writeFileSync(this.#path(`${daemon}.conf`), `hostname test\n${text}\n`);
    }
    chmodSync(this.directory, 0o755);
    execFileSync("chown", ["-R", OWNER, this.directory]);
  }

  /** Starts zebra and the daemons that have a configuration; each takes commands when this resolves. */
  static async start(ns: Netns, options: FrrOptions = {}): Promise<Frr> {
    const frr = new Frr(ns, options);
    try {
      await frr.startAll();
      return frr;
    } catch (error) {
      await frr.stop();
      throw error;
    }
  }

  async startAll(): Promise<void> {
    await this.startDaemon("zebra");
    for (const daemon of ["staticd", "bgpd"] as const) {
      if (this.#options.configs?.[daemon] !== undefined) await this.startDaemon(daemon);
    }
  }

  async startDaemon(daemon: FrrDaemon): Promise<void> {
    const vty = this.#path(`vty/${daemon}.vty`);
    rmSync(vty, { force: true });
    const child = spawn("ip", ["netns", "exec", this.#ns.name, `${FOLDER}/${daemon}`, ...this.#arguments(daemon)], {
      stdio: ["ignore", "pipe", "pipe"],
    });
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding("utf8").on("data", (text: string) => {
        this.log += text;
      });
    }
    const ended = new Promise<void>((resolve) => {
      child.once("close", () => resolve());
      child.once("error", (error) => {
        this.log += `${error.message}\n`;
        resolve();
      });
    });
    const running = { child, ended };
    this.#running.set(daemon, running);
    void ended.then(() => this.#running.get(daemon) === running && this.#running.delete(daemon));
    await until(`${daemon} takes commands`, () => {
      if (this.#running.get(daemon) !== running) throw new Error(`${daemon} did not come up:\n${this.log}`);
      return existsSync(vty) && this.#answers(daemon);
    });
  }

  isRunning(daemon: FrrDaemon): boolean {
    return this.#running.has(daemon);
  }

  pid(daemon: FrrDaemon): number {
    return this.#running.get(daemon)!.child.pid!;
  }

  /** Resolves when it has ended. */
  async kill(daemon: FrrDaemon, signal: NodeJS.Signals): Promise<void> {
    const running = this.#running.get(daemon);
    if (running === undefined) return;
    running.child.kill(signal);
    await running.ended;
  }

  /** What `vtysh` prints for these commands, one after the other. Throws with its output where one is refused. */
  vtysh(...commands: string[]): string {
    const args = ["--vty_socket", this.#path("vty"), ...commands.flatMap((command) => ["-c", command])];
    try {
      return execFileSync(VTYSH, args, { encoding: "utf8", maxBuffer: 1 << 28, stdio: ["ignore", "pipe", "pipe"] });
    } catch (error) {
      const { stdout = "", stderr = "" } = error as { stdout?: string; stderr?: string };
      throw new Error(`vtysh: ${commands.join("; ")}: ${stdout}${stderr}`.trim(), { cause: error });
    }
  }

  /** Enters lines of configuration. */
  configure(...lines: string[]): void {
    this.vtysh("configure terminal", ...lines);
  }

  /** Ends the daemons in order, the routing protocols first, and removes the directory. */
  async stop(signal: NodeJS.Signals = "SIGTERM"): Promise<void> {
    for (const daemon of ["bgpd", "staticd", "zebra"] as const) {
      const running = this.#running.get(daemon);
      const timer = setTimeout(() => running?.child.kill("SIGKILL"), STOP_MS);
      await this.kill(daemon, signal);
      clearTimeout(timer);
    }
    rmSync(this.directory, { recursive: true, force: true });
  }

  #path(name: string): string {
    return join(this.directory, name);
  }

  #arguments(daemon: FrrDaemon): string[] {
    const paths = [
      "-f",
      this.#path(`${daemon}.conf`),
      "-i",
      this.#path(`${daemon}.pid`),
      "-z",
      this.#path("zserv.api"),
    ];
    // Port 0: no telnet port besides the socket.
    const args = [...paths, "--vty_socket", this.#path("vty"), "-P", "0", "--log", "stdout"];
    const module = this.#options.fpm?.name;
    if (daemon !== "zebra" || module === undefined) return args;
    return [...args, "-M", module === "fpm" ? "fpm:netlink" : module];
  }

  #answers(daemon: FrrDaemon): boolean {
    try {
      const args = ["--vty_socket", this.#path("vty"), "-d", daemon, "-c", "show version"];
      execFileSync(VTYSH, args, { stdio: ["ignore", "ignore", "ignore"] });
      return true;
    } catch {
      return false;
    }
  }
}
