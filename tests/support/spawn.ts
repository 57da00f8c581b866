/** How tests start the threads of a dataplane: as real workers, or on the test's own thread. */
import { URL } from "node:url";
import { spawnWorker } from "../../core/daemon/spawn.ts";
import type { Provider, RegisteredProvider } from "../../core/dataplane/provider.ts";
import { runDataplane } from "../../core/dataplane/run.ts";
import { runProvider } from "../../core/dataplane/run_provider.ts";
import type { SpawnThread, ThreadHandle } from "../../core/dataplane/supervisor.ts";
import type { FromThread, ToThread } from "../../core/dataplane/thread.ts";

const ENTRY = new URL("./thread_entry.ts", import.meta.url);

/** Real workers that run tests/support/thread_entry.ts. */
export const spawnRealThread: SpawnThread = (start, events) => spawnWorker<FromThread>(ENTRY, start, events);

/** Real workers, with the handles kept, for tests that kill one. */
export function createKillableSpawn(): { spawn: SpawnThread; threads: { role: string; handle: ThreadHandle }[] } {
  const threads: { role: string; handle: ThreadHandle }[] = [];
  const spawn: SpawnThread = (start, events) => {
    const handle = spawnRealThread(start, events);
    threads.push({ role: start.role, handle });
    return handle;
  };
  return { spawn, threads };
}

/**
 * "Threads" that share the test's own event loop, so that a test sees and steps through everything. `createProvider` makes
 * the providers.
 */
export function createInlineSpawn(createProvider: (registered: RegisteredProvider) => Provider): SpawnThread {
  return (start, events) => {
    let isGone = false;
    let handler: ((message: ToThread) => void) | null = null;
    const early: ToThread[] = [];
    const environment = {
      post: (message: FromThread) => queueMicrotask(() => isGone || events.onMessage(message)),
      onMessage: (newHandler: (message: ToThread) => void) => {
        handler = newHandler;
        for (const message of early.splice(0)) newHandler(message);
      },
      createProvider,
    };
    const exit = (error: string): void => {
      if (!isGone) events.onExit(error);
      isGone = true;
    };
    const running = start.role === "dataplane" ? runDataplane(start, environment) : runProvider(start, environment);
    running.then(
      () => exit(""),
      (error: unknown) => exit(String(error)),
    );
    return {
      post: (message) => queueMicrotask(() => (handler === null ? early.push(message) : handler(message))),
      terminate: async () => exit("terminated"),
    };
  };
}
