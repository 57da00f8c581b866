/**
 * Group objects that no group needs any more, while routes are still on them: a deletion would take these along, so each
 * is kept until the last one has left. Main thread only.
 */
import type { Clock, Timer } from "../clock.ts";
import type { AttrsStore } from "../context/attrs_store.ts";
import type { GroupRoutes } from "./group_routes.ts";
import { type GroupObject, groupObject, type NexthopObjects } from "./nexthop_objects.ts";
import type { NexthopWriter } from "./nexthop_writer.ts";

/** First and longest pause before it is looked again whether routes have left. */
const PAUSE_MIN_MS = 20;
const PAUSE_MAX_MS = 2000;

interface Retired {
  object: GroupObject;
  /** What routes on it are programmed with, held. */
  targets: number[];
  /** Routes found in the kernel at the start may be on it with attributes of their own. */
  wasUnclaimed: boolean;
}

/** What of the groups is needed here. */
interface Parts {
  readonly objects: NexthopObjects;
  readonly routes: GroupRoutes;
  readonly writer: NexthopWriter;
}

export class RetiredObjects {
  readonly #attrs: AttrsStore;
  readonly #parts: Parts;
  readonly #clock: Clock;
  readonly #onTime: () => void;
  #retired: Retired[] = [];
  #pauseMs = PAUSE_MIN_MS;
  #timer: Timer | null = null;

  /** `onTime`: it is time for {@linkcode deleteFree} again. */
  constructor(attrs: AttrsStore, parts: Parts, clock: Clock, onTime: () => void) {
    this.#attrs = attrs;
    this.#clock = clock;
    this.#parts = parts;
    this.#onTime = onTime;
  }

  /** `targets`: what routes on it may be programmed with, with the references to them. */
  add(object: GroupObject, targets: number[], wasUnclaimed: boolean): void {
    this.#retired.push({ object, targets, wasUnclaimed });
    this.#pauseMs = PAUSE_MIN_MS;
  }

  /** The kernel has dropped this object, if it was retired. */
  forget(object: GroupObject): void {
    const retired = this.#retired.find((each) => each.object === object);
    if (retired === undefined) return;
    this.#retired = this.#retired.filter((each) => each !== retired);
    for (const attrs of retired.targets) this.#attrs.release(attrs);
  }

  /** Deletes the objects that every route has left, and looks for the others again later. */
  async deleteFree(): Promise<void> {
    const left = this.#retired.filter(({ targets }) => targets.every((target) => this.#attrs.references(target) === 1));
    const unsure = new Set(left.filter(({ wasUnclaimed }) => wasUnclaimed).map(({ object }) => object.id));
    const inUse = unsure.size === 0 ? unsure : await this.#parts.routes.programmedWith(unsure);
    await Promise.all(left.filter(({ object }) => !inUse.has(object.id)).map(({ object }) => this.#delete(object)));
    if (this.#retired.length === 0 || this.#timer !== null) return;
    this.#timer = this.#clock.setTimeout(() => {
      this.#timer = null;
      this.#onTime();
    }, this.#pauseMs);
    this.#timer.unref();
    this.#pauseMs = Math.min(this.#pauseMs * 2, PAUSE_MAX_MS);
  }

  async #delete(object: GroupObject): Promise<void> {
    const { objects, writer } = this.#parts;
    const failure = await writer.remove(object.id, groupObject(object.resilient, object.members));
    if (failure !== null) return;
    this.forget(object);
    objects.forgetGroup(object);
  }

  stop(): void {
    if (this.#timer !== null) this.#clock.clearTimeout(this.#timer);
  }
}
