/**
 * A plugin in the pipeline: gives updates to the plugin's process and puts them out with what it decides. Contexts are never
 * in the plugin's hands, only copies of them; so whatever becomes of its process, each update goes on, or fails where the
 * plugin may not be bypassed, and its result says so. Runs on a thread of its own.
 */
import { clearInterval, clearTimeout, setInterval, setTimeout } from "node:timers";
import { now } from "../../core/clock.ts";
import { VERSION } from "../../core/constants.ts";
import { ContextFlag, DplaneError, F64, isNexthopOp, U8, U32 } from "../../core/context/layout.ts";
import { formatRefusal, parseRefusal } from "../../core/context/refusal.ts";
import type { ExportAnswer } from "../../core/context/route_export.ts";
import {
  PROVIDER_PRIORITY_NAMES,
  type Provider,
  type ProviderIo,
  ProviderPriority,
  providerBit,
  type RegisteredProvider,
} from "../../core/dataplane/provider.ts";
import type { PluginRestart, PluginTold } from "../../core/model/plugin_counters.ts";
import { SharedTextReader } from "../../core/model/shared_text.ts";
import { findPluginDistrust } from "../../core/plugin/plugin_file.ts";
import { dropCapabilities } from "../../ffi/libc/privileges.ts";
import type { Libc } from "../../ffi/libc/symbols.ts";
import { BackOff, ErrorBudget } from "./budget.ts";
import { CopiesEncoder } from "./copies_encoder.ts";
import { ExportPump } from "./export_pump.ts";
import { createFrame, type Failure, FRAME_BODY, type Loaded, ToHost, Verdict } from "./frames.ts";
import { HeldUpdates } from "./held_updates.ts";
import { PluginLife } from "./life.ts";
import { PluginTally } from "./tally.ts";
import { VerdictReader } from "./verdict_reader.ts";

/** Updates that the plugin may have, in work limits. As many again wait for it in its queue. */
const WINDOW_WORK_LIMITS = 4;
const LOOK_MS = 100;
/** Distinct refusals of a plugin; the daemon remembers each, and shares its list with all other failures. */
const REFUSALS_MAX = 4096;

export interface PluginOptions {
  /** Absolute. */
  path: string;
  options: Record<string, unknown>;
  failClosed: boolean;
  timeBudgetMs: number;
  hangTimeMs: number;
  answerTimeMs: number;
  errorBudget: number;
  memoryLimit: number;
  privileged: boolean;
  /** Memory of core/model/plugin_counters.ts. */
  counters: SharedArrayBuffer;
  /** Memory of core/model/shared_text.ts, with what interfaces and owners are called (providers/plugin/frames.ts). */
  names: SharedArrayBuffer;
  /** First pause before the plugin is started again. */
  restartMinMs?: number;
}

export interface PluginParts {
  libc: Libc;
  /** Starts this program as the process of a plugin. */
  command: readonly string[];
}

export function createPluginProvider(registered: RegisteredProvider, parts: PluginParts): Provider {
  return new PluginProvider(registered, parts);
}

class PluginProvider implements Provider {
  readonly #options: PluginOptions;
  readonly #parts: PluginParts;
  readonly #bit: number;
  readonly #name: string;
  readonly #priority: ProviderPriority;
  readonly #names: SharedTextReader;
  readonly #tally: PluginTally;
  readonly #errors: ErrorBudget;
  readonly #backOff: BackOff;
  readonly #refusals = new Set<string>();
  #io!: ProviderIo;
  #held!: HeldUpdates;
  #updates!: CopiesEncoder;
  #undos!: CopiesEncoder;
  #pump!: ExportPump;
  #verdicts!: VerdictReader;
  #taken!: Uint32Array;
  #finished!: Uint32Array;
  #window = 0;
  /** The process that decides; null while there is none. */
  #life: PluginLife | null = null;
  /** One that is being loaded or started. */
  #coming: PluginLife | null = null;
  #upSince = 0;
  /** What the plugin wants, as its last process said. Until one has, it is taken to decide. */
  #wants: Loaded = { decides: true, undoes: false, exports: false, metrics: [] };
  /** Updates wait while one process takes over from another. */
  #isDraining = false;
  #isEnding = false;
  #restartTimer: ReturnType<typeof setTimeout> | null = null;
  #lookTimer: ReturnType<typeof setInterval> | null = null;
  /** Version of the names that the process knows. */
  #namesVersion = 0;

  constructor({ id, name, priority, options }: RegisteredProvider, parts: PluginParts) {
    this.#options = options as unknown as PluginOptions;
    this.#parts = parts;
    this.#bit = providerBit(id);
    this.#name = name;
    this.#priority = priority;
    this.#names = new SharedTextReader(this.#options.names);
    this.#tally = new PluginTally(this.#options.counters);
    this.#errors = new ErrorBudget(this.#options.errorBudget);
    this.#backOff = new BackOff(this.#options.restartMinMs);
  }

  async start(io: ProviderIo): Promise<void> {
    const { contexts, attrs, workLimit } = io;
    this.#io = io;
    this.#held = new HeldUpdates(contexts.slots);
    this.#updates = new CopiesEncoder(contexts, attrs, workLimit);
    this.#undos = new CopiesEncoder(contexts, attrs, workLimit);
    this.#verdicts = new VerdictReader(contexts.slots);
    this.#taken = new Uint32Array(workLimit);
    this.#finished = new Uint32Array(contexts.slots);
    this.#window = workLimit * WINDOW_WORK_LIMITS;
    this.#pump = new ExportPump({
      ask: (question, transfer) => io.tell(question, transfer),
      send: (frame) => this.#life?.send(frame),
    });
    if (!this.#options.privileged) this.#dropCapabilities();
    this.#lookTimer = setInterval(() => this.#look(), LOOK_MS);
    await this.#launch();
  }

  /** Of this thread, and so of every process that it starts; the other threads of the daemon keep theirs. */
  #dropCapabilities(): void {
    try {
      dropCapabilities(this.#parts.libc);
    } catch (error) {
      // A container or unit may forbid the call.
      this.#io.log.warn("The plugin's process keeps the daemon's capabilities", { error: (error as Error).message });
    }
  }

  process(io: ProviderIo): void {
    if (this.#isDraining) return;
    const room = this.#life === null ? io.workLimit : this.#window - this.#held.count;
    const count = io.dequeueMany(this.#taken, Math.min(room, io.workLimit));
    let finished = 0;
    for (let index = 0; index < count; index++) {
      const slot = this.#taken[index]!;
      if (!this.#give(slot)) this.#taken[finished++] = slot;
    }
    this.#send(this.#updates, ToHost.UPDATES);
    this.#send(this.#undos, ToHost.UNDO);
    io.enqueueMany(this.#taken, finished);
    this.#tally.set("held", this.#held.count);
  }

  /** Called out of `process`, which sends what is gathered here. */
  undoLater(io: ProviderIo, slot: number): void {
    const { contexts } = io;
    const wasBypassed = (contexts.getU32(slot, U32.BYPASSED) & this.#bit) !== 0;
    if (!this.#wants.undoes || wasBypassed || isNexthopOp(contexts.getU8(slot, U8.OP))) return io.enqueue(slot);
    if (this.#life !== null && !this.#isDraining && this.#undos.count < io.workLimit)
      return this.#hold(this.#undos, slot);
    contexts.setFlag(slot, ContextFlag.UNDO_FAILED);
    io.enqueue(slot);
  }

  onMessage(_io: ProviderIo, body: unknown): void {
    const message = body as ExportAnswer | PluginRestart;
    if (message.type === "plugin-restart") void this.#restart(message.token);
    else this.#pump.onAnswer(message);
  }

  async finish(_io: ProviderIo, early: boolean): Promise<void> {
    if (early) return this.#life?.finishEarly();
    this.#isEnding = true;
    if (this.#lookTimer !== null) clearInterval(this.#lookTimer);
    if (this.#restartTimer !== null) clearTimeout(this.#restartTimer);
    this.#pump.end();
    // Nobody would be there any more to end it when it comes up.
    this.#coming?.kill("dplaned is shutting down");
    await this.#life?.finish();
    this.#settleAll("dplaned is shutting down");
  }

  /** Gives an update to the plugin. False if it goes on at once. */
  #give(slot: number): boolean {
    const { contexts } = this.#io;
    if (isNexthopOp(contexts.getU8(slot, U8.OP))) {
      // The plugin is told in order; it has no say in it.
      if (this.#life !== null) this.#updates.add(slot, 0);
      return false;
    }
    if (!this.#wants.decides) return false;
    if (this.#life !== null) {
      this.#hold(this.#updates, slot);
      return true;
    }
    this.#leave(slot, "it is down");
    return false;
  }

  #hold(encoder: CopiesEncoder, slot: number): void {
    const ticket = this.#verdicts.nextTicket();
    encoder.add(slot, ticket);
    this.#held.add(slot, ticket, now());
  }

  #send(encoder: CopiesEncoder, type: number): void {
    if (encoder.count === 0) return;
    const frame = encoder.finish(type);
    if (this.#life === null) return;
    this.#sendNames(this.#life);
    this.#life.send(frame);
  }

  /** Names go first, so that what comes names nothing that is not known. */
  #sendNames(life: PluginLife): void {
    if (this.#names.version === this.#namesVersion) return;
    const { version, bytes } = this.#names.read();
    const frame = createFrame(ToHost.NAMES, bytes.length);
    frame.set(bytes, FRAME_BODY);
    life.send(frame);
    this.#namesVersion = version;
  }

  /** The plugin has given no word on an update: it goes on all the same, or fails. */
  #leave(slot: number, reason: string): void {
    const { contexts } = this.#io;
    if (!this.#options.failClosed) {
      contexts.passBy(slot, this.#bit);
      this.#tally.add("bypassed", 1);
      return;
    }
    contexts.fail(slot, DplaneError.NO_VERDICT, `plugin ${this.#name} gave no verdict: ${reason}`);
    this.#tally.add("undecided", 1);
  }

  #onVerdicts(body: Uint8Array<ArrayBuffer>): void {
    let finished = 0;
    this.#verdicts.read(body, (slot, ticket, verdict, text) => {
      // An answer that comes too late, or twice, is none any more.
      if (!this.#held.has(slot, ticket)) return;
      this.#held.remove(slot);
      this.#apply(slot, verdict, text);
      this.#finished[finished++] = slot;
    });
    this.#tally.set("held", this.#held.count);
    this.#io.enqueueMany(this.#finished, finished);
  }

  #apply(slot: number, verdict: Verdict, text: string): void {
    const { contexts } = this.#io;
    if (contexts.hasFlag(slot, ContextFlag.UNDO)) {
      if (verdict !== Verdict.PASS) contexts.setFlag(slot, ContextFlag.UNDO_FAILED);
      return;
    }
    if (verdict === Verdict.UNDECIDED) return this.#leave(slot, text);
    this.#tally.add("decided", 1);
    if (verdict === Verdict.FAIL) {
      this.#tally.add("refused", 1);
      contexts.fail(slot, DplaneError.PROVIDER_REFUSED, this.#refusal(text));
    } else if (verdict === Verdict.SKIP_KERNEL && this.#priority < ProviderPriority.KERNEL) {
      this.#tally.add("skipped", 1);
      contexts.setFlag(slot, ContextFlag.SKIP_KERNEL);
    } else if (verdict === Verdict.SUCCEED && this.#priority === ProviderPriority.KERNEL) {
      contexts.succeed(slot);
      contexts.setF64(slot, F64.PROGRAMMED_AT, now());
    }
  }

  /** A refusal as it is told; the daemon's list of reasons is not to be filled by one plugin. */
  #refusal(text: string): string {
    if (this.#refusals.has(text)) return text;
    const refusal = parseRefusal(text) ?? { code: "REFUSED", message: text, hint: "" };
    if (this.#refusals.size < REFUSALS_MAX) {
      this.#refusals.add(text);
      return formatRefusal(refusal);
    }
    const message = `plugin ${this.#name} has given more than ${REFUSALS_MAX} different reasons; this one is not kept`;
    return formatRefusal({ code: refusal.code, message, hint: "use few different messages, without prefixes in them" });
  }

  /** The process will not answer any more: what it has is settled without it. */
  #settleAll(reason: string): void {
    this.#settleSentBefore(Number.POSITIVE_INFINITY, reason);
  }

  /** Settles what was sent before a time; returns how many that are. */
  #settleSentBefore(time: number, reason: string): number {
    const { contexts } = this.#io;
    let finished = 0;
    for (let slot = this.#held.takeSentBefore(time); slot !== -1; slot = this.#held.takeSentBefore(time)) {
      if (contexts.hasFlag(slot, ContextFlag.UNDO)) contexts.setFlag(slot, ContextFlag.UNDO_FAILED);
      else this.#leave(slot, reason);
      this.#finished[finished++] = slot;
    }
    if (finished === 0) return 0;
    this.#tally.set("held", this.#held.count);
    this.#io.enqueueMany(this.#finished, finished);
    return finished;
  }

  #look(): void {
    const life = this.#life;
    if (life === null) return;
    const time = now();
    life.look(time);
    this.#tally.set("memoryBytes", life.memoryBytes);
    const { answerTimeMs } = this.#options;
    const late = this.#settleSentBefore(time - answerTimeMs, `it took longer than answer-time (${answerTimeMs} ms)`);
    if (late === 0) return;
    this.#io.log.warn("Plugin did not decide updates within answer-time", { updates: late, answerTimeMs });
    this.#tally.add("errors", late);
    this.#countErrors({ message: `${late} updates were not decided within answer-time`, count: late });
  }

  #onErrors(failure: Failure): void {
    this.#io.log.error("Plugin threw an exception", { error: failure.message, count: failure.count });
    this.#countErrors(failure);
  }

  #countErrors({ message, count }: Failure): void {
    const sum = this.#errors.add(count, now());
    if (sum > 0) this.#life?.kill(`${sum} errors within a minute are more than error-budget, last: ${message}`);
  }

  /** Starts a process and waits until it is up, or is known not to come up, which is told and tried again. */
  async #launch(): Promise<void> {
    try {
      const life = await this.#load();
      await this.#take(life);
    } catch (error) {
      this.#onDown((error as Error).message, 0);
    }
  }

  /** A process that has loaded the plugin. Rejects with an Error that says why there is none. */
  async #load(): Promise<PluginLife> {
    const { path, options, timeBudgetMs, hangTimeMs, memoryLimit } = this.#options;
    const file = findPluginDistrust(path);
    if (!file.ok) throw new Error(`${path}: ${file.message}`);
    this.#tally.add("starts", 1);
    const priority = PROVIDER_PRIORITY_NAMES[this.#priority];
    const life: PluginLife = new PluginLife({
      command: this.#parts.command,
      hello: { path: file.path, name: this.#name, priority, options, version: VERSION, timeBudgetMs },
      hangTimeMs,
      memoryLimit,
      log: this.#io.log,
      onVerdicts: (body) => this.#onVerdicts(body),
      onErrors: (failure) => this.#onErrors(failure),
      onExported: (isTaken) => {
        if (!isTaken) this.#tally.add("exportRetries", 1);
        this.#pump.onExported(isTaken);
      },
      onReport: () => this.#tally.report(life.counts, life.metricValues),
      onEnd: (reason) => this.#onEnd(life, reason),
    });
    this.#coming = life;
    // Until it decides, nobody else looks after it.
    const watch = setInterval(() => life.look(now()), LOOK_MS);
    try {
      await life.loading;
      return life;
    } finally {
      clearInterval(watch);
    }
  }

  /** Has a process that was loaded start, and decide from then on. */
  async #take(life: PluginLife): Promise<void> {
    const watch = setInterval(() => life.look(now()), LOOK_MS);
    try {
      const loaded = life.loaded!;
      this.#tally.begin(loaded.metrics, life.pid);
      this.#namesVersion = 0;
      this.#sendNames(life);
      await life.start();
      this.#wants = loaded;
    } finally {
      clearInterval(watch);
    }
    if (this.#isEnding) return life.finish();
    this.#coming = null;
    this.#life = life;
    this.#upSince = now();
    this.#pump.begin(this.#wants.exports);
    this.#io.report({ state: "up", reason: "" });
    this.#io.tell({ type: "plugin-up", metrics: this.#wants.metrics } satisfies PluginTold);
    this.#io.log.info("Plugin is up", { path: this.#options.path, pid: life.pid });
    this.#io.signalWork();
  }

  /** A process ended although nobody asked it to. */
  #onEnd(life: PluginLife, reason: string): void {
    if (life === this.#coming) this.#coming = null;
    if (life !== this.#life) return; // whoever waits for it to come up is told
    this.#life = null;
    this.#pump.end();
    this.#settleAll(reason);
    this.#onDown(reason, now() - this.#upSince);
  }

  #onDown(reason: string, upMs: number): void {
    this.#tally.end();
    if (this.#isEnding) return;
    this.#tally.add("failures", 1);
    const isClosed = this.#options.failClosed && this.#wants.decides;
    const pauseMs = this.#backOff.next(upMs);
    this.#io.report({ state: isClosed ? "failed" : "bypassed", reason });
    const what = isClosed ? "Plugin failed; updates fail until it is back" : "Plugin failed; updates go on without it";
    this.#io.log.error(what, { reason, pauseMs });
    this.#io.signalWork();
    this.#restartTimer = setTimeout(() => {
      this.#restartTimer = null;
      void this.#launch();
    }, pauseMs);
  }

  /**
   * Somebody wants a new process, mostly because the file has changed. It takes over from the one that runs when it is
   * loaded; if it cannot be, that one stays.
   */
  async #restart(token: number): Promise<void> {
    let error = "";
    try {
      await this.#replace();
    } catch (failure) {
      error = (failure as Error).message;
    }
    this.#io.tell({ type: "plugin-restarted", token, error } satisfies PluginTold);
  }

  async #replace(): Promise<void> {
    if (this.#isDraining || this.#isEnding) throw new Error("it is being restarted already");
    this.#backOff.reset();
    if (this.#restartTimer !== null) clearTimeout(this.#restartTimer);
    this.#restartTimer = null;
    const next = await this.#load().catch((failure: Error) => {
      if (this.#life === null) this.#onDown(failure.message, 0);
      throw failure;
    });
    this.#isDraining = true;
    try {
      await this.#retire();
      await this.#take(next);
    } catch (failure) {
      next.kill("it could not take over");
      this.#onDown((failure as Error).message, 0);
      throw failure;
    } finally {
      this.#isDraining = false;
      this.#io.signalWork();
    }
  }

  /** Has the process that decides end when it has decided what it has, or its time for that is over. */
  async #retire(): Promise<void> {
    const life = this.#life;
    if (life === null) return;
    const deadline = now() + this.#options.answerTimeMs;
    while (this.#held.count > 0 && this.#life === life && now() < deadline) {
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    this.#life = null;
    this.#pump.end();
    this.#settleAll("it was restarted");
    await life.finish();
    this.#tally.end();
  }
}
