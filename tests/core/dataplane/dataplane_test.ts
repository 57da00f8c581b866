import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { PROVIDERS_MAX } from "../../../core/constants.ts";
import { DplaneError } from "../../../core/context/layout.ts";
import {
  type Provider,
  type ProviderCondition,
  ProviderPriority,
  type ProviderSpec,
  type RegisteredProvider,
} from "../../../core/dataplane/provider.ts";
import type { SpawnThread } from "../../../core/dataplane/supervisor.ts";
import { createTestProvider } from "../../../providers/test/provider.ts";
import { createFaultyProvider, FAULTY_KINDS } from "../../support/faulty_provider.ts";
import { Harness, type HarnessOptions, specOf } from "../../support/harness.ts";
import { programs, ScriptedProvider } from "../../support/scripted_provider.ts";
import { createInlineSpawn } from "../../support/spawn.ts";
import { keepAlive, until } from "../../support/wait.ts";

const { PREPROCESS, PRE_KERNEL, KERNEL, POST_KERNEL } = ProviderPriority;

/** A harness on the test's own thread, whose scripted providers are found by name. */
function inlineHarness(options: Partial<HarnessOptions> = {}, scripted: Record<string, Provider> = {}): Harness {
  const createProvider = (registered: RegisteredProvider): Provider => {
    if (registered.kind === "test") return createTestProvider(registered);
    return registered.kind in FAULTY_KINDS ? createFaultyProvider(registered) : scripted[registered.name]!;
  };
  return new Harness({ spawn: createInlineSpawn(createProvider), ...options });
}

const scriptedSpec = (name: string, overrides: Partial<ProviderSpec> = {}) =>
  specOf({ kind: "scripted", name, ...overrides });

/** A spawn of threads that never come up, to look at what they would be started with. */
function recordingSpawn() {
  const starts: Parameters<SpawnThread>[0][] = [];
  const spawn: SpawnThread = (start) => {
    starts.push(start);
    return { post: () => {}, terminate: async () => {} };
  };
  return { starts, spawn };
}

describe("registering a provider", () => {
  it("gives the next number, and a name to who has none", () => {
    const { dataplane } = inlineHarness({ providers: [] });
    assert.deepEqual(dataplane.register(specOf({ name: "Kernel" })), { ...specOf({ name: "Kernel" }), id: 1 });
    assert.equal(dataplane.register(specOf()).name, "provider-2");
    assert.equal(dataplane.register(specOf()).name, "provider-3");
    assert.deepEqual(
      dataplane.providers().map(({ id }) => id),
      [1, 2, 3],
    );
    assert.equal(dataplane.providerName(2), "provider-2");
    assert.equal(dataplane.providerName(0), "");
  });

  it('seed defect: refuses the priorities that bound the list, "none" and "last", and any other', () => {
    const { dataplane } = inlineHarness({ providers: [] });
    for (const priority of [0, 6, -1, 2.5, Number.NaN]) {
      const spec = specOf({ name: "bad", priority: priority as ProviderPriority });
      assert.throws(() => dataplane.register(spec), /Cannot register provider "bad": there is no priority/);
    }
    assert.deepEqual(dataplane.providers(), []);
  });

  it("refuses a name that is taken, and more providers than there may be", () => {
    const { dataplane } = inlineHarness({ providers: [] });
    dataplane.register(specOf({ name: "provider-2" }));
    assert.throws(() => dataplane.register(specOf()), /the name is taken/);
    for (let count = 1; count < PROVIDERS_MAX; count++) dataplane.register(specOf({ name: `number ${count}` }));
    assert.throws(() => dataplane.register(specOf({ name: "one more" })), /there are 32 already/);
  });

  it("shows them in the order in which they run", () => {
    const { dataplane } = inlineHarness({ providers: [] });
    for (const priority of [POST_KERNEL, PREPROCESS, KERNEL, PREPROCESS]) dataplane.register(specOf({ priority }));
    assert.deepEqual(
      dataplane.providers().map(({ id }) => id),
      [2, 4, 3, 1],
    );
  });

  it("seed defect: keeps the threaded flag, and gives such a provider a thread", () => {
    const { starts, spawn } = recordingSpawn();
    const harness = new Harness({
      spawn,
      providers: [specOf({ name: "own", threaded: true }), specOf({ name: "loop" })],
    });
    void harness.dataplane.start();
    const [dataplane, provider] = starts;
    assert.equal(starts.length, 2);
    assert.ok(dataplane?.role === "dataplane" && provider?.role === "provider");
    assert.equal(provider.seat.registered.name, "own");
    assert.deepEqual(
      dataplane.providers.map(({ registered }) => registered.name),
      ["loop"],
    );
    assert.deepEqual(
      harness.dataplane.providers().map(({ threaded }) => threaded),
      [true, false],
    );
  });

  for (const threaded of [false, true]) {
    it(`is possible while the dataplane runs (${threaded ? "threaded" : "local"})`, async () => {
      const late = new ScriptedProvider();
      const harness = inlineHarness({}, { late });
      await harness.start();
      await harness.stream(500);
      harness.dataplane.register(scriptedSpec("late", { threaded, priority: PRE_KERNEL }));
      await until("the provider is up", () => harness.dataplane.providers().every(({ state }) => state === "up"));
      await harness.settled();
      const before = late.seen.length;
      await harness.stream(100, undefined);
      await harness.settled();
      assert.equal(late.seen.length - before, 100);
      harness.assertComplete();
      await harness.stop();
    });

    it(`is possible while the dataplane starts (${threaded ? "threaded" : "local"})`, async () => {
      const late = new ScriptedProvider();
      const harness = inlineHarness({}, { late });
      const started = harness.start();
      harness.dataplane.register(scriptedSpec("late", { threaded, priority: PRE_KERNEL }));
      await started;
      harness.install(1);
      harness.rib.flush();
      await harness.settled();
      assert.equal(late.seen.length, 1);
      await harness.stop();
    });
  }
});

describe("the condition of a provider", () => {
  for (const threaded of [false, true]) {
    it(`is what it says of itself while it is in the pipeline (${threaded ? "threaded" : "local"})`, async () => {
      const says = new ScriptedProvider() as Provider & ScriptedProvider;
      let report = (_condition: ProviderCondition): void => {};
      says.start = (io) => {
        report = (condition) => io.report(condition);
        report({ state: "bypassed", reason: "its process ended" });
      };
      const harness = inlineHarness({ providers: [scriptedSpec("says", { threaded }), specOf()] }, { says });
      const condition = () => {
        const { state, reason } = harness.dataplane.providers()[0]!;
        return `${state} ${reason}`;
      };
      await harness.start();
      await until("it has told", () => condition() === "bypassed its process ended");
      report({ state: "up", reason: "" });
      await until("it is up", () => condition() === "up ");
      report({ state: "failed", reason: "closed" });
      await until("it is down", () => condition() === "failed closed");
      assert.ok(harness.dataplane.isAlive());
      await harness.stop();
    });
  }
});

describe("starting", () => {
  it("is apart from making: work offered before is kept, and done when the threads run", async () => {
    const harness = inlineHarness();
    assert.equal(harness.dataplane.state, "initialised");
    for (let number = 0; number < 100; number++) harness.install(number);
    harness.rib.flush();
    assert.equal(harness.dataplane.snapshot().queueDepth, 100);
    assert.equal(harness.dataplane.snapshot().routeUpdates, 100);
    assert.equal(harness.finished, 0);
    await harness.start();
    assert.equal(harness.dataplane.state, "running");
    await harness.settled();
    assert.equal(harness.outcomes.fib_programmed, 100);
    harness.assertComplete();
    await harness.stop();
  });

  it("does no work before every provider is up, so that none is passed by", async () => {
    let letStart = (): void => {};
    const slow = new ScriptedProvider() as Provider & ScriptedProvider;
    slow.start = () => new Promise<void>((resolve) => (letStart = resolve));
    for (const threaded of [false, true]) {
      const harness = inlineHarness(
        { providers: [scriptedSpec("slow", { threaded, priority: PRE_KERNEL }), specOf()] },
        { slow },
      );
      slow.seen.length = 0;
      harness.install(1);
      letStart = () => {};
      const started = harness.start();
      const notYet = letStart;
      await until("the slow provider starts", () => letStart !== notYet);
      for (let turn = 0; turn < 50; turn++) await new Promise((resolve) => setImmediate(resolve));
      assert.equal(harness.finished, 0);
      assert.equal(harness.dataplane.state, "starting");
      letStart();
      await started;
      await harness.settled();
      assert.equal(slow.seen.length, 1);
      await harness.stop();
    }
  });

  for (const threaded of [false, true]) {
    it(`goes on without a ${threaded ? "threaded" : "local"} provider that cannot start, and says why`, async () => {
      const broken = specOf({ kind: "throws-in-start", name: "broken", threaded, priority: PRE_KERNEL });
      const harness = inlineHarness({ providers: [broken, specOf()] });
      harness.install(1);
      await harness.start();
      await harness.settled();
      assert.equal(harness.outcomes.fib_programmed, 1, "no update pays for it");
      const [provider] = harness.dataplane.providers();
      assert.equal(provider?.state, "failed");
      assert.match(provider.reason, /cannot start, as it was told/);
      harness.assertComplete();
      await harness.stop();
    });
  }
});

describe("admission", () => {
  it("invariant 6: stops at the queue limit, and goes on in the order of the waiting", async () => {
    const harness = inlineHarness({ queueLimit: 8, workLimit: 4 });
    const { dataplane } = harness;
    for (let number = 0; number < 8; number++) harness.install(number);
    assert.equal(dataplane.hasRoom(), false);
    const turns: string[] = [];
    const waiters = ["first", "second", "third"].map(async (name, index) => {
      await dataplane.waitForRoom();
      turns.push(name);
      harness.install(100 + index);
      harness.rib.flush();
    });
    for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setImmediate(resolve));
    assert.deepEqual(turns, [], "nobody gets room before the threads run");
    await harness.start();
    await keepAlive(Promise.all(waiters));
    assert.deepEqual(turns, ["first", "second", "third"]);
    await harness.settled();
    harness.assertComplete();
    assert.equal(dataplane.snapshot().queueMax, 8);
    await harness.stop();
  });

  it("invariant 6: bounds what waits for other updates of its route, too", async () => {
    const harness = inlineHarness({ queueLimit: 8, workLimit: 4 });
    let admitted = 0;
    for (; harness.dataplane.hasRoom(); admitted++) harness.install(1, admitted % 2);
    assert.equal(admitted, 8, "one is queued, and those that wait for it count as well");
    assert.equal(harness.dataplane.snapshot().queueDepth, 8);
    await harness.start();
    await harness.settled();
    assert.equal(harness.outcomes.superseded, admitted - 2);
    assert.equal(harness.outcomes.fib_programmed, 2);
    harness.assertComplete();
    harness.assertOrder();
    await harness.stop();
  });

  it("invariant 6: a provider that never drains costs no more memory than the pool", async () => {
    for (const kind of ["never-drains", "never-returns-work"]) {
      const harness = inlineHarness({ providers: [specOf({ kind, name: kind })], queueLimit: 64, workLimit: 16 });
      await harness.start();
      let stopped = false;
      const streaming = harness.stream(100_000).finally(() => (stopped = true));
      await until("the client has to wait", () => !harness.dataplane.hasRoom() && !stopped);
      const { poolSize } = harness.dataplane.snapshot();
      assert.ok(harness.admitted <= poolSize);
      // Room in the incoming queue is told to who waits for it, though no result comes.
      if (kind === "never-returns-work") await until("all contexts are taken", () => harness.admitted === poolSize);
      assert.equal(await harness.dataplane.finish(30), false, "the deadline passes");
      await harness.stop();
      assert.ok((await streaming) < 100_000, "the client is told that no more work is taken");
      harness.assertComplete();
      assert.ok(harness.results.every((result) => result?.error === DplaneError.SHUTDOWN));
    }
  });

  it("has clients wait while admission is held, and not for ever", async () => {
    const { dataplane } = inlineHarness();
    dataplane.holdAdmission();
    assert.equal(dataplane.hasRoom(), false);
    let turns = 0;
    const waiting = dataplane.waitForRoom().then(() => turns++);
    await Promise.resolve();
    assert.equal(turns, 0);
    dataplane.openAdmission();
    await waiting;
    assert.equal(dataplane.hasRoom(), true);
    dataplane.holdAdmission();
    const until = dataplane.waitForRoom();
    await dataplane.shutdown();
    await until;
    assert.equal(dataplane.isAccepting(), false);
  });

  it("takes another limit, within what the pool was made for", () => {
    const { dataplane } = inlineHarness({ queueLimit: 8, workLimit: 4 });
    dataplane.setQueueLimit(100_000);
    assert.equal(dataplane.queueLimit, dataplane.pool.size - 1);
    dataplane.setQueueLimit(0);
    assert.equal(dataplane.queueLimit, 1, "a limit of nothing would stop everything for ever");
  });
});

describe("ending", () => {
  it("goes in stages: no new work, providers told early, all done, providers told late", async () => {
    const journal: string[] = [];
    const kernel = new ScriptedProvider(programs) as Provider & ScriptedProvider;
    kernel.finish = (_io, early) => void journal.push(early ? `early after ${kernel.seen.length}` : "late");
    for (const threaded of [false, true]) {
      journal.length = 0;
      kernel.seen.length = 0;
      const harness = inlineHarness({ providers: [scriptedSpec("kernel", { threaded })] }, { kernel });
      await harness.start();
      await harness.stream(100);
      harness.dataplane.preFinish();
      assert.equal(harness.dataplane.isAccepting(), false);
      assert.equal(harness.dataplane.hasRoom(), false);
      await harness.dataplane.waitForRoom();
      assert.equal(await harness.dataplane.finish(), true);
      assert.equal(harness.outcomes.fib_programmed, 100);
      await until("the provider was told", () => journal.length === 1);
      await harness.stop();
      assert.equal(harness.dataplane.state, "stopped");
      assert.match(journal[0]!, /^early/);
      assert.deepEqual(journal.slice(1), ["late"]);
      harness.assertComplete();
    }
  });

  it("before the start gives back everything that was offered", async () => {
    const harness = inlineHarness();
    for (let number = 0; number < 20; number++) harness.install(number % 15);
    await harness.stop();
    harness.assertComplete();
    harness.assertOrder();
    assert.equal(harness.outcomes.superseded, 0, "each of them was the last of its route, or came back with it");
    assert.equal(harness.outcomes.fib_failed, 20);
    assert.ok(harness.results.every((result) => result?.error === DplaneError.SHUTDOWN));
    await harness.stop();
  });

  it("invariant 2: gives back what a provider keeps, with the reason", async () => {
    for (const threaded of [false, true]) {
      const harness = inlineHarness({ providers: [specOf({ kind: "never-returns-work", threaded })] });
      await harness.start();
      await harness.stream(100);
      assert.equal(await harness.dataplane.finish(20), false);
      await harness.stop();
      harness.assertComplete();
      for (const result of harness.results) {
        assert.deepEqual([result?.outcome, result?.error], ["fib_failed", DplaneError.SHUTDOWN]);
        assert.match(result!.text, /daemon shut down before/);
      }
    }
  });

  it("is not held up by a provider that cannot finish", async () => {
    for (const threaded of [false, true]) {
      const harness = inlineHarness({ providers: [specOf({ kind: "throws-in-finish", threaded }), specOf()] });
      await harness.start();
      await harness.stream(10);
      harness.dataplane.preFinish();
      await harness.dataplane.finish();
      await harness.stop();
      harness.assertComplete();
      assert.ok(harness.log.said("Provider failed to finish"));
    }
  });
});

describe("what clients are told", () => {
  it("invariant 7: silence is not success: without a provider that programs, nothing is programmed", async () => {
    const observer = scriptedSpec("observer", { priority: POST_KERNEL });
    for (const providers of [[], [observer], [specOf({ priority: PRE_KERNEL })]]) {
      const harness = inlineHarness({ providers }, { observer: new ScriptedProvider() });
      await harness.start();
      await harness.stream(10);
      await harness.settled();
      for (const result of harness.results) {
        assert.deepEqual([result?.outcome, result?.error], ["fib_failed", DplaneError.NOT_PROGRAMMED]);
      }
      await harness.stop();
    }
  });

  it("names the provider that failed it, and its reason", async () => {
    const kernel = new ScriptedProvider((io, slot) => io.contexts.fail(slot, 101, "Nexthop has invalid gateway", 36));
    const harness = inlineHarness({ providers: [scriptedSpec("kernel")] }, { kernel });
    await harness.start();
    harness.install(1);
    harness.rib.flush();
    await harness.settled();
    const wanted = {
      outcome: "fib_failed",
      error: 101,
      text: "Nexthop has invalid gateway",
      provider: "kernel",
      flags: 0,
      bypassed: [],
    };
    assert.deepEqual(harness.results[0], wanted);
    await harness.stop();
  });
});
