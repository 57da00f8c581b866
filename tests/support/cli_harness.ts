/** A stand-in for the daemon on a unix socket of its own, and a captured terminal, for tests of the command line. */
import { mkdtempSync, rmSync } from "node:fs";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Readable } from "node:stream";
import { runClient } from "../../core/northbound/cli/cli.ts";
import { parseArguments } from "../../core/northbound/cli/grammar.ts";
import type { CliIo } from "../../core/northbound/cli/io.ts";
import type { Terminal } from "../../core/northbound/cli/terminal.ts";

export type Handler = (request: IncomingMessage, response: ServerResponse) => void;

export interface FakeDaemon {
  socketPath: string;
  close(): Promise<void>;
}

/** Serves `handler` on a unix socket in a temporary directory. */
export async function startFakeDaemon(handler: Handler): Promise<FakeDaemon> {
  const directory = mkdtempSync(join(tmpdir(), "dplaned-cli-"));
  const socketPath = join(directory, "api.sock");
  const server: Server = createServer((request, response) => {
    // A client that breaks off is what some tests are about, and for the others the client says what is wrong.
    for (const stream of [request, response, request.socket]) stream.on("error", () => {});
    handler(request, response);
  });
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(socketPath, resolve);
  });
  return {
    socketPath,
    close: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
      rmSync(directory, { recursive: true, force: true });
    },
  };
}

/** Answers a request with JSON. */
export function answerJson(response: ServerResponse, body: unknown, status = 200, type = "application/json"): void {
  response.writeHead(status, { "content-type": type });
  response.end(JSON.stringify(body));
}

/** Answers a request with NDJSON. */
export function answerLines(response: ServerResponse, ...lines: readonly unknown[]): void {
  response.writeHead(200, { "content-type": "application/x-ndjson" });
  response.end(lines.map((line) => `${JSON.stringify(line)}\n`).join(""));
}

export async function readBody(request: IncomingMessage): Promise<string> {
  let body = "";
  for await (const piece of request) body += String(piece);
  return body;
}

export interface CapturedIoOptions {
  columns?: number;
  input?: Readable;
  terminal?: Terminal;
}

/** A {@linkcode CliIo} that keeps what is printed. */
export class CapturedIo implements CliIo {
  out = "";
  err = "";
  readonly columns: number | undefined;
  readonly environment: Record<string, string | undefined> = {};
  readonly stdout: (text: string) => void;
  readonly stderr: (text: string) => void;
  readonly stdin: () => Readable;
  readonly onInterrupt: (callback: () => void) => () => void;
  interrupt: (() => void) | undefined;
  readonly terminal: () => Terminal | undefined;

  constructor({ columns, input = Readable.from([]), terminal }: CapturedIoOptions = {}) {
    this.terminal = () => terminal;
    this.columns = columns;
    this.stdout = (text) => {
      this.out += text;
    };
    this.stderr = (text) => {
      this.err += text;
    };
    this.stdin = () => input;
    this.onInterrupt = (callback) => {
      this.interrupt = callback;
      return () => {
        this.interrupt = undefined;
      };
    };
  }
}

/** Runs a client's command line, as main does, and returns its exit status. */
export async function runCommandLine(args: readonly string[], io: CapturedIo): Promise<number> {
  const invocation = parseArguments(args);
  if ("command" in invocation) {
    if (invocation.command.kind === "run") throw new Error("run is no client command");
    return await runClient(invocation.command, io);
  }
  io.stdout(invocation.stdout);
  io.stderr(invocation.stderr);
  return invocation.exitStatus;
}
