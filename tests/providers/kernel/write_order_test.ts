import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { CONTEXT_BYTES } from "../../../core/constants.ts";
import { AttrsStore, createAttrsStorage } from "../../../core/context/attrs_store.ts";
import { Contexts, createContextStorage } from "../../../core/context/contexts.ts";
import { U8 } from "../../../core/context/layout.ts";
import { WriteOrder } from "../../../providers/kernel/write_order.ts";
import { fillContext } from "../../support/context_lines.ts";

const LIMIT = 64;

/** The first three bytes of the prefixes of these lines, in the order in which they would be put. */
function orderOf(lines: readonly (string | { line: string; old: string })[]): string[] {
  const store = new AttrsStore(createAttrsStorage(1 << 20));
  const contexts = new Contexts(createContextStorage(LIMIT));
  const order = new WriteOrder(contexts, store.reader, LIMIT);
  for (const [slot, each] of lines.entries()) {
    if (typeof each === "string") fillContext(contexts, store, slot, each);
    else fillContext(contexts, store, slot, each.line, { old: each.old });
  }
  const slots = Uint32Array.from(lines, (_, slot) => slot);
  const put = [...order.of(slots, lines.length).subarray(0, lines.length)];
  assert.deepEqual(
    put.toSorted((a, b) => a - b),
    [...slots],
    "each once",
  );
  return put.map((slot) => {
    const at = slot * CONTEXT_BYTES + U8.PREFIX;
    return `${contexts.u8.subarray(at, at + 3).join(".")}`;
  });
}

const inOrder = (count: number) =>
  Array.from({ length: count }, (_, index) => `route add 10.0.${index}.0/24 via 192.0.2.1`);
const prefixes = (numbers: readonly number[]) => numbers.map((number) => `10.0.${number}`);

describe("WriteOrder", () => {
  it("puts IPv4 routes by the reversed bits of their addresses", () => {
    const reversed = [0, 16, 8, 24, 4, 20, 12, 28, 2, 18, 10, 26, 6, 22, 14, 30];
    const odd = reversed.map((number) => number + 1);
    assert.deepEqual(orderOf(inOrder(32)), prefixes([...reversed, ...odd]));
  });

  it("leaves few as they are", () => {
    assert.deepEqual(orderOf(inOrder(15)), prefixes(Array.from({ length: 15 }, (_, index) => index)));
  });

  it("keeps the order of IPv6 routes, and of updates of one prefix", () => {
    const lines = inOrder(30);
    lines.splice(3, 0, "route replace 10.0.7.0/24 via 192.0.2.2");
    const twice = orderOf(lines);
    assert.equal(twice.filter((prefix) => prefix === "10.0.7").length, 2);
    assert.equal(twice.lastIndexOf("10.0.7") - twice.indexOf("10.0.7"), 1, "the same key, so side by side");
    const ipv6 = Array.from(
      { length: 20 },
      (_, index) => `route add 2001:db8:${index.toString(16)}::/48 via 2001:db8::1`,
    );
    const mixed = orderOf([...ipv6, ...inOrder(20)]);
    assert.deepEqual(mixed.slice(0, 20), Array(20).fill("32.1.13"), "IPv6 first, as it came");
  });

  it("leaves all as they come where there are deletions, whose order is made where all of them are known", () => {
    const old = (number: number) => `route add 10.0.${number}.0/24 via 192.0.2.1`;
    const deletions = Array.from({ length: 32 }, (_, number) => ({
      line: `route del 10.0.${number}.0/24`,
      old: old(number),
    }));
    assert.deepEqual(orderOf(deletions), prefixes(Array.from({ length: 32 }, (_, index) => index)));
    const mixed = orderOf([...inOrder(32), deletions[5]!]);
    assert.deepEqual(mixed, [...prefixes(Array.from({ length: 32 }, (_, index) => index)), "10.0.5"]);
  });

  it("lets nothing cross a route by which the kernel may find gateways, nor what takes one away", () => {
    const half = inOrder(40);
    for (const barrier of [
      "route add 10.1.0.0/16 dev v0",
      { line: "route del 10.1.0.0/16", old: "route add 10.1.0.0/16 dev v0" },
      "route del 10.1.0.0/16",
      { line: "route add 10.1.0.0/16 via 192.0.2.1", old: "route add 10.1.0.0/16 dev v0" },
    ]) {
      const order = orderOf([...half.slice(0, 20), barrier, ...half.slice(20)]);
      assert.equal(order.indexOf("10.1.0"), 20, JSON.stringify(barrier));
      assert.deepEqual(
        order.slice(0, 20).toSorted(),
        prefixes(Array.from({ length: 20 }, (_, index) => index)).toSorted(),
      );
    }
    const crossed = orderOf([...half.slice(0, 20), "route add 10.1.0.0/16 via 192.0.2.1", ...half.slice(20)]);
    assert.notEqual(crossed.indexOf("10.1.0"), 20);
  });
});
