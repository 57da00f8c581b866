/**
 * The sockets of the HTTP API: a unix socket that may do everything, and a TCP address, with TLS if so configured, that may
 * read. Main thread.
 *
 * What a request may take: ten seconds for its headers. Then there is no limit any more, because a stream of updates
 * lasts as long as its client likes, and may stand still while the dataplane or the client catches up. Answers to reads
 * over TCP have one: a client that takes nothing of its answer for a minute is dropped.
 */
import { createServer, type IncomingMessage, type Server } from "node:http";
import type { AddressInfo, Server as NetServer, Socket } from "node:net";
import process from "node:process";
import { setTimeout } from "node:timers";
import { createServer as createTlsServer, type TLSSocket, type Server as TlsServer } from "node:tls";
import { getRequestListener } from "@hono/node-server";
import { HTTP_CONNECTIONS_DEFAULT, HTTP_RATE_DEFAULT, UNIX_CONNECTIONS_MAX } from "../constants.ts";
import type { Log } from "../log.ts";
import { errorCode } from "../output.ts";
import { certificateNames } from "./certificate_names.ts";
import { answerRaw, describeClientError } from "./client_error.ts";
import { type ConnectionLimits, Connections } from "./connections.ts";
import { NorthboundCounters, type RefusalReason } from "./counters.ts";
import type { Bindings, Listener } from "./endpoint.ts";
import { Problem, problemResponse } from "./problem.ts";
import { RateLimit, rateKey } from "./rate_limit.ts";
import { judgeRequest } from "./request_gate.ts";
import { claimSocketPath, openToGroup, withClosedUmask } from "./unix_socket.ts";

const HEADERS_TIMEOUT_MS = 10_000;
const KEEP_ALIVE_TIMEOUT_MS = 60_000;
const STALL_TIMEOUT_MS = 60_000;
const HEADERS_BYTES_MAX = 16 * 1024;
/** A short burst above the rate is a page that loads, or a script that begins. */
const RATE_BURST_SECONDS = 2;

export interface HttpAddress {
  host: string;
  /** 0 for any that is free. */
  port: number;
}

/** What the TCP listener proves itself with, and by whom clients must be known: PEM. */
export interface TlsSettings {
  certificate: string;
  key: string;
  /** Null: clients need no certificate. */
  clientCa: string | null;
}

export interface ServerOptions {
  /** Answers a request; core/northbound/api.ts. */
  fetch: (request: Request, environment: Bindings) => Response | Promise<Response>;
  socketPath: string;
  /** Null for no TCP. */
  http: HttpAddress | null;
  /** Null for plain HTTP. */
  tls?: TlsSettings | null;
  /** Names of this machine in requests over TCP, besides its addresses, `localhost` and its host name. */
  hosts?: readonly string[];
  /** Connections over TCP at a time. */
  connections?: number;
  /** Requests a second from one address over TCP; 0 for no limit. */
  rate?: number;
  log: Log;
  counters?: NorthboundCounters;
  environment?: Readonly<Record<string, string | undefined>>;
  /** For tests, which do not wait for a minute. */
  timeouts?: { headersMs: number; stallMs: number };
}

export interface NorthboundServer {
  readonly socketPath: string;
  /** The address with the port that it really has. */
  readonly http: HttpAddress | null;
  /** New connections are made with these; does nothing where there is no TLS. */
  setTls(settings: TlsSettings): void;
  /**
   * Takes no more connections, waits for the requests under way, at most `deadlineMs`, and breaks off those that are
   * left. The socket's file is gone afterwards.
   */
  close(deadlineMs: number): Promise<void>;
}

/** Opens the sockets. Throws, with none of them left open, where one cannot be. */
export async function startServer(options: ServerOptions): Promise<NorthboundServer> {
  const { socketPath, http, log, environment = process.env } = options;
  if (environment["LISTEN_FDS"] !== undefined) {
    throw new Error(
      "Cannot take over sockets from systemd: LISTEN_FDS is set, and dplaned opens its own (remove its .socket unit)",
    );
  }
  await claimSocketPath(socketPath);
  const unix = new Endpoint("unix", options);
  await unix.listen(socketPath, (server) => withClosedUmask(() => server.listen(socketPath)));
  openToGroup(socketPath, log);
  const endpoints = [unix];
  let bound: HttpAddress | null = null;
  if (http !== null) {
    try {
      const tcp = new Endpoint("tcp", options);
      await tcp.listen(formatAddress(http), (server) => server.listen(http.port, http.host));
      endpoints.push(tcp);
      const { address, port } = tcp.address();
      bound = { host: address, port };
    } catch (error) {
      await unix.close(0);
      throw error;
    }
  }
  return {
    socketPath,
    http: bound,
    setTls: (settings) => endpoints.at(-1)!.setTls(settings),
    close: async (deadlineMs) => {
      await Promise.all(endpoints.map((endpoint) => endpoint.close(deadlineMs)));
    },
  };
}

export function formatAddress({ host, port }: HttpAddress): string {
  return host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
}

function limitsOf(listener: Listener, { connections = HTTP_CONNECTIONS_DEFAULT, timeouts }: ServerOptions) {
  const isTcp = listener === "tcp";
  const max = isTcp ? connections : UNIX_CONNECTIONS_MAX;
  return {
    max,
    // One address cannot keep all the others out.
    maxPerAddress: isTcp ? Math.ceil(max / 2) : max,
    firstRequestMs: timeouts?.headersMs ?? HEADERS_TIMEOUT_MS,
    idleMs: KEEP_ALIVE_TIMEOUT_MS,
    stallMs: isTcp ? (timeouts?.stallMs ?? STALL_TIMEOUT_MS) : 0,
  } satisfies ConnectionLimits;
}

/** One of the two sockets. */
class Endpoint {
  readonly #listener: Listener;
  readonly #options: ServerOptions;
  readonly #counters: NorthboundCounters;
  readonly #connections: Connections;
  readonly #rate: RateLimit | null;
  readonly #http: Server;
  /** What listens: the HTTP server itself, or what decrypts for it. */
  readonly #server: NetServer;

  constructor(listener: Listener, options: ServerOptions) {
    const { counters = new NorthboundCounters(), rate = HTTP_RATE_DEFAULT, tls = null } = options;
    this.#listener = listener;
    this.#options = options;
    this.#counters = counters;
    this.#connections = new Connections(listener, limitsOf(listener, options), () => this.#refuse("timeout"));
    this.#rate = listener === "tcp" && rate > 0 ? new RateLimit(rate * RATE_BURST_SECONDS, rate) : null;
    this.#http = this.#createHttpServer();
    counters.connections[listener] = () => this.#connections.size;
    this.#server = listener === "tcp" && tls !== null ? this.#createTlsServer(tls) : this.#http;
  }

  #createHttpServer(): Server {
    const { fetch, log } = this.#options;
    const answer = getRequestListener(
      (request, environment) => {
        const incoming = (environment as { incoming: IncomingMessage }).incoming;
        const problem = this.#judge(incoming);
        return problem === null ? fetch(request, this.#bindings(incoming)) : problemResponse(problem);
      },
      {
        // A request that cannot even be made into an object: a host that is none, a path that is none.
        errorHandler: (error) => {
          if (error instanceof Error && error.name === "RequestError")
            return problemResponse(new Problem(400, error.message));
          log.error("Request failed", { error: String(error) });
          return problemResponse(new Problem(500, "dplaned could not answer this request; its log says why"));
        },
      },
    );
    const server = createServer({ maxHeaderSize: HEADERS_BYTES_MAX }, (incoming, outgoing) => {
      this.#connections.begin(incoming, outgoing);
      void answer(incoming, outgoing);
    });
    server.headersTimeout = this.#options.timeouts?.headersMs ?? HEADERS_TIMEOUT_MS;
    server.keepAliveTimeout = KEEP_ALIVE_TIMEOUT_MS;
    server.requestTimeout = 0;
    server.timeout = 0;
    server.on("connection", (socket) => this.#admit(socket));
    server.on("clientError", (error, socket) => this.#onClientError(error, socket as Socket));
    return server;
  }

  #createTlsServer({ certificate, key, clientCa }: TlsSettings): TlsServer {
    const server = createTlsServer({
      cert: certificate,
      key,
      minVersion: "TLSv1.3",
      handshakeTimeout: HEADERS_TIMEOUT_MS,
      // Who may connect without a certificate could resume a session with one that nobody has verified: Deno 2.9 takes
      // that for a verified one. So either all clients show a certificate of the CA, or none does.
      ...(clientCa === null ? {} : { ca: clientCa, requestCert: true, rejectUnauthorized: true }),
    });
    server.on("secureConnection", (socket) => this.#http.emit("connection", socket));
    server.on("tlsClientError", (error, socket) => {
      this.#refuse("tls");
      const { remoteAddress: address } = socket as TLSSocket;
      this.#options.log.debug("A TLS handshake failed", { address, error: errorCode(error) ?? error.message });
    });
    return server;
  }

  setTls({ certificate, key, clientCa }: TlsSettings): void {
    if (this.#server === this.#http) return;
    const context = { cert: certificate, key, ...(clientCa === null ? {} : { ca: clientCa }) };
    (this.#server as TlsServer).setSecureContext({ ...context, minVersion: "TLSv1.3" });
  }

  #admit(socket: Socket): void {
    socket.on("error", () => {});
    if (this.#connections.add(socket)) return;
    this.#refuse("connections");
    answerRaw(socket, new Problem(503, "There are too many connections", "close some, and try again"));
  }

  #onClientError(error: Error, socket: Socket): void {
    const problem = describeClientError(error);
    this.#refuse(errorCode(error) === "ERR_HTTP_REQUEST_TIMEOUT" ? "timeout" : "malformed");
    if (problem === null || !socket.writable || this.#connections.isAnswering(socket)) socket.destroy();
    else answerRaw(socket, problem);
  }

  /** Why this request is not even looked at; null for one that is. */
  #judge(incoming: IncomingMessage): Problem | null {
    const refusal = judgeRequest(incoming, this.#listener, this.#options.hosts ?? []);
    if (refusal !== null) {
      this.#refuse(refusal.reason);
      const { status, message, hint } = refusal.problem;
      return new Problem(status, message, hint, { connection: "close" });
    }
    if (this.#rate === null) return null;
    const key = rateKey(incoming.socket.remoteAddress ?? "");
    const seconds = this.#rate.waitSeconds(key);
    if (seconds > 0) {
      this.#refuse("rate");
      const hint = "ask less often, or over the unix socket; [daemon] http-rate sets how often";
      return new Problem(429, "Too many requests from this address", hint, { "retry-after": String(seconds) });
    }
    this.#rate.take(key);
    return null;
  }

  #bindings({ socket }: IncomingMessage): Bindings {
    const listener = this.#listener;
    if (listener === "unix") return { listener };
    const address = socket.remoteAddress ?? "";
    const isVerified = (socket as Partial<TLSSocket>).authorized === true;
    const certificate = isVerified ? (socket as TLSSocket).getPeerCertificate().raw : undefined;
    return {
      listener,
      address,
      certificateNames: certificate === undefined ? [] : certificateNames(certificate),
      onTrusted: () => this.#rate?.refund(rateKey(address)),
    };
  }

  #refuse(reason: RefusalReason): void {
    this.#counters.refused[reason] += 1;
  }

  address(): AddressInfo {
    return this.#server.address() as AddressInfo;
  }

  listen(name: string, bind: (server: NetServer) => void): Promise<void> {
    const server = this.#server;
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const fail = (error: unknown): void => {
      const code = errorCode(error);
      const hint = code === undefined ? undefined : LISTEN_HINTS[code];
      const reason = code === undefined ? String(error) : hint === undefined ? code : `${code} (${hint})`;
      reject(new Error(`Cannot listen on ${name}: ${reason}`));
    };
    server.once("error", fail);
    server.once("listening", () => {
      server.off("error", fail);
      resolve();
    });
    try {
      bind(server);
    } catch (error) {
      fail(error);
    }
    return promise;
  }

  async close(deadlineMs: number): Promise<void> {
    const timer = setTimeout(() => this.#connections.endAll(), deadlineMs);
    await new Promise<void>((resolve) => {
      this.#server.close(() => resolve());
      this.#connections.endIdle();
    });
    clearTimeout(timer);
    this.#connections.close();
  }
}

const LISTEN_HINTS: Readonly<Record<string, string>> = {
  EADDRINUSE: "another program listens there",
  EADDRNOTAVAIL: "this machine does not have the address",
  EACCES: "it needs another user, or a port above 1023",
};
