/** What many simulations come to, in figures. */
import { FAULT_KINDS, type FaultKind } from "./faults.ts";
import type { SimulationResult } from "./simulation.ts";

/** Plain data, so that one process can hand it to another. */
export interface SimulationFigures {
  seeds: number;
  failedSeeds: number[];
  steps: number;
  updates: number;
  requests: number;
  /** Simulated time. */
  elapsedMs: number;
  /** Faults injected, by kind. */
  faults: Record<FaultKind, number>;
}

export class Totals {
  readonly figures: SimulationFigures = {
    seeds: 0,
    failedSeeds: [],
    steps: 0,
    updates: 0,
    requests: 0,
    elapsedMs: 0,
    faults: Object.fromEntries(FAULT_KINDS.map((kind) => [kind, 0])) as Record<FaultKind, number>,
  };
  readonly #startedAt = performance.now();

  add({ seed, violation, steps, updates, requests, elapsedMs, faults }: SimulationResult): void {
    const failedSeeds = violation === "" ? [] : [seed];
    this.merge({ seeds: 1, failedSeeds, steps, updates, requests, elapsedMs, faults: Object.fromEntries(faults) });
  }

  /** Adds what another process has run. */
  merge(other: Omit<SimulationFigures, "faults"> & { faults: Partial<SimulationFigures["faults"]> }): void {
    const { figures } = this;
    for (const key of ["seeds", "steps", "updates", "requests", "elapsedMs"] as const) figures[key] += other[key];
    figures.failedSeeds.push(...other.failedSeeds);
    for (const kind of FAULT_KINDS) figures.faults[kind] += other.faults[kind] ?? 0;
  }

  /** Lines for people to read. */
  describe(): string[] {
    const { seeds, failedSeeds, steps, updates, requests, elapsedMs, faults } = this.figures;
    const seconds = (performance.now() - this.#startedAt) / 1000;
    const hours = elapsedMs / 3_600_000;
    const count = (value: number): string => value.toLocaleString("en-US");
    return [
      `${count(seeds)} seeds in ${seconds.toFixed(1)} s: ${failedSeeds.length} failed`,
      `${count(steps)} steps, ${count(updates)} updates, ${count(requests)} requests to the kernel, ${hours.toFixed(1)} h of simulated time`,
      `faults: ${FAULT_KINDS.map((kind) => `${kind} ${count(faults[kind])}`).join(", ")}`,
    ];
  }
}
