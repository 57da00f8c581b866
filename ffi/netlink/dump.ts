/**
 * Reads a whole table out of the kernel: sends one RTM_GET* dump request and hands over every message of the answer,
 * and starts over when the table changed underneath. Runs in the thread that owns the socket and holds it until the end;
 * the socket should belong to no multicast group meanwhile, for other messages are skipped.
 *
 * How far a dump can be trusted while others write, as seen on Linux 6.18 with 50,000 entries: links, addresses and
 * nexthops bear NLM_F_DUMP_INTR. IPv4 routes never do, but the dump goes on by key, so an entry that exists all the time
 * is seen, once. IPv6 routes never do either, and there the dump goes on by counting: a hundred changes made it miss a
 * thousand entries and show as many twice. Only a witness makes that visible.
 */
import { ERRNO } from "../libc/errno.ts";
import { NLM_F_DUMP_INTR, NLMSG_DONE, NLMSG_ERROR, NLMSG_HDRLEN } from "./constants.ts";
import { align4, messageFlags, messageLength, messagePortId, messageSequence, messageType } from "./message.ts";
import { type NetlinkSocket, RECEIVE_OVERRUN, RECEIVE_TRUNCATED } from "./socket.ts";

/** The kernel fills at most 32 KiB of a dump datagram, unless one object alone is larger; then the buffer grows. */
export const DUMP_BUFFER_BYTES = 64 << 10;
const RESTARTS_MAX = 8;
const TIMEOUT_MS = 10_000;

/** Offset of `nlmsg_seq` in a message. */
const NLMSG_SEQ_OFFSET = 8;

/** As much of a socket as a dump uses. */
export type DumpSocket = Pick<NetlinkSocket, "portId" | "truncatedBytes" | "send" | "receive" | "poll">;

export interface DumpHandlers {
  /** One message: its nlmsghdr begins at `offset` and it is `length` bytes long. The view's memory is used again afterwards. */
  onMessage(view: DataView, offset: number, length: number): void;
  /** The dump starts over: forget everything that `onMessage` has been given. */
  onRestart(): void;
}

export interface DumpOptions {
  /** How often to start over before the result is left as it is. */
  readonly restartsMax?: number;
  /** Longest silence of the kernel. It answers at once; only a dump whose end was lost runs into this. */
  readonly timeoutMs?: number;
  /**
   * A socket of its own that listens to the multicast group of what is dumped, without echo filter. Whatever it hears
   * during a try makes that try count as interrupted. Needed for IPv6 routes; what it hears is thrown away.
   */
  readonly witness?: DumpSocket;
  /** Memory to read into, {@linkcode DUMP_BUFFER_BYTES} of it; whoever dumps often need not make it each time. */
  readonly buffer?: Uint8Array<ArrayBuffer>;
  /** The thread's clock, in milliseconds. */
  readonly now?: () => number;
}

/** Work of a thread that blocks it. It yields where another thread may come in between, as a test may want to see. */
export type Steps<Result> = Generator<void, Result, void>;

/** Does all of it. */
export function block<Result>(steps: Steps<Result>): Result {
  for (;;) {
    const { done, value } = steps.next();
    if (done) return value;
  }
}

export interface DumpResult {
  /**
   * 0 when the dump came to its end. Otherwise what `onMessage` saw is incomplete, and this is why: the kernel's own
   * errno for the request, ENOBUFS or EMSGSIZE for lost messages, EBADMSG for malformed ones, ETIMEDOUT.
   */
  errno: number;
  /** The table changed during the last try too: entries may be missing or double. Absence from it proves nothing. */
  interrupted: boolean;
  /** Messages and bytes of the last try, and how many tries came before it. */
  messages: number;
  bytes: number;
  restarts: number;
}

/**
 * Dumps. `request` is one encoded message with NLM_F_REQUEST | NLM_F_DUMP and a sequence number that this socket has
 * not used; each further try counts that up in place. Blocks for as long as the kernel and `onMessage` take.
 */
export function* dump(
  socket: DumpSocket,
  request: Uint8Array,
  handlers: DumpHandlers,
  options: DumpOptions = {},
): Steps<DumpResult> {
  const { restartsMax = RESTARTS_MAX, witness } = options;
  const header = new DataView(request.buffer, request.byteOffset, NLMSG_HDRLEN);
  let buffer = options.buffer ?? new Uint8Array(DUMP_BUFFER_BYTES);
  for (let restarts = 0; ; restarts++) {
    const result: DumpResult = { errno: 0, interrupted: false, messages: 0, bytes: 0, restarts };
    const sequence = header.getUint32(NLMSG_SEQ_OFFSET, true);
    // One that is broken hears nothing.
    const isDeaf = witness !== undefined && !discard(witness, buffer);
    const sent = socket.send(request, request.length);
    if (sent < 0) return { ...result, errno: -sent };
    yield* readAnswer(socket, buffer, sequence, handlers, options, result);
    if (isDeaf || witness?.poll(0)) result.interrupted = true;
    // EMSGSIZE may also be the kernel's own answer; a larger buffer helps only where one was too small.
    const tooSmall = result.errno === ERRNO.EMSGSIZE && socket.truncatedBytes > buffer.length;
    const retry = result.interrupted || result.errno === ERRNO.ENOBUFS || tooSmall;
    if (!retry || restarts >= restartsMax) return result;
    if (tooSmall) buffer = new Uint8Array(socket.truncatedBytes);
    header.setUint32(NLMSG_SEQ_OFFSET, sequence + 1, true);
    handlers.onRestart();
  }
}

/** Throws away what waits in a socket. Overruns and truncations are as good as silence here. False if it is broken. */
function discard(socket: DumpSocket, buffer: Uint8Array): boolean {
  let bytes: number;
  do bytes = socket.receive(buffer);
  while (bytes > 0 || bytes === RECEIVE_OVERRUN || bytes === RECEIVE_TRUNCATED);
  return bytes === 0;
}

/**
 * Reads one answer to its end, also when part of it was lost: the kernel refuses the next dump on a socket (EBUSY) as
 * long as one is under way.
 */
function* readAnswer(
  socket: DumpSocket,
  buffer: Uint8Array,
  sequence: number,
  handlers: DumpHandlers,
  { timeoutMs = TIMEOUT_MS, now = () => performance.now() }: DumpOptions,
  result: DumpResult,
): Steps<void> {
  const view = new DataView(buffer.buffer, buffer.byteOffset, buffer.length);
  for (;;) {
    yield;
    const bytes = socket.receive(buffer);
    if (bytes === 0) {
      if (waitReadable(socket, timeoutMs, now)) continue;
      result.errno ||= ERRNO.ETIMEDOUT;
      return;
    }
    if (bytes > 0) {
      result.bytes += bytes;
      if (readDatagram(view, bytes, sequence, socket.portId, handlers, result)) return;
    } else {
      // The first loss is the one to report: it decides how the next try differs.
      result.errno ||= -bytes;
      if (bytes !== RECEIVE_OVERRUN && bytes !== RECEIVE_TRUNCATED) return;
    }
  }
}

/** Walks the messages of one datagram. Returns true when the answer ends here. */
function readDatagram(
  view: DataView,
  bytes: number,
  sequence: number,
  portId: number,
  handlers: DumpHandlers,
  result: DumpResult,
): boolean {
  for (let offset = 0; offset < bytes; ) {
    const length = messageLength(view, offset, bytes);
    if (length === 0) {
      result.errno ||= ERRNO.EBADMSG;
      return true;
    }
    if (messageSequence(view, offset) === sequence && messagePortId(view, offset) === portId) {
      const type = messageType(view, offset);
      if ((messageFlags(view, offset) & NLM_F_DUMP_INTR) !== 0) result.interrupted = true;
      if (type === NLMSG_DONE || type === NLMSG_ERROR) {
        // Both carry a negative errno behind the header: NLMSG_DONE when the dump broke off half-way.
        if (length >= NLMSG_HDRLEN + 4) result.errno ||= Math.abs(view.getInt32(offset + NLMSG_HDRLEN, true));
        return true;
      }
      result.messages++;
      handlers.onMessage(view, offset, length);
    }
    offset += align4(length);
  }
  return false;
}

/** Polls until something is there or the time is over, through signals. */
function waitReadable(socket: DumpSocket, timeoutMs: number, now: () => number): boolean {
  const deadline = now() + timeoutMs;
  for (let leftMs = timeoutMs; leftMs > 0; leftMs = Math.ceil(deadline - now())) {
    if (socket.poll(leftMs)) return true;
  }
  return false;
}
