/** The routing table of the demo and the benchmarks: ranges are split right, and the table has the size that is promised. */
import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import fc from "fast-check";
import { parsePrefix } from "../../core/model/prefix.ts";
import {
  nexthopOf,
  prefixOf,
  readTable,
  splitRange,
  TABLE_PREFIXES,
  TABLE_ROUTES,
  type TableFamily,
  type TableFormat,
  writeTable,
} from "../../scripts/internet_table.ts";

/** A range of addresses of `bits` bits; short ones, aligned ones and the ends of the address space come often. */
function rangeArbitrary(bits: number): fc.Arbitrary<[first: bigint, last: bigint]> {
  const max = (1n << BigInt(bits)) - 1n;
  const aligned = fc
    .tuple(fc.bigInt(0n, max), fc.nat(bits))
    .map(([value, zeros]) => (value >> BigInt(zeros)) << BigInt(zeros));
  const address = fc.oneof(fc.bigInt(0n, max), aligned, fc.constantFrom(0n, 1n, max - 1n, max));
  const size = fc.oneof(fc.bigInt(0n, 1024n), fc.bigInt(0n, max));
  return fc.oneof(
    fc
      .tuple(address, size)
      .map(([first, extra]): [bigint, bigint] => [first, first + extra > max ? max : first + extra]),
    fc.tuple(address, address).map(([a, b]): [bigint, bigint] => (a <= b ? [a, b] : [b, a])),
  );
}

describe("splitRange", () => {
  for (const bits of [8, 32, 128]) {
    it(`covers exactly the range, with the fewest prefixes (${bits} bits)`, () => {
      fc.assert(
        fc.property(rangeArbitrary(bits), ([first, last]) => {
          let next = first;
          let lastSize = 0n;
          for (const { address, length } of splitRange(first, last, bits)) {
            const size = 1n << BigInt(bits - length);
            assert.ok(length >= 0 && length <= bits);
            assert.equal(address, next, "no gap and no overlap");
            assert.equal(address % size, 0n, "no host bits");
            // Two neighbours of one size whose pair is aligned would be one prefix.
            assert.ok(size !== lastSize || (address - lastSize) % (size * 2n) !== 0n, "neighbours that should be one");
            next += size;
            lastSize = size;
          }
          assert.equal(next, last + 1n);
        }),
        { numRuns: 2000 },
      );
    });
  }
});

describe("the table", () => {
  const folder = mkdtempSync(join(tmpdir(), "dplaned-table-"));
  after(() => rmSync(folder, { recursive: true }));
  const write = (format: TableFormat, options: Parameters<typeof writeTable>[2]) => {
    const path = join(folder, format);
    const written = writeTable(path, format, options);
    return { written, bytes: readFileSync(path) };
  };

  for (const family of [4, 6] as const satisfies readonly TableFamily[]) {
    it(`has as many IPv${family} routes as promised, in the order of their addresses`, () => {
      let [count, prefixes] = [0, 0];
      let last = { address: -1n, length: -1 };
      const nexthops = new Set<string>();
      for (const route of readTable(family)) {
        count++;
        // A prefix that is there twice stands in neighbouring lines: writeTable relies on it.
        const isSame = route.address === last.address && route.length === last.length;
        assert.ok(isSame || route.address > last.address, prefixOf(route));
        if (!isSame) prefixes++;
        last = route;
        nexthops.add(nexthopOf(route));
      }
      assert.equal(count, TABLE_ROUTES[family]);
      assert.equal(prefixes, TABLE_PREFIXES[family]);
      assert.equal(nexthops.size, 64);
    });
  }

  it("is written as NDJSON", () => {
    const { written, bytes } = write("ndjson", { limit: 1000 });
    assert.deepEqual(written.updates, { 4: 1000, 6: 1000 });
    assert.equal(written.bytes, bytes.length);
    const lines = bytes.toString().trimEnd().split("\n");
    assert.equal(lines.length, 2000);
    assert.deepEqual(JSON.parse(lines[0]!), { prefix: "1.0.0.0/24", nexthops: [{ via: "10.64.0.123", dev: "veth0" }] });
    for (const line of lines) {
      const { prefix } = JSON.parse(line) as { prefix: string };
      assert.ok(parsePrefix(prefix, new Uint8Array(16), 0) > 0, prefix);
    }
  });

  it("is written as lines of ip -batch", () => {
    const first = (options: Parameters<typeof writeTable>[2]) =>
      write("iproute2", { ...options, families: [6], limit: 1 }).bytes.toString();
    assert.equal(first({ words: "metric 20" }), "route replace 2001::/32 via 2001:db8:64::11b dev veth0 metric 20\n");
    assert.equal(first({ op: "delete" }), "route del 2001::/32\n");
  });

  it("is written with one route a prefix, and some others in place of those of the table", () => {
    const lines = (options: Parameters<typeof writeTable>[2]) =>
      write("ndjson", { families: [4], ...options })
        .bytes.toString()
        .trimEnd()
        .split("\n");
    const unique = lines({ unique: true });
    assert.equal(unique.length, TABLE_PREFIXES[4]);
    const [one, other] = [lines({ limit: 250 }), lines({ limit: 250, changeEvery: 100 })];
    assert.deepEqual(
      other.flatMap((line, index) => (line === one[index] ? [] : [index])),
      [0, 100, 200],
    );
    assert.equal(JSON.parse(other[0]!).nexthops[0].via, "10.64.0.124");
  });

  it("has a digest that tells each route, in any order", () => {
    const digest = (options: Parameters<typeof writeTable>[2]) => write("ndjson", options).written.digests;
    assert.equal(String(digest({ limit: 100 })[4]), String(digest({ limit: 100, op: "delete" })[4]));
    assert.notEqual(String(digest({ limit: 100 })[4]), String(digest({ limit: 101 })[4]));
    const { 4: one, 6: other } = digest({ limit: 1 });
    one.add("203.0.113.0/24", "10.64.0.100");
    one.remove("1.0.0.0/24", "10.64.0.123");
    other.add("203.0.113.0/24", "10.64.0.100");
    other.remove("2001::/32", "2001:db8:64::11b");
    assert.equal(String(one), String(other));
  });
});
