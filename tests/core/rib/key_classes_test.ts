import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { Family } from "../../../core/model/route.ts";
import { FailureList } from "../../../core/rib/failures.ts";
import { type KeyClass, KeyClasses } from "../../../core/rib/key_classes.ts";
import { FAILURES_MAX } from "../../../core/rib/route_store.ts";

const NO_SOURCE = new Uint8Array(16);

describe("key classes", () => {
  it("behave like a map whose entries live as long as they have routes", () => {
    const step = fc.record({
      family: fc.constantFrom(Family.IPV4, Family.IPV6),
      table: fc.constantFrom(1, 254, 0xffffffff),
      metric: fc.constantFrom(0, 20),
      source: fc.constantFrom(0, 1, 2),
      length: fc.nat(32),
      removes: fc.boolean(),
    });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 100 }), (steps) => {
        const classes = new KeyClasses();
        const model = new Map<string, { keyClass: KeyClass; lengths: number[] }>();
        for (const { family, table, metric, source, length, removes } of steps) {
          const bytes = new Uint8Array(16).fill(source);
          const name = JSON.stringify([family, table, metric, source]);
          const known = model.get(name);
          if (removes) {
            if (known === undefined) continue;
            classes.countOut(known.keyClass, known.lengths.pop()!);
            if (known.lengths.length === 0) model.delete(name);
          } else {
            const found = classes.intern(family, table, metric, bytes, source === 0 ? 0 : 64)!;
            assert.equal(found, known?.keyClass ?? found);
            assert.deepEqual([found.family, found.table, found.metric], [family, table, metric]);
            assert.equal(found.sourceLength, source === 0 ? 0 : 64);
            assert.deepEqual(found.source, bytes);
            classes.countIn(found, length);
            if (known === undefined) model.set(name, { keyClass: found, lengths: [length] });
            else known.lengths.push(length);
          }
        }
        assert.equal([...classes.values()].length, model.size);
        const ids = new Set([...model.values()].map(({ keyClass }) => keyClass.id));
        assert.equal(ids.size, model.size);
        for (const { keyClass, lengths } of model.values()) {
          assert.equal(classes.get(keyClass.id), keyClass);
          assert.equal(keyClass.routes, lengths.length);
          const wanted = new Uint32Array(129);
          for (const length of lengths) wanted[length]! += 1;
          assert.deepEqual(keyClass.byLength, wanted);
        }
      }),
      { seed: 20260711, numRuns: 300 },
    );
  });

  it("keep no class that the last one asked for might wrongly be taken for", () => {
    const classes = new KeyClasses();
    const first = classes.intern(Family.IPV6, 254, 20, NO_SOURCE, 0)!;
    const source = new Uint8Array(16).fill(1);
    const second = classes.intern(Family.IPV6, 254, 20, source, 128)!;
    assert.notEqual(second, first);
    assert.equal(classes.intern(Family.IPV6, 254, 20, NO_SOURCE, 0), first);
    classes.countIn(first, 1);
    classes.countOut(first, 1);
    const third = classes.intern(Family.IPV6, 254, 20, NO_SOURCE, 0)!;
    assert.notEqual(third, first, "a class that went is made anew");
    assert.equal(classes.get(third.id), third);
  });
});

describe("failure list", () => {
  it("has each reason once, and forgets none but those past its end", () => {
    const list = new FailureList();
    const first = list.intern(101, "no route", 2);
    assert.equal(list.intern(101, "no route", 2), first);
    assert.notEqual(list.intern(101, "no route", 3), first);
    assert.notEqual(list.intern(101, "2 no route", 0), list.intern(101, "no route", 0));
    assert.deepEqual(list.get(first), { error: 101, text: "no route", provider: 2 });
    for (let number = 0; number < FAILURES_MAX + 10; number++) list.intern(5, `reason ${number}`, 1);
    const unlisted = list.intern(5, "one more", 1);
    assert.equal(unlisted, FAILURES_MAX);
    assert.match(list.get(unlisted).text, /more distinct failures/);
    assert.deepEqual(list.get(first), { error: 101, text: "no route", provider: 2 });
  });
});
