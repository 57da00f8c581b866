/**
 * The one entry of dplaned, and the only place that knows all its parts. The first thread reads the command line and is
 * either a client or the daemon; further threads are this same file, started with a role.
 */
import { readFileSync, readlinkSync } from "node:fs";
import { fileURLToPath, URL } from "node:url";
import { isMainThread, parentPort, workerData } from "node:worker_threads";
import { spawnWorker, threadPort, type WorkerStart } from "./core/daemon/spawn.ts";
import type { ProviderFactory } from "./core/dataplane/provider.ts";
import { runDataplane } from "./core/dataplane/run.ts";
import { runProvider } from "./core/dataplane/run_provider.ts";
import type { Libc } from "./ffi/libc/symbols.ts";
import { selectRuntime } from "./ffi/runtime/select.ts";
import { createFpmProvider } from "./providers/fpm/provider.ts";
import { runMonitor } from "./providers/kernel/monitor.ts";
import { createKernelProvider, type KernelOptions } from "./providers/kernel/provider.ts";
import { createPluginProvider } from "./providers/plugin/provider.ts";
import { createRecordProvider } from "./providers/record/provider.ts";
import { createTestProvider } from "./providers/test/provider.ts";

/** Stands in the environment of a daemon that has started itself again, so that it does so once. */
const CONFINED = "DPLANED_CONFINED";

/** Builds the providers that dplaned brings along, by their kind. */
function providerFactory(libc: Libc): ProviderFactory {
  return (provider) => {
    switch (provider.kind) {
      case "kernel":
        return createKernelProvider(libc, provider.options as unknown as KernelOptions);
      case "test":
        return createTestProvider(provider);
      case "record":
        return createRecordProvider(provider);
      case "fpm":
        return createFpmProvider(provider);
      case "plugin":
        return createPluginProvider(provider, { libc, command: hostCommand() });
      default:
        throw new RangeError(`Cannot make provider "${provider.name}": there is no kind "${provider.kind}"`);
    }
  };
}

/** The argument that makes this program the process of a plugin. */
const PLUGIN_HOST = "plugin-host";

/** How this program is started as the process of a plugin. */
function hostCommand(): string[] {
  const entry = fileURLToPath(import.meta.url);
  // A compiled program is its own entry.
  if (entry.startsWith("/$bunfs/")) return [process.execPath, PLUGIN_HOST];
  const run = "Deno" in globalThis ? ["run", "-A", "--no-check", "--quiet"] : [];
  return [process.execPath, ...run, entry, PLUGIN_HOST];
}

/** What a worker thread does from its start to its end. */
async function runThread(start: WorkerStart): Promise<void> {
  // The handler of messages stands before the first wait; Bun would lose what comes earlier.
  const port = threadPort();
  const runtime = await selectRuntime();
  const libc = runtime.openLibc();
  const environment = { ...port, createProvider: providerFactory(libc) };
  if (start.role === "dataplane") await runDataplane(start, environment);
  else if (start.role === "provider") await runProvider(start, environment);
  else runMonitor(start, libc, (message, transfer) => parentPort!.postMessage(message, transfer ?? []));
  process.exit(0);
}

/** What the first thread does: a client command, or the daemon. Resolves with the exit status. */
async function runMain(): Promise<number> {
  const { parseArguments } = await import("./core/northbound/cli/grammar.ts");
  const { createCliIo } = await import("./core/northbound/cli/io.ts");
  const io = createCliIo();
  const invocation = parseArguments(process.argv.slice(2), io.columns === undefined ? {} : { columns: io.columns });
  if (!("command" in invocation)) {
    io.stdout(invocation.stdout);
    io.stderr(invocation.stderr);
    return invocation.exitStatus;
  }
  const { command } = invocation;
  if (command.kind !== "run") return (await import("./core/northbound/cli/cli.ts")).runClient(command, io);

  const { runDaemon } = await import("./core/daemon/daemon.ts");
  const { notifySystemd } = await import("./ffi/libc/unix_datagram.ts");
  const { hideMemory, restartConfined } = await import("./ffi/libc/privileges.ts");
  const runtime = await selectRuntime();
  const libc = runtime.openLibc();
  const entry = new URL(import.meta.url);
  return runDaemon(command, {
    spawnThread: (start, events) => spawnWorker(entry, start, events),
    spawnMonitor: (start, events) => spawnWorker(entry, start, events),
    sendDatagram: (socketPath, text) => notifySystemd(libc, socketPath, text),
    collectGarbage: () => runtime.collectGarbage(),
    restartConfined: (capabilities, group) => {
      if (process.env[CONFINED] !== undefined) throw new Error("Starting again with less rights has not helped");
      const groups = group === undefined ? [] : [group];
      const program = { path: readlinkSync("/proc/self/exe"), commandLine: readFileSync("/proc/self/cmdline") };
      restartConfined(libc, program, { capabilities, groups, environment: { ...process.env, [CONFINED]: "1" } });
    },
    hideMemory: () => hideMemory(libc),
    writeError: (text) => io.stderr(text),
  });
}

if (isMainThread && process.argv[2] === PLUGIN_HOST) {
  const { runPluginHost } = await import("./providers/plugin/host.ts");
  runPluginHost(await selectRuntime());
} else if (isMainThread) process.exit(await runMain());
else await runThread(workerData as WorkerStart);
