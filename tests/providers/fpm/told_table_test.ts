import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { Family } from "../../../core/model/route.ts";
import { Prng } from "../../../core/prng.ts";
import { RouteKey } from "../../../providers/fpm/route_key.ts";
import { DELETED, DELETED_MAX, NO_ENTRY, TOLD, ToldTable, UNRESOLVED } from "../../../providers/fpm/told_table.ts";

function keyOf(number: number, family: Family = Family.IPV4, table = 254, metric = 20, source = 0): RouteKey {
  const key = new RouteKey();
  key.family = family;
  key.prefixLength = 32;
  key.table = table;
  key.metric = metric;
  new DataView(key.bytes.buffer).setUint32(0, number);
  key.sourceLength = source === 0 ? 0 : 32;
  new DataView(key.bytes.buffer).setUint32(16, source);
  return key;
}

describe("ToldTable", () => {
  it("tells keys apart by prefix, table, metric and source", () => {
    for (const family of [Family.IPV4, Family.IPV6] as const) {
      const table = new ToldTable(family, new Map());
      const keys = [
        keyOf(1, family),
        keyOf(2, family),
        keyOf(1, family, 100),
        keyOf(1, family, 254, 21),
        keyOf(1, family, 254, 20, 9),
      ];
      const entries = keys.map((key) => table.findOrInsert(key));
      assert.equal(new Set(entries).size, keys.length);
      const read = new RouteKey();
      for (const [index, key] of keys.entries()) {
        assert.equal(table.find(key), entries[index]);
        table.readKey(entries[index]!, read);
        assert.deepEqual(read, key);
      }
      assert.equal(table.find(keyOf(3, family)), NO_ENTRY);
    }
  });

  it("agrees with a Map, whatever comes and goes", () => {
    const random = new Prng(7);
    const table = new ToldTable(Family.IPV4, new Map());
    const model = new Map<number, { bits: number; dirty: boolean }>();
    for (let step = 0; step < 50_000; step++) {
      const number = random.below(4000);
      const key = keyOf(number);
      const action = random.below(4);
      if (action === 0 && model.has(number)) {
        table.remove(table.find(key));
        model.delete(number);
      } else if (action === 1) {
        const bits = random.below(2) === 0 ? TOLD : UNRESOLVED;
        const entry = table.findOrInsert(key);
        table.setBits(entry, bits);
        model.set(number, { bits, dirty: model.get(number)?.dirty ?? false });
      } else if (action === 2 && model.has(number)) {
        table.setDirty(table.find(key));
        model.get(number)!.dirty = true;
      } else if (model.has(number)) {
        table.clearDirty(table.find(key));
        model.get(number)!.dirty = false;
      }
    }
    const all = [...model.values()];
    assert.equal(table.count, model.size);
    assert.equal(table.toldCount, all.filter(({ bits }) => bits === TOLD).length);
    assert.equal(table.unresolvedCount, all.filter(({ bits }) => bits === UNRESOLVED).length);
    const dirty: number[] = [];
    for (let entry = table.nextDirty(0); entry !== NO_ENTRY; entry = table.nextDirty(entry + 1)) dirty.push(entry);
    assert.equal(dirty.length, table.dirtyCount);
    assert.equal(dirty.length, all.filter((each) => each.dirty).length);
    for (let number = 0; number < 4000; number++) {
      const entry = table.find(keyOf(number));
      assert.equal(entry === NO_ENTRY ? undefined : table.bits(entry), model.get(number)?.bits);
      if (entry !== NO_ENTRY) assert.ok(table.isUsed(entry));
    }
  });

  it("counts the routes on each object, of both families together", () => {
    const users = new Map<number, number>();
    const [ipv4, ipv6] = [new ToldTable(Family.IPV4, users), new ToldTable(Family.IPV6, users)];
    const [a, b] = [ipv4.findOrInsert(keyOf(1)), ipv6.findOrInsert(keyOf(1, Family.IPV6))];
    ipv4.setObject(a, 9);
    ipv4.setObject(a, 9);
    ipv6.setObject(b, 9);
    assert.deepEqual([...users], [[9, 2]]);
    ipv4.setObject(a, 8);
    ipv6.setDeleted(b);
    assert.deepEqual([...users], [[8, 1]]);
    ipv4.remove(a);
    assert.equal(users.size, 0);
  });

  it("remembers the latest deletions, and suspects them when the connection ends", () => {
    const table = new ToldTable(Family.IPV4, new Map());
    const returned = keyOf(5);
    for (let number = 0; number < DELETED_MAX + 100; number++) {
      table.setDeleted(table.findOrInsert(keyOf(number)));
      if (number === 50) table.setBits(table.find(returned), TOLD);
    }
    // Of those that the list has no place for, the one that came back is kept.
    assert.equal(table.count, DELETED_MAX + 1);
    assert.equal(table.find(keyOf(99)), NO_ENTRY);
    assert.equal(table.bits(table.find(keyOf(100))), DELETED);
    assert.equal(table.bits(table.find(returned)), TOLD);
    // Deleted again, it is among the latest: what it was before must not push it out.
    table.setDeleted(table.find(keyOf(101)));
    table.setDeleted(table.findOrInsert(keyOf(0x7fffffff)));
    assert.equal(table.bits(table.find(keyOf(101))), DELETED);
    table.suspectDeleted();
    assert.equal(table.toldCount, table.count);
  });
});
