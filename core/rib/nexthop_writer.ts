/**
 * Writes nexthop objects through the dataplane, a context each, and tells what became of it. Main thread only.
 */
import { NO_ATTRS } from "../context/attrs.ts";
import type { AttrsStore } from "../context/attrs_store.ts";
import { ContextFlag, ContextOp, ContextStatus, DplaneError, F64, U8, U32 } from "../context/layout.ts";
import { type NexthopObject, nexthopObjectUpdate } from "../context/nexthop_object.ts";
import type { Dataplane } from "../dataplane/dataplane.ts";
import type { Failure } from "./failures.ts";
import { isInDoubt } from "./rib_context.ts";

/** `errno.h` of Linux, as far as the answers about nexthop objects are told apart. */
export const ENOENT = 2;
export const ENOMEM = 12;
export const EEXIST = 17;
export const EINVAL = 22;
export const EOPNOTSUPP = 95;

/** Why a write failed. */
export interface WriteFailure extends Failure {
  /** The kernel may have done it all the same. */
  isUnsure: boolean;
}

export class NexthopWriter {
  readonly #attrs: AttrsStore;
  readonly #dataplane: Dataplane;
  /** Who waits for the context of a slot. */
  readonly #waiting = new Map<number, (failure: WriteFailure | null) => void>();
  /** Objects of which a write is under way. */
  readonly underWay = new Set<number>();
  /** Called when the write of an object has its answer, before who waits for that goes on. */
  onSettled: (id: number) => void = () => {};
  /** Objects that the kernel was asked to make or change, and to delete. */
  installs = 0;
  deletes = 0;

  constructor(attrs: AttrsStore, dataplane: Dataplane) {
    this.#attrs = attrs;
    this.#dataplane = dataplane;
  }

  get isAccepting(): boolean {
    return this.#dataplane.isAccepting();
  }

  /**
   * Makes the object, or changes it if the kernel is believed to hold `held` under this number. Null once the kernel has
   * confirmed it.
   */
  install(id: number, object: NexthopObject, held: NexthopObject | null): Promise<WriteFailure | null> {
    this.installs += 1;
    return this.#write(ContextOp.NEXTHOP_INSTALL, id, object, held);
  }

  /** Deletes the object; one that is gone already is no failure. */
  remove(id: number, held: NexthopObject | null): Promise<WriteFailure | null> {
    this.deletes += 1;
    return this.#write(ContextOp.NEXTHOP_DELETE, id, null, held);
  }

  /** Whether the kernel has nexthop objects at all (Linux 5.3): it is asked to delete number 0, which no object has. */
  async probe(): Promise<boolean> {
    const failure = await this.#write(ContextOp.NEXTHOP_DELETE, 0, null, null);
    return failure?.error !== EOPNOTSUPP;
  }

  async #write(
    op: typeof ContextOp.NEXTHOP_INSTALL | typeof ContextOp.NEXTHOP_DELETE,
    id: number,
    object: NexthopObject | null,
    held: NexthopObject | null,
  ): Promise<WriteFailure | null> {
    const dataplane = this.#dataplane;
    while (!dataplane.hasRoom()) {
      if (!dataplane.isAccepting()) return refusedHere(DplaneError.SHUTDOWN, "the daemon shuts down");
      await dataplane.waitForRoom();
    }
    const attrs = object === null ? NO_ATTRS : this.#attrs.intern(nexthopObjectUpdate(object));
    const oldAttrs = held === null ? NO_ATTRS : this.#attrs.intern(nexthopObjectUpdate(held));
    if ((object !== null && attrs === NO_ATTRS) || (held !== null && oldAttrs === NO_ATTRS)) {
      for (const taken of [attrs, oldAttrs]) if (taken !== NO_ATTRS) this.#attrs.release(taken);
      return refusedHere(ENOMEM, "dplaned holds as many different sets of route attributes as it can");
    }
    const slot = dataplane.acquire();
    const { contexts } = dataplane;
    contexts.setU8(slot, U8.OP, op);
    contexts.setU32(slot, U32.NEXTHOP_ID, id);
    contexts.setU32(slot, U32.ATTRS, attrs);
    contexts.setU32(slot, U32.OLD_ATTRS, oldAttrs);
    contexts.setF64(slot, F64.ADMITTED_AT, dataplane.clock.now());
    this.underWay.add(id);
    return new Promise((resolve) => {
      this.#waiting.set(slot, resolve);
      dataplane.enqueue(slot);
      dataplane.flush();
    });
  }

  /** Takes a context that has come back, and gives it back with what it refers to. */
  settle(slot: number): void {
    const { contexts } = this.#dataplane;
    const status = contexts.getU8(slot, U8.STATUS);
    let failure: WriteFailure | null = null;
    if (status !== ContextStatus.SUCCESS) {
      if (status === ContextStatus.QUEUED) {
        const wasSkipped = contexts.hasFlag(slot, ContextFlag.SKIP_KERNEL);
        const text = wasSkipped ? "a provider asked to bypass the kernel" : "no provider programmed it";
        contexts.fail(slot, DplaneError.NOT_PROGRAMMED, text);
      }
      failure = {
        error: contexts.getU32(slot, U32.ERROR),
        text: contexts.errorText(slot),
        provider: contexts.getU8(slot, U8.PROVIDER),
        // Of one that was replayed the answer is about the second time, and the first may have been enough.
        isUnsure: isInDoubt(contexts, slot) || contexts.hasFlag(slot, ContextFlag.REPLAYED),
      };
    }
    for (const field of [U32.ATTRS, U32.OLD_ATTRS]) {
      const attrs = contexts.getU32(slot, field);
      if (attrs !== NO_ATTRS) this.#attrs.release(attrs);
    }
    const id = contexts.getU32(slot, U32.NEXTHOP_ID);
    this.underWay.delete(id);
    this.onSettled(id);
    const resolve = this.#waiting.get(slot)!;
    this.#waiting.delete(slot);
    this.#dataplane.release(slot);
    resolve(failure);
  }
}

/** Why a write never came to the kernel. */
function refusedHere(error: number, text: string): WriteFailure {
  return { error, text, provider: 0, isUnsure: false };
}
