/**
 * A netlink socket: opens it, configures it, moves datagrams. One thread owns a socket; it never blocks but in `poll`.
 * What a message means is none of its business, save for one thing: only the kernel is listened to.
 *
 * The hot calls allocate nothing and report as numbers: 0 or more is good, less is `-errno`. Opening throws a
 * SyscallError, because nobody can go on without the socket.
 */
import {
  MSG_TRUNC,
  POLLIN,
  SO_ATTACH_FILTER,
  SO_RCVBUF,
  SO_RCVBUFFORCE,
  SO_SNDBUF,
  SO_SNDBUFFORCE,
  SOCK_CLOEXEC,
  SOCK_NONBLOCK,
  SOCK_RAW,
  SOL_SOCKET,
} from "../libc/constants.ts";
import { ERRNO, SyscallError } from "../libc/errno.ts";
import { withNetns } from "../libc/netns.ts";
import type { Libc } from "../libc/symbols.ts";
import {
  AF_NETLINK,
  NETLINK_ADD_MEMBERSHIP,
  NETLINK_CAP_ACK,
  NETLINK_EXT_ACK,
  NETLINK_GET_STRICT_CHK,
  NETLINK_ROUTE,
  SOL_NETLINK,
} from "./constants.ts";
import { encodeEchoFilter, SOCK_FILTER_BYTES } from "./echo_filter.ts";

/**
 * `receive` says that the kernel had to throw messages away (ENOBUFS): the receive buffer was full. An event like any
 * other: the socket works on, and the owner has to look for itself what it missed.
 */
export const RECEIVE_OVERRUN = -ERRNO.ENOBUFS;
/** `receive` says that a datagram was longer than the buffer and is lost; `truncatedBytes` is how long it was. */
export const RECEIVE_TRUNCATED = -ERRNO.EMSGSIZE;

/** `struct sockaddr_nl { __kernel_sa_family_t nl_family; unsigned short nl_pad; __u32 nl_pid; __u32 nl_groups; }` */
const SOCKADDR_NL_BYTES = 12;
const NL_PID_OFFSET = 4;
/** `struct pollfd { int fd; short events; short revents; }` */
const POLLFD_BYTES = 8;
/** `struct sock_fprog { unsigned short len; struct sock_filter *filter; }` with 64-bit pointers. */
const SOCK_FPROG_BYTES = 16;

export interface NetlinkSocketOptions {
  /** Default NETLINK_ROUTE. */
  readonly protocol?: number;
  /** Multicast groups to listen to, by number (RTNLGRP_*), not as a mask: numbers from 32 up have no bit in one. */
  readonly groups?: readonly number[];
  /**
   * Wanted sizes. CAP_NET_ADMIN may exceed the system's limits; without it net.core.{r,w}mem_max cut them. Compare with
   * {@linkcode NetlinkSocket.receiveBufferBytes} to see what was granted.
   */
  readonly receiveBufferBytes?: number;
  readonly sendBufferBytes?: number;
  /** Errors carry the kernel's text and the offset of the offending attribute. */
  readonly extAck?: boolean;
  /** Errors do not carry the whole request back. */
  readonly capAck?: boolean;
  /** Dump requests are checked and filtered by the kernel; unknown fields are refused, not ignored. */
  readonly strictCheck?: boolean;
  /** See {@linkcode NetlinkSocket.setEchoFilter}. In force before the first group is joined. */
  readonly ignorePortIds?: readonly number[];
  /** Network namespace to open the socket in: a name of `ip netns`, or a path. */
  readonly netns?: string | undefined;
}

/** Opens a socket, in the calling thread's namespace or in `options.netns`. Throws a SyscallError; then nothing stays open. */
export function openNetlinkSocket(libc: Libc, options: NetlinkSocketOptions = {}): NetlinkSocket {
  if (options.netns === undefined) return new NetlinkSocket(libc, options);
  return withNetns(libc, options.netns, () => new NetlinkSocket(libc, options));
}

export class NetlinkSocket {
  /** The address the kernel gave us; it stands in `nlmsg_pid` of what answers us and of what we caused. */
  readonly portId: number;
  /** What the kernel granted, in the unit of the options. (It doubles them for its own overhead, and would report that.) */
  readonly receiveBufferBytes: number;
  readonly sendBufferBytes: number;
  /** Length of the last datagram that did not fit its buffer. */
  truncatedBytes = 0;
  /** Datagrams dropped because another process had sent them. */
  foreignMessages = 0;

  readonly #libc: Libc;
  #fd = -1;
  readonly #address = new Uint8Array(SOCKADDR_NL_BYTES);
  readonly #addressView = new DataView(this.#address.buffer);
  readonly #length = new Uint8Array(4);
  readonly #pollfd = new Uint8Array(POLLFD_BYTES);

  /** Use {@linkcode openNetlinkSocket}, which knows about namespaces. */
  constructor(libc: Libc, options: NetlinkSocketOptions) {
    this.#libc = libc;
    const protocol = options.protocol ?? NETLINK_ROUTE;
    this.#setFd(libc.socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, protocol));
    this.#pollfd[4] = POLLIN;
    if (this.#fd < 0) throw new SyscallError("open netlink socket", libc.errno());
    try {
      this.#configure(options);
      this.portId = this.#bind();
      // Only now: a group joined before the filter stands would let echoes in.
      for (const group of options.groups ?? []) this.#join(group);
      this.receiveBufferBytes = this.#getInt(SO_RCVBUF) / 2;
      this.sendBufferBytes = this.#getInt(SO_SNDBUF) / 2;
    } catch (error) {
      this.close();
      throw error;
    }
  }

  /**
   * Sends the first `length` bytes: one message, or a batch of them that the kernel works through before this returns.
   * Returns 0 or `-errno`; it is all or nothing, and EMSGSIZE says that the send buffer is too small for the batch.
   */
  send(bytes: Uint8Array, length: number): number {
    if (length > bytes.length) throw new RangeError(`Cannot send ${length} bytes of a buffer of ${bytes.length}`);
    for (;;) {
      if (this.#libc.send(this.#fd, bytes, length, 0) >= 0) return 0;
      const errno = this.#libc.errno();
      if (errno !== ERRNO.EINTR) return -errno;
    }
  }

  /**
   * Takes one datagram into `buffer`. Returns its length, 0 when none waits, {@linkcode RECEIVE_OVERRUN},
   * {@linkcode RECEIVE_TRUNCATED}, or another `-errno`. A dump's datagrams fit in 32 KiB; a single object can be larger.
   */
  receive(buffer: Uint8Array): number {
    for (;;) {
      this.#length[0] = SOCKADDR_NL_BYTES;
      // MSG_TRUNC asks for the true length, also of what did not fit.
      const bytes = this.#libc.recvfrom(this.#fd, buffer, buffer.length, MSG_TRUNC, this.#address, this.#length);
      if (bytes < 0) {
        const errno = this.#libc.errno();
        if (errno === ERRNO.EAGAIN) return 0;
        if (errno === ERRNO.EINTR) continue;
        return -errno;
      }
      if (this.#addressView.getUint32(NL_PID_OFFSET, true) !== 0) {
        this.foreignMessages++;
        continue;
      }
      if (bytes <= buffer.length) return bytes;
      this.truncatedBytes = bytes;
      return RECEIVE_TRUNCATED;
    }
  }

  /**
   * Waits until `receive` has something to say, at most `timeoutMs`; -1 waits for ever, 0 only looks. Returns whether it
   * has. A signal may end the wait early with false, so a caller that needs its full time looks at the clock itself.
   */
  poll(timeoutMs: number): boolean {
    // An overrun shows as POLLERR: any event means that receive has something.
    return this.#libc.poll(this.#pollfd, 1, timeoutMs) > 0;
  }

  /** Copies the socket's `struct pollfd` to where {@linkcode pollSockets} wants it. */
  putPollfd(into: Uint8Array, index: number): void {
    into.set(this.#pollfd, index * POLLFD_BYTES);
  }

  /**
   * From now on the kernel drops messages that tell of changes asked for through the sockets with these port ids, before
   * they take room in the receive buffer. Changes that the kernel makes by itself have port id 0 and always come. The
   * answers to this socket's own requests bear its own port id: leave that out where it asks for anything.
   */
  setEchoFilter(portIds: readonly number[]): void {
    const program = encodeEchoFilter(portIds);
    // The struct and the program it points to share one piece of memory, which the call below keeps alive.
    const memory = new Uint8Array(new ArrayBuffer(SOCK_FPROG_BYTES + program.length));
    memory.set(program, SOCK_FPROG_BYTES);
    const view = new DataView(memory.buffer);
    view.setUint16(0, program.length / SOCK_FILTER_BYTES, true);
    view.setBigUint64(8, this.#libc.addressOf(memory) + BigInt(SOCK_FPROG_BYTES), true);
    this.#set(SOL_SOCKET, SO_ATTACH_FILTER, memory.subarray(0, SOCK_FPROG_BYTES), "attach the netlink echo filter");
  }

  /** Closes the socket; a second call does nothing. */
  close(): void {
    if (this.#fd >= 0) this.#libc.close(this.#fd);
    this.#setFd(-1);
  }

  #setFd(fd: number): void {
    this.#fd = fd;
    new DataView(this.#pollfd.buffer).setInt32(0, fd, true);
  }

  #configure(options: NetlinkSocketOptions): void {
    if (options.extAck) this.#enable(NETLINK_EXT_ACK, "extended acks", "4.12");
    if (options.capAck) this.#enable(NETLINK_CAP_ACK, "capped acks", "4.3");
    if (options.strictCheck) this.#enable(NETLINK_GET_STRICT_CHK, "strict checks", "4.20");
    if (options.receiveBufferBytes) this.#setBuffer(SO_RCVBUFFORCE, SO_RCVBUF, options.receiveBufferBytes, "receive");
    if (options.sendBufferBytes) this.#setBuffer(SO_SNDBUFFORCE, SO_SNDBUF, options.sendBufferBytes, "send");
    if (options.ignorePortIds) this.setEchoFilter(options.ignorePortIds);
  }

  /** Binds to the zero address, for which the kernel picks a port id, and returns that. */
  #bind(): number {
    const op = "bind netlink socket";
    this.#address[0] = AF_NETLINK;
    if (this.#libc.bind(this.#fd, this.#address, SOCKADDR_NL_BYTES) < 0) throw new SyscallError(op, this.#libc.errno());
    this.#length[0] = SOCKADDR_NL_BYTES;
    if (this.#libc.getsockname(this.#fd, this.#address, this.#length) < 0) {
      throw new SyscallError(op, this.#libc.errno());
    }
    return this.#addressView.getUint32(NL_PID_OFFSET, true);
  }

  #join(group: number): void {
    const op = `join netlink group ${group}`;
    this.#set(SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, int(group), op, {
      [ERRNO.EINVAL]: "this kernel has no such group",
      [ERRNO.EPERM]: "CAP_NET_ADMIN is missing",
    });
  }

  #enable(option: number, what: string, sinceKernel: string): void {
    const hint = `Linux has them since ${sinceKernel}`;
    this.#set(SOL_NETLINK, option, int(1), `switch on ${what} of a netlink socket`, { [ERRNO.ENOPROTOOPT]: hint });
  }

  #setBuffer(force: number, limited: number, bytes: number, which: string): void {
    const value = int(bytes);
    if (this.#libc.setsockopt(this.#fd, SOL_SOCKET, force, value, value.length) === 0) return;
    this.#set(SOL_SOCKET, limited, value, `set the ${which} buffer of a netlink socket`);
  }

  #set(level: number, option: number, value: Uint8Array, op: string, hints: Record<number, string> = {}): void {
    if (this.#libc.setsockopt(this.#fd, level, option, value, value.length) === 0) return;
    const errno = this.#libc.errno();
    throw new SyscallError(op, errno, hints[errno]);
  }

  #getInt(option: number): number {
    const value = int(0);
    if (this.#libc.getsockopt(this.#fd, SOL_SOCKET, option, value, int(value.length)) < 0) {
      throw new SyscallError("read the buffer size of a netlink socket", this.#libc.errno());
    }
    return new DataView(value.buffer).getInt32(0, true);
  }
}

/** Memory for {@linkcode pollSockets}, good for as long as the sockets are open. */
export function createPollfds(sockets: readonly NetlinkSocket[]): Uint8Array {
  const pollfds = new Uint8Array(sockets.length * POLLFD_BYTES);
  for (const [index, socket] of sockets.entries()) socket.putPollfd(pollfds, index);
  return pollfds;
}

/** Waits as {@linkcode NetlinkSocket.poll} does, until any of several sockets has something. */
export function pollSockets(libc: Libc, pollfds: Uint8Array, timeoutMs: number): boolean {
  return libc.poll(pollfds, pollfds.length / POLLFD_BYTES, timeoutMs) > 0;
}

/** A C `int` in memory, as socket options take it. */
function int(value: number): Uint8Array<ArrayBuffer> {
  return new Uint8Array(new Int32Array([value]).buffer);
}
