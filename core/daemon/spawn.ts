/** Worker threads of the daemon: how one is started, and how its messages and its end are told apart. */
import type { URL } from "node:url";
import { parentPort, Worker } from "node:worker_threads";
import type { DataplaneStart, ProviderStart, ThreadEnvironment, ToThread } from "../dataplane/thread.ts";
import type { MonitorStart } from "../model/kernel_event.ts";

/** What a worker is started with; `role` says which of the daemon's threads it is. */
export type WorkerStart = DataplaneStart | ProviderStart | MonitorStart;

/** Starts main.ts again as a thread: a compiled binary has only that one entry. */
export function spawnWorker<Message>(
  entry: URL,
  start: WorkerStart,
  events: { onMessage(message: Message): void; onExit(error: string): void },
): { post(message: ToThread, transfer?: readonly ArrayBuffer[]): void; terminate(): Promise<void> } {
  const worker = new Worker(entry, { workerData: start });
  let failure = "";
  worker.on("message", (message: Message) => events.onMessage(message));
  worker.on("error", (error: unknown) => {
    failure = error instanceof Error ? error.message : String(error);
  });
  worker.on("exit", (code: number) => events.onExit(failure || (code === 0 ? "" : `exit code ${code}`)));
  return {
    post: (message, transfer = []) => worker.postMessage(message, [...transfer]),
    terminate: async () => {
      await worker.terminate();
    },
  };
}

/** The far end of {@linkcode spawnWorker}, in the thread. Messages that come before there is a handler are kept. */
export function threadPort(): Pick<ThreadEnvironment, "post" | "onMessage"> {
  const port = parentPort!;
  const early: ToThread[] = [];
  let handler = (message: ToThread): void => {
    early.push(message);
  };
  port.on("message", (message: ToThread) => handler(message));
  return {
    post: (message, transfer = []) => port.postMessage(message, [...transfer]),
    onMessage: (newHandler) => {
      handler = newHandler;
      for (const message of early.splice(0)) handler(message);
    },
  };
}
