/** The provider of a plugin keeps to the contract of all providers, with a real process behind it. */
import { after, describe } from "node:test";
import { ProviderPriority } from "../../../core/dataplane/provider.ts";
import { selectRuntime } from "../../../ffi/runtime/select.ts";
import { createPluginProvider } from "../../../providers/plugin/provider.ts";
import { testProviderContract } from "../../conformance/provider_cases.ts";
import { PluginFolder, PluginSpec, pluginHostCommand } from "../../support/plugin_host.ts";

const runtime = await selectRuntime();
const folder = new PluginFolder();
after(() => folder.remove());

const PLUGINS: Readonly<Record<string, string>> = {
  "one by one": "update() {}, undo() {},",
  "in batches": "process() {}, undo() {},",
  "that waits": "async process() { await new Promise((wake) => setTimeout(wake, 1)); }, async undo() { await 1; },",
  "that only exports": "export() {},",
};

for (const [name, members] of Object.entries(PLUGINS)) {
  describe(`the provider of a plugin ${name}`, () => {
    const { spec } = new PluginSpec(folder.write(`${name.replaceAll(" ", "_")}.ts`, members));
    testProviderContract({
      priority: ProviderPriority.PRE_KERNEL,
      create: () =>
        createPluginProvider({ ...spec, id: 1 }, { libc: runtime.openLibc(), command: pluginHostCommand() }),
      threaded: [true],
    });
  });
}
