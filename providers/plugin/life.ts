/**
 * One process of a plugin from its start to its end: brought up in two steps, loaded and then started, and watched for whether
 * it lives and how much memory it takes. What it says is looked at before it is believed. On the provider's thread.
 */
import { clearTimeout, setTimeout } from "node:timers";
import { now } from "../../core/clock.ts";
import type { Log } from "../../core/log.ts";
import { PluginChild } from "./child.ts";
import {
  createFrame,
  createJsonFrame,
  type Failure,
  FRAME_BODY,
  FromHost,
  type Hello,
  type Line,
  type Loaded,
  REPORT_FIELDS,
  type ReportField,
  ToHost,
} from "./frames.ts";
import { readFailure, readLine, readLoaded, readReport } from "./host_words.ts";

/** How long loading and starting may take. */
const UP_DEADLINE_MS = 20_000;
/** How long the process has to end by itself when it is told to. */
const FINISH_DEADLINE_MS = 1000;
const PING_MS = 500;
/** Most that one look adds to the silence: a daemon that was stopped itself heard nothing. */
const LOOK_MAX_MS = 1000;

export interface LifeOptions {
  command: readonly string[];
  hello: Hello;
  hangTimeMs: number;
  memoryLimit: number;
  log: Log;
  onVerdicts: (body: Uint8Array<ArrayBuffer>) => void;
  onErrors: (failure: Failure) => void;
  onExported: (isTaken: boolean) => void;
  onReport: () => void;
  /** Once, unless it was told to finish: why it is gone. */
  onEnd: (reason: string) => void;
}

export class PluginLife {
  readonly #options: LifeOptions;
  readonly #child: PluginChild;
  readonly #loading = Promise.withResolvers<Loaded>();
  readonly #starting = Promise.withResolvers<void>();
  readonly #deadline: ReturnType<typeof setTimeout>;
  /** What it wants; null until it is loaded. */
  loaded: Loaded | null = null;
  /** What it has counted, and its own metrics. */
  readonly counts = Object.fromEntries(REPORT_FIELDS.map((field) => [field, 0])) as Record<ReportField, number>;
  metricValues: Float64Array = new Float64Array(0);
  memoryBytes = 0;
  #isFinishing = false;
  /** It runs our code: until then it is the system that takes its time. */
  #isHere = false;
  #hasHeard = false;
  #silentMs = 0;
  #lookedAt = now();
  #pingedAt = 0;

  constructor(options: LifeOptions) {
    this.#options = options;
    // Whoever waits for them is told by the rejection, and nobody may.
    for (const { promise } of [this.#loading, this.#starting]) promise.catch(() => {});
    this.#child = new PluginChild({
      command: options.command,
      log: options.log,
      onFrame: (type, body) => this.#onFrame(type, body),
      onEnd: (reason) => this.#onEnd(reason),
    });
    this.#deadline = setTimeout(() => this.kill(`it was not up after ${UP_DEADLINE_MS / 1000} s`), UP_DEADLINE_MS);
    this.send(createJsonFrame(ToHost.HELLO, options.hello));
  }

  get pid(): number {
    return this.#child.pid;
  }

  /** Resolves when it is loaded. Rejects with an Error that says why it cannot be. */
  get loading(): Promise<Loaded> {
    return this.#loading.promise;
  }

  /** Has what is loaded start. Rejects with an Error that says why it cannot. */
  start(): Promise<void> {
    this.send(createFrame(ToHost.START, 0));
    return this.#starting.promise;
  }

  send(frame: Uint8Array): void {
    this.#child.send(frame);
  }

  kill(reason: string): void {
    this.#child.kill(reason);
  }

  /** No more updates will come. */
  finishEarly(): void {
    this.#sendFinish(1);
  }

  /** Has it end, and waits until it has; what it does then is no failure. */
  async finish(): Promise<void> {
    this.#isFinishing = true;
    this.#sendFinish(0);
    await this.#child.ended(FINISH_DEADLINE_MS);
  }

  /** Looks whether it lives, and how large it is. To be called several times a second. */
  look(time: number): void {
    const elapsedMs = Math.min(time - this.#lookedAt, LOOK_MAX_MS);
    this.#lookedAt = time;
    this.#silentMs = this.#hasHeard || !this.#isHere ? 0 : this.#silentMs + elapsedMs;
    this.#hasHeard = false;
    const { hangTimeMs, memoryLimit } = this.#options;
    if (this.#silentMs >= hangTimeMs) return this.kill(`it gave no sign of life for ${Math.round(this.#silentMs)} ms`);
    this.memoryBytes = this.#child.memoryBytes();
    if (this.memoryBytes > memoryLimit) {
      const [used, limit] = [this.memoryBytes, memoryLimit].map((bytes) => `${Math.round(bytes / 2 ** 20)}M`);
      return this.kill(`it took ${used} of memory, and memory-limit is ${limit}`);
    }
    if (time - this.#pingedAt < PING_MS) return;
    this.#pingedAt = time;
    this.send(createFrame(ToHost.PING, 4));
  }

  #sendFinish(early: number): void {
    const frame = createFrame(ToHost.FINISH, 1);
    frame[FRAME_BODY] = early;
    this.send(frame);
  }

  #onFrame(type: number, body: Uint8Array<ArrayBuffer>): void {
    this.#hasHeard = true;
    this.#isHere = true;
    const { onVerdicts, onErrors, onExported, onReport } = this.#options;
    if (type === FromHost.VERDICTS) onVerdicts(body);
    else if (type === FromHost.REPORT) this.#takeReport(body, onReport);
    else if (type === FromHost.EXPORTED) onExported(body[0] === 1);
    else if (type === FromHost.ERROR) onErrors(readFailure(body));
    else if (type === FromHost.LOG) this.#say(readLine(body));
    else if (type === FromHost.LOADED) this.#onLoaded(readLoaded(body));
    else if (type === FromHost.STARTED) this.#onStarted();
    else if (type === FromHost.REFUSED) this.kill(readFailure(body).message);
    else if (type !== FromHost.HERE && type !== FromHost.FINISHED) throw new RangeError(`a frame of type ${type}`);
  }

  #onLoaded(loaded: Loaded): void {
    if (this.loaded !== null) throw new RangeError("it was loaded twice");
    this.loaded = loaded;
    this.metricValues = new Float64Array(loaded.metrics.length);
    this.#loading.resolve(loaded);
  }

  #onStarted(): void {
    clearTimeout(this.#deadline);
    this.#starting.resolve();
  }

  #takeReport(body: Uint8Array<ArrayBuffer>, onReport: () => void): void {
    const values = readReport(body, this.metricValues.length);
    for (const [index, field] of REPORT_FIELDS.entries()) this.counts[field] = values[index]!;
    this.metricValues = values.slice(REPORT_FIELDS.length);
    onReport();
  }

  #say({ level, message, fields }: Line): void {
    this.#options.log[level](message, fields);
  }

  #onEnd(reason: string): void {
    clearTimeout(this.#deadline);
    const error = new Error(reason);
    this.#loading.reject(error);
    this.#starting.reject(error);
    if (!this.#isFinishing) this.#options.onEnd(reason);
  }
}
