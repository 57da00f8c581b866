/** What a soak comes to: its samples, its figures, and whether something grew that must not. Pure. */
import { median } from "../bench/report.ts";

/** The daemon at a quiet moment: no client is connected, and nothing is under way. */
export interface Sample {
  atMs: number;
  updates: number;
  memoryBytes: number;
  descriptors: number;
  threads: number;
  /** Contexts that are not free. */
  contextsHeld: number;
  attributes: number;
  routes: number;
}

/** What must not grow, with what it may grow by all the same: a share of what it was, and so much besides. */
const FLAT = {
  // The engine gives memory back when it likes, and in pieces.
  memoryBytes: { share: 0.15, besides: 32 << 20 },
  descriptors: { share: 0, besides: 2 },
  // The engine has helpers that come and go.
  threads: { share: 0, besides: 2 },
} as const;

/** Until then heap and compiled code grow in a daemon that is fine, and no more is said of memory than that it is not beyond bounds. */
const WARM_MS = 300_000;
const WARMING_BYTES = 128 << 20;

/** Two in each quarter. */
export const SAMPLES_MIN = 8;

export type FlatField = keyof typeof FLAT;
export const FLAT_FIELDS = Object.keys(FLAT) as FlatField[];

/** A value when the soak had warmed up, in the second quarter of its time, and in the last: medians. */
export interface Course {
  begin: number;
  end: number;
}

/** The first quarter is left out: compilers, caches and pools are still filling. */
export function courseOf(samples: readonly Sample[], field: FlatField): Course {
  const quarter = Math.floor(samples.length / 4);
  if (samples.length < SAMPLES_MIN) throw new RangeError(`${samples.length} samples are too few to say what grows`);
  const values = samples.map((sample) => sample[field]);
  return { begin: median(values.slice(quarter, 2 * quarter)), end: median(values.slice(-quarter)) };
}

/** What has grown, in words. */
export function growthIn(samples: readonly Sample[]): string[] {
  const isWarming = (samples.at(-1)?.atMs ?? 0) < WARM_MS;
  return FLAT_FIELDS.flatMap((field) => {
    const { begin, end } = courseOf(samples, field);
    const { share } = FLAT[field];
    const besides = field === "memoryBytes" && isWarming ? WARMING_BYTES : FLAT[field].besides;
    return end <= begin * (1 + share) + besides ? [] : [`${field} grew from ${begin} to ${end}`];
  });
}

export interface SoakFigures {
  seed: number;
  seconds: number;
  /** Sent in requests whose client stayed, and the results that came for them. */
  updates: number;
  results: number;
  /** Updates without a result, or with more than one. */
  resultsLost: number;
  /** Results by status. */
  statuses: Record<string, number>;
  syncs: number;
  groupChanges: number;
  /** Clients that went away in the middle of something. */
  brokenOff: number;
  fpmRoutes: number;
  disturbances: number;
  /** How often kernel and RIB were compared, entry by entry. */
  comparisons: number;
  samples: number;
  contexts: number;
  contextsLeaked: number;
  attributesLeft: number;
  /** Routes and nexthop objects of ours in the kernel after everything was withdrawn. */
  kernelLeft: number;
  courses: Record<FlatField, Course>;
  /** What must not be and was; empty if all is well. */
  violations: string[];
}
