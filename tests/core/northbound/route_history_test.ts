/** `GET /v1/routes/history`. */
import assert from "node:assert/strict";
import { afterEach, beforeEach, describe, it } from "node:test";
import { NO_ATTRS } from "../../../core/context/attrs.ts";
import { U32 } from "../../../core/context/layout.ts";
import { Family } from "../../../core/model/route.ts";
import type {
  HistoryEntryJson,
  ProblemJson,
  RouteHistoryJson,
  RouteStoryJson,
} from "../../../core/northbound/api_types.ts";
import { SCHEMAS } from "../../../core/northbound/openapi_schemas.ts";
import { reference } from "../../../core/northbound/schema.ts";
import { JournalKind } from "../../../core/rib/journal.ts";
import { createHarness, type Harness } from "../../support/api_harness.ts";
import { checkSchema } from "../../support/json_schema.ts";
import { until } from "../../support/wait.ts";

const PREFIX = "203.0.113.0/24";

let harness: Harness;
beforeEach(async () => {
  harness = await createHarness();
});
afterEach(() => harness.close());

async function history(query = ""): Promise<RouteHistoryJson> {
  const response = await harness.app.request(`/v1/routes/history?prefix=${PREFIX}${query}`);
  assert.equal(response.status, 200);
  const answer = (await response.json()) as RouteHistoryJson;
  assert.equal(checkSchema(answer, reference("RouteHistory"), SCHEMAS), "");
  return answer;
}

async function story(): Promise<RouteStoryJson> {
  const { routes } = await history();
  assert.equal(routes.length, 1);
  return routes[0]!;
}

async function update(owner: string, via: string, fields = {}): Promise<void> {
  const line = JSON.stringify({ prefix: PREFIX, nexthops: [{ via, dev: "v0" }], ...fields });
  await harness.post(`${line}\n`, { query: `?owner=${owner}` });
}

const remove = (owner: string): Promise<void> => update(owner, "10.0.0.1", { op: "delete" });

function refuse(...gateways: number[]): void {
  harness.kernel.answer = (io, slot) => {
    const attrs = io.contexts.getU32(slot, U32.ATTRS);
    if (attrs !== NO_ATTRS && gateways.includes(io.attrs.nexthop(attrs, 0).via[3]!)) {
      io.contexts.fail(slot, 101, "Nexthop has invalid gateway");
    } else io.contexts.succeed(slot);
  };
}

/** A claim or an entry without its nexthops' details. */
const viaOf = (part: { attributes?: RouteStoryJson["kernel"] }): string | undefined =>
  part.attributes?.nexthops?.[0]?.via;

describe("GET /v1/routes/history", () => {
  it("tells who asked, what became of it and how long it took", async () => {
    const before = Date.now();
    await update("bgp", "10.0.0.2");
    const { route, claims, kernel, entries } = await story();
    assert.equal(route?.status, "fib_programmed");
    assert.deepEqual(claims, [
      {
        owner: "bgp",
        distance: 20,
        selected: true,
        attributes: { type: "unicast", nexthops: [{ via: "10.0.0.2", dev: "v0", weight: 1 }] },
      },
    ]);
    assert.equal(kernel, undefined, "it holds what is wanted");
    const [{ time, queueMs, pipelineMs, resultMs, attributes, ...entry }] = entries as [HistoryEntryJson];
    assert.deepEqual(entry, {
      event: "result",
      owner: "bgp",
      op: "install",
      status: "fib_programmed",
      change: "new",
      summary: "bgp: install via 10.0.0.2 dev v0: programmed",
    });
    assert.deepEqual(attributes, claims[0]!.attributes);
    assert.ok(time >= before - 20 && time <= Date.now() + 20, "milliseconds since 1970");
    for (const stage of [queueMs, pipelineMs, resultMs]) assert.ok(stage! >= 0);
  });

  it("tells why each claim is or is not selected", async () => {
    await update("first", "10.0.0.2", { distance: 5 });
    await update("later", "10.0.0.3", { distance: 5 });
    await update("worse", "10.0.0.4", { distance: 9 });
    const { claims } = await story();
    assert.deepEqual(
      claims.map(({ owner, distance, selected, notSelected }) => [owner, distance, selected, notSelected]),
      [
        ["first", 5, true, undefined],
        ["later", 5, false, "came_later"],
        ["worse", 9, false, "higher_distance"],
      ],
    );
    assert.deepEqual(claims.map(viaOf), ["10.0.0.2", "10.0.0.3", "10.0.0.4"]);
  });

  it("gives advice with what was last, and not with what failed before for a reason of its own", async () => {
    refuse(9);
    await update("bgp", "10.0.0.9");
    const last = (entries: readonly HistoryEntryJson[]) => entries.at(-1)!.error?.hint;
    assert.match(last((await story()).entries)!, /no route to 10\.0\.0\.9 on v0/);
    refuse(0);
    await update("bgp", "10.0.0.9");
    const { entries } = await story();
    assert.ok(entries.some(({ status }) => status === "fib_failed"));
    for (const { error } of entries) assert.equal(error?.hint, undefined);
  });

  it("tells that the kernel refused a better claim, why, and what it holds instead of what is wanted", async () => {
    refuse(9);
    await update("bgp", "10.0.0.2");
    await update("static", "10.0.0.9", { distance: 1 });
    await until("the refused route has its entry", () => harness.rib.reconciler.queued === 0);
    const { claims, kernel, entries } = await story();
    assert.deepEqual(
      claims.map(({ owner, selected, notSelected }) => [owner, selected, notSelected]),
      [
        ["bgp", true, undefined],
        ["static", false, "refused"],
      ],
    );
    assert.deepEqual([claims[1]!.provider, claims[1]!.error?.code], ["kernel", "ENETUNREACH"]);
    assert.match(claims[1]!.error!.hint!, /no route to 10\.0\.0\.9 on v0/);
    assert.equal(kernel, undefined);
    const failed = entries.find(({ status }) => status === "fib_failed")!;
    assert.deepEqual([failed.owner, failed.status, failed.change], ["static", "fib_failed", "replace"]);
    assert.equal(failed.error?.message, "Nexthop has invalid gateway");
    await remove("bgp");
    const alone = await story();
    assert.equal(alone.route?.owner, "static");
    assert.equal(alone.kernel, null, "nothing of what is wanted");
    refuse();
    await update("static", "10.0.0.5", { distance: 1 });
    refuse(6);
    await update("static", "10.0.0.6", { distance: 1 });
    assert.equal(viaOf({ attributes: (await story()).kernel }), "10.0.0.5");
  });

  it("tells of a withdrawal which let another take over, and of what the daemon does by itself", async () => {
    await update("bgp", "10.0.0.2");
    await update("static", "10.0.0.3", { distance: 1 });
    await remove("static");
    harness.journal.note(JournalKind.DRIFT_MISSING, Family.IPV4, 1, { text: "ip[4711]" });
    harness.journal.note(JournalKind.REPAIR_DELAYED, Family.IPV4, 1, { delayMs: 500.4, text: "ip[4711]" });
    harness.journal.note(JournalKind.DRIFT_REPLACED, Family.IPV4, 1, { protocol: 12 });
    harness.rib.lose(Family.IPV4, 1, 60_000);
    const { nextTryMs, kernel, entries } = await story();
    assert.equal(kernel, null);
    assert.ok(nextTryMs! > 30_000 && nextTryMs! <= 60_000);
    const deleted = entries.find((entry) => entry.op === "delete")!;
    const { owner, status, change, winner } = deleted;
    assert.deepEqual([owner, status, change, winner], ["static", "fib_programmed", "replace", "bgp"]);
    assert.equal(viaOf(deleted), "10.0.0.2");
    assert.deepEqual(
      entries.filter(({ event }) => event !== "result").map(({ time, summary, ...rest }) => rest),
      [
        { event: "displaced", owner: "bgp", other: "static" },
        { event: "promoted", owner: "bgp", other: "static" },
        { event: "drift", drift: "missing", text: "ip[4711]" },
        { event: "repair_delayed", text: "ip[4711]", delayMs: 500 },
        { event: "drift", drift: "replaced", protocol: "bird" },
      ],
    );
  });

  it("remembers a route that is gone", async () => {
    await update("bgp", "10.0.0.2");
    await remove("bgp");
    const { route, claims, kernel, entries } = await story();
    assert.deepEqual([route, claims, kernel], [null, [], undefined]);
    assert.deepEqual(
      entries.map(({ op, change }) => [op, change]),
      [
        ["install", "new"],
        ["delete", "delete"],
      ],
    );
  });

  it("tells each table, metric and source by itself, and those only that are asked for", async () => {
    await update("bgp", "10.0.0.2");
    await update("bgp", "10.0.0.2", { metric: 7 });
    await update("bgp", "10.0.0.2", { vrf: "blue" });
    const keys = async (query: string): Promise<unknown[]> =>
      (await history(query)).routes.map(({ table, metric, entries }) => [table, metric, entries.length]);
    assert.deepEqual(await keys(""), [
      [100, 20, 1],
      [254, 7, 1],
      [254, 20, 1],
    ]);
    assert.deepEqual(await keys("&table=blue"), [[100, 20, 1]]);
    assert.deepEqual(await keys("&table=254&metric=7"), [[254, 7, 1]]);
    assert.deepEqual(await keys("&metric=8"), []);
  });

  it("tells the latest entries only, and how many there are beside", async () => {
    for (let times = 0; times < 4; times++) await update("bgp", `10.0.0.${times + 2}`);
    const { omitted, routes } = await history("&limit=1");
    assert.deepEqual([omitted, routes[0]!.entries.map(viaOf)], [3, ["10.0.0.5"]]);
  });

  it("takes a source of the prefix's own family only, and knows the default route of both", async () => {
    const nexthops = [{ dev: "v0" }];
    const lines = [
      { prefix: "::/0", source: "2001:db8::/32", nexthops },
      { prefix: "0.0.0.0/0", nexthops },
    ];
    await harness.post(lines.map((line) => `${JSON.stringify(line)}\n`).join(""));
    const get = (query: string) => harness.app.request(`/v1/routes/history?prefix=${query}`);
    const both = (await (await get("default")).json()) as RouteHistoryJson;
    assert.deepEqual(
      both.routes.map(({ prefix, source }) => [prefix, source]),
      [
        ["0.0.0.0/0", undefined],
        ["::/0", "2001:db8::/32"],
      ],
    );
    const one = (await (await get("::/0&source=2001:db8::/32")).json()) as RouteHistoryJson;
    assert.equal(one.routes[0]!.entries.length, 1);
    const other = (await (await get("::/0&source=2001:db8::/33")).json()) as RouteHistoryJson;
    assert.deepEqual(other.routes, []);
    for (const [query, detail] of [
      ["10.0.0.0/8&source=2001:db8::/32", /different families/],
      ["10.0.0.1/8", /^prefix: /],
      ["::/0&source=x", /^source: /],
      ["::/0&limit=0", /limit cannot be/],
    ] as const) {
      const answer = await get(query);
      assert.equal(answer.status, 400);
      assert.match(((await answer.json()) as ProblemJson).detail!, detail);
    }
  });
});
