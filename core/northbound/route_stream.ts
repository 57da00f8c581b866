/**
 * The session behind `POST /v1/routes`: updates in as their bytes arrive, results out as they come. Main thread.
 *
 * Back pressure goes both ways. Updates are taken only while the dataplane has room, so a full queue leaves the rest of
 * the body in the client's socket; and a client that does not read its results is not read from either, once enough of
 * them wait. What is held for one client is then one chunk of its body, those results, and the results of what is under
 * way, which the pool of contexts bounds.
 *
 * Withdrawals are the exception: they wait in `withdrawals.ts`, while there is no room, and are admitted by a loop of their own
 * in the order that is best. What is held for all clients together is then some MiB more.
 */
import type { AttrsMemo } from "../context/attrs_store.ts";
import type { Contexts } from "../context/contexts.ts";
import { U32 } from "../context/layout.ts";
import type { Dataplane } from "../dataplane/dataplane.ts";
import type { Log } from "../log.ts";
import { createRouteUpdate, type RouteUpdate } from "../model/route.ts";
import type { Outcome, UpdateSession } from "../rib/outcome.ts";
import type { Owner } from "../rib/owners.ts";
import type { Rib } from "../rib/rib.ts";
import { describeAdmissionError, describeRefusal } from "./admission_error.ts";
import { AnswerStream } from "./answer_stream.ts";
import type { ErrorJson, SummaryJson } from "./api_types.ts";
import type { NorthboundCounters } from "./counters.ts";
import { type OutcomeReader, STATUS_OF_OUTCOME } from "./outcome.ts";
import type { Pacer } from "./pacer.ts";
import { type AckMode, formatRejection, formatSummary, isReported, SUMMARY_FIELDS } from "./result_json.ts";
import { SplitKind } from "./splitter.ts";
import { BodyEnd, UpdateBody } from "./update_body.ts";
import type { NameResolver, UpdateDefaults } from "./update_rules.ts";
import { type WithdrawalRoom, Withdrawals } from "./withdrawals.ts";

/** Updates admitted before the next session in line has its turn, and those between two looks at the clock. */
export const TURN_UPDATES = 256;
export const STEP_UPDATES = 16;

export interface RouteStreamParts {
  rib: Rib;
  dataplane: Dataplane;
  outcomes: OutcomeReader;
  resolver: NameResolver;
  defaults: UpdateDefaults;
  pacer: Pacer;
  withdrawalRoom: WithdrawalRoom;
  counters: NorthboundCounters;
  collectGarbage: () => void;
  log: Log;
  /** Aborted when the daemon shuts down. */
  shutdown: AbortSignal;
  /** How long the body of a full-state sync may stand still. */
  bodyIdleMs: number;
}

export interface RouteStreamRequest {
  owner: Owner;
  ack: AckMode;
  contentType: string;
  body: ReadableStream<Uint8Array> | null;
}

export class RouteStream implements UpdateSession {
  readonly #parts: RouteStreamParts;
  readonly #request: RouteStreamRequest;
  readonly #body: UpdateBody;
  readonly #answer: AnswerStream;
  readonly #session: number;
  readonly #startedAt: number;
  readonly #update = createRouteUpdate();
  /** An update has been read that cannot be admitted yet. */
  #isHeld = false;
  readonly #withdrawals: Withdrawals;
  readonly #withdrawn = createRouteUpdate();
  /** Admits the withdrawals that wait; null while none do. */
  #withdrawing: Promise<void> | null = null;
  readonly #summary: Omit<SummaryJson, "elapsedMs">;
  #underWay = 0;
  /** The client has gone: what was admitted is carried out, and nobody is told. */
  #isAbandoned = false;
  #hasEnded = false;
  /** Wakes who waits for the last result. */
  #wakeEnd: (() => void) | null = null;

  constructor(parts: RouteStreamParts, request: RouteStreamRequest) {
    this.#parts = parts;
    this.#startedAt = parts.dataplane.clock.now();
    this.#request = request;
    this.#summary = {
      received: 0,
      fibProgrammed: 0,
      fibFailed: 0,
      ribProgrammed: 0,
      skipped: 0,
      superseded: 0,
      rejected: 0,
    };
    this.#body = new UpdateBody(request.body, request.contentType, parts);
    this.#answer = new AnswerStream(() => this.#abandon());
    this.#withdrawals = new Withdrawals(parts.withdrawalRoom);
    this.#session = parts.rib.openSession(this);
    parts.counters.streamsOpened += 1;
    parts.counters.streamsOpen += 1;
    void this.#run();
  }

  /** The answer's body: NDJSON, the summary last. */
  get response(): ReadableStream<Uint8Array> {
    return this.#answer.body;
  }

  async #run(): Promise<void> {
    const { shutdown, dataplane } = this.#parts;
    // What still arrives then is rejected, but a body that goes on for ever ends.
    const onShutdown = (): void => this.#body.cutSoon();
    shutdown.addEventListener("abort", onShutdown);
    if (shutdown.aborted) onShutdown();
    try {
      while (!this.#isAbandoned && (await this.#body.read())) await this.#takeUpdates();
      if (this.#body.end === BodyEnd.BROKEN) this.#answer.abandon();
      await this.#withdrawing;
      while (this.#underWay > 0 && !this.#isAbandoned) await this.#lastResult();
      const elapsedMs = Math.round((dataplane.clock.now() - this.#startedAt) * 1000) / 1000;
      this.#answer.send(formatSummary({ ...this.#summary, elapsedMs }));
    } catch (error) {
      this.#parts.log.error("Stream of updates failed", { error: String(error) });
    } finally {
      shutdown.removeEventListener("abort", onShutdown);
      this.#parts.rib.closeSession(this.#session);
      this.#parts.counters.streamsOpen -= 1;
      if (this.#isAbandoned) this.#parts.counters.streamsAbandoned += 1;
      this.#hasEnded = true;
      this.#answer.end();
    }
  }

  /** Takes out all updates that have arrived, in turns with other sessions. */
  async #takeUpdates(): Promise<void> {
    const { dataplane, rib, pacer } = this.#parts;
    let hasMore = true;
    while (hasMore && !this.#isAbandoned) {
      await this.#answer.waitForRoom();
      // What waits to be withdrawn has to be admitted before anything but more of the same.
      if (this.#isHeld) await this.#withdrawing;
      if (this.#withdrawing === null) await dataplane.waitForRoom();
      hasMore = this.#takeTurn();
      // Ends the turn in any case, so that the next in line gets one.
      rib.flush();
      if (pacer.isOver()) await pacer.pause();
    }
  }

  /** Takes some updates. True if there are more. */
  #takeTurn(): boolean {
    const { pacer } = this.#parts;
    let room = this.#room();
    for (let taken = 0; taken < TURN_UPDATES && !this.#isAbandoned; taken++) {
      // One that was not like an earlier one may have taken long.
      if ((taken % STEP_UPDATES === 0 || this.#body.attrsMemo === null) && pacer.isOver()) return true;
      if (!this.#isHeld) {
        const kind = this.#body.next();
        if (kind === SplitKind.NONE) return false;
        if (!this.#read(kind)) continue;
      }
      const isFree = this.#withdrawing === null && room > 0;
      this.#isHeld = !isFree && !this.#withdrawals.takes(this.#update);
      if (this.#isHeld) return true;
      if (isFree) {
        room -= 1;
        this.#admit(this.#update, this.#body.line, this.#body.attrsMemo);
      } else this.#withdrawLater();
    }
    return true;
  }

  /** Updates that may be admitted now. */
  #room(): number {
    const { dataplane } = this.#parts;
    // What comes to a dataplane that takes no more is rejected, for which there is always room.
    return dataplane.isAccepting() ? dataplane.room() : TURN_UPDATES;
  }

  /** Reads an update; one that is wrong has its result at once, and false is returned. */
  #read(kind: SplitKind): boolean {
    const { resolver, defaults } = this.#parts;
    this.#summary.received += 1;
    const error = this.#body.parse(kind, this.#update, resolver, defaults);
    if (error !== null) this.#reject(this.#body.line, this.#update, error);
    return error === null;
  }

  #admit(update: RouteUpdate, line: number, memo: AttrsMemo | null): void {
    const { rib, dataplane, shutdown } = this.#parts;
    const { owner } = this.#request;
    // The dataplane may take work still, of the daemon itself: the withdrawal of all routes.
    if (shutdown.aborted || !dataplane.isAccepting()) return this.#reject(line, update, describeRefusal(dataplane));
    this.#underWay += 1;
    const refused = rib.admit(update, owner, this.#session, line, memo);
    if (refused === null) return;
    this.#underWay -= 1;
    this.#reject(line, update, describeAdmissionError(refused, rib, owner, update));
  }

  #withdrawLater(): void {
    this.#withdrawals.push(this.#update, this.#body.line);
    this.#withdrawing ??= this.#withdraw().catch((error: unknown) => {
      this.#parts.log.error("Withdrawals failed", { error: String(error) });
      this.#answer.abandon();
    });
  }

  /** Admits the withdrawals that wait, as there is room, until none do. */
  async #withdraw(): Promise<void> {
    const { dataplane, rib, pacer } = this.#parts;
    while (this.#withdrawals.count > 0 && !this.#isAbandoned) {
      await this.#answer.waitForRoom();
      await dataplane.waitForRoom();
      const limit = Math.min(TURN_UPDATES, this.#room());
      for (let taken = 0; taken < limit && this.#withdrawals.count > 0 && !this.#isAbandoned; taken++) {
        const line = this.#withdrawals.next(this.#withdrawn);
        this.#admit(this.#withdrawn, line, null);
      }
      rib.flush();
      if (pacer.isOver()) await pacer.pause();
    }
    // A client that has gone may be back, and what it sends now must not be undone.
    this.#withdrawals.clear();
    this.#withdrawing = null;
  }

  #reject(line: number, update: RouteUpdate, error: ErrorJson): void {
    this.#parts.dataplane.countUpdateError();
    this.#summary.rejected += 1;
    if (this.#request.ack !== "none") this.#answer.send(formatRejection(line, update, error));
  }

  onResult(slot: number, outcome: Outcome, contexts: Contexts): void {
    const status = STATUS_OF_OUTCOME[outcome];
    this.#underWay -= 1;
    this.#summary[SUMMARY_FIELDS[status]] += 1;
    if (contexts.getU32(slot, U32.BYPASSED) !== 0) this.#summary.bypassed = (this.#summary.bypassed ?? 0) + 1;
    if (isReported(status, this.#request.ack)) {
      this.#parts.outcomes.putLine(this.#answer.out, slot, outcome, contexts);
      this.#answer.flush();
    }
    if (this.#underWay === 0) this.#wakeEnd?.();
  }

  #abandon(): void {
    if (this.#isAbandoned || this.#hasEnded) return;
    this.#isAbandoned = true;
    this.#body.cut();
    this.#wakeEnd?.();
  }

  #lastResult(): Promise<void> {
    return new Promise((resolve) => {
      this.#wakeEnd = resolve;
    });
  }
}
