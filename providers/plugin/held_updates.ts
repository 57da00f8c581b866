/** The updates that the process of a plugin has, in the order in which it got them. On the provider's thread. */

const NONE = -1;

export class HeldUpdates {
  /** By slot: neighbours in the order, the ticket of the copy that was sent, when that was. */
  readonly #next: Int32Array;
  readonly #previous: Int32Array;
  readonly #tickets: Uint32Array;
  readonly #sentAt: Float64Array;
  readonly #isHeld: Uint8Array;
  #first = NONE;
  #last = NONE;
  count = 0;

  constructor(slots: number) {
    this.#next = new Int32Array(slots);
    this.#previous = new Int32Array(slots);
    this.#tickets = new Uint32Array(slots);
    this.#sentAt = new Float64Array(slots);
    this.#isHeld = new Uint8Array(slots);
  }

  add(slot: number, ticket: number, time: number): void {
    this.#tickets[slot] = ticket;
    this.#sentAt[slot] = time;
    this.#isHeld[slot] = 1;
    this.#next[slot] = NONE;
    this.#previous[slot] = this.#last;
    if (this.#last === NONE) this.#first = slot;
    else this.#next[this.#last] = slot;
    this.#last = slot;
    this.count += 1;
  }

  /** Whether it is the copy with this ticket that the plugin has. */
  has(slot: number, ticket: number): boolean {
    return this.#isHeld[slot] === 1 && this.#tickets[slot] === ticket;
  }

  remove(slot: number): void {
    const [next, previous] = [this.#next[slot]!, this.#previous[slot]!];
    if (previous === NONE) this.#first = next;
    else this.#next[previous] = next;
    if (next === NONE) this.#last = previous;
    else this.#previous[next] = previous;
    this.#isHeld[slot] = 0;
    this.count -= 1;
  }

  /** Takes out the oldest, if it was sent before `time`; -1 for none. */
  takeSentBefore(time: number): number {
    const slot = this.#first;
    if (slot === NONE || this.#sentAt[slot]! >= time) return NONE;
    this.remove(slot);
    return slot;
  }
}
