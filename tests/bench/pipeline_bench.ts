/**
 * How fast the pipeline is without a kernel: from admission over the test provider on a real dataplane thread to the
 * result. The target of DESIGN section 6 is 2,000,000 updates a second.
 *
 *   bun tests/bench/pipeline_bench.ts [--smoke]
 */
import assert from "node:assert/strict";
import process from "node:process";
import { setImmediate } from "node:timers";
import { QUEUE_LIMIT_DEFAULT, WORK_LIMIT_DEFAULT } from "../../core/constants.ts";
import { AttrsStore, createAttrsStorage } from "../../core/context/attrs_store.ts";
import { U32 } from "../../core/context/layout.ts";
import { Dataplane } from "../../core/dataplane/dataplane.ts";
import { UpdateOp } from "../../core/model/route.ts";
import { createJournal } from "../../core/rib/journal.ts";
import { Rib } from "../../core/rib/rib.ts";
import { specOf } from "../support/harness.ts";
import { createQuietLog } from "../support/quiet_log.ts";
import { spawnRealThread } from "../support/spawn.ts";
import { numberedUpdate } from "../support/updates.ts";

export interface PipelineBenchResult {
  /** Updates a second by what they did: install new routes, replace them, delete them. */
  rates: Record<"install" | "replace" | "delete", number>;
  /** Of the results' lines and outcomes: the same in every run, so that no work can be left out. */
  hash: number;
}

/** Admissions between two looks at the event loop, as a northbound stream takes them. */
const TURN = 1024;

export async function runPipelineBench(routes: number): Promise<PipelineBenchResult> {
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
  // As in the daemon: what each update became is remembered.
  rib.observe(createJournal(rib));
  dataplane.register(specOf({ name: "kernel" }));
  let finished = 0;
  let hash = 0;
  const owner = rib.owners.intern("bench")!;
  const session = rib.openSession({
    onResult: (slot, outcome, contexts) => {
      finished += 1;
      hash = (hash + Math.imul(contexts.getU32(slot, U32.LINE) + outcome.length, 0x9e3779b1)) >>> 0;
    },
  });
  await dataplane.start();

  const run = async (op: UpdateOp, gatewayOffset: number): Promise<number> => {
    finished = 0;
    const started = performance.now();
    for (let line = 0; line < routes; ) {
      const end = Math.min(line + TURN, routes);
      while (line < end && dataplane.hasRoom()) {
        assert.equal(rib.admit(numberedUpdate(line, op, (line + gatewayOffset) & 63), owner, session, line), null);
        line += 1;
      }
      rib.flush();
      if (line < end) await dataplane.waitForRoom();
    }
    while (finished < routes) await new Promise((resolve) => setImmediate(resolve));
    return Math.round((routes / (performance.now() - started)) * 1000);
  };
  const install = await run(UpdateOp.INSTALL, 0);
  const replace = await run(UpdateOp.INSTALL, 1);
  const remove = await run(UpdateOp.DELETE, 0);
  assert.equal(rib.results.fib_programmed, 3 * routes);
  assert.equal(rib.counts().ipv4, 0);
  assert.equal(dataplane.pool.free, dataplane.pool.size);
  await dataplane.shutdown();
  return { rates: { install, replace, delete: remove }, hash };
}

if (import.meta.main) {
  const isSmoke = process.argv.includes("--smoke");
  const routes = isSmoke ? 20_000 : 1_000_000;
  for (let round = 0; round < (isSmoke ? 1 : 3); round++) {
    const { rates, hash } = await runPipelineBench(routes);
    const shown = Object.entries(rates).map(([name, rate]) => `${name} ${rate.toLocaleString("en")}/s`);
    console.log(`pipeline, ${routes} routes: ${shown.join(", ")} (hash ${hash.toString(16)})`);
  }
  process.exit(0);
}
