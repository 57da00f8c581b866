import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { Prng } from "../../../core/prng.ts";
import { HeldUpdates } from "../../../providers/plugin/held_updates.ts";

describe("held updates", () => {
  it("keep their order while any of them are taken out", () => {
    const prng = new Prng(7);
    const held = new HeldUpdates(64);
    let model: { slot: number; time: number }[] = [];
    for (let step = 0; step < 5000; step++) {
      const free = [...Array(64).keys()].filter((slot) => !model.some((each) => each.slot === slot));
      const action = prng.below(3);
      if (action === 0 && free.length > 0) {
        const slot = free[prng.below(free.length)]!;
        held.add(slot, step, step);
        model.push({ slot, time: step });
        assert.ok(held.has(slot, step) && !held.has(slot, step - 1));
      } else if (action === 1 && model.length > 0) {
        const { slot } = model.splice(prng.below(model.length), 1)[0]!;
        held.remove(slot);
      } else if (action === 2) {
        const before = step - prng.below(40);
        const oldest = model[0];
        const expected = oldest !== undefined && oldest.time < before ? oldest.slot : -1;
        assert.equal(held.takeSentBefore(before), expected);
        if (expected !== -1) model = model.slice(1);
      }
      assert.equal(held.count, model.length);
    }
    const order: number[] = [];
    for (let slot = held.takeSentBefore(1e9); slot !== -1; slot = held.takeSentBefore(1e9)) order.push(slot);
    assert.deepEqual(
      order,
      model.map(({ slot }) => slot),
    );
    assert.equal(held.has(order[0] ?? 0, 0), false);
  });
});
