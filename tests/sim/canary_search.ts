/** Looks for the first simulation that notices a planted bug. */
import { CANARIES } from "./canaries.ts";
import { runSimulation, type SimulationResult } from "./simulation.ts";

/** Each must be found within so many seeds. */
export const CANARY_SEEDS = 1000;

/** The simulation that finds the canary of this name; null where none does. */
export async function findCanary(name: string): Promise<SimulationResult | null> {
  for (let seed = 1; seed <= CANARY_SEEDS; seed++) {
    const result = await runSimulation({ seed, canary: CANARIES[name]! });
    if (result.violation !== "") return result;
  }
  return null;
}

/** By the name of each canary the seed that finds it, or null. */
export type CanaryFigures = Record<string, number | null>;
