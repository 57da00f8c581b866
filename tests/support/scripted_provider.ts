/** A provider that records what it sees and does what a test tells it to. */
import { ContextFlag } from "../../core/context/layout.ts";
import { type Provider, type ProviderIo, ProviderPriority } from "../../core/dataplane/provider.ts";

export class ScriptedProvider implements Provider {
  /** Every context that `process` got, in order. */
  readonly seen: number[] = [];
  readonly undone: number[] = [];
  /** Contexts taken in each call of `process`. */
  readonly calls: number[] = [];
  /** Says the fate of a context before it is put out. */
  decide: (io: ProviderIo, slot: number) => void;

  constructor(decide: (io: ProviderIo, slot: number) => void = () => {}) {
    this.decide = decide;
  }

  process(io: ProviderIo): void {
    const slots = new Uint32Array(io.workLimit);
    const count = io.dequeueMany(slots, io.workLimit);
    this.calls.push(count);
    for (let index = 0; index < count; index++) {
      this.seen.push(slots[index]!);
      this.decide(io, slots[index]!);
    }
    io.enqueueMany(slots, count);
  }

  undo(_io: ProviderIo, slot: number): void {
    this.undone.push(slot);
  }
}

/** Stands in for the kernel: all that does not skip it has been programmed. */
export function programs(io: ProviderIo, slot: number): void {
  if (!io.contexts.hasFlag(slot, ContextFlag.SKIP_KERNEL)) io.contexts.succeed(slot);
}

export const { PREPROCESS, PRE_KERNEL, KERNEL, POST_KERNEL, POSTPROCESS } = ProviderPriority;
