/**
 * The dashboard's files, served from the program itself: nothing is asked of anybody else, and the browser is told to
 * hold the pages to that. They are loaded when somebody first asks for one. Main thread.
 */
import { createHash } from "node:crypto";
import type { Context } from "hono";
import type { Endpoints, Environment } from "./endpoint.ts";
import { NO_PARAMETERS } from "./parameters.ts";
import { Problem } from "./problem.ts";
import { readQuery } from "./query.ts";

/** Scripts and styles are files of our own, and a page that somebody else's page shows inside of it is not ours. */
const POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "connect-src 'self'",
  "img-src 'self' data:",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join("; ");

const CONTENT_TYPES: Readonly<Record<string, string>> = {
  html: "text/html; charset=utf-8",
  css: "text/css; charset=utf-8",
  js: "text/javascript; charset=utf-8",
  svg: "image/svg+xml",
};

interface WebFile {
  text: string;
  etag: string;
}

export function webEndpoints(): Endpoints {
  const files = new Map<string, WebFile>();
  const load = async (name: string): Promise<WebFile> => {
    const known = files.get(name);
    if (known !== undefined) return known;
    const { WEB_FILES } = await import("./web/files.ts");
    const text = Object.hasOwn(WEB_FILES, name) ? WEB_FILES[name] : undefined;
    if (text === undefined)
      throw new Problem(404, `There is no file ${JSON.stringify(name)}`, "the pages are / and /docs");
    const file = { text, etag: `"${createHash("sha256").update(text).digest("base64url").slice(0, 22)}"` };
    files.set(name, file);
    return file;
  };
  const serve = async (context: Context<Environment>, name: string): Promise<Response> => {
    const { text, etag } = await load(name);
    const headers = {
      "content-type": CONTENT_TYPES[name.slice(name.lastIndexOf(".") + 1)] ?? "text/plain",
      "content-security-policy": POLICY,
      "x-content-type-options": "nosniff",
      "referrer-policy": "no-referrer",
      // Kept, but asked for again each time: after an upgrade nobody sees the old page.
      "cache-control": "no-cache",
      etag,
    };
    const isKnown = (context.req.header("if-none-match") ?? "").split(/\s*,\s*/).includes(etag);
    return isKnown ? new Response(null, { status: 304, headers }) : new Response(text, { headers });
  };
  return {
    "/": { GET: (context) => serve(context, "index.html") },
    "/docs": { GET: (context) => serve(context, "docs.html") },
    "/web/:file": {
      GET: (context) => {
        readQuery(context.req.url, NO_PARAMETERS);
        return serve(context, context.req.param("file") ?? "");
      },
    },
  };
}
