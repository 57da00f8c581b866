/** Makes a failing simulation shorter: leaves out the faults and deeds without which it fails all the same. */
import type { FaultKind } from "./faults.ts";
import { runSimulation, type SimulationOptions, type SimulationResult } from "./simulation.ts";

export interface Shrunk {
  options: SimulationOptions;
  result: SimulationResult;
}

/** `result` is that of `options`, and a failure. What is left may fail for another reason. */
export async function shrink(options: SimulationOptions, result: SimulationResult): Promise<Shrunk> {
  let best: Shrunk = { options, result };
  const attempt = async (changed: Partial<SimulationOptions>): Promise<boolean> => {
    const shorter = { ...best.options, ...changed };
    const outcome = await runSimulation(shorter);
    if (outcome.violation === "") return false;
    best = { options: shorter, result: outcome };
    return true;
  };
  for (const kind of result.faults.keys()) {
    await attempt({ without: new Set<FaultKind>([...(best.options.without ?? []), kind]) });
  }
  for (let deedsMax = 32; deedsMax >= 1; deedsMax = Math.floor(deedsMax / 2)) {
    if (!(await attempt({ deedsMax }))) break;
  }
  return best;
}
