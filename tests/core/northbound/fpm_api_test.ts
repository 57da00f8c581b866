import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { createFpmClientCounterStorage, FPM_CLIENT_COUNTER } from "../../../core/model/fpm_client_counters.ts";
import type { FpmJson } from "../../../core/northbound/api_types.ts";
import { formatFpm } from "../../../core/northbound/cli/fpm_format.ts";
import { createHarness } from "../../support/api_harness.ts";
import { FpmBench } from "../../support/fpm_bench.ts";
import { until } from "../../support/wait.ts";

function clientOf(name: string) {
  const counters = createFpmClientCounterStorage();
  const values = new Float64Array(counters);
  values[FPM_CLIENT_COUNTER.routesSent] = 1234;
  values[FPM_CLIENT_COUNTER.state] = 2;
  const client = {
    name,
    address: "192.0.2.7:2620",
    profile: "sonic",
    counters,
    replays: 0,
    replay: () => void client.replays++,
  };
  return client;
}

describe("/v1/fpm", () => {
  it("shows that there is neither server nor client", async () => {
    const harness = await createHarness();
    const response = await harness.app.request("/v1/fpm");
    const fpm = (await response.json()) as FpmJson;
    assert.deepEqual(fpm, { server: null, clients: [] });
    assert.equal(formatFpm(fpm), "The FPM server is off; [fpm] listen switches it on\n");
    await harness.close();
  });

  it("shows clients, and has one send everything again", async () => {
    const client = clientOf("export");
    const harness = await createHarness({ parts: { fpmClients: [client] } });
    const fpm = (await (await harness.app.request("/v1/fpm")).json()) as FpmJson;
    assert.deepEqual([fpm.clients[0]!.state, fpm.clients[0]!.counters.routesSent], ["connected", 1234]);
    assert.match(formatFpm(fpm), /^Exporting to 192\.0\.2\.7:2620 \(provider export, profile sonic\): connected/m);
    const metrics = await (await harness.app.request("/metrics")).text();
    assert.match(
      metrics,
      /dplaned_fpm_client_routes_sent_total\{client="export",address="192\.0\.2\.7:2620",profile="sonic"\} 1234/,
    );
    const answer = await harness.app.request("/v1/fpm/clients/export/replay", { method: "POST" });
    assert.deepEqual(
      [answer.status, await answer.json(), client.replays],
      [202, { client: "export", replaying: true }, 1],
    );
    const unknown = await harness.app.request("/v1/fpm/clients/other/replay", { method: "POST" });
    assert.equal(unknown.status, 404);
    assert.match(await unknown.text(), /there is export/);
    await harness.close();
  });

  it("shows the server with its peers, as JSON, as text and as metrics", async () => {
    const bench = await FpmBench.start({ peers: [{ address: "127.0.0.1", owner: "frr" }] });
    const frr = await bench.connect();
    frr.frame(frr.add({ prefix: "10.1.0.0/16", via: ["192.0.2.1"] }), frr.add({ prefix: "10.2.0.0/16", protocol: 2 }));
    await until("it is programmed", () => bench.peer.programmed === 1 && bench.peer.ignored.kernelRoute === 1);
    const harness = await createHarness({ parts: { fpmServer: () => bench.server.describe() } });
    const fpm = (await (await harness.app.request("/v1/fpm")).json()) as FpmJson;
    assert.deepEqual([fpm.server!.peers[0]!.owner, fpm.server!.peers[0]!.state], ["frr", "replaying"]);
    const text = formatFpm(fpm);
    assert.match(
      text,
      /^FPM server on 127\.0\.0\.1:\d+: 1 peer\n127\.0\.0\.1 \(owner frr\): replaying since .*, 1 route\n/,
    );
    assert.match(text, /told: {8}1 route, 0 deletions/);
    assert.match(text, /left alone: {2}kernelRoute 1\n/);
    const metrics = await (await harness.app.request("/metrics")).text();
    assert.match(metrics, /dplaned_fpm_peer_up\{peer="127\.0\.0\.1",owner="frr"\} 1/);
    assert.match(metrics, /dplaned_fpm_routes_total\{peer="127\.0\.0\.1",owner="frr"\} 1/);
    assert.match(metrics, /dplaned_fpm_ignored_total\{peer="127\.0\.0\.1",owner="frr",reason="kernelRoute"\} 1/);
    await harness.close();
    await bench.close();
  });

  it("has numbers of groups that no client may define", async () => {
    const harness = await createHarness();
    const path = "/v1/nexthop-groups/4026531840";
    const body = JSON.stringify({ members: [{ via: "192.0.2.1", dev: "v0" }] });
    const headers = { "content-type": "application/json" };
    const answer = await harness.app.request(path, { method: "PUT", headers, body });
    assert.equal(answer.status, 409);
    assert.equal((await harness.app.request(path, { method: "DELETE" })).status, 409);
    await harness.close();
  });
});
