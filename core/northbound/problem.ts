/** Errors of the HTTP API as `application/problem+json` (RFC 9457). Pure; any thread. */
import { PROBLEM_CONTENT_TYPE, type ProblemJson } from "./api_types.ts";

const TITLES: Readonly<Record<number, string>> = {
  400: "Bad request",
  403: "Forbidden",
  404: "Not found",
  405: "Method not allowed",
  415: "Unsupported media type",
  500: "Internal error",
  503: "Unavailable",
};

/** A request that cannot be served: thrown by handlers, answered by the API. */
export class Problem extends Error {
  override name = "Problem";
  readonly status: number;
  readonly hint: string | undefined;
  readonly headers: Readonly<Record<string, string>>;

  constructor(status: number, detail: string, hint?: string, headers: Readonly<Record<string, string>> = {}) {
    super(detail);
    this.status = status;
    this.hint = hint;
    this.headers = headers;
  }
}

export function problemResponse({ status, message, hint, headers }: Problem): Response {
  const body: ProblemJson = { title: TITLES[status] ?? "Error", status, detail: message };
  if (hint !== undefined) body.hint = hint;
  return new Response(`${JSON.stringify(body)}\n`, {
    status,
    headers: { "content-type": PROBLEM_CONTENT_TYPE, ...headers },
  });
}
