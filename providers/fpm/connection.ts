/**
 * The TCP connection to the FPM server: made again whenever it is gone, after a pause that doubles. Reads the server's
 * replies all the time, because one that cannot get rid of them stops reading. The thread of the FPM provider.
 */
import { connect, type Socket } from "node:net";
import { clearTimeout, setTimeout } from "node:timers";
import type { Log } from "../../core/log.ts";
import { FPM_TYPE_NETLINK, FrameReader } from "../../ffi/fpm/frame.ts";
import { NLMSG_HDRLEN, RTM_F_OFFLOAD, RTM_F_OFFLOAD_FAILED, RTM_NEWROUTE } from "../../ffi/netlink/constants.ts";
import type { FpmCounters } from "./counters.ts";

export const RETRY_MIN_MS = 500;
export const RETRY_MAX_MS = 30_000;
const CONNECT_DEADLINE_MS = 10_000;
const KEEP_ALIVE_MS = 10_000;

/** Of `rtm_flags` in `struct rtmsg`, which tell what became of a route in the hardware. */
const RTM_FLAGS_OFFSET = 8;
const RTMSG_BYTES = 12;

export interface ConnectionParts {
  host: string;
  port: number;
  retryMinMs: number;
  onConnect: () => void;
  onClose: () => void;
  /** The kernel has taken so many bytes of what was written. */
  onWritten: (length: number) => void;
  counters: FpmCounters;
  log: Log;
}

export class FpmConnection {
  readonly #parts: ConnectionParts;
  #socket: Socket | null = null;
  #isConnected = false;
  #isStopped = false;
  #retryMs: number;
  #timer: ReturnType<typeof setTimeout> | null = null;
  /** The last failure that was logged: the same one again and again is logged once. */
  #lastError = "";

  constructor(parts: ConnectionParts) {
    this.#parts = parts;
    this.#retryMs = parts.retryMinMs;
  }

  /** Starts to connect. */
  open(): void {
    const { host, port, counters, log } = this.#parts;
    this.#timer = null;
    const socket = connect({ host, port });
    const deadline = setTimeout(() => socket.destroy(new Error("the server does not answer")), CONNECT_DEADLINE_MS);
    this.#socket = socket;
    let failure = "";
    socket.once("connect", () => {
      clearTimeout(deadline);
      socket.setNoDelay(true);
      socket.setKeepAlive(true, KEEP_ALIVE_MS);
      this.#isConnected = true;
      log.info("Connected to the FPM server", { address: `${host}:${port}` });
      this.#parts.onConnect();
    });
    socket.on("data", this.#createReader(socket));
    socket.on("error", (error: NodeJS.ErrnoException) => {
      failure = error.code ?? error.message;
    });
    // A server that says it has no more to say has gone.
    socket.once("end", () => socket.destroy());
    socket.once("close", () => {
      clearTimeout(deadline);
      if (this.#socket !== socket) return;
      this.#socket = null;
      if (failure !== "") counters.add("connectionErrors");
      this.#onClose(failure);
    });
  }

  #onClose(failure: string): void {
    const { counters, log, host, port } = this.#parts;
    const address = `${host}:${port}`;
    if (this.#isConnected) {
      counters.add("connectionCloses");
      log.warn("The connection to the FPM server has ended", { address, reason: failure || "the server closed it" });
      this.#lastError = "";
    } else if (failure !== this.#lastError) {
      log.warn("Cannot connect to the FPM server; it is tried again and again", { address, error: failure });
      this.#lastError = failure;
    }
    const wasConnected = this.#isConnected;
    this.#isConnected = false;
    if (wasConnected) this.#parts.onClose();
    if (this.#isStopped) return;
    this.#timer = setTimeout(() => this.open(), this.#retryMs).unref();
    this.#retryMs = Math.min(this.#retryMs * 2, RETRY_MAX_MS);
  }

  /** The connection has proved its worth: the next one may be tried soon. */
  markGood(): void {
    this.#retryMs = this.#parts.retryMinMs;
  }

  write(bytes: Uint8Array): void {
    const socket = this.#socket;
    if (socket === null || !this.#isConnected) return;
    socket.write(bytes, () => {
      if (this.#socket === socket && this.#isConnected) this.#parts.onWritten(bytes.length);
    });
  }

  /** Ends the connection, which is then made again. */
  drop(reason: string): void {
    this.#socket?.destroy(new Error(reason));
  }

  /** Ends it for good, orderly if the server reads. */
  close(): void {
    this.#isStopped = true;
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#socket?.end();
    this.#socket?.destroySoon();
  }

  #createReader(socket: Socket): (chunk: Uint8Array) => void {
    const { counters } = this.#parts;
    const frames = new FrameReader();
    return (chunk) => {
      counters.add("bytesRead", chunk.length);
      try {
        frames.push(chunk);
        while (frames.next()) if (frames.type === FPM_TYPE_NETLINK) countReplies(frames, counters);
      } catch (error) {
        socket.destroy(error as Error);
      }
    };
  }
}

/** Counts what the server says of routes; everything else it may say is nobody's here. */
function countReplies({ view, start, end }: FrameReader, counters: FpmCounters): void {
  for (let at = start; at + NLMSG_HDRLEN <= end; ) {
    const length = view.getUint32(at, true);
    if (length < NLMSG_HDRLEN || at + length > end) return;
    if (view.getUint16(at + 4, true) === RTM_NEWROUTE && length >= NLMSG_HDRLEN + RTMSG_BYTES) {
      const flags = view.getUint32(at + NLMSG_HDRLEN + RTM_FLAGS_OFFSET, true);
      if ((flags & RTM_F_OFFLOAD_FAILED) !== 0) counters.add("repliesFailed");
      else if ((flags & RTM_F_OFFLOAD) !== 0) counters.add("repliesOffloaded");
    }
    at += (length + 3) & ~3;
  }
}
