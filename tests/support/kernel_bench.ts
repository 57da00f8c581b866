/**
 * The kernel provider alone, on the test's own thread and in a real kernel, driven by contexts as the RIB makes them: for
 * what no client can ask for by itself, such as nexthop objects and updates that are replayed.
 */
import assert from "node:assert/strict";
import { AttrsStore } from "../../core/context/attrs_store.ts";
import { ContextStatus, DplaneError, U8, U32 } from "../../core/context/layout.ts";
import { ProviderPriority } from "../../core/dataplane/provider.ts";
import { errnoName } from "../../ffi/libc/errno.ts";
import { selectRuntime } from "../../ffi/runtime/select.ts";
import { createKernelProvider } from "../../providers/kernel/provider.ts";
import { type ContextOptions, fillContext, fillNexthopContext, type NexthopLine } from "./context_lines.ts";
import type { Netns } from "./netns.ts";
import { SteppedPipeline } from "./pipeline.ts";

const libc = (await selectRuntime()).openLibc();

export interface KernelBenchOptions {
  protocol: number;
  portIdCell?: SharedArrayBuffer;
}

export class KernelBench {
  readonly #pipeline = new SteppedPipeline({ workLimit: 64 });
  readonly #store = new AttrsStore(this.#pipeline.attrs.storage);
  readonly devices: Record<string, number> = {};
  /** While set, a later provider fails everything, so that all is taken back. */
  failLater = false;

  constructor(ns: Netns, { protocol, portIdCell }: KernelBenchOptions) {
    for (const { ifname, ifindex } of ns.ipJson("link")) this.devices[ifname] = ifindex;
    const options = { netns: ns.name, protocol, portIdCell };
    this.#pipeline.add(ProviderPriority.KERNEL, createKernelProvider(libc, options));
    this.#pipeline.add(ProviderPriority.POST_KERNEL, {
      process: (io) => {
        for (let slot = io.dequeue(); slot !== -1; slot = io.dequeue()) {
          if (this.failLater) io.contexts.fail(slot, DplaneError.PROVIDER_REFUSED, "later");
          io.enqueue(slot);
        }
      },
    });
  }

  /** Does the updates in one go; each result is `ok`, or the error: `EEXIST text`. */
  apply(...updates: readonly (string | [line: string, options: ContextOptions] | NexthopLine)[]): string[] {
    const { contexts, pool } = this.#pipeline;
    const slots = this.#pipeline.admit(updates.length);
    for (const [index, update] of updates.entries()) {
      const slot = slots[index]!;
      if (typeof update === "object" && "id" in update) fillNexthopContext(contexts, this.#store, slot, update);
      else {
        const [line, options] = typeof update === "string" ? [update, {}] : update;
        fillContext(contexts, this.#store, slot, line, { devices: this.devices, ...options });
      }
    }
    assert.equal(this.#pipeline.drain().length, slots.length);
    const results = slots.map((slot) => {
      if (contexts.getU8(slot, U8.STATUS) === ContextStatus.SUCCESS) return "ok";
      return `${errnoName(contexts.getU32(slot, U32.ERROR))} ${contexts.errorText(slot)}`.trim();
    });
    for (const slot of slots) pool.release(slot);
    return results;
  }

  close(): void {
    for (const { runner } of this.#pipeline.seats) runner.provider.finish?.(runner, false);
  }
}
