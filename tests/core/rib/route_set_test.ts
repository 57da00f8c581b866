import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { Family } from "../../../core/model/route.ts";
import { Prng } from "../../../core/prng.ts";
import { RouteSet } from "../../../core/rib/route_set.ts";

describe("RouteSet", () => {
  it("does as a Set of each family does", () => {
    const prng = new Prng(3);
    const set = new RouteSet();
    const model = { [Family.IPV4]: new Set<number>(), [Family.IPV6]: new Set<number>() };
    for (let step = 0; step < 20_000; step++) {
      const family = prng.chance(0.5) ? Family.IPV4 : Family.IPV6;
      // Also beyond what a signed word's bits could show, and at the ends of words.
      const route = 1 + (prng.chance(0.5) ? prng.below(100) : prng.below(100_000));
      if (prng.chance(0.6)) {
        assert.equal(set.add(family, route), !model[family].has(route));
        model[family].add(route);
      } else {
        set.delete(family, route);
        model[family].delete(route);
      }
      assert.equal(set.has(family, route), model[family].has(route));
    }
    assert.equal(set.size, model[Family.IPV4].size + model[Family.IPV6].size);
    for (const family of [Family.IPV4, Family.IPV6] as const) {
      const found: number[] = [];
      for (let route = set.next(family, 1); route !== 0; route = set.next(family, route + 1)) found.push(route);
      const expected = [...model[family]].sort((a, b) => a - b);
      assert.deepEqual(found, expected);
    }
    set.clear(Family.IPV4);
    assert.deepEqual([set.size, set.next(Family.IPV4, 1)], [model[Family.IPV6].size, 0]);
  });

  it("finds nothing in an empty set, nor behind its end", () => {
    const set = new RouteSet();
    assert.equal(set.next(Family.IPV4, 1), 0);
    set.add(Family.IPV4, 31);
    set.add(Family.IPV4, 32);
    assert.deepEqual(
      [1, 31, 32, 33, 1e6].map((from) => set.next(Family.IPV4, from)),
      [31, 31, 32, 0, 0],
    );
  });
});
