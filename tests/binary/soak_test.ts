/** A soak in small, and that its judgement of what grows can fail. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { growthIn, type Sample } from "../soak/figures.ts";
import { Soak } from "../soak/soak.ts";
import { daemonSkipReason } from "../support/binary.ts";

const SEED = Number(process.env["SOAK_SEED"] ?? Date.now() % 1_000_000);

const MIB = 1 << 20;

/** Samples of an even course, but for what `change` says. */
function samples(count: number, change: (index: number) => Partial<Sample> = () => ({})): Sample[] {
  return Array.from({ length: count }, (_, index) => ({
    atMs: index * 10_000,
    updates: index * 100_000,
    // It comes and goes with the collection of garbage, and is less at first.
    memoryBytes: (index === 0 ? 100 : 170 + (index % 4) * 20) * MIB,
    descriptors: 16 + (index % 2),
    threads: 8,
    contextsHeld: 0,
    attributes: 1200,
    routes: 30_000,
    ...change(index),
  }));
}

describe("soak", () => {
  it("a short one leaks nothing, loses no result, and ends with an empty kernel", {
    skip: daemonSkipReason(),
  }, async () => {
    console.log(`SOAK_SEED=${SEED}`);
    const soak = new Soak({
      seed: SEED,
      forMs: 20_000,
      roundMs: 1500,
      roundsToCompare: 6,
      workers: 4,
      onSample: (sample) => console.log(JSON.stringify(sample)),
    });
    try {
      const { violations, ...figures } = await soak.run();
      assert.deepEqual(violations, []);
      assert.deepEqual(
        [figures.resultsLost, figures.contextsLeaked, figures.attributesLeft, figures.kernelLeft],
        [0, 0, 0, 0],
      );
      assert.equal(figures.results, figures.updates);
      // It has done something of everything.
      for (const [name, figure] of Object.entries(figures)) {
        if (typeof figure !== "number" || /Lost|Leaked|Left/.test(name)) continue;
        assert.ok(figure > 0, `${name}: ${figure}`);
      }
      assert.ok((figures.statuses["fib_programmed"] ?? 0) > 0);
    } finally {
      await soak.close();
    }
  });

  it("takes what comes and goes for flat", () => assert.deepEqual(growthIn(samples(120)), []));

  it("finds memory, descriptors and threads that grow slowly", () => {
    const growing = samples(120, (index) => ({
      memoryBytes: (170 + (index % 4) * 20 + 2 * index) * MIB,
      descriptors: 16 + Math.floor(index / 20),
      threads: 8 + Math.floor(index / 20),
    }));
    const found = growthIn(growing).map((line) => line.split(" ", 1)[0]);
    assert.deepEqual(found, ["memoryBytes", "descriptors", "threads"]);
  });

  it("finds in a short one memory that grows beyond bounds", () => {
    const growing = samples(20, (index) => ({ memoryBytes: (170 + 20 * index) * MIB }));
    assert.match(growthIn(growing).join(), /^memoryBytes grew/);
    const warming = samples(20, (index) => ({ memoryBytes: (170 + 5 * index) * MIB }));
    assert.deepEqual(growthIn(warming), []);
  });

  it("judges nothing by too few samples", () => assert.throws(() => growthIn(samples(7)), /too few/));
});
