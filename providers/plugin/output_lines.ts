/** What a plugin prints, cut into lines of bearable length, and not more of them than anybody would read. Any thread. */

const LINE_MAX = 1000;
/** Lines within a second; what is more is counted and left out. */
const LINES_MAX = 100;
const WINDOW_MS = 1000;

export class OutputLines {
  readonly #onLine: (text: string) => void;
  readonly #decoder = new TextDecoder();
  #partial = "";
  #windowEnd = 0;
  #lines = 0;
  #left = 0;

  constructor(onLine: (text: string) => void) {
    this.#onLine = onLine;
  }

  push(chunk: Uint8Array): void {
    const lines = (this.#partial + this.#decoder.decode(chunk, { stream: true })).split("\n");
    const last = lines.pop()!;
    for (const line of lines) this.#tell(line);
    if (last.length > LINE_MAX) this.#tell(last);
    this.#partial = last.length > LINE_MAX ? "" : last;
  }

  #tell(line: string): void {
    if (line.trim() === "") return;
    const time = performance.now();
    if (time >= this.#windowEnd) {
      if (this.#left > 0) this.#onLine(`(${this.#left} lines are left out)`);
      this.#windowEnd = time + WINDOW_MS;
      this.#lines = 0;
      this.#left = 0;
    }
    this.#lines += 1;
    if (this.#lines > LINES_MAX) this.#left += 1;
    else this.#onLine(line.length > LINE_MAX ? `${line.slice(0, LINE_MAX)}…` : line);
  }
}
