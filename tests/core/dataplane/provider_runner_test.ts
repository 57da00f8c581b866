import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { PROVIDER_EXCEPTIONS_MAX } from "../../../core/constants.ts";
import { ContextFlag, ContextStatus, DplaneError, U8, U32 } from "../../../core/context/layout.ts";
import { LoopCounter, ProviderCounter } from "../../../core/dataplane/counters.ts";
import type { Provider, ProviderIo } from "../../../core/dataplane/provider.ts";
import { EMPTY } from "../../../core/ring/spsc_ring.ts";
import { SteppedPipeline } from "../../support/pipeline.ts";
import {
  KERNEL,
  POST_KERNEL,
  PRE_KERNEL,
  PREPROCESS,
  programs,
  ScriptedProvider,
} from "../../support/scripted_provider.ts";

/** A pipeline of one provider, which does `process`, and `count` updates for it. */
function pipelineOf(count: number, process: (io: ProviderIo, call: number) => void, workLimit = 16) {
  const pipeline = new SteppedPipeline({ workLimit });
  let call = 0;
  const seat = pipeline.add(KERNEL, { process: (io) => process(io, ++call) });
  return { pipeline, seat, admitted: pipeline.admit(count) };
}

function assertFailed(pipeline: SteppedPipeline, slots: readonly number[], text: RegExp): void {
  for (const slot of slots) {
    assert.equal(pipeline.contexts.getU8(slot, U8.STATUS), ContextStatus.FAILURE);
    assert.equal(pipeline.contexts.getU32(slot, U32.ERROR), DplaneError.PROVIDER_EXCEPTION);
    assert.match(pipeline.contexts.errorText(slot), text);
  }
}

describe("an exception of a provider", () => {
  it("invariant 2: before it takes anything fails what was due, in every call, and nothing is stuck", () => {
    const { pipeline, admitted } = pipelineOf(40, () => {
      throw new Error("boom before");
    });
    assert.deepEqual(pipeline.drain(), admitted);
    assertFailed(pipeline, admitted, /^boom before$/);
    assert.ok(pipeline.log.said("Provider threw an exception"));
    pipeline.assertSettled(40);
  });

  it("invariant 2: between taking and putting out fails what was taken in that call and not put out", () => {
    const { pipeline, admitted } = pipelineOf(10, (io, call) => {
      const slots = new Uint32Array(16);
      const count = io.dequeueMany(slots, 16);
      for (let index = 0; index < count; index++) {
        if (call === 1 && index === 4) throw new Error("boom between");
        programs(io, slots[index]!);
        io.enqueue(slots[index]!);
      }
    });
    assert.deepEqual(pipeline.drain().sort(), [...admitted].sort());
    assertFailed(pipeline, admitted.slice(4), /^boom between$/);
    for (const slot of admitted.slice(0, 4)) {
      assert.equal(pipeline.contexts.getU8(slot, U8.STATUS), ContextStatus.SUCCESS);
    }
    pipeline.assertSettled(10);
  });

  it("after everything is put out changes nothing of it", () => {
    const { pipeline, seat, admitted } = pipelineOf(5, (io) => {
      for (let slot = io.dequeue(); slot !== EMPTY; slot = io.dequeue()) {
        programs(io, slot);
        io.enqueue(slot);
      }
      throw new Error("boom after");
    });
    assert.deepEqual(pipeline.drain(), admitted);
    for (const slot of admitted) assert.equal(pipeline.contexts.getU8(slot, U8.STATUS), ContextStatus.SUCCESS);
    assert.ok(seat.counters[ProviderCounter.EXCEPTIONS]! > 0);
    pipeline.assertSettled(5);
  });

  it("leaves what it holds from earlier calls to it, until it has thrown too often in a row", () => {
    const held: number[] = [];
    let throws = false;
    const { pipeline, seat, admitted } = pipelineOf(6, (io) => {
      if (throws) throw new Error("boom holding");
      for (let slot = io.dequeue(); slot !== EMPTY; slot = io.dequeue()) held.push(slot);
    });
    pipeline.loop.runCycle();
    assert.deepEqual(held, admitted);
    throws = true;
    for (let call = 1; call < PROVIDER_EXCEPTIONS_MAX; call++) {
      pipeline.loop.runCycle();
      assert.deepEqual(pipeline.takeResults(), []);
    }
    pipeline.loop.runCycle();
    assert.deepEqual(pipeline.takeResults(), admitted);
    assertFailed(pipeline, admitted, /^boom holding$/);
    pipeline.assertSettled(6);
    // It has come to its senses, and is a provider as any other again.
    throws = false;
    assert.equal(seat.counters[ProviderCounter.EXCEPTIONS], PROVIDER_EXCEPTIONS_MAX);
  });

  it("counts exceptions in a row only: a call that went well begins anew", () => {
    const held: number[] = [];
    const { pipeline } = pipelineOf(1, (io, call) => {
      const slot = io.dequeue();
      if (slot !== EMPTY) held.push(slot);
      else if (call % PROVIDER_EXCEPTIONS_MAX !== 0) throw new Error("now and then");
    });
    for (let cycle = 0; cycle < 20; cycle++) pipeline.loop.runCycle();
    assert.deepEqual(pipeline.takeResults(), []);
    assert.equal(held.length, 1);
  });

  it("that is no Error has its text too", () => {
    const { pipeline, admitted } = pipelineOf(1, () => {
      // biome-ignore lint/style/useThrowOnlyError: a plugin may throw anything
      throw "just a string";
    });
    pipeline.drain();
    assertFailed(pipeline, admitted, /^just a string$/);
  });

  it("is undone by the providers before it, like any failure", () => {
    const pipeline = new SteppedPipeline();
    const before = new ScriptedProvider();
    pipeline.add(PRE_KERNEL, before, { threaded: true });
    pipeline.add(KERNEL, {
      process: () => {
        throw new Error("boom");
      },
    });
    const admitted = pipeline.admit(3);
    assert.deepEqual(pipeline.drain(), admitted);
    assert.deepEqual(before.undone, admitted);
    pipeline.assertSettled(3);
  });

  it("of one provider leaves the others working", () => {
    const pipeline = new SteppedPipeline();
    pipeline.add(KERNEL, new ScriptedProvider(programs));
    pipeline.add(POST_KERNEL, {
      process: (io) => {
        const slot = io.dequeue();
        if (slot === EMPTY) return;
        io.enqueue(slot);
        throw new Error("one each call");
      },
    });
    const admitted = pipeline.admit(10);
    assert.deepEqual(pipeline.drain(), admitted);
    for (const slot of admitted) assert.equal(pipeline.contexts.getU8(slot, U8.STATUS), ContextStatus.SUCCESS);
  });
});

describe("invariant 1: a provider", () => {
  const twice: Record<string, (io: ProviderIo, slot: number) => void> = {
    "puts a context out twice": (io, slot) => {
      io.enqueue(slot);
      io.enqueue(slot);
    },
    "puts a context out twice in one list": (io, slot) => io.enqueueMany(Uint32Array.of(slot, slot), 2),
    "puts out a context that another has": (io, slot) => {
      io.enqueue(slot);
      io.enqueue((slot + 1) % 8);
    },
    "puts out what dequeue gave it when there was nothing": (io, slot) => {
      io.enqueue(slot);
      io.enqueue(EMPTY);
    },
    "puts out a context that there is not": (io, slot) => {
      io.enqueue(slot);
      io.enqueueMany(Uint32Array.of(70_000), 1);
    },
  };
  for (const [what, act] of Object.entries(twice)) {
    it(`that ${what} is stopped, and no context is doubled or lost`, () => {
      const { pipeline, seat, admitted } = pipelineOf(4, (io) => {
        const slot = io.dequeue();
        if (slot !== EMPTY) act(io, slot);
      });
      assert.deepEqual(pipeline.drain(), admitted);
      assert.equal(seat.counters[ProviderCounter.EXCEPTIONS], 4);
      pipeline.assertSettled(4);
    });
  }

  it("that takes more than its list holds loses nothing", () => {
    const { pipeline, admitted } = pipelineOf(10, (io) => {
      const short = new Uint32Array(3);
      io.enqueueMany(short, io.dequeueMany(short, 100));
    });
    assert.deepEqual(pipeline.drain(), admitted);
    pipeline.assertSettled(10);
  });
});

describe("work left", () => {
  it("is asked for by a provider that took a part of it", () => {
    const { pipeline, seat, admitted } = pipelineOf(5, (io) => {
      const slot = io.dequeue();
      if (slot !== EMPTY) io.enqueue(slot);
    });
    assert.deepEqual(pipeline.drain(), admitted);
    assert.equal(seat.counters[ProviderCounter.YIELDS], 4);
  });

  it("is not asked for by a provider that holds back, until it says so", () => {
    let blocked = true;
    const provider: Provider = {
      process: (io) => {
        for (let slot = blocked ? EMPTY : io.dequeue(); slot !== EMPTY; slot = io.dequeue()) io.enqueue(slot);
      },
    };
    const pipeline = new SteppedPipeline();
    const seat = pipeline.add(KERNEL, provider);
    const admitted = pipeline.admit(3);
    assert.equal(pipeline.loop.runCycle(), false);
    assert.equal(seat.woken, 0);
    // As a timer of the provider's own would do it.
    blocked = false;
    seat.runner.signalWork();
    assert.equal(seat.woken, 1);
    pipeline.loop.runCycle();
    assert.deepEqual(pipeline.takeResults(), admitted);
  });

  it("is asked for by signalWork within a call, for one more cycle", () => {
    const { pipeline, seat } = pipelineOf(0, (io, call) => {
      if (call === 1) io.signalWork();
    });
    assert.equal(pipeline.loop.runCycle(), true);
    assert.equal(pipeline.loop.runCycle(), false);
    assert.equal(seat.woken, 0);
    assert.equal(pipeline.counters[LoopCounter.YIELDS], 1);
  });

  it("that is put out between calls wakes the thread", () => {
    const held: number[] = [];
    const { pipeline, seat, admitted } = pipelineOf(2, (io) => {
      for (let slot = io.dequeue(); slot !== EMPTY; slot = io.dequeue()) held.push(slot);
    });
    pipeline.loop.runCycle();
    seat.runner.enqueue(held[0]!);
    seat.runner.enqueueMany(Uint32Array.of(held[1]!), 1);
    assert.equal(seat.woken, 2);
    pipeline.loop.runCycle();
    assert.deepEqual(pipeline.takeResults(), admitted);
  });
});

describe("a provider that undoes later", () => {
  /** Passes on, and keeps what it is to undo until it is let. */
  function slowUndoer() {
    const undoing: number[] = [];
    const process = (io: ProviderIo): void => {
      for (let slot = io.dequeue(); slot !== EMPTY; slot = io.dequeue()) io.enqueue(slot);
    };
    return { undoing, process, undoLater: (_io: ProviderIo, slot: number) => void undoing.push(slot) };
  }

  it("has the way back go on when it has put the context out", () => {
    const pipeline = new SteppedPipeline();
    const first = new ScriptedProvider();
    pipeline.add(PREPROCESS, first);
    const undoer = slowUndoer();
    const seat = pipeline.add(PRE_KERNEL, undoer, { threaded: true });
    pipeline.add(KERNEL, new ScriptedProvider((io, slot) => io.contexts.fail(slot, 101, "refused")));
    const admitted = pipeline.admit(3);
    assert.deepEqual(pipeline.drain(), []);
    assert.deepEqual(undoer.undoing, admitted);
    assert.deepEqual(first.undone, []);
    seat.runner.enqueue(admitted[1]!);
    assert.deepEqual(pipeline.drain(), [admitted[1]]);
    assert.deepEqual(first.undone, [admitted[1]]);
    assert.throws(() => seat.runner.enqueue(admitted[1]!), /puts out a context once/);
    for (const slot of [admitted[0]!, admitted[2]!]) seat.runner.enqueue(slot);
    pipeline.drain();
    assert.equal(seat.counters[ProviderCounter.UNDONE], 3);
    pipeline.assertSettled(3);
  });

  it("fails to undo what it cannot take, and that is said", () => {
    const pipeline = new SteppedPipeline();
    const throws = (): never => {
      throw new Error("cannot");
    };
    pipeline.add(PRE_KERNEL, { ...slowUndoer(), undoLater: throws }, { threaded: true });
    pipeline.add(KERNEL, new ScriptedProvider((io, slot) => io.contexts.fail(slot, 101)));
    const [slot] = pipeline.admit(1);
    assert.deepEqual(pipeline.drain(), [slot]);
    assert.ok(pipeline.contexts.hasFlag(slot!, ContextFlag.UNDO_FAILED));
    pipeline.assertSettled(1);
  });

  it("needs a thread of its own", () => {
    const pipeline = new SteppedPipeline();
    assert.throws(() => pipeline.add(PRE_KERNEL, slowUndoer()), /needs a thread of its own/);
  });
});
