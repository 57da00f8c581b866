import assert from "node:assert/strict";
import { afterEach, describe, it } from "node:test";
import type { Clock } from "../../../core/clock.ts";
import { SYSTEM_CLOCK } from "../../../core/clock.ts";
import { encodeRecord } from "../../../core/context/route_record.ts";
import { KernelWatch } from "../../../core/daemon/kernel_watch.ts";
import {
  type FromMonitor,
  type KernelChange,
  type MonitorStart,
  READING_REQUEST,
} from "../../../core/model/kernel_event.ts";
import { LinkTable } from "../../../core/model/link_table.ts";
import { Family, UpdateOp } from "../../../core/model/route.ts";
import { Drift } from "../../../core/rib/drift.ts";
import { Journal } from "../../../core/rib/journal.ts";
import { NexthopGroups } from "../../../core/rib/nexthop_groups.ts";
import { Retrier } from "../../../core/rib/retry.ts";
import { Harness } from "../../support/harness.ts";
import { createInlineSpawn } from "../../support/spawn.ts";
import { numberedUpdate } from "../../support/updates.ts";
import { until } from "../../support/wait.ts";

const COMPLETE = { ipv4: true, ipv6: true, nexthops: true };

/** A watch whose monitor thread is the test, over a dataplane that has nothing to do. */
class WatchBench {
  readonly harness: Harness;
  readonly watch: KernelWatch;
  readonly links = new LinkTable();
  readonly groups: NexthopGroups;
  readonly drift: Drift;
  /** Monitor threads that were started. */
  readonly monitors: { start: MonitorStart; tell: (message: FromMonitor) => void; die: (error: string) => void }[] = [];

  constructor(clock: Clock = SYSTEM_CLOCK) {
    this.harness = new Harness({ spawn: createInlineSpawn(() => ({ process: () => {} })), clock });
    const { rib, dataplane, log } = this.harness;
    const { links } = this;
    this.drift = new Drift(() => clock.now());
    this.groups = new NexthopGroups(rib, dataplane, links, "off");
    this.watch = new KernelWatch({
      spawn: (start, events) => {
        new Float64Array(start.heartbeat)[0] = 1; // it has come up
        this.monitors.push({ start, tell: events.onMessage, die: events.onExit });
        return { terminate: () => Promise.resolve() };
      },
      netns: undefined,
      protocol: 210,
      portIdCell: new SharedArrayBuffer(4),
      staleTimeMs: 3_600_000,
      auditIntervalMs: 0,
      links,
      rib,
      drift: this.drift,
      retrier: new Retrier(rib),
      journal: new Journal(rib, 64),
      groups: this.groups,
      onLog: () => {},
      onChange: () => {},
      onDrift: () => {},
      onHealthChange: () => {},
      onGivenUp: () => {},
      log,
    });
  }

  async start(): Promise<void> {
    const adopted = this.watch.start();
    this.tellRead(0);
    await adopted;
    this.watch.run();
  }

  /** The number of the reading that the thread is asked for. */
  get request(): number {
    return new Int32Array(this.monitors.at(-1)!.start.request)[READING_REQUEST.NUMBER]!;
  }

  tellRead(reading: number): void {
    this.monitors.at(-1)!.tell({ type: "read", reading, routes: 0, unreadable: 0, complete: COMPLETE });
  }
}

describe("the watch over the kernel", () => {
  let bench: WatchBench;
  afterEach(() => bench.watch.stop());

  it("takes what a dead thread had told for the end of no reading but its own", async () => {
    bench = new WatchBench();
    await bench.start();
    const broken = bench.watch.audit();
    await until("it is asked for", () => bench.request !== 0);
    const { request } = bench;
    bench.monitors[0]!.die("gone");
    bench.tellRead(request);
    await assert.rejects(broken, /broken off: gone/);
    await until("another is started", () => bench.monitors.length === 2);
    const audit = bench.watch.audit();
    await until("that is asked", () => bench.request > request);
    bench.tellRead(request);
    bench.tellRead(bench.request);
    assert.equal((await audit).complete, true);
    assert.deepEqual(
      bench.harness.log.records.map(({ message }) => message),
      ["The thread that listens to the kernel ended; another is started"],
    );
    assert.equal(bench.watch.audits, 1);
  });

  it("has the kernel read when a thread takes over, also before the first audit", async () => {
    bench = new WatchBench();
    await bench.start();
    bench.monitors[0]!.die("gone");
    await until("another is started", () => bench.monitors.length === 2);
    bench.tellRead(0);
    await until("the kernel is read", () => bench.request === 1);
    assert.equal(bench.harness.log.records.length, 1);
  });

  it("has the kernel read again that was found to hold a route twice at the start", async () => {
    bench = new WatchBench();
    const adopted = bench.watch.start();
    const bytes = new Uint8Array(1024);
    const view = new DataView(bytes.buffer);
    let length = 0;
    for (const gateway of [1, 2]) {
      length = encodeRecord(view, bytes, length, numberedUpdate(1, UpdateOp.INSTALL, gateway), 0);
    }
    bench.monitors[0]!.tell({ type: "routes", reading: 0, records: bytes.buffer.slice(0, length), count: 2 });
    bench.tellRead(0);
    await adopted;
    bench.watch.run();
    await until("the kernel is read", () => bench.request === 1);
  });

  it("takes nothing for gone with a link that was down for a moment", async () => {
    bench = new WatchBench();
    await bench.start();
    const { tell } = bench.monitors[0]!;
    const told: [number, boolean][] = [];
    bench.groups.onLink = (ifindex) => {
      told.push([ifindex, bench.links.get(ifindex)!.up]);
    };
    const common = { altNames: [], kind: "", mtu: 1500, master: 0, vrfTable: 0 };
    const change = (ifindex: number, up: boolean): KernelChange => {
      const link = { ...common, ifindex, name: `v${ifindex}`, up, carrier: up };
      return { kind: "link", action: "new", link };
    };
    tell({ type: "changes", changes: [change(2, true), change(3, true)] });
    tell({ type: "changes", changes: [change(2, false), change(3, false), change(2, true)] });
    await until("both are told", () => told.length >= 4);
    assert.deepEqual(told, [
      [2, true],
      [3, true],
      [2, true],
      [3, false],
    ]);
  });

  it("leaves routes to a reading that may not be on their group any more", async () => {
    bench = new WatchBench();
    await bench.start();
    const { rib, owner } = bench.harness;
    const { isForReading } = bench.groups.routes;
    const [changed, unanswered, other] = [1, 2, 3].map((number) => {
      const update = numberedUpdate(number);
      assert.equal(rib.want(update, owner), null);
      return rib.findRoute(update);
    }) as [number, number, number];
    assert.equal(isForReading(Family.IPV4, other), false);
    bench.drift.hear(Family.IPV4, changed, { by: "ip[5]", portId: 5 });
    rib.doubt(Family.IPV4, unanswered);
    assert.deepEqual([isForReading(Family.IPV4, changed), isForReading(Family.IPV4, unanswered)], [true, true]);
    assert.equal(isForReading(Family.IPV4, other), false);
    await until("the kernel is read", () => bench.request === 1);
    assert.equal(isForReading(Family.IPV4, changed), true, "until that is at its end");
  });

  it("rests after a reading, but not for ever because the process stood still in the middle of one", async () => {
    let jumpMs = 0;
    const delays: number[] = [];
    const setTimeout: Clock["setTimeout"] = (callback, delayMs) => {
      delays.push(Math.round(delayMs));
      return SYSTEM_CLOCK.setTimeout(callback, Math.min(delayMs, 50));
    };
    bench = new WatchBench({ ...SYSTEM_CLOCK, now: () => SYSTEM_CLOCK.now() + jumpMs, setTimeout });
    await bench.start();
    const audit = bench.watch.audit();
    await until("it is asked for", () => bench.request === 1);
    jumpMs = 600_000;
    bench.tellRead(1);
    await audit;
    delays.length = 0;
    bench.monitors[0]!.tell({ type: "overrun" });
    await until("another is asked for", () => bench.request === 2);
    assert.ok(delays[0]! > 9000 && delays[0]! <= 10_000, `after ${delays[0]} ms`);
  });
});
