/**
 * Talks to the service manager: readiness, status, watchdog (systemd's sd_notify protocol). Main thread. Does nothing
 * where the daemon was not started by one.
 */
import { clearInterval, setInterval } from "node:timers";
import type { Log } from "../log.ts";

/** Sends one datagram to a unix socket; returns 0 or an errno. */
export type SendDatagram = (socketPath: string, text: string) => number;

export class ServiceManager {
  readonly #send: SendDatagram;
  readonly #socketPath: string;
  readonly #watchdogMs: number;
  readonly #log: Log;
  #watchdog: ReturnType<typeof setInterval> | undefined;

  constructor(send: SendDatagram, environment: Readonly<Record<string, string | undefined>>, log: Log) {
    this.#send = send;
    this.#socketPath = environment.NOTIFY_SOCKET ?? "";
    const forUs = environment.WATCHDOG_PID === undefined || environment.WATCHDOG_PID === String(process.pid);
    this.#watchdogMs = forUs ? Number(environment.WATCHDOG_USEC ?? 0) / 1000 : 0;
    this.#log = log;
  }

  ready(status: string): void {
    this.#notify(`READY=1\nSTATUS=${status}`);
  }

  status(status: string): void {
    this.#notify(`STATUS=${status}`);
  }

  /** Says that a reload has begun; {@linkcode ready} says that it is done. */
  reloading(): void {
    const microseconds = Math.round(Number(process.hrtime.bigint() / 1000n));
    this.#notify(`RELOADING=1\nMONOTONIC_USEC=${microseconds}`);
  }

  stopping(): void {
    clearInterval(this.#watchdog);
    this.#notify("STOPPING=1\nSTATUS=finishing updates under way");
  }

  /** Pets the watchdog as long as `isHealthy` says so; when it does not, systemd restarts the daemon. */
  startWatchdog(isHealthy: () => boolean): void {
    if (this.#socketPath === "" || !(this.#watchdogMs > 0)) return;
    this.#watchdog = setInterval(() => {
      if (isHealthy()) this.#notify("WATCHDOG=1");
    }, this.#watchdogMs / 3);
    this.#watchdog.unref();
  }

  #notify(text: string): void {
    if (this.#socketPath === "") return;
    const errno = this.#send(this.#socketPath, text);
    if (errno !== 0) this.#log.warn("The service manager could not be told", { socket: this.#socketPath, errno });
  }
}
