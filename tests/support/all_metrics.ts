/** `GET /metrics` of a daemon without a kernel that has one of everything: an FPM peer, an FPM client, a plugin. */
import assert from "node:assert/strict";
import { createFpmClientCounterStorage } from "../../core/model/fpm_client_counters.ts";
import { createPluginCounterStorage } from "../../core/model/plugin_counters.ts";
import { Plugins } from "../../core/northbound/plugins.ts";
import { createHarness } from "./api_harness.ts";
import { FpmBench } from "./fpm_bench.ts";
import { until } from "./wait.ts";

export async function readAllMetrics(): Promise<string> {
  const plugins = new Plugins(() => {});
  const counters = createPluginCounterStorage();
  plugins.add({ id: 1, name: "filter", path: "/etc/dplaned/filter.ts", failClosed: false, counters });
  const client = {
    name: "export",
    address: "192.0.2.7:2620",
    profile: "frr",
    counters: createFpmClientCounterStorage(),
    replay: () => undefined,
  };
  const bench = await FpmBench.start({ peers: [{ address: "127.0.0.1", owner: "frr" }] });
  const parts = { plugins, fpmClients: [client], fpmServer: () => bench.server.describe() };
  const harness = await createHarness({ parts });
  try {
    const frr = await bench.connect();
    frr.frame(frr.add({ prefix: "10.2.0.0/16", protocol: 2 }));
    await until("a message was left alone", () => bench.peer?.ignored.kernelRoute === 1);
    const { summary } = await harness.post('{"prefix":"192.0.2.0/24","type":"blackhole"}\n');
    assert.equal(summary.fibProgrammed, 1);
    // The first one counts itself as a request.
    await (await harness.app.request("/metrics")).text();
    return await (await harness.app.request("/metrics")).text();
  } finally {
    await harness.close();
    await bench.close();
  }
}
