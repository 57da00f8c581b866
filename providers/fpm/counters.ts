/** The FPM client's side of its counters (core/model/fpm_client_counters.ts). Written by the thread of the FPM provider only. */
import {
  FPM_CLIENT_COUNTER,
  FPM_CLIENT_STATES,
  type FpmClientCounterName,
  type FpmClientState,
} from "../../core/model/fpm_client_counters.ts";

export class FpmCounters {
  readonly #values: Float64Array;

  /** The storage may have been another thread's before: what only rises goes on from there. */
  constructor(storage: SharedArrayBuffer) {
    this.#values = new Float64Array(storage);
  }

  add(name: FpmClientCounterName, value = 1): void {
    this.#values[FPM_CLIENT_COUNTER[name]]! += value;
  }

  set(name: FpmClientCounterName, value: number): void {
    this.#values[FPM_CLIENT_COUNTER[name]] = value;
  }

  /** Sets a gauge and the highest value that it has had. */
  setWithMax(name: FpmClientCounterName, max: FpmClientCounterName, value: number): void {
    this.set(name, value);
    if (value > this.#values[FPM_CLIENT_COUNTER[max]]!) this.set(max, value);
  }

  setState(state: FpmClientState): void {
    this.set("state", FPM_CLIENT_STATES.indexOf(state));
  }
}
