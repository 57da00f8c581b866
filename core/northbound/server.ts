/**
 * The sockets of the HTTP API: a unix socket that may do everything, and a TCP address that may read. Main thread.
 *
 * What a request may take: ten seconds for its headers. Then there is no limit any more, because a stream of updates
 * lasts as long as its client likes, and may stand still while the dataplane or the client catches up.
 */
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import process from "node:process";
import { setTimeout } from "node:timers";
import { getRequestListener } from "@hono/node-server";
import type { Log } from "../log.ts";
import { errorCode } from "../output.ts";
import type { Listener } from "./endpoint.ts";
import { Problem, problemResponse } from "./problem.ts";
import { claimSocketPath, openToGroup, withClosedUmask } from "./unix_socket.ts";

const HEADERS_TIMEOUT_MS = 10_000;
const KEEP_ALIVE_TIMEOUT_MS = 60_000;
const HEADERS_BYTES_MAX = 16 * 1024;

export interface HttpAddress {
  host: string;
  /** 0 for any that is free. */
  port: number;
}

export interface ServerOptions {
  /** Answers a request; core/northbound/api.ts. */
  fetch: (request: Request, environment: { listener: Listener }) => Response | Promise<Response>;
  socketPath: string;
  /** Null for no TCP. */
  http: HttpAddress | null;
  log: Log;
  environment?: Readonly<Record<string, string | undefined>>;
}

export interface NorthboundServer {
  readonly socketPath: string;
  /** The address with the port that it really has. */
  readonly http: HttpAddress | null;
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
  const unix = createHttpServer(options, "unix");
  await listen(socketPath, () => withClosedUmask(() => unix.listen(socketPath)), unix);
  openToGroup(socketPath, log);
  const servers = [unix];
  let bound: HttpAddress | null = null;
  if (http !== null) {
    const tcp = createHttpServer(options, "tcp");
    servers.push(tcp);
    try {
      await listen(formatAddress(http), () => tcp.listen(http.port, http.host), tcp);
    } catch (error) {
      unix.close();
      throw error;
    }
    const { address, port } = tcp.address() as AddressInfo;
    bound = { host: address, port };
  }
  return {
    socketPath,
    http: bound,
    close: async (deadlineMs) => {
      await Promise.all(servers.map((server) => close(server, deadlineMs)));
    },
  };
}

export function formatAddress({ host, port }: HttpAddress): string {
  return host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
}

function createHttpServer({ fetch, log }: ServerOptions, listener: Listener): Server {
  const answer = getRequestListener((request) => fetch(request, { listener }), {
    // A request that cannot even be made into an object: a host that is none, a path that is none.
    errorHandler: (error) => {
      if (error instanceof Error && error.name === "RequestError")
        return problemResponse(new Problem(400, error.message));
      log.error("Request failed", { error: String(error) });
      return problemResponse(new Problem(500, "dplaned could not answer this request; its log says why"));
    },
  });
  const server = createServer(
    { maxHeaderSize: HEADERS_BYTES_MAX },
    (incoming, outgoing) => void answer(incoming, outgoing),
  );
  server.headersTimeout = HEADERS_TIMEOUT_MS;
  server.keepAliveTimeout = KEEP_ALIVE_TIMEOUT_MS;
  server.requestTimeout = 0;
  server.timeout = 0;
  return server;
}

const LISTEN_HINTS: Readonly<Record<string, string>> = {
  EADDRINUSE: "another program listens there",
  EADDRNOTAVAIL: "this machine does not have the address",
  EACCES: "it needs another user, or a port above 1023",
};

function listen(name: string, bind: () => void, server: Server): Promise<void> {
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
    bind();
  } catch (error) {
    fail(error);
  }
  return promise;
}

async function close(server: Server, deadlineMs: number): Promise<void> {
  const timer = setTimeout(() => server.closeAllConnections(), deadlineMs);
  await new Promise<void>((resolve) => {
    server.close(() => resolve());
    server.closeIdleConnections();
  });
  clearTimeout(timer);
}
