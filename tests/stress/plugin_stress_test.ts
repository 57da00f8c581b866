/**
 * Plugins in processes of their own, under load, while they throw, hang, eat memory, die and lie: no update is lost by it, each
 * has its one result, and no other provider notices.
 */
import assert from "node:assert/strict";
import { readFileSync, rmSync } from "node:fs";
import process from "node:process";
import { after, afterEach, describe, it } from "node:test";
import { DplaneError } from "../../core/context/layout.ts";
import { parseRefusal } from "../../core/context/refusal.ts";
import { ProviderPriority, type ProviderSpec } from "../../core/dataplane/provider.ts";
import { Harness, specOf } from "../support/harness.ts";
import { PluginFolder, PluginSpec, pluginProcesses } from "../support/plugin_host.ts";
import { spawnRealThread } from "../support/spawn.ts";
import { until } from "../support/wait.ts";

const { PREPROCESS, PRE_KERNEL, POST_KERNEL, POSTPROCESS } = ProviderPriority;

const folder = new PluginFolder();
after(() => folder.remove());

/** Those that a failed test has left running. */
const running = new Set<Pipeline>();
afterEach(async () => {
  for (const pipeline of running) await pipeline.harness.stop();
  running.clear();
});

/** A pipeline with a plugin in it, a provider before it, the kernel's stand-in and one behind that. */
class Pipeline {
  readonly harness: Harness;
  readonly plugin: PluginSpec;

  constructor(plugin: PluginSpec, more: readonly ProviderSpec[] = []) {
    this.plugin = plugin;
    running.add(this);
    this.harness = new Harness({
      spawn: spawnRealThread,
      queueLimit: 2048,
      workLimit: 256,
      hasLongTexts: true,
      providers: [
        specOf({ name: "before", priority: PREPROCESS }),
        plugin.spec,
        specOf({ name: "kernel" }),
        specOf({ name: "after", priority: POSTPROCESS, threaded: true }),
        ...more,
      ],
    });
  }

  static async start(members: string, options: ConstructorParameters<typeof PluginSpec>[1] = {}): Promise<Pipeline> {
    const pipeline = new Pipeline(new PluginSpec(folder.write(`plugin-${counter++}.ts`, members), options));
    await pipeline.harness.start();
    return pipeline;
  }

  get state(): string {
    const { state, reason } = this.#of("plugin");
    return reason === "" ? state : `${state}: ${reason}`;
  }

  #of(name: string) {
    return this.harness.dataplane.providers().find((provider) => provider.name === name)!;
  }

  async stream(count: number): Promise<void> {
    await this.harness.stream(count);
    await this.harness.settled();
  }

  /** What must hold whatever the plugin does: nothing is lost, and the others have had all of it. */
  assertUnharmed(): void {
    const { harness } = this;
    harness.assertComplete();
    harness.assertOrder();
    harness.assertNoLeaks();
    const { fib_programmed, superseded } = harness.outcomes;
    assert.equal(fib_programmed + superseded, harness.admitted, JSON.stringify(harness.outcomes));
    for (const name of ["before", "kernel", "after"]) {
      const { state, in: given, out, errors, undone } = this.#of(name);
      assert.deepEqual([state, out, errors, undone], ["up", given, 0, 0], name);
      assert.equal(given, fib_programmed, `${name} had every update`);
    }
    assert.equal(harness.dataplane.snapshot().restarts, 0);
    assert.ok(harness.dataplane.isAlive());
  }

  /** Waits until a failure with this reason is logged; results may be told before. */
  async logs(what: string, reason: RegExp): Promise<void> {
    const reasons = (): string[] => this.harness.log.records.map(({ fields }) => String(fields["reason"] ?? ""));
    await until(
      () => `${what}: ${reason} is among ${reasons().join("; ")}`,
      () => reasons().some((each) => reason.test(each)),
    );
  }

  async stop(): Promise<void> {
    await this.harness.stop();
    running.delete(this);
    await until("its process is gone", () => pluginProcesses().length === 0);
  }
}

let counter = 0;

/** Has a plugin write bytes to the daemon behind its host's back. Deno's node:fs knows no descriptor but its own. */
const WRITE_TO_DAEMON = `((bytes) => {
  const runtime = globalThis["Deno"];
  if (runtime === undefined) return process.getBuiltinModule("node:fs").writeSync(3, bytes);
  const libc = runtime.dlopen("libc.so.6", { write: { parameters: ["i32", "buffer", "usize"], result: "isize" } });
  libc.symbols.write(3, bytes, BigInt(bytes.length));
})`;
/** Long enough for a slow machine, short enough to wait for. */
const LIMITS = { hangTimeMs: 1500 } as const;

describe("a plugin under load", () => {
  it("decides each update, and fails only what it fails", async () => {
    const pipeline = await Pipeline.start(
      `metrics: { refused: { type: "counter", help: "Refused." } },
       update(update, dplaned) {
         if (update.address[3] % 10 !== 0) return;
         dplaned.count("refused");
         update.fail("TENTH", "every tenth", "take another");
       },`,
    );
    const { harness, plugin } = pipeline;
    await pipeline.stream(50_000);
    harness.assertComplete();
    harness.assertOrder();
    assert.ok(harness.outcomes.fib_failed > 0);
    for (const [line, result] of harness.results.entries()) {
      const isTenth = (line & 255) % 10 === 0;
      assert.equal(result?.outcome, isTenth ? "fib_failed" : "fib_programmed", `line ${line}`);
      if (!isTenth) continue;
      assert.equal(result.provider, "plugin");
      assert.deepEqual(parseRefusal(result.text), { code: "TENTH", message: "every tenth", hint: "take another" });
    }
    await until("it is counted", () => plugin.count("calls") === 50_000);
    assert.deepEqual([plugin.count("decided"), plugin.count("bypassed"), plugin.count("held")], [50_000, 0, 0]);
    assert.equal(plugin.count("refused"), harness.outcomes.fib_failed);
    await pipeline.stop();
  });

  it("that waits for each batch holds back, and all comes out", async () => {
    const pipeline = await Pipeline.start(
      `async process(updates) {
         await new Promise((wake) => setTimeout(wake, 5));
         for (const update of updates) if (update.sequence % 2 === 0) update.pass();
       },`,
    );
    await pipeline.stream(20_000);
    pipeline.assertUnharmed();
    assert.equal(pipeline.plugin.count("decided"), 20_000);
    await pipeline.stop();
  });
});

describe("a plugin that fails", () => {
  it("by being killed, again and again, costs no update", async () => {
    const pipeline = await Pipeline.start("update() {},");
    const { harness, plugin } = pipeline;
    let kills = 0;
    let killAt = 3000;
    let killed = 0;
    harness.onResult = () => {
      const pid = plugin.count("pid");
      if (harness.finished < killAt || kills === 4 || pid === 0 || pid === killed) return;
      killed = pid;
      killAt = harness.finished + 3000;
      kills += 1;
      process.kill(pid, "SIGKILL");
    };
    while (kills < 4) await pipeline.stream(10_000);
    harness.onResult = () => {};
    await until("its last end is noticed", () => plugin.count("failures") === 4);
    await until("it is up again", () => pipeline.state === "up" && plugin.count("starts") === 5);
    await pipeline.stream(100);
    pipeline.assertUnharmed();
    assert.ok(plugin.count("bypassed") > 0);
    const marked = harness.results.filter((result) => result?.bypassed.includes("plugin")).length;
    assert.equal(marked, plugin.count("bypassed"), "each update that passed it by says so");
    assert.ok(harness.results.slice(-100).every((result) => result?.bypassed.length === 0));
    await pipeline.stop();
  });

  it("by an infinite loop is ended after hang-time; the updates go on, and their results say so", async () => {
    const pipeline = await Pipeline.start(
      "update(update) { if (update.prefix === '10.0.7.208/32') for (;;) {} },", // number 2000
      LIMITS,
    );
    const { harness, plugin } = pipeline;
    await pipeline.stream(5000);
    pipeline.assertUnharmed();
    assert.deepEqual(harness.results[2000]?.bypassed, ["plugin"]);
    // What was decided in the frames before is, although it was all sent at once.
    assert.equal(harness.results[1700]?.bypassed.length, 0);
    assert.ok(plugin.count("failures") >= 1);
    assert.ok(harness.log.records.some(({ fields }) => /no sign of life for \d+ ms/.test(String(fields["reason"]))));
    await until("it is up again", () => pipeline.state === "up");
    await pipeline.stop();
  });

  it("by a loop that a timer begins is ended as well", async () => {
    const pipeline = await Pipeline.start("start() { setTimeout(() => { for (;;) {} }, 50); }, update() {},", LIMITS);
    await until("it is noticed", () => pipeline.plugin.count("failures") === 1);
    await pipeline.stream(1000);
    pipeline.assertUnharmed();
    await pipeline.stop();
  });

  it("by an exception in each call spends its error budget, and is bypassed", async () => {
    const pipeline = await Pipeline.start("update() { throw new Error('as it was told'); },", {
      errorBudget: 20,
      restartMinMs: 60_000,
    });
    const { harness, plugin } = pipeline;
    await pipeline.stream(5000);
    pipeline.assertUnharmed();
    await until("its end is told", () => pipeline.state !== "up");
    assert.match(
      pipeline.state,
      /^bypassed: \d+ errors within a minute are more than error-budget, last: update: as it was told \(.*plugin-\d+\.ts:3:\d+\)$/,
    );
    assert.ok(harness.results.every((result) => result?.bypassed.includes("plugin")));
    assert.equal(plugin.count("bypassed"), 5000);
    assert.equal(plugin.count("decided"), 0);
    await pipeline.stop();
  });

  it("by few exceptions is not: only those updates go on without its word", async () => {
    const pipeline = await Pipeline.start("update(update) { if (update.address[3] === 5) throw new Error('five'); },");
    const { harness, plugin } = pipeline;
    await pipeline.stream(1000);
    pipeline.assertUnharmed();
    const bypassed = harness.results.flatMap((result, line) => (result!.bypassed.length > 0 ? [line] : []));
    assert.deepEqual(bypassed, [5, 261, 517, 773]);
    assert.equal(pipeline.state, "up");
    await until("they are counted", () => plugin.count("errors") === 4);
    await pipeline.stop();
  });

  it("by a promise that is rejected fails like an exception, the batch as a whole", async () => {
    const pipeline = await Pipeline.start(
      "async process(updates) { await 1; if (updates[0].sequence === 1) throw new Error('the first'); },",
    );
    const { harness } = pipeline;
    await pipeline.stream(3000);
    pipeline.assertUnharmed();
    assert.deepEqual(harness.results[0]?.bypassed, ["plugin"]);
    assert.equal(harness.results.at(-1)?.bypassed.length, 0);
    assert.ok(harness.log.records.some(({ fields }) => /process: the first/.test(String(fields["error"]))));
    await pipeline.stop();
  });

  it("by eating memory is ended, and the daemon is no larger for it", async () => {
    const pipeline = await Pipeline.start(
      `update(update) {
         if (update.sequence !== 1000) return;
         const keep = [];
         for (;;) keep.push(new Uint8Array(8 << 20).fill(1));
       },`,
      { memoryLimit: 150 << 20, hangTimeMs: 60_000 },
    );
    const before = process.memoryUsage.rss();
    await pipeline.stream(3000);
    pipeline.assertUnharmed();
    const grown = process.memoryUsage.rss() - before;
    assert.ok(grown < 150 << 20, `the daemon has grown by ${grown >> 20}M`);
    const { records } = pipeline.harness.log;
    assert.ok(
      records.some(({ fields }) => /took \d+M of memory, and memory-limit is 150M/.test(String(fields["reason"]))),
    );
    await pipeline.stop();
  });

  it("by ending, in whatever way, costs no update", async () => {
    for (const [how, reason] of [
      ["process.exit(3)", /exit status 3/],
      // Deno takes such a signal for one of its own traps, and goes on.
      ...("Deno" in globalThis ? [] : [["process.kill(process.pid, 'SIGSEGV')", /SIGSEGV/] as const]),
      ["process.abort()", /SIG(?:ABRT|TRAP|ILL)|exit status/],
    ] as const) {
      const pipeline = await Pipeline.start(`update(update) { if (update.sequence === 500) ${how}; },`);
      await pipeline.stream(2000);
      pipeline.assertUnharmed();
      await pipeline.logs(how, reason);
      await pipeline.stop();
    }
  });

  it("by never answering has its time for each update", async () => {
    const pipeline = await Pipeline.start(
      "update(update) { if (update.address[3] === 9) update.keep(); else if (update.address[3] === 8) return new Promise(() => {}); },",
      { answerTimeMs: 300, errorBudget: 1000 },
    );
    const { harness, plugin } = pipeline;
    await pipeline.stream(512);
    pipeline.assertUnharmed();
    const bypassed = harness.results.flatMap((result, line) => (result!.bypassed.length > 0 ? [line] : []));
    assert.deepEqual(bypassed, [8, 9, 264, 265]);
    assert.equal(plugin.count("errors"), 4);
    assert.equal(pipeline.state, "up");
    await pipeline.stop();
  });

  it("by answering late, or twice, changes nothing of what was decided", async () => {
    const pipeline = await Pipeline.start(
      `update(update) {
         const n = update.address[3];
         if (n === 1) { update.keep(); setTimeout(() => update.fail("LATE", "too late"), 700); }
         if (n === 2) { update.pass(); try { update.fail("TWICE", "twice"); } catch {} }
         if (n === 3) { update.fail("FIRST", "first"); update.pass(); }
       },`,
      { answerTimeMs: 200, errorBudget: 1000 },
    );
    const { harness, plugin } = pipeline;
    await pipeline.stream(256);
    assert.deepEqual(harness.results[1]?.bypassed, ["plugin"]);
    assert.equal(harness.results[2]?.outcome, "fib_programmed");
    assert.equal(parseRefusal(harness.results[3]!.text)?.code, "FIRST");
    // The slot is in use by others when the late answer comes.
    await pipeline.stream(3000);
    await until("the late answer has come", () => plugin.count("calls") > 3000);
    harness.assertComplete();
    assert.ok(harness.results.every((result) => parseRefusal(result!.text)?.code !== "LATE"));
    assert.equal(pipeline.state, "up");
    await pipeline.stop();
  });

  it("by sending rubbish over its descriptor is ended, and what it had goes on", async () => {
    for (const [what, rubbish] of [
      ["a frame of another type", "[0,0,0,0, 77,0,0,0]"],
      ["a frame that is too long", "[255,255,255,127, 4,0,0,0]"],
      ["a verdict on a context that there is not", "[12,0,0,0, 4,0,0,0, 1,0,0,0, 255,255,0,0, 8,0,0,0]"],
      ["verdicts that are cut off", "[4,0,0,0, 4,0,0,0, 9,9,0,0]"],
      ["a report of another length", "[8,0,0,0, 5,0,0,0, 1,1,1,1,1,1,1,1]"],
      ["JSON that is none", "[3,0,0,0, 6,0,0,0, 123,123,123]"],
    ] as const) {
      const pipeline = await Pipeline.start(
        `update(update) { if (update.sequence === 700) ${WRITE_TO_DAEMON}(Uint8Array.from(${rubbish})); },`,
      );
      await pipeline.stream(2000);
      pipeline.assertUnharmed();
      await pipeline.logs(what, /^it sent what is no answer/);
      await until("it is up again", () => pipeline.state === "up");
      await pipeline.stop();
    }
  });
});

describe("a plugin that cannot be started", () => {
  it("is bypassed, with the reason, and comes back when that is put right", async () => {
    const path = folder.write("broken.ts", "update() { }} ,");
    const plugin = new PluginSpec(path);
    const pipeline = new Pipeline(plugin);
    await pipeline.harness.start();
    assert.match(pipeline.state, /^bypassed: .*broken\.ts:3:\d+: /);
    await pipeline.stream(100);
    assert.ok(pipeline.harness.results.every((result) => result?.bypassed[0] === "plugin"));
    folder.write("broken.ts", "update() { },");
    await until("it is up", () => pipeline.state === "up");
    await pipeline.stream(100);
    assert.ok(pipeline.harness.results.slice(100).every((result) => result?.bypassed.length === 0));
    pipeline.assertUnharmed();
    await pipeline.stop();
  });

  it("because its file is gone by then says so", async () => {
    const path = folder.write("vanishing.ts", "update() {},");
    const plugin = new PluginSpec(path);
    const pipeline = new Pipeline(plugin);
    await pipeline.harness.start();
    await until("it is up", () => pipeline.state === "up" && plugin.count("pid") > 0);
    rmSync(path);
    process.kill(plugin.count("pid"), "SIGKILL");
    await until("it is noticed", () => pipeline.state.includes("there is no such file"));
    await pipeline.stream(500);
    pipeline.assertUnharmed();
    folder.write("vanishing.ts", "update() {},");
    await until("it is up again", () => pipeline.state === "up");
    await pipeline.stop();
  });

  it("because it is of another version, refuses its options or throws, says which", async () => {
    const cases: [text: string, state: RegExp][] = [
      ["export default { apiVersion: 9 };\n", /is written for apiVersion 9; this dplaned has 1/],
      [
        "export default { apiVersion: 1, options(table) { throw new Error('prefixes is missing'); } };\n",
        /refuses its options: prefixes is missing/,
      ],
      ["export default { apiVersion: 1, start() { throw new Error('no port') } };\n", /start: no port/],
      ["export default { apiVersion: 1, async start() { await 1; process.exit(4); } };\n", /exit status 4/],
      ["for (;;) {}\n", /no sign of life/],
    ];
    for (const [text, state] of cases) {
      const plugin = new PluginSpec(folder.writeFile("wrong.ts", text), { ...LIMITS, restartMinMs: 60_000 });
      const pipeline = new Pipeline(plugin);
      await pipeline.harness.start();
      assert.match(pipeline.state, state);
      await pipeline.stream(100);
      pipeline.assertUnharmed();
      await pipeline.stop();
    }
  });
});

describe("a plugin that may not be bypassed", () => {
  it("has updates fail while it is down, and those that it had", async () => {
    const pipeline = await Pipeline.start("update(update) { if (update.sequence === 300) process.exit(1); },", {
      failClosed: true,
      restartMinMs: 60_000,
    });
    const { harness, plugin } = pipeline;
    await pipeline.stream(1000);
    harness.assertComplete();
    harness.assertOrder();
    await until("its end is told", () => pipeline.state !== "up");
    assert.match(pipeline.state, /^failed: its process ended with exit status 1/);
    const failed = harness.results.filter((result) => result?.outcome === "fib_failed");
    assert.equal(failed.length, plugin.count("undecided"));
    assert.ok(failed.length >= 701 && failed.length < 1000);
    for (const result of failed) {
      assert.equal(result?.error, DplaneError.NO_VERDICT);
      assert.match(result?.text ?? "", /^plugin plugin gave no verdict: (?:its process ended|it is down)/);
      assert.deepEqual(result?.bypassed, []);
    }
    await pipeline.stop();
  });

  it("has an update fail over which it throws, and no other", async () => {
    const pipeline = await Pipeline.start(
      "update(update) { if (update.sequence === 30) throw new Error('thirty'); },",
      {
        failClosed: true,
      },
    );
    await pipeline.stream(100);
    const failed = pipeline.harness.results.flatMap((result, line) => (result?.outcome === "fib_failed" ? [line] : []));
    assert.deepEqual(failed, [29]);
    assert.match(pipeline.harness.results[29]!.text, /gave no verdict: update: thirty/);
    await pipeline.stop();
  });
});

describe("undo by a plugin", () => {
  const failing = specOf({ name: "failing", priority: POST_KERNEL, options: { failRate: 0.5, seed: 3 } });

  it("takes its part back before the result is told", async () => {
    const log = `${folder.path}/undone`;
    const members = `
      start() { this.fs = process.getBuiltinModule("node:fs"); },
      async undo(update) {
        await new Promise((wake) => setTimeout(wake, 1));
        this.fs.appendFileSync(${JSON.stringify(log)}, update.prefix + " " + update.error.code + "\\n");
      },
      update() {},`;
    const pipeline = new Pipeline(new PluginSpec(folder.write("undo.ts", members), { priority: PRE_KERNEL }), [
      failing,
    ]);
    await pipeline.harness.start();
    await pipeline.stream(300);
    const undone = readFileSync(log, "utf8").trimEnd().split("\n");
    assert.ok(undone.length > 50);
    assert.equal(undone.length, pipeline.harness.outcomes.fib_failed);
    assert.ok(undone.every((line) => line.endsWith(" PROVIDER_REFUSED")));
    pipeline.harness.assertComplete();
    await pipeline.stop();
  });

  it("that fails, or that a dead process was to do, is said, and nothing waits for it", async () => {
    for (const undo of ["undo() { throw new Error('cannot'); },", "undo() { process.exit(1); },"]) {
      const plugin = new PluginSpec(folder.write("undo_fails.ts", `update() {}, ${undo}`), { errorBudget: 1000 });
      const pipeline = new Pipeline(plugin, [failing]);
      await pipeline.harness.start();
      await pipeline.stream(200);
      pipeline.harness.assertComplete();
      assert.ok(pipeline.harness.outcomes.fib_failed > 50);
      await pipeline.stop();
    }
  });
});
