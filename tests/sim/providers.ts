/** A provider that passes updates on and now and then does not: it fails, throws, keeps some for a while, cannot undo. */

import type { Clock } from "../../core/clock.ts";
import { PROVIDER_EXCEPTIONS_MAX } from "../../core/constants.ts";
import { ContextFlag, DplaneError } from "../../core/context/layout.ts";
import type { Provider, ProviderIo } from "../../core/dataplane/provider.ts";
import { EMPTY } from "../../core/ring/spsc_ring.ts";
import type { Faults } from "./faults.ts";

/** Longest that an update is kept. */
const DELAY_MAX_MS = 3000;

export class UnreliableProvider implements Provider {
  readonly #faults: Faults;
  readonly #clock: Clock;
  /** Kept until then. */
  #kept: { slot: number; until: number }[] = [];
  #exceptionsInARow = 0;

  constructor(faults: Faults, clock: Clock) {
    this.#faults = faults;
    this.#clock = clock;
  }

  process(io: ProviderIo): void {
    const keptBefore = [...this.#kept];
    const isThrowing = this.#faults.happens("providerException");
    if (isThrowing && this.#faults.below("providerException", 2) === 0) this.#throw(keptBefore);
    for (let slot = io.dequeue(); slot !== EMPTY; slot = io.dequeue()) {
      if (this.#faults.happens("providerDelay")) {
        const delayMs = this.#faults.below("providerDelay", DELAY_MAX_MS);
        this.#kept.push({ slot, until: this.#clock.now() + delayMs });
        this.#clock.setTimeout(() => io.signalWork(), delayMs + 1);
      } else this.#put(io, slot);
      if (isThrowing) this.#throw(keptBefore);
    }
    this.#exceptionsInARow = 0;
    const time = this.#clock.now();
    const due = this.#kept.filter(({ until }) => until <= time);
    this.#kept = this.#kept.filter(({ until }) => until > time);
    for (const { slot } of due) this.#put(io, slot);
  }

  undo(): void {
    if (this.#faults.happens("providerUndoFailure")) throw new Error("it cannot be undone");
  }

  #put(io: ProviderIo, slot: number): void {
    if (!io.contexts.hasFlag(slot, ContextFlag.UNDO) && this.#faults.happens("providerFailure"))
      io.contexts.fail(slot, DplaneError.PROVIDER_REFUSED, "the provider does not like it");
    io.enqueue(slot);
  }

  /** What was taken in this call is no longer in hand, and after some calls in a row nothing is. */
  #throw(keptBefore: { slot: number; until: number }[]): never {
    this.#exceptionsInARow += 1;
    this.#kept = this.#exceptionsInARow >= PROVIDER_EXCEPTIONS_MAX ? [] : keptBefore;
    throw new Error("the provider throws");
  }
}
