/**
 * What a plugin costs: updates a second through the pipeline with a stand-in for the kernel, without a plugin and with one that
 * does little, and how long one update takes that is alone. The first line is what there is without any.
 *
 *   bun tests/bench/plugin_bench.ts [--smoke]
 */
import assert from "node:assert/strict";
import process from "node:process";
import { setImmediate } from "node:timers";
import { QUEUE_LIMIT_DEFAULT, WORK_LIMIT_DEFAULT } from "../../core/constants.ts";
import { AttrsStore, createAttrsStorage } from "../../core/context/attrs_store.ts";
import { Dataplane } from "../../core/dataplane/dataplane.ts";
import { ProviderPriority, type ProviderSpec } from "../../core/dataplane/provider.ts";
import { UpdateOp } from "../../core/model/route.ts";
import { Rib } from "../../core/rib/rib.ts";
import { specOf } from "../support/harness.ts";
import { PluginFolder, PluginSpec } from "../support/plugin_host.ts";
import { createQuietLog } from "../support/quiet_log.ts";
import { spawnRealThread } from "../support/spawn.ts";
import { numberedUpdate } from "../support/updates.ts";

const TURN = 1024;
const ROUNDS = 3;
const ALONE = 500;

/** Members of the plugins that are measured. */
const PLUGINS: readonly (readonly [name: string, members: string])[] = [
  ["update(), which looks at nothing", "update() {},"],
  ["process(), which looks at nothing", "process() {},"],
  [
    "process(), which reads the prefix and the nexthops",
    "process(us) { for (const u of us) if (u.prefix === '' || u.route?.nexthops.length === 0) u.fail('A', 'b'); },",
  ],
  ["export() alone", "export() {},"],
];

export interface PluginBenchResult {
  name: string;
  /** Updates a second, of the best round. */
  rate: number;
  /** One update alone: the median. */
  aloneMs: number;
}

async function measure(name: string, spec: ProviderSpec | null, routes: number): Promise<PluginBenchResult> {
  const attrs = createAttrsStorage();
  const dataplane: Dataplane = new Dataplane({
    queueLimit: QUEUE_LIMIT_DEFAULT,
    workLimit: WORK_LIMIT_DEFAULT,
    attrs,
    spawn: spawnRealThread,
    log: createQuietLog(),
    onLog: () => {},
    onResults: (slots, count) => rib.settle(slots, count),
    onHealthChange: () => {},
  });
  const rib: Rib = new Rib(new AttrsStore(attrs), dataplane);
  if (spec !== null) dataplane.register(spec);
  dataplane.register(specOf({ name: "kernel" }));
  let finished = 0;
  let bypassed = 0;
  const owner = rib.owners.intern("bench")!;
  const session = rib.openSession({
    onResult: (_, outcome) => {
      finished += 1;
      if (outcome !== "fib_programmed") bypassed += 1;
    },
  });
  await dataplane.start();
  assert.ok(dataplane.providers().every(({ state }) => state === "up"));

  const round = async (gatewayOffset: number): Promise<number> => {
    finished = 0;
    const started = performance.now();
    for (let line = 0; line < routes; ) {
      const end = Math.min(line + TURN, routes);
      while (line < end && dataplane.hasRoom()) {
        const update = numberedUpdate(line, UpdateOp.INSTALL, (line + gatewayOffset) & 63);
        assert.equal(rib.admit(update, owner, session, line), null);
        line += 1;
      }
      rib.flush();
      if (line < end) await dataplane.waitForRoom();
    }
    while (finished < routes) await new Promise((resolve) => setImmediate(resolve));
    return Math.round((routes / (performance.now() - started)) * 1000);
  };
  const rates: number[] = [];
  for (let each = 0; each < ROUNDS; each++) rates.push(await round(each));
  const times: number[] = [];
  for (let each = 0; each < Math.min(ALONE, routes); each++) {
    finished = 0;
    const started = performance.now();
    rib.admit(numberedUpdate(each, UpdateOp.INSTALL, (each + ROUNDS) & 63), owner, session, each);
    rib.flush();
    while (finished === 0) await new Promise((resolve) => setImmediate(resolve));
    times.push(performance.now() - started);
  }
  assert.equal(bypassed, 0);
  await dataplane.shutdown();
  times.sort((a, b) => a - b);
  return { name, rate: Math.max(...rates), aloneMs: times[times.length >> 1]! };
}

export async function runPluginBench(routes: number): Promise<PluginBenchResult[]> {
  const folder = new PluginFolder();
  try {
    const results = [await measure("no plugin", null, routes)];
    for (const [index, [name, members]] of PLUGINS.entries()) {
      const { spec } = new PluginSpec(folder.write(`bench-${index}.ts`, members), {
        priority: ProviderPriority.PRE_KERNEL,
        hangTimeMs: 60_000,
        answerTimeMs: 60_000,
      });
      results.push(await measure(name, spec, routes));
    }
    return results;
  } finally {
    folder.remove();
  }
}

if (import.meta.main) {
  const results = await runPluginBench(process.argv.includes("--smoke") ? 5000 : 300_000);
  for (const { name, rate, aloneMs } of results) {
    console.log(`${name}: ${rate.toLocaleString("en")} updates/s; one alone ${aloneMs.toFixed(2)} ms`);
  }
  process.exit(0);
}
