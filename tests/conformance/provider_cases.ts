/** What every provider must do, whatever else it does: run against each by its own test file. */
import assert from "node:assert/strict";
import { it } from "node:test";
import { setImmediate } from "node:timers";
import { ContextOp, U8, U32 } from "../../core/context/layout.ts";
import { type Provider, ProviderPriority } from "../../core/dataplane/provider.ts";
import { SteppedPipeline } from "../support/pipeline.ts";
import { ScriptedProvider } from "../support/scripted_provider.ts";

export interface ProviderCase {
  priority: ProviderPriority;
  create: () => Provider;
  /** On which threads it can live; without it, on that of the loop and on one of its own. */
  threaded?: readonly boolean[];
}

/** Runs the pipeline until it has put out as many contexts; a provider may need turns of the event loop for that. */
async function drain(pipeline: SteppedPipeline, count: number): Promise<number[]> {
  const results: number[] = [];
  for (const deadline = performance.now() + 20_000; performance.now() < deadline; ) {
    results.push(...pipeline.drain());
    if (results.length >= count) break;
    await new Promise((resolve) => setImmediate(resolve));
  }
  return results;
}

/** Defines the tests, for use inside of a `describe`. */
export function testProviderContract({ priority, create, threaded = [false, true] }: ProviderCase): void {
  for (const isThreaded of threaded) {
    const pipelineWith = async () => {
      const pipeline = new SteppedPipeline({ slots: 256, workLimit: 8 });
      const seat = pipeline.add(priority, create(), { threaded: isThreaded });
      await seat.started;
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
      const close = async (): Promise<void> => void (await seat.runner.provider.finish?.(seat.runner, false));
      return { pipeline, seat, admit, close };
    };
    const where = isThreaded ? "in a thread of its own" : "on the loop's thread";

    it(`contract: puts each context out exactly once, in order (${where})`, async () => {
      const { pipeline, admit, close } = await pipelineWith();
      const admitted = admit(100);
      assert.deepEqual(await drain(pipeline, 100), admitted);
      pipeline.assertSettled(100);
      assert.equal(pipeline.log.said("Provider threw an exception"), false);
      await close();
    });

    it(`contract: can be called with nothing to do (${where})`, async () => {
      const { pipeline, close } = await pipelineWith();
      for (let cycle = 0; cycle < 3; cycle++) {
        assert.equal(pipeline.loop.runCycle(), false);
        pipeline.runThreads();
      }
      assert.equal(pipeline.log.said("Provider threw an exception"), false);
      await close();
    });

    it(`contract: lets go of everything at its end, which comes in two stages (${where})`, async () => {
      const { pipeline, seat, admit } = await pipelineWith();
      const { provider } = seat.runner;
      const admitted = admit(5);
      await provider.finish?.(seat.runner, true);
      assert.deepEqual(await drain(pipeline, 5), admitted, "what is there is still done");
      await provider.finish?.(seat.runner, false);
    });

    it(`contract: undoes a context that it has done (${where})`, async () => {
      const { pipeline, admit, close } = await pipelineWith();
      const failing = new ScriptedProvider((io, slot) => io.contexts.fail(slot, 5, "as it was told"));
      pipeline.add(ProviderPriority.POSTPROCESS, failing);
      const admitted = admit(3);
      assert.deepEqual(await drain(pipeline, 3), admitted);
      assert.equal(pipeline.log.said("Provider could not undo an update"), false);
      pipeline.assertSettled(3);
      await close();
    });
  }
}
