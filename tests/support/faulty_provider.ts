/** Providers that do what a provider must not, each named by the kind of its spec. Any thread. */
import { ContextStatus, U8 } from "../../core/context/layout.ts";
import type { Provider, ProviderIo, RegisteredProvider } from "../../core/dataplane/provider.ts";
import { EMPTY } from "../../core/ring/spsc_ring.ts";

const passThrough = (io: ProviderIo): void => {
  for (let slot = io.dequeue(); slot !== EMPTY; slot = io.dequeue()) io.enqueue(slot);
};

export const FAULTY_KINDS: Readonly<Record<string, () => Provider>> = {
  "throws-in-start": () => ({
    start: () => {
      throw new Error("cannot start, as it was told");
    },
    process: passThrough,
  }),
  "never-comes-up": () => ({
    start: () => new Promise<void>(() => {}),
    process: passThrough,
  }),
  "throws-always": () => ({
    process: () => {
      throw new Error("throws in every call");
    },
  }),
  "never-drains": () => ({ process: () => {} }),
  "never-returns-work": () => ({
    process: (io) => {
      while (io.dequeue() !== EMPTY) {}
    },
  }),
  "throws-in-finish": () => ({
    process: passThrough,
    finish: () => {
      throw new Error("cannot finish, as it was told");
    },
  }),
  "undo-throws": () => ({
    process: passThrough,
    undo: () => {
      throw new Error("cannot undo, as it was told");
    },
  }),
  "fails-what-succeeded": () => ({
    process: (io) => {
      for (let slot = io.dequeue(); slot !== EMPTY; slot = io.dequeue()) {
        if (io.contexts.getU8(slot, U8.STATUS) === ContextStatus.SUCCESS) io.contexts.fail(slot, 5, "too late");
        io.enqueue(slot);
      }
    },
  }),
};

export function createFaultyProvider(registered: RegisteredProvider): Provider {
  const create = FAULTY_KINDS[registered.kind];
  if (create === undefined) throw new RangeError(`Cannot make provider: there is no kind "${registered.kind}"`);
  return create();
}
