/** What happened in a simulation, as a number that tells two runs apart, and as text where somebody wants to read it. */

export class Trace {
  /** Lines, if they are kept. */
  readonly lines: string[] = [];
  readonly isKept: boolean;
  #low = 0x811c9dc5;
  #high = 0x9dc5811c;

  constructor(isKept: boolean) {
    this.isKept = isKept;
  }

  /** Takes note of a number that depends on what happened. */
  mix(value: number): void {
    // FNV-1a on two words, of which the second sees the number's upper half.
    this.#low = Math.imul(this.#low ^ (value | 0), 0x01000193) >>> 0;
    this.#high = Math.imul(this.#high ^ (value / 0x1_0000_0000) ^ this.#low, 0x01000193) >>> 0;
  }

  /** Takes note of something; `describe` is called only where lines are kept. */
  note(time: number, describe: () => string): void {
    if (this.isKept) this.lines.push(`${(time % 100_000_000).toFixed(3).padStart(12)} ${describe()}`);
  }

  get hash(): string {
    return `${this.#high.toString(16).padStart(8, "0")}${this.#low.toString(16).padStart(8, "0")}`;
  }
}
