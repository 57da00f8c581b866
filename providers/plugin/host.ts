/**
 * The process of a plugin: loads it, gives it what comes from the daemon, and sends back what it decides. It is started by
 * providers/plugin/child.ts, talks over descriptor 3, and ends when that is closed. Whatever the plugin does to it, the
 * daemon only loses a process.
 */
import { writeFileSync } from "node:fs";
import type { Socket } from "node:net";
import process from "node:process";
import { clearImmediate, setImmediate } from "node:timers";
import { NO_ATTRS } from "../../core/context/attrs.ts";
import { ContextOp, isNexthopOp, U8, U32 } from "../../core/context/layout.ts";
import type { Dplaned, ExportBatch, Log, Priority } from "../../core/plugin/dplaned.d.ts";
import { dieWithParent } from "../../ffi/libc/privileges.ts";
import type { Runtime } from "../../ffi/runtime/runtime.ts";
import { readObjects, readRoutes } from "./export_view.ts";
import {
  COPIES_COUNT,
  createFrame,
  createJsonFrame,
  FRAME_BODY,
  FrameReader,
  FromHost,
  type Hello,
  type Line,
  type Names,
  readJson,
  TO_HOST_MAX,
  ToHost,
  Verdict,
} from "./frames.ts";
import { HostCounters } from "./host_counters.ts";
import { describeException, describePlugin, loadPlugin, PLUGIN_API_VERSION, type Plugin } from "./module.ts";
import { RouteViews } from "./route_view.ts";
import { Copies, type Desk, UpdateView } from "./update_view.ts";
import { VerdictWriter } from "./verdict_writer.ts";

/** The descriptor that the daemon's end of the socket is connected to. */
export const HOST_FD = 3;

/** Runs the process to its end. */
export function runPluginHost(runtime: Runtime): void {
  dieWithParent(runtime.openLibc());
  // Whoever is short of memory ends this process first; raising the score needs no privilege.
  writeFileSync("/proc/self/oom_score_adj", "1000");
  // The service manager and a terminal send these to all processes; the daemon says when to end.
  for (const signal of ["SIGTERM", "SIGINT", "SIGHUP"] as const) process.on(signal, () => {});
  const socket = runtime.openSocket(HOST_FD);
  const host = new Host(socket);
  const reader = new FrameReader(TO_HOST_MAX, (type, body) => host.queue(type, body));
  socket.on("data", (chunk: Uint8Array) => reader.push(chunk));
  for (const event of ["end", "close", "error"]) socket.on(event, () => process.exit(0));
  process.on("uncaughtException", (error) => host.onException("outside of a call", error));
  process.on("unhandledRejection", (error) => host.onException("outside of a call", error));
}

class Host {
  readonly #socket: Socket;
  readonly #views = new RouteViews();
  readonly #verdicts = new VerdictWriter((frame) => this.#send(frame));
  readonly #ending = new AbortController();
  #plugin: Plugin | null = null;
  #counters = new HostCounters([]);
  #dplaned!: Dplaned<unknown>;
  #desk!: Desk;
  #hello!: Hello;
  /** Exceptions that the daemon has not been told of, and the last of them. */
  #failures = 0;
  #failure = "";
  #isFlushDue = false;
  readonly #frames: { type: number; body: Uint8Array<ArrayBuffer> }[] = [];

  constructor(socket: Socket) {
    this.#socket = socket;
  }

  /**
   * Frames are taken one at a time, with a turn of the event loop after each: what is decided is on its way before the next
   * begins, and what the plugin has waiting itself gets its turn.
   */
  queue(type: number, body: Uint8Array<ArrayBuffer>): void {
    this.#frames.push({ type, body });
    if (this.#frames.length === 1) setImmediate(() => this.#takeNext());
  }

  #takeNext(): void {
    const { type, body } = this.#frames[0]!;
    try {
      this.#take(type, body);
    } finally {
      this.#frames.shift();
      if (this.#frames.length > 0) setImmediate(() => this.#takeNext());
    }
  }

  #take(type: number, body: Uint8Array<ArrayBuffer>): void {
    if (type === ToHost.UPDATES) this.#onUpdates(body.buffer);
    else if (type === ToHost.PING) this.#send(this.#counters.report(body));
    else if (type === ToHost.EXPORT) void this.#onExport(body.buffer);
    else if (type === ToHost.UNDO) this.#onUndo(body.buffer);
    else if (type === ToHost.OBJECTS) this.#onObjects(body.buffer);
    else if (type === ToHost.NAMES) this.#views.setNames(readJson(body) as Names);
    else if (type === ToHost.HELLO) void this.#load(readJson(body) as Hello);
    else if (type === ToHost.START) void this.#start();
    else if (type === ToHost.FINISH) void this.#finish(body[0] === 1);
  }

  async #load(hello: Hello): Promise<void> {
    this.#hello = hello;
    const { path, priority } = hello;
    this.#send(createFrame(FromHost.HERE, 0));
    try {
      const plugin = await loadPlugin(path);
      const loaded = describePlugin(plugin, path);
      this.#counters = new HostCounters(loaded.metrics);
      this.#dplaned = this.#createDplaned(readOptions(plugin, hello));
      this.#desk = {
        views: this.#views,
        isBeforeKernel: priority === "preprocess" || priority === "pre-kernel",
        isKernel: priority === "kernel",
        decide: (slot, ticket, verdict, text) => {
          this.#verdicts.add(slot, ticket, verdict, text);
          this.#flushSoon();
        },
      };
      this.#plugin = plugin;
      this.#send(createJsonFrame(FromHost.LOADED, loaded));
    } catch (error) {
      this.#send(createJsonFrame(FromHost.REFUSED, { message: (error as Error).message, count: 1 }));
    }
  }

  async #start(): Promise<void> {
    try {
      await this.#plugin!.start?.(this.#dplaned);
      this.#send(createFrame(FromHost.STARTED, 0));
    } catch (error) {
      this.#send(createJsonFrame(FromHost.REFUSED, { message: `start: ${describeException(error)}`, count: 1 }));
    }
  }

  #createDplaned(options: unknown): Dplaned<unknown> {
    const { name, priority, version } = this.#hello;
    const counters = this.#counters;
    return {
      apiVersion: PLUGIN_API_VERSION,
      version,
      name,
      priority: priority as Priority,
      options,
      log: this.#createLog(),
      signal: this.#ending.signal,
      count: (metric, by = 1) => counters.count(metric, by),
      set: (metric, value) => counters.set(metric, value),
      nexthop: (id) => this.#views.object(id),
    };
  }

  #createLog(): Log {
    const speak =
      (level: Line["level"]) =>
      (message: string, fields: Readonly<Record<string, unknown>> = {}) =>
        this.#send(createJsonFrame(FromHost.LOG, { level, message: String(message), fields }));
    return { debug: speak("debug"), info: speak("info"), warn: speak("warn"), error: speak("error") };
  }

  /** Updates in order, and nexthop objects between them. */
  #onUpdates(body: ArrayBuffer): void {
    const copies = new Copies(this.#desk, body);
    const count = copies.contexts.u32[COPIES_COUNT]!;
    let updates: UpdateView[] = [];
    for (let index = 1; index <= count; index++) {
      if (isNexthopOp(copies.contexts.getU8(index, U8.OP))) {
        if (updates.length > 0) this.#decide(updates);
        updates = [];
        this.#onNexthop(copies, index);
      } else {
        updates.push(new UpdateView(copies, index));
      }
    }
    if (updates.length > 0) this.#decide(updates);
    this.#flush();
  }

  #decide(updates: readonly UpdateView[]): void {
    const plugin = this.#plugin!;
    if (plugin.process !== undefined)
      return this.#call("process", updates, () => plugin.process!(updates, this.#dplaned));
    for (const update of updates) {
      this.#call("update", [update], () => plugin.update!(update, this.#dplaned));
    }
  }

  /** One call that decides updates: what it leaves undecided is decided by how the call, or its promise, ends. */
  #call(name: string, updates: readonly UpdateView[], call: () => void | Promise<void>): void {
    const started = performance.now();
    let result: void | Promise<void>;
    try {
      result = call();
    } catch (error) {
      this.#endCall(name, started);
      this.#settle(name, updates, error);
      return;
    }
    this.#endCall(name, started);
    if (!isPromise(result)) {
      for (const update of updates) UpdateView.end(update);
      return;
    }
    UpdateView.keepAll(updates);
    result.then(
      () => {
        for (const update of updates) UpdateView.settle(update, Verdict.PASS, "");
      },
      (error: unknown) => this.#settle(name, updates, error),
    );
  }

  /** A call has failed over these updates. */
  #settle(name: string, updates: readonly UpdateView[], error: unknown): void {
    this.onException(name, error);
    const text = `${name}: ${describeException(error)}`;
    for (const update of updates) UpdateView.settle(update, Verdict.UNDECIDED, text);
  }

  #endCall(name: string, started: number): void {
    const elapsedMs = performance.now() - started;
    if (!this.#counters.endCall(elapsedMs, this.#hello.timeBudgetMs)) return;
    const fields = { call: name, ms: Math.round(elapsedMs), budgetMs: this.#hello.timeBudgetMs };
    this.#dplaned.log.warn("A call of the plugin took longer than time-budget", fields);
  }

  #onUndo(body: ArrayBuffer): void {
    const copies = new Copies(this.#desk, body);
    const count = copies.contexts.u32[COPIES_COUNT]!;
    for (let index = 1; index <= count; index++) {
      const update = new UpdateView(copies, index);
      this.#call("undo", [update], () => this.#plugin!.undo!(update, this.#dplaned));
    }
    this.#flush();
  }

  #onNexthop(copies: Copies, index: number): void {
    const id = copies.contexts.getU32(index, U32.NEXTHOP_ID);
    const attrs = copies.contexts.getU32(index, U32.ATTRS);
    const isGone = attrs === NO_ATTRS || copies.contexts.getU8(index, U8.OP) === ContextOp.NEXTHOP_DELETE;
    this.#views.setObject(id, isGone ? null : this.#views.readObject(copies.attrs, attrs));
    this.#tellNexthop(id);
  }

  /** All nexthop objects that there are. */
  #onObjects(body: ArrayBuffer): void {
    const { objects, pending } = readObjects(body);
    const kept = new Set([...objects.map((each) => each.id), ...pending]);
    for (const id of this.#views.keepObjects(kept)) this.#tellNexthop(id);
    for (const { id, object } of objects) this.#views.setObject(id, object);
    for (const { id } of objects) this.#tellNexthop(id);
  }

  #tellNexthop(id: number): void {
    const plugin = this.#plugin!;
    if (plugin.nexthop === undefined) return;
    const object = this.#views.object(id) ?? { id, kind: "removed", nexthops: [], members: [] };
    this.#call("nexthop", [], () => plugin.nexthop!(object, this.#dplaned));
  }

  async #onExport(body: ArrayBuffer): Promise<void> {
    const batch: ExportBatch = readRoutes(body, this.#views);
    const done = createFrame(FromHost.EXPORTED, 1);
    const started = performance.now();
    try {
      const result = this.#plugin!.export!(batch, this.#dplaned);
      this.#endCall("export", started);
      await result;
      this.#counters.exported += batch.changes.length;
      done[FRAME_BODY] = 1;
    } catch (error) {
      // What is exported to may be away; that is no fault of the plugin, which is asked again.
      const fields = { error: describeException(error) };
      this.#dplaned.log.warn("Plugin could not export; the same is offered again", fields);
    }
    this.#send(done);
  }

  async #finish(early: boolean): Promise<void> {
    if (!early) this.#ending.abort();
    try {
      await this.#plugin?.finish?.(this.#dplaned, early);
    } catch (error) {
      this.onException("finish", error);
    }
    if (early) return;
    this.#flush();
    this.#send(this.#counters.report(new Uint8Array(4)));
    this.#socket.end(createFrame(FromHost.FINISHED, 0), () => process.exit(0));
  }

  /** Counts an exception; the daemon is told once of all that come together. */
  onException(call: string, error: unknown): void {
    this.#counters.errors += 1;
    this.#failures += 1;
    this.#failure = `${call}: ${describeException(error)}`;
    this.#flushSoon();
  }

  #flushSoon(): void {
    if (this.#isFlushDue) return;
    this.#isFlushDue = true;
    const flush = setImmediate(() => this.#flush());
    this.#cancelFlush = () => clearImmediate(flush);
  }

  #cancelFlush: () => void = () => {};

  #flush(): void {
    this.#cancelFlush();
    this.#isFlushDue = false;
    if (this.#failures > 0) {
      this.#send(createJsonFrame(FromHost.ERROR, { message: this.#failure, count: this.#failures }));
      this.#failures = 0;
    }
    this.#verdicts.flush();
  }

  #send(frame: Uint8Array): void {
    this.#socket.write(frame);
  }
}

function readOptions(plugin: Plugin, { path, options }: Hello): unknown {
  if (plugin.options === undefined) return options;
  try {
    return plugin.options(options);
  } catch (error) {
    throw new Error(`${path} refuses its options: ${(error as Error)?.message ?? String(error)}`);
  }
}

function isPromise(value: unknown): value is Promise<void> {
  return typeof (value as { then?: unknown } | null | undefined)?.then === "function";
}
