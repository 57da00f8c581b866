/**
 * The sockets of the model kernel, in the place of libc: the real netlink code opens, sends to and reads from them. What goes
 * wrong on the way is for {@linkcode NetlinkFaults} to say.
 */
import {
  SO_ATTACH_FILTER,
  SO_RCVBUF,
  SO_RCVBUFFORCE,
  SO_SNDBUF,
  SO_SNDBUFFORCE,
  SOL_SOCKET,
} from "../../../ffi/libc/constants.ts";
import { ERRNO } from "../../../ffi/libc/errno.ts";
import type { Libc } from "../../../ffi/libc/symbols.ts";
import * as c from "../../../ffi/netlink/constants.ts";
import { align4, type MessageHeader, messageLength, messagePortId, readHeader } from "../../../ffi/netlink/message.ts";
import type { Refusal } from "./model.ts";
import type { ModelDump, ModelKernel } from "./model_kernel.ts";
import { concatenate, encodeAnswer, encodeDone } from "./wire.ts";

/** A datagram that waits to be read, or an errno that `recvfrom` fails with in its place. */
export type Waiting = Uint8Array | number;

export interface NetlinkFaults {
  /** Errno with which a send fails before the kernel has seen anything; 0 for none. */
  onSend(socket: ModelSocket): number;
  /** Errno with which a receive fails although something waits, or nothing does; 0 for none. */
  onReceive(socket: ModelSocket): number;
  /** The answers to one send: what of them arrives. */
  onAnswers(socket: ModelSocket, answers: Uint8Array[]): Waiting[];
  /** A notification: what of it arrives, before what else waits there. */
  onNotification(socket: ModelSocket, datagram: Uint8Array): Waiting[];
  /** One datagram of a dump: what of it arrives. */
  onDump(socket: ModelSocket, datagram: Uint8Array): Waiting[];
  /** Messages in the next datagram of a dump. */
  dumpMessages(): number;
  /** A poll is interrupted by a signal. */
  onPoll(): boolean;
}

/** What happens while a thread is inside of a system call. */
export interface NetlinkHooks {
  /** The thread has ended, and nothing that it still does reaches the kernel. */
  isDead(): boolean;
  /** Another request of a batch is about to be carried out: others may come in between. */
  beforeRequest(): void;
  /** The calling thread waits on a socket, at most so long: time passes, until `isReady`. */
  wait(timeoutMs: number, isReady: () => boolean): void;
}

export const NO_FAULTS: NetlinkFaults = {
  onSend: () => 0,
  onReceive: () => 0,
  onAnswers: (_socket, answers) => answers,
  onNotification: (_socket, datagram) => [datagram],
  onDump: (_socket, datagram) => [datagram],
  dumpMessages: () => 16,
  onPoll: () => false,
};

export const NO_HOOKS: NetlinkHooks = { isDead: () => false, beforeRequest: () => {}, wait: () => {} };

export class ModelSocket {
  readonly fd: number;
  readonly portId: number;
  readonly groups = new Set<number>();
  readonly ignoredPorts = new Set<number>();
  readonly queue: Waiting[] = [];
  receiveBufferBytes = 212_992;
  sendBufferBytes = 212_992;
  dump: ModelDump | null = null;
  dumpHeader: MessageHeader | null = null;
  /** Who opened it, and whether that thread has ended. */
  libc: Libc | null = null;
  readonly isDead: () => boolean;

  constructor(fd: number, portId: number, isDead: () => boolean) {
    this.fd = fd;
    this.portId = portId;
    this.isDead = isDead;
  }

  /** Whether it is one that listens. */
  get isListening(): boolean {
    return this.groups.size > 0;
  }
}

/** First of the port ids, which no process of the machine has for its number. */
const FIRST_PORT_ID = 4_000_000_000;
const FIRST_FD = 100;

export class ModelNetlink {
  readonly kernel: ModelKernel;
  readonly #faults: NetlinkFaults;
  readonly #sockets = new Map<number, ModelSocket>();
  #opened = 0;

  constructor(kernel: ModelKernel, faults: NetlinkFaults = NO_FAULTS) {
    this.kernel = kernel;
    this.#faults = faults;
    kernel.notify = (group, bytes) => this.#multicast(group, bytes);
  }

  sockets(): Iterable<ModelSocket> {
    return this.#sockets.values();
  }

  /** Closes the sockets of threads that have ended. */
  closeDead(): void {
    for (const socket of this.#sockets.values()) if (socket.isDead()) this.#sockets.delete(socket.fd);
  }

  /** Whether anything waits in a socket of this thread that listens. */
  hasWaiting(libc: Libc): boolean {
    for (const socket of this.#sockets.values()) {
      if (socket.libc === libc && socket.isListening && socket.queue.length > 0) return true;
    }
    return false;
  }

  /** libc as one thread has it. */
  openLibc(hooks: NetlinkHooks = NO_HOOKS): Libc {
    const { isDead } = hooks;
    let errno = 0;
    /** What was last asked the address of: a program for a socket's filter. */
    let addressed = new Uint8Array(0);
    const fail = (code: number): number => {
      errno = code;
      return -1;
    };
    const returnOrFail = (result: number): number => (result < 0 ? fail(-result) : result);
    const socketOf = (fd: number): ModelSocket | undefined => (isDead() ? undefined : this.#sockets.get(fd));
    const libc: Libc = {
      errno: () => errno,
      addressOf: (bytes) => {
        addressed = bytes as Uint8Array<ArrayBuffer>;
        return 0x1000n;
      },
      open: () => fail(ERRNO.ENOENT),
      close: (fd) => (this.#sockets.delete(fd) ? 0 : fail(ERRNO.EBADF)),
      setns: () => 0,
      prctl: () => 0,
      capset: () => 0,
      setgroups: () => 0,
      execve: () => fail(ERRNO.ENOENT),
      socket: () => {
        if (isDead()) return fail(ERRNO.EBADF);
        const socket = this.#open(isDead);
        socket.libc = libc;
        return socket.fd;
      },
      bind: () => 0,
      getsockname: (fd, address) => {
        const socket = socketOf(fd);
        if (socket === undefined) return fail(ERRNO.EBADF);
        new DataView(address.buffer, address.byteOffset).setUint32(4, socket.portId, true);
        return 0;
      },
      setsockopt: (fd, level, option, value) => {
        const socket = socketOf(fd);
        if (socket === undefined) return fail(ERRNO.EBADF);
        const number = new DataView(value.buffer, value.byteOffset).getInt32(0, true);
        if (level === SOL_SOCKET && option === SO_ATTACH_FILTER) setFilter(socket, addressed);
        else if (level === SOL_SOCKET) setBuffer(socket, option, number);
        else if (option === c.NETLINK_ADD_MEMBERSHIP) socket.groups.add(number);
        return 0;
      },
      getsockopt: (fd, _level, option, value) => {
        const socket = socketOf(fd);
        if (socket === undefined) return fail(ERRNO.EBADF);
        const bytes = option === SO_RCVBUF ? socket.receiveBufferBytes : socket.sendBufferBytes;
        // The kernel counts double.
        new DataView(value.buffer, value.byteOffset).setInt32(0, 2 * bytes, true);
        return 0;
      },
      send: (fd, bytes, length) => {
        const socket = socketOf(fd);
        return returnOrFail(socket === undefined ? -ERRNO.EBADF : this.#send(socket, bytes, length, hooks));
      },
      sendto: () => fail(ERRNO.EINVAL),
      recvfrom: (fd, buffer, length, _flags, address) => {
        const socket = socketOf(fd);
        if (socket === undefined) return fail(ERRNO.EBADF);
        // From the kernel, whose port id is 0.
        new DataView(address.buffer, address.byteOffset).setUint32(4, 0, true);
        return returnOrFail(this.#receive(socket, buffer, length));
      },
      poll: (pollfds, count, timeoutMs) =>
        isDead() ? fail(ERRNO.EBADF) : this.#poll(pollfds, count, timeoutMs, hooks),
    };
    return libc;
  }

  #open(isDead: () => boolean): ModelSocket {
    this.#opened += 1;
    const socket = new ModelSocket(FIRST_FD + this.#opened, FIRST_PORT_ID + this.#opened, isDead);
    this.#sockets.set(socket.fd, socket);
    return socket;
  }

  #send(socket: ModelSocket, bytes: Uint8Array, length: number, hooks: NetlinkHooks): number {
    const failure = this.#faults.onSend(socket);
    if (failure !== 0) return -failure;
    // The kernel has a copy of its own.
    const copy = bytes.slice(0, length);
    const view = new DataView(copy.buffer);
    const answers: Uint8Array[] = [];
    for (let offset = 0, size = 0; offset < length; offset += align4(size)) {
      size = messageLength(view, offset, length);
      if (size === 0) break;
      hooks.beforeRequest();
      // It has died in the middle: the kernel has got it all, and goes on.
      const answer = this.#request(socket, view, offset, size);
      if (answer !== null) answers.push(answer);
    }
    socket.queue.push(...this.#faults.onAnswers(socket, answers));
    this.#dumpOn(socket);
    return length;
  }

  /** Carries out one request; returns the answer, if there is one at once. */
  #request(socket: ModelSocket, view: DataView, offset: number, size: number): Uint8Array | null {
    const header: MessageHeader = { type: 0, flags: 0, sequence: 0, portId: 0 };
    readHeader(view, offset, header);
    const { type, flags } = header;
    const own = { ...header, portId: socket.portId };
    // Types come in fours: NEW, DEL, GET, SET.
    const isQuestion = type >= c.RTM_NEWLINK && (type & 3) === 2;
    let refusal: Refusal | null = null;
    if (isQuestion && (flags & c.NLM_F_DUMP) !== 0) {
      if (socket.dump !== null) refusal = { errno: ERRNO.EBUSY, text: "" };
      else {
        const dump = this.kernel.dump(view, offset, size, own);
        if ("errno" in dump) refusal = dump;
        else {
          socket.dump = dump;
          socket.dumpHeader = own;
          return null;
        }
      }
    } else if (isQuestion) {
      const told = this.kernel.tell(view, offset, size, own);
      if (!("errno" in told)) return told;
      refusal = told;
    } else if (type >= c.NLMSG_MIN_TYPE) refusal = this.kernel.change(view, offset, size, socket.portId);
    if (refusal === null && (flags & c.NLM_F_ACK) === 0) return null;
    return encodeAnswer(header, socket.portId, refusal);
  }

  /** Puts the next datagram of a dump into the socket, if one is going on and nothing waits there. */
  #dumpOn(socket: ModelSocket): void {
    const { dump, dumpHeader } = socket;
    if (dump === null || dumpHeader === null || socket.queue.length > 0) return;
    const messages = dump.next(this.#faults.dumpMessages());
    let datagram: Uint8Array;
    if (messages.length > 0) datagram = concatenate(messages);
    else {
      socket.dump = null;
      datagram = encodeDone(dumpHeader.sequence, socket.portId);
    }
    socket.queue.push(...this.#faults.onDump(socket, datagram));
    // Nothing of it arrived: what comes after it does.
    if (socket.queue.length === 0 && socket.dump !== null) this.#dumpOn(socket);
  }

  #receive(socket: ModelSocket, buffer: Uint8Array, length: number): number {
    const failure = this.#faults.onReceive(socket);
    if (failure !== 0) return -failure;
    const next = socket.queue.shift();
    if (next === undefined) return -ERRNO.EAGAIN;
    if (typeof next === "number") return -next;
    buffer.set(next.subarray(0, length));
    this.#dumpOn(socket);
    return next.length;
  }

  #poll(pollfds: Uint8Array, count: number, timeoutMs: number, hooks: NetlinkHooks): number {
    const view = new DataView(pollfds.buffer, pollfds.byteOffset);
    const isReady = (): boolean => {
      for (let index = 0; index < count; index++) {
        if ((this.#sockets.get(view.getInt32(index * 8, true))?.queue.length ?? 0) > 0) return true;
      }
      return false;
    };
    if (isReady()) return 1;
    if (timeoutMs === 0 || this.#faults.onPoll()) return 0;
    // Whoever waits on several sockets has nothing else to do: when it goes on is for the scheduler to say.
    if (count === 1) hooks.wait(timeoutMs, isReady);
    return isReady() ? 1 : 0;
  }

  #multicast(group: number, bytes: Uint8Array): void {
    const portId = messagePortId(new DataView(bytes.buffer, bytes.byteOffset), 0);
    for (const socket of this.#sockets.values()) {
      if (!socket.groups.has(group) || socket.ignoredPorts.has(portId)) continue;
      socket.queue.push(...this.#faults.onNotification(socket, bytes));
    }
  }
}

function setBuffer(socket: ModelSocket, option: number, bytes: number): void {
  if (option === SO_RCVBUFFORCE || option === SO_RCVBUF) socket.receiveBufferBytes = bytes;
  if (option === SO_SNDBUFFORCE || option === SO_SNDBUF) socket.sendBufferBytes = bytes;
}

/** Reads the port ids out of the program of ffi/netlink/echo_filter.ts, which stands behind a `struct sock_fprog`. */
function setFilter(socket: ModelSocket, memory: Uint8Array): void {
  const jumpIfEqual = 0x15;
  const view = new DataView(memory.buffer, memory.byteOffset, memory.length);
  socket.ignoredPorts.clear();
  for (let at = 16; at < memory.length; at += 8) {
    // The program compares in network order.
    if (view.getUint16(at, true) === jumpIfEqual) socket.ignoredPorts.add(view.getUint32(at + 4, false));
  }
}
