/**
 * Reads routes out of the kernel as dplaned's own model: at the start to take over what an earlier life of the daemon has
 * left, later to compare. Blocks the thread that calls it, so it runs in the monitor thread.
 */
import { clearRouteAttributes, readRouteAttributes, readRouteKey } from "../../core/context/netlink_route.ts";
import { encodeRecord, RECORD_UNREADABLE } from "../../core/context/route_record.ts";
import { createRouteUpdate, type Family } from "../../core/model/route.ts";
import { ERRNO } from "../../ffi/libc/errno.ts";
import * as c from "../../ffi/netlink/constants.ts";
import {
  DUMP_BUFFER_BYTES,
  type DumpOptions,
  type DumpResult,
  type DumpSocket,
  dump,
  type Steps,
} from "../../ffi/netlink/dump.ts";
import { endMessage, putHeader } from "../../ffi/netlink/message.ts";
import { createRouteMessage, createRouteNexthop, encodeRoute, type RouteMessage } from "../../ffi/netlink/route.ts";
import { decodeRoute } from "../../ffi/netlink/route_decode.ts";

/** Records are handed over in buffers of about this size. */
const CHUNK_BYTES = 256 << 10;
/** Longest record: key, attributes, 512 nexthops with 16 segments each. */
const RECORD_BYTES_MAX = 160 << 10;
/** Between two calls of {@linkcode RouteHandlers.onProgress}: some 10 ms. */
const PROGRESS_MESSAGES = 4096;
const REQUEST_BYTES = 64;
const ANSWER_TIMEOUT_MS = 1000;

/** What is to be read. */
export interface RouteReading {
  family: Family;
  /** RTPROT_* of the routes. */
  protocol: number;
  /** Only routes that use this interface; 0 for all. */
  ifindex: number;
  /** First of the sequence numbers that are used up: one more than there are tries. */
  sequence: number;
  options: DumpOptions;
  /** Memory of {@linkcode createScratch}; whoever reads often need not make it each time. */
  scratch?: Uint8Array<ArrayBuffer>;
}

/** Memory in which routes are put together before they are handed over. */
export function createScratch(): Uint8Array<ArrayBuffer> {
  return new Uint8Array(CHUNK_BYTES + RECORD_BYTES_MAX);
}

export interface RouteHandlers {
  /** Routes in a row, as core/context/route_record.ts writes them. */
  onChunk(records: ArrayBuffer, count: number): void;
  /** The table changed underneath and is read again: what was handed over is void. */
  onRestart(): void;
  /** Called now and then, for what else the thread has to do. */
  onProgress(): void;
}

/** What a reading came to. */
export interface ReadResult {
  dump: DumpResult;
  /** Routes that were handed over and can be read. */
  routes: number;
  /**
   * Routes that dplaned could not have written, such as ones with realms or another tunnel. They are handed over as
   * RECORD_UNREADABLE, but for those whose very key no update can say, such as ones with a TOS.
   */
  unreadable: number;
}

/** Reads the routes of one family that bear a protocol. */
export function* readRoutes(socket: DumpSocket, reading: RouteReading, handlers: RouteHandlers): Steps<ReadResult> {
  const { protocol, ifindex, sequence } = reading;
  const message = createRouteMessage();
  const update = createRouteUpdate();
  const buffer = reading.scratch ?? createScratch();
  const view = new DataView(buffer.buffer);
  let length = 0;
  let count = 0;
  let messages = 0;
  const result = { routes: 0, unreadable: 0 };
  const handOver = (): void => {
    if (count > 0) handlers.onChunk(buffer.buffer.slice(0, length), count);
    length = 0;
    count = 0;
  };
  const onMessage = (bytes: DataView, offset: number, messageBytes: number): void => {
    if (++messages % PROGRESS_MESSAGES === 0) handlers.onProgress();
    const decoded = decodeRoute(bytes, offset, messageBytes, message);
    // The kernel filters only for sockets with strict checking; so do we, for certain.
    if (decoded === null || decoded.protocol !== protocol || (decoded.routeFlags & c.RTM_F_CLONED) !== 0) return;
    if (ifindex !== 0 && !usesInterface(decoded, ifindex)) return;
    const hasKey = readRouteKey(decoded, update);
    const isReadable = hasKey && readRouteAttributes(decoded, update);
    if (isReadable) result.routes += 1;
    else result.unreadable += 1;
    if (!hasKey) return;
    if (!isReadable) clearRouteAttributes(update);
    length = encodeRecord(view, buffer, length, update, isReadable ? 0 : RECORD_UNREADABLE);
    count += 1;
    if (length >= CHUNK_BYTES) handOver();
  };
  const onRestart = (): void => {
    length = 0;
    count = 0;
    result.routes = 0;
    result.unreadable = 0;
    handlers.onRestart();
  };
  prime(socket, sequence, reading.options.buffer ?? new Uint8Array(DUMP_BUFFER_BYTES));
  const answer = yield* dump(socket, encodeRequest(reading), { onMessage, onRestart }, reading.options);
  handOver();
  // An interface that is gone has no routes left.
  if (ifindex !== 0 && answer.errno === ERRNO.ENODEV) answer.errno = 0;
  return { dump: answer, ...result };
}

/**
 * Has the kernel see how much this socket takes at once. Before it has, it makes the first piece of a dump as small as a
 * page, and where the first route does not fit into that, the dump is empty and no error tells.
 */
function prime(socket: DumpSocket, sequence: number, answer: Uint8Array): void {
  const request = new Uint8Array(c.NLMSG_HDRLEN);
  const view = new DataView(request.buffer);
  endMessage(view, 0, putHeader(view, 0, c.NLMSG_NOOP, c.NLM_F_REQUEST | c.NLM_F_ACK, sequence, 0));
  if (socket.send(request, request.length) === 0 && socket.poll(ANSWER_TIMEOUT_MS)) socket.receive(answer);
}

function encodeRequest({ family, protocol, ifindex, sequence }: RouteReading): Uint8Array {
  const message = createRouteMessage();
  message.type = c.RTM_GETROUTE;
  message.flags = c.NLM_F_REQUEST | c.NLM_F_DUMP;
  message.sequence = sequence + 1;
  message.family = family;
  message.protocol = protocol;
  if (ifindex !== 0) message.nexthops.push({ ...createRouteNexthop(), ifindex });
  const bytes = new Uint8Array(REQUEST_BYTES);
  return bytes.subarray(0, encodeRoute(new DataView(bytes.buffer), 0, message));
}

/** Whether a packet may leave by the interface, as far as the message tells. */
function usesInterface(message: RouteMessage, ifindex: number): boolean {
  // Of a route by a nexthop object the kernel may tell the number only (net.ipv4.nexthop_compat_mode = 0).
  if (message.nexthops.length === 0) return message.nexthopId !== 0;
  return message.nexthops.some((hop) => hop.ifindex === ifindex);
}
