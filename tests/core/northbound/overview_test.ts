import assert from "node:assert/strict";
import { afterEach, beforeEach, describe, it } from "node:test";
import { packedLength, parsePrefix } from "../../../core/model/prefix.ts";
import { Family } from "../../../core/model/route.ts";
import type { ProblemJson } from "../../../core/northbound/api_types.ts";
import { SCHEMAS } from "../../../core/northbound/openapi_schemas.ts";
import type { OverviewJson } from "../../../core/northbound/overview_types.ts";
import { reference } from "../../../core/northbound/schema.ts";
import { JournalKind } from "../../../core/rib/journal.ts";
import { NO_ROUTE } from "../../../core/rib/route_store.ts";
import { createHarness, type Harness, installLine } from "../../support/api_harness.ts";
import { checkSchema } from "../../support/json_schema.ts";

let harness: Harness;
beforeEach(async () => {
  harness = await createHarness();
});
afterEach(() => harness.close());

async function overview(cursor?: string): Promise<OverviewJson> {
  const response = await harness.app.request(`/v1/overview${cursor === undefined ? "" : `?cursor=${cursor}`}`);
  assert.equal(response.status, 200);
  const answer = (await response.json()) as OverviewJson;
  assert.equal(checkSchema(answer, reference("Overview"), SCHEMAS), "");
  return answer;
}

function routeOf(text: string): number {
  const address = new Uint8Array(16);
  const packed = parsePrefix(text, address, 0, true);
  for (const { id } of harness.rib.classes.values()) {
    const route = harness.rib.store(Family.IPV4).find(address, packedLength(packed), id);
    if (route !== NO_ROUTE) return route;
  }
  throw new Error(`There is no route to ${text}`);
}

describe("GET /v1/overview", () => {
  it("says the same as the calls that it stands for", async () => {
    await harness.post(`${installLine(1)}${installLine(2)}nonsense\n`, { query: "?owner=bgp" });
    await harness.app.request("/v1/nexthop-groups/7", {
      method: "PUT",
      body: JSON.stringify({ members: [{ via: "192.0.2.1", dev: "v0" }, { dev: "v1" }] }),
    });
    const all = await overview();
    const ask = async (path: string) => (await harness.app.request(path)).json();
    const { resultsQueued, ...dplane } = all.dplane;
    assert.equal(resultsQueued, 0);
    assert.deepEqual(dplane, await ask("/v1/dplane"));
    assert.deepEqual({ providers: all.providers }, await ask("/v1/providers"));
    assert.deepEqual(all.kernel, await ask("/v1/audit"));
    assert.deepEqual(all.fpm, await ask("/v1/fpm"));
    assert.deepEqual({ ready: all.ready, reasons: all.reasons }, await ask("/readyz"));
    const { owners } = (await ask("/v1/owners")) as { owners: { name: string }[] };
    assert.deepEqual(
      all.owners,
      owners.filter(({ name }) => name !== ""),
    );
    const { nexthopGroups } = (await ask("/v1/nexthop-groups")) as { nexthopGroups: object[] };
    assert.deepEqual(all.nexthopGroups.groups, [{ ...nexthopGroups[0], memberCount: 2 }]);
    assert.deepEqual(all.routes, { ipv4: 2, ipv6: 0, adopted: 0 });
    assert.equal(all.latencies.stages.total.count, 2);
    assert.equal(
      all.latencies.stages.total.buckets.reduce((sum, count) => sum + count, 0),
      2,
    );
    assert.equal(all.latencies.boundsMs.length + 1, all.latencies.stages.total.buckets.length);
    assert.deepEqual([all.clients.streams, all.clients.streamsOpen], [1, 0]);
    assert.ok(all.process.rssBytes > 1e6);
  });

  it("tells failures and drift with their route, cause and hint, and each only once to who shows the cursor", async () => {
    harness.kernel.answer = (io, slot) => io.contexts.fail(slot, 101, "Nexthop has invalid gateway");
    await harness.post(installLine(1), { query: "?owner=bgp" });
    const first = await overview();
    const [failure] = first.troubles;
    assert.equal(first.troubles.length, 1);
    assert.deepEqual(
      [failure?.event, failure?.prefix, failure?.table, failure?.metric, failure?.owner, failure?.provider],
      ["result", "10.0.0.1/32", 254, 20, "bgp", "kernel"],
    );
    assert.equal(failure?.error?.code, "ENETUNREACH");
    assert.match(failure!.error!.hint!, /no route to 192\.0\.2\.1 on v0/);
    assert.match(failure!.summary, /^bgp: install via 192\.0\.2\.1 dev v0: failed in provider kernel: Nexthop/);
    assert.deepEqual((await overview(first.cursor)).troubles, []);

    harness.journal.note(JournalKind.DRIFT_MISSING, Family.IPV4, routeOf("10.0.0.1/32"), { text: "ip[7]" });
    harness.journal.note(JournalKind.RETRIED, Family.IPV4, routeOf("10.0.0.1/32"), { text: "link v0" });
    const { troubles, cursor } = await overview(first.cursor);
    assert.deepEqual(
      troubles.map(({ event, prefix, drift, summary }) => [event, prefix, drift, summary]),
      [["drift", "10.0.0.1/32", "missing", "drift: deleted by ip[7]"]],
    );
    assert.deepEqual((await overview(cursor)).troubles, []);
    assert.equal((await overview()).troubles.length, 2);
  });

  it("keeps the latest failures, whatever succeeds after them", async () => {
    harness.kernel.answer = (io, slot) => io.contexts.fail(slot, 101, "no");
    let body = "";
    for (let number = 0; number < 70; number++) body += installLine(number);
    await harness.post(body, { query: "?ack=none" });
    harness.kernel.answer = (io, slot) => io.contexts.succeed(slot);
    body = "";
    for (let number = 0; number < 1000; number++) body += installLine(1000 + number);
    await harness.post(body, { query: "?ack=none" });
    const { troubles } = await overview();
    assert.equal(troubles.length, 64);
    assert.equal(troubles.at(-1)?.prefix, "10.0.0.69/32");
  });

  it("lists of many nexthop groups those with trouble", async () => {
    for (let id = 1; id <= 30; id++) {
      const members = id === 30 ? [{ via: "192.0.2.1", dev: "v0" }] : [{ dev: "v1" }];
      await harness.app.request(`/v1/nexthop-groups/${id}`, { method: "PUT", body: JSON.stringify({ members }) });
    }
    harness.kernel.answer = (io, slot) => io.contexts.fail(slot, 101, "Nexthop has invalid gateway");
    const many = Array.from({ length: 20 }, (_, index) => ({ via: `192.0.2.${index + 1}`, dev: "v0" }));
    await harness.app.request("/v1/nexthop-groups/30", { method: "PUT", body: JSON.stringify({ members: many }) });
    const { nexthopGroups } = await overview();
    const { count, failed, groups } = nexthopGroups;
    assert.deepEqual([count, failed, groups.length], [30, 1, 20]);
    const [first] = groups;
    assert.deepEqual([first?.id, first?.status, first?.members.length, first?.memberCount], [30, "fib_failed", 16, 20]);
  });

  it("begins anew with a cursor of an earlier life, and refuses what is none", async () => {
    harness.kernel.answer = (io, slot) => io.contexts.fail(slot, 101, "no");
    await harness.post(installLine(1));
    const { cursor } = await overview();
    assert.equal((await overview(cursor.replace(/^\d+/, "1"))).troubles.length, 1);
    const response = await harness.app.request("/v1/overview?cursor=x");
    assert.equal(response.status, 400);
    assert.match(((await response.json()) as ProblemJson).detail!, /is no cursor/);
  });
});
