/**
 * The session behind `POST /v1/routes`: updates in as their bytes arrive, results out as they come. Main thread.
 *
 * Back pressure goes both ways. Updates are taken only while the dataplane has room, so a full queue leaves the rest of
 * the body in the client's socket; and a client that does not read its results is not read from either, once
 * UNSENT_MAX of them wait. What is held for one client is then one chunk of its body, those results, and the results of
 * what is under way, which the pool of contexts bounds.
 */
import { setInterval } from "node:timers";
import { now } from "../clock.ts";
import type { Contexts } from "../context/contexts.ts";
import { U32 } from "../context/layout.ts";
import type { Dataplane } from "../dataplane/dataplane.ts";
import type { Log } from "../log.ts";
import { createRouteUpdate } from "../model/route.ts";
import { AdmissionError, type Outcome, type Rib, type UpdateSession } from "../rib/rib.ts";
import type { ErrorJson, SummaryJson } from "./api_types.ts";
import type { NorthboundCounters } from "./counters.ts";
import { BodyFormat, createSplitter, detectFormat, SplitKind, type UpdateSplitter } from "./line_splitter.ts";
import { type OutcomeReader, STATUS_OF_OUTCOME } from "./outcome.ts";
import type { Pacer } from "./pacer.ts";
import { formatRejection, formatResult, formatSummary, ResultStatus } from "./result_json.ts";
import type { NameResolver, UpdateDefaults } from "./update_rules.ts";
import { isBlankUpdate, parseUpdate } from "./update_text.ts";

/** Updates admitted before the next session in line has its turn. */
const TURN_UPDATES = 64;
/** Results that may wait for a client, in characters; with more its body is left unread. */
const UNSENT_MAX = 256 * 1024;
/** White space that may come before what tells the body's format. */
const BLANK_HEAD_MAX = 4096;
/**
 * Bytes of a body after which the garbage is collected that its updates have left: some four times as much. On its own
 * the runtime would let it grow to twice what the RIB takes.
 */
export const COLLECT_BYTES = 2 << 20;
/** During a shutdown a body that brings nothing for this long, or goes on for that long, is read no further. */
const ENDING_IDLE_MS = 250;
const ENDING_MAX_MS = 2000;

export type AckMode = "all" | "errors" | "none";

export interface RouteStreamParts {
  rib: Rib;
  dataplane: Dataplane;
  outcomes: OutcomeReader;
  resolver: NameResolver;
  defaults: UpdateDefaults;
  pacer: Pacer;
  counters: NorthboundCounters;
  collectGarbage: () => void;
  log: Log;
  /** Aborted when the daemon shuts down. */
  shutdown: AbortSignal;
}

export interface RouteStreamRequest {
  /** Number of the owner in the RIB. */
  owner: number;
  ack: AckMode;
  contentType: string;
  body: ReadableStream<Uint8Array> | null;
}

/** Why the dataplane takes no more updates, as result lines say it. */
function refusal({ state, failure }: Dataplane): ErrorJson {
  if (state === "failed") {
    return { code: "DATAPLANE_FAILED", message: `The dataplane has failed: ${failure}`, hint: "restart dplaned" };
  }
  return { code: "SHUTTING_DOWN", message: "dplaned is shutting down and takes no more updates" };
}

const ADMISSION_ERRORS: Readonly<Record<AdmissionError, ErrorJson>> = {
  [AdmissionError.OUT_OF_ATTRS]: {
    code: AdmissionError.OUT_OF_ATTRS,
    message: "There is no room for another set of nexthops and attributes",
    hint: "delete routes, or let more of them share their nexthops",
  },
  [AdmissionError.OUT_OF_KEY_CLASSES]: {
    code: AdmissionError.OUT_OF_KEY_CLASSES,
    message: "There are too many combinations of table, metric and source prefix",
    hint: "use fewer metrics or tables",
  },
  [AdmissionError.UNKNOWN_NEXTHOP_GROUP]: {
    code: AdmissionError.UNKNOWN_NEXTHOP_GROUP,
    field: "nexthopGroup",
    message: "There is no nexthop group of this number",
    hint: "list the nexthops in the route",
  },
};

const encoder = new TextEncoder();

export class RouteStream implements UpdateSession {
  /** The answer's body: NDJSON, the summary last. */
  readonly response: ReadableStream<Uint8Array>;
  readonly #parts: RouteStreamParts;
  readonly #request: RouteStreamRequest;
  readonly #reader: ReadableStreamDefaultReader<Uint8Array> | null;
  readonly #session: number;
  readonly #startedAt = now();
  readonly #update = createRouteUpdate();
  readonly #summary: Omit<SummaryJson, "elapsedMs">;
  #format: BodyFormat = BodyFormat.UNKNOWN;
  #splitter: UpdateSplitter | null = null;
  /** White space from before the format was known. */
  #head: Uint8Array = new Uint8Array(0);
  #underWay = 0;
  #chunks = 0;
  #bytesSinceCollection = 0;
  #unsent = "";
  /** The client has gone: what was admitted is carried out, and nobody is told. */
  #isAbandoned = false;
  #isCancelled = false;
  #hasEnded = false;
  // Wake those who wait for something to send, for the client to take what is sent, and for the last result.
  #wakePull: (() => void) | null = null;
  #wakeReader: (() => void) | null = null;
  #wakeEnd: (() => void) | null = null;

  constructor(parts: RouteStreamParts, request: RouteStreamRequest) {
    this.#parts = parts;
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
    this.#reader = request.body?.getReader() ?? null;
    this.#session = parts.rib.openSession(this);
    parts.counters.streamsOpened += 1;
    parts.counters.streamsOpen += 1;
    this.response = new ReadableStream<Uint8Array>(
      { pull: (controller) => this.#pull(controller), cancel: () => this.#cancel() },
      { highWaterMark: 0 },
    );
    void this.#run();
  }

  async #run(): Promise<void> {
    const onShutdown = (): void => this.#endSoon();
    this.#parts.shutdown.addEventListener("abort", onShutdown);
    if (this.#parts.shutdown.aborted) this.#endSoon();
    try {
      await this.#readBody();
      while (this.#underWay > 0 && !this.#isAbandoned) await this.#wait((wake) => (this.#wakeEnd = wake));
      const elapsedMs = Math.round((now() - this.#startedAt) * 1000) / 1000;
      this.#send(formatSummary({ ...this.#summary, elapsedMs }));
    } catch (error) {
      this.#parts.log.error("Stream of updates failed", { error: String(error) });
    } finally {
      this.#parts.shutdown.removeEventListener("abort", onShutdown);
      this.#parts.rib.closeSession(this.#session);
      this.#parts.counters.streamsOpen -= 1;
      if (this.#isAbandoned) this.#parts.counters.streamsAbandoned += 1;
      this.#hasEnded = true;
      this.#wakePull?.();
    }
  }

  async #readBody(): Promise<void> {
    while (!this.#isAbandoned) {
      const chunk = await this.#nextChunk();
      if (chunk === null) break;
      this.#chunks += 1;
      this.#parts.counters.bodyBytes += chunk.length;
      this.#bytesSinceCollection += chunk.length;
      if (this.#splitter !== null) this.#splitter.push(chunk);
      else if (!this.#openSplitter(chunk)) continue;
      await this.#takeUpdates();
      if (this.#bytesSinceCollection < COLLECT_BYTES) continue;
      this.#bytesSinceCollection = 0;
      this.#parts.collectGarbage();
    }
    if (this.#splitter === null || this.#isAbandoned) return;
    this.#splitter.end();
    await this.#takeUpdates();
  }

  /** The next bytes of the body; null at its end, and when the client has gone. */
  async #nextChunk(): Promise<Uint8Array | null> {
    if (this.#reader === null) return null;
    try {
      const { value } = await this.#reader.read();
      return value ?? null;
    } catch {
      // A body that breaks off is a client that has gone.
      this.#abandon();
      return null;
    }
  }

  /** Finds the body's format. False while there is nothing but white space. */
  #openSplitter(chunk: Uint8Array): boolean {
    const head = new Uint8Array(this.#head.length + chunk.length);
    head.set(this.#head);
    head.set(chunk, this.#head.length);
    this.#format = detectFormat(this.#request.contentType, head);
    if (this.#format === BodyFormat.UNKNOWN) {
      this.#head = head;
      if (head.length < BLANK_HEAD_MAX) return false;
      this.#format = BodyFormat.NDJSON;
    }
    this.#head = new Uint8Array(0);
    this.#splitter = createSplitter(this.#format);
    this.#splitter.push(head);
    return true;
  }

  /** Takes all updates out of the splitter, in turns with other sessions. */
  async #takeUpdates(): Promise<void> {
    const { dataplane, rib, pacer } = this.#parts;
    let hasMore = true;
    while (hasMore && !this.#isAbandoned) {
      while (this.#unsent.length > UNSENT_MAX && !this.#isAbandoned) {
        await this.#wait((wake) => (this.#wakeReader = wake));
      }
      await dataplane.waitForRoom();
      hasMore = this.#takeTurn();
      // Ends the turn in any case, so that the next in line gets one.
      rib.flush();
      if (pacer.isOver()) await pacer.pause();
    }
  }

  /** Takes some updates. True if there are more. */
  #takeTurn(): boolean {
    const { dataplane, pacer } = this.#parts;
    const splitter = this.#splitter!;
    for (let taken = 0; taken < TURN_UPDATES && !this.#isAbandoned; taken++) {
      if (!dataplane.hasRoom() && dataplane.isAccepting()) return true;
      const kind = splitter.next();
      if (kind === SplitKind.NONE) return false;
      if (kind !== SplitKind.TEXT || !isBlankUpdate(splitter.text, this.#format)) this.#take(kind, splitter);
      if (pacer.isOver()) return true;
    }
    return true;
  }

  #take(kind: SplitKind, splitter: UpdateSplitter): void {
    const { rib, dataplane, resolver, defaults } = this.#parts;
    this.#summary.received += 1;
    const update = this.#update;
    const error = parseUpdate(kind, splitter, this.#format, update, resolver, defaults);
    if (error !== null) return this.#reject(splitter.number, error);
    if (!dataplane.isAccepting()) return this.#reject(splitter.number, refusal(dataplane));
    const refused = rib.admit(update, this.#request.owner, this.#session, splitter.number);
    if (refused === null) this.#underWay += 1;
    else this.#reject(splitter.number, ADMISSION_ERRORS[refused]);
  }

  #reject(line: number, error: ErrorJson): void {
    this.#parts.dataplane.countUpdateError();
    this.#summary.rejected += 1;
    if (this.#request.ack !== "none") this.#send(formatRejection(line, this.#update, error));
  }

  onResult(slot: number, outcome: Outcome, contexts: Contexts): void {
    const { outcomes } = this.#parts;
    const status = STATUS_OF_OUTCOME[outcome];
    this.#underWay -= 1;
    this.#summary[SUMMARY_FIELDS[status]] += 1;
    const { ack } = this.#request;
    if (ack === "all" || (ack === "errors" && status === ResultStatus.FIB_FAILED)) {
      this.#send(
        formatResult(
          contexts.getU32(slot, U32.LINE),
          outcomes.op(slot, contexts),
          outcomes.prefix(slot, contexts),
          outcomes.source(slot, contexts),
          contexts.getU32(slot, U32.TABLE),
          status,
          outcomes.details(slot, outcome, contexts),
        ),
      );
    }
    if (this.#underWay === 0) this.#wakeEnd?.();
  }

  #send(text: string): void {
    if (this.#isAbandoned) return;
    this.#unsent += text;
    this.#wakePull?.();
  }

  /** The client has room for more of the answer. */
  async #pull(controller: ReadableStreamDefaultController<Uint8Array>): Promise<void> {
    while (this.#unsent === "" && !this.#hasEnded && !this.#isCancelled)
      await this.#wait((wake) => (this.#wakePull = wake));
    if (this.#isCancelled) return;
    if (this.#unsent === "") return controller.close();
    const text = this.#unsent;
    this.#unsent = "";
    controller.enqueue(encoder.encode(text));
    this.#wakeReader?.();
  }

  #cancel(): void {
    this.#isCancelled = true;
    this.#abandon();
  }

  /** The client has gone. */
  #abandon(): void {
    if (this.#isAbandoned || this.#hasEnded) return;
    this.#isAbandoned = true;
    this.#unsent = "";
    this.#reader?.cancel().catch(() => {});
    this.#wakeReader?.();
    this.#wakeEnd?.();
    this.#wakePull?.();
  }

  /** The daemon shuts down: what still arrives is rejected, but a body that goes on for ever ends here. */
  #endSoon(): void {
    const deadline = now() + ENDING_MAX_MS;
    let seen = this.#chunks;
    const timer = setInterval(() => {
      const isDone = this.#hasEnded || this.#isAbandoned;
      if (!isDone && this.#chunks !== seen && now() < deadline) {
        seen = this.#chunks;
        return;
      }
      clearInterval(timer);
      if (!isDone) this.#reader?.cancel().catch(() => {});
    }, ENDING_IDLE_MS);
  }

  #wait(keep: (wake: () => void) => void): Promise<void> {
    return new Promise((resolve) => keep(resolve));
  }
}

const SUMMARY_FIELDS = {
  [ResultStatus.FIB_PROGRAMMED]: "fibProgrammed",
  [ResultStatus.FIB_FAILED]: "fibFailed",
  [ResultStatus.RIB_PROGRAMMED]: "ribProgrammed",
  [ResultStatus.SKIPPED]: "skipped",
  [ResultStatus.SUPERSEDED]: "superseded",
  [ResultStatus.REJECTED]: "rejected",
} as const satisfies Record<ResultStatus, keyof SummaryJson>;
