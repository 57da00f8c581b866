/** Values that a JSON Schema describes, and now and then ones that it does not, for fuzzing what takes them. */

import type { Schema } from "../../core/northbound/schema.ts";
import type { Prng } from "../../core/prng.ts";

/** What members of these names mostly are, where a schema says no more than that they are text. */
const TEXTS: Readonly<Record<string, readonly string[]>> = {
  prefix: ["10.0.0.0/8", "203.0.113.0/24", "2001:db8::/32", "default", "::/0", "10.0.0.1/8", "10.0.0.0/33", "x"],
  source: ["2001:db8:2::/48", "10.0.0.0/8"],
  via: ["192.0.2.1", "2001:db8::1", "fe80::1", "0.0.0.0", "300.1.1.1"],
  dev: ["v0", "v1", "v9", ""],
  vrf: ["blue", "red"],
  address: ["10.0.0.1", "2001:db8::1", "10.0.0.0/8", ""],
  owner: ["default", "bgp", "a b", "", "é", "x".repeat(65)],
  table: ["254", "main", "blue", "0", "-1"],
  cursor: ["4.1", "6.7", "4.-1", "9999999999"],
  types: ["result", "health,kernel", "nothing"],
  prefsrc: ["10.0.0.1", "2001:db8::1"],
  client: ["export", "nobody"],
};
const TEXT = [
  "",
  "a",
  "\u0000",
  "é\u{1f600}",
  "../../etc/passwd",
  "x".repeat(300),
  "%",
  '"',
  "\n",
  "__proto__",
  "constructor",
];
const JUNK: readonly unknown[] = [null, true, -1, 0.5, 1e300, "", [], {}, [[]], { __proto__: 1 }, 4294967296];
const DEPTH_MAX = 6;

/** A value for `schema`; `name` is that of the member or parameter it is for, `oddity` how often something is otherwise. */
export function makeValue(
  prng: Prng,
  schema: Schema,
  all: Readonly<Record<string, Schema>>,
  { name = "", oddity = 0.03, depth = 0 }: { name?: string; oddity?: number; depth?: number } = {},
): unknown {
  if (prng.chance(oddity) || depth > DEPTH_MAX) return prng.pick(JUNK);
  const inner = { oddity, depth: depth + 1 };
  if (schema.$ref !== undefined) {
    return makeValue(prng, all[schema.$ref.replace("#/components/schemas/", "")]!, all, { name, ...inner });
  }
  if (schema.anyOf !== undefined) return makeValue(prng, prng.pick(schema.anyOf), all, { name, ...inner });
  if (schema.enum !== undefined) return prng.pick(schema.enum);
  const type = typeof schema.type === "object" ? prng.pick(schema.type) : schema.type;
  switch (type) {
    case "boolean":
      return prng.chance(0.5);
    case "integer":
    case "number":
      return numberOf(prng, schema);
    case "array": {
      const length = Math.min(prng.below(4), schema.maxItems ?? 4);
      return Array.from({ length }, () => makeValue(prng, schema.items ?? {}, all, { name, ...inner }));
    }
    case "object": {
      const { properties = {}, required = [] } = schema;
      const chosen = Object.entries(properties).filter(([key]) => required.includes(key) || prng.chance(0.3));
      const members = chosen.map(([key, member]) => [key, makeValue(prng, member, all, { name: key, ...inner })]);
      if (prng.chance(oddity)) members.push([prng.pick(TEXT), prng.pick(JUNK)]);
      return Object.fromEntries(members);
    }
    default:
      return prng.pick(prng.chance(0.8) ? (TEXTS[name] ?? TEXT) : TEXT);
  }
}

function numberOf(prng: Prng, { minimum = 0, maximum = 0xffff_ffff }: Schema): number {
  const edges = [minimum, maximum, minimum + 1, minimum - 1, maximum + 1];
  return prng.chance(0.3) ? prng.pick(edges) : minimum + prng.below(Math.min(maximum - minimum + 1, 300));
}
