import assert from "node:assert/strict";
import { afterEach, beforeEach, describe, it } from "node:test";
import { compareOverviews } from "../../../../core/northbound/cli/top_sample.ts";
import type { OverviewJson } from "../../../../core/northbound/overview_types.ts";
import { createHarness, type Harness, installLine } from "../../../support/api_harness.ts";

let harness: Harness;
beforeEach(async () => {
  harness = await createHarness();
});
afterEach(() => harness.close());

async function overview(): Promise<OverviewJson> {
  return (await (await harness.app.request("/v1/overview")).json()) as OverviewJson;
}

describe("compareOverviews", () => {
  it("makes rates of what happened between two answers", async () => {
    await harness.post(installLine(1), { query: "?owner=bgp" });
    const before = await overview();
    harness.kernel.answer = (io, slot) => io.contexts.fail(slot, 101, "no");
    await harness.post(installLine(2), { query: "?owner=bgp" });
    harness.kernel.answer = (io, slot) => io.contexts.succeed(slot);
    await harness.post(`${installLine(3)}${installLine(4)}nonsense\n`, { query: "?owner=static" });
    const now = { ...(await overview()), time: before.time + 2000 };
    const sample = compareOverviews(now, before);
    assert.equal(sample.seconds, 2);
    const { updates, programmed, failed, rejected, superseded } = sample.rates;
    assert.deepEqual([updates, programmed, failed, rejected, superseded], [1.5, 1, 0.5, 0.5, 0]);
    assert.deepEqual(sample.routes, { ipv4: 4, ipv6: 0, adopted: 0, refused: 1, contested: 0 });
    const [kernel] = sample.providers;
    assert.deepEqual(
      [kernel?.inPerSecond, kernel?.outPerSecond, kernel?.errorsPerSecond, kernel?.errors],
      [1.5, 1, 0.5, 1],
    );
    assert.deepEqual(
      sample.owners.map(({ name, routes, routesPerSecond }) => [name, routes, routesPerSecond]),
      [
        ["bgp", 2, 0.5],
        ["static", 2, 1],
      ],
    );
    assert.ok(sample.latencyMs.total.p50! > 0 && sample.latencyMs.total.p99! >= sample.latencyMs.total.p50!);
    assert.equal(sample.troubles.length, 1);
  });

  it("measures nothing where nothing happened", async () => {
    await harness.post(installLine(1));
    const before = await overview();
    const sample = compareOverviews({ ...before, time: before.time + 1000 }, before);
    assert.ok(Object.values(sample.rates).every((rate) => rate === 0));
    assert.deepEqual(sample.latencyMs.total, { p50: null, p99: null });
  });
});
