/**
 * What runs fuzz targets (tests/fuzz/table.ts): every case has a seed of its own, so a failure is repeated alone, and every
 * run says how much it did. Cases are made by Prng, and so are the same on every machine.
 */
import { Prng } from "../../core/prng.ts";

/** Told of everything that a case feeds to what is tested. */
export type Feed = (bytes: Uint8Array) => void;

/** A target that is ready for cases. */
export interface OpenTarget {
  /** One case: throws if it finds something. Returns whether what it fed was taken, rather than refused. */
  run(prng: Prng, feed: Feed): boolean | Promise<boolean>;
  close?(): void | Promise<void>;
}

export interface FuzzTarget {
  name: string;
  /** Files whose decoders it feeds. */
  reads: readonly string[];
  /** Cases in `make test`. */
  smoke: number;
  open(): OpenTarget | Promise<OpenTarget>;
}

export interface FuzzReport {
  target: string;
  seed: number;
  cases: number;
  accepted: number;
  bytes: number;
  elapsedMs: number;
}

/** What long fuzzing comes to. */
export interface FuzzFigures {
  /** One for each target. */
  reports: FuzzReport[];
  /** What was found, and how it is repeated; empty for nothing. */
  found: string;
}

/** A case that has found something. */
export class FuzzFailure extends Error {
  override name = "FuzzFailure";
  readonly seed: number;

  constructor(target: string, seed: number, fed: readonly Uint8Array[], cause: unknown) {
    const text = fed.map((bytes) => describeBytes(bytes)).join("\n  ");
    const reason = cause instanceof Error ? (cause.stack ?? cause.message) : String(cause);
    super(
      `${target} has found something: make fuzz TARGET=${target} SEED=${seed} CASES=1\nfed:\n  ${text}\n${reason}`,
      {
        cause,
      },
    );
    this.seed = seed;
  }
}

const SHOWN_BYTES = 600;

function describeBytes(bytes: Uint8Array): string {
  const shown = bytes.subarray(0, SHOWN_BYTES);
  const isText = shown.every((byte) => byte === 9 || byte === 10 || byte === 13 || (byte >= 32 && byte < 127));
  const text = isText ? JSON.stringify(new TextDecoder().decode(shown)) : Buffer.from(shown).toString("hex");
  return `${text}${bytes.length > SHOWN_BYTES ? ` … of ${bytes.length} bytes` : ""}`;
}

/** The seed of a case by that of its run; the first case has the run's own. */
function caseSeed(seed: number, index: number): number {
  return (seed + Math.imul(index, 0x9e37_79b1)) >>> 0;
}

/** Runs cases until there were so many, or until the time is over. Throws a {@linkcode FuzzFailure}. */
export async function fuzz(
  target: FuzzTarget,
  {
    seed,
    cases = Number.POSITIVE_INFINITY,
    forMs = Number.POSITIVE_INFINITY,
  }: { seed: number; cases?: number; forMs?: number },
): Promise<FuzzReport> {
  const report: FuzzReport = { target: target.name, seed, cases: 0, accepted: 0, bytes: 0, elapsedMs: 0 };
  const open = await target.open();
  const started = performance.now();
  try {
    while (report.cases < cases && report.elapsedMs < forMs) {
      const own = caseSeed(seed, report.cases);
      const fed: Uint8Array[] = [];
      try {
        if (await open.run(new Prng(own), (bytes) => fed.push(bytes))) report.accepted += 1;
      } catch (error) {
        throw new FuzzFailure(target.name, own, fed, error);
      }
      for (const { length } of fed) report.bytes += length;
      report.cases += 1;
      report.elapsedMs = performance.now() - started;
    }
  } finally {
    await open.close?.();
  }
  return report;
}

export function formatReport({ target, seed, cases, accepted, bytes, elapsedMs }: FuzzReport): string {
  const megabytes = (bytes / 1e6).toFixed(1);
  const share = cases === 0 ? 0 : Math.round((100 * accepted) / cases);
  return `${target}: ${cases.toLocaleString("en")} cases, ${megabytes} MB, ${share} % taken, ${(elapsedMs / 1000).toFixed(1)} s (seed ${seed})`;
}

/** Bytes that are often something else than others: lengths, limits, signs. */
const TELLING_BYTES = [
  0, 1, 2, 3, 4, 5, 8, 10, 13, 16, 32, 34, 44, 58, 91, 92, 93, 123, 125, 127, 128, 192, 254, 255,
] as const;

/** A few changes to a copy: bytes that are others, pieces left out, doubled, or taken from another of the corpus. */
export function mutate(
  prng: Prng,
  original: Uint8Array,
  corpus: readonly Uint8Array[],
  words: readonly string[] = [],
): Uint8Array {
  let bytes: Uint8Array = original.slice();
  for (let changes = prng.below(4); changes > 0; changes--) {
    const at = prng.below(bytes.length + 1);
    const kind = prng.below(6);
    if (kind <= 1 && bytes.length > 0)
      bytes[prng.below(bytes.length)] = prng.chance(0.5) ? prng.pick(TELLING_BYTES) : prng.below(256);
    else if (kind === 2) bytes = splice(bytes, at, prng.below(8) + (prng.chance(0.1) ? prng.below(64) : 0));
    else if (kind === 3) bytes = splice(bytes, at, 0, bytes.subarray(at, at + prng.below(32)));
    else if (kind === 4 && words.length > 0)
      bytes = splice(bytes, at, prng.below(2) * prng.below(8), encoder.encode(prng.pick(words)));
    else {
      const other = prng.pick(corpus);
      const from = prng.below(other.length + 1);
      bytes = splice(bytes, at, prng.below(16), other.subarray(from, from + prng.below(48)));
    }
  }
  return prng.chance(0.1) ? bytes.slice(0, prng.below(bytes.length + 1)) : bytes;
}

const encoder = new TextEncoder();

function splice(bytes: Uint8Array, at: number, removed: number, inserted: Uint8Array = new Uint8Array(0)): Uint8Array {
  const end = Math.min(bytes.length, at + removed);
  const result = new Uint8Array(at + inserted.length + bytes.length - end);
  result.set(bytes.subarray(0, at));
  result.set(inserted, at);
  result.set(bytes.subarray(end), at + inserted.length);
  return result;
}

/** Cut into chunks as a socket might; each is a copy with nothing of the rest behind it. */
export function cut(prng: Prng, bytes: Uint8Array): Uint8Array[] {
  const chunks: Uint8Array[] = [];
  const longest = prng.pick([1, 5, 40, 1000, 100_000]);
  for (let at = 0; at < bytes.length; ) {
    const length = 1 + prng.below(longest);
    chunks.push(bytes.slice(at, at + length));
    at += length;
  }
  return chunks;
}

/** Lines as bytes. */
export function corpusOf(texts: readonly string[]): Uint8Array[] {
  return texts.map((text) => encoder.encode(text));
}
