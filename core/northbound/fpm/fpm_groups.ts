/**
 * The nexthop groups that the routes of one FPM peer are on. A peer numbers its nexthops anew when it starts, so a group
 * is known again by what is in it: then the routes on it stay as they are. Main thread.
 */
import { FPM_GROUP_MIN } from "../../constants.ts";
import { definitionKey, type GroupDefinition } from "../../rib/nexthop_group.ts";
import type { NexthopGroups } from "../../rib/nexthop_groups.ts";
import { U32_MAX } from "../update_values.ts";

/** Gives out numbers of groups that no client may use. One for all peers. */
export class GroupNumbers {
  readonly #groups: NexthopGroups;
  #last = FPM_GROUP_MIN - 1;
  readonly #taken = new Set<number>();

  constructor(groups: NexthopGroups) {
    this.#groups = groups;
  }

  take(): number {
    do this.#last = this.#last === U32_MAX ? FPM_GROUP_MIN : this.#last + 1;
    while (this.#taken.has(this.#last) || this.#groups.get(this.#last) !== undefined);
    this.#taken.add(this.#last);
    return this.#last;
  }

  giveBack(number: number): void {
    this.#taken.delete(number);
  }
}

export class FpmGroups {
  readonly #groups: NexthopGroups;
  readonly #numbers: GroupNumbers;
  /** What is in each group, as text; empty while that is not known. */
  readonly #contents = new Map<number, string>();
  /** Groups with the same content. */
  readonly #byContent = new Map<string, Set<number>>();
  /** Groups that no nexthop of the peer stands for (any more). */
  readonly #free = new Set<number>();
  #isSweeping = false;

  constructor(groups: NexthopGroups, numbers: GroupNumbers) {
    this.#groups = groups;
    this.#numbers = numbers;
  }

  get count(): number {
    return this.#contents.size;
  }

  /** A new session has begun: what the nexthops of the last one stood for may be known again. */
  freeAll(): void {
    for (const number of this.#contents.keys()) this.#free.add(number);
  }

  /** A group for a nexthop of the peer: a free one that is just like that, or a new one. Null: it is not known yet. */
  take(definition: GroupDefinition | null): number {
    const key = definition === null ? "" : definitionKey(definition);
    for (const number of definition === null ? [] : (this.#byContent.get(key) ?? [])) {
      if (this.#free.delete(number)) return number;
    }
    const number = this.#numbers.take();
    this.#contents.set(number, "");
    if (definition !== null) this.define(number, definition);
    return number;
  }

  /** Says what is in a group; every route on it follows. */
  define(number: number, definition: GroupDefinition): void {
    const key = definitionKey(definition);
    if (this.#contents.get(number) === key) return;
    this.#forgetContent(number);
    this.#contents.set(number, key);
    const alike = this.#byContent.get(key);
    if (alike === undefined) this.#byContent.set(key, new Set([number]));
    else alike.add(number);
    void this.#groups.set(number, definition);
  }

  /** No nexthop of the peer stands for the group any more. It stays while routes are on it. */
  free(number: number): void {
    this.#free.add(number);
  }

  /** Deletes the free groups that no route is on. */
  async sweep(): Promise<void> {
    if (this.#isSweeping || this.#free.size === 0) return;
    this.#isSweeping = true;
    const free = new Set(this.#free);
    // Until it is known whether they go, no nexthop may come to stand for one of them.
    this.#free.clear();
    const used = await this.#groups.deleteUnused(free);
    this.#isSweeping = false;
    for (const number of free) {
      if (used.has(number)) this.#free.add(number);
      else {
        this.#forgetContent(number);
        this.#contents.delete(number);
        this.#numbers.giveBack(number);
      }
    }
  }

  #forgetContent(number: number): void {
    const key = this.#contents.get(number) ?? "";
    const alike = this.#byContent.get(key);
    alike?.delete(number);
    if (alike?.size === 0) this.#byContent.delete(key);
  }
}
