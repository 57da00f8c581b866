/**
 * What a request must be before anything else is done for it: unambiguous where it ends and for whom it is, of a bounded
 * size, and, over TCP, not made by a web page of somebody else in a browser of this machine. Pure; main thread.
 */
import { hostname } from "node:os";
import type { Listener } from "./endpoint.ts";
import { Problem } from "./problem.ts";

/** As much as RFC 9110 (4.1) asks of everybody; all headers together are limited by the server. */
const TARGET_BYTES_MAX = 8000;

/** As much of `node:http`'s IncomingMessage as is looked at. */
export interface RequestHead {
  method?: string | undefined;
  url?: string | undefined;
  httpVersion: string;
  rawHeaders: readonly string[];
}

/** Why a request is refused, for the counters. */
export type GateReason = "malformed" | "too_large" | "host" | "cross_site";

export interface Refusal {
  reason: GateReason;
  problem: Problem;
}

/** Names under which a web page may not have come here are looked for in `hosts`, the configuration's `http-hosts`. */
export function judgeRequest(head: RequestHead, listener: Listener, hosts: readonly string[]): Refusal | null {
  const headers = new HeaderValues(head.rawHeaders);
  return judgeForm(head, headers) ?? (listener === "tcp" ? judgeSite(head, headers, hosts) : null);
}

/** Headers by name in small letters, each with all of its values: `node:http` hides the second of some. */
class HeaderValues {
  readonly #values = new Map<string, string[]>();

  constructor(raw: readonly string[]) {
    for (let index = 0; index + 1 < raw.length; index += 2) {
      const name = raw[index]!.toLowerCase();
      const values = this.#values.get(name);
      if (values === undefined) this.#values.set(name, [raw[index + 1]!]);
      else values.push(raw[index + 1]!);
    }
  }

  count(name: string): number {
    return this.#values.get(name)?.length ?? 0;
  }

  /** Its only value; undefined without one. */
  get(name: string): string | undefined {
    return this.#values.get(name)?.join(", ").trim();
  }
}

/** Whoever stands before us, and we, must agree on where a request ends and on whose it is. */
function judgeForm({ method = "GET", url = "/", httpVersion }: RequestHead, headers: HeaderValues): Refusal | null {
  const malformed = (detail: string, hint?: string, status = 400): Refusal => ({
    reason: "malformed",
    problem: new Problem(status, detail, hint),
  });
  if (httpVersion !== "1.1" && httpVersion !== "1.0") {
    return malformed(`dplaned does not speak HTTP/${httpVersion}`, "use HTTP/1.1", 505);
  }
  if (url.length > TARGET_BYTES_MAX) {
    const detail = `The address has ${url.length} bytes, and may have ${TARGET_BYTES_MAX}`;
    return { reason: "too_large", problem: new Problem(414, detail) };
  }
  for (const name of ["host", "content-length", "transfer-encoding", "authorization", "origin"]) {
    if (headers.count(name) > 1) return malformed(`The header ${name} is there ${headers.count(name)} times`);
  }
  const encoding = headers.get("transfer-encoding");
  const hasLength = headers.count("content-length") > 0;
  if (encoding !== undefined && (encoding.toLowerCase() !== "chunked" || hasLength || httpVersion === "1.0")) {
    return malformed(
      "The body's length is not said clearly",
      "Transfer-Encoding: chunked, or Content-Length, not both",
    );
  }
  if (/^(?:GET|HEAD)$/i.test(method) && (encoding !== undefined || Number(headers.get("content-length") ?? 0) > 0)) {
    return malformed(`${method} takes no body`);
  }
  const authority = /^https?:\/\/([^/?#]*)/i.exec(url)?.[1];
  if (authority !== undefined && authority.toLowerCase() !== headers.get("host")?.toLowerCase()) {
    return malformed(`The address is for ${authority}, and the header host is not`, "dplaned is no proxy");
  }
  return null;
}

/**
 * A page of somebody else in a browser on this machine reaches our address as well: by having the browser send requests
 * (then the browser says from where), or by a name of its own that it turns to our address (DNS rebinding: then the
 * browser takes the page for ours, but the name stands in Host).
 */
function judgeSite({ method = "GET" }: RequestHead, headers: HeaderValues, hosts: readonly string[]): Refusal | null {
  const host = headers.get("host") ?? "";
  const name = hostName(host);
  if (!isOwnName(name, hosts)) {
    const detail = `This is not ${host === "" ? "a host without a name" : JSON.stringify(host)}`;
    const hint = `name it in [daemon] http-hosts if it is, or use the address or localhost`;
    return { reason: "host", problem: new Problem(421, detail, hint) };
  }
  const crossSite = (from: string): Refusal => ({
    reason: "cross_site",
    problem: new Problem(
      403,
      `A web page of ${from} may not use this API`,
      "[daemon] http-hosts names further own names",
    ),
  });
  const origin = headers.get("origin");
  if (origin !== undefined && !isOwnOrigin(origin, host, hosts)) return crossSite(origin);
  const site = headers.get("sec-fetch-site");
  // Following a link to the dashboard is no harm: the other page does not get to see it.
  const isNavigation = headers.get("sec-fetch-mode") === "navigate" && method === "GET";
  if (origin === undefined && (site === "cross-site" || site === "same-site") && !isNavigation) {
    return crossSite("another site");
  }
  return null;
}

function isOwnOrigin(origin: string, host: string, hosts: readonly string[]): boolean {
  const authority = /^https?:\/\/([^/]+)$/i.exec(origin)?.[1];
  if (authority === undefined) return false;
  return authority.toLowerCase() === host.toLowerCase() || hosts.includes(hostName(authority));
}

/** An address cannot be turned elsewhere by who owns a name; the others are nobody's but ours. */
function isOwnName(name: string, hosts: readonly string[]): boolean {
  if (/^\[[0-9a-f:.]+\]$/.test(name) || /^(?:\d{1,3}\.){3}\d{1,3}$/.test(name)) return true;
  if (name === "localhost" || name.endsWith(".localhost")) return true;
  return hosts.includes(name) || (name !== "" && name === hostname().toLowerCase());
}

/** Without the port, in small letters and without the dot that ends a full name. */
function hostName(authority: string): string {
  return authority.toLowerCase().replace(/:\d*$/, "").replace(/\.$/, "");
}
