/**
 * What stands at the far end of FRR's FPM connection in a live test: dplaned, or the model of a receiver, which shows
 * whether a difference is FRR's.
 */
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { BINARY, DaemonProcess } from "../../scripts/daemon_process.ts";
import { daemonSkipReason } from "./binary.ts";
import { type Fib, readFib } from "./fib.ts";
import { FpmModel } from "./fpm_model.ts";
import { FpmRecorder, type RecordedConnection } from "./fpm_recorder.ts";
import { FRR_ADDRESS, SERVER_ADDRESS } from "./fpm_topology.ts";
import { frrSkipReason } from "./frr.ts";
import { type Netns, skipReason } from "./netns.ts";

export const FPM_PORT = 2620;
/** The owner of FRR's routes in dplaned. */
export const FPM_OWNER = "frr";

export interface FpmReceiver {
  fib(): Fib;
  stop(): Promise<void>;
}

export type ReceiverName = "model" | "dplaned";

/** Why the receiver cannot be had here. */
export function receiverSkipReason(name: ReceiverName): string | false {
  const peers = frrSkipReason();
  return peers || (name === "model" ? skipReason() : daemonSkipReason() || serverSkipReason());
}

/** Why the compiled daemon cannot be a FPM server. */
function serverSkipReason(): string | false {
  const folder = mkdtempSync(join(tmpdir(), "dplaned-check-"));
  try {
    const file = join(folder, "dplaned.toml");
    writeFileSync(file, fpmConfig());
    const { status } = spawnSync(BINARY, ["check-config", file], { stdio: "ignore" });
    return status === 0 ? false : "this daemon cannot be a FPM server";
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

export interface FpmConfigOptions {
  listen?: string;
  peer?: string;
  quietTime?: string;
  holdTime?: string;
  /** Of what was found in the kernel at the start. */
  staleTime?: string;
  /** Further lines of the section. */
  more?: readonly string[];
}

/** The configuration of a daemon that takes FRR's routes. */
export function fpmConfig(options: FpmConfigOptions = {}): string {
  const { listen = SERVER_ADDRESS, peer = FRR_ADDRESS, more = [] } = options;
  const { quietTime = "2s", holdTime = "60s", staleTime = "60s" } = options;
  return [
    "[kernel]",
    'audit-interval = "0s"',
    `stale-time = "${staleTime}"`,
    "[fpm]",
    `listen = "${listen}:${FPM_PORT}"`,
    `peers = ["${peer}=${FPM_OWNER}"]`,
    `quiet-time = "${quietTime}"`,
    `hold-time = "${holdTime}"`,
    ...more,
    "",
  ].join("\n");
}

/** What the newest connection said is what should be there: each begins with all that the sender has. */
export class ModelReceiver implements FpmReceiver {
  readonly recorder: FpmRecorder;
  readonly #links: ReadonlyMap<number, string>;
  #model: FpmModel;
  #of: RecordedConnection | undefined;
  #taken = 0;

  constructor(recorder: FpmRecorder, links: ReadonlyMap<number, string>) {
    this.recorder = recorder;
    this.#links = links;
    this.#model = new FpmModel(links);
  }

  fib(): Fib {
    const last = this.recorder.last;
    if (last !== this.#of) {
      this.#model = new FpmModel(this.#links);
      this.#of = last;
      this.#taken = 0;
    }
    const frames = last?.frames ?? [];
    for (; this.#taken < frames.length; this.#taken++) this.#model.take(frames[this.#taken]!);
    return this.#model.fib();
  }

  stop(): Promise<void> {
    return this.recorder.stop();
  }
}

export class DaemonReceiver implements FpmReceiver {
  readonly daemon: DaemonProcess;
  readonly #ns: Netns;

  constructor(daemon: DaemonProcess, ns: Netns) {
    this.daemon = daemon;
    this.#ns = ns;
  }

  fib(): Fib {
    return readFib(this.#ns);
  }

  async stop(): Promise<void> {
    await this.daemon.stop();
  }
}

/** Starts the daemon in a namespace. Not with --netns: it would program that one, but listen where it was started. */
export async function startDaemon(ns: Netns, options?: FpmConfigOptions): Promise<DaemonReceiver> {
  const wrapper = ["ip", "netns", "exec", ns.name];
  return new DaemonReceiver(await DaemonProcess.start({ wrapper, config: fpmConfig(options) }), ns);
}

/** Starts a receiver in a namespace. */
export async function startReceiver(name: ReceiverName, ns: Netns): Promise<FpmReceiver> {
  if (name === "dplaned") return await startDaemon(ns);
  const links = new Map<number, string>();
  for (const { ifindex, ifname } of ns.ipJson("link")) links.set(ifindex, ifname);
  return new ModelReceiver(await FpmRecorder.start(ns, SERVER_ADDRESS, FPM_PORT), links);
}
