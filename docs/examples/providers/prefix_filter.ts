/**
 * A prefix filter: refuses routes to prefixes that nobody should announce (bogons), to those of a list of your own, and to
 * prefixes that are longer than they should be. It stands before the kernel, and should be closed: what it has not seen is
 * not programmed.
 *
 *     [[provider]]
 *     kind = "plugin"
 *     name = "filter"
 *     path = "providers/prefix_filter.ts"
 *     priority = "pre-kernel"
 *     fail-closed = true
 *
 *     [provider.options]
 *     bogons = true
 *     deny = ["203.0.113.0/24"]
 *     max-length-ipv4 = 24
 *     max-length-ipv6 = 48
 *     owners = ["bgp"]          # without it: the routes of all owners
 */
import type { Dplaned, Provider, Update } from "./dplaned.d.ts";

/** Private, shared, reserved, for documentation, multicast: RFC 6890, RFC 5735, RFC 5156. */
const BOGONS = [
  ...["0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24"],
  ...[
    "192.0.2.0/24",
    "192.168.0.0/16",
    "198.18.0.0/15",
    "198.51.100.0/24",
    "203.0.113.0/24",
    "224.0.0.0/4",
    "240.0.0.0/4",
  ],
  ...["::/8", "100::/64", "2001:2::/48", "2001:10::/28", "2001:db8::/32", "fc00::/7", "fe80::/10", "ff00::/8"],
];

interface Denied {
  text: string;
  address: Uint8Array;
  length: number;
}

interface Options {
  /** Denied prefixes of either family. What lies within them is denied, too. */
  denied4: Denied[];
  denied6: Denied[];
  maxLength4: number;
  maxLength6: number;
  /** Empty for all. */
  owners: ReadonlySet<string>;
}

const KEYS = ["bogons", "deny", "max-length-ipv4", "max-length-ipv6", "owners"];

function parseOptions(table: Record<string, unknown>): Options {
  const unknown = Object.keys(table).find((key) => !KEYS.includes(key));
  if (unknown !== undefined) throw new Error(`there is no option ${unknown}; there are ${KEYS.join(", ")}`);
  const { bogons = true, deny = [], owners = [] } = table;
  if (typeof bogons !== "boolean") throw new Error("bogons is to be true or false");
  const denied = [...(bogons ? BOGONS : []), ...texts("deny", deny)].map(parseDenied);
  return {
    denied4: denied.filter(({ address }) => address.length === 4),
    denied6: denied.filter(({ address }) => address.length === 16),
    maxLength4: parseLength(table, "max-length-ipv4", 32),
    maxLength6: parseLength(table, "max-length-ipv6", 128),
    owners: new Set(texts("owners", owners)),
  };
}

function texts(key: string, value: unknown): string[] {
  if (Array.isArray(value) && value.every((each) => typeof each === "string")) return value;
  throw new Error(`${key} is to be a list of texts, and not ${JSON.stringify(value)}`);
}

function parseLength(table: Record<string, unknown>, key: string, longest: number): number {
  const value = table[key] ?? longest;
  if (typeof value === "number" && Number.isInteger(value) && value >= 0 && value <= longest) return value;
  throw new Error(`${key} is to be a number from 0 to ${longest}, and not ${JSON.stringify(value)}`);
}

function parseDenied(text: string): Denied {
  const [address = "", lengthText = ""] = text.split("/");
  const bytes = address.includes(":") ? parseIpv6(address) : parseIpv4(address);
  const length = /^\d{1,3}$/.test(lengthText) ? Number(lengthText) : -1;
  if (bytes === undefined || length < 0 || length > bytes.length * 8) {
    throw new Error(`${JSON.stringify(text)} is no prefix, such as 10.0.0.0/8 or 2001:db8::/32`);
  }
  return { text, address: bytes, length };
}

function parseIpv4(text: string): Uint8Array | undefined {
  const parts = text.split(".").map((part) => (/^\d{1,3}$/.test(part) ? Number(part) : 256));
  return parts.length === 4 && parts.every((part) => part < 256) ? Uint8Array.from(parts) : undefined;
}

function parseIpv6(text: string): Uint8Array | undefined {
  const [head = "", tail, ...more] = text.split("::");
  const groups = (part: string): number[] =>
    part === ""
      ? []
      : part.split(":").map((group) => (/^[0-9a-f]{1,4}$/i.test(group) ? Number.parseInt(group, 16) : -1));
  const [front, back] = [groups(head), tail === undefined ? [] : groups(tail)];
  const missing = 8 - front.length - back.length;
  if (more.length > 0 || missing < 0 || (tail === undefined && missing > 0)) return undefined;
  const all = [...front, ...new Array<number>(missing).fill(0), ...back];
  if (all.includes(-1)) return undefined;
  return Uint8Array.from(all.flatMap((group) => [group >> 8, group & 255]));
}

/** Whether the first bits are the same. */
function covers({ address, length }: Denied, other: Uint8Array): boolean {
  const bytes = length >> 3;
  for (let at = 0; at < bytes; at++) if (address[at] !== other[at]) return false;
  const bits = length & 7;
  return bits === 0 || ((address[bytes]! ^ other[bytes]!) & (0xff00 >> bits) & 0xff) === 0;
}

function decide(update: Update, { denied4, denied6, maxLength4, maxLength6, owners }: Options): boolean {
  // What was let in once is let out again; and a default route is no bogon, although it covers all of them.
  if (update.op === "delete" || (owners.size > 0 && !owners.has(update.owner))) return true;
  const { family, prefixLength, address } = update;
  const longest = family === 4 ? maxLength4 : maxLength6;
  if (prefixLength > longest) {
    update.fail("PREFIX_TOO_LONG", `longer than /${longest}`, "announce the aggregate, or raise max-length");
    return false;
  }
  const denied = (family === 4 ? denied4 : denied6).find(
    (each) => each.length <= prefixLength && covers(each, address),
  );
  if (denied === undefined) return true;
  update.fail("PREFIX_DENIED", `within ${denied.text}, which is denied`, "see bogons and deny of this provider");
  return false;
}

export default {
  apiVersion: 1,
  options: parseOptions,
  metrics: {
    permitted: { type: "counter", help: "Updates that were let go on." },
    denied: { type: "counter", help: "Updates that were refused." },
  },

  process(updates: readonly Update[], dplaned: Dplaned<Options>) {
    let permitted = 0;
    for (const update of updates) if (decide(update, dplaned.options)) permitted += 1;
    dplaned.count("permitted", permitted);
    dplaned.count("denied", updates.length - permitted);
  },
} satisfies Provider<Options>;
