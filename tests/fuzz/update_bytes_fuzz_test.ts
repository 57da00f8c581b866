/**
 * The way of updates straight from their bytes against the way by `JSON.parse`: right updates, nearly right ones and broken
 * ones come to the same by both. A failure prints its seed; FUZZ_SEED runs it again.
 */
import assert from "node:assert/strict";
import process from "node:process";
import { describe, it } from "node:test";
import fc from "fast-check";
import { createRouteUpdate } from "../../core/model/route.ts";
import type { NameResolver } from "../../core/northbound/update_rules.ts";
import { type BytesPath, comparePaths, createBytesPath, TEST_RESOLVER } from "../support/update_paths.ts";

const SEED = Number(process.env.FUZZ_SEED ?? Date.now() & 0x7fffffff);
const RUNS = 20_000;

const encoder = new TextEncoder();
const quoted = (text: string) => JSON.stringify(text);

/** Mostly `good`, as text of JSON; now and then one of `odd`, or a value that has no place there. */
function value(good: fc.Arbitrary<string>, ...odd: string[]): fc.Arbitrary<string> {
  const junk = ["null", "true", "{}", "[]", '""', "-1", '"\\u0031"', '"é"', "1e999", "nul", "", '{"via":"::1"}'];
  return fc.oneof(
    { weight: 60, arbitrary: good },
    { weight: odd.length === 0 ? 0 : 2, arbitrary: odd.length === 0 ? good : fc.constantFrom(...odd) },
    { weight: 1, arbitrary: fc.constantFrom(...junk) },
  );
}

const numbers = (min: number, max: number) =>
  value(
    fc.integer({ min, max }).map(String),
    ..."0 -0 1.0 1e2 1E+2 007 01 4294967295 4294967296 9007199254740993 255 256 257 2.5 -1 .5 5. +5 0x10".split(" "),
    "1".repeat(400),
  );
const ipv4 = fc.oneof(fc.constantFrom("10.0.0.0", "192.0.2.0", "203.0.113.0", "0.0.0.0"), fc.ipV4());
const ipv6 = fc.oneof(fc.constantFrom("2001:db8::", "::", "2001:DB8:0:0::", "::ffff:10.0.0.2", "fe80::1"), fc.ipV6());
const address4 = value(fc.oneof(fc.constantFrom("10.0.0.2", "192.0.2.1"), ipv4).map(quoted), '"10.0.0.02"', '"10.1"');
const address6 = value(
  fc.oneof(fc.constantFrom("2001:db8::2", "fe80::1"), ipv6).map(quoted),
  '"fe80::1%v0"',
  '"::1::"',
  '"1:2:3:4:5:6:7:8:9"',
);
const prefixOf = (address: fc.Arbitrary<string>, ...lengths: string[]) =>
  value(
    fc.oneof(
      { weight: 20, arbitrary: fc.constantFrom(...lengths).map(quoted) },
      {
        weight: 1,
        arbitrary: fc
          .tuple(address, fc.constantFrom("/8", "/32", "/128", "/024", "/", ""))
          .map((t) => quoted(t.join(""))),
      },
    ),
  );
const prefix4 = prefixOf(ipv4, "10.0.0.0/8", "0.0.0.0/0", "203.0.113.0/24", "192.0.2.1/32");
const prefix6 = prefixOf(ipv6, "2001:db8::/32", "::/0", "2001:db8::1/128", "::ffff:0:0/96");

/** White space where JSON allows it, mostly none. */
const space = fc.oneof(
  { weight: 30, arbitrary: fc.constant("") },
  fc.constantFrom(" ", "\t", "\r\n", "  \n ", "\u000b"),
);

/** Fields in any order, one of them sometimes twice, with spaces, and sometimes a comma too many. */
function object(fields: Record<string, fc.Arbitrary<string>>, always: string[]): fc.Arbitrary<string> {
  const field = (name: string) =>
    fc.tuple(space, space, fields[name]!, space).map(([a, b, v, c]) => `${a}"${name}"${b}:${v}${c}`);
  const names = Object.keys(fields);
  const some = fc
    .tuple(fc.subarray(names, { maxLength: Math.min(5, names.length) }), fc.nat(200))
    .map(([chosen, dice]) => {
      const all = [...new Set([...always, ...chosen])];
      return dice === 0 ? [...all, all[0]!] : dice === 1 ? all.slice(1) : all;
    });
  return some
    .chain((chosen) => fc.shuffledSubarray(chosen, { minLength: chosen.length }))
    .chain((order) => fc.tuple(...order.map(field)))
    .chain((texts) => fc.tuple(fc.constant(texts.join(",")), space, fc.nat(150), space))
    .map(([text, before, dice, after]) => `${before}{${text}${dice === 0 ? "," : ""}}${after}`);
}

function array(item: fc.Arbitrary<string>, minLength: number, maxLength: number): fc.Arbitrary<string> {
  const tail = fc.oneof({ weight: 100, arbitrary: fc.constant("") }, fc.constant(","));
  return fc
    .tuple(fc.array(item, { minLength, maxLength }), space, tail)
    .map(([items, gap, comma]) => `[${gap}${items.join(`,${gap}`)}${gap}${comma}]`);
}

const device = value(
  fc.constantFrom('"v0"', '"v1"', '"lo"', '"eth0.100"'),
  '"gone"',
  '"v\\u0030"',
  `"${"x".repeat(80)}"`,
);
const nexthopOf = (address: fc.Arbitrary<string>, always: string[]) =>
  object(
    {
      via: address,
      dev: device,
      weight: numbers(1, 256),
      onlink: value(fc.constantFrom("true", "false"), "tru", "1"),
      labels: value(array(numbers(16, 1_048_575), 1, 4), "[3]", "[]"),
      seg6: object(
        {
          mode: value(fc.constantFrom('"encap"', '"inline"', '"encap.red"'), '"encapp"'),
          segs: value(array(address6, 1, 4), "[]"),
        },
        ["mode", "segs"],
      ),
    },
    always,
  );
const updateOf = (prefix: fc.Arbitrary<string>, address: fc.Arbitrary<string>, always: string[]) => {
  const nexthop = fc.oneof(
    { weight: 3, arbitrary: fc.tuple(address, device).map(([via, dev]) => `{"via":${via},"dev":${dev}}`) },
    nexthopOf(address, ["via"]),
    nexthopOf(address, ["dev"]),
  );
  return object(
    {
      op: value(fc.constantFrom('"install"', '"delete"'), '"add"', '"Delete"'),
      prefix,
      source: prefix6,
      table: numbers(1, 4294967295),
      vrf: value(fc.constant('"red"'), '"blue"'),
      type: value(fc.constantFrom('"unicast"', '"blackhole"', '"throw"'), '"blackhol"'),
      nexthops: value(fc.oneof(array(nexthop, 1, 3), array(nexthop, 0, 12)), "[[]]"),
      nexthopGroup: numbers(1, 5),
      metric: numbers(0, 4294967295),
      distance: numbers(0, 255),
      protocol: fc.oneof(value(fc.constantFrom('"bgp"', '"static"'), '"bpg"'), numbers(0, 255)),
      tag: numbers(0, 4294967295),
      mtu: numbers(1200, 1600),
      prefsrc: address,
    },
    always,
  );
};
const line = fc.oneof(
  updateOf(prefix4, address4, ["prefix", "nexthops"]),
  updateOf(prefix6, address6, ["prefix", "nexthops"]),
  updateOf(prefix4, address6, ["prefix"]),
);

/** Places in a line where something else is put, as `[place, how many bytes go, what comes]`. */
const damage = fc.array(
  fc.tuple(
    fc.nat(),
    fc.nat(2),
    fc.oneof(
      fc.constantFrom(
        "",
        "0",
        "-",
        ".",
        "e",
        '"',
        "\\",
        "{",
        "}",
        "[",
        "]",
        ",",
        ":",
        " ",
        "\n",
        "\u0000",
        "é",
        "\u007f",
        "/",
      ),
      fc.constantFrom("null", '"prefix"', '"__proto__":1,', '"metric":5,', "//", "\\u0022", "00"),
      fc.string({ maxLength: 3 }),
    ),
  ),
  { minLength: 1, maxLength: 2 },
);
const damagedLine = fc.tuple(line, damage).map(([text, holes]) => {
  let damaged = text;
  for (const [place, gone, comes] of holes) {
    const at = place % (damaged.length + 1);
    damaged = damaged.slice(0, at) + comes + damaged.slice(at + gone);
  }
  return damaged;
});

/** What lies behind an update's bytes, which must not matter. */
const behind = fc.constantFrom("", "\n", "}", "]}", '"}', "0}", ',"metric":5}', '\n{"prefix":"::/0"}', '.0/8"}');

interface Counts {
  straight: number;
}

function property(lines: fc.Arbitrary<string>, bytesPath: BytesPath, counts: Counts = { straight: 0 }) {
  const into = createRouteUpdate();
  return fc.property(lines, behind, fc.nat(3), fc.nat(40), (text, rest, from, cut) => {
    const head = encoder.encode("x".repeat(from) + text);
    const bytes = encoder.encode("x".repeat(from) + text + rest);
    // Now and then the end is missing, although it is there.
    const to = head.length - (cut < 3 ? Math.min(cut, head.length - from) : 0);
    if (comparePaths(bytes, from, to, into, bytesPath)) counts.straight += 1;
  });
}

/** Updates that say the same of several prefixes, while interfaces come, go and change their numbers. */
const NO_PREFIX = quoted("@");
const says = (address: fc.Arbitrary<string>) => updateOf(fc.constant(NO_PREFIX), address, ["prefix", "nexthops"]);
const steps = fc.array(
  fc.record({ which: fc.nat(2), prefix: fc.oneof({ weight: 4, arbitrary: prefix4 }, prefix6), change: fc.nat(12) }),
  { minLength: 4, maxLength: 30 },
);

function repetition(resolveFor: (links: Map<string, number>) => NameResolver) {
  return fc.property(
    fc.array(fc.oneof(says(address4), says(address6)), { minLength: 1, maxLength: 3 }),
    steps,
    (lines, all) => {
      const links = new Map(Object.entries({ v0: 3, v1: 4, lo: 1 }));
      const resolver = { deviceIndex: (name: string) => links.get(name) ?? 0, vrfTable: TEST_RESOLVER.vrfTable };
      const bytesPath = createBytesPath(resolveFor(links));
      const into = createRouteUpdate();
      for (const { which, prefix, change } of all) {
        if (change === 0) links.delete("v0");
        else if (change < 3) links.set("v0", change + 10);
        const bytes = encoder.encode(lines[which % lines.length]!.replace(NO_PREFIX, () => prefix));
        comparePaths(bytes, 0, bytes.length, into, bytesPath, resolver);
      }
    },
  );
}

const followLinks = (links: Map<string, number>): NameResolver => ({
  deviceIndex: (name) => links.get(name) ?? 0,
  vrfTable: TEST_RESOLVER.vrfTable,
});

describe(`updates from bytes and from text (FUZZ_SEED=${SEED})`, () => {
  const parameters = { seed: SEED, numRuns: RUNS };

  it("come to the same, right or nearly right", () => {
    const counts = { straight: 0 };
    fc.assert(property(line, createBytesPath(), counts), parameters);
    assert.ok(counts.straight > RUNS / 10, `right updates are among them: ${counts.straight}`);
  });

  it("come to the same, broken anywhere", () => {
    const counts = { straight: 0 };
    fc.assert(property(damagedLine, createBytesPath(), counts), parameters);
    assert.ok(counts.straight > 20, `some are still right: ${counts.straight}`);
  });

  it("come to the same from any bytes", () => {
    const into = createRouteUpdate();
    const bytesPath = createBytesPath();
    const bytes = fc.array(
      fc.oneof(
        fc.constantFrom(...'{}[]",:0 v\n\\'),
        fc.nat(255).map((code) => String.fromCharCode(code)),
      ),
    );
    fc.assert(
      fc.property(bytes, (characters) => {
        const some = Uint8Array.from(characters, (character) => character.charCodeAt(0));
        comparePaths(some, 0, some.length, into, bytesPath);
      }),
      { seed: SEED, numRuns: 2000 },
    );
  });

  it("come to the same when they say the same again", () => {
    fc.assert(repetition(followLinks), { seed: SEED, numRuns: 3000 });
  });

  it("would find a name that means what it meant before", () => {
    const { failed } = fc.check(
      repetition((links) => followLinks(new Map(links))),
      { seed: SEED, numRuns: 3000, endOnFailure: true },
    );
    assert.ok(failed);
  });

  // Mistakes of the kind that this is to find: they must be found.
  const mistakes: Record<string, (right: BytesPath) => BytesPath> = {
    "a value that stays from the update before": (right) => {
      let table = 0;
      return (bytes, from, to, into) => {
        const isRight = right(bytes, from, to, into);
        if (isRight && into.table === 254 && table !== 0) into.table = table;
        table = into.table;
        return isRight;
      };
    },
    "an update that goes on behind its end": (right) => (bytes, from, _to, into) =>
      right(bytes, from, bytes.length, into),
    "a nexthop too many": (right) => (bytes, from, to, into) => {
      const isRight = right(bytes, from, to, into);
      if (isRight && into.nexthops.length > 1) into.nexthops.push(into.nexthops[0]!);
      return isRight;
    },
  };
  for (const [name, spoil] of Object.entries(mistakes)) {
    it(`would find ${name}`, () => {
      const { failed } = fc.check(property(line, spoil(createBytesPath())), { ...parameters, endOnFailure: true });
      assert.ok(failed);
    });
  }
});
