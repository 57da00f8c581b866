/**
 * The monitor thread as the main thread sees it: keeps the link table, hands on changes in the kernel, and feeds the RIB
 * with the routes that were there at the start.
 */
import { setImmediate, setTimeout } from "node:timers";
import { STUCK_AFTER_MS } from "../constants.ts";
import { nextRecord } from "../context/route_record.ts";
import type { WorkerHealth } from "../dataplane/dataplane.ts";
import { Pulse } from "../dataplane/pulse.ts";
import type { Log, LogRecord } from "../log.ts";
import type { FromMonitor, KernelChange, MonitorStart } from "../model/kernel_event.ts";
import type { LinkTable } from "../model/link_table.ts";
import type { Rib } from "../rib/rib.ts";

/** Pause before a thread that died is started again. */
const RELAUNCH_MS = 1000;

/** Starts the thread; `onExit` tells once that it has ended, with the reason if it failed. */
export type SpawnMonitor = (
  start: MonitorStart,
  events: { onMessage(message: FromMonitor): void; onExit(error: string): void },
) => { terminate(): Promise<void> };

export interface MonitorThreadOptions {
  spawn: SpawnMonitor;
  netns: string | undefined;
  protocol: number;
  portIdCell: SharedArrayBuffer;
  links: LinkTable;
  rib: Rib;
  onLog: (record: LogRecord) => void;
  onChange: (change: KernelChange) => void;
  /** The thread is gone although nobody stopped it, or there is a new one. */
  onHealthChange: () => void;
  log: Log;
}

/** What the first look at the kernel found. */
export interface Adoption {
  routes: number;
  /** Routes of our protocol that are left alone, because dplaned could not have written them. */
  unreadable: number;
}

export class MonitorThread {
  readonly #options: MonitorThreadOptions;
  readonly #stop = new SharedArrayBuffer(4);
  readonly #wantRoutes = new SharedArrayBuffer(4);
  readonly #heartbeat = new SharedArrayBuffer(8);
  #pulse = new Pulse();
  #applied = Promise.resolve();
  #handle: { terminate(): Promise<void> } | null = null;
  #alive = false;
  #isSynced = false;
  #refused = 0;
  readonly #synced = Promise.withResolvers<Adoption>();

  constructor(options: MonitorThreadOptions) {
    this.#options = options;
    // The daemon may be on its way out when the thread dies.
    this.#synced.promise.catch(() => {});
  }

  get alive(): boolean {
    return this.#alive;
  }

  /** What a health probe says about the thread. */
  worker(): WorkerHealth {
    const heartbeatAgeMs = Math.round(this.#pulse.ageMs(new Float64Array(this.#heartbeat)[0]!));
    return { name: "monitor", alive: this.#alive && heartbeatAgeMs < STUCK_AFTER_MS, heartbeatAgeMs };
  }

  /** Starts the thread; resolves when the links are known and the routes found in the kernel are in the RIB. */
  start(): Promise<Adoption> {
    this.#launch();
    return this.#synced.promise;
  }

  #launch(): void {
    const { spawn, netns, protocol, portIdCell, onHealthChange, log } = this.#options;
    const taken = new Int32Array(new SharedArrayBuffer(4));
    const start: MonitorStart = {
      role: "monitor",
      netns,
      protocol,
      portIdCell,
      wantRoutes: this.#wantRoutes,
      taken: taken.buffer,
      heartbeat: this.#heartbeat,
      stop: this.#stop,
    };
    this.#alive = true;
    this.#pulse = new Pulse();
    this.#handle = spawn(start, {
      onMessage: (message) => this.#onMessage(message, taken),
      onExit: (error) => {
        this.#alive = false;
        this.#synced.reject(new Error(error || "the monitor thread ended"));
        // A thread that never came up is the start's failure; one that did is started again.
        if (Atomics.load(new Int32Array(this.#stop), 0) !== 0 || !this.#isSynced) return;
        log.error("The thread that listens to the kernel ended; another is started", { error });
        onHealthChange();
        setTimeout(() => this.#launch(), RELAUNCH_MS).unref();
      },
    });
    onHealthChange();
  }

  /** Whether changes of routes are wanted; they cost time in a busy namespace. */
  wantRoutes(wanted: boolean): void {
    Atomics.store(new Int32Array(this.#wantRoutes), 0, wanted ? 1 : 0);
  }

  /** Ends the thread. */
  async stop(): Promise<void> {
    Atomics.store(new Int32Array(this.#stop), 0, 1);
    await this.#handle?.terminate();
    this.#alive = false;
  }

  #onMessage(message: FromMonitor, taken: Int32Array): void {
    const { links } = this.#options;
    switch (message.type) {
      case "log":
        return this.#options.onLog(message.record);
      case "links":
        return links.replaceAll(message.links);
      case "change":
        if (message.change.kind === "link") {
          if (message.change.action === "new") links.set(message.change.link);
          else links.delete(message.change.link.ifindex);
        }
        return this.#options.onChange(message.change);
      case "routes":
        // Each waits for the one before it, so that the last promise covers all.
        this.#applied = this.#applied.then(() => this.#applyChunk(message.records, taken));
        return;
      case "synced": {
        const { routes, unreadable } = message;
        this.#isSynced = true;
        void this.#applied.then(() => this.#synced.resolve({ routes, unreadable: unreadable + this.#refused }));
      }
    }
  }

  /** Puts one chunk of routes into the RIB, some two thousand, and lets the event loop run. */
  async #applyChunk(records: ArrayBuffer, taken: Int32Array): Promise<void> {
    const bytes = new Uint8Array(records);
    const view = new DataView(records);
    for (let offset = 0; offset < bytes.length; offset = nextRecord(view, offset)) {
      if (!this.#options.rib.adopt(bytes, view, offset)) this.#refused += 1;
    }
    await new Promise((resolve) => setImmediate(resolve));
    Atomics.add(taken, 0, 1);
    Atomics.notify(taken, 0);
  }
}
