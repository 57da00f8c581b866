/** The dataplane on real threads under load, while its threads throw, hang and die. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { setImmediate } from "node:timers";
import { RESTARTS_MAX } from "../../core/constants.ts";
import { DplaneError } from "../../core/context/layout.ts";
import { ProviderPriority, type ProviderSpec } from "../../core/dataplane/provider.ts";
import { UpdateOp } from "../../core/model/route.ts";
import { Prng } from "../../core/prng.ts";
import { Harness, type HarnessOptions, specOf } from "../support/harness.ts";
import { createKillableSpawn, spawnRealThread } from "../support/spawn.ts";
import { numberedUpdate } from "../support/updates.ts";
import { until } from "../support/wait.ts";

const { PREPROCESS, PRE_KERNEL, KERNEL, POST_KERNEL, POSTPROCESS } = ProviderPriority;
const isDeno = "Deno" in globalThis;
/** Deno's terminate() returns at once, but the thread spins on until it is done: not for ever, or the test would hang. */
const STUCK_MS = 8000;
/** Short enough to wait for, long enough for an idle thread's heartbeat (IDLE_WAIT_MS) on a busy machine. */
const STUCK_AFTER_MS = 1500;

/** Installs and deletes of `routes` different routes, in an order that a seed repeats. */
function churn(routes: number, seed: number) {
  const prng = new Prng(seed);
  return () =>
    numberedUpdate(prng.below(routes), prng.chance(0.3) ? UpdateOp.DELETE : UpdateOp.INSTALL, prng.below(64));
}

async function runningHarness(providers: ProviderSpec[], options: Partial<HarnessOptions> = {}): Promise<Harness> {
  const harness = new Harness({ spawn: spawnRealThread, queueLimit: 4096, workLimit: 512, providers, ...options });
  await harness.start();
  return harness;
}

/** What must hold of every run, when all is settled. */
async function assertAllWell(harness: Harness): Promise<void> {
  await harness.settled();
  // What a dead thread failed is tried again by the daemon itself, with contexts of its own.
  await until("nothing is under way", () => {
    const { poolFree, poolSize } = harness.dataplane.snapshot();
    return poolFree === poolSize && !harness.dataplane.workPending();
  });
  harness.assertComplete();
  harness.assertOrder();
  harness.assertNoLeaks();
}

const test = (name: string, priority: ProviderPriority, options: ProviderSpec["options"] = {}, threaded = false) =>
  specOf({ name, priority, options, threaded });

describe("dataplane under load", () => {
  const layouts: Record<string, ProviderSpec[]> = {
    "one local provider": [test("kernel", KERNEL)],
    "one threaded provider": [test("kernel", KERNEL, {}, true)],
    "five providers, some threaded, which fail, skip and throw": [
      test("classify", PREPROCESS, { skipRate: 0.1, seed: 1 }, true),
      test("filter", PRE_KERNEL, { failRate: 0.05, seed: 2 }),
      test("kernel", KERNEL, { failRate: 0.05, throwRate: 0.0005, seed: 3 }),
      test("export", POST_KERNEL, { failRate: 0.02, throwRate: 0.0005, seed: 4 }, true),
      test("after", POSTPROCESS, { failRate: 0.01, seed: 5 }, true),
    ],
    "a delay that holds many": [test("kernel", KERNEL), test("slow", POST_KERNEL, { delayMs: 3 }, true)],
  };
  for (const [name, providers] of Object.entries(layouts)) {
    it(`150,000 updates of 20,000 routes: ${name}`, async () => {
      const harness = await runningHarness(providers);
      const count = name.includes("delay") ? 20_000 : 150_000;
      assert.equal(await harness.stream(count, churn(20_000, 9)), count);
      await assertAllWell(harness);
      const { fib_programmed, fib_failed, skipped, superseded } = harness.outcomes;
      assert.equal(fib_programmed + fib_failed + skipped + superseded, count);
      assert.ok(fib_programmed > 0);
      if (name.includes("fail")) assert.ok(fib_failed > 0 && skipped > 0);
      else assert.deepEqual([fib_failed, skipped], [0, 0]);
      assert.ok(harness.dataplane.snapshot().queueMax <= 4096);
      await harness.stop();
    });
  }

  it("one update alone is waited for by nobody who sleeps", async () => {
    const harness = await runningHarness([
      test("filter", PRE_KERNEL, {}, true),
      test("kernel", KERNEL),
      test("export", POST_KERNEL, {}, true),
    ]);
    const started = performance.now();
    for (let number = 0; number < 100; number++) {
      harness.install(number);
      harness.rib.flush();
      await harness.settled();
    }
    // A bell that is not rung costs half of IDLE_WAIT_MS, 125 ms, each time.
    const elapsedMs = performance.now() - started;
    assert.ok(elapsedMs < 100 * 50, `${elapsedMs} ms for 100 updates, one after the other`);
    await harness.stop();
  });

  it("invariant 8: leaves the main thread free in between", async () => {
    const harness = await runningHarness([test("kernel", KERNEL)]);
    // Results take longer to tell than to come about, so there are always more of them.
    harness.onResult = () => {
      const end = performance.now() + 0.02;
      while (performance.now() < end);
    };
    const started = performance.now();
    let [stillMs, longestMs] = [0, 0];
    let last = started;
    let watching = true;
    const watch = (): void => {
      const time = performance.now();
      // RESULTS_SLICE_MS and the client's turn; the rest is for a busy machine and garbage collection.
      if (time - last > 50) stillMs += time - last;
      longestMs = Math.max(longestMs, time - last);
      last = time;
      if (watching) setImmediate(watch);
    };
    // The client does what the northbound does: it takes turns with the event loop, a few milliseconds each.
    const turns = async (): Promise<void> => {
      for (let index = 0; index < 100_000; ) {
        const end = performance.now() + 2;
        while (index < 100_000 && harness.dataplane.hasRoom() && performance.now() < end)
          harness.install(index++ % 50_000);
        harness.rib.flush();
        await new Promise((resolve) => setImmediate(resolve));
      }
    };
    watch();
    await turns();
    watching = false;
    await assertAllWell(harness);
    // Others may have the processor for a while; a loop that does not let go has it most of the time.
    const share = stillMs / (last - started);
    assert.ok(share < 0.5, `the event loop stood still for ${share} of the time, ${longestMs} ms at the longest`);
    await harness.stop();
  });
});

describe("the dataplane thread", () => {
  for (const seed of [1, 2, 3]) {
    it(`invariant 2: killed under load at a random point (seed ${seed}) loses and doubles nothing`, async () => {
      const { spawn, threads } = createKillableSpawn();
      const prng = new Prng(seed);
      const providers = [
        test("filter", PRE_KERNEL, { failRate: 0.02, seed }, seed === 2),
        test("kernel", KERNEL),
        test("export", POST_KERNEL, { failRate: 0.02, seed }, seed !== 1),
      ];
      const harness = await runningHarness(providers, { spawn });
      const killAt = [...Array(RESTARTS_MAX - 1)].map(() => 5000 + prng.below(100_000)).sort((a, b) => b - a);
      harness.onResult = () => {
        if (harness.finished < (killAt.at(-1) ?? Number.POSITIVE_INFINITY)) return;
        killAt.pop();
        void threads.findLast(({ role }) => role === "dataplane")!.handle.terminate();
      };
      const count = 120_000;
      assert.equal(await harness.stream(count, churn(10_000, seed)), count);
      await assertAllWell(harness);
      await until("the last death is dealt with", () => harness.dataplane.snapshot().restarts === RESTARTS_MAX - 1);
      assert.equal(harness.dataplane.state, "running");
      assert.ok(
        harness.results.every((result) => result?.error !== DplaneError.THREAD_DIED || result.provider !== "kernel"),
      );
      await harness.stop();
    });
  }

  it("invariant 2: that dies again and again is given up, and every client is told", async () => {
    const harness = new Harness({
      spawn: spawnRealThread,
      queueLimit: 4096,
      workLimit: 64,
      providers: [test("kernel", KERNEL, { dieAfter: 700 })],
    });
    await harness.start();
    const admitted = await harness.stream(50_000);
    assert.ok(admitted < 50_000, "no more work is taken");
    await harness.settled();
    harness.assertComplete();
    harness.assertOrder();
    assert.equal(harness.dataplane.state, "failed");
    assert.match(harness.dataplane.failure, /ended 4 times within a minute, last: exit code 70/);
    assert.ok(harness.results.some((result) => result?.error === DplaneError.THREAD_DIED));
    await harness.stop();
    harness.assertComplete();
  });

  it("that dies while it starts is replaced, and the start succeeds", async () => {
    const { spawn, threads } = createKillableSpawn();
    const harness = new Harness({ spawn });
    harness.install(1);
    const started = harness.start();
    await threads[0]!.handle.terminate();
    await started;
    assert.equal(harness.dataplane.state, "running");
    await harness.settled();
    assert.equal(harness.outcomes.fib_programmed, 1);
    await harness.stop();
  });

  it("that dies at every start makes the start fail", async () => {
    const broken: ProviderSpec = test("kernel", KERNEL, { dieAfter: 1 });
    const harness = new Harness({ spawn: spawnRealThread, providers: [broken] });
    harness.install(1);
    // The work offered before the start kills each thread at once.
    await harness.start().catch((error: Error) => assert.match(error.message, /Cannot start the dataplane/));
    await until("it is given up", () => harness.dataplane.state === "failed");
    await harness.settled();
    assert.equal(harness.results[0]?.error, DplaneError.THREAD_DIED);
    await harness.stop();
  });

  it("that is stuck is replaced, and what it held is done", async () => {
    const stuck = test("kernel", KERNEL, { stuckAfter: 30_000, stuckMs: STUCK_MS });
    const harness = await runningHarness([stuck], { stuckAfterMs: STUCK_AFTER_MS });
    await harness.stream(40_000);
    await assertAllWell(harness);
    assert.equal(harness.dataplane.snapshot().restarts, 1);
    assert.ok(harness.results.every((result) => result?.outcome === "fib_programmed"));
    await harness.stop();
  });
});

describe("the thread of a threaded provider", () => {
  it("that ends fails what it held, and is started again; the pipeline goes on meanwhile", async () => {
    const providers = [test("kernel", KERNEL), test("export", POST_KERNEL, { dieAfter: 20_000 }, true)];
    const harness = await runningHarness(providers);
    const exporter = () => harness.dataplane.providers()[1]!;
    await harness.stream(60_000);
    await harness.settled();
    await until("its state is known", () => exporter().state !== "starting");
    await until("it is up again", () => exporter().state === "up");
    await assertAllWell(harness);
    const lost = harness.results.filter((result) => result?.error === DplaneError.THREAD_DIED);
    assert.ok(lost.length > 0 && lost.length <= 4096 * 4, `${lost.length} updates were lost`);
    assert.ok(lost.every((result) => result?.provider === "export" && /provider export ended/.test(result.text)));
    assert.ok(harness.log.said("Provider failed; the pipeline goes on without it"));
    const before = exporter().in;
    await harness.stream(1000, churn(5000, 7));
    await harness.settled();
    assert.ok(exporter().in > before, "it takes part again");
    assert.equal(harness.dataplane.snapshot().restarts, 0);
    await harness.stop();
  });

  it("that is stuck is ended, and fails what it held", {
    skip:
      isDeno &&
      "Deno's terminate() returns while a spinning thread goes on, so it still writes where others do by then",
  }, async () => {
    const providers = [test("kernel", KERNEL), test("export", POST_KERNEL, { stuckAfter: 10_000 }, true)];
    const harness = await runningHarness(providers, { stuckAfterMs: STUCK_AFTER_MS });
    await harness.stream(30_000);
    await assertAllWell(harness);
    const lost = harness.results.filter((result) => result?.error === DplaneError.THREAD_DIED);
    assert.ok(lost.length > 0);
    assert.ok(harness.log.said("Provider is stuck; its thread is ended"));
    await harness.stop();
  });

  it("that does not come up in time is ended, and the start goes on without it", async () => {
    const late = specOf({ kind: "never-comes-up", name: "late", threaded: true, priority: PRE_KERNEL });
    const options = { stuckAfterMs: STUCK_AFTER_MS, startDeadlineMs: 10_000 };
    const harness = await runningHarness([late, test("kernel", KERNEL)], options);
    const provider = harness.dataplane.providers()[0]!;
    assert.equal(provider.state, "failed");
    assert.match(provider.reason, /it has not come up within 10000 ms/);
    await harness.stream(1000);
    await assertAllWell(harness);
    assert.equal(harness.outcomes.fib_failed, 0);
    await harness.stop();
  });

  it("that cannot be ended makes the dataplane give up: it may still touch what others have by then", async () => {
    const { spawn } = createKillableSpawn();
    const stuck = test("export", POST_KERNEL, { stuckAfter: 100, stuckMs: 4000 }, true);
    const immortal: typeof spawn = (start, events) => {
      const handle = spawn(start, events);
      return start.role === "provider" ? { ...handle, terminate: () => new Promise<void>(() => {}) } : handle;
    };
    const harness = new Harness({
      spawn: immortal,
      queueLimit: 4096,
      providers: [test("kernel", KERNEL), stuck],
      stuckAfterMs: STUCK_AFTER_MS,
    });
    await harness.start();
    await harness.stream(5000);
    await until("it is given up", () => harness.dataplane.state === "failed");
    assert.match(harness.dataplane.failure, /the thread of provider export cannot be ended/);
    await harness.settled();
    harness.assertComplete();
    await harness.stop();
  });

  it("that cannot start costs no update, however often it is tried again", async () => {
    const broken = specOf({ kind: "throws-in-start", name: "broken", threaded: true, priority: PRE_KERNEL });
    const harness = await runningHarness([broken, test("kernel", KERNEL)]);
    const provider = () => harness.dataplane.providers()[0]!;
    assert.equal(provider().state, "failed");
    let tries = 0;
    let wasStarting = false;
    for (let round = 0; tries < 1; round++) {
      await harness.stream(500, churn(100, round));
      await harness.settled();
      const isStarting = provider().state === "starting";
      if (wasStarting && !isStarting) tries++;
      wasStarting = isStarting;
    }
    assert.equal(harness.outcomes.fib_failed, 0);
    harness.assertComplete();
    await harness.stop();
  });
});

describe("a shutdown under load", () => {
  it("finishes everything that was admitted when there is time", async () => {
    const harness = await runningHarness([test("kernel", KERNEL), test("slow", POST_KERNEL, { delayMs: 20 }, true)]);
    const streaming = harness.stream(1_000_000, churn(5000, 2));
    await until("it is under way", () => harness.finished > 10_000);
    harness.dataplane.preFinish();
    const admitted = await streaming;
    assert.ok(admitted < 1_000_000);
    assert.equal(await harness.dataplane.finish(), true);
    assert.equal(harness.outcomes.fib_failed, 0);
    await harness.stop();
    await assertAllWell(harness);
  });

  it("invariant 2: gives back what a deadline leaves undone", async () => {
    const harness = await runningHarness([
      test("kernel", KERNEL),
      test("slow", POST_KERNEL, { delayMs: 60_000 }, true),
    ]);
    const streaming = harness.stream(1_000_000, churn(5000, 2));
    await until("the client has to wait", () => !harness.dataplane.hasRoom());
    harness.dataplane.preFinish();
    await streaming;
    assert.equal(await harness.dataplane.finish(50), false);
    await harness.stop();
    harness.assertComplete();
    harness.assertOrder();
    // The kernel had them, and what is behind it only exports: they are said to be programmed, because they are.
    const told = new Set(harness.results.map((result) => result?.outcome));
    assert.ok(told.has("fib_programmed"));
    for (const result of harness.results) {
      if (result?.outcome === "fib_failed") assert.equal(result.error, DplaneError.SHUTDOWN);
    }
  });

  it("without warning gives back everything, too", async () => {
    const harness = await runningHarness([test("kernel", KERNEL, {}, true), test("after", POSTPROCESS)]);
    const streaming = harness.stream(1_000_000, churn(5000, 3));
    await until("it is under way", () => harness.finished > 10_000);
    await harness.stop();
    assert.ok((await streaming) < 1_000_000);
    harness.assertComplete();
    harness.assertOrder();
  });

  it("is not held up by a thread that is stuck", async () => {
    const harness = await runningHarness([test("kernel", KERNEL, { stuckAfter: 5000, stuckMs: STUCK_MS })]);
    await Promise.race([harness.stream(20_000), until("it hangs", () => harness.finished > 4000)]);
    const before = performance.now();
    await harness.stop();
    assert.ok(performance.now() - before < STUCK_MS - 1000);
    harness.assertComplete();
  });
});
