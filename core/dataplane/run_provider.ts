/** The thread of one threaded provider: calls it whenever the loop has fed it, until it is told to stop. */

import { SYSTEM_CLOCK } from "../clock.ts";
import { AttrsReader } from "../context/attrs.ts";
import { Contexts } from "../context/contexts.ts";
import { createRecordLog } from "../log.ts";
import { Doorbell } from "../ring/doorbell.ts";
import { RingConsumer, RingProducer } from "../ring/spsc_ring.ts";
import { ProviderCounter, providerCounters } from "./counters.ts";
import { ProviderRunner } from "./provider_runner.ts";
import { BREATH_MS, deliverToProvider, IDLE_WAIT_MS, type ProviderStart, type ThreadEnvironment } from "./thread.ts";

/** Runs the provider role; resolves when the thread has been told to stop and the provider has let go. */
export async function runProvider(start: ProviderStart, environment: ThreadEnvironment): Promise<void> {
  const { memory, seat, workLimit } = start;
  const { post, clock = SYSTEM_CLOCK } = environment;
  const { registered } = seat;
  const bell = new Doorbell(seat.memory.bell, clock);
  const loopBell = new Doorbell(memory.loopBell);
  const stop = new Int32Array(memory.stop);
  const counters = providerCounters(memory.counters, registered.id);
  const log = createRecordLog(registered.name, (record) => post({ type: "log", record }));

  const provider = await environment.createProvider(registered);
  const runner = new ProviderRunner({
    registered,
    provider,
    contexts: new Contexts(memory.contexts, memory.longTexts),
    attrs: new AttrsReader(memory.attrs),
    inRing: new RingConsumer(seat.memory.inRing),
    outRing: new RingProducer(seat.memory.outRing),
    counters,
    workLimit,
    log,
    wake: () => bell.ring(),
    tell: (body, transfer) => post({ type: "from-provider", id: registered.id, body }, transfer),
    report: (condition) => post({ type: "condition", id: registered.id, condition }),
  });
  const finish = async (early: boolean): Promise<void> => {
    try {
      await provider.finish?.(runner, early);
    } catch (error) {
      log.error("Provider failed to finish", { early, error: String(error) });
    }
  };

  await provider.start?.(runner);
  environment.onMessage((message) => {
    if (message.type === "finish-early") void finish(true);
    else if (message.type === "to-provider") deliverToProvider(provider, runner, message.body);
  });
  post({ type: "ready" });

  let breathedAt = clock.now();
  let putOutBefore = 0;
  while (Atomics.load(stop, 0) === 0) {
    const seen = bell.read();
    counters[ProviderCounter.HEARTBEAT] = clock.now();
    const more = runner.runOnce();
    if (runner.putOut !== putOutBefore) loopBell.ring();
    putOutBefore = runner.putOut;
    if (!more) await bell.wait(seen, IDLE_WAIT_MS);
    else if (clock.now() - breathedAt > BREATH_MS) await clock.turn();
    else continue;
    breathedAt = clock.now();
  }
  await finish(false);
  post({ type: "stopped" });
}
