/**
 * A kernel's netlink side in the place of libc: takes what is sent, answers as it is told, and loses, mangles or delays
 * answers on demand. Knows one socket, whoever opens it, and needs no privileges.
 */
import { SO_RCVBUF, SO_SNDBUF } from "../../ffi/libc/constants.ts";
import { ERRNO } from "../../ffi/libc/errno.ts";
import type { Libc } from "../../ffi/libc/symbols.ts";
import { createAckMessage, encodeAck } from "../../ffi/netlink/ack.ts";
import { NLM_F_ACK, NLM_F_ACK_TLVS, NLM_F_CAPPED } from "../../ffi/netlink/constants.ts";
import { align4, messageFlags, messageLength, messageSequence, messageType } from "../../ffi/netlink/message.ts";

const FD = 42;
export const FAKE_PORT_ID = 4711;

/** A request that was sent. */
export interface FakeRequest {
  type: number;
  flags: number;
  sequence: number;
  bytes: Uint8Array;
}

/** What the kernel thinks of a request: 0 for success, or why not. */
export type Verdict = number | { errno: number; text?: string; offset?: number };

export class FakeNetlink {
  /** Each send, as the requests in it; questions apart. */
  readonly sends: FakeRequest[][] = [];
  readonly questions: FakeRequest[] = [];
  receiveBufferBytes = 1 << 20;
  sendBufferBytes = 1 << 20;
  /** Fails the next send with this errno. */
  sendErrno = 0;
  /** Judges a request; the default takes all. */
  judge: (request: FakeRequest) => Verdict = () => 0;
  /** Answers a question, RTM_GET*; the default has never heard of what is asked for, null is silence. */
  tell: (question: FakeRequest) => Uint8Array | null = (question) => answerTo(question, { errno: ERRNO.ENOENT });
  /** Takes the answers to a send, in order, and says what of them arrives: datagrams, or errnos of `recvfrom`. */
  deliver: (answers: Uint8Array[]) => (Uint8Array | number)[] = (answers) => answers;
  /** Polls that end early with nothing, as after a signal. */
  interruptedPolls = 0;
  readonly #queue: (Uint8Array | number)[] = [];
  #errno = 0;

  readonly libc: Libc = {
    errno: () => this.#errno,
    addressOf: () => 0n,
    open: () => this.#fail(ERRNO.ENOENT),
    close: () => 0,
    prctl: () => this.#fail(ERRNO.EINVAL),
    capset: () => this.#fail(ERRNO.EPERM),
    setns: () => 0,
    setgroups: () => 0,
    execve: () => 0,
    socket: () => FD,
    bind: () => 0,
    getsockname: (_fd, address) => {
      new DataView(address.buffer, address.byteOffset).setUint32(4, FAKE_PORT_ID, true);
      return 0;
    },
    setsockopt: () => 0,
    getsockopt: (_fd, _level, option, value) => {
      const sizes: Record<number, number> = { [SO_RCVBUF]: this.receiveBufferBytes, [SO_SNDBUF]: this.sendBufferBytes };
      // The kernel counts double.
      new DataView(value.buffer).setInt32(0, 2 * (sizes[option] ?? 0), true);
      return 0;
    },
    send: (_fd, bytes, length) => this.#send(bytes, length),
    sendto: () => this.#fail(ERRNO.EINVAL),
    recvfrom: (_fd, buffer, length, _flags, address) => this.#receive(buffer, length, address),
    poll: (_pollfd, _count, timeoutMs) => this.#poll(timeoutMs),
  };

  /** All requests, whatever send they were in. */
  get requests(): FakeRequest[] {
    return this.sends.flat();
  }

  /** Puts a datagram, or an errno, where the next receive finds it. */
  queue(...datagrams: (Uint8Array | number)[]): void {
    this.#queue.push(...datagrams);
  }

  #send(bytes: Uint8Array, length: number): number {
    if (this.sendErrno !== 0) {
      const errno = this.sendErrno;
      this.sendErrno = 0;
      return this.#fail(errno);
    }
    if (length > 2 * this.sendBufferBytes - 32) return this.#fail(ERRNO.EMSGSIZE);
    const requests = splitRequests(bytes.slice(0, length));
    // Types come in fours: NEW, DEL, GET, SET.
    if (requests.every(({ type }) => (type & 3) === 2)) {
      this.questions.push(...requests);
      this.#queue.push(...requests.map(this.tell).filter((answer) => answer !== null));
      return length;
    }
    this.sends.push(requests);
    const answers: Uint8Array[] = [];
    for (const request of requests) {
      const verdict = this.judge(request);
      const refused = typeof verdict === "number" ? { errno: verdict } : verdict;
      if (refused.errno !== 0 || (request.flags & NLM_F_ACK) !== 0) answers.push(answerTo(request, refused));
    }
    this.#queue.push(...this.deliver(answers));
    return length;
  }

  #receive(buffer: Uint8Array, length: number, address: Uint8Array): number {
    const next = this.#queue.shift();
    if (next === undefined) return this.#fail(ERRNO.EAGAIN);
    if (typeof next === "number") return this.#fail(next);
    // From the kernel, whose port id is 0.
    new DataView(address.buffer, address.byteOffset).setUint32(4, 0, true);
    buffer.set(next.subarray(0, length));
    return next.length;
  }

  #poll(timeoutMs: number): number {
    if (this.#queue.length > 0) return 1;
    if (this.interruptedPolls > 0) this.interruptedPolls -= 1;
    else Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, timeoutMs);
    return 0;
  }

  #fail(errno: number): number {
    this.#errno = errno;
    return -1;
  }
}

/** The kernel's answer to a request, as one datagram. */
export function answerTo(
  request: Pick<FakeRequest, "sequence" | "type" | "flags">,
  { errno, text, offset }: { errno: number; text?: string; offset?: number },
): Uint8Array {
  const message = createAckMessage();
  message.flags = NLM_F_CAPPED | (text === undefined && offset === undefined ? 0 : NLM_F_ACK_TLVS);
  message.sequence = request.sequence;
  message.portId = FAKE_PORT_ID;
  message.errno = errno;
  message.requestType = request.type;
  message.requestFlags = request.flags;
  message.text = text;
  message.offset = offset;
  const bytes = new Uint8Array(512);
  return bytes.subarray(0, encodeAck(new DataView(bytes.buffer), 0, message));
}

/** Like the kernel, stops at a length that cannot be right. */
function splitRequests(bytes: Uint8Array): FakeRequest[] {
  const view = new DataView(bytes.buffer);
  const requests: FakeRequest[] = [];
  let length = 0;
  for (let offset = 0; offset < bytes.length; offset += align4(length)) {
    length = messageLength(view, offset, bytes.length);
    if (length === 0) break;
    requests.push({
      type: messageType(view, offset),
      flags: messageFlags(view, offset),
      sequence: messageSequence(view, offset),
      bytes: bytes.subarray(offset, offset + length),
    });
  }
  return requests;
}
