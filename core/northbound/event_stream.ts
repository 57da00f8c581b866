/** `GET /v1/events`: the bus as a server-sent stream, at the pace of its reader; and what feeds the bus. Main thread. */

import type { Contexts } from "../context/contexts.ts";
import { U32 } from "../context/layout.ts";
import { UpdateOp } from "../model/route.ts";
import type { Outcome, RibObserver } from "../rib/outcome.ts";
import type { Rib } from "../rib/rib.ts";
import type { ResultStatus } from "./api_types.ts";
import { type EventFilter, passes } from "./event_filter.ts";
import type { ResultEventJson } from "./event_types.ts";
import { type EventBus, formatEvent, type Subscription } from "./events.ts";
import { type OutcomeReader, STATUS_OF_OUTCOME } from "./outcome.ts";
import { RESULT_STATUS_NAMES } from "./result_json.ts";

/** A comment goes out when nothing else has for this long, so that a dead connection is found. */
const KEEP_ALIVE_MS = 15_000;

const encoder = new TextEncoder();

/** The stream of one listener; it begins with its current health, if it asked for that. */
export function streamEvents(
  bus: EventBus,
  filter: EventFilter,
  readiness: () => string[],
): ReadableStream<Uint8Array> {
  // Subscribed when the first piece is asked for: the body of a HEAD is never read, and never cancelled.
  let subscription: Subscription | null = null;
  const pull = async (controller: ReadableStreamDefaultController<Uint8Array>): Promise<void> => {
    if (subscription === null) {
      subscription = bus.subscribe(filter);
      const state = describeHealth(readiness());
      const health = passes(filter, "health", state) ? formatEvent("health", state) : "";
      controller.enqueue(encoder.encode(`: dplaned\n\n${health}`));
      return;
    }
    await subscription.wait(KEEP_ALIVE_MS);
    const text = subscription.take();
    if (text !== "") controller.enqueue(encoder.encode(text));
    else if (subscription.isClosed) controller.close();
    else controller.enqueue(encoder.encode(": \n\n"));
  };
  return new ReadableStream({ pull, cancel: () => subscription?.close() }, { highWaterMark: 0 });
}

function describeHealth(reasons: string[]): { time: number; ready: boolean; reasons: string[] } {
  return { time: Date.now(), ready: reasons.length === 0, reasons };
}

/** Feeds the RIB's outcomes to the bus, for as long as somebody listens to them. */
export function connectResultEvents(bus: EventBus, rib: Rib, outcomes: OutcomeReader): void {
  const observer: RibObserver = {
    onOutcome: (slot, outcome, contexts) => {
      if (!bus.wantsResult(ownerOf(slot, contexts, rib), statusOf(outcome))) return;
      bus.publish("result", () => describeResult(slot, outcome, contexts, rib, outcomes));
    },
  };
  bus.onInterest((name, wanted) => {
    if (name !== "result") return;
    if (wanted) rib.observe(observer);
    else rib.unobserve(observer);
  });
}

function ownerOf(slot: number, contexts: Contexts, rib: Rib): string {
  return rib.owners.nameOf(contexts.getU32(slot, U32.OWNER) || contexts.getU32(slot, U32.WINNER));
}

function statusOf(outcome: Outcome): ResultStatus {
  return RESULT_STATUS_NAMES[STATUS_OF_OUTCOME[outcome]]!;
}

function describeResult(
  slot: number,
  outcome: Outcome,
  contexts: Contexts,
  rib: Rib,
  outcomes: OutcomeReader,
): ResultEventJson {
  const source = outcomes.source(slot, contexts);
  return {
    time: Date.now(),
    op: outcomes.op(slot, contexts) === UpdateOp.DELETE ? "delete" : "install",
    prefix: outcomes.prefix(slot, contexts),
    ...(source === "" ? {} : { source }),
    table: contexts.getU32(slot, U32.TABLE),
    metric: contexts.getU32(slot, U32.METRIC),
    status: statusOf(outcome),
    ...outcomes.details(slot, outcome, contexts),
    owner: ownerOf(slot, contexts, rib),
  };
}
