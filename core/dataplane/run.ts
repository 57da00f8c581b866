/**
 * The dataplane thread: builds the loop over the shared memory it is given, and runs it until it is told to stop
 * (FRR: `zebra_dplane_start` and the event loop of the dplane pthread).
 */

import { SYSTEM_CLOCK } from "../clock.ts";
import { AttrsReader } from "../context/attrs.ts";
import { Contexts } from "../context/contexts.ts";
import { createRecordLog } from "../log.ts";
import { Doorbell } from "../ring/doorbell.ts";
import { RingConsumer, RingProducer } from "../ring/spsc_ring.ts";
import { loopCounters, providerCounters } from "./counters.ts";
import { DataplaneLoop, type Station } from "./loop.ts";
import { ProviderRunner } from "./provider_runner.ts";
import {
  BREATH_MS,
  type DataplaneStart,
  deliverToProvider,
  IDLE_WAIT_MS,
  type ProviderSeat,
  type ThreadEnvironment,
} from "./thread.ts";

/** Runs the dataplane role; resolves when the thread has been told to stop and its providers have let go. */
export async function runDataplane(start: DataplaneStart, environment: ThreadEnvironment): Promise<void> {
  const { memory, workLimit } = start;
  const { post, clock = SYSTEM_CLOCK } = environment;
  const contexts = new Contexts(memory.contexts, memory.longTexts);
  const attrs = new AttrsReader(memory.attrs);
  const loopBell = new Doorbell(memory.loopBell, clock);
  const resultsBell = new Doorbell(memory.resultsBell);
  const stop = new Int32Array(memory.stop);
  const isStopping = (): boolean => Atomics.load(stop, 0) !== 0;

  const loop = new DataplaneLoop({
    contexts,
    incoming: new RingConsumer(memory.incoming),
    results: new RingProducer(memory.results),
    notifyMain: () => resultsBell.ring(),
    counters: loopCounters(memory.counters),
    workLimit,
    isStopping,
    clock,
  });

  const attach = async (seat: ProviderSeat): Promise<void> => {
    const { registered } = seat;
    const station: Station = {
      registered,
      inRing: new RingProducer(seat.memory.inRing),
      outRing: new RingConsumer(seat.memory.outRing),
      counters: providerCounters(memory.counters, registered.id),
      runner: null,
      doorbell: registered.threaded ? new Doorbell(seat.memory.bell) : null,
    };
    if (!registered.threaded) {
      try {
        const provider = await environment.createProvider(registered);
        const runner = new ProviderRunner({
          registered,
          provider,
          contexts,
          attrs,
          inRing: new RingConsumer(seat.memory.inRing),
          outRing: new RingProducer(seat.memory.outRing),
          counters: station.counters,
          workLimit,
          log: createRecordLog(registered.name, (record) => post({ type: "log", record })),
          wake: () => loopBell.ring(),
          tell: (body, transfer) => post({ type: "from-provider", id: registered.id, body }, transfer),
          report: (condition) => post({ type: "condition", id: registered.id, condition }),
        });
        await provider.start?.(runner);
        station.runner = runner;
      } catch (error) {
        const text = error instanceof Error ? error.message : String(error);
        loop.detach(registered);
        post({ type: "provider-failed", id: registered.id, error: text });
        return;
      }
    }
    loop.attach(station);
    post({ type: "attached", id: registered.id });
  };

  const finish = async (early: boolean): Promise<void> => {
    for (const { runner } of loop.stations) {
      try {
        await runner?.provider.finish?.(runner, early);
      } catch (error) {
        runner?.log.error("Provider failed to finish", { early, error: String(error) });
      }
    }
  };

  const deliver = (id: number, body: unknown): void => {
    const runner = loop.stations.find(({ registered }) => registered.id === id)?.runner;
    if (runner) deliverToProvider(runner.provider, runner, body);
  };

  for (const seat of start.providers) await attach(seat);
  let isRunning = false;
  environment.onMessage((message) => {
    if (message.type === "run") isRunning = true;
    else if (message.type === "attach") void attach(message.seat).then(() => loopBell.ring());
    else if (message.type === "detach") loop.detach(message.registered);
    else if (message.type === "to-provider") deliver(message.id, message.body);
    else void finish(true);
    loopBell.ring();
  });
  post({ type: "ready" });

  let breathedAt = clock.now();
  while (!isStopping()) {
    const seen = loopBell.read();
    const more = isRunning && loop.runCycle();
    if (!more) await loopBell.wait(seen, IDLE_WAIT_MS);
    else if (clock.now() - breathedAt > BREATH_MS) await clock.turn();
    else continue;
    breathedAt = clock.now();
  }
  await finish(false);
  post({ type: "stopped" });
}
