/** The monitor thread as the main thread sees it: started, watched, started again, and asked for readings of the kernel. */
import { type Clock, pause, type Timer } from "../clock.ts";
import {
  RESTART_WINDOW_MS,
  RESTARTS_MAX,
  START_DEADLINE_MS,
  STUCK_AFTER_MS,
  TERMINATE_DEADLINE_MS,
} from "../constants.ts";
import type { WorkerHealth } from "../dataplane/dataplane.ts";
import { Pulse } from "../dataplane/pulse.ts";
import { DeathCount } from "../dataplane/supervisor.ts";
import type { Log } from "../log.ts";
import { type FromMonitor, type MonitorStart, READING_REQUEST } from "../model/kernel_event.ts";

/** Pause before a thread that died is started again. */
const RELAUNCH_MS = 1000;
/** How often its heartbeat is looked at. */
const WATCH_MS = 1000;

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
  /** It ends again and again, or cannot be ended: no other is started. */
  onGivenUp: (reason: string) => void;
  log: Log;
  stuckAfterMs?: number;
  startDeadlineMs?: number;
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
  readonly #deaths = new DeathCount(RESTART_WINDOW_MS, RESTARTS_MAX);
  #handle: { terminate(): Promise<void> } | null = null;
  #watch: Timer | null = null;
  /** Why the thread is being ended; empty while it is not. */
  #ending = "";
  /** Why no other thread is started; empty while one is. */
  #givenUp = "";
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
    const heartbeatAgeMs = this.#heartbeatAgeMs();
    return { name: "monitor", alive: this.#alive && heartbeatAgeMs < this.#stuckAfterMs(), heartbeatAgeMs };
  }

  #heartbeatAgeMs(): number {
    return Math.round(this.#pulse.ageMs(new Float64Array(this.#heartbeat)[0]!));
  }

  #stuckAfterMs(): number {
    return this.#options.stuckAfterMs ?? STUCK_AFTER_MS;
  }

  /** Starts the thread, which begins with a reading of the kernel. */
  start(): void {
    const { spawn, netns, protocol, portIdCell, onMessage, onHealthChange, clock } = this.#options;
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
    new Float64Array(this.#heartbeat)[0] = 0;
    this.#ending = "";
    this.#alive = true;
    this.#pulse = new Pulse(clock);
    this.#handle = spawn(start, {
      onMessage: (message) => {
        if (message.type === "read") this.#wasUp = true;
        onMessage(message);
      },
      onExit: (error) => this.#onExit(this.#ending || error || "the monitor thread ended"),
    });
    if (this.#watch === null) this.#watchOver();
    onHealthChange();
  }

  #watchOver(): void {
    const look = (): void => {
      this.#endStuck();
      this.#watchOver();
    };
    this.#watch = this.#options.clock.setTimeout(look, Math.min(WATCH_MS, this.#stuckAfterMs() / 4)).unref();
  }

  #onExit(reason: string): void {
    const { onDeath, onHealthChange, log, clock } = this.#options;
    if (!this.#alive) return;
    this.#alive = false;
    if (this.#isStopping()) return;
    onDeath(reason);
    // A thread that never came up is the start's failure; one that did is started again.
    if (!this.#wasUp) return;
    if (this.#deaths.add(clock.now()))
      this.#giveUp(`it ended ${this.#deaths.recent} times within a minute, last: ${reason}`);
    else {
      log.error("The thread that listens to the kernel ended; another is started", { error: reason });
      clock.setTimeout(() => this.#relaunch(), RELAUNCH_MS).unref();
    }
    onHealthChange();
  }

  #relaunch(): void {
    if (!this.#isStopping() && this.#givenUp === "") this.start();
  }

  /** Ends a thread that shows no sign of life; what follows is as for one that died. */
  #endStuck(): void {
    const reason = this.#stuckReason();
    if (reason === "" || !this.#alive || this.#ending !== "" || this.#isStopping()) return;
    this.#ending = reason;
    this.#options.log.error("The thread that listens to the kernel is stuck; it is ended", { reason });
    void this.#terminate().then((hasEnded) => {
      if (hasEnded) return this.#onExit(reason);
      this.#alive = false;
      this.#giveUp("it is stuck and cannot be ended");
    });
  }

  #stuckReason(): string {
    const { startDeadlineMs = START_DEADLINE_MS } = this.#options;
    const beat = new Float64Array(this.#heartbeat)[0]!;
    return this.#pulse.stuckReason(beat, beat !== 0, this.#stuckAfterMs(), startDeadlineMs);
  }

  #giveUp(reason: string): void {
    if (this.#givenUp !== "") return;
    this.#givenUp = reason;
    this.#options.log.error("The thread that listens to the kernel is not started any more", { reason });
    this.#options.onGivenUp(`the thread that listens to the kernel: ${reason}`);
  }

  #isStopping(): boolean {
    return Atomics.load(new Int32Array(this.#stop), 0) !== 0;
  }

  /** False if it does not end by force either. */
  #terminate(): Promise<boolean> {
    const deadline = pause(this.#options.clock, TERMINATE_DEADLINE_MS, { keepsAlive: false }).then(() => false);
    const ended = this.#handle?.terminate().then(() => true) ?? Promise.resolve(true);
    return Promise.race([ended, deadline]);
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
    if (this.#watch !== null) this.#options.clock.clearTimeout(this.#watch);
    await this.#terminate();
    this.#alive = false;
  }
}
