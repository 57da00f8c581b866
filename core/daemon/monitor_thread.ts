/** The monitor thread as the main thread sees it: started, watched, started again, and asked for readings of the kernel. */
import type { Clock } from "../clock.ts";
import { STUCK_AFTER_MS } from "../constants.ts";
import type { WorkerHealth } from "../dataplane/dataplane.ts";
import { Pulse } from "../dataplane/pulse.ts";
import type { Log } from "../log.ts";
import { type FromMonitor, type MonitorStart, READING_REQUEST } from "../model/kernel_event.ts";

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
  onMessage: (message: FromMonitor) => void;
  /** The thread has ended although nobody stopped it; if it was up before, another is started. */
  onDeath: (error: string) => void;
  /** The thread is gone, or there is a new one. */
  onHealthChange: () => void;
  log: Log;
  clock: Clock;
}

export class MonitorThread {
  readonly #options: MonitorThreadOptions;
  readonly #stop = new SharedArrayBuffer(4);
  readonly #wantRoutes = new SharedArrayBuffer(4);
  readonly #request = new SharedArrayBuffer(READING_REQUEST.WORDS * 4);
  readonly #heartbeat = new SharedArrayBuffer(8);
  #taken = new Int32Array(new SharedArrayBuffer(4));
  #pulse: Pulse;
  #handle: { terminate(): Promise<void> } | null = null;
  #alive = false;
  #wasUp = false;

  constructor(options: MonitorThreadOptions) {
    this.#options = options;
    this.#pulse = new Pulse(options.clock);
  }

  get alive(): boolean {
    return this.#alive;
  }

  /** What a health probe says about the thread. */
  worker(): WorkerHealth {
    const heartbeatAgeMs = Math.round(this.#pulse.ageMs(new Float64Array(this.#heartbeat)[0]!));
    return { name: "monitor", alive: this.#alive && heartbeatAgeMs < STUCK_AFTER_MS, heartbeatAgeMs };
  }

  /** Starts the thread, which begins with a reading of the kernel. */
  start(): void {
    const { spawn, netns, protocol, portIdCell, onMessage, onDeath, onHealthChange, log, clock } = this.#options;
    // What an earlier thread has left to be put away is not this one's.
    this.#taken = new Int32Array(new SharedArrayBuffer(4));
    const start: MonitorStart = {
      role: "monitor",
      netns,
      protocol,
      portIdCell,
      wantRoutes: this.#wantRoutes,
      taken: this.#taken.buffer,
      request: this.#request,
      heartbeat: this.#heartbeat,
      stop: this.#stop,
    };
    Atomics.store(new Int32Array(this.#request), READING_REQUEST.NUMBER, 0);
    this.#alive = true;
    this.#pulse = new Pulse(clock);
    this.#handle = spawn(start, {
      onMessage: (message) => {
        if (message.type === "read") this.#wasUp = true;
        onMessage(message);
      },
      onExit: (error) => {
        this.#alive = false;
        if (Atomics.load(new Int32Array(this.#stop), 0) !== 0) return;
        onDeath(error || "the monitor thread ended");
        // A thread that never came up is the start's failure; one that did is started again.
        if (!this.#wasUp) return;
        log.error("The thread that listens to the kernel ended; another is started", { error });
        onHealthChange();
        clock.setTimeout(() => this.start(), RELAUNCH_MS).unref();
      },
    });
    onHealthChange();
  }

  /** Asks for a reading of the kernel, of this number, which is higher than any before. */
  requestReading(reading: number): void {
    Atomics.store(new Int32Array(this.#request), READING_REQUEST.NUMBER, reading);
  }

  /** A chunk of routes is put away: the thread may read on. */
  chunkTaken(): void {
    Atomics.add(this.#taken, 0, 1);
    Atomics.notify(this.#taken, 0);
  }

  /** Whether changes of all routes are wanted, also of those that are no concern of ours; they cost time. */
  wantRoutes(wanted: boolean): void {
    Atomics.store(new Int32Array(this.#wantRoutes), 0, wanted ? 1 : 0);
  }

  /** Ends the thread. */
  async stop(): Promise<void> {
    Atomics.store(new Int32Array(this.#stop), 0, 1);
    await this.#handle?.terminate();
    this.#alive = false;
  }
}
