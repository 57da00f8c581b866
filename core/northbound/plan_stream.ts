/**
 * Dry runs: what a stream of updates, or a full-state sync, would have the kernel do, a line each. Nothing is changed,
 * and nothing stays behind. Main thread.
 */
import { now } from "../clock.ts";
import { createRouteUpdate, UpdateOp } from "../model/route.ts";
import { NOBODY, type Owner } from "../rib/owners.ts";
import { type PlannedChange, planClaim, UpdatePlan } from "../rib/plan.ts";
import { type RouteSync, SyncStep } from "../rib/sync.ts";
import { describeAdmissionError } from "./admission_error.ts";
import { AnswerStream } from "./answer_stream.ts";
import type { PlanSummaryJson } from "./api_types.ts";
import { formatGroupWait } from "./outcome.ts";
import { type AckMode, formatRejection, formatSummary, jsonString } from "./result_json.ts";
import type { RouteJsonWriter } from "./route_json.ts";
import type { RouteStreamParts, RouteStreamRequest } from "./route_stream.ts";
import { SplitKind } from "./splitter.ts";
import { BodyEnd, UpdateBody } from "./update_body.ts";

/** The answer of a dry run while it is made. */
class PlanAnswer {
  readonly stream = new AnswerStream(() => {
    this.isAbandoned = true;
  });
  isAbandoned = false;
  readonly summary: PlanSummaryJson = {
    received: 0,
    add: 0,
    replace: 0,
    delete: 0,
    none: 0,
    rejected: 0,
    elapsedMs: 0,
  };
  readonly #parts: RouteStreamParts;
  readonly #writer: RouteJsonWriter;
  readonly #owner: Owner;
  readonly #ack: AckMode;
  readonly #startedAt: number;

  constructor(parts: RouteStreamParts, writer: RouteJsonWriter, owner: Owner, ack: AckMode, startedAt = now()) {
    this.#owner = owner;
    this.#startedAt = startedAt;
    this.#parts = parts;
    this.#writer = writer;
    this.#ack = ack;
  }

  /** Tells one change. */
  send(line: number, op: UpdateOp, change: PlannedChange): void {
    this.summary[change.kind] += 1;
    if (this.#ack === "all" || (this.#ack === "errors" && change.kind !== "none")) {
      this.stream.send(this.#format(line, op, change));
    }
  }

  #format(line: number, op: UpdateOp, change: PlannedChange): string {
    const { kind, family, route, winner, nexthopGroup } = change;
    const store = this.#parts.rib.store(family);
    const opName = op === UpdateOp.INSTALL ? "install" : "delete";
    let text = `{"line":${line},"op":"${opName}",${this.#writer.describeName(store, route)},"plan":"${kind}"`;
    if (kind !== "none") {
      if (change.old !== null) text += `,"old":${this.#writer.writePlanned(store, route, change.old, this.#owner)}`;
      if (change.new !== null) text += `,"new":${this.#writer.writePlanned(store, route, change.new, this.#owner)}`;
    }
    if (winner !== NOBODY) text += `,"winner":${jsonString(this.#parts.rib.owners.nameOf(winner))}`;
    if (nexthopGroup !== 0) text += `,"waitingFor":"${formatGroupWait(nexthopGroup)}"`;
    return `${text}}\n`;
  }

  /** It is time to {@linkcode pause}. */
  mustPause(): boolean {
    return this.stream.isFull || this.#parts.pacer.isOver();
  }

  /** Lets others work, and the client read. */
  async pause(): Promise<void> {
    const { pacer } = this.#parts;
    await this.stream.waitForRoom();
    if (pacer.isOver()) await pacer.pause();
  }

  end(): void {
    this.summary.elapsedMs = Math.round((now() - this.#startedAt) * 1000) / 1000;
    this.stream.send(formatSummary(this.summary));
  }
}

/** Tells what a stream of updates would do, as it comes. */
export function planUpdates(
  parts: RouteStreamParts,
  writer: RouteJsonWriter,
  { owner, ack, contentType, body: bytes }: RouteStreamRequest,
): ReadableStream<Uint8Array> {
  const { rib, resolver, defaults, shutdown, log, dataplane } = parts;
  const body = new UpdateBody(bytes, contentType, parts);
  const answer = new PlanAnswer(parts, writer, owner, ack);
  const plan = new UpdatePlan(rib, owner);
  const update = createRouteUpdate();
  const take = (kind: SplitKind): void => {
    answer.summary.received += 1;
    const error = body.parse(kind, update, resolver, defaults);
    const change = error ?? plan.plan(update);
    if (typeof change === "object" && "kind" in change) return answer.send(body.line, update.op, change);
    answer.summary.rejected += 1;
    const reason = typeof change === "string" ? describeAdmissionError(change, rib, owner, update) : change;
    if (ack !== "none") answer.stream.send(formatRejection(body.line, update, reason));
  };
  const run = async (): Promise<void> => {
    const onShutdown = (): void => body.cut();
    shutdown.addEventListener("abort", onShutdown);
    try {
      // What the kernel holds is known only once admission is open.
      await dataplane.waitForRoom();
      rib.flush();
      while (!answer.isAbandoned && (await body.read())) {
        for (let kind = body.next(); kind !== SplitKind.NONE && !answer.isAbandoned; kind = body.next()) {
          take(kind);
          if (answer.mustPause()) await answer.pause();
        }
      }
      if (body.end === BodyEnd.COMPLETE) answer.end();
    } catch (error) {
      log.error("Dry run failed", { error: String(error) });
    } finally {
      shutdown.removeEventListener("abort", onShutdown);
      body.cut();
      answer.stream.end();
      for (const _ of plan.release()) if (parts.pacer.isOver()) await parts.pacer.pause();
    }
  };
  void run();
  return answer.stream.body;
}

/** Tells what a full-state sync would do whose body is staged, and lets go of it. */
export function planSync(
  parts: RouteStreamParts,
  writer: RouteJsonWriter,
  sync: RouteSync,
  ack: AckMode,
  startedAt: number,
): ReadableStream<Uint8Array> {
  const { rib, log, pacer } = parts;
  const answer = new PlanAnswer(parts, writer, sync.owner, ack, startedAt);
  const run = async (): Promise<void> => {
    try {
      answer.summary.received = sync.listed;
      answer.summary.none = sync.passed;
      for (; sync.advance() && !answer.isAbandoned; sync.drop()) {
        const { family, route, attrs, line } = sync;
        answer.send(line, UpdateOp.INSTALL, planClaim(rib, family, route, sync.owner.id, attrs));
        if (answer.mustPause()) await answer.pause();
      }
      for (let step = sync.nextStale(); step !== SyncStep.DONE && !answer.isAbandoned; step = sync.nextStale()) {
        if (step !== SyncStep.PASSED) {
          const { family, route } = sync;
          const owner = step === SyncStep.DELETED ? sync.owner.id : NOBODY;
          answer.send(0, UpdateOp.DELETE, planClaim(rib, family, route, owner, 0));
        }
        if (answer.mustPause()) await answer.pause();
      }
      answer.end();
    } catch (error) {
      log.error("Dry run failed", { error: String(error) });
    } finally {
      answer.stream.end();
      for (const _ of sync.release()) if (pacer.isOver()) await pacer.pause();
    }
  };
  void run();
  return answer.stream.body;
}
