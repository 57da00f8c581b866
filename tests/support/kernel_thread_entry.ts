/** The worker threads of live tests that program a kernel: what main.ts is to the daemon, with faulty providers beside. */
import process from "node:process";
import { parentPort, workerData } from "node:worker_threads";
import { threadPort, type WorkerStart } from "../../core/daemon/spawn.ts";
import type { ProviderFactory } from "../../core/dataplane/provider.ts";
import { runDataplane } from "../../core/dataplane/run.ts";
import { runProvider } from "../../core/dataplane/run_provider.ts";
import { selectRuntime } from "../../ffi/runtime/select.ts";
import { runMonitor } from "../../providers/kernel/monitor.ts";
import { createKernelProvider, type KernelOptions } from "../../providers/kernel/provider.ts";
import { createTestProvider } from "../../providers/test/provider.ts";
import { createFaultyProvider } from "./faulty_provider.ts";

const start = workerData as WorkerStart;
// The handler of messages stands before the first wait; Bun would lose what comes earlier.
const port = threadPort();
const libc = (await selectRuntime()).openLibc();

const createProvider: ProviderFactory = (registered) => {
  if (registered.kind === "kernel") return createKernelProvider(libc, registered.options as unknown as KernelOptions);
  if (registered.kind === "test") return createTestProvider(registered);
  return createFaultyProvider(registered);
};

const environment = { ...port, createProvider };
if (start.role === "dataplane") await runDataplane(start, environment);
else if (start.role === "provider") await runProvider(start, environment);
else runMonitor(start, libc, (message, transfer) => parentPort!.postMessage(message, transfer ?? []));
process.exit(0);
