/**
 * The provider contract: what a module must offer to take part in the pipeline, and what it is given
 * (FRR: `dplane_provider_register` and the `dplane_provider_*` calls in zebra/zebra_dplane.h).
 */
import type { AttrsReader } from "../context/attrs.ts";
import type { Contexts } from "../context/contexts.ts";
import type { Log } from "../log.ts";

/** Where in the pipeline a provider stands (FRR: `enum dplane_provider_prio`). */
export const ProviderPriority = {
  PREPROCESS: 1,
  PRE_KERNEL: 2,
  KERNEL: 3,
  POST_KERNEL: 4,
  POSTPROCESS: 5,
} as const;
export type ProviderPriority = (typeof ProviderPriority)[keyof typeof ProviderPriority];

/** The words of {@linkcode ProviderPriority} in the config and the API. */
export const PROVIDER_PRIORITY_NAMES: Readonly<Record<ProviderPriority, string>> = {
  [ProviderPriority.PREPROCESS]: "preprocess",
  [ProviderPriority.PRE_KERNEL]: "pre-kernel",
  [ProviderPriority.KERNEL]: "kernel",
  [ProviderPriority.POST_KERNEL]: "post-kernel",
  [ProviderPriority.POSTPROCESS]: "postprocess",
};

/** A provider as plain data, so that any thread can build it (main.ts maps `kind` to the module). */
export interface ProviderSpec {
  /** Names the module: kernel, test, record. */
  kind: string;
  /** Empty for `provider-<id>`. */
  name: string;
  priority: ProviderPriority;
  /** Runs in a thread of its own. */
  threaded: boolean;
  /** The provider's own configuration. */
  options: Readonly<Record<string, unknown>>;
}

/** A provider in the pipeline: its spec with the number it was given, and a name for certain. */
export interface RegisteredProvider extends ProviderSpec {
  id: number;
}

/** What stands for a provider in a context's BYPASSED. */
export function providerBit(id: number): number {
  return 1 << (id - 1);
}

/** Whether a provider does its work, and if not, why and what becomes of updates: they pass it by, or they fail. */
export interface ProviderCondition {
  state: "up" | "bypassed" | "failed";
  /** Empty if it is up. */
  reason: string;
}

/** What a provider is given: its contexts, its queues and its voice. Used on the provider's own thread only. */
export interface ProviderIo {
  readonly id: number;
  readonly name: string;
  readonly options: Readonly<Record<string, unknown>>;
  /** Most contexts to take in one call of `process`. */
  readonly workLimit: number;
  readonly contexts: Contexts;
  readonly attrs: AttrsReader;
  readonly log: Log;
  /** Takes one context from the in queue, or EMPTY (core/ring): of an empty queue, or after the work limit. */
  dequeue(): number;
  /** Takes up to `limit` contexts, at most what is left of the work limit, into `slots` and returns their number. */
  dequeueMany(slots: Uint32Array, limit: number): number;
  /** Puts a context that was taken on the out queue, done or failed. Each taken context goes out exactly once. */
  enqueue(slot: number): void;
  /** Puts `slots[0, count)` on the out queue, in that order. */
  enqueueMany(slots: Uint32Array, count: number): void;
  /**
   * Asks for another call of `process`, for a provider that holds work which is not in its in queue. From a timer or
   * another callback of the provider's own it wakes the thread.
   */
  signalWork(): void;
  /** Says how it stands with the provider; it is up until it says something else. */
  report(condition: ProviderCondition): void;
  /**
   * Sends plain data to whoever on the main thread deals with providers of this kind. Buffers in `transfer` move over
   * instead of being copied. Answers come through {@linkcode Provider.onMessage}.
   */
  tell(body: unknown, transfer?: readonly ArrayBuffer[]): void;
}

/** One module of the pipeline. All calls come from one thread, one after the other. */
export interface Provider {
  /** Once, before the first `process`. */
  start?(io: ProviderIo): void | Promise<void>;
  /**
   * In every cycle, with new work or without: takes at most the work limit, puts each context out exactly once, in the
   * order in which it came unless it waits for something. An exception fails the contexts taken in this call (or due to
   * be, if none was): the provider must not remember them. After several in a row all that it holds has failed.
   */
  process(io: ProviderIo): void;
  /** Takes back what `process` did for this context, because a later provider failed it. The context is not put out. */
  undo?(io: ProviderIo, slot: number): void;
  /** In place of `undo`, for a threaded provider that needs time for it: it puts the context out when that is done. */
  undoLater?(io: ProviderIo, slot: number): void;
  /** What the main thread has sent to this provider, between two calls of `process`. */
  onMessage?(io: ProviderIo, body: unknown): void;
  /** Early: no new work will be admitted, finish what is there. Late: the thread ends, let go of everything. */
  finish?(io: ProviderIo, early: boolean): void | Promise<void>;
}

/** Builds a provider in the thread that will run it. */
export type ProviderFactory = (provider: RegisteredProvider) => Provider | Promise<Provider>;
