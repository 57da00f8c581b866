/** What the calls of the API have in common: where they are, and how they answer. Main thread. */
import type { Context } from "hono";
import { UPDATE_CONTENT_TYPES } from "./api_types.ts";
import { Problem } from "./problem.ts";

/** Where a request came in; tests that name nothing are taken for the unix socket. */
export type Listener = "unix" | "tcp";

/** What is known of whoever has sent a request, besides the request. */
export interface Bindings {
  listener?: Listener;
  /** Over TCP, where it came from. */
  address?: string;
  /** Names in the certificate that the client has shown, if it was verified. */
  certificateNames?: readonly string[];
  /** Called when the request has shown that it may write. */
  onTrusted?: () => void;
}

export interface Environment {
  Bindings: Bindings;
}

export const METHODS = ["GET", "POST", "PUT", "DELETE"] as const;
export type Handler = (context: Context<Environment>) => Response | Promise<Response>;
/** Handlers by path and method. */
export type Endpoints = Readonly<Record<string, Readonly<Partial<Record<(typeof METHODS)[number], Handler>>>>>;

export function json(body: unknown, status = 200): Response {
  return new Response(`${JSON.stringify(body)}\n`, { status, headers: { "content-type": "application/json" } });
}

/** Types of which the body's start tells the format: none at all, and what curl and other tools send unasked. */
const NEUTRAL_TYPES = ["", "text/plain", "application/octet-stream", "application/x-www-form-urlencoded"];

/** The request's content type, which updates can have. */
export function readContentType(context: Context<Environment>): string {
  const contentType = context.req.header("content-type") ?? "";
  const mediaType = (contentType.split(";", 1)[0] ?? "").trim().toLowerCase();
  const known: readonly string[] = Object.values(UPDATE_CONTENT_TYPES);
  const isKnown = known.includes(mediaType) || NEUTRAL_TYPES.includes(mediaType);
  if (isKnown || /^application\/(x-)?(ndjson|jsonl|jsonlines|json-lines)$/.test(mediaType)) return contentType;
  throw new Problem(415, `Updates cannot be ${mediaType}`, `they are ${known.join(", ")}`);
}
