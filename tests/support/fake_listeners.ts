/**
 * The kernel's side of the sockets of a monitor thread, in the place of libc: several sockets with a queue each, dumps
 * that answer what a test says, and a script whose next step runs whenever the monitor waits for both its sockets.
 */
import { SO_ATTACH_FILTER } from "../../ffi/libc/constants.ts";
import { ERRNO } from "../../ffi/libc/errno.ts";
import type { Libc } from "../../ffi/libc/symbols.ts";
import {
  NETLINK_ADD_MEMBERSHIP,
  NLM_F_DUMP,
  NLM_F_MULTI,
  NLMSG_DONE,
  SOL_NETLINK,
} from "../../ffi/netlink/constants.ts";
import { endMessage, messageFlags, messageSequence, messageType, putHeader } from "../../ffi/netlink/message.ts";
import { answerTo } from "./fake_netlink.ts";

interface FakeSocket {
  portId: number;
  groups: number[];
  filters: number;
  /** Datagrams, or errnos of `recvfrom`. */
  queue: (Uint8Array | number)[];
}

/** Port ids begin here, at the number of a process that has a name. */
const FIRST_PORT_ID = 4_000_000;

export class FakeListeners {
  readonly sockets: FakeSocket[] = [];
  /** What a dump of this type answers: messages, or an errno. They get the request's sequence number and port. */
  dumped: (type: number, request: Uint8Array) => Uint8Array[] | number = () => [];
  /** Runs when a datagram is taken. */
  onReceive: () => void = () => {};
  /** Dumps that were asked for, by type. */
  readonly dumps: number[] = [];
  readonly #steps: (() => void)[];
  #errno = 0;

  /** `steps` run one by one, each before a wait of the monitor ends; the last has to stop it. */
  constructor(steps: (() => void)[]) {
    this.#steps = steps;
  }

  /** The sockets that listen, in the order in which they were opened: links, then routes. */
  listener(index: 0 | 1): FakeSocket {
    return this.sockets.filter(({ groups }) => groups.length > 0)[index]!;
  }

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
    socket: () => this.sockets.push({ portId: FIRST_PORT_ID + this.sockets.length, groups: [], filters: 0, queue: [] }),
    bind: () => 0,
    getsockname: (fd, address) => {
      new DataView(address.buffer, address.byteOffset).setUint32(4, this.#of(fd).portId, true);
      return 0;
    },
    setsockopt: (fd, level, option, value) => {
      const number = new DataView(value.buffer, value.byteOffset).getInt32(0, true);
      if (level === SOL_NETLINK && option === NETLINK_ADD_MEMBERSHIP) this.#of(fd).groups.push(number);
      if (option === SO_ATTACH_FILTER) this.#of(fd).filters += 1;
      return 0;
    },
    getsockopt: () => 0,
    send: (fd, bytes, length) => {
      this.#answer(this.#of(fd), bytes.slice(0, length));
      return length;
    },
    sendto: () => this.#fail(ERRNO.EINVAL),
    recvfrom: (fd, buffer, _length, _flags, address) => {
      const next = this.#of(fd).queue.shift();
      if (next === undefined) return this.#fail(ERRNO.EAGAIN);
      if (typeof next === "number") return this.#fail(next);
      new DataView(address.buffer, address.byteOffset).setUint32(4, 0, true);
      buffer.set(next);
      this.onReceive();
      return next.length;
    },
    poll: (pollfds, count) => {
      if (count > 1) this.#steps.shift()!();
      const fd = new DataView(pollfds.buffer, pollfds.byteOffset).getInt32(0, true);
      return count > 1 || this.#of(fd).queue.length > 0 ? 1 : 0;
    },
  };

  #of(fd: number): FakeSocket {
    return this.sockets[fd - 1]!;
  }

  #answer(socket: FakeSocket, request: Uint8Array): void {
    const view = new DataView(request.buffer);
    const [type, flags, sequence] = [messageType(view, 0), messageFlags(view, 0), messageSequence(view, 0)];
    if ((flags & NLM_F_DUMP) === 0) {
      socket.queue.push(answerTo({ type, flags, sequence }, { errno: 0 }));
      return;
    }
    this.dumps.push(type);
    const answer = this.dumped(type, request);
    const messages = typeof answer === "number" ? [] : answer;
    for (const message of [...messages, done(typeof answer === "number" ? answer : 0)]) {
      const copy = message.slice();
      const copied = new DataView(copy.buffer);
      copied.setUint32(8, sequence, true);
      copied.setUint32(12, socket.portId, true);
      socket.queue.push(copy);
    }
  }

  #fail(errno: number): number {
    this.#errno = errno;
    return -1;
  }
}

/** The end of a dump. */
function done(errno: number): Uint8Array {
  const bytes = new Uint8Array(20);
  const view = new DataView(bytes.buffer);
  const at = putHeader(view, 0, NLMSG_DONE, NLM_F_MULTI, 0, 0);
  view.setInt32(at, -errno, true);
  endMessage(view, 0, at + 4);
  return bytes;
}
