/**
 * Which contexts are in use. Lives on the main thread alone: it takes a slot before admitting an update and gives it
 * back after the result, so the free list needs no sharing (FRR allocates and frees each context; its own TODO asks for
 * a pool).
 */
import { assert } from "../assert.ts";
import type { Contexts } from "./contexts.ts";

export const NO_SLOT = -1;

export class ContextPool {
  #contexts: Contexts;
  /** Last in, first out: as few pages and cache lines are touched as there are updates under way. */
  readonly #free: Uint32Array;
  #freeCount: number;
  readonly #taken: Uint8Array;

  constructor(contexts: Contexts) {
    this.#contexts = contexts;
    this.#free = new Uint32Array(contexts.slots);
    for (let index = 0; index < contexts.slots; index++) this.#free[index] = contexts.slots - 1 - index;
    this.#freeCount = contexts.slots;
    this.#taken = new Uint8Array(contexts.slots);
  }

  get contexts(): Contexts {
    return this.#contexts;
  }

  /** Goes over to other storage of the same size, into which the caller has copied the contexts in use. */
  moveTo(contexts: Contexts): void {
    assert(contexts.slots === this.#contexts.slots, "contexts move to storage of the same size");
    this.#contexts = contexts;
  }

  get size(): number {
    return this.#contexts.slots;
  }

  get free(): number {
    return this.#freeCount;
  }

  /** Takes an empty context, or {@linkcode NO_SLOT} if all are in use. */
  acquire(): number {
    if (this.#freeCount === 0) return NO_SLOT;
    this.#freeCount -= 1;
    const slot = this.#free[this.#freeCount]!;
    this.#taken[slot] = 1;
    this.#contexts.clear(slot);
    return slot;
  }

  /** Gives a context back. Giving back one that is free already is a bug that would hand it to two owners. */
  release(slot: number): void {
    assert(this.#taken[slot] === 1, "a context is released once, while it is taken");
    this.#taken[slot] = 0;
    this.#free[this.#freeCount] = slot;
    this.#freeCount += 1;
  }
}
