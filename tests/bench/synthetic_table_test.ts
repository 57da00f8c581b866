/** Synthetic tables and the orders in which a table's routes may come. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { isHostBitsZero } from "../../core/model/prefix.ts";
import { bitReversed, byAddress, byLength, reversed, shuffled } from "./orders.ts";
import { ADDRESS_BYTES, type RouteTable, realTable } from "./route_table.ts";
import { syntheticTable } from "./synthetic_table.ts";

const COUNT = 20_000;
const table = syntheticTable(COUNT);

describe("a synthetic table", () => {
  it("has as many routes as asked for, each prefix once and without host bits", () => {
    const prefixes = new Set<string>();
    for (let index = 0; index < COUNT; index++) {
      prefixes.add(table.prefixText(index));
      const bits = table.family(index) === 4 ? 32 : 128;
      assert.ok(
        isHostBitsZero(table.addresses, index * ADDRESS_BYTES, table.lengths[index]!, bits),
        table.prefixText(index),
      );
    }
    assert.equal(prefixes.size, COUNT);
    assert.equal(table.ofFamily(4).count, 0.75 * COUNT);
  });

  it("is the same each time", () => {
    const again = syntheticTable(COUNT);
    assert.deepEqual(again.addresses, table.addresses);
    assert.deepEqual(again.nexthops, table.nexthops);
  });

  it("has the lengths of the Internet's tables", () => {
    const share = (family: 4 | 6, length: number) => {
      const routes = table.ofFamily(family);
      return routes.lengths.reduce((sum, each) => sum + (each === length ? 1 : 0), 0) / routes.count;
    };
    for (const [family, length, wanted] of [
      [4, 24, 0.6],
      [4, 22, 0.11],
      [6, 48, 0.46],
    ] as const) {
      assert.ok(Math.abs(share(family, length) - wanted) < 0.02, `${share(family, length)} of IPv${family}/${length}`);
    }
  });

  it("is in the order of its addresses", () => {
    for (const family of [4, 6] as const) {
      const routes = table.ofFamily(family);
      for (let index = 1; index < routes.count; index++) {
        const order = Buffer.compare(routes.address(index - 1), routes.address(index));
        assert.ok(order < 0 || (order === 0 && routes.lengths[index - 1]! < routes.lengths[index]!));
      }
    }
  });
});

describe("orders", () => {
  const orders = { byAddress, reversed, shuffled, byLength, bitReversed };
  const sorted = (indexes: Uint32Array) => Array.from(indexes).sort((a, b) => a - b);
  for (const [name, order] of Object.entries(orders)) {
    it(`${name}: has each route once`, () => {
      assert.deepEqual(sorted(order(table)), Array.from(byAddress(table)));
    });
  }

  const texts = (routes: RouteTable) => Array.from({ length: routes.count }, (_, index) => routes.prefixText(index));

  it("are what they are called", () => {
    const real = realTable([4], 50);
    const pick = (order: (of: RouteTable) => Uint32Array) => texts(real.picked(order(real)));
    assert.deepEqual(pick(reversed), texts(real).reverse());
    assert.notDeepEqual(pick(shuffled), texts(real));
    const lengths = pick(byLength).map((prefix) => Number(prefix.split("/")[1]));
    assert.deepEqual(
      lengths,
      lengths.toSorted((a, b) => b - a),
    );
  });

  it("by reversed bits: the last bits of the address come first", () => {
    const routes = realTable([4, 6], 3);
    routes.addresses.set([1, 0, 0, 1], 0);
    routes.addresses.set([1, 0, 0, 0], ADDRESS_BYTES);
    routes.addresses.set([0, 0, 0, 2], 2 * ADDRESS_BYTES);
    assert.deepEqual(Array.from(bitReversed(routes)), [1, 2, 0, 3, 4, 5]);
  });
});
