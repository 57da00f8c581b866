/** The thread that listens to the kernel: watched, replaced, and given up, by stand-ins for it. */
import assert from "node:assert/strict";
import { afterEach, describe, it } from "node:test";
import { SYSTEM_CLOCK } from "../../../core/clock.ts";
import { MonitorThread, type MonitorThreadOptions, type SpawnMonitor } from "../../../core/daemon/monitor_thread.ts";
import type { FromMonitor, MonitorStart } from "../../../core/model/kernel_event.ts";
import { createQuietLog } from "../../support/quiet_log.ts";
import { until } from "../../support/wait.ts";

const FIRST_READ: FromMonitor = {
  type: "read",
  reading: 1,
  routes: 0,
  unreadable: 0,
  complete: { ipv4: true, ipv6: true, nexthops: true },
};

class FakeThread {
  readonly start: MonitorStart;
  readonly #events: { onMessage(message: FromMonitor): void; onExit(error: string): void };
  isTerminated = false;
  endsWhenTold = true;
  #timer: ReturnType<typeof setInterval> | null = null;

  constructor(start: MonitorStart, events: FakeThread["events"]) {
    this.start = start;
    this.#events = events;
  }

  get events() {
    return this.#events;
  }

  /** Shows signs of life until {@linkcode freeze}. */
  live(): void {
    const heartbeat = new Float64Array(this.start.heartbeat);
    heartbeat[0] = 1;
    this.#timer = setInterval(() => {
      heartbeat[0]! += 1;
    }, 5);
  }

  freeze(): void {
    if (this.#timer !== null) clearInterval(this.#timer);
  }

  die(error: string): void {
    this.freeze();
    this.#events.onExit(error);
  }

  terminate(): Promise<void> {
    this.isTerminated = true;
    if (!this.endsWhenTold) return new Promise(() => {});
    this.die("");
    return Promise.resolve();
  }
}

let monitor: MonitorThread;
let threads: FakeThread[];

function create(overrides: Partial<MonitorThreadOptions> = {}) {
  threads = [];
  const spawn: SpawnMonitor = (start, events) => {
    const thread = new FakeThread(start, events);
    threads.push(thread);
    return thread;
  };
  const deaths: string[] = [];
  const givenUp: string[] = [];
  const log = createQuietLog();
  monitor = new MonitorThread({
    spawn,
    netns: undefined,
    protocol: 210,
    portIdCell: new SharedArrayBuffer(4),
    onMessage: () => {},
    onDeath: (error) => deaths.push(error),
    onHealthChange: () => {},
    onGivenUp: (reason) => givenUp.push(reason),
    log,
    stuckAfterMs: 200,
    startDeadlineMs: 400,
    clock: SYSTEM_CLOCK,
    ...overrides,
  });
  monitor.start();
  return { deaths, givenUp, log };
}

/** The thread that runs now has come up. */
function comeUp(): FakeThread {
  const thread = threads.at(-1)!;
  thread.live();
  thread.events.onMessage(FIRST_READ);
  return thread;
}

afterEach(async () => {
  for (const thread of threads) {
    thread.freeze();
    thread.endsWhenTold = true;
  }
  await monitor.stop();
});

describe("the monitor thread", () => {
  it("is alive as long as its heart beats", async () => {
    create();
    comeUp();
    assert.equal(monitor.worker().alive, true);
    await until("some time has passed", () => new Float64Array(threads[0]!.start.heartbeat)[0]! > 80);
    assert.equal(monitor.worker().alive, true);
    assert.equal(threads.length, 1);
  });

  it("that dies is replaced, with the reason told", async () => {
    const { deaths, log } = create();
    comeUp().die("exit code 9");
    assert.equal(monitor.worker().alive, false);
    await until("there is another", () => threads.length === 2);
    comeUp();
    assert.equal(monitor.worker().alive, true);
    assert.deepEqual(deaths, ["exit code 9"]);
    assert.ok(log.said("The thread that listens to the kernel ended; another is started"));
  });

  it("that is stuck is ended and replaced", async () => {
    const { deaths, log } = create();
    comeUp().freeze();
    await until("it is ended", () => threads[0]!.isTerminated);
    assert.equal(monitor.worker().alive, false);
    await until("there is another", () => threads.length === 2);
    comeUp();
    assert.equal(monitor.worker().alive, true);
    assert.match(deaths[0]!, /^no sign of life for \d+ ms$/);
    assert.ok(log.said("The thread that listens to the kernel is stuck; it is ended"));
  });

  it("that is replaced and does not come up is ended, too", async () => {
    const { deaths } = create();
    comeUp().die("exit code 9");
    await until("there is another", () => threads.length === 2);
    await until("it is ended", () => threads[1]!.isTerminated);
    assert.match(deaths[1]!, /^it has not come up within 400 ms$/);
  });

  it("that dies again and again is given up", async () => {
    const { deaths, givenUp } = create();
    for (let death = 1; death <= 4; death++) {
      await until("it runs", () => threads.length === death);
      comeUp().die("exit code 9");
    }
    assert.equal(deaths.length, 4);
    assert.deepEqual(givenUp, [
      "the thread that listens to the kernel: it ended 4 times within a minute, last: exit code 9",
    ]);
    assert.equal(monitor.worker().alive, false);
  });

  it("that is stuck and cannot be ended is given up: it may wake up beside its successor", async () => {
    const { givenUp } = create();
    const thread = comeUp();
    thread.endsWhenTold = false;
    thread.freeze();
    await until("it is given up", () => givenUp.length > 0);
    assert.deepEqual(givenUp, ["the thread that listens to the kernel: it is stuck and cannot be ended"]);
    assert.equal(threads.length, 1);
  });

  it("that never came up is the start's failure, and is not tried again", () => {
    const { deaths, givenUp } = create();
    threads[0]!.die("Cannot open netlink socket: EMFILE");
    assert.deepEqual(deaths, ["Cannot open netlink socket: EMFILE"]);
    assert.deepEqual(givenUp, []);
  });
});
