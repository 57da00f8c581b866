/**
 * The session behind `PUT` and `DELETE /v1/owners/O/routes`: once its body is staged, the answer begins, and the routes
 * are brought to what the body says. Main thread.
 *
 * From then on it is carried out whether or not its client stays. Only the end of the daemon, or of the dataplane, stops
 * it; then nothing more is deleted.
 */
import type { Contexts } from "../context/contexts.ts";
import { U32 } from "../context/layout.ts";
import { UpdateOp } from "../model/route.ts";
import type { Outcome, UpdateSession } from "../rib/outcome.ts";
import type { Owner } from "../rib/owners.ts";
import { RouteSync, SyncStep } from "../rib/sync.ts";
import { describeRefusal } from "./admission_error.ts";
import { AnswerStream } from "./answer_stream.ts";
import { type SyncSummaryJson, UPDATE_CONTENT_TYPES } from "./api_types.ts";
import { STATUS_OF_OUTCOME } from "./outcome.ts";
import { problemResponse } from "./problem.ts";
import {
  type AckMode,
  beginResult,
  endResult,
  formatSummary,
  isReported,
  putSource,
  ResultStatus,
  SUMMARY_FIELDS,
} from "./result_json.ts";
import { type RouteStreamParts, type RouteStreamRequest, STEP_UPDATES, TURN_UPDATES } from "./route_stream.ts";
import { stageBody } from "./sync_staging.ts";
import { BodyEnd, UpdateBody } from "./update_body.ts";

/** Steps after which results will come. */
const ADMITTING: readonly SyncStep[] = [SyncStep.INSTALLED, SyncStep.UPDATED, SyncStep.DELETED];

const COUNTER_OF_STEP = {
  [SyncStep.UNCHANGED]: "unchanged",
  [SyncStep.SUPERSEDED]: "superseded",
  [SyncStep.INSTALLED]: "installed",
  [SyncStep.UPDATED]: "updated",
  [SyncStep.DELETED]: "deleted",
  [SyncStep.SWEPT]: "swept",
} as const satisfies Partial<Record<SyncStep, keyof SyncSummaryJson>>;

export class SyncStream implements UpdateSession {
  readonly #parts: RouteStreamParts;
  readonly #owner: Owner;
  readonly #ack: AckMode;
  readonly #sync: RouteSync;
  readonly #body: UpdateBody;
  /** What is unsent when the client goes away is dropped, and the sync goes on. */
  readonly #answer = new AnswerStream(() => {});
  readonly #address = new Uint8Array(16);
  readonly #startedAt: number;
  readonly #summary: SyncSummaryJson = {
    received: 0,
    unchanged: 0,
    installed: 0,
    updated: 0,
    deleted: 0,
    swept: 0,
    fibProgrammed: 0,
    fibFailed: 0,
    ribProgrammed: 0,
    skipped: 0,
    superseded: 0,
    rejected: 0,
    elapsedMs: 0,
  };
  #session = 0;
  #underWay = 0;
  /** Wakes who waits for the last result. */
  #wakeEnd: (() => void) | null = null;

  /** The owner has no sync under way. */
  constructor(parts: RouteStreamParts, { owner, ack, contentType, body }: RouteStreamRequest) {
    this.#parts = parts;
    this.#startedAt = parts.dataplane.clock.now();
    this.#owner = owner;
    this.#ack = ack;
    this.#sync = new RouteSync(parts.rib, owner, { keepsAll: ack === "all", isDryRun: false });
    this.#body = new UpdateBody(body, contentType, parts);
  }

  /** Resolves when the whole body has been read: with the answer, which goes on then, or with why nothing is done. */
  async respond(): Promise<Response> {
    const problem = await stageBody(this.#parts, this.#sync, this.#body).catch(async (error: unknown) => {
      await this.#release();
      throw error;
    });
    if (problem !== null) {
      this.#parts.counters.syncs[this.#body.end === BodyEnd.COMPLETE ? "refused" : "broken_off"] += 1;
      await this.#release();
      return problemResponse(problem);
    }
    void this.#run();
    return new Response(this.#answer.body, { headers: { "content-type": UPDATE_CONTENT_TYPES.ndjson } });
  }

  async #run(): Promise<void> {
    const { rib, log, counters } = this.#parts;
    this.#summary.received = this.#sync.listed;
    this.#summary.unchanged = this.#sync.passed;
    this.#session = rib.openSession(this);
    try {
      const isApplied = await this.#drive((session) => this.#sync.apply(session));
      // What is stale keeps the packets flowing until all that replaces it is there.
      const isComplete = isApplied && (await this.#drive((session) => this.#sync.withdraw(session)));
      if (isComplete) this.#owner.syncedAt = this.#parts.dataplane.clock.time();
      counters.syncs[isComplete ? "complete" : "ended_early"] += 1;
      this.#sync.end();
      this.#answer.send(this.#formatSummary(isComplete));
    } catch (error) {
      log.error("Full-state sync failed", { owner: this.#owner.name, error: String(error) });
    } finally {
      rib.closeSession(this.#session);
      this.#answer.end();
      await this.#release();
    }
  }

  /** Takes steps until there are none left, and waits for their results. False if the daemon ends before. */
  async #drive(step: (session: number) => SyncStep): Promise<boolean> {
    const { dataplane, rib, pacer } = this.#parts;
    let hasMore = true;
    while (hasMore && this.#goesOn()) {
      await this.#answer.waitForRoom();
      await dataplane.waitForRoom();
      hasMore = this.#takeTurn(step);
      // Ends the turn in any case, so that the next in line gets one.
      rib.flush();
      if (pacer.isOver()) await pacer.pause();
    }
    while (this.#underWay > 0) {
      await new Promise<void>((resolve) => {
        this.#wakeEnd = resolve;
      });
    }
    return !hasMore && this.#goesOn();
  }

  #goesOn(): boolean {
    return !this.#parts.shutdown.aborted && this.#parts.dataplane.isAccepting();
  }

  /** Takes some steps. True if there are more. */
  #takeTurn(step: (session: number) => SyncStep): boolean {
    const { dataplane, pacer } = this.#parts;
    for (let admitted = 0, steps = 1; admitted < TURN_UPDATES; steps++) {
      if (!dataplane.hasRoom() || !this.#goesOn()) return true;
      // A result may come before the step is over.
      this.#underWay += 1;
      const done = step(this.#session);
      if (ADMITTING.includes(done)) admitted += 1;
      else this.#underWay -= 1;
      if (done === SyncStep.DONE) return false;
      if (done !== SyncStep.PASSED) this.#count(done);
      if (steps % STEP_UPDATES === 0 && pacer.isOver()) return true;
    }
    return true;
  }

  #count(step: keyof typeof COUNTER_OF_STEP): void {
    this.#summary[COUNTER_OF_STEP[step]] += 1;
    if (step === SyncStep.SUPERSEDED) this.#report(ResultStatus.SUPERSEDED);
    else if (step === SyncStep.UNCHANGED) this.#reportUnchanged();
  }

  #reportUnchanged(): void {
    const { family, route } = this.#sync;
    const selected = this.#parts.rib.store(family).owner(route);
    if (selected === this.#owner.id) this.#report(ResultStatus.FIB_PROGRAMMED);
    else this.#report(ResultStatus.RIB_PROGRAMMED, this.#parts.rib.owners.nameOf(selected));
  }

  /** The result of a route of the body that needed no context. */
  #report(status: ResultStatus, winner?: string): void {
    if (!isReported(status, this.#ack)) return;
    const { rib } = this.#parts;
    const { family, route, line } = this.#sync;
    const store = rib.store(family);
    const { table, source, sourceLength } = rib.keyClass(store, route);
    store.address(route, this.#address);
    const { out } = this.#answer;
    beginResult(out, line, UpdateOp.INSTALL, family, this.#address, 0, store.prefixLength(route));
    putSource(out, family, source, 0, sourceLength);
    endResult(out, table, status, winner === undefined ? undefined : { winner });
    this.#answer.flush();
  }

  onResult(slot: number, outcome: Outcome, contexts: Contexts): void {
    const status = STATUS_OF_OUTCOME[outcome];
    this.#underWay -= 1;
    this.#summary[SUMMARY_FIELDS[status]] += 1;
    if (contexts.getU32(slot, U32.BYPASSED) !== 0) this.#summary.bypassed = (this.#summary.bypassed ?? 0) + 1;
    if (isReported(status, this.#ack)) {
      this.#parts.outcomes.putLine(this.#answer.out, slot, outcome, contexts);
      this.#answer.flush();
    }
    if (this.#underWay === 0) this.#wakeEnd?.();
  }

  #formatSummary(isComplete: boolean): string {
    this.#summary.elapsedMs = Math.round((this.#parts.dataplane.clock.now() - this.#startedAt) * 1000) / 1000;
    if (isComplete) return formatSummary(this.#summary);
    const { code, message } = describeRefusal(this.#parts.dataplane);
    this.#summary.rejected = this.#sync.left;
    this.#summary.error = { code, message, hint: "send the sync again; what it did not come to is as it was" };
    return formatSummary(this.#summary);
  }

  async #release(): Promise<void> {
    const { pacer } = this.#parts;
    this.#sync.end();
    for (const _ of this.#sync.release()) if (pacer.isOver()) await pacer.pause();
  }
}
