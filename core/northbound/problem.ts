/** Errors of the HTTP API as `application/problem+json` (RFC 9457). Pure; any thread. */
import { type LineErrorJson, PROBLEM_CONTENT_TYPE, type ProblemJson } from "./api_types.ts";

const TITLES: Readonly<Record<number, string>> = {
  400: "Bad request",
  401: "Unauthorized",
  403: "Forbidden",
  404: "Not found",
  405: "Method not allowed",
  408: "Request timeout",
  409: "Conflict",
  413: "Content too large",
  414: "URI too long",
  415: "Unsupported media type",
  421: "Misdirected request",
  422: "Unprocessable content",
  429: "Too many requests",
  431: "Header fields too large",
  500: "Internal error",
  503: "Unavailable",
  505: "HTTP version not supported",
};

/** A request that cannot be served: thrown by handlers, answered by the API. */
export class Problem extends Error {
  override name = "Problem";
  readonly status: number;
  readonly hint: string | undefined;
  readonly headers: Readonly<Record<string, string>>;
  /** What is wrong with the body, of which the first are listed. */
  errors: readonly LineErrorJson[] = [];
  errorCount = 0;

  constructor(status: number, detail: string, hint?: string, headers: Readonly<Record<string, string>> = {}) {
    super(detail);
    this.status = status;
    this.hint = hint;
    this.headers = headers;
  }

  get title(): string {
    return TITLES[this.status] ?? "Error";
  }
}

export function problemJson({ status, title, message, hint, errors, errorCount }: Problem): string {
  const body: ProblemJson = { title, status, detail: message };
  if (hint !== undefined) body.hint = hint;
  if (errorCount > 0) Object.assign(body, { errorCount, errors });
  return `${JSON.stringify(body)}\n`;
}

export function problemResponse(problem: Problem): Response {
  const { status, headers } = problem;
  return new Response(problemJson(problem), { status, headers: { "content-type": PROBLEM_CONTENT_TYPE, ...headers } });
}
