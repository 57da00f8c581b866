/**
 * Brings a plugin's `export` what the forwarding plane holds, as fast as the plugin takes it: asks the main thread a piece at a
 * time (core/context/route_export.ts), and again when the plugin has taken the last. What changes meanwhile is remembered over
 * there, a bit for each route, so a plugin that takes nothing costs no memory. On the provider's thread.
 */
import { clearTimeout, setTimeout } from "node:timers";
import { ATTRS_ALIGN } from "../../core/context/attrs.ts";
import type { ExportAnswer, ExportQuestion } from "../../core/context/route_export.ts";
import { Family } from "../../core/model/route.ts";
import {
  createFrame,
  FRAME_BODY,
  OBJECTS_PENDING,
  RECORDS_COUNT,
  RECORDS_FIRST,
  RECORDS_FLAGS,
  RECORDS_LAST,
  ToHost,
} from "./frames.ts";

const RETRY_MIN_MS = 1000;
/** The pause doubles up to this. */
const RETRY_MAX_MS = 30_000;

export interface ExportPumpParts {
  ask: (question: ExportQuestion, transfer?: readonly ArrayBuffer[]) => void;
  send: (frame: Uint8Array) => void;
  /** First pause before what the plugin could not take is offered again. */
  retryMinMs?: number;
}

export class ExportPump {
  readonly #parts: ExportPumpParts;
  readonly #retryMinMs: number;
  /** Whether routes are exported, or only nexthop objects are asked for. */
  #exports = false;
  /** Number of the last question; answers to earlier ones are of no use. */
  #token = 0;
  #isAsking = false;
  /** What the plugin has and has not taken yet. */
  #offered: Uint8Array | null = null;
  #retryTimer: ReturnType<typeof setTimeout> | null = null;
  #pauseMs: number;
  /** Where the walk over all routes is; null if it is over. */
  #walk: { family: Family; from: number } | null = null;
  #isFirst = false;
  #hasChanges = false;
  #areObjectsWanted = false;
  #objects: { bytes: Uint8Array; count: number }[] = [];

  constructor(parts: ExportPumpParts) {
    this.#parts = parts;
    this.#retryMinMs = parts.retryMinMs ?? RETRY_MIN_MS;
    this.#pauseMs = this.#retryMinMs;
  }

  /** A process has begun, which knows nothing: it is told of all nexthop objects, and of all routes if it exports. */
  begin(exports: boolean): void {
    this.end();
    this.#exports = exports;
    this.#parts.ask({ type: "begin", wantsFailed: false, routes: exports ? "all" : "none" });
    this.#areObjectsWanted = true;
    if (exports) this.#beginWalk();
    this.#pump();
  }

  /** The process is gone. */
  end(): void {
    if (this.#retryTimer !== null) clearTimeout(this.#retryTimer);
    this.#retryTimer = null;
    this.#token += 1;
    this.#isAsking = false;
    this.#offered = null;
    this.#pauseMs = this.#retryMinMs;
    this.#walk = null;
    this.#hasChanges = false;
    this.#areObjectsWanted = false;
    this.#objects = [];
  }

  onAnswer(answer: ExportAnswer): void {
    if (answer.type === "changed") {
      this.#hasChanges ||= answer.routes && this.#exports;
      this.#areObjectsWanted ||= answer.objects;
    } else if (answer.type === "replay") {
      if (this.#exports) this.#beginWalk();
    } else if (answer.token !== this.#token || !this.#isAsking) {
      return;
    } else {
      this.#isAsking = false;
      if (answer.type === "objects") this.#onObjects(answer);
      else this.#onRoutes(answer);
    }
    this.#pump();
  }

  /** The plugin has taken what it was offered, or could not. */
  onExported(isTaken: boolean): void {
    if (this.#offered === null) return;
    if (!isTaken) {
      this.#retryTimer ??= setTimeout(() => {
        this.#retryTimer = null;
        if (this.#offered !== null) this.#parts.send(this.#offered);
      }, this.#pauseMs);
      this.#pauseMs = Math.min(this.#pauseMs * 2, RETRY_MAX_MS);
      return;
    }
    this.#offered = null;
    this.#pauseMs = this.#retryMinMs;
    this.#pump();
  }

  #beginWalk(): void {
    this.#walk = { family: Family.IPV4, from: 0 };
    this.#isFirst = true;
  }

  /** Asks for the next piece, if there is one and the plugin is done with the last. */
  #pump(): void {
    if (this.#isAsking) return;
    if (this.#areObjectsWanted) {
      this.#areObjectsWanted = false;
      this.#objects = [];
      this.#ask((token) => ({ type: "objects", token, from: 0 }));
    } else if (this.#offered !== null) {
      return;
    } else if (this.#walk !== null) {
      const walk = this.#walk;
      this.#ask((token) => ({ type: "walk", token, ...walk }));
    } else if (this.#hasChanges) {
      this.#hasChanges = false;
      this.#ask((token) => ({ type: "changes", token }));
    }
  }

  #ask(question: (token: number) => ExportQuestion): void {
    this.#token += 1;
    this.#isAsking = true;
    this.#parts.ask(question(this.#token));
  }

  /** Gathers the list of objects, and hands it on as one. */
  #onObjects({ objects, count, next, pending }: Extract<ExportAnswer, { type: "objects" }>): void {
    this.#objects.push({ bytes: count === 0 ? new Uint8Array(0) : new Uint8Array(objects), count });
    if (next !== 0) return this.#ask((token) => ({ type: "objects", token, from: next }));
    const length = this.#objects.reduce((sum, { bytes }) => sum + bytes.length, 0);
    const frame = createFrame(ToHost.OBJECTS, ATTRS_ALIGN + length + 4 * pending.length);
    const header = new Uint32Array(frame.buffer, FRAME_BODY, ATTRS_ALIGN / 4);
    header[RECORDS_COUNT] = this.#objects.reduce((sum, { count: some }) => sum + some, 0);
    header[OBJECTS_PENDING] = pending.length;
    let at = FRAME_BODY + ATTRS_ALIGN;
    for (const { bytes } of this.#objects) {
      frame.set(bytes, at);
      at += bytes.length;
    }
    new Uint32Array(frame.buffer, at, pending.length).set(pending);
    this.#objects = [];
    this.#parts.send(frame);
  }

  #onRoutes({ records, length, count, next }: Extract<ExportAnswer, { type: "routes" }>): void {
    let flags = 0;
    const walk = this.#walk;
    if (walk !== null) {
      if (this.#isFirst) flags |= RECORDS_FIRST;
      this.#isFirst = false;
      if (next !== 0) walk.from = next;
      else if (walk.family === Family.IPV4) this.#walk = { family: Family.IPV6, from: 0 };
      else {
        this.#walk = null;
        flags |= RECORDS_LAST;
      }
    } else if (next !== 0) {
      this.#hasChanges = true;
    }
    if (count === 0 && flags === 0) return;
    const frame = createFrame(ToHost.EXPORT, ATTRS_ALIGN + length);
    const header = new Uint32Array(frame.buffer, FRAME_BODY, ATTRS_ALIGN / 4);
    header[RECORDS_COUNT] = count;
    header[RECORDS_FLAGS] = flags;
    frame.set(new Uint8Array(records, 0, length), FRAME_BODY + ATTRS_ALIGN);
    this.#offered = frame;
    this.#parts.send(frame);
  }
}
