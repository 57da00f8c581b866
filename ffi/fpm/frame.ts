/**
 * Frames of the Forwarding Plane Manager protocol, by which FRR and SONiC hand on routes over TCP: a header of four bytes,
 * then netlink messages in host byte order (FRR: fpm/fpm.h). Pure; any thread.
 *
 * `struct { uint8_t version; uint8_t msg_type; uint16_t msg_len; }`; `msg_len` is big-endian and counts the header too. It
 * is a multiple of four here, as the netlink messages are; FRR pads its frames likewise.
 */

export const FPM_HEADER_LENGTH = 4;
export const FPM_VERSION = 1;
export const FPM_TYPE_NETLINK = 1;
export const FPM_TYPE_PROTOBUF = 2;
/** What the length field can say, cut down to the alignment. */
export const FPM_FRAME_MAX = 0xfffc;
export const FPM_PORT = 2620;

/** Writes the header of a frame of `length` bytes, which it counts among them. */
export function putFrameHeader(view: DataView, offset: number, length: number): void {
  view.setUint8(offset, FPM_VERSION);
  view.setUint8(offset + 1, FPM_TYPE_NETLINK);
  view.setUint16(offset + 2, length);
}

/** What is wrong with a stream that cannot be read any further: where the next frame begins is not known. */
export class FrameError extends Error {
  override name = "FrameError";
}

/**
 * Cuts a stream of bytes into frames, however it arrives. Give it all that has come with {@linkcode push}, then call
 * {@linkcode next} until it returns false; what it shows is valid until the next call of either.
 */
export class FrameReader {
  /** The netlink messages of the frame lie in `view` from `start` to `end`. */
  view: DataView = new DataView(new ArrayBuffer(0));
  start = 0;
  end = 0;
  /** FPM_TYPE_* of the frame. */
  type = 0;
  #bytes: Uint8Array = new Uint8Array(0);
  #used = 0;
  #length = 0;

  /** Bytes that have come and belong to no frame yet that was shown. */
  get buffered(): number {
    return this.#length - this.#used;
  }

  push(chunk: Uint8Array): void {
    const rest = this.buffered;
    if (rest === 0) {
      // Mostly chunks end with frames, or are much longer than what is left over: nothing is copied then.
      this.#bytes = chunk;
      this.#used = 0;
      this.#length = chunk.length;
    } else {
      const joined = new Uint8Array(rest + chunk.length);
      joined.set(this.#bytes.subarray(this.#used, this.#length));
      joined.set(chunk, rest);
      this.#bytes = joined;
      this.#used = 0;
      this.#length = joined.length;
    }
    this.view = new DataView(this.#bytes.buffer, this.#bytes.byteOffset, this.#bytes.byteLength);
  }

  /**
   * Goes to the next frame that is there as a whole; false if there is none. Throws FrameError where a header cannot be
   * one: as FRR does, only if neither version nor type is known, or the length cannot be.
   */
  next(): boolean {
    const at = this.#used;
    if (this.#length - at < FPM_HEADER_LENGTH) return false;
    const version = this.view.getUint8(at);
    const type = this.view.getUint8(at + 1);
    const length = this.view.getUint16(at + 2);
    if (version !== FPM_VERSION && type !== FPM_TYPE_NETLINK && type !== FPM_TYPE_PROTOBUF) {
      throw new FrameError(`no FPM frame begins with version ${version} and type ${type}`);
    }
    if (length < FPM_HEADER_LENGTH) throw new FrameError(`a frame of ${length} bytes is shorter than its header`);
    if (this.#length - at < length) return false;
    this.type = type;
    this.start = at + FPM_HEADER_LENGTH;
    this.end = at + length;
    this.#used = this.end;
    return true;
  }
}
