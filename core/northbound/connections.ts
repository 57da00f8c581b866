/**
 * The connections of one server: how many there may be, which of them are at work, which bring no request, and which stand
 * still over an answer that their client does not read. Main thread.
 */
import type { IncomingMessage, ServerResponse } from "node:http";
import type { Socket } from "node:net";
import { clearInterval, setInterval } from "node:timers";
import { now } from "../clock.ts";
import type { Listener } from "./endpoint.ts";
import { rateKey } from "./rate_limit.ts";

/** How often they are looked at. */
const LOOK_MS = 2000;

interface Connection {
  address: string;
  /** When it last had nothing to do any more: at its beginning, and after each answer. */
  idleSince: number;
  answered: boolean;
}

interface Work {
  incoming: IncomingMessage;
  outgoing: ServerResponse;
  /** Bytes of the socket when it last moved, and when that was. */
  written: number;
  movedAt: number;
}

export interface ConnectionLimits {
  /** Connections at a time. */
  max: number;
  /** Those of one address; over a unix socket there is none. */
  maxPerAddress: number;
  /** How long a connection may take for its first request, and between two. */
  firstRequestMs: number;
  idleMs: number;
  /** An answer that nobody reads is broken off after this long; 0 for never. */
  stallMs: number;
}

export class Connections {
  readonly #limits: ConnectionLimits;
  readonly #listener: Listener;
  readonly #sockets = new Map<Socket, Connection>();
  readonly #perAddress = new Map<string, number>();
  readonly #work = new Map<Socket, Work>();
  readonly #timer: ReturnType<typeof setInterval>;
  readonly #onTimeout: () => void;

  constructor(listener: Listener, limits: ConnectionLimits, onTimeout: () => void) {
    this.#listener = listener;
    this.#limits = limits;
    this.#onTimeout = onTimeout;
    this.#timer = setInterval(() => this.#endSlow(), Math.min(LOOK_MS, limits.firstRequestMs / 4));
    this.#timer.unref();
  }

  get size(): number {
    return this.#sockets.size;
  }

  /** Counts a connection in. False if there are too many; then it is not counted. */
  add(socket: Socket): boolean {
    const address = this.#listener === "unix" ? "" : rateKey(socket.remoteAddress ?? "");
    const ofAddress = this.#perAddress.get(address) ?? 0;
    if (this.#sockets.size >= this.#limits.max || ofAddress >= this.#limits.maxPerAddress) return false;
    this.#sockets.set(socket, { address, idleSince: now(), answered: false });
    this.#perAddress.set(address, ofAddress + 1);
    socket.once("close", () => this.#remove(socket));
    return true;
  }

  /** A request of the connection is being answered. */
  begin(incoming: IncomingMessage, outgoing: ServerResponse): void {
    const { socket } = incoming;
    this.#work.set(socket, { incoming, outgoing, written: -1, movedAt: now() });
    outgoing.once("close", () => {
      if (this.#work.get(socket)?.outgoing !== outgoing) return;
      this.#work.delete(socket);
      const connection = this.#sockets.get(socket);
      if (connection !== undefined) Object.assign(connection, { idleSince: now(), answered: true });
    });
  }

  isAnswering(socket: Socket): boolean {
    return this.#work.get(socket)?.outgoing.headersSent === true;
  }

  /** Ends those that no request is under way on. */
  endIdle(): void {
    for (const socket of this.#sockets.keys()) if (!this.#work.has(socket)) socket.destroy();
  }

  endAll(): void {
    for (const socket of this.#sockets.keys()) socket.destroy();
  }

  close(): void {
    clearInterval(this.#timer);
  }

  #remove(socket: Socket): void {
    const address = this.#sockets.get(socket)?.address;
    if (address === undefined) return;
    this.#sockets.delete(socket);
    this.#work.delete(socket);
    const left = (this.#perAddress.get(address) ?? 1) - 1;
    if (left === 0) this.#perAddress.delete(address);
    else this.#perAddress.set(address, left);
  }

  #endSlow(): void {
    const { firstRequestMs, idleMs, stallMs } = this.#limits;
    const time = now();
    for (const [socket, { idleSince, answered }] of this.#sockets) {
      const work = this.#work.get(socket);
      if (work === undefined) {
        if (time - idleSince > (answered ? idleMs : firstRequestMs)) this.#end(socket);
      } else if (stallMs > 0 && isStalled(socket, work, time, stallMs)) this.#end(socket);
    }
  }

  #end(socket: Socket): void {
    this.#onTimeout();
    socket.destroy();
  }
}

/** Only answers to reads: who sends updates has shown that he may, and may take his time with the results. */
function isStalled(socket: Socket, work: Work, time: number, stallMs: number): boolean {
  const { incoming, outgoing, written, movedAt } = work;
  if (incoming.method === "GET" && outgoing.writableNeedDrain && socket.bytesWritten === written) {
    return time - movedAt > stallMs;
  }
  work.written = socket.bytesWritten;
  work.movedAt = time;
  return false;
}
