/**
 * Has the kernel hold the single nexthop objects that groups are made of, each once however many groups want it, and
 * deletes those that none does any more. Main thread only.
 */
import type { Nexthop } from "../model/route.ts";
import { type NexthopObjects, type SingleObject, singleObject } from "./nexthop_objects.ts";
import { EEXIST, type NexthopWriter } from "./nexthop_writer.ts";

/** Numbers tried for one object, if others have them. */
export const NUMBERS_TRIED_MAX = 32;

export interface NexthopSinglesEvents {
  /** The kernel may hold an object that is forgotten. */
  onUnsure(): void;
  /** A deletion has failed; it is to be tried again. */
  onFailure(): void;
}

export class NexthopSingles {
  readonly #objects: NexthopObjects;
  readonly #writer: NexthopWriter;
  readonly #events: NexthopSinglesEvents;
  readonly #writing = new Map<SingleObject, Promise<void>>();

  constructor(objects: NexthopObjects, writer: NexthopWriter, events: NexthopSinglesEvents) {
    this.#objects = objects;
    this.#writer = writer;
    this.#events = events;
  }

  /** Has the kernel hold the object of this nexthop, or notes why it does not. */
  async make(nexthop: Nexthop): Promise<void> {
    const single = this.#objects.internSingle(nexthop);
    if (single.isHeld) return;
    const writing = this.#writing.get(single) ?? this.#write(single);
    this.#writing.set(single, writing);
    await writing;
    this.#writing.delete(single);
  }

  async #write(single: SingleObject): Promise<void> {
    const { losses } = single;
    for (let tried = 0; tried < NUMBERS_TRIED_MAX; tried++) {
      this.#objects.touched?.add(single.id);
      single.lives += 1;
      const failure = await this.#writer.install(single.id, singleObject(single), null);
      single.failure = failure;
      // What is refused leaves there what may have been there before.
      const isLeft = failure !== null && failure.error !== EEXIST;
      single.mayBeThere = isLeft && (single.mayBeThere || failure.isUnsure);
      this.#objects.touched?.add(single.id);
      if (single.failure?.error !== EEXIST) break;
      // It may be ours all the same, where the kernel did not say whose it is.
      this.#events.onUnsure();
      this.#objects.renumber(single);
    }
    // An answer from before its link went says nothing; it may have been written after that was told.
    const isLost = single.losses !== losses;
    single.isHeld = single.failure === null && !isLost;
    if (single.failure === null && isLost) single.mayBeThere = true;
  }

  /** Deletes those that no group has. */
  async deleteUnused(): Promise<void> {
    const unused = Array.from(this.#objects.singles()).filter(
      (single) => single.groups.size === 0 && !single.isUnclaimed,
    );
    await Promise.all(
      unused.map(async (single) => {
        this.#objects.touched?.add(single.id);
        // One that is not held may be somebody else's by now.
        const failure = single.isHeld ? await this.#writer.remove(single.id, singleObject(single)) : null;
        if (failure !== null) return this.#events.onFailure();
        // A reading may have met a group with it meanwhile, which the kernel has taken it out of.
        if (single.groups.size > 0) this.#objects.loseSingle(single, "");
        if (single.mayBeThere) this.#events.onUnsure();
        this.#objects.forgetSingle(single);
      }),
    );
  }
}
