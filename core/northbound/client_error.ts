/** What the server answers where the HTTP parser did not get as far as a request. Main thread. */
import type { Socket } from "node:net";
import { errorCode } from "../output.ts";
import { PROBLEM_CONTENT_TYPE } from "./api_types.ts";
import { Problem, problemJson } from "./problem.ts";

/** The answer to what a parser reports; null where nobody is there to read one. */
export function describeClientError(error: Error): Problem | null {
  const code = errorCode(error) ?? "";
  switch (code) {
    case "HPE_HEADER_OVERFLOW":
      return new Problem(431, "The headers, with the address, are too long", "all together may have 16 KiB");
    case "ERR_HTTP_REQUEST_TIMEOUT":
      return new Problem(408, "The request's headers did not come in time");
    case "ECONNRESET":
    case "EPIPE":
      return null;
    default:
      return new Problem(400, `This is not HTTP/1.1${code === "" || code === "HPE_ERROR" ? "" : `: ${code}`}`);
  }
}

/** Answers past the parser, and ends the connection. */
export function answerRaw(socket: Socket, problem: Problem): void {
  const body = problemJson(problem);
  const head = [
    `HTTP/1.1 ${problem.status} ${problem.title}`,
    `content-type: ${PROBLEM_CONTENT_TYPE}`,
    `content-length: ${Buffer.byteLength(body)}`,
    ...Object.entries(problem.headers).map(([name, value]) => `${name}: ${value}`),
    "connection: close",
  ];
  // Answered and then destroyed: a client that goes on writing would keep a connection that is only ended.
  socket.end(`${head.join("\r\n")}\r\n\r\n${body}`, () => socket.destroySoon());
}
