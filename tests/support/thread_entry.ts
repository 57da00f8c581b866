/** The worker threads of the stress tests and the pipeline benchmark: what main.ts is to the daemon. */
import process from "node:process";
import { workerData } from "node:worker_threads";
import { threadPort, type WorkerStart } from "../../core/daemon/spawn.ts";
import type { ProviderFactory } from "../../core/dataplane/provider.ts";
import { runDataplane } from "../../core/dataplane/run.ts";
import { runProvider } from "../../core/dataplane/run_provider.ts";
import { selectRuntime } from "../../ffi/runtime/select.ts";
import { createFpmProvider } from "../../providers/fpm/provider.ts";
import { createPluginProvider } from "../../providers/plugin/provider.ts";
import { createRecordProvider } from "../../providers/record/provider.ts";
import { createTestProvider } from "../../providers/test/provider.ts";
import { createFaultyProvider } from "./faulty_provider.ts";
import { pluginHostCommand } from "./plugin_host.ts";

// The handler of messages stands before the first wait; Bun would lose what comes earlier.
const port = threadPort();
const runtime = await selectRuntime();

const libc = runtime.openLibc();

const createProvider: ProviderFactory = (registered) => {
  if (registered.kind === "test") return createTestProvider(registered);
  if (registered.kind === "record") return createRecordProvider(registered);
  if (registered.kind === "fpm") return createFpmProvider(registered);
  if (registered.kind === "plugin") return createPluginProvider(registered, { libc, command: pluginHostCommand() });
  return createFaultyProvider(registered);
};

const start = workerData as WorkerStart;
const environment = { ...port, createProvider };
if (start.role === "dataplane") await runDataplane(start, environment);
else if (start.role === "provider") await runProvider(start, environment);
process.exit(0);
