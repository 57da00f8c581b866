import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { SYSTEM_CLOCK } from "../../../core/clock.ts";
import { formatPrefix } from "../../../core/model/prefix.ts";
import { createRouteUpdate } from "../../../core/model/route.ts";
import { NorthboundCounters } from "../../../core/northbound/counters.ts";
import { SplitKind } from "../../../core/northbound/splitter.ts";
import { BodyEnd, UpdateBody } from "../../../core/northbound/update_body.ts";
import { UPDATE_DEFAULTS } from "../../../core/northbound/update_rules.ts";

const RESOLVER = { deviceIndex: () => 2, vrfTable: () => 0 };
const line = (number: number): string => `{"prefix":"10.0.0.${number}/32","nexthops":[{"dev":"v0"}]}\n`;

function streamOf(chunks: readonly Uint8Array[]): ReadableStream<Uint8Array> {
  const left = [...chunks];
  return new ReadableStream({
    pull(controller) {
      const chunk = left.shift();
      if (chunk === undefined) controller.close();
      else controller.enqueue(chunk);
    },
  });
}

async function prefixesOf(body: UpdateBody): Promise<string[]> {
  const prefixes: string[] = [];
  const update = createRouteUpdate();
  while (await body.read()) {
    for (let kind = body.next(); kind !== SplitKind.NONE; kind = body.next()) {
      assert.equal(body.parse(kind, update, RESOLVER, UPDATE_DEFAULTS), null);
      prefixes.push(formatPrefix(update.family, update.prefix, 0, update.prefixLength));
    }
  }
  return prefixes;
}

describe("the body of updates", () => {
  it("lets each chunk go as soon as it has been taken apart, and keeps what goes on in the next", async () => {
    const bytes = new TextEncoder().encode([1, 2, 3, 4, 5].map(line).join(""));
    // Between lines, within one, and within the first one of a buffer that others have as well.
    const shared = bytes.slice();
    const cuts = [0, line(1).length, line(1).length + 20, 2 * line(1).length + 5];
    const chunks = cuts.slice(1).map((end, index) => bytes.slice(cuts[index], end));
    chunks.push(shared.subarray(cuts.at(-1)));
    const body = new UpdateBody(streamOf(chunks), "", {
      counters: new NorthboundCounters(),
      collectGarbage: () => {},
      dataplane: { clock: SYSTEM_CLOCK },
    });
    assert.deepEqual(await prefixesOf(body), [
      "10.0.0.1/32",
      "10.0.0.2/32",
      "10.0.0.3/32",
      "10.0.0.4/32",
      "10.0.0.5/32",
    ]);
    assert.equal(body.end, BodyEnd.COMPLETE);
    assert.equal(body.line, 5);
    assert.deepEqual(
      chunks.slice(0, 3).map(({ buffer }) => buffer.byteLength),
      [0, 0, 0],
    );
    assert.equal(shared.length, bytes.length, "it is not the body's alone");
  });
});
