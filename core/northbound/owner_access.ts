/**
 * Who may write as which owner. Whoever can open the unix socket may write, but for an owner with a token only who shows
 * it; over TCP only who shows an owner's token or client certificate. Main thread.
 */
import { createHash, timingSafeEqual } from "node:crypto";
import type { Context, MiddlewareHandler } from "hono";
import type { Log } from "../log.ts";
import { OWNER_SETTINGS, Owner, type Owners } from "../rib/owners.ts";
import { OWNERS_MAX } from "../rib/route_store.ts";
import type { NorthboundCounters } from "./counters.ts";
import type { Environment } from "./endpoint.ts";
import { Problem } from "./problem.ts";
import { RateLimit, rateKey } from "./rate_limit.ts";
import type { RouteStreamParts } from "./route_stream.ts";

const OWNER_NAME = /^[A-Za-z0-9][A-Za-z0-9._:@-]{0,63}$/;

/** Paths whose handlers call {@linkcode OwnerAccess.require}, and so can tell who may write over TCP. */
const OWNERS_PATHS = /^\/v1\/(?:routes|owners\/[^/]+\/routes)$/;

/** Wrong tokens for one owner from one place: so many at once, and one in so many seconds from then on. */
const WRONG_TOKENS_BURST = 10;
const WRONG_TOKEN_SECONDS = 5;

/** Lets no write in over TCP but those for which it can be shown that one may. */
export const requireWriteAccess: MiddlewareHandler<Environment> = async (context, next) => {
  const { method, path } = context.req;
  const isRead = method === "GET" || method === "HEAD";
  if (!isRead && isTcp(context) && !OWNERS_PATHS.test(path)) throw forbidden(method);
  await next();
};

export class OwnerAccess {
  readonly #owners: Owners;
  readonly #counters: NorthboundCounters;
  readonly #log: Log;
  readonly #wrongTokens = new RateLimit(WRONG_TOKENS_BURST, 1 / WRONG_TOKEN_SECONDS);

  constructor(owners: Owners, counters: NorthboundCounters, log: Log) {
    this.#owners = owners;
    this.#counters = counters;
    this.#log = log;
  }

  /** Throws a {@linkcode Problem} unless the request may write as the owner of this name. */
  require(context: Context<Environment>, name: string): void {
    if (!OWNER_NAME.test(name)) {
      throw new Problem(
        400,
        `${JSON.stringify(name)} is no name of an owner`,
        "a name has letters, digits, `.`, `_`, `:`, `@` and `-`, at most 64, and begins with a letter or digit",
      );
    }
    const { token, certificates } = this.#owners.find(name)?.settings ?? OWNER_SETTINGS;
    const shown = context.env?.certificateNames ?? [];
    if (!certificates.some((each) => shown.includes(each))) {
      if (token !== null) this.#requireToken(context, name, token);
      else if (isTcp(context)) throw forbidden(context.req.method);
    }
    context.env?.onTrusted?.();
  }

  #requireToken(context: Context<Environment>, name: string, token: string): void {
    const shown = /^Bearer +(\S+) *$/i.exec(context.req.header("authorization") ?? "")?.[1];
    const hint = "send Authorization: Bearer TOKEN (dplaned --token-file FILE), with what [[owner]] token-file has";
    const challenge = { "www-authenticate": 'Bearer realm="dplaned"' };
    if (shown === undefined) throw new Problem(401, `Owner ${name} needs a token`, hint, challenge);
    const address = context.env?.address ?? "";
    // Whoever has shown too many is not told whether this one is right: else guessing would go on.
    const key = `${name} ${rateKey(address)}`;
    const seconds = this.#wrongTokens.waitSeconds(key);
    if (seconds > 0) {
      this.#counters.refused.credentials += 1;
      const headers = { "retry-after": String(seconds) };
      throw new Problem(
        429,
        `Too many wrong tokens for owner ${name} have come from here`,
        "wait, and correct it",
        headers,
      );
    }
    if (isSameSecret(shown, token)) return;
    this.#wrongTokens.take(key);
    this.#counters.refused.credentials += 1;
    this.#log.warn("A wrong token was shown", { owner: name, address: address === "" ? "unix socket" : address });
    throw new Problem(401, `This is not the token of owner ${name}`, hint, challenge);
  }
}

function isTcp(context: Context<Environment>): boolean {
  return context.env?.listener === "tcp";
}

function forbidden(method: string): Problem {
  const hint =
    "use the unix socket, /run/dplaned/dplaned.sock by default, or an owner with a token or the client's certificate";
  return new Problem(403, `${method} is not allowed over TCP`, hint);
}

/** Takes the same time wherever they differ, and however long they are. */
function isSameSecret(a: string, b: string): boolean {
  const digest = (text: string): Buffer => createHash("sha256").update(text).digest();
  return timingSafeEqual(digest(a), digest(b));
}

/** The owner of this name, made on first use. */
export function namedOwner(owners: Owners, name: string): Owner {
  const owner = owners.intern(name);
  if (owner === undefined) throw new Problem(503, "There are too many owners", "use the name of one that there is");
  return owner;
}

/** The owner of this name for a dry run: one that nobody has named so far is not made. */
export function visitingOwner(owners: Owners, name: string): Owner {
  return owners.find(name) ?? new Owner(OWNERS_MAX + 1, name, OWNER_SETTINGS, false);
}

/** What streams need, with what the owner's updates mean where they do not say. */
export function ownParts(parts: RouteStreamParts, owner: Owner): RouteStreamParts {
  return { ...parts, defaults: { ...parts.defaults, distance: owner.settings.distance } };
}
