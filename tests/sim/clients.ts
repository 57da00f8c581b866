/**
 * The clients of a simulation: each is an owner that streams updates or syncs its full state, in pieces of bytes, reads its results
 * as it likes, and keeps books on every line. What it wants in the end goes into the books of all (ScheduleModel).
 */
import type { ResultJson, SyncSummaryJson, UpdateJson } from "../../core/northbound/api_types.ts";
import { ownParts } from "../../core/northbound/owner_access.ts";
import { RouteStream } from "../../core/northbound/route_stream.ts";
import { SyncStream } from "../../core/northbound/sync_stream.ts";
import type { Prng } from "../../core/prng.ts";
import type { Owner } from "../../core/rib/owners.ts";
import { keyOf } from "../support/schedule_model.ts";
import type { SimDaemon } from "./daemon.ts";

const encoder = new TextEncoder();

/** What a client needs of the simulation. */
export interface ClientWorld {
  prng: Prng;
  violate(text: string): void;
  note(describe: () => string): void;
  /** Rises with each request that the kernel gets. */
  requests(): number;
  /** Whether the kernel has been asked for this since, and has agreed where that is what it takes. */
  wasAsked(key: string, update: UpdateJson, since: number): boolean;
  /** An update is in force, or all of a sync. */
  accept(owner: string, update: UpdateJson): void;
  acceptSync(owner: string, updates: readonly UpdateJson[]): void;
}

/** One request of a client, from its first byte to the end of its answer. */
export class Exchange {
  readonly kind: "post" | "sync";
  readonly owner: string;
  readonly updates: readonly UpdateJson[];
  readonly #world: ClientWorld;
  readonly #daemon: SimDaemon;
  #pieces: Uint8Array[];
  /** By line: the requests that the kernel had got when it was sent. */
  readonly #sentAt: number[] = [];
  readonly #pieceEnds: number[] = [];
  #body!: ReadableStreamDefaultController<Uint8Array>;
  #reader: ReadableStreamDefaultReader<Uint8Array> | null = null;
  #isReading = false;
  #isSent = false;
  #unread = "";
  readonly #decoder = new TextDecoder();
  readonly #results = new Map<number, ResultJson>();
  readonly #lastLine = new Map<string, number>();
  #summary: (SyncSummaryJson & { error?: unknown }) | null = null;
  #status = 0;
  /** It is over, one way or another. */
  isDone = false;
  /** Nobody can say what has become of it. */
  isUncertain = false;

  constructor(
    kind: "post" | "sync",
    owner: Owner,
    updates: readonly UpdateJson[],
    daemon: SimDaemon,
    world: ClientWorld,
  ) {
    this.kind = kind;
    this.owner = owner.name;
    this.updates = updates;
    this.#world = world;
    this.#daemon = daemon;
    this.#pieces = this.#cut();
    const body = new ReadableStream<Uint8Array>({
      start: (controller) => {
        this.#body = controller;
      },
      cancel: () => {
        this.#isSent = true;
      },
    });
    const parts = ownParts(daemon.streams, owner);
    const request = { owner, ack: "all" as const, contentType: "application/x-ndjson", body };
    if (kind === "post") this.#answer(200, new RouteStream(parts, request).response);
    else {
      const answer = new SyncStream(parts, request).respond();
      answer.then(
        (response) => this.#answer(response.status, response.body!),
        (error: unknown) => world.violate(`a sync threw: ${(error as Error).stack ?? error}`),
      );
    }
  }

  /** Does one small thing: sends a piece, or begins to read some of the answer. */
  act(): void {
    const { prng } = this.#world;
    const canRead = this.#reader !== null && !this.#isReading;
    if (!this.#isSent && (!canRead || prng.chance(0.5))) this.#sendPiece();
    else if (canRead) this.#read();
  }

  /** Whether there is something that it could do. */
  get isIdle(): boolean {
    const canSend = !this.#isSent && (this.#body.desiredSize ?? 0) > 0;
    return !canSend && (this.#reader === null || this.#isReading);
  }

  /** The client goes away. */
  vanish(): void {
    this.isDone = true;
    this.isUncertain = true;
    if (!this.#isSent) this.#body.error(new Error("the client is gone"));
    this.#isSent = true;
    void this.#reader?.cancel().catch(() => {});
  }

  /** The daemon is gone. */
  lose(): void {
    this.isDone = true;
    this.isUncertain = true;
  }

  #sendPiece(): void {
    if (this.#isSent || (this.#body.desiredSize ?? 0) <= 0) return;
    const piece = this.#pieces.shift();
    if (piece === undefined) {
      this.#isSent = true;
      this.#body.close();
      return;
    }
    const end = this.#pieceEnds.shift()!;
    while (this.#sentAt.length < end) this.#sentAt.push(this.#world.requests());
    this.#body.enqueue(piece);
  }

  #read(): void {
    this.#isReading = true;
    this.#reader!.read().then(
      ({ done, value }) => {
        this.#isReading = false;
        if (this.isDone) return;
        if (value !== undefined) this.#take(this.#decoder.decode(value, { stream: true }));
        if (done) this.#end();
      },
      (error: unknown) => this.#world.violate(`an answer broke off: ${error}`),
    );
  }

  #answer(status: number, body: ReadableStream<Uint8Array>): void {
    this.#status = status;
    if (!this.isDone) this.#reader = body.getReader();
    else void body.cancel().catch(() => {});
  }

  #take(text: string): void {
    const lines = (this.#unread + text).split("\n");
    this.#unread = lines.pop()!;
    // What a refused request gets is one JSON text.
    if (this.#status !== 200) return;
    for (const line of lines) {
      const answer = JSON.parse(line) as ResultJson | { summary: SyncSummaryJson };
      if (this.#summary !== null) this.#complain(`a line after the summary: ${line}`);
      if ("summary" in answer) this.#summary = answer.summary;
      else this.#takeResult(answer);
    }
  }

  #takeResult(result: ResultJson): void {
    const { line, status } = result;
    this.#world.note(() => `${this.owner} line ${line}: ${JSON.stringify(result)}`);
    if (line === 0) return this.#takeWithdrawal(result);
    const update = this.updates[line - 1];
    if (update === undefined) return this.#complain(`a result for line ${line}, which there is not`);
    if (this.#results.has(line)) return this.#complain(`a second result for line ${line}: ${JSON.stringify(result)}`);
    this.#results.set(line, result);
    const key = keyOf(update);
    const last = this.#lastLine.get(key) ?? 0;
    if (line < last && status !== "rejected") {
      this.#complain(`${key}: the result of line ${line} comes after that of line ${last}`);
    }
    if (status !== "rejected") this.#lastLine.set(key, line);
    if (this.kind === "sync") return;
    if (status !== "rejected") this.#world.accept(this.owner, update);
    const since = this.#sentAt[line - 1] ?? 0;
    if (status === "fib_programmed" && !this.#world.wasAsked(key, update, since)) {
      this.#complain(`${key}: line ${line} is said to be programmed, and the kernel was not asked for it`);
    }
  }

  /** A sync tells of routes that it has withdrawn as line 0. */
  #takeWithdrawal(result: ResultJson): void {
    if (this.kind === "post") this.#complain(`a result for no line: ${JSON.stringify(result)}`);
  }

  #end(): void {
    this.isDone = true;
    if (this.#status !== 200) return this.#endRefused();
    const summary = this.#summary;
    if (summary === null) return this.#complain("the answer ends without a summary");
    if (summary.error !== undefined) {
      this.isUncertain = true;
      return;
    }
    const { received, fibProgrammed, fibFailed, ribProgrammed, skipped, superseded, rejected } = summary;
    if (received !== this.updates.length && !this.#daemon.shutdown.signal.aborted)
      this.#complain(`${received} lines of ${this.updates.length} were received`);
    if (this.kind === "post") {
      const sum = fibProgrammed + fibFailed + ribProgrammed + skipped + superseded + rejected;
      if (sum !== received) this.#complain(`the summary does not add up: ${JSON.stringify(summary)}`);
    }
    if (this.#results.size !== received) this.#complain(`${this.#results.size} results for ${received} lines`);
    if (this.kind === "sync") this.#world.acceptSync(this.owner, this.updates);
  }

  /** A sync that is refused changes nothing. */
  #endRefused(): void {
    this.#world.note(() => `${this.owner}: ${this.#status} ${this.#unread}`);
    if (this.#status !== 503 && this.#status !== 422 && this.#status !== 408)
      this.#complain(`refused with ${this.#status}: ${this.#unread}`);
  }

  #complain(what: string): void {
    this.#world.violate(`${this.owner}'s ${this.kind}: ${what}`);
  }

  /** The body in pieces, cut anywhere. */
  #cut(): Uint8Array[] {
    const { prng } = this.#world;
    const bytes = encoder.encode(this.updates.map((update) => `${JSON.stringify(update)}\n`).join(""));
    const pieces: Uint8Array[] = [];
    let lines = 0;
    for (let from = 0; from < bytes.length; ) {
      const to = Math.min(bytes.length, from + 1 + prng.below(prng.pick([40, 400, 4000])));
      const piece = bytes.slice(from, to);
      for (const byte of piece) if (byte === 0x0a) lines += 1;
      pieces.push(piece);
      this.#pieceEnds.push(lines);
      from = to;
    }
    return pieces;
  }
}
