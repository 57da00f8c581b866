/** The FPM client's side of its counters (core/model/fpm_counters.ts). Written by the thread of the FPM provider only. */
import { FPM_COUNTER, FPM_STATES, type FpmCounterName, type FpmState } from "../../core/model/fpm_counters.ts";

export class FpmCounters {
  readonly #values: Float64Array;

  /** The storage may have been another thread's before: what only rises goes on from there. */
  constructor(storage: SharedArrayBuffer) {
    this.#values = new Float64Array(storage);
  }

  add(name: FpmCounterName, value = 1): void {
    this.#values[FPM_COUNTER[name]]! += value;
  }

  set(name: FpmCounterName, value: number): void {
    this.#values[FPM_COUNTER[name]] = value;
  }

  /** Sets a gauge and the highest value that it has had. */
  setWithMax(name: FpmCounterName, max: FpmCounterName, value: number): void {
    this.set(name, value);
    if (value > this.#values[FPM_COUNTER[max]]!) this.set(max, value);
  }

  setState(state: FpmState): void {
    this.set("state", FPM_STATES.indexOf(state));
  }
}
