/** A list of 32-bit words that grows in chunks, without ever copying what it holds. Main thread only. */
const CHUNK_BITS = 14;
const CHUNK_WORDS = 1 << CHUNK_BITS;

export class WordList {
  readonly #chunks: Uint32Array[] = [];
  #length = 0;

  get length(): number {
    return this.#length;
  }

  push(word: number): void {
    const index = this.#length & (CHUNK_WORDS - 1);
    if (index === 0) this.#chunks.push(new Uint32Array(CHUNK_WORDS));
    this.#chunks[this.#length >>> CHUNK_BITS]![index] = word;
    this.#length += 1;
  }

  at(index: number): number {
    return this.#chunks[index >>> CHUNK_BITS]![index & (CHUNK_WORDS - 1)]!;
  }
}
