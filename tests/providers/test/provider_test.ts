import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { ContextFlag, ContextStatus, DplaneError, F64, U8, U32 } from "../../../core/context/layout.ts";
import type { ProviderPriority } from "../../../core/dataplane/provider.ts";
import { createTestProvider, type TestProviderOptions } from "../../../providers/test/provider.ts";
import { testProviderContract } from "../../conformance/provider_cases.ts";
import { SteppedPipeline } from "../../support/pipeline.ts";
import { KERNEL, POST_KERNEL, PRE_KERNEL, ScriptedProvider } from "../../support/scripted_provider.ts";
import { until } from "../../support/wait.ts";

function createProvider(priority: ProviderPriority, options: Partial<TestProviderOptions> = {}) {
  return createTestProvider({ id: 1, name: "test", kind: "test", priority, threaded: false, options });
}

/** Runs `count` contexts through one test provider and says what became of each. */
function fates(count: number, priority: ProviderPriority, options: Partial<TestProviderOptions>): string[] {
  const pipeline = new SteppedPipeline({ slots: 4096 });
  pipeline.add(priority, createProvider(priority, options));
  const admitted = pipeline.admit(count);
  assert.equal(pipeline.drain().length, count);
  pipeline.assertSettled(count);
  return admitted.map((slot) => {
    const { contexts } = pipeline;
    if (contexts.getU8(slot, U8.STATUS) === ContextStatus.FAILURE) return `failed ${contexts.getU32(slot, U32.ERROR)}`;
    if (contexts.hasFlag(slot, ContextFlag.SKIP_KERNEL)) return "skip";
    return contexts.getU8(slot, U8.STATUS) === ContextStatus.SUCCESS ? "programmed" : "queued";
  });
}

const part = (all: readonly string[], fate: string): number => all.filter((each) => each === fate).length / all.length;

describe("test provider", () => {
  testProviderContract({ priority: KERNEL, create: () => createProvider(KERNEL) });

  it("programs in the kernel's place, and elsewhere only when it is told to", () => {
    assert.equal(part(fates(10, KERNEL, {}), "programmed"), 1);
    assert.equal(part(fates(10, PRE_KERNEL, {}), "queued"), 1);
    assert.equal(part(fates(10, POST_KERNEL, {}), "queued"), 1);
    assert.equal(part(fates(10, POST_KERNEL, { program: true }), "programmed"), 1);
    assert.equal(part(fates(10, KERNEL, { program: false }), "queued"), 1);
  });

  it("does not program what is to bypass the kernel", () => {
    const pipeline = new SteppedPipeline();
    pipeline.add(PRE_KERNEL, createProvider(PRE_KERNEL, { skipRate: 1 }));
    pipeline.add(KERNEL, createProvider(KERNEL));
    const [slot] = pipeline.admit(1);
    pipeline.drain();
    assert.equal(pipeline.contexts.getU8(slot!, U8.STATUS), ContextStatus.QUEUED);
    assert.equal(pipeline.contexts.getF64(slot!, F64.PROGRAMMED_AT), 0);
  });

  it("fails and skips as many as it is told to", () => {
    const all = fates(4000, PRE_KERNEL, { failRate: 0.2, skipRate: 0.3 });
    const failed = part(all, `failed ${DplaneError.PROVIDER_REFUSED}`);
    assert.ok(Math.abs(failed - 0.2) < 0.03, `${failed} failed`);
    const skipped = part(all, "skip") / (1 - failed);
    assert.ok(Math.abs(skipped - 0.3) < 0.04, `${skipped} skipped`);
    assert.equal(part(fates(100, KERNEL, { skipRate: 1 }), "skip"), 0, "skipping makes sense before the kernel only");
  });

  it("does the same with the same seed, and something else with another", () => {
    const options = { failRate: 0.3, skipRate: 0.3, throwRate: 0.01, seed: 7 };
    const first = fates(2000, PRE_KERNEL, options);
    assert.deepEqual(fates(2000, PRE_KERNEL, options), first);
    assert.notDeepEqual(fates(2000, PRE_KERNEL, { ...options, seed: 8 }), first);
  });

  it("throws as often as it is told to, which fails the rest of the call", () => {
    const all = fates(4000, KERNEL, { throwRate: 0.02 });
    const failed = part(all, `failed ${DplaneError.PROVIDER_EXCEPTION}`);
    assert.ok(failed > 0.05 && failed < 0.5, `${failed} failed`);
    assert.equal(part(all, "programmed"), 1 - failed);
  });

  it("holds contexts as long as it is told to, in order, and has itself called when they are due", async () => {
    const pipeline = new SteppedPipeline({ slots: 256, workLimit: 16 });
    const seat = pipeline.add(KERNEL, createProvider(KERNEL, { delayMs: 15 }));
    const admitted: number[] = [];
    const results: number[] = [];
    const started = performance.now();
    for (let round = 0; round < 5; round++) {
      admitted.push(...pipeline.admit(20));
      pipeline.loop.runCycle();
      pipeline.loop.runCycle();
    }
    assert.deepEqual(pipeline.takeResults(), []);
    assert.equal(pipeline.loop.runCycle(), false, "it does not keep the loop busy meanwhile");
    while (results.length < 100) {
      const wokenBefore = seat.woken;
      await until("its timer calls", () => seat.woken > wokenBefore);
      pipeline.loop.runCycle();
      results.push(...pipeline.drain());
    }
    assert.ok(performance.now() - started >= 14);
    assert.deepEqual(results, admitted);
    pipeline.assertSettled(100);
  });

  it("does not hold what it throws at", async () => {
    const pipeline = new SteppedPipeline({ slots: 256, workLimit: 16 });
    const seat = pipeline.add(KERNEL, createProvider(KERNEL, { delayMs: 1, throwRate: 0.05 }));
    const admitted = pipeline.admit(200);
    const results: number[] = [];
    while (results.length < 200) {
      results.push(...pipeline.drain());
      const wokenBefore = seat.woken;
      if (results.length < 200) await until("its timer calls", () => seat.woken > wokenBefore);
    }
    assert.deepEqual([...results].sort(), [...admitted].sort());
    pipeline.assertSettled(200);
  });

  it("does not return for as long as it is told to hang", () => {
    const started = performance.now();
    fates(10, KERNEL, { stuckAfter: 5, stuckMs: 30 });
    assert.ok(performance.now() - started >= 29);
  });

  it("tells the log of its early and its late end", () => {
    const pipeline = new SteppedPipeline();
    const provider = createProvider(KERNEL);
    const seat = pipeline.add(KERNEL, provider);
    pipeline.add(POST_KERNEL, new ScriptedProvider((io, slot) => io.contexts.fail(slot, 5)));
    pipeline.admit(3);
    pipeline.drain();
    void provider.finish!(seat.runner, true);
    void provider.finish!(seat.runner, false);
    const [early, late] = pipeline.log.records;
    assert.equal(early?.message, "Test provider finishes early");
    assert.equal(late?.message, "Test provider finishes late");
    assert.deepEqual(late?.fields, { handled: 3, held: 0, undone: 3 });
  });

  it("refuses options that it does not have, and values of another type", () => {
    const make = (options: object) => createProvider(KERNEL, options as Partial<TestProviderOptions>);
    assert.throws(() => make({ failrate: 1 }), /there is no option "failrate"/);
    assert.throws(() => make({ failRate: "1" }), /"failRate" is a number, not a string/);
    assert.throws(() => make({ program: 1 }), /"program" is a boolean, not a number/);
  });
});
