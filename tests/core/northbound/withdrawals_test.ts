/** Withdrawals that wait: longest first, those of one length in their order, and none of them lost. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { formatPrefix, packedFamily, packedLength, parsePrefix } from "../../../core/model/prefix.ts";
import { createRouteUpdate, Family, type RouteUpdate, UpdateOp } from "../../../core/model/route.ts";
import { WithdrawalRoom, Withdrawals } from "../../../core/northbound/withdrawals.ts";

function withdrawal(prefix: string, fields: Partial<RouteUpdate> = {}): RouteUpdate {
  const update = createRouteUpdate();
  const packed = parsePrefix(prefix, update.prefix, 0);
  assert.ok(packed > 0, prefix);
  update.family = packedFamily(packed);
  update.prefixLength = packedLength(packed);
  return Object.assign(update, { op: UpdateOp.DELETE }, fields);
}

function takeAll(withdrawals: Withdrawals): { line: number; prefix: string; table: number; metric: number }[] {
  const found = [];
  const update = createRouteUpdate();
  while (withdrawals.count > 0) {
    const line = withdrawals.next(update);
    assert.equal(update.op, UpdateOp.DELETE);
    const { family, prefix, prefixLength, table, metric } = update;
    found.push({ line, prefix: formatPrefix(family, prefix, 0, prefixLength), table, metric });
  }
  return found;
}

describe("Withdrawals", () => {
  it("gives the longest first, and those of one length as they came", () => {
    const prefix = fc.tuple(fc.integer({ min: 0, max: 32 }), fc.nat()).map(([length, number]) => {
      const address = length === 0 ? 0 : (((number << (32 - length)) >>> 0) >>> (32 - length)) << (32 - length);
      return formatPrefix(Family.IPV4, new Uint8Array(new Uint32Array([address]).buffer).reverse(), 0, length);
    });
    fc.assert(
      fc.property(fc.array(prefix, { maxLength: 60 }), (prefixes) => {
        const withdrawals = new Withdrawals(new WithdrawalRoom());
        for (const [line, text] of prefixes.entries()) withdrawals.push(withdrawal(text), line);
        const lengthOf = (text: string) => Number(text.split("/")[1]);
        const wanted = prefixes.map((text, line) => ({ line, prefix: text, table: 254, metric: 20 }));
        // A stable sort.
        wanted.sort((a, b) => lengthOf(b.prefix) - lengthOf(a.prefix));
        assert.deepEqual(takeAll(withdrawals), wanted);
      }),
    );
  });

  it("holds many, also while they are taken out", () => {
    const room = new WithdrawalRoom();
    const withdrawals = new Withdrawals(room);
    const update = createRouteUpdate();
    const lines: number[] = [];
    let pushed = 0;
    for (let round = 0; round < 40; round++) {
      for (let count = 0; count < 1000; count++) withdrawals.push(withdrawal("198.51.100.0/24"), pushed++);
      for (let count = 0; count < 900; count++) lines.push(withdrawals.next(update));
    }
    lines.push(...takeAll(withdrawals).map(({ line }) => line));
    assert.deepEqual(
      lines,
      Array.from({ length: pushed }, (_, line) => line),
    );
    assert.equal(room.left, new WithdrawalRoom().left);
  });

  it("takes only what it can give back as it was, and what all have in common", () => {
    const withdrawals = new Withdrawals(new WithdrawalRoom());
    assert.ok(withdrawals.takes(withdrawal("10.0.0.0/8", { table: 7, metric: 9 })));
    assert.ok(!withdrawals.takes(withdrawal("10.0.0.0/8", { op: UpdateOp.INSTALL })));
    assert.ok(!withdrawals.takes(withdrawal("2001:db8::/32")));
    assert.ok(!withdrawals.takes(withdrawal("10.0.0.0/8", { sourceLength: 8 })));
    withdrawals.push(withdrawal("10.0.0.0/8", { table: 7, metric: 9 }), 1);
    assert.ok(withdrawals.takes(withdrawal("10.1.0.0/16", { table: 7, metric: 9 })));
    assert.ok(!withdrawals.takes(withdrawal("10.1.0.0/16", { table: 8, metric: 9 })));
    assert.ok(!withdrawals.takes(withdrawal("10.1.0.0/16", { table: 7, metric: 8 })));
    assert.deepEqual(takeAll(withdrawals), [{ line: 1, prefix: "10.0.0.0/8", table: 7, metric: 9 }]);
    assert.ok(withdrawals.takes(withdrawal("10.1.0.0/16")), "of the next ones another table");
  });

  it("shares its room with others, and leaves it when it forgets", () => {
    const room = new WithdrawalRoom(3);
    const [one, other] = [new Withdrawals(room), new Withdrawals(room)];
    for (const line of [1, 2]) one.push(withdrawal("10.0.0.0/8"), line);
    other.push(withdrawal("10.0.0.0/8"), 1);
    assert.ok(!one.takes(withdrawal("10.0.0.0/8")) && !other.takes(withdrawal("10.0.0.0/8")));
    one.clear();
    assert.deepEqual([one.count, room.left], [0, 2]);
    assert.ok(other.takes(withdrawal("10.0.0.0/8")));
    one.push(withdrawal("10.1.0.0/16"), 5);
    assert.deepEqual(
      takeAll(one).map(({ line, prefix }) => [line, prefix]),
      [[5, "10.1.0.0/16"]],
    );
  });
});
