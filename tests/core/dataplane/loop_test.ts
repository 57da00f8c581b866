import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { ContextFlag, ContextStatus, DplaneError, F64, U8, U32 } from "../../../core/context/layout.ts";
import { LoopCounter, ProviderCounter } from "../../../core/dataplane/counters.ts";
import type { Provider, ProviderPriority } from "../../../core/dataplane/provider.ts";
import { Prng } from "../../../core/prng.ts";
import { SteppedPipeline } from "../../support/pipeline.ts";
import {
  KERNEL,
  POST_KERNEL,
  POSTPROCESS,
  PRE_KERNEL,
  PREPROCESS,
  programs,
  ScriptedProvider,
} from "../../support/scripted_provider.ts";

const fails =
  (error: number, text = "as told") =>
  (io: { contexts: SteppedPipeline["contexts"] }, slot: number) =>
    io.contexts.fail(slot, error, text);

describe("dataplane loop", () => {
  it("hands back in order what one provider programmed, with the times of its way", () => {
    const pipeline = new SteppedPipeline();
    pipeline.add(KERNEL, new ScriptedProvider(programs));
    const admitted = pipeline.admit(5);
    pipeline.loop.runCycle();
    assert.deepEqual(pipeline.takeResults(), admitted);
    for (const slot of admitted) {
      assert.equal(pipeline.contexts.getU8(slot, U8.STATUS), ContextStatus.SUCCESS);
      assert.equal(pipeline.contexts.getU8(slot, U8.PROVIDER), 1);
      const [taken, done] = [pipeline.contexts.getF64(slot, F64.TAKEN_AT), pipeline.contexts.getF64(slot, F64.DONE_AT)];
      assert.ok(taken > 0 && done >= taken);
    }
    pipeline.assertSettled(5);
  });

  it("seed defect: works with no providers at all, and programs nothing then", () => {
    const pipeline = new SteppedPipeline({ workLimit: 4 });
    const admitted = pipeline.admit(10);
    assert.equal(pipeline.loop.runCycle(), true, "more than the work limit is left");
    assert.deepEqual(pipeline.drain(), admitted);
    for (const slot of admitted) assert.equal(pipeline.contexts.getU8(slot, U8.STATUS), ContextStatus.QUEUED);
    pipeline.assertSettled(10);
  });

  it("invariant 4: runs providers by priority, and by registration within one, in whichever order they come", () => {
    const priorities: ProviderPriority[] = [
      PREPROCESS,
      PRE_KERNEL,
      PRE_KERNEL,
      KERNEL,
      KERNEL,
      POST_KERNEL,
      POSTPROCESS,
    ];
    const prng = new Prng(5);
    for (let round = 0; round < 20; round++) {
      const pipeline = new SteppedPipeline();
      const order: number[] = [];
      const ids = priorities.map((_, index) => index + 1);
      while (ids.length > 0) {
        const [id] = ids.splice(prng.below(ids.length), 1);
        pipeline.add(priorities[id! - 1]!, new ScriptedProvider(() => order.push(id!)), { id: id! });
      }
      pipeline.admit(1);
      pipeline.drain();
      assert.deepEqual(order, [1, 2, 3, 4, 5, 6, 7]);
    }
  });

  it("invariant 5: calls each provider in every cycle, with no work too", () => {
    const pipeline = new SteppedPipeline();
    const providers = [PREPROCESS, KERNEL, POSTPROCESS].map((priority) => {
      const provider = new ScriptedProvider();
      pipeline.add(priority, provider);
      return provider;
    });
    for (let cycle = 0; cycle < 3; cycle++) assert.equal(pipeline.loop.runCycle(), false);
    for (const { calls } of providers) assert.deepEqual(calls, [0, 0, 0]);
    assert.equal(pipeline.counters[LoopCounter.CYCLES], 3);
    assert.equal(pipeline.counters[LoopCounter.YIELDS], 0);
  });

  it("invariant 5: gives a provider at most the work limit, asks for another cycle, and counts that", () => {
    const pipeline = new SteppedPipeline({ workLimit: 16 });
    const provider = new ScriptedProvider(programs);
    pipeline.add(KERNEL, provider);
    const admitted = pipeline.admit(40);
    assert.equal(pipeline.loop.runCycle(), true);
    assert.equal(pipeline.counters[LoopCounter.YIELDS], 1);
    assert.equal(pipeline.loop.runCycle(), true);
    assert.equal(pipeline.loop.runCycle(), false);
    assert.equal(pipeline.counters[LoopCounter.YIELDS], 2);
    assert.deepEqual(provider.calls, [16, 16, 8]);
    assert.deepEqual(pipeline.takeResults(), admitted);
  });

  it("invariant 5: a provider that wants to take more than the work limit gets no more", () => {
    const pipeline = new SteppedPipeline({ workLimit: 8 });
    const sizes: number[] = [];
    // Threaded, so that its queue gets fuller than one cycle's worth.
    pipeline.add(
      KERNEL,
      {
        process: (io) => {
          const slots = new Uint32Array(64);
          const listed = io.dequeueMany(slots, 5);
          const all = [...slots.subarray(0, listed)];
          for (let slot = io.dequeue(); slot !== -1; slot = io.dequeue()) all.push(slot);
          assert.equal(io.dequeueMany(slots, 64), 0);
          sizes.push(all.length);
          for (const slot of all) io.enqueue(slot);
        },
      },
      { threaded: true },
    );
    pipeline.admit(30);
    for (let cycle = 0; cycle < 4; cycle++) pipeline.loop.runCycle();
    assert.equal(pipeline.seats[0]!.runner.runOnce(), true);
    assert.equal(pipeline.drain().length, 30);
    assert.deepEqual(
      sizes.filter((size) => size > 0),
      [8, 8, 8, 6],
    );
    pipeline.assertSettled(30);
  });

  it("seed defect: leftovers on an out queue are rescheduled without any other event", () => {
    const pipeline = new SteppedPipeline({ workLimit: 4 });
    const held: number[] = [];
    pipeline.add(KERNEL, {
      process: (io) => {
        for (let slot = io.dequeue(); slot !== -1; slot = io.dequeue()) held.push(slot);
        if (held.length === 12) for (const slot of held.splice(0)) io.enqueue(slot);
      },
    });
    const admitted = pipeline.admit(12);
    let cycles = 0;
    while (pipeline.loop.runCycle()) cycles++;
    assert.deepEqual(pipeline.takeResults(), admitted);
    assert.ok(cycles >= 4);
  });

  it("invariant 3: keeps the order of contexts through many providers, limits and yields", () => {
    const pipeline = new SteppedPipeline({ slots: 1024, workLimit: 7 });
    const threadedProvider = new ScriptedProvider();
    pipeline.add(PRE_KERNEL, threadedProvider, { threaded: true });
    pipeline.add(KERNEL, new ScriptedProvider(programs));
    pipeline.add(POSTPROCESS, new ScriptedProvider(), { threaded: true });
    const admitted = pipeline.admit(900);
    assert.deepEqual(pipeline.drain(), admitted);
    assert.deepEqual(threadedProvider.seen, admitted);
    pipeline.assertSettled(900);
  });

  it("hands back failures before what is done, and both as they came", () => {
    const pipeline = new SteppedPipeline();
    pipeline.add(
      KERNEL,
      new ScriptedProvider((io, slot) => (slot % 2 === 0 ? io.contexts.fail(slot, 101) : programs(io, slot))),
    );
    const admitted = pipeline.admit(6);
    pipeline.loop.runCycle();
    const failed = admitted.filter((slot) => slot % 2 === 0);
    const done = admitted.filter((slot) => slot % 2 === 1);
    assert.deepEqual(pipeline.takeResults(), [...failed, ...done]);
    assert.equal(pipeline.counters[LoopCounter.ERRORS], 3);
    assert.equal(pipeline.counters[LoopCounter.DONE], 3);
  });

  it("seed defect: failures beside it do not keep an update from the providers after the kernel", () => {
    const pipeline = new SteppedPipeline();
    const after = new ScriptedProvider();
    pipeline.add(
      KERNEL,
      new ScriptedProvider((io, slot) => (slot % 3 === 0 ? io.contexts.fail(slot, 101) : programs(io, slot))),
    );
    pipeline.add(POST_KERNEL, after);
    const admitted = pipeline.admit(9);
    assert.equal(pipeline.drain().length, 9);
    assert.deepEqual(
      after.seen,
      admitted.filter((slot) => slot % 3 !== 0),
    );
    pipeline.assertSettled(9);
  });

  it("seed defect: errors are not left in a provider's queue counters, and out counters are written", () => {
    const pipeline = new SteppedPipeline();
    pipeline.add(
      PRE_KERNEL,
      new ScriptedProvider((io, slot) => {
        if (slot % 4 === 0) io.contexts.fail(slot, 22);
      }),
    );
    pipeline.add(KERNEL, new ScriptedProvider(programs));
    pipeline.admit(20);
    pipeline.drain();
    const [first, second] = pipeline.seats.map(({ counters }) => counters);
    assert.equal(first![ProviderCounter.IN], 20);
    assert.equal(first![ProviderCounter.OUT], 15);
    assert.equal(first![ProviderCounter.ERRORS], 5);
    assert.equal(first![ProviderCounter.QUEUED_MAX], 16);
    assert.equal(second![ProviderCounter.IN], 15);
    pipeline.assertSettled(20);
  });

  it("seed defect: the skip-kernel flag reaches the kernel and all behind it", () => {
    const pipeline = new SteppedPipeline();
    pipeline.add(PRE_KERNEL, new ScriptedProvider((io, slot) => io.contexts.setFlag(slot, ContextFlag.SKIP_KERNEL)));
    pipeline.add(KERNEL, new ScriptedProvider(programs));
    const after = new ScriptedProvider();
    pipeline.add(POST_KERNEL, after);
    const [slot] = pipeline.admit(1);
    assert.deepEqual(pipeline.drain(), [slot]);
    assert.deepEqual(after.seen, [slot]);
    assert.equal(pipeline.contexts.getU8(slot!, U8.STATUS), ContextStatus.QUEUED);
    assert.ok(pipeline.contexts.hasFlag(slot!, ContextFlag.SKIP_KERNEL));
  });

  it("tells the main thread of results, and of room when there are none", () => {
    const pipeline = new SteppedPipeline({ workLimit: 4 });
    const held: number[] = [];
    pipeline.add(KERNEL, {
      process: (io) => {
        for (let slot = io.dequeue(); slot !== -1; slot = io.dequeue()) held.push(slot);
        if (held.length === 8) for (const slot of held.splice(0)) io.enqueue(slot);
      },
    });
    const notifiedBy = (act: () => void): number => {
      const before = pipeline.notified;
      act();
      return pipeline.notified - before;
    };
    pipeline.admit(8);
    assert.equal(
      notifiedBy(() => pipeline.loop.runCycle()),
      1,
      "four were taken",
    );
    assert.equal(
      notifiedBy(() => pipeline.loop.runCycle()),
      1,
      "four were taken, and four came out",
    );
    assert.equal(
      notifiedBy(() => pipeline.loop.runCycle()),
      1,
      "four more came out",
    );
    assert.equal(
      notifiedBy(() => pipeline.loop.runCycle()),
      0,
    );
  });

  it("looks between providers whether it is to stop", () => {
    const pipeline = new SteppedPipeline();
    pipeline.add(
      PRE_KERNEL,
      new ScriptedProvider(() => {
        pipeline.isStopping = true;
      }),
    );
    const kernel = new ScriptedProvider(programs);
    pipeline.add(KERNEL, kernel);
    pipeline.admit(1);
    assert.equal(pipeline.loop.runCycle(), false);
    assert.deepEqual(kernel.calls, []);
  });

  it("takes a provider in while work is on its way", () => {
    const pipeline = new SteppedPipeline({ workLimit: 4 });
    pipeline.add(PRE_KERNEL, new ScriptedProvider());
    pipeline.add(POST_KERNEL, new ScriptedProvider());
    pipeline.admit(12);
    pipeline.loop.runCycle();
    const kernel = new ScriptedProvider(programs);
    pipeline.add(KERNEL, kernel);
    const results = pipeline.drain();
    assert.equal(results.length, 12);
    assert.equal(kernel.seen.length, 8);
  });
});

describe("back-pressure", () => {
  const neverDrains: Provider = { process: () => {} };

  for (const threaded of [false, true]) {
    it(`stops feeding a ${threaded ? "threaded" : "local"} provider that does not drain, and idles`, () => {
      const pipeline = new SteppedPipeline({ workLimit: 4 });
      const before = new ScriptedProvider();
      pipeline.add(PRE_KERNEL, before);
      const stuck = pipeline.add(KERNEL, neverDrains, { threaded });
      pipeline.admit(200);
      let cycles = 0;
      while (pipeline.loop.runCycle()) assert.ok(++cycles < 100, "it does not spin while nothing can move");
      assert.equal(stuck.counters[ProviderCounter.IN], 16, "four times the work limit");
      // What is in front of it fills up as well, and the rest waits in the incoming queue.
      assert.equal(before.seen.length, 32);
      assert.equal(pipeline.incoming.depth, 200 - 32);
      assert.deepEqual(pipeline.takeResults(), []);
    });
  }

  it("goes on where it stopped when the provider drains again", () => {
    const pipeline = new SteppedPipeline({ workLimit: 4 });
    const kernel = new ScriptedProvider(programs);
    let blocked = true;
    pipeline.add(PRE_KERNEL, new ScriptedProvider());
    pipeline.add(KERNEL, { process: (io) => (blocked ? undefined : kernel.process(io)) }, { threaded: true });
    const admitted = pipeline.admit(100);
    assert.deepEqual(pipeline.drain(), []);
    blocked = false;
    assert.deepEqual(pipeline.drain(), admitted);
    pipeline.assertSettled(100);
  });

  it("stops a provider whose successor is stuck, before its out queue outgrows the limit", () => {
    const pipeline = new SteppedPipeline({ workLimit: 4 });
    const first = pipeline.add(KERNEL, new ScriptedProvider(programs));
    pipeline.add(POST_KERNEL, neverDrains, { threaded: true });
    pipeline.admit(200);
    for (let cycle = 0; cycle < 50; cycle++) pipeline.loop.runCycle();
    assert.equal(first.outRing.depth, 16);
  });
});

describe("undo", () => {
  /** Three providers before one that fails everything; which of them are threaded is up to `threaded`. */
  function failingPipeline(threaded: readonly boolean[]) {
    const pipeline = new SteppedPipeline();
    const journal: string[] = [];
    const providers = [PREPROCESS, PRE_KERNEL, KERNEL].map((priority, index) => {
      const provider = new ScriptedProvider(priority === KERNEL ? programs : undefined);
      provider.undo = (_io, slot) => {
        journal.push(`${index + 1}:${slot}`);
        provider.undone.push(slot);
      };
      pipeline.add(priority, provider, { threaded: threaded[index]! });
      return provider;
    });
    const failing = new ScriptedProvider(fails(5, "too late"));
    pipeline.add(POST_KERNEL, failing, { threaded: threaded[3]! });
    const last = new ScriptedProvider();
    pipeline.add(POSTPROCESS, last);
    return { pipeline, providers, failing, last, journal };
  }

  for (let mask = 0; mask < 16; mask++) {
    const threaded = [0, 1, 2, 3].map((bit) => (mask & (1 << bit)) !== 0);
    const shown = threaded.map((each) => (each ? "threaded" : "local")).join(", ");
    it(`invariant 4: goes backwards through those that had done it: ${shown}`, () => {
      const { pipeline, providers, failing, last, journal } = failingPipeline(threaded);
      const admitted = pipeline.admit(20);
      assert.deepEqual(pipeline.drain().sort(), admitted.sort());
      for (const slot of admitted) {
        const order = journal.filter((entry) => entry.endsWith(`:${slot}`));
        assert.deepEqual(order, [`3:${slot}`, `2:${slot}`, `1:${slot}`]);
        assert.equal(pipeline.contexts.getU8(slot, U8.STATUS), ContextStatus.FAILURE);
        assert.equal(pipeline.contexts.getU8(slot, U8.PROVIDER), 4, "the one that failed it is named");
        assert.equal(pipeline.contexts.getU32(slot, U32.ERROR), 5);
        assert.equal(pipeline.contexts.errorText(slot), "too late");
        assert.equal(pipeline.contexts.hasFlag(slot, ContextFlag.UNDO_FAILED), false);
      }
      for (const { seen } of providers) assert.equal(seen.length, 20, "undoing is no processing");
      assert.deepEqual(failing.undone, [], "the one that failed it undoes nothing");
      assert.deepEqual(last.seen, [], "those behind never see it");
      for (const { counters } of pipeline.seats.slice(0, 3)) assert.equal(counters[ProviderCounter.UNDONE], 20);
      pipeline.assertSettled(20);
    });
  }

  it("says so when a provider cannot undo, and goes on with those before it", () => {
    for (const threaded of [false, true]) {
      const { pipeline, providers, journal } = failingPipeline([threaded, threaded, threaded, false]);
      providers[1]!.undo = () => {
        throw new Error("cannot undo");
      };
      const [slot] = pipeline.admit(1);
      assert.deepEqual(pipeline.drain(), [slot]);
      assert.deepEqual(journal, [`3:${slot}`, `1:${slot}`]);
      assert.ok(pipeline.contexts.hasFlag(slot!, ContextFlag.UNDO_FAILED));
      assert.ok(pipeline.log.said("Provider could not undo an update"));
      assert.equal(pipeline.contexts.errorText(slot!), "too late", "the first failure stays the reason");
    }
  });

  it("passes by providers that have nothing to undo", () => {
    const pipeline = new SteppedPipeline();
    const first = new ScriptedProvider();
    pipeline.add(PREPROCESS, first, { threaded: true });
    const plain = new ScriptedProvider();
    pipeline.add(PRE_KERNEL, { process: (io) => plain.process(io) }, { threaded: true });
    pipeline.add(KERNEL, new ScriptedProvider(fails(101)));
    const admitted = pipeline.admit(3);
    assert.deepEqual(pipeline.drain(), admitted);
    assert.deepEqual(first.undone, admitted);
    pipeline.assertSettled(3);
  });
});

describe("a provider whose thread has ended", () => {
  it("fails what it held, passes on what it had put out, and is undone by those before it", () => {
    const pipeline = new SteppedPipeline({ workLimit: 8 });
    const before = new ScriptedProvider();
    pipeline.add(PRE_KERNEL, before);
    const inHand: number[] = [];
    const dying = pipeline.add(
      KERNEL,
      {
        process: (io) => {
          for (let count = 0; count < 4; count++) {
            const slot = io.dequeue();
            if (slot === -1) break;
            if (count < 2) inHand.push(slot);
            else if (count === 2) io.contexts.fail(slot, 101, "refused before it died");
            else programs(io, slot);
            if (count >= 2) io.enqueue(slot);
          }
        },
      },
      { threaded: true },
    );
    const after = new ScriptedProvider();
    pipeline.add(POST_KERNEL, after);
    const admitted = pipeline.admit(8);
    pipeline.loop.runCycle();
    dying.runner.runOnce();
    pipeline.detach(dying);
    const results = pipeline.drain();
    assert.deepEqual([...results].sort(), [...admitted].sort());
    const programmed = admitted.filter((slot) => pipeline.contexts.getU8(slot, U8.STATUS) === ContextStatus.SUCCESS);
    assert.equal(programmed.length, 1);
    assert.deepEqual(after.seen, programmed);
    const texts = admitted.map((slot) => pipeline.contexts.errorText(slot)).filter((text) => text !== "");
    assert.equal(texts.filter((text) => text === "refused before it died").length, 1);
    assert.equal(texts.filter((text) => /thread of provider provider-2 ended/.test(text)).length, 6);
    assert.deepEqual([...before.undone].sort(), admitted.filter((slot) => !programmed.includes(slot)).sort());
    pipeline.assertSettled(8);
  });

  it("cannot have undone what it was undoing, which is said, and the way back goes on", () => {
    const pipeline = new SteppedPipeline();
    const first = new ScriptedProvider();
    pipeline.add(PREPROCESS, first, { threaded: true });
    const dying = pipeline.add(PRE_KERNEL, new ScriptedProvider(), { threaded: true });
    pipeline.add(KERNEL, new ScriptedProvider(fails(101)));
    const admitted = pipeline.admit(3);
    pipeline.loop.runCycle();
    pipeline.seats[0]!.runner.runOnce();
    pipeline.loop.runCycle();
    dying.runner.runOnce();
    pipeline.loop.runCycle();
    assert.equal(dying.inRing.depth, 3, "the contexts wait to be undone");
    pipeline.detach(dying);
    assert.deepEqual(pipeline.drain(), admitted);
    assert.deepEqual(first.undone, admitted);
    for (const slot of admitted) assert.ok(pipeline.contexts.hasFlag(slot, ContextFlag.UNDO_FAILED));
    pipeline.assertSettled(3);
  });

  it("cannot take back what it has done, which is said of what fails behind it, and of nothing that passed it by", () => {
    const pipeline = new SteppedPipeline();
    const gone = pipeline.add(KERNEL, new ScriptedProvider(programs), { threaded: true });
    const last = pipeline.add(POST_KERNEL, new ScriptedProvider(fails(101)), { threaded: true });
    const isUndone = (slot: number): boolean => !pipeline.contexts.hasFlag(slot, ContextFlag.UNDO_FAILED);
    const done = pipeline.admit(2);
    pipeline.loop.runCycle();
    gone.runner.runOnce();
    pipeline.loop.runCycle();
    pipeline.detach(gone);
    last.runner.runOnce();
    assert.deepEqual(pipeline.drain(), done);
    assert.deepEqual(done.map(isUndone), [false, false]);
    const passing = pipeline.admit(1);
    assert.deepEqual(pipeline.drain(), passing);
    assert.deepEqual(passing.map(isUndone), [true]);
    pipeline.assertSettled(3);
  });

  it("hands back at once what the last provider had put out", () => {
    const pipeline = new SteppedPipeline();
    const seat = pipeline.add(KERNEL, new ScriptedProvider(programs), { threaded: true });
    const admitted = pipeline.admit(4);
    pipeline.loop.runCycle();
    seat.runner.runOnce();
    pipeline.detach(seat);
    assert.deepEqual(pipeline.takeResults(), admitted);
    pipeline.detach(seat); // a second word of its death changes nothing
    assert.deepEqual(pipeline.takeResults(), []);
    pipeline.assertSettled(4);
  });

  it("is noted in what passes by until it is back, and in nothing that it has done itself", () => {
    const pipeline = new SteppedPipeline({ workLimit: 2 });
    const names = ["first", "second", "third"];
    const [first, , third] = names.map((_, index) =>
      pipeline.add(index === 1 ? KERNEL : index === 0 ? PRE_KERNEL : POST_KERNEL, new ScriptedProvider(programs), {
        threaded: index !== 1,
      }),
    );
    const bypassed = (slots: readonly number[]) =>
      slots.map((slot) => pipeline.contexts.getU32(slot, U32.BYPASSED).toString(2));
    const done = pipeline.admit(1);
    pipeline.loop.runCycle();
    first!.runner.runOnce();
    pipeline.detach(first!);
    assert.deepEqual(pipeline.drain(), done);
    assert.deepEqual(bypassed(done), ["0"], "it had done this one");
    const without = pipeline.admit(5);
    assert.deepEqual(pipeline.drain(), without);
    assert.deepEqual(bypassed(without), ["1", "1", "1", "1", "1"]);
    pipeline.detach(third!);
    const withoutBoth = pipeline.admit(1);
    assert.deepEqual(pipeline.drain(), withoutBoth);
    assert.deepEqual(bypassed(withoutBoth), ["101"]);
    pipeline.add(PRE_KERNEL, new ScriptedProvider(), { id: 1 });
    const again = pipeline.admit(1);
    assert.deepEqual(pipeline.drain(), again);
    assert.deepEqual(bypassed(again), ["100"]);
  });

  it("is noted also where it never came up", () => {
    const pipeline = new SteppedPipeline();
    pipeline.add(KERNEL, new ScriptedProvider(programs));
    const priority = PREPROCESS;
    pipeline.loop.detach({ id: 32, name: "absent", kind: "test", priority, threaded: true, options: {} });
    const [slot] = pipeline.admit(1);
    pipeline.drain();
    assert.equal(pipeline.contexts.getU32(slot!, U32.BYPASSED), 0x8000_0000);
    assert.equal(pipeline.contexts.getU8(slot!, U8.STATUS), ContextStatus.SUCCESS);
  });

  it("leaves a context that it put out alone when the context's slot is used again", () => {
    const pipeline = new SteppedPipeline();
    pipeline.add(KERNEL, new ScriptedProvider(programs));
    const seat = pipeline.add(POST_KERNEL, new ScriptedProvider(), { threaded: true });
    const [slot] = pipeline.admit(1);
    assert.deepEqual(pipeline.drain(), [slot]);
    pipeline.detach(seat);
    assert.deepEqual(pipeline.takeResults(), [], "nothing is handed back twice");
    assert.equal(pipeline.contexts.getU8(slot!, U8.STATUS), ContextStatus.SUCCESS);
    assert.notEqual(pipeline.contexts.getU32(slot!, U32.ERROR), DplaneError.THREAD_DIED);
  });
});
