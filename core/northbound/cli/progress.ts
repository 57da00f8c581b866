/** The progress line of `route load` on a terminal. Main thread of a client process. */
import { formatCount } from "./format.ts";

const REDRAW_MS = 100;
const BAR_CELLS = 24;
const CLEAR_LINE = "\r\x1b[K";

export interface ProgressState {
  bytes: number;
  /** Bytes in all, where that is known. */
  totalBytes: number | undefined;
  /** Updates sent; undefined where the format does not show their ends. */
  updates: number | undefined;
  failures: number;
}

export class ProgressLine {
  readonly #write: (text: string) => void;
  readonly #columns: number;
  readonly #startMs = performance.now();
  #drawnMs = Number.NEGATIVE_INFINITY;

  constructor(write: (text: string) => void, columns: number) {
    this.#write = write;
    this.#columns = columns;
  }

  /** Shows the state, a few times a second. */
  update(state: ProgressState): void {
    const nowMs = performance.now();
    if (nowMs - this.#drawnMs < REDRAW_MS) return;
    this.#drawnMs = nowMs;
    // A line that wraps cannot be drawn over.
    this.#write(CLEAR_LINE + formatProgress(state, nowMs - this.#startMs).slice(0, this.#columns - 1));
  }

  /** Takes the line away, for other output or for good; the next update draws it again. */
  clear(): void {
    if (this.#drawnMs === Number.NEGATIVE_INFINITY) return;
    this.#drawnMs = Number.NEGATIVE_INFINITY;
    this.#write(CLEAR_LINE);
  }
}

/** `[########........] 33%  9.1/27.1 MB  301,223 updates/s  2 failed`. */
export function formatProgress({ bytes, totalBytes, updates, failures }: ProgressState, elapsedMs: number): string {
  const parts: string[] = [];
  if (totalBytes === undefined || totalBytes === 0) {
    parts.push(`${formatMegabytes(bytes)} MB`);
  } else {
    const share = Math.min(1, bytes / totalBytes);
    const filled = Math.floor(share * BAR_CELLS);
    parts.push(
      `[${"#".repeat(filled)}${".".repeat(BAR_CELLS - filled)}] ${String(Math.floor(share * 100)).padStart(3)}%`,
    );
    parts.push(`${formatMegabytes(bytes)}/${formatMegabytes(totalBytes)} MB`);
  }
  const seconds = Math.max(elapsedMs, 1) / 1000;
  if (updates === undefined) parts.push(`${formatMegabytes(bytes / seconds)} MB/s`);
  else parts.push(`${formatCount(Math.round(updates / seconds))} updates/s`);
  if (failures > 0) parts.push(`${formatCount(failures)} failed`);
  return parts.join("  ");
}

function formatMegabytes(bytes: number): string {
  return (bytes / 1e6).toFixed(1);
}
