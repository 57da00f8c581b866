/**
 * Why routes failed, each distinct reason once: a million routes that fail alike cost two bytes each. Main thread only.
 */
import { FAILURES_MAX } from "./route_store.ts";

export interface Failure {
  /** An errno or DplaneError. */
  error: number;
  text: string;
  /** Number of the provider that failed it; 0 for none. */
  provider: number;
}

/** Stands for every reason after the list is full. */
const UNLISTED: Failure = { error: 0, text: "more distinct failures than are remembered", provider: 0 };

export class FailureList {
  readonly #byName = new Map<string, number>();
  readonly #byId: Failure[] = [UNLISTED];

  /** The number of this reason, from 1. */
  intern(error: number, text: string, provider: number): number {
    const name = `${error} ${provider} ${text}`;
    const known = this.#byName.get(name);
    if (known !== undefined) return known;
    const id = this.#byId.length;
    if (id >= FAILURES_MAX) return FAILURES_MAX;
    this.#byId.push({ error, text, provider });
    this.#byName.set(name, id);
    return id;
  }

  get(id: number): Failure {
    return this.#byId[id] ?? UNLISTED;
  }
}
