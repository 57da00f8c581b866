import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { createRingStorage, EMPTY, RingConsumer, RingObserver, RingProducer } from "../../../core/ring/spsc_ring.ts";

const HEAD = 0;
const TAIL = 16;

/** A ring whose indexes start at `start` instead of 0. */
function ringAt(capacity: number, start: number) {
  const storage = createRingStorage(capacity);
  const cells = new Int32Array(storage);
  cells[HEAD] = start | 0;
  cells[TAIL] = start | 0;
  const [producer, consumer] = [new RingProducer(storage), new RingConsumer(storage)];
  return { storage, cells, producer, consumer, observer: new RingObserver(storage) };
}

describe("spsc ring", () => {
  it("refuses a capacity that is no power of two", () => {
    for (const capacity of [0, -4, 3, 12, 1000]) assert.throws(() => createRingStorage(capacity), /power of two/);
  });

  it("gives elements back in their order, and EMPTY after the last", () => {
    const { producer, consumer } = ringAt(8, 0);
    assert.equal(consumer.pop(), EMPTY);
    for (const element of [7, 0, 0xffffffff]) assert.ok(producer.push(element));
    assert.deepEqual([consumer.pop(), consumer.pop(), consumer.pop(), consumer.pop()], [7, 0, 0xffffffff, EMPTY]);
  });

  it("takes its whole capacity and not one more", () => {
    for (const capacity of [1, 2, 64]) {
      const { producer, consumer, observer } = ringAt(capacity, 0);
      for (let element = 0; element < capacity; element++) assert.ok(producer.push(element));
      assert.equal(producer.push(99), false);
      assert.equal(observer.depth, capacity);
      assert.equal(consumer.pop(), 0);
      assert.ok(producer.push(99));
      assert.equal(producer.push(100), false);
    }
  });

  for (const start of [0x7fffffff - 5, 0xffffffff - 5, 0x80000000]) {
    it(`keeps order, depth and fullness while its indexes pass 0x${start.toString(16)}`, () => {
      const { producer, consumer, observer } = ringAt(8, start);
      let pushed = 0;
      let popped = 0;
      for (let round = 0; round < 30; round++) {
        while (producer.push(pushed)) pushed++;
        assert.equal(pushed - popped, 8);
        assert.equal(observer.depth, 8);
        assert.equal(producer.depth, 8);
        assert.deepEqual(
          observer.elements(),
          Array.from({ length: 8 }, (_, index) => popped + index),
        );
        for (let count = 0; count <= round % 8; count++) assert.equal(consumer.pop(), popped++);
        assert.equal(consumer.depth, pushed - popped);
      }
      assert.equal(observer.highWater, 8);
    });
  }

  it("pushes of a list what fits, from where it is told, and says how many", () => {
    const { producer, consumer } = ringAt(4, -2);
    const list = Uint32Array.of(1, 2, 3, 4, 5, 6);
    assert.equal(producer.pushMany(list, 1, 2), 2);
    assert.equal(producer.pushMany(list, 3, 3), 2);
    assert.equal(producer.pushMany(list, 0, 1), 0);
    assert.equal(producer.pushMany(list, 0, 0), 0);
    const into = new Uint32Array(6).fill(9);
    assert.equal(consumer.popMany(into, 1, 3), 3);
    assert.deepEqual([...into], [9, 2, 3, 4, 9, 9]);
    assert.equal(consumer.popMany(into, 0, 6), 1);
    assert.equal(into[0], 5);
    assert.equal(consumer.popMany(into, 0, 6), 0);
  });

  it("has one producer and one consumer", () => {
    const storage = createRingStorage(4);
    new RingProducer(storage);
    new RingConsumer(storage);
    assert.throws(() => new RingProducer(storage), /one producer/);
    assert.throws(() => new RingConsumer(storage), /one consumer/);
  });

  it("remembers the deepest that it has been, and not what a stale index makes it look like", () => {
    const { producer, consumer, observer } = ringAt(8, 0);
    for (let element = 0; element < 3; element++) producer.push(element);
    for (let element = 0; element < 3; element++) consumer.pop();
    assert.equal(observer.highWater, 3);
    // The producer's idea of the head is three behind here.
    producer.push(1);
    assert.equal(observer.highWater, 3);
    assert.equal(producer.pushMany(new Uint32Array(5), 0, 4), 4);
    assert.equal(observer.highWater, 5);
  });

  it("never looks less than empty to a third thread, whichever index moves while it looks", () => {
    const { cells, producer, consumer, observer } = ringAt(4, 0);
    const load = Atomics.load;
    let between = (): void => {};
    const patched = (array: Int32Array, index: number): number => {
      const value = load(array, index);
      const act = between;
      between = () => {};
      act();
      return value;
    };
    Atomics.load = patched as typeof Atomics.load;
    try {
      between = () => {
        for (let element = 0; element < 9; element++) {
          producer.push(element);
          consumer.pop();
        }
      };
      const depth = observer.depth;
      assert.ok(depth >= 0 && depth <= 4, `depth ${depth}`);
    } finally {
      Atomics.load = load;
    }
    assert.equal(cells[HEAD], 9);
  });

  it("behaves like an array whatever is done to it", () => {
    const step = fc.oneof(
      fc.record({ op: fc.constant("push"), count: fc.constant(1) }),
      fc.record({ op: fc.constant("pop"), count: fc.constant(1) }),
      fc.record({ op: fc.constantFrom("pushMany", "popMany"), count: fc.nat(12) }),
    );
    const start = fc.constantFrom(0, 0x7ffffffa, 0xfffffffa);
    fc.assert(
      fc.property(start, fc.array(step, { maxLength: 60 }), (from, steps) => {
        const { producer, consumer, observer } = ringAt(8, from);
        const model: number[] = [];
        let next = 0;
        let deepest = 0;
        for (const { op, count } of steps) {
          if (op === "push") {
            assert.equal(producer.push(next), model.length < 8);
            if (model.length < 8) model.push(next);
            next++;
          } else if (op === "pushMany") {
            const list = Uint32Array.from({ length: count }, () => next++);
            const fits = Math.min(count, 8 - model.length);
            assert.equal(producer.pushMany(list, 0, count), fits);
            model.push(...list.subarray(0, fits));
          } else if (op === "pop") {
            assert.equal(consumer.pop(), model.shift() ?? EMPTY);
          } else {
            const into = new Uint32Array(count);
            const wanted = model.splice(0, count);
            assert.equal(consumer.popMany(into, 0, count), wanted.length);
            assert.deepEqual([...into.subarray(0, wanted.length)], wanted);
          }
          deepest = Math.max(deepest, model.length);
          assert.equal(observer.depth, model.length);
          assert.deepEqual(observer.elements(), model);
        }
        assert.equal(observer.highWater, deepest);
      }),
      { seed: 20260711, numRuns: 300 },
    );
  });
});
