/** Plugins as the API, the metrics and the command line show them, and a restart that somebody asks for. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import {
  createPluginCounterStorage,
  PLUGIN_COUNTER,
  PLUGIN_METRICS_FROM,
  type PluginMetric,
  type PluginRestart,
} from "../../../core/model/plugin_counters.ts";
import type { ProblemJson } from "../../../core/northbound/api_types.ts";
import { formatProviders } from "../../../core/northbound/cli/format.ts";
import { SCHEMAS } from "../../../core/northbound/openapi_schemas.ts";
import { Plugins } from "../../../core/northbound/plugins.ts";
import type { ProvidersJson } from "../../../core/northbound/provider_types.ts";
import { reference } from "../../../core/northbound/schema.ts";
import { createHarness } from "../../support/api_harness.ts";
import { checkSchema } from "../../support/json_schema.ts";

const refused: PluginMetric = { name: "refused", type: "counter", help: "Refused." };

/** A plugin that is up; `id` 1 is that of the harness's only provider. */
function createPlugins() {
  const told: [number, PluginRestart][] = [];
  const plugins = new Plugins((id, message) => told.push([id, message]));
  const counters = createPluginCounterStorage();
  const values = new Float64Array(counters);
  values[PLUGIN_COUNTER.decided] = 7;
  values[PLUGIN_COUNTER.bypassed] = 2;
  values[PLUGIN_COUNTER.pid] = 4711;
  values[PLUGIN_COUNTER.memoryBytes] = 33 << 20;
  values[PLUGIN_COUNTER.longestCallMs] = 250;
  values[PLUGIN_METRICS_FROM] = 5;
  plugins.add({ id: 1, name: "kernel", path: "/etc/dplaned/filter.ts", failClosed: true, counters });
  plugins.onMessage(1, { type: "plugin-up", metrics: [refused] });
  return { plugins, told, values };
}

describe("plugins in the API", () => {
  it("are shown with what is counted of them, and with what they count themselves", async () => {
    const { plugins, values } = createPlugins();
    const harness = await createHarness({ parts: { plugins } });
    const shown = (await (await harness.app.request("/v1/providers")).json()) as ProvidersJson;
    assert.equal(checkSchema(shown, reference("Providers"), SCHEMAS), "");
    const { plugin } = shown.providers[0]!;
    assert.deepEqual([plugin?.pid, plugin?.failClosed, plugin?.counters.decided], [4711, true, 7]);
    assert.deepEqual(plugin?.metrics, [{ ...refused, value: 5 }]);
    const text = formatProviders(shown);
    assert.match(
      text,
      /^ {2}plugin \/etc\/dplaned\/filter\.ts: pid 4711, 33M, decided: 7, bypassed: 2\n {2}refused: 5$/m,
    );
    values[PLUGIN_COUNTER.pid] = 0;
    const down = (await (await harness.app.request("/v1/providers")).json()) as ProvidersJson;
    assert.equal(Object.hasOwn(down.providers[0]!.plugin!, "pid"), false);
    assert.match(formatProviders(down), /no process, decided: 7/);
    await harness.close();
  });

  it("are in the metrics, their own by their names", async () => {
    const { plugins, values } = createPlugins();
    const harness = await createHarness({ parts: { plugins } });
    const metrics = async () => (await harness.app.request("/metrics")).text();
    const text = await metrics();
    assert.match(text, /^dplaned_provider_plugin_decided_total\{provider="kernel"\} 7$/m);
    assert.match(text, /^dplaned_provider_plugin_longest_call_seconds\{provider="kernel"\} 0\.25$/m);
    assert.match(text, /^# HELP dplaned_plugin_refused_total Refused\.\n# TYPE dplaned_plugin_refused_total counter$/m);
    assert.match(text, /^dplaned_plugin_refused_total\{provider="kernel"\} 5$/m);
    // Another plugin calls something else the same, and a third has more of it.
    const second = createPluginCounterStorage();
    plugins.add({ id: 2, name: "second", path: "/x.ts", failClosed: false, counters: second });
    plugins.onMessage(2, { type: "plugin-up", metrics: [{ name: "refused", type: "gauge", help: "Other." }] });
    assert.doesNotMatch(await metrics(), /dplaned_plugin_refused_total\{provider="second"/);
    new Float64Array(second)[PLUGIN_METRICS_FROM + 1] = 3;
    plugins.onMessage(2, { type: "plugin-up", metrics: [{ name: "depth", type: "gauge", help: "Depth." }, refused] });
    values[PLUGIN_METRICS_FROM] = 6;
    const later = await metrics();
    assert.match(later, /^dplaned_plugin_refused_total\{provider="kernel"\} 6$/m);
    assert.match(later, /^dplaned_plugin_refused_total\{provider="second"\} 3$/m);
    assert.match(later, /^dplaned_plugin_depth\{provider="second"\} 0$/m);
    await harness.close();
  });

  it("are started anew, and it is told what came of it", async () => {
    const { plugins, told } = createPlugins();
    const harness = await createHarness({ parts: { plugins } });
    const restart = (name: string) => harness.app.request(`/v1/providers/${name}/restart`, { method: "POST" });
    const answer = restart("kernel");
    const [id, { type, token }] = told[0]!;
    assert.deepEqual([id, type], [1, "plugin-restart"]);
    plugins.onMessage(1, { type: "plugin-restarted", token, error: "" });
    const body = await (await answer).json();
    assert.deepEqual(body, { provider: "kernel", restarted: true });
    assert.equal(checkSchema(body, reference("ProviderRestart"), SCHEMAS), "");

    const failing = restart("kernel");
    plugins.onMessage(1, { type: "plugin-restarted", token: told[1]![1].token, error: "x.ts:3:1: Unexpected }" });
    const problem = (await (await failing).json()) as ProblemJson;
    assert.deepEqual([problem.status, problem.detail], [409, "x.ts:3:1: Unexpected }"]);

    const unknown = await restart("other");
    assert.equal(unknown.status, 404);
    assert.match(await unknown.text(), /there is kernel/);
    await harness.close();
  });

  it("of which there are none cannot be started anew", async () => {
    const harness = await createHarness();
    const response = await harness.app.request("/v1/providers/kernel/restart", { method: "POST" });
    assert.equal(response.status, 404);
    assert.match(await response.text(), /kind = \\"plugin\\"/);
    await harness.close();
  });
});
