/**
 * The descriptor a log goes to. Runs on the main thread, which must never wait for whoever reads the log: what a
 * non-blocking descriptor does not take now is kept up to a bound and tried again shortly after, and beyond that bound
 * whole lines are dropped and counted, as they are while a disk is full. Where the reader is gone for good, the daemon goes
 * on without a log.
 */
import { writeSync } from "node:fs";
import { setTimeout } from "node:timers";
import { errorCode, writeAll } from "./output.ts";

const PENDING_BYTES_MAX = 1 << 20;
const RETRY_MS = 10;
/** What a write comes to that finds no room: not even a part of the line. */
const DISK_FULL = -1;

const encoder = new TextEncoder();

/** Writes `length` bytes of `bytes` from `offset` to `fd`, as `fs.writeSync` does; tests put their own in its place. */
export type WriteCall = (fd: number, bytes: Uint8Array, offset: number, length: number) => number;

export class LogWriter {
  readonly #fd: number;
  readonly #writeCall: WriteCall;
  /** Makes the line that tells how many lines were lost. */
  readonly #formatLost: (count: number) => string;
  #pending: Uint8Array[] = [];
  #pendingBytes = 0;
  #lost = 0;
  /** The last line that told of lost ones, in case it is lost as well. */
  #told: { bytes: Uint8Array; count: number } | null = null;
  #retrying = false;
  /** The last write was refused for it: the lines that are lost are told of when one is taken again. */
  #isDiskFull = false;

  constructor(fd: number, formatLost: (count: number) => string, writeCall: WriteCall = writeSync) {
    this.#fd = fd;
    this.#formatLost = formatLost;
    this.#writeCall = writeCall;
  }

  /** Writes one line, or keeps it until the descriptor takes it. */
  write(line: string): void {
    const bytes = encoder.encode(line);
    if (this.#pendingBytes + bytes.length > PENDING_BYTES_MAX) {
      this.#lost++;
      return;
    }
    this.#push(bytes);
    if (!this.#retrying) this.#drain();
  }

  /** Writes what is left, and waits for it: for the end of the process only. */
  flush(): void {
    this.#pushLost();
    for (const bytes of this.#pending.splice(0)) {
      try {
        writeAll(this.#fd, bytes);
      } catch {
        break;
      }
    }
    this.#pendingBytes = 0;
  }

  #push(bytes: Uint8Array): void {
    this.#pending.push(bytes);
    this.#pendingBytes += bytes.length;
  }

  #pushLost(): void {
    if (this.#lost === 0) return;
    this.#told = { bytes: encoder.encode(this.#formatLost(this.#lost)), count: this.#lost };
    this.#push(this.#told.bytes);
    this.#lost = 0;
  }

  #drain(): void {
    this.#retrying = false;
    while (this.#pending.length > 0) {
      const bytes = this.#pending[0]!;
      const written = this.#tryWrite(bytes);
      if (written === DISK_FULL) {
        this.#lost += bytes === this.#told?.bytes ? this.#told.count : 1;
        this.#pendingBytes -= bytes.length;
        this.#pending.shift();
        continue;
      }
      if (written === 0) {
        this.#retrying = true;
        setTimeout(() => this.#drain(), RETRY_MS).unref();
        return;
      }
      this.#pendingBytes -= written;
      if (written < bytes.length) this.#pending[0] = bytes.subarray(written);
      else this.#pending.shift();
      if (this.#pending.length === 0 && !this.#isDiskFull) this.#pushLost();
    }
  }

  /** Bytes taken; all of them where they can never be written, so that they are not kept. */
  #tryWrite(bytes: Uint8Array): number {
    try {
      const written = this.#writeCall(this.#fd, bytes, 0, bytes.length);
      this.#isDiskFull = false;
      return written;
    } catch (error) {
      const code = errorCode(error);
      this.#isDiskFull = code === "ENOSPC" || code === "EDQUOT";
      if (this.#isDiskFull) return DISK_FULL;
      return code === "EAGAIN" ? 0 : bytes.length;
    }
  }
}
