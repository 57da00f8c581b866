import assert from "node:assert/strict";
import { afterEach, beforeEach, describe, it } from "node:test";
import { UpdateOp } from "../../../core/model/route.ts";
import type { PlanJson, PlanSummaryJson, ResultJson } from "../../../core/northbound/api_types.ts";
import { SCHEMAS } from "../../../core/northbound/openapi_schemas.ts";
import { reference } from "../../../core/northbound/schema.ts";
import { OWNER_SETTINGS } from "../../../core/rib/owners.ts";
import { createHarness, type Harness, installLine } from "../../support/api_harness.ts";
import { checkSchema } from "../../support/json_schema.ts";
import { numberedUpdate } from "../../support/updates.ts";
import { until } from "../../support/wait.ts";

let harness: Harness;
beforeEach(async () => {
  harness = await createHarness();
});
afterEach(() => harness.close());

interface Plan {
  lines: (PlanJson | ResultJson)[];
  summary: PlanSummaryJson;
}

/** Asks for a plan, and checks that nothing at all is different for it. */
async function plan(method: string, path: string, body = ""): Promise<Plan> {
  const state = (): unknown => {
    const { rib, dataplane } = harness;
    const { ipv4, ipv6, attrs } = rib.counts();
    return {
      counts: [ipv4, ipv6, attrs],
      classes: Array.from(rib.classes.values(), ({ name, routes }) => [name, routes]),
      owners: rib.owners.values().map(({ name, routes, selected, syncedAt }) => [name, routes, selected, syncedAt]),
      updates: dataplane.snapshot().routeUpdates,
      free: dataplane.pool.free,
    };
  };
  const before = state();
  const init = method === "DELETE" ? { method } : { method, body };
  const response = await harness.app.request(path, init);
  const text = await response.text();
  assert.equal(response.status, 200, text);
  const lines = text
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line));
  const last = lines.pop();
  await until("nothing is held", () => harness.rib.holds.size === 0);
  assert.deepEqual(state(), before);
  assert.equal(checkSchema(last, reference("PlanSummaryLine"), SCHEMAS), "");
  for (const line of lines) {
    assert.equal(checkSchema(line, reference("status" in line ? "Result" : "Plan"), SCHEMAS), "");
  }
  return { lines, summary: last.summary };
}

/** A line as `1 replace 10.0.0.1/32 v0>v1 !winner`, with the interfaces of old and new. */
function brief({ lines }: Plan): string[] {
  const via = (route: PlanJson["old"]): string =>
    route === undefined ? "" : `${route.nexthops?.[0]?.dev ?? route.type}@${route.owner}`;
  return lines.map((line) => {
    if (!("plan" in line)) return `${line.line} ${line.status} ${line.error?.code}`;
    const change = line.old === undefined && line.new === undefined ? "" : ` ${via(line.old)}>${via(line.new)}`;
    const rest = `${line.winner === undefined ? "" : ` !${line.winner}`}${line.waitingFor === undefined ? "" : ` ?${line.waitingFor}`}`;
    return `${line.line} ${line.plan} ${line.prefix}${change}${rest}`;
  });
}

const dev = (name: string, fields: object = {}) => ({ nexthops: [{ dev: name }], ...fields });
const deletion = (number: number) => `{"op":"delete","prefix":"10.0.0.${number}/32"}\n`;

describe("a dry run of updates", () => {
  it("tells what the kernel would get, and in place of what", async () => {
    await harness.post(installLine(1, dev("v0")) + installLine(2, dev("v0")) + installLine(3, dev("v0")));
    const body =
      installLine(1, dev("v0", { tag: 9 })) +
      installLine(2, dev("v1")) +
      deletion(3) +
      deletion(4) +
      installLine(5, { nexthops: undefined, type: "blackhole" }) +
      "nonsense\n";
    const planned = await plan("POST", "/v1/routes?dryRun=true", body);
    assert.deepEqual(brief(planned), [
      "1 none 10.0.0.1/32",
      "2 replace 10.0.0.2/32 v0@default>v1@default",
      "3 delete 10.0.0.3/32 v0@default>",
      "4 none 10.0.0.4/32",
      "5 add 10.0.0.5/32 >blackhole@default",
      "6 rejected INVALID_JSON",
    ]);
    const { elapsedMs, ...counts } = planned.summary;
    assert.ok(elapsedMs >= 0);
    assert.deepEqual(counts, { received: 6, add: 1, replace: 1, delete: 1, none: 2, rejected: 1 });
    const second = planned.lines[1] as PlanJson;
    assert.deepEqual(second.new, {
      prefix: "10.0.0.2/32",
      table: 254,
      metric: 20,
      type: "unicast",
      nexthops: [{ dev: "v1", weight: 1 }],
      owner: "default",
      status: "fib_programmed",
    });
  });

  it("builds updates of one route on each other", async () => {
    const body =
      installLine(1, dev("v0")) +
      installLine(1, dev("v1")) +
      installLine(1, dev("v1")) +
      deletion(1) +
      deletion(1) +
      installLine(1, dev("v0"));
    assert.deepEqual(brief(await plan("POST", "/v1/routes?dryRun=true", body)), [
      "1 add 10.0.0.1/32 >v0@default",
      "2 replace 10.0.0.1/32 v0@default>v1@default",
      "3 none 10.0.0.1/32",
      "4 delete 10.0.0.1/32 v1@default>",
      "5 none 10.0.0.1/32",
      "6 add 10.0.0.1/32 >v0@default",
    ]);
  });

  it("chooses between owners as the RIB does", async () => {
    await harness.post(installLine(1, dev("v0")) + installLine(2, dev("v0")), { query: "?owner=first" });
    await harness.post(installLine(2, dev("v1")), { query: "?owner=second" });
    const body =
      installLine(1, dev("v1")) +
      installLine(1, dev("v1", { distance: 5 })) +
      deletion(1) +
      installLine(1, dev("v1")) +
      installLine(2, dev("v1", { distance: 1 })) +
      deletion(9);
    assert.deepEqual(brief(await plan("POST", "/v1/routes?dryRun=true&owner=second", body)), [
      "1 none 10.0.0.1/32 !first",
      "2 replace 10.0.0.1/32 v0@first>v1@second",
      "3 replace 10.0.0.1/32 v1@second>v0@first !first",
      "4 none 10.0.0.1/32 !first",
      "5 replace 10.0.0.2/32 v0@first>v1@second",
      "6 none 10.0.0.9/32",
    ]);
    assert.deepEqual(brief(await plan("POST", "/v1/routes?dryRun=true&owner=first", deletion(2) + deletion(1))), [
      "1 replace 10.0.0.2/32 v0@first>v1@second !second",
      "2 delete 10.0.0.1/32 v0@first>",
    ]);
  });

  it("refuses what would be refused, and nothing else", async () => {
    harness.rib.owners.configure([{ name: "small", ...OWNER_SETTINGS, prefixLimit: 2, tables: [254] }]);
    await harness.post(installLine(1), { query: "?owner=big" });
    const body =
      deletion(1) +
      installLine(2) +
      installLine(3) +
      installLine(4) +
      deletion(2) +
      installLine(4) +
      installLine(3, { table: 7 });
    assert.deepEqual(brief(await plan("POST", "/v1/routes?dryRun=true&owner=small&ack=errors", body)), [
      "1 rejected NOT_OWNER",
      "2 add 10.0.0.2/32 >v0@small",
      "3 add 10.0.0.3/32 >v0@small",
      "4 rejected PREFIX_LIMIT",
      "5 delete 10.0.0.2/32 v0@small>",
      "6 add 10.0.0.4/32 >v0@small",
      "7 rejected TABLE_NOT_ALLOWED",
    ]);
  });

  it("takes what was found in the kernel for what it is", async () => {
    for (const number of [1, 2, 3]) harness.adopt(numberedUpdate(number, UpdateOp.INSTALL, 1));
    const same = { nexthops: [{ via: "192.0.0.1", dev: "v0" }] };
    assert.deepEqual(
      brief(
        await plan(
          "POST",
          "/v1/routes?dryRun=true&owner=bgp",
          installLine(1, same) + installLine(2, dev("v1")) + deletion(3),
        ),
      ),
      ["1 none 10.0.0.1/32", "2 replace 10.0.0.2/32 v0@>v1@bgp", "3 delete 10.0.0.3/32 v0@>"],
    );
  });

  it("says of a route whose nexthop group is not there what it would wait for", async () => {
    const body = installLine(1, { nexthops: undefined, nexthopGroup: 7 });
    assert.deepEqual(brief(await plan("POST", "/v1/routes?dryRun=true", body)), [
      "1 none 10.0.0.1/32 ?nexthop-group 7",
    ]);
  });

  it("sends only what ack asks for", async () => {
    await harness.post(installLine(1));
    const body = `${installLine(1)}${installLine(2)}nonsense\n`;
    assert.deepEqual(brief(await plan("POST", "/v1/routes?dryRun=true&ack=errors", body)), [
      "2 add 10.0.0.2/32 >v0@default",
      "3 rejected INVALID_JSON",
    ]);
    const none = await plan("POST", "/v1/routes?dryRun=true&ack=none", body);
    assert.deepEqual([none.lines.length, none.summary.received], [0, 3]);
  });
});

describe("a dry run of a full-state sync", () => {
  it("tells what would be written, and last what would be deleted", async () => {
    harness.rib.owners.configure([{ name: "bgp", ...OWNER_SETTINGS, tables: [254] }]);
    await harness.post(installLine(1) + installLine(2) + installLine(3), { query: "?owner=bgp" });
    await harness.post(installLine(3, dev("v1", { distance: 99 })), { query: "?owner=backup" });
    harness.adopt(numberedUpdate(7, UpdateOp.INSTALL, 1));
    const body = installLine(2, dev("v1")) + installLine(1) + installLine(4, dev("v1"));
    const planned = await plan("PUT", "/v1/owners/bgp/routes?dryRun=true", body);
    assert.deepEqual(brief(planned), [
      "1 replace 10.0.0.2/32 v0@bgp>v1@bgp",
      "2 none 10.0.0.1/32",
      "3 add 10.0.0.4/32 >v1@bgp",
      "0 replace 10.0.0.3/32 v0@bgp>v1@backup !backup",
      "0 delete 10.0.0.7/32 v0@>",
    ]);
    const { elapsedMs, ...counts } = planned.summary;
    assert.ok(elapsedMs >= 0);
    assert.deepEqual(counts, { received: 3, add: 1, replace: 2, delete: 1, none: 1, rejected: 0 });
    const some = await plan("PUT", "/v1/owners/bgp/routes?dryRun=true&ack=errors", body);
    assert.deepEqual([some.lines.length, some.summary.none], [4, 1]);
    const flush = await plan("DELETE", "/v1/owners/bgp/routes?dryRun=true&ack=none");
    assert.deepEqual([flush.summary.delete, flush.summary.replace], [3, 1]);
  });

  it("makes no owner, and is refused as the sync would be", async () => {
    assert.deepEqual(brief(await plan("PUT", "/v1/owners/new/routes?dryRun=true", installLine(1))), [
      "1 add 10.0.0.1/32 >v0@new",
    ]);
    const init = { method: "PUT", body: `${installLine(1)}${installLine(1)}` };
    const response = await harness.app.request("/v1/owners/new/routes?dryRun=true", init);
    assert.equal(response.status, 422);
    await until("nothing is held", () => harness.rib.holds.size === 0);
    assert.deepEqual(harness.rib.owners.values(), []);
    assert.equal((await harness.app.request("/v1/owners/new/routes?dryRun=true", { method: "DELETE" })).status, 404);
  });

  it("comes true", async () => {
    await harness.sync("bgp", installLine(1) + installLine(2) + installLine(3));
    const body = installLine(2, dev("v1")) + installLine(3) + installLine(4);
    const { summary } = await plan("PUT", "/v1/owners/bgp/routes?dryRun=true", body);
    const { summary: done } = await harness.sync("bgp", body);
    const { add, replace, none } = summary;
    assert.deepEqual(
      [add, replace, summary.delete, none],
      [done.installed, done.updated, done.deleted, done.unchanged],
    );
    const { summary: again } = await plan("PUT", "/v1/owners/bgp/routes?dryRun=true", body);
    assert.deepEqual([again.none, again.add + again.replace + again.delete], [3, 0]);
  });

  it("lets go of everything when its client goes away", async () => {
    let body = "";
    for (let number = 0; number < 5000; number++) body += installLine(number);
    for (const [method, path] of [
      ["POST", "/v1/routes?dryRun=true"],
      ["PUT", "/v1/owners/bgp/routes?dryRun=true"],
    ] as const) {
      const response = await harness.app.request(path, { method, body });
      const reader = response.body!.getReader();
      assert.ok((await reader.read()).value!.length > 0);
      await reader.cancel();
      await until("nothing is held", () => harness.rib.holds.size === 0);
      assert.deepEqual([harness.rib.counts().ipv4, harness.rib.attrs.count], [0, 0]);
    }
  });
});
