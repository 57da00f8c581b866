/** What many simulations come to, in figures. */
import { FAULT_KINDS, type FaultKind } from "./faults.ts";
import type { SimulationResult } from "./simulation.ts";

export class Totals {
  seeds = 0;
  failed = 0;
  steps = 0;
  updates = 0;
  requests = 0;
  elapsedMs = 0;
  readonly faults = new Map<FaultKind, number>();
  readonly #startedAt = performance.now();

  add({ violation, steps, updates, requests, elapsedMs, faults }: SimulationResult): void {
    this.seeds += 1;
    if (violation !== "") this.failed += 1;
    this.steps += steps;
    this.updates += updates;
    this.requests += requests;
    this.elapsedMs += elapsedMs;
    for (const [kind, count] of faults) this.faults.set(kind, (this.faults.get(kind) ?? 0) + count);
  }

  /** Lines for people to read. */
  describe(): string[] {
    const seconds = (performance.now() - this.#startedAt) / 1000;
    const hours = this.elapsedMs / 3_600_000;
    const count = (value: number): string => value.toLocaleString("en-US");
    const faults = FAULT_KINDS.map((kind) => `${kind} ${count(this.faults.get(kind) ?? 0)}`);
    return [
      `${count(this.seeds)} seeds in ${seconds.toFixed(1)} s: ${this.failed} failed`,
      `${count(this.steps)} steps, ${count(this.updates)} updates, ${count(this.requests)} requests to the kernel, ${hours.toFixed(1)} h of simulated time`,
      `faults: ${faults.join(", ")}`,
    ];
  }
}
