/** What becomes of updates, and who hears of it. Main thread. */
import type { Contexts } from "../context/contexts.ts";
import type { Family } from "../model/route.ts";

/** What became of an update, as DESIGN names it. */
export const Outcome = {
  FIB_PROGRAMMED: "fib_programmed",
  FIB_FAILED: "fib_failed",
  /** Held, and not written: another owner's route is better, or there is nothing to write yet. */
  RIB_PROGRAMMED: "rib_programmed",
  SKIPPED: "skipped",
  SUPERSEDED: "superseded",
} as const;
export type Outcome = (typeof Outcome)[keyof typeof Outcome];

/** Who sent updates and gets their results. */
export interface UpdateSession {
  /** One result. Everything about the update is read from the context, which is gone after the call. */
  onResult(slot: number, outcome: Outcome, contexts: Contexts): void;
}

/** Who watches what becomes of all routes. */
export interface RibObserver {
  /** An outcome of an update, or of a write of the daemon's own (OWNER of the context is 0). */
  onOutcome(slot: number, outcome: Outcome, contexts: Contexts): void;
  /** Another owner's route is the selected one now: that of `after`, because `before` withdrew its own or was bettered. */
  onSelection?(family: Family, route: number, before: number, after: number, isWithdrawal: boolean): void;
  /** What the kernel holds of the route is known to be something else now, and no context has told the providers. */
  onFound?(family: Family, route: number): void;
  /** The record of a route goes right after this call; its number may be another route's next. */
  onForget?(family: Family, route: number): void;
}
