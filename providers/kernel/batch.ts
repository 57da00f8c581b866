/**
 * Requests to the kernel, many a send. The kernel works through them before the send returns and reports each failure
 * by its sequence number, asked or not; an acknowledgement of the last one proves that it saw them all. Only then is a
 * request without a failure a success (FRR asks for no acknowledgement, and takes silence for success).
 */
import { assert } from "../../core/assert.ts";
import { type Clock, SYSTEM_CLOCK } from "../../core/clock.ts";
import { STUCK_AFTER_MS } from "../../core/constants.ts";
import { errnoName } from "../../ffi/libc/errno.ts";
import { type AckMessage, ackErrno, decodeAck, isAck } from "../../ffi/netlink/ack.ts";
import { NLM_F_ACK } from "../../ffi/netlink/constants.ts";
import { align4, messageLength, messageSequence } from "../../ffi/netlink/message.ts";
import { type NetlinkSocket, RECEIVE_OVERRUN, RECEIVE_TRUNCATED } from "../../ffi/netlink/socket.ts";
import { ROUTE_MESSAGE_BYTES_MAX } from "../encode_context.ts";

/** Room for requests, unless the send buffer is smaller. A batch is sent when the next request might not fit. */
const BATCH_BYTES_MAX = 1 << 20;
/** A reply takes at most about this much of the receive buffer, as the kernel counts. */
const REPLY_TRUESIZE = 1024;
/**
 * The kernel answers within the send; this is for an answer that was lost, and long before the thread that waits for it
 * is taken for stuck.
 */
const ANSWER_TIMEOUT_MS = 2000;
assert(ANSWER_TIMEOUT_MS * 2 <= STUCK_AFTER_MS, "a thread that waits for the kernel is not taken for stuck");

/** As much of a socket as a batch uses. */
export type BatchSocket = Pick<NetlinkSocket, "send" | "receive" | "poll" | "receiveBufferBytes" | "sendBufferBytes">;

export interface BatchOptions {
  answerTimeoutMs?: number;
  /** Sequence number of the first request. */
  firstSequence?: number;
  clock?: Clock;
}

export interface BatchResult {
  /** The request's index in the batch failed. */
  onFailure(index: number, ack: AckMessage): void;
  /** It is not known what became of this request, nor of those after it that did not fail. */
  onUnknown(fromIndex: number, reason: string): void;
}

export class Batch {
  readonly view: DataView;
  readonly #bytes: Uint8Array;
  readonly #socket: BatchSocket;
  readonly #answerTimeoutMs: number;
  readonly #clock: Clock;
  readonly #reply = new Uint8Array(64 << 10);
  readonly #replyView = new DataView(this.#reply.buffer);
  /** Requests after which the replies to all of them might not fit the receive buffer. */
  readonly #requestsMax: number;
  #length = 0;
  #lastOffset = 0;
  #count = 0;
  #firstSequence: number;

  constructor(socket: BatchSocket, options: BatchOptions = {}) {
    this.#socket = socket;
    this.#answerTimeoutMs = options.answerTimeoutMs ?? ANSWER_TIMEOUT_MS;
    this.#firstSequence = options.firstSequence ?? 1;
    this.#clock = options.clock ?? SYSTEM_CLOCK;
    // More at once than the send buffer holds is refused with EMSGSIZE, and without CAP_NET_ADMIN that is not much.
    const bytes = Math.max(ROUTE_MESSAGE_BYTES_MAX, Math.min(BATCH_BYTES_MAX, socket.sendBufferBytes));
    this.#bytes = new Uint8Array(bytes);
    this.view = new DataView(this.#bytes.buffer);
    this.#requestsMax = Math.max(1, Math.floor(socket.receiveBufferBytes / REPLY_TRUESIZE));
  }

  get count(): number {
    return this.#count;
  }

  /** Where the next request goes in {@linkcode view}. */
  get offset(): number {
    return this.#length;
  }

  /** The sequence number that the next request must bear. */
  get sequence(): number {
    return (this.#firstSequence + this.#count) >>> 0;
  }

  /** Whether one more request of any size can be added before a send. */
  hasRoom(): boolean {
    return this.#length + ROUTE_MESSAGE_BYTES_MAX <= this.#bytes.length && this.#count < this.#requestsMax;
  }

  /** Adds the request of `length` bytes that was encoded at {@linkcode offset}; returns its index. */
  add(length: number): number {
    assert(length > 0, "a request that was asked for room fits");
    this.#lastOffset = this.#length;
    this.#length += align4(length);
    this.#count += 1;
    return this.#count - 1;
  }

  /** Sends what was added, and returns when the kernel has answered all of it. The batch is empty then. */
  send(result: BatchResult): void {
    if (this.#count === 0) return;
    const flags = this.view.getUint16(this.#lastOffset + 6, true);
    this.view.setUint16(this.#lastOffset + 6, flags | NLM_F_ACK, true);
    const sent = this.#socket.send(this.#bytes, this.#length);
    if (sent < 0) result.onUnknown(0, `sending to the kernel failed: ${errnoName(-sent)}`);
    else this.#readAnswers(result);
    this.#firstSequence = (this.#firstSequence + this.#count) >>> 0;
    this.#length = 0;
    this.#count = 0;
  }

  #readAnswers(result: BatchResult): void {
    const last = this.#count - 1;
    /** Everything before this one is settled: the kernel answers in order. */
    let settled = 0;
    for (;;) {
      const bytes = this.#socket.receive(this.#reply);
      if (bytes === 0) {
        if (this.#waitForAnswer()) continue;
        return result.onUnknown(settled, "the kernel did not answer");
      }
      if (bytes === RECEIVE_OVERRUN) return this.#discard(result, settled, "answers of the kernel were lost (ENOBUFS)");
      if (bytes < 0) return this.#discard(result, settled, `reading the kernel's answer failed: ${errnoName(-bytes)}`);
      for (let offset = 0; offset < bytes; ) {
        const length = messageLength(this.#replyView, offset, bytes);
        if (length === 0) return this.#discard(result, settled, "the kernel's answer is malformed");
        const index = (messageSequence(this.#replyView, offset) - this.#firstSequence) | 0;
        // An answer to an earlier batch, given up on, has an index below 0.
        if (isAck(this.#replyView, offset, length) && index >= 0 && index <= last) {
          if (ackErrno(this.#replyView, offset) !== 0) {
            const ack = decodeAck(this.#replyView, offset, length);
            if (ack === null) return this.#discard(result, settled, "the kernel's answer is malformed");
            result.onFailure(index, ack);
          }
          settled = index + 1;
          if (index === last) return;
        }
        offset += align4(length);
      }
    }
  }

  /** Polls until something is there or the time is over, through signals. */
  #waitForAnswer(): boolean {
    const deadline = this.#clock.now() + this.#answerTimeoutMs;
    for (let leftMs = this.#answerTimeoutMs; leftMs > 0; leftMs = Math.ceil(deadline - this.#clock.now())) {
      if (this.#socket.poll(leftMs)) return true;
    }
    return false;
  }

  /** After a loss the rest of the answers tells nothing certain: throws it away, so that the next batch starts clean. */
  #discard(result: BatchResult, settled: number, reason: string): void {
    let bytes: number;
    do bytes = this.#socket.receive(this.#reply);
    while (bytes > 0 || bytes === RECEIVE_OVERRUN || bytes === RECEIVE_TRUNCATED);
    result.onUnknown(settled, reason);
  }
}
