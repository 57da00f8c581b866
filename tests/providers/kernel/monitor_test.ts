import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { FromMonitor, KernelChange, MonitorStart } from "../../../core/model/kernel_event.ts";
import { FIRST_READING, READING_REQUEST } from "../../../core/model/kernel_event.ts";
import { Family } from "../../../core/model/route.ts";
import { ERRNO } from "../../../ffi/libc/errno.ts";
import * as c from "../../../ffi/netlink/constants.ts";
import { createLinkMessage, encodeLink } from "../../../ffi/netlink/link.ts";
import { createNexthopMessage, encodeNexthop } from "../../../ffi/netlink/nexthop.ts";
import { createRouteMessage, encodeRoute, type RouteMessage } from "../../../ffi/netlink/route.ts";
import { runMonitor } from "../../../providers/kernel/monitor.ts";
import { FakeListeners } from "../../support/fake_listeners.ts";

const PROTOCOL = 210;
const OUR_PORT = 77;
/** No process has this number. */
const OTHER_PORT = 4_194_305;

function encoded<Message>(encode: (view: DataView, offset: number, message: Message) => number, message: Message) {
  const bytes = new Uint8Array(1024);
  return bytes.slice(0, encode(new DataView(bytes.buffer), 0, message));
}

/** A route of ours that somebody else has changed, unless `fields` say otherwise. */
function route(number: number, fields: Partial<RouteMessage> = {}): Uint8Array {
  return encoded(encodeRoute, {
    ...createRouteMessage(),
    family: Family.IPV4,
    destination: Uint8Array.of(203, 0, number, ...Array(13).fill(0)),
    prefixLength: 24,
    table: 254,
    routeType: c.RTN_UNICAST,
    protocol: PROTOCOL,
    portId: OTHER_PORT,
    ...fields,
  });
}

function nexthop(id: number, portId: number): Uint8Array {
  return encoded(encodeNexthop, { ...createNexthopMessage(), id, portId, family: Family.IPV4, oif: 3, protocol: 99 });
}

function link(name: string): Uint8Array {
  return encoded(encodeLink, { ...createLinkMessage(), type: c.RTM_NEWLINK, ifindex: 3, name });
}

class MonitorBench {
  readonly kernel: FakeListeners;
  readonly posted: FromMonitor[] = [];
  readonly start: MonitorStart = {
    role: "monitor",
    netns: undefined,
    protocol: PROTOCOL,
    portIdCell: new SharedArrayBuffer(4),
    wantRoutes: new SharedArrayBuffer(4),
    taken: new SharedArrayBuffer(4),
    request: new SharedArrayBuffer(4 * READING_REQUEST.WORDS),
    heartbeat: new SharedArrayBuffer(8),
    stop: new SharedArrayBuffer(4),
  };

  constructor(...steps: (() => void)[]) {
    const stop = () => this.set("stop", 1);
    // What the last step queues is heard before the end is noticed.
    this.kernel = new FakeListeners([...steps, stop]);
  }

  set(cell: "portIdCell" | "wantRoutes" | "stop", value: number): void {
    new Int32Array(this.start[cell])[0] = value;
  }

  ask(number: number, ifindex = 0): void {
    const request = new Int32Array(this.start.request);
    request[READING_REQUEST.IFINDEX] = ifindex;
    request[READING_REQUEST.NUMBER] = number;
  }

  hear(listener: 0 | 1, ...datagrams: (Uint8Array | number)[]): void {
    this.kernel.listener(listener).queue.push(...datagrams);
  }

  run(): void {
    runMonitor(this.start, this.kernel.libc, (message) => this.posted.push(message));
  }

  /** Types of what was told after the first reading. */
  types(): string[] {
    return this.later().map(({ type }) => type);
  }

  later(): FromMonitor[] {
    return this.posted.slice(this.posted.findIndex(({ type }) => type === "read") + 1);
  }

  changes(): KernelChange[] {
    return this.posted.flatMap((message) => (message.type === "changes" ? message.changes : []));
  }

  /** Routes by the number in their prefix. */
  routes(): string[] {
    return this.changes().flatMap((each) => (each.kind === "route" ? [`${each.action} ${each.prefix[2]}`] : []));
  }
}

describe("the monitor", () => {
  it("tells of the links, and of a reading in its order, before all else", () => {
    const bench = new MonitorBench();
    bench.kernel.dumped = (type) => (type === c.RTM_GETLINK ? [link("v0")] : []);
    bench.run();
    assert.deepEqual(
      bench.posted.map(({ type }) => type),
      ["links", "nexthops", "read"],
    );
    assert.deepEqual(bench.posted.at(-1), {
      type: "read",
      reading: FIRST_READING,
      routes: 0,
      unreadable: 0,
      complete: { ipv4: true, ipv6: true, nexthops: true },
    });
    const { groups } = bench.kernel.listener(1);
    assert.deepEqual(groups, [c.RTNLGRP_IPV4_ROUTE, c.RTNLGRP_IPV6_ROUTE, c.RTNLGRP_NEXTHOP]);
  });

  it("tells of routes that may be ours, and of all while they are wanted", () => {
    const strange = { protocol: 99 };
    const bench = new MonitorBench(
      () => bench.hear(1, route(1), route(2, strange), route(3, { type: c.RTM_DELROUTE })),
      () =>
        bench.hear(
          1,
          route(4, { ...strange, flags: c.NLM_F_REPLACE }),
          route(5, { ...strange, flags: c.NLM_F_APPEND | c.NLM_F_CREATE }),
          route(6, { ...strange, flags: c.NLM_F_CREATE }),
          // The flag of a deletion that has the same bit.
          route(7, { ...strange, type: c.RTM_DELROUTE, flags: c.NLM_F_NONREC }),
        ),
      () => {
        bench.set("wantRoutes", 1);
        bench.hear(1, route(8, strange), route(9, { ...strange, routeFlags: c.RTM_F_CLONED }));
      },
    );
    bench.run();
    assert.deepEqual(bench.routes(), ["new 1", "delete 3", "new 4", "new 5", "new 8"]);
    const isOurs = bench.changes().map((each) => each.kind === "route" && each.isOurs);
    assert.deepEqual(isOurs, [true, true, true, true, false]);
    assert.deepEqual(bench.types(), ["changes", "changes", "changes"], "one message for what came together");
  });

  it("says who made a change, and never tells of our own", () => {
    const bench = new MonitorBench(
      () => {
        bench.set("portIdCell", OUR_PORT);
        bench.hear(1, route(1, { portId: OUR_PORT }), nexthop(10, OUR_PORT), route(2, { portId: 0 }), nexthop(11, 0));
      },
      () => {
        // A provider started anew has another port, and the last words of the one before are still on their way.
        bench.set("portIdCell", OUR_PORT + 1);
        const portId = OUR_PORT + 1;
        bench.hear(1, route(3, { portId: OUR_PORT }), route(4, { portId }), route(5), nexthop(12, OTHER_PORT));
      },
    );
    bench.run();
    const told = bench.changes().map((each) => {
      assert.ok(each.kind === "route" || each.kind === "nexthop");
      return [each.kind === "route" ? each.prefix[2] : each.id, each.by, each.portId];
    });
    assert.deepEqual(told, [
      [2, "the kernel", 0],
      [11, "the kernel", 0],
      [5, `netlink port ${OTHER_PORT}`, OTHER_PORT],
      [12, `netlink port ${OTHER_PORT}`, OTHER_PORT],
    ]);
    assert.equal(bench.kernel.listener(1).filters, 2, "the kernel drops them first");
  });

  it("does not tell of what a provider did that has started just now", () => {
    const bench = new MonitorBench(() => {
      bench.kernel.onReceive = () => bench.set("portIdCell", OUR_PORT);
      bench.hear(1, route(1, { portId: OUR_PORT }), route(2));
    });
    bench.run();
    assert.deepEqual(bench.routes(), ["new 2"]);
  });

  it("tells of many changes in messages of at most 512", () => {
    const bench = new MonitorBench(
      () => bench.hear(1, ...Array.from({ length: 1000 }, (_, n) => route(n & 255))),
      () => {},
    );
    bench.run();
    const sizes = bench.posted.flatMap((message) => (message.type === "changes" ? [message.changes.length] : []));
    assert.deepEqual(sizes, [512, 488]);
  });

  it("asks for a reading once when notifications were lost, until one is asked for", () => {
    const bench = new MonitorBench(
      () => bench.hear(1, route(1), ERRNO.ENOBUFS, route(2)),
      () => bench.hear(1, ERRNO.ENOBUFS),
      () => {
        bench.hear(1, ERRNO.ENOBUFS);
        bench.ask(1);
      },
      () => bench.hear(1, ERRNO.ENOBUFS, route(3)),
    );
    bench.run();
    const types = bench.types().filter((type) => type !== "log");
    assert.deepEqual(types, ["overrun", "changes", "nexthops", "read", "overrun", "changes"]);
    assert.deepEqual(bench.routes(), ["new 1", "new 2", "new 3"]);
  });

  it("reads the links anew when it lost some of them, and asks for a reading", () => {
    const bench = new MonitorBench(
      () => bench.hear(0, ERRNO.ENOBUFS, link("old")),
      () => bench.hear(0, link("v1")),
    );
    bench.kernel.dumped = (type) => (type === c.RTM_GETLINK ? [link("v0")] : []);
    bench.run();
    const types = bench.types().filter((type) => type !== "log");
    assert.deepEqual(types, ["overrun", "changes", "links", "changes"]);
  });

  it("goes on when the links cannot be read, and tries again", () => {
    let fails = false;
    const bench = new MonitorBench(
      () => {
        fails = true;
        bench.hear(0, ERRNO.ENOBUFS);
      },
      () => {},
      () => {
        fails = false;
      },
    );
    bench.kernel.dumped = (type) => (type === c.RTM_GETLINK && fails ? ERRNO.ENOMEM : []);
    bench.run();
    assert.deepEqual(bench.kernel.dumps.filter((type) => type === c.RTM_GETLINK).length, 1 + 3);
    assert.deepEqual(bench.posted.filter(({ type }) => type === "links").length, 2);
  });

  it("reads when asked, of the interface that is asked for, and says what is not complete", () => {
    const asked: number[] = [];
    const bench = new MonitorBench(
      () => bench.ask(7, 3),
      () => bench.ask(9),
      () => {},
    );
    bench.kernel.dumped = (type, request) => {
      if (type === c.RTM_GETROUTE) asked.push(request.length);
      const family = request[c.NLMSG_HDRLEN];
      return type === c.RTM_GETROUTE && family === Family.IPV6 ? ERRNO.ENOMEM : [];
    };
    bench.run();
    const read = bench.posted.flatMap((message) => (message.type === "read" ? [message] : []));
    assert.deepEqual(
      read.map(({ reading }) => reading),
      [FIRST_READING, 7, 9],
    );
    assert.deepEqual(read.at(-1)!.complete, { ipv4: true, ipv6: false, nexthops: true });
    // RTA_OIF.
    const [whole] = asked;
    assert.deepEqual(asked, [whole, whole, whole! + 8, whole! + 8, whole, whole]);
    assert.ok(bench.posted.some((message) => message.type === "log" && message.record.level === "error"));
  });

  it("hears while it reads, and takes back what it told when the table changed underneath", () => {
    const bench = new MonitorBench();
    let tries = 0;
    bench.kernel.dumped = (type, request) => {
      if (type !== c.RTM_GETROUTE || request[c.NLMSG_HDRLEN] !== Family.IPV6) return [];
      tries += 1;
      bench.hear(0, link("v0"));
      if (tries === 1) bench.kernel.sockets.find(({ groups }) => groups.length === 1)!.queue.push(route(1));
      return Array.from({ length: 5000 }, (_, n) => route(n & 255, { family: Family.IPV6, prefixLength: 64 }));
    };
    bench.run();
    assert.equal(tries, 2);
    const told = bench.posted.map((message) => message.type);
    const restarted = told.indexOf("restarted");
    assert.ok(told.indexOf("changes") < restarted, "the link was heard during the first try");
    assert.ok(told.indexOf("routes") < restarted && told.lastIndexOf("routes") > restarted);
    const last = bench.posted.find((message) => message.type === "read")!;
    assert.deepEqual([last.routes, last.unreadable, last.complete.ipv6], [0, 5000, true]);
  });
});
