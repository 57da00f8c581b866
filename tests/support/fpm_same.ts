/** Waits in live tests for a receiver to hold what FRR's kernel holds. */
import { type Fib, fibDifferences, readFib } from "./fib.ts";
import type { FpmReceiver } from "./fpm_receiver.ts";
import type { Netns } from "./netns.ts";
import { until } from "./wait.ts";

const DEADLINE_MS = 20_000;

/**
 * Resolves with what both hold when they hold the same and it is as `expected`. FRR programs in its own time, so both are
 * read until they agree and have done so twice, with FRR's kernel unchanged in between. Throws with the differences.
 */
export async function sameFib(
  frr: Netns,
  receiver: FpmReceiver,
  expected: (fib: Fib) => boolean = () => true,
  deadlineMs = DEADLINE_MS,
): Promise<Fib> {
  let differences: string[] = [];
  let before: Fib | undefined;
  let held: Fib = new Map();
  try {
    await until(
      "FRR and the receiver hold the same",
      () => {
        const wanted = readFib(frr);
        held = receiver.fib();
        differences = fibDifferences(wanted, held);
        if (!expected(wanted)) differences.push(`FRR's kernel is not yet as expected: ${describeFib(wanted)}`);
        const isSteady = before !== undefined && fibDifferences(before, wanted).length === 0;
        before = wanted;
        return differences.length === 0 && isSteady;
      },
      deadlineMs,
    );
  } catch (error) {
    throw new Error(`${(error as Error).message}: ${differences.join("\n")}`, { cause: error });
  }
  return held;
}

/** Resolves when the receiver holds exactly this. Throws with the differences. */
export async function holdsFib(receiver: FpmReceiver, wanted: Fib, deadlineMs = DEADLINE_MS): Promise<void> {
  let differences: string[] = [];
  try {
    await until(
      "the receiver holds what it should",
      () => {
        differences = fibDifferences(wanted, receiver.fib());
        return differences.length === 0;
      },
      deadlineMs,
    );
  } catch (error) {
    throw new Error(`${(error as Error).message}: ${differences.join("\n")}`, { cause: error });
  }
}

function describeFib(fib: Fib): string {
  return [...fib]
    .slice(0, 20)
    .map(([name, leads]) => `${name} ${leads}`)
    .join("; ");
}
