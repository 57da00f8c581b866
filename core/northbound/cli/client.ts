/**
 * The command line's HTTP client: node:http over the daemon's unix socket, which streams both ways on Bun and on Deno.
 * Main thread of a client process.
 */
import { request as httpRequest, type IncomingMessage } from "node:http";
import { errorCode } from "../../output.ts";
import type { LineErrorJson, ProblemJson } from "../api_types.ts";

/** Nobody answers at the socket: exit status 3. */
export class UnreachableError extends Error {
  override name = "UnreachableError";
}

/**
 * The daemon ended the connection before its answer was complete. A class of its own, because an EPIPE of the connection
 * must not pass for one of our output.
 */
export class BrokenOffError extends Error {
  override name = "BrokenOffError";

  constructor() {
    super("The daemon broke off the connection; did it stop? journalctl -u dplaned");
  }
}

/** The daemon answered with an error. */
export class ApiError extends Error {
  override name = "ApiError";
  readonly status: number;
  /** What was wrong with a body; of many errors the first. */
  readonly errors: readonly LineErrorJson[];
  readonly errorCount: number;

  constructor(status: number, message: string, errors: readonly LineErrorJson[] = [], errorCount = errors.length) {
    super(message);
    this.status = status;
    this.errors = errors;
    this.errorCount = errorCount;
  }
}

export interface ApiRequest {
  method?: "GET" | "POST" | "PUT" | "DELETE";
  path: string;
  query?: Readonly<Record<string, string | undefined>>;
  headers?: Readonly<Record<string, string>>;
  /** A text, or pieces that are sent as the daemon takes them. */
  body?: string | AsyncIterable<Uint8Array>;
  /** Statuses with an answer of the usual form beside those below 300; 503 with `/healthz`, for one. */
  accept?: readonly number[];
}

export class ApiClient {
  readonly #socketPath: string;
  readonly #token: string | undefined;

  /** `token` is shown with every request. */
  constructor(socketPath: string, token?: string) {
    this.#socketPath = socketPath;
    this.#token = token;
  }

  /**
   * Sends a request and resolves when the answer begins, which with a streamed body is before its end. An error while the
   * body is read or sent breaks the answer off with that error.
   */
  async request({
    method = "GET",
    path,
    query = {},
    headers = {},
    body,
    accept = [],
  }: ApiRequest): Promise<IncomingMessage> {
    const parameters = Object.entries(query).filter((entry): entry is [string, string] => entry[1] !== undefined);
    const search = parameters.length === 0 ? "" : `?${new URLSearchParams(parameters)}`;
    // Kept alive, so that a daemon which refuses early reads the rest of the body away: a connection closed over unread data
    // would lose us the answer that says why.
    const request = httpRequest({
      socketPath: this.#socketPath,
      method,
      path: path + search,
      headers: {
        host: "localhost",
        connection: "keep-alive",
        ...(this.#token === undefined ? {} : { authorization: `Bearer ${this.#token}` }),
        ...headers,
      },
      agent: false,
    });
    // What breaks the connection is told by the request; Bun tells it on the socket as well, where it would end the process.
    request.on("socket", (socket) => socket.on("error", () => undefined));
    const response = await new Promise<IncomingMessage>((resolve, reject) => {
      let answer: IncomingMessage | undefined;
      // Stays on for as long as the request lives: after the answer began, an error ends that answer.
      request.on("error", (error) =>
        answer === undefined ? reject(this.#describe(error)) : answer.destroy(this.#describe(error)),
      );
      request.once("response", (started: IncomingMessage) => {
        answer = started;
        // Whoever reads the answer gets its error; once it is read, an error of the sending is nobody's any more.
        started.on("error", () => undefined);
        resolve(started);
      });
      if (body === undefined || typeof body === "string") request.end(body);
      else sendPieces(body, request).catch((error: unknown) => request.destroy(error as Error));
    });
    const status = response.statusCode ?? 0;
    if (status < 300 || accept.includes(status)) return response;
    const problem = await readProblem(response);
    request.destroy();
    throw problem;
  }

  /** Requests a JSON document. */
  async getJson<T>(path: string, query: ApiRequest["query"] = {}, accept: readonly number[] = []): Promise<T> {
    const response = await this.request({ path, query, accept, headers: { accept: "application/json" } });
    return JSON.parse(await readAll(response)) as T;
  }

  #describe(error: Error): Error {
    if (isBreak(error)) return new BrokenOffError();
    const code = errorCode(error);
    const hint = code === undefined ? undefined : UNREACHABLE_HINTS[code];
    if (hint === undefined) return error;
    return new UnreachableError(`Cannot reach dplaned at ${this.#socketPath}: ${code} (${hint})`);
  }
}

function isBreak(error: unknown): boolean {
  const code = errorCode(error);
  return code === "ECONNRESET" || code === "EPIPE";
}

const NOT_RUNNING = "is it running? systemctl status dplaned";
const NOT_ALLOWED = "only root and members of the group dplaned may";
const UNREACHABLE_HINTS: Readonly<Record<string, string>> = {
  ENOENT: NOT_RUNNING,
  ECONNREFUSED: NOT_RUNNING,
  ENOTSOCK: "it is not a socket",
  EACCES: NOT_ALLOWED,
  EPERM: NOT_ALLOWED,
};

/** The lines of an answer, without their ends. */
export async function* readLines(response: AsyncIterable<Uint8Array>): AsyncGenerator<string> {
  let rest = "";
  for await (const text of readText(response)) {
    const lines = (rest + text).split("\n");
    rest = lines.pop()!;
    yield* lines;
  }
  if (rest !== "") yield rest;
}

async function* readText(response: AsyncIterable<Uint8Array>): AsyncGenerator<string> {
  const decoder = new TextDecoder();
  try {
    for await (const piece of response) yield decoder.decode(piece, { stream: true });
  } catch (error) {
    throw isBreak(error) ? new BrokenOffError() : error;
  }
}

/** The whole of an answer. */
export async function readAll(response: AsyncIterable<Uint8Array>): Promise<string> {
  return (await Array.fromAsync(readText(response))).join("");
}

type ClientRequest = ReturnType<typeof httpRequest>;

/** Sends pieces no faster than the daemon takes them, and stops where the request is over. */
async function sendPieces(pieces: AsyncIterable<Uint8Array>, request: ClientRequest): Promise<void> {
  for await (const piece of pieces) {
    if (request.destroyed) return;
    if (!request.write(piece)) await drained(request);
  }
  request.end();
}

function drained(request: ClientRequest): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      request.off("drain", done);
      request.off("close", done);
      resolve();
    };
    request.on("drain", done);
    request.on("close", done);
  });
}

async function readProblem(response: IncomingMessage): Promise<ApiError> {
  const status = response.statusCode ?? 0;
  const text = await readAll(response);
  try {
    const { title, detail, hint, errors, errorCount } = JSON.parse(text) as ProblemJson;
    const message = [title, detail].filter((part) => part !== undefined && part !== "").join(": ");
    return new ApiError(status, hint === undefined ? message : `${message} (${hint})`, errors, errorCount);
  } catch {
    return new ApiError(status, `dplaned answered with HTTP status ${status}`);
  }
}
