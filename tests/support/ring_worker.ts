/** The far thread of the ring and doorbell stress tests; what it does is named by its workerData. */
import { parentPort, workerData } from "node:worker_threads";
import { now } from "../../core/clock.ts";
import { Contexts } from "../../core/context/contexts.ts";
import { U32 } from "../../core/context/layout.ts";
import { Prng } from "../../core/prng.ts";
import { Doorbell } from "../../core/ring/doorbell.ts";
import { EMPTY, RingConsumer, RingProducer } from "../../core/ring/spsc_ring.ts";

export interface RingWork {
  kind: "produce" | "echo" | "clock";
  count: number;
  seed: number;
  ring: SharedArrayBuffer;
  back: SharedArrayBuffer;
  contexts: SharedArrayBuffer;
  bell: SharedArrayBuffer;
  backBell: SharedArrayBuffer;
}

const work = workerData as RingWork;
const port = parentPort!;
// Keeps Deno's thread alive while it waits for a bell.
port.on("message", () => {});

/** Fills contexts that come back free with rising numbers and hands them over, in lists of random lengths. */
function produce(): void {
  const ring = new RingProducer(work.ring);
  const back = new RingConsumer(work.back);
  const contexts = new Contexts(work.contexts);
  const prng = new Prng(work.seed);
  const list = new Uint32Array(contexts.slots);
  for (let number = 0; number < work.count; ) {
    const limit = Math.min(1 + prng.below(40), work.count - number);
    const count = back.popMany(list, 0, limit);
    for (let index = 0; index < count; index++) {
      contexts.setU32(list[index]!, U32.TABLE, number);
      contexts.setU32(list[index]!, U32.LINE, ~number >>> 0);
      number++;
    }
    for (let sent = 0; sent < count; ) {
      sent += prng.chance(0.3) ? Number(ring.push(list[sent]!)) : ring.pushMany(list, sent, count - sent);
    }
  }
  port.postMessage("done");
}

/** Gives every element back, sleeping whenever there is none. */
async function echo(): Promise<void> {
  const ring = new RingConsumer(work.ring);
  const back = new RingProducer(work.back);
  const [bell, backBell] = [new Doorbell(work.bell), new Doorbell(work.backBell)];
  let timeouts = 0;
  for (let number = 0; number < work.count; ) {
    const seen = bell.read();
    const element = ring.pop();
    if (element === EMPTY) {
      const before = now();
      await bell.wait(seen, 5000);
      if (now() - before > 4000) timeouts++;
      continue;
    }
    back.push(element);
    backBell.ring();
    number++;
  }
  port.postMessage(timeouts);
}

if (work.kind === "produce") produce();
else if (work.kind === "echo") await echo();
else port.postMessage(now());
