/**
 * Texts of others (names of processes, causes) under numbers, so that a fixed-size record can name one. Only the latest
 * are kept, because processes come and go for ever. Main thread only.
 */

/** Characters of a text that are kept. */
const TEXT_LENGTH_MAX = 120;

export class RecentTexts {
  readonly #max: number;
  readonly #numbers = new Map<string, number>();
  /** By number modulo {@linkcode #max}. */
  readonly #texts: string[] = [];
  #last = 0;

  /** Keeps the latest `max` distinct texts. */
  constructor(max: number) {
    this.#max = max;
  }

  /** The number of a text, from 1; 0 for an empty one. */
  intern(text: string): number {
    if (text === "") return 0;
    const kept = text.slice(0, TEXT_LENGTH_MAX);
    const known = this.#numbers.get(kept);
    if (known !== undefined) return known;
    this.#last += 1;
    const place = this.#last % this.#max;
    if (this.#last > this.#max) this.#numbers.delete(this.#texts[place]!);
    this.#texts[place] = kept;
    this.#numbers.set(kept, this.#last);
    return this.#last;
  }

  /** The text of this number; empty for 0, and for one that is no longer kept. */
  get(number: number): string {
    if (number === 0 || number > this.#last || number + this.#max <= this.#last) return "";
    return this.#texts[number % this.#max]!;
  }
}
