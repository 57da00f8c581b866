/** What every provider must do, whatever else it does: run against each by its own test file. */
import assert from "node:assert/strict";
import { it } from "node:test";
import { ContextOp, U8, U32 } from "../../core/context/layout.ts";
import type { Provider, ProviderPriority } from "../../core/dataplane/provider.ts";
import { SteppedPipeline } from "../support/pipeline.ts";

export interface ProviderCase {
  priority: ProviderPriority;
  create: () => Provider;
}

/** Defines the tests, for use inside of a `describe`. */
export function testProviderContract({ priority, create }: ProviderCase): void {
  const pipelineWith = (options?: { threaded?: boolean }) => {
    const pipeline = new SteppedPipeline({ slots: 256, workLimit: 8 });
    const seat = pipeline.add(priority, create(), options);
    const admit = (count: number): number[] => {
      const slots = pipeline.admit(count);
      for (const [index, slot] of slots.entries()) {
        pipeline.contexts.setU8(slot, U8.OP, ContextOp.ROUTE_DELETE);
        pipeline.contexts.setU8(slot, U8.FAMILY, 2);
        pipeline.contexts.setU8(slot, U8.PREFIX_LENGTH, 32);
        pipeline.contexts.setU32(slot, U32.PREFIX, 10 | (index << 24));
      }
      return slots;
    };
    return { pipeline, seat, admit };
  };

  it("contract: puts each context out exactly once, in order", () => {
    for (const threaded of [false, true]) {
      const { pipeline, admit } = pipelineWith({ threaded });
      const admitted = admit(100);
      assert.deepEqual(pipeline.drain(), admitted);
      pipeline.assertSettled(100);
      assert.equal(pipeline.log.said("Provider threw an exception"), false);
    }
  });

  it("contract: can be called with nothing to do", () => {
    const { pipeline } = pipelineWith();
    for (let cycle = 0; cycle < 3; cycle++) assert.equal(pipeline.loop.runCycle(), false);
    assert.equal(pipeline.log.said("Provider threw an exception"), false);
  });

  it("contract: lets go of everything at its end, which comes in two stages", async () => {
    const { pipeline, seat, admit } = pipelineWith();
    const { provider } = seat.runner;
    const admitted = admit(5);
    await provider.finish?.(seat.runner, true);
    assert.deepEqual(pipeline.drain(), admitted, "what is there is still done");
    await provider.finish?.(seat.runner, false);
  });

  it("contract: undoes a context that it has done", () => {
    const { pipeline, seat, admit } = pipelineWith();
    const [slot] = admit(1);
    pipeline.drain();
    seat.runner.undo(slot!);
    assert.equal(pipeline.log.said("Provider could not undo an update"), false);
  });
}
