/** What the threads of the dataplane say to each other besides contexts: plain data through the worker's port. */
import type { Clock } from "../clock.ts";
import type { LogRecord } from "../log.ts";
import type { DataplaneMemory, ProviderMemory } from "./memory.ts";
import type { Provider, ProviderCondition, ProviderFactory, ProviderIo, RegisteredProvider } from "./provider.ts";

/** A provider with its queues. */
export interface ProviderSeat {
  registered: RegisteredProvider;
  memory: ProviderMemory;
}

/** Starts the dataplane thread. */
export interface DataplaneStart {
  role: "dataplane";
  memory: DataplaneMemory;
  workLimit: number;
  /** Those that live on this thread; the others are attached when their own threads are ready. */
  providers: ProviderSeat[];
}

/** Starts the thread of one threaded provider. */
export interface ProviderStart {
  role: "provider";
  memory: DataplaneMemory;
  workLimit: number;
  seat: ProviderSeat;
}

/** From the main thread. */
export type ToThread =
  /** The dataplane thread takes a provider into the pipeline. */
  | { type: "attach"; seat: ProviderSeat }
  /** The pipeline is complete, as far as its providers could be started: work begins. */
  | { type: "run" }
  /** The thread of a provider has ended, or did not come up. */
  | { type: "detach"; registered: RegisteredProvider }
  /** No new work will come (FRR: `zebra_dplane_pre_finish`). */
  | { type: "finish-early" }
  /** For one provider: {@linkcode Provider.onMessage}. */
  | { type: "to-provider"; id: number; body: unknown };

/** To the main thread. */
export type FromThread =
  | { type: "ready" }
  | { type: "attached"; id: number }
  /** A provider could not be started; the pipeline goes on without it. */
  | { type: "provider-failed"; id: number; error: string }
  | { type: "stopped" }
  /** From one provider: {@linkcode ProviderIo.report}. */
  | { type: "condition"; id: number; condition: ProviderCondition }
  /** From one provider: {@linkcode ProviderIo.tell}. */
  | { type: "from-provider"; id: number; body: unknown }
  | { type: "log"; record: LogRecord };

/** What a thread is given besides its start message. */
export interface ThreadEnvironment {
  /** `transfer` names buffers of the message that move over instead of being copied. */
  post(message: FromThread, transfer?: readonly ArrayBuffer[]): void;
  /** Registers the one handler of messages; those that came before are handed over first. */
  onMessage(handler: (message: ToThread) => void): void;
  createProvider: ProviderFactory;
  /** The machine's own where there is none. */
  clock?: Clock;
}

/** How long a thread with nothing to do sleeps before it shows a sign of life. */
export const IDLE_WAIT_MS = 250;

/** How long a thread works before it lets its event loop run: messages, and timers of providers. */
export const BREATH_MS = 2;

/** Hands a message of the main thread to a provider, whose exceptions are its own affair. */
export function deliverToProvider(provider: Provider, io: ProviderIo, body: unknown): void {
  try {
    provider.onMessage?.(io, body);
  } catch (error) {
    io.log.error("Provider threw an exception over a message", { provider: io.name, error: String(error) });
  }
}
