import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { packedFamily, packedLength, parsePrefix } from "../../../core/model/prefix.ts";
import { type EventFilter, everyEvent, mayPass, passes } from "../../../core/northbound/event_filter.ts";
import type { EventsJson } from "../../../core/northbound/event_types.ts";
import { EVENT_NAMES, EventBus } from "../../../core/northbound/events.ts";

const time = 1;
const result: EventsJson["result"] = {
  time,
  op: "install",
  prefix: "10.1.0.0/16",
  table: 254,
  metric: 20,
  status: "fib_failed",
  owner: "bgp",
};
const link: EventsJson["kernel"] = { time, object: "link", action: "new", text: "v0 state DOWN" };
const route: EventsJson["kernel"] = {
  time,
  object: "route",
  action: "new",
  text: "",
  prefix: "10.1.2.0/24",
  table: 100,
};
const drift: EventsJson["drift"] = {
  time,
  kind: "missing",
  prefix: "10.1.0.0/16",
  table: 254,
  metric: 20,
  owner: "static",
  repairInMs: 0,
  times: 1,
};
const health: EventsJson["health"] = { time, ready: true, reasons: [] };

function prefixFilter(text: string): EventFilter["prefix"] {
  const address = new Uint8Array(16);
  const packed = parsePrefix(text, address, 0, true);
  return { family: packedFamily(packed), address, length: packedLength(packed) };
}

/** What passes of one event of each kind. */
function passing(changes: Partial<EventFilter>): string {
  const filter = { ...everyEvent(EVENT_NAMES), ...changes };
  const events = [
    ["result", passes(filter, "result", result)],
    ["link", passes(filter, "kernel", link)],
    ["route", passes(filter, "kernel", route)],
    ["drift", passes(filter, "drift", drift)],
    ["health", passes(filter, "health", health)],
  ] as const;
  return events.flatMap(([name, does]) => (does ? [name] : [])).join(" ");
}

describe("passes", () => {
  const cases: [what: string, changes: Partial<EventFilter>, passing: string][] = [
    ["everything", {}, "result link route drift health"],
    ["kinds", { names: new Set(["kernel", "drift"]) }, "link route drift"],
    ["objects of the kernel, and whatever is not of it", { objects: new Set(["link"]) }, "result link drift health"],
    ["an owner", { owner: "bgp" }, "result"],
    ["a status", { status: "fib_failed" }, "result"],
    ["another status", { status: "fib_programmed" }, ""],
    ["a table", { table: 254 }, "result drift"],
    ["a prefix", { prefix: prefixFilter("10.1.0.0/16") }, "result drift"],
    ["a prefix and all within", { prefix: prefixFilter("10.1.0.0/16"), longer: true }, "result route drift"],
    ["a prefix that ends within a byte", { prefix: prefixFilter("10.0.0.0/15"), longer: true }, "result route drift"],
    ["what lies beside it", { prefix: prefixFilter("10.2.0.0/15"), longer: true }, ""],
    ["what is within, and not what it is within of", { prefix: prefixFilter("10.1.2.0/24"), longer: true }, "route"],
    ["the other family", { prefix: prefixFilter("::/0"), longer: true }, ""],
    ["the whole family", { prefix: prefixFilter("0.0.0.0/0"), longer: true }, "result route drift"],
  ];
  for (const [what, changes, expected] of cases) it(what, () => assert.equal(passing(changes), expected));

  it("tells of results early what it can", () => {
    const filter = { ...everyEvent(["result"]), owner: "bgp", status: "fib_failed" as const };
    assert.ok(mayPass(filter, "bgp", "fib_failed"));
    assert.ok(!mayPass(filter, "bgp", "fib_programmed"));
    assert.ok(!mayPass(filter, "static", "fib_failed"));
    assert.ok(!mayPass({ ...filter, names: new Set(["kernel"]) }, "bgp", "fib_failed"));
  });
});

describe("EventBus with filters", () => {
  it("gives a listener what passes, and neither counts nor loses the rest", () => {
    const bus = new EventBus();
    const failures = bus.subscribe({ ...everyEvent(["result"]), status: "fib_failed" });
    const all = bus.subscribe(everyEvent(["result"]));
    bus.publish("result", () => result);
    bus.publish("result", () => ({ ...result, status: "fib_programmed", prefix: "10.9.0.0/16" }));
    assert.equal(all.take().match(/event: result/g)?.length, 2);
    assert.match(failures.take(), /^event: result\ndata: .*"fib_failed".*\n\n$/);
    assert.equal(bus.published.result, 2);
    all.close();
    bus.publish("result", () => ({ ...result, status: "superseded" }));
    assert.deepEqual([failures.take(), bus.published.result, bus.dropped], ["", 2, 0]);
  });

  it("asks nobody about a result that nobody may want", () => {
    const bus = new EventBus();
    bus.subscribe({ ...everyEvent(["result"]), status: "fib_failed" });
    assert.ok(!bus.wantsResult("bgp", "fib_programmed"));
    assert.ok(bus.wantsResult("bgp", "fib_failed"));
  });
});
