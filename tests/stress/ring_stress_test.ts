import assert from "node:assert/strict";
import { describe, it } from "node:test";

import { URL } from "node:url";
import { Worker } from "node:worker_threads";
import { now } from "../../core/clock.ts";
import { Contexts, createContextStorage } from "../../core/context/contexts.ts";
import { U32 } from "../../core/context/layout.ts";
import { Prng } from "../../core/prng.ts";
import { createDoorbellStorage, Doorbell } from "../../core/ring/doorbell.ts";
import { createRingStorage, EMPTY, RingConsumer, RingObserver, RingProducer } from "../../core/ring/spsc_ring.ts";
import type { RingWork } from "../support/ring_worker.ts";
import { keepAlive, until } from "../support/wait.ts";

function startWorker(kind: RingWork["kind"], count: number, capacity: number) {
  const work: RingWork = {
    kind,
    count,
    seed: 42,
    ring: createRingStorage(capacity),
    back: createRingStorage(capacity),
    contexts: createContextStorage(capacity),
    bell: createDoorbellStorage(),
    backBell: createDoorbellStorage(),
  };
  const worker = new Worker(new URL("../support/ring_worker.ts", import.meta.url), { workerData: work });
  const answer = new Promise<unknown>((resolve, reject) => {
    worker.once("message", resolve);
    worker.once("error", reject);
  });
  return { work, worker, answer };
}

describe("rings between two threads", () => {
  for (const [capacity, count] of [
    [8, 1_000_000],
    [1024, 8_000_000],
  ] as const) {
    it(`${count} contexts through a ring of ${capacity}: in order, with what was written before they were pushed`, async () => {
      const { work, worker, answer } = startWorker("produce", count, capacity);
      const ring = new RingConsumer(work.ring);
      const back = new RingProducer(work.back);
      const contexts = new Contexts(work.contexts);
      const prng = new Prng(1);
      const list = new Uint32Array(capacity);
      for (let slot = 0; slot < capacity; slot++) back.push(slot);
      const check = (slot: number, number: number): void => {
        const found = contexts.getU32(slot, U32.TABLE);
        if (found !== number || contexts.getU32(slot, U32.LINE) !== ~number >>> 0) {
          assert.fail(`context ${slot} says ${found}, not ${number}`);
        }
      };
      const deadline = now() + 120_000;
      for (let number = 0; number < count; ) {
        let taken = 0;
        if (prng.chance(0.3)) {
          const slot = ring.pop();
          if (slot !== EMPTY) {
            list[0] = slot;
            taken = 1;
          }
        } else taken = ring.popMany(list, 0, 1 + prng.below(capacity));
        for (let index = 0; index < taken; index++) check(list[index]!, number++);
        assert.equal(back.pushMany(list, 0, taken), taken);
        if (taken > 0) continue;
        assert.ok(now() < deadline, `${number} of ${count} came`);
        await new Promise((resolve) => setImmediate(resolve));
      }
      assert.equal(await answer, "done");
      assert.equal(new RingObserver(work.ring).depth, 0);
      assert.ok(new RingObserver(work.ring).highWater <= capacity);
      await worker.terminate();
    });
  }

  it("a bell that is rung after a push is never slept through", async () => {
    const count = 20_000;
    const { work, worker, answer } = startWorker("echo", count, 64);
    const ring = new RingProducer(work.ring);
    const back = new RingConsumer(work.back);
    const [bell, backBell] = [new Doorbell(work.bell), new Doorbell(work.backBell)];
    const prng = new Prng(3);
    let [sent, received, timeouts] = [0, 0, 0];
    while (received < count) {
      const seen = backBell.read();
      for (let burst = prng.below(4); burst >= 0 && sent < count && sent - received < 64; burst--) {
        assert.ok(ring.push(sent++));
        bell.ring();
      }
      const element = back.pop();
      if (element !== EMPTY) {
        assert.equal(element, received++);
        continue;
      }
      if (sent < count && sent - received < 64 && prng.chance(0.5)) continue;
      const before = now();
      await keepAlive(backBell.wait(seen, 5000));
      if (now() - before > 4000) timeouts++;
    }
    assert.equal(timeouts, 0, "this thread was woken each time");
    assert.equal(await answer, 0, "and so was the other");
    await worker.terminate();
  });
});

describe("clock", () => {
  it("says about the same in all threads, however late they started", async () => {
    const started = performance.now();
    await until("the threads' starts lie apart", () => performance.now() - started >= 200);
    const before = now();
    const { worker, answer } = startWorker("clock", 0, 8);
    const there = Number(await answer);
    const after = now();
    assert.ok(there >= before - 50 && there <= after + 50, `${before} ${there} ${after}`);
    await worker.terminate();
  });
});
