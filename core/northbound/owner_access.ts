/**
 * Who may write as which owner. Whoever can open the unix socket may write, but for an owner with a token only who shows
 * it; over TCP nobody else may write at all. Main thread.
 */
import { createHash, timingSafeEqual } from "node:crypto";
import type { Context, MiddlewareHandler } from "hono";
import { OWNER_SETTINGS, Owner, type Owners } from "../rib/owners.ts";
import { OWNERS_MAX } from "../rib/route_store.ts";
import type { Environment } from "./endpoint.ts";
import { Problem } from "./problem.ts";
import type { RouteStreamParts } from "./route_stream.ts";

const OWNER_NAME = /^[A-Za-z0-9][A-Za-z0-9._:@-]{0,63}$/;

/** Paths whose handlers call {@linkcode requireOwner}, and so can tell who may write over TCP. */
const OWNERS_PATHS = /^\/v1\/(?:routes|owners\/[^/]+\/routes)$/;

/** Lets no write in over TCP but those for which an owner's token can be shown. */
export const requireWriteAccess: MiddlewareHandler<Environment> = async (context, next) => {
  const { method, path } = context.req;
  const isRead = method === "GET" || method === "HEAD";
  if (!isRead && isTcp(context) && !OWNERS_PATHS.test(path)) throw forbidden(method);
  await next();
};

/** Throws a {@linkcode Problem} unless the request may write as the owner of this name. */
export function requireOwner(context: Context<Environment>, owners: Owners, name: string): void {
  if (!OWNER_NAME.test(name)) {
    throw new Problem(
      400,
      `${JSON.stringify(name)} is no name of an owner`,
      "a name has letters, digits, `.`, `_`, `:`, `@` and `-`, at most 64, and begins with a letter or digit",
    );
  }
  const token = owners.find(name)?.settings.token ?? null;
  if (token === null) {
    if (isTcp(context)) throw forbidden(context.req.method);
    return;
  }
  const shown = /^Bearer +(\S+) *$/i.exec(context.req.header("authorization") ?? "")?.[1];
  if (shown !== undefined && isSameSecret(shown, token)) return;
  const detail = shown === undefined ? `Owner ${name} needs a token` : `This is not the token of owner ${name}`;
  const hint = "send Authorization: Bearer TOKEN (dplaned --token-file FILE), with what [[owner]] token-file has";
  throw new Problem(401, detail, hint, { "www-authenticate": 'Bearer realm="dplaned"' });
}

function isTcp(context: Context<Environment>): boolean {
  return context.env?.listener === "tcp";
}

function forbidden(method: string): Problem {
  const hint = "use the unix socket, /run/dplaned/dplaned.sock by default, or an owner with a token";
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
