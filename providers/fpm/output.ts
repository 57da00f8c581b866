/**
 * Messages on their way to the peer: encoded straight behind their frame headers into a chunk, which goes to the
 * connection as a whole. One message a frame, which every FPM server understands. The thread of the FPM provider.
 */
import process from "node:process";
import { FPM_HEADER_LENGTH, putFrameHeader } from "../../ffi/fpm/frame.ts";
import type { FpmCounters } from "./counters.ts";

/** Bytes that may wait for the peer, with what is in its connection's own buffers here; a message may go beyond. */
export const OUTPUT_BYTES_MAX = 1 << 20;

/**
 * `nlmsg_pid`: who sends. FRR puts zebra's process id there, by which a server can tell a sender that lost its connection
 * from one that was started anew, which it gives more time to tell all it has.
 */
const NLMSG_PID_OFFSET = 12;
const CHUNK_BYTES = 64 << 10;
/** Room for the longest message there is, see ROUTE_MESSAGE_BYTES_MAX of providers/encode_context.ts. */
const MESSAGE_ROOM_BYTES = 36 << 10;
/** Below this a chunk is copied, and its space used again. */
const COPY_BYTES_MAX = 16 << 10;

export class OutputBuffer {
  readonly frameBytesMax: number;
  readonly #write: (bytes: Uint8Array) => void;
  readonly #counters: FpmCounters;
  #bytes = new Uint8Array(CHUNK_BYTES);
  #used = 0;
  /** Bytes that the connection has taken, and the kernel has not. */
  #inConnection = 0;
  view: DataView = new DataView(this.#bytes.buffer);

  constructor(frameBytesMax: number, write: (bytes: Uint8Array) => void, counters: FpmCounters) {
    this.frameBytesMax = frameBytesMax;
    this.#write = write;
    this.#counters = counters;
  }

  get buffered(): number {
    return this.#used + this.#inConnection;
  }

  /** Another message may be written. */
  get hasRoom(): boolean {
    return this.buffered < OUTPUT_BYTES_MAX;
  }

  /** So much has gone out that it is worth asking for more. */
  get isLow(): boolean {
    return this.buffered < OUTPUT_BYTES_MAX / 2;
  }

  /** Where in `view` the next message is to be encoded. */
  begin(): number {
    if (CHUNK_BYTES - this.#used < MESSAGE_ROOM_BYTES) this.flush();
    return this.#used + FPM_HEADER_LENGTH;
  }

  /** Takes the message of `length` bytes that was encoded there; false if it is longer than a frame may be. */
  end(length: number): boolean {
    const frame = length + FPM_HEADER_LENGTH;
    if (length === 0 || frame > this.frameBytesMax) return false;
    putFrameHeader(this.view, this.#used, frame);
    this.view.setUint32(this.#used + FPM_HEADER_LENGTH + NLMSG_PID_OFFSET, process.pid, true);
    this.#used += frame;
    return true;
  }

  flush(): void {
    if (this.#used === 0) return;
    const length = this.#used;
    this.#used = 0;
    this.#inConnection += length;
    this.#counters.add("bytesSent", length);
    if (length <= COPY_BYTES_MAX) this.#write(this.#bytes.slice(0, length));
    else {
      const bytes = this.#bytes;
      this.#bytes = new Uint8Array(CHUNK_BYTES);
      this.view = new DataView(this.#bytes.buffer);
      this.#write(bytes.subarray(0, length));
    }
  }

  /** The kernel has taken `length` bytes. */
  onWritten(length: number): void {
    this.#inConnection -= length;
  }

  /** The connection is gone, and with it what was in it. */
  reset(): void {
    this.#used = 0;
    this.#inConnection = 0;
  }
}
