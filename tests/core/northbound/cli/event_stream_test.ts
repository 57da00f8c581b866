/** Reading server-sent events. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { readEvents } from "../../../../core/northbound/cli/event_stream.ts";

async function eventsOf(text: string) {
  async function* lines() {
    yield* text.split("\n");
  }
  return await Array.fromAsync(readEvents(lines()));
}

describe("readEvents", () => {
  it("reads names and data, and passes over comments, ids and empty events", async () => {
    const text =
      ": hello\n\nid: 7\nevent: result\ndata: {}\n\nevent:health\ndata:1\r\ndata: 2\r\n\r\nevent: empty\n\ndata: x\n\n";
    assert.deepEqual(await eventsOf(text), [
      { name: "result", data: "{}" },
      { name: "health", data: "1\n2" },
      { name: "message", data: "x" },
    ]);
  });

  it("drops an event that the end of the stream cut off", async () => {
    assert.deepEqual(await eventsOf("event: result\ndata: {"), []);
  });
});
