import assert from "node:assert/strict";
import { afterEach, beforeEach, describe, it } from "node:test";
import type { ProblemJson } from "../../../core/northbound/api_types.ts";
import { everyEvent } from "../../../core/northbound/event_filter.ts";
import type { EventsJson } from "../../../core/northbound/event_types.ts";
import { EventBus } from "../../../core/northbound/events.ts";
import { SCHEMAS } from "../../../core/northbound/openapi_schemas.ts";
import { reference } from "../../../core/northbound/schema.ts";
import { createHarness, type Harness, installLine } from "../../support/api_harness.ts";
import { checkSchema } from "../../support/json_schema.ts";
import { until } from "../../support/wait.ts";

const kernelEvent = (text: string): EventsJson["kernel"] => ({ time: 1, object: "link", action: "new", text });

describe("EventBus", () => {
  it("makes no event that nobody wants", () => {
    const bus = new EventBus();
    bus.subscribe(everyEvent(["health"]));
    bus.publish("kernel", () => assert.fail("nobody listens to this"));
    assert.equal(bus.published.kernel, 0);
  });

  it("gives each listener what it asked for, made once", () => {
    const bus = new EventBus();
    const both = bus.subscribe(everyEvent(["kernel", "health"]));
    const one = bus.subscribe(everyEvent(["kernel"]));
    let made = 0;
    bus.publish("kernel", () => {
      made += 1;
      return kernelEvent("v0");
    });
    bus.publish("health", () => ({ time: 2, ready: true, reasons: [] }));
    const text = 'event: kernel\ndata: {"time":1,"object":"link","action":"new","text":"v0"}\n\n';
    assert.deepEqual([one.take(), made], [text, 1]);
    assert.equal(both.take(), `${text}event: health\ndata: {"time":2,"ready":true,"reasons":[]}\n\n`);
    assert.equal(one.take(), "");
  });

  it("says when interest begins and ends", () => {
    const bus = new EventBus();
    const told: string[] = [];
    bus.onInterest((name, wanted) => told.push(`${name} ${wanted}`));
    const first = bus.subscribe(everyEvent(["result", "kernel"]));
    const second = bus.subscribe(everyEvent(["result"]));
    first.close();
    first.close();
    second.close();
    assert.deepEqual(told, ["result true", "kernel true", "kernel false", "result false"]);
    assert.equal(bus.subscribers, 0);
  });

  it("drops events for a listener that does not keep up, bounded, told and counted, and only for that one", () => {
    const bus = new EventBus();
    const slow = bus.subscribe(everyEvent(["kernel"]));
    const quick = bus.subscribe(everyEvent(["kernel"]));
    const text = "x".repeat(1000);
    let quickCount = 0;
    for (let number = 0; number < 1000; number++) {
      bus.publish("kernel", () => kernelEvent(text));
      quickCount += quick.take() === "" ? 0 : 1;
    }
    assert.equal(quickCount, 1000);
    assert.ok(slow.waitingLength < 257 * 1024);
    const taken = slow.take();
    const got = taken.match(/event: kernel/g)!.length;
    const lost = Number(/event: lost\ndata: \{"time":\d+,"count":(\d+)\}\n\n$/.exec(taken)![1]);
    assert.deepEqual([got + lost, lost], [1000, bus.dropped]);
    bus.publish("kernel", () => kernelEvent("again"));
    assert.match(slow.take(), /^event: kernel\n.*again/);
  });

  it("makes no event while every listener is full", () => {
    const bus = new EventBus();
    bus.subscribe(everyEvent(["kernel"]));
    const text = "x".repeat(300_000);
    bus.publish("kernel", () => kernelEvent(text));
    bus.publish("kernel", () => assert.fail("there is no room for it"));
  });

  it("ends its subscriptions, and those to come, when it is closed", async () => {
    const bus = new EventBus();
    const before = bus.subscribe(everyEvent(["kernel"]));
    const waiting = before.wait(60_000);
    bus.close();
    await waiting;
    const after = bus.subscribe(everyEvent(["kernel"]));
    assert.deepEqual([before.isClosed, after.isClosed, bus.subscribers], [true, true, 0]);
  });
});

describe("GET /v1/events", () => {
  let harness: Harness;
  beforeEach(async () => {
    harness = await createHarness();
  });
  afterEach(() => harness.close());

  /** Reads a stream of events until the text matches. */
  async function readUntil(reader: ReadableStreamDefaultReader<Uint8Array>, pattern: RegExp): Promise<string> {
    const decoder = new TextDecoder();
    let text = "";
    while (!pattern.test(text)) {
      const { done, value } = await reader.read();
      assert.ok(!done, `the stream ended before ${pattern}; it said ${text}`);
      text += decoder.decode(value, { stream: true });
    }
    return text;
  }

  it("begins with the health, and sends results as they happen", async () => {
    const response = await harness.app.request("/v1/events");
    assert.equal(response.headers.get("content-type"), "text/event-stream");
    const reader = response.body!.getReader();
    const start = await readUntil(reader, /\n\n.*\n\n/s);
    assert.match(start, /event: health\ndata: \{"time":\d+,"ready":true,"reasons":\[\]\}/);
    harness.kernel.answer = (io, slot) => io.contexts.fail(slot, 101, "Nexthop has invalid gateway");
    await harness.post(installLine(1), { query: "?owner=bird&ack=none" });
    const text = await readUntil(reader, /event: result\n.*\n\n/);
    const event = JSON.parse(/data: (.*)\n\n/.exec(text)![1]!) as EventsJson["result"];
    assert.equal(checkSchema(event, reference("ResultEvent"), SCHEMAS), "");
    const { owner, prefix, metric, status, provider, error } = event;
    assert.deepEqual(
      [owner, prefix, metric, status, provider, error?.code],
      ["bird", "10.0.0.1/32", 20, "fib_failed", "kernel", "ENETUNREACH"],
    );
    await reader.cancel();
  });

  it("watches results only while somebody listens to them", async () => {
    const before = harness.rib.observers.length;
    const response = await harness.app.request("/v1/events?types=result,kernel");
    const reader = response.body!.getReader();
    await reader.read();
    assert.equal(harness.rib.observers.length, before + 1);
    await reader.cancel();
    await until("the listener is gone", () => harness.events.subscribers === 0);
    assert.equal(harness.rib.observers.length, before);
  });

  it("ends when the daemon shuts down", async () => {
    const response = await harness.app.request("/v1/events");
    const text = response.text();
    await until("it listens", () => harness.events.subscribers === 1);
    harness.shutdown.abort();
    assert.match(await text, /event: health/);
  });

  it("refuses events that there are not", async () => {
    const response = await harness.app.request("/v1/events?types=result,sparkle");
    assert.equal(response.status, 400);
    assert.match(((await response.json()) as ProblemJson).detail!, /"sparkle"/);
  });
});
