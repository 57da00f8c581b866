/**
 * The daemon's threads in a simulation: what main.ts and core/daemon/spawn.ts do with workers, done with simulated threads.
 * Messages between two threads arrive in their order and some time later; a thread can die at any moment, and then what it
 * had written to shared memory stays as it was.
 */

import type { SpawnMonitor } from "../../core/daemon/monitor_thread.ts";
import type { ProviderMemory } from "../../core/dataplane/memory.ts";
import type { ProviderFactory } from "../../core/dataplane/provider.ts";
import { runDataplane } from "../../core/dataplane/run.ts";
import { runProvider } from "../../core/dataplane/run_provider.ts";
import type { SpawnThread, ThreadHandle } from "../../core/dataplane/supervisor.ts";
import type { DataplaneStart, FromThread, ProviderStart, ToThread } from "../../core/dataplane/thread.ts";
import type { FromMonitor } from "../../core/model/kernel_event.ts";
import type { Libc } from "../../ffi/libc/symbols.ts";
import type { Steps } from "../../ffi/netlink/dump.ts";
import { monitor } from "../../providers/kernel/monitor.ts";
import type { ModelNetlink, NetlinkHooks } from "./kernel/model_netlink.ts";
import type { Actor, Scheduler, SimThread } from "./scheduler.ts";

/** How long the monitor listens before it looks around (POLL_MS of providers/kernel/monitor.ts, but seldom for nothing). */
const IDLE_POLL_MS = 250;

/** Makes providers for a thread. */
export type SimProviders = (thread: SimThread, libc: Libc) => ProviderFactory;

export interface ThreadsOptions {
  scheduler: Scheduler;
  netlink: ModelNetlink;
  main: SimThread;
  providers: SimProviders;
  /** What happens while a thread is inside of a system call. */
  hooks: (thread: SimThread) => NetlinkHooks;
  /** What of a message of the monitor reaches the main thread. */
  onMonitorMessage: (message: FromMonitor) => FromMonitor;
  /** By how much the clock of a new thread differs. */
  clockOffset: () => number;
}

export class Threads {
  readonly #options: ThreadsOptions;
  /** Those that run, by role. */
  readonly running = new Map<SimThread, "dataplane" | "provider" | "monitor">();
  readonly #exits = new Map<SimThread, (error: string) => void>();
  /** Memory of the rings that contexts may be in; of the dataplane thread that was started last. */
  memory: DataplaneStart["memory"] | null = null;
  readonly seats = new Map<number, ProviderMemory>();
  readonly #seatOwners = new Map<number, SimThread>();

  constructor(options: ThreadsOptions) {
    this.#options = options;
  }

  /** Ends a thread in the middle of whatever it does. */
  kill(thread: SimThread, reason: string): void {
    const exit = this.#exits.get(thread);
    // Where its contexts are is known again when it comes back.
    for (const [id, owner] of this.#seatOwners) if (owner === thread) this.seats.delete(id);
    thread.kill();
    this.#options.netlink.closeDead();
    exit?.(reason);
  }

  readonly spawn: SpawnThread = (start, events) => {
    const { scheduler, providers, netlink, hooks } = this.#options;
    const thread = this.#add(start.role, events.onExit);
    const buffers = buffersOf(start);
    thread.rollBack = () => keep(buffers);
    if (start.role === "dataplane") {
      this.memory = start.memory;
      this.seats.clear();
      for (const seat of start.providers) this.seats.set(seat.registered.id, seat.memory);
    } else {
      this.seats.set(start.seat.registered.id, start.seat.memory);
      this.#seatOwners.set(start.seat.registered.id, thread);
    }
    const libc = netlink.openLibc(hooks(thread));
    let handler: ((message: ToThread) => void) | null = null;
    const early: ToThread[] = [];
    const environment = {
      post: (message: FromThread) => this.#post(thread, () => events.onMessage(message)),
      onMessage: (onMessage: (message: ToThread) => void) => {
        handler = onMessage;
        for (const message of early.splice(0)) onMessage(message);
      },
      createProvider: providers(thread, libc),
      clock: thread.clock,
    };
    thread.inbox.push(() => {
      const end = start.role === "dataplane" ? runDataplane(start, environment) : runProvider(start, environment);
      end.then(
        () => this.#end(thread, ""),
        (error: unknown) => {
          scheduler.violate(`thread ${thread.name} ended with an exception: ${(error as Error).stack ?? error}`);
          this.#end(thread, String(error));
        },
      );
    });
    return this.#handle(thread, (message) => {
      if (message.type === "attach") {
        this.seats.set(message.seat.registered.id, message.seat.memory);
        buffers.push(...Object.values(message.seat.memory));
      }
      thread.inbox.push(() => (handler === null ? early.push(message) : handler(message)));
    });
  };

  readonly spawnMonitor: SpawnMonitor = (start, events) => {
    const { scheduler, netlink, hooks, onMonitorMessage } = this.#options;
    const thread = this.#add("monitor", events.onExit);
    const libc = netlink.openLibc(hooks(thread));
    let steps: Steps<void> | null = null;
    let looksAt = 0;
    const request = new Int32Array(start.request);
    const stop = new Int32Array(start.stop);
    let seenRequest = 0;
    const actor: Actor = {
      name: thread.name,
      thread,
      due: () => {
        const isWanted = request[0] !== seenRequest || stop[0] !== 0 || netlink.hasWaiting(libc);
        return Math.max(thread.frozenUntil, isWanted || steps === null ? 0 : looksAt);
      },
      run: () => {
        seenRequest = request[0]!;
        looksAt = scheduler.time + IDLE_POLL_MS;
        try {
          const post = (message: FromMonitor): void =>
            this.#post(thread, () => events.onMessage(onMonitorMessage(message)));
          steps ??= monitor(start, libc, post, thread.clock);
          if (!steps.next().done) return;
          scheduler.removeActor(actor);
          this.#end(thread, "");
        } catch (error) {
          scheduler.removeActor(actor);
          this.#end(thread, (error as Error).message);
        }
      },
    };
    scheduler.addActor(actor);
    return this.#handle(thread, () => {});
  };

  #add(role: "dataplane" | "provider" | "monitor", onExit: (error: string) => void): SimThread {
    const { scheduler, main, clockOffset } = this.#options;
    const thread = scheduler.addThread(role, clockOffset());
    this.running.set(thread, role);
    let hasExited = false;
    this.#exits.set(thread, (error) => {
      if (hasExited) return;
      hasExited = true;
      this.running.delete(thread);
      this.#exits.delete(thread);
      scheduler.note(() => `${role} thread has ended: ${error}`);
      main.inbox.push(() => onExit(error));
    });
    return thread;
  }

  #end(thread: SimThread, error: string): void {
    if (thread.isAlive) this.kill(thread, error);
  }

  #post(from: SimThread, deliver: () => void): void {
    if (from.isAlive && this.#options.main.isAlive) this.#options.main.inbox.push(deliver);
  }

  #handle(thread: SimThread, post: (message: ToThread) => void): ThreadHandle {
    const { main } = this.#options;
    return {
      post: (message) => {
        if (thread.isAlive) post(message);
      },
      terminate: async () => {
        if (thread.isAlive) this.kill(thread, "terminated");
        await main.clock.turn();
      },
    };
  }
}

function buffersOf(start: DataplaneStart | ProviderStart): SharedArrayBuffer[] {
  const seats = start.role === "dataplane" ? start.providers : [start.seat];
  // The attributes are the main thread's to write.
  const { attrs: _, ...memory } = start.memory;
  return [...Object.values(memory), ...seats.flatMap((seat) => Object.values(seat.memory))];
}

/** Remembers what stands in memory now; the function that it returns puts that back. */
function keep(buffers: readonly SharedArrayBuffer[]): () => void {
  const copies = buffers.map((buffer) => new Uint8Array(buffer).slice());
  return () => {
    for (const [index, buffer] of buffers.entries()) new Uint8Array(buffer).set(copies[index]!);
  };
}
