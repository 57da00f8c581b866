/**
 * The event bus: what happens in the daemon, for whoever listens at the moment. Main thread.
 *
 * An event is made into text once for all listeners, and only if one of them wants it and has room: nobody listening
 * costs nothing, and a listener that does not keep up loses events, is told how many, and holds nobody else up.
 */
import { clearTimeout, setTimeout } from "node:timers";
import type { ResultStatus } from "./api_types.ts";
import { type EventFilter, mayPass, passes } from "./event_filter.ts";
import type { EventsJson } from "./event_types.ts";

export const EVENT_NAMES = [
  "result",
  "kernel",
  "drift",
  "nexthop_drift",
  "health",
] as const satisfies readonly (keyof EventsJson)[];
export type EventName = (typeof EVENT_NAMES)[number];

function noEvents(): Record<EventName, number> {
  return { result: 0, kernel: 0, drift: 0, nexthop_drift: 0, health: 0 };
}

/** Text that may wait for one listener. */
const WAITING_MAX = 256 * 1024;

export class EventBus {
  readonly #subscriptions = new Set<Subscription>();
  readonly #wanted: Record<EventName, number> = noEvents();
  readonly #published: Record<EventName, number> = noEvents();
  #dropped = 0;
  #closed = false;
  readonly #onInterest: ((name: EventName, wanted: boolean) => void)[] = [];

  get subscribers(): number {
    return this.#subscriptions.size;
  }

  /** Events that listeners did not get, because they did not keep up. */
  get dropped(): number {
    return this.#dropped;
  }

  /** Events made so far, by name. */
  get published(): Readonly<Record<EventName, number>> {
    return this.#published;
  }

  /** Has `callback` called when the first listener for some events comes, and when the last one goes. */
  onInterest(callback: (name: EventName, wanted: boolean) => void): void {
    this.#onInterest.push(callback);
  }

  #tellInterest(name: EventName, wanted: boolean): void {
    for (const callback of this.#onInterest) callback(name, wanted);
  }

  /** Whether anybody may want a result of this owner and status; asked before one is put into words. */
  wantsResult(owner: string, status: ResultStatus): boolean {
    for (const { filter } of this.#subscriptions) if (mayPass(filter, owner, status)) return true;
    return false;
  }

  /** Tells the listeners. `create` is called if one of them has room. */
  publish<Name extends EventName>(name: Name, create: () => EventsJson[Name]): void {
    if (this.#wanted[name] === 0) return;
    let data: EventsJson[Name] | null = null;
    let text = "";
    for (const subscription of this.#subscriptions) {
      const { filter, isSelective } = subscription;
      if (!filter.names.has(name)) continue;
      if (isSelective) {
        data ??= create();
        if (!passes(filter, name, data)) continue;
      }
      if (subscription.waitingLength >= WAITING_MAX) {
        subscription.drop();
        this.#dropped += 1;
        continue;
      }
      if (text === "") {
        data ??= create();
        text = formatEvent(name, data);
        this.#published[name] += 1;
      }
      subscription.add(text);
    }
  }

  subscribe(filter: EventFilter): Subscription {
    const { names } = filter;
    const subscription = new Subscription(filter, () => this.#remove(subscription));
    if (this.#closed) {
      subscription.close();
      return subscription;
    }
    this.#subscriptions.add(subscription);
    for (const name of names) {
      this.#wanted[name] += 1;
      if (this.#wanted[name] === 1) this.#tellInterest(name, true);
    }
    return subscription;
  }

  #remove(subscription: Subscription): void {
    if (!this.#subscriptions.delete(subscription)) return;
    for (const name of subscription.filter.names) {
      this.#wanted[name] -= 1;
      if (this.#wanted[name] === 0) this.#tellInterest(name, false);
    }
  }

  /** Ends every subscription, and those still to come. */
  close(): void {
    this.#closed = true;
    for (const subscription of this.#subscriptions) subscription.close();
  }
}

/** One listener's events, as the text of a server-sent stream (WHATWG HTML, section 9.2). */
export class Subscription {
  readonly filter: EventFilter;
  /** Something beside the name of an event decides. */
  readonly isSelective: boolean;
  readonly #onClose: () => void;
  #waiting = "";
  #lost = 0;
  #isClosed = false;
  #wake: (() => void) | null = null;

  constructor(filter: EventFilter, onClose: () => void) {
    this.filter = filter;
    const { names: _, longer: __, ...rest } = filter;
    this.isSelective = Object.values(rest).some((wanted) => wanted !== null);
    this.#onClose = onClose;
  }

  get waitingLength(): number {
    return this.#waiting.length;
  }

  get isClosed(): boolean {
    return this.#isClosed;
  }

  add(text: string): void {
    this.#tellLost();
    this.#waiting += text;
    this.#wakeUp();
  }

  drop(): void {
    this.#lost += 1;
  }

  /** What has happened since the last call; empty if nothing has. */
  take(): string {
    this.#tellLost();
    const text = this.#waiting;
    this.#waiting = "";
    return text;
  }

  /** Puts the loss where it happened: behind what came before it. */
  #tellLost(): void {
    if (this.#lost === 0) return;
    this.#waiting += formatEvent("lost", { time: Date.now(), count: this.#lost });
    this.#lost = 0;
  }

  /** Resolves when there is something to take or the subscription is closed, and at the latest after `timeoutMs`. */
  wait(timeoutMs: number): Promise<void> {
    if (this.#waiting !== "" || this.#isClosed) return Promise.resolve();
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, timeoutMs);
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }

  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#onClose();
    this.#wakeUp();
  }

  #wakeUp(): void {
    this.#wake?.();
    this.#wake = null;
  }
}

export function formatEvent(name: string, data: object): string {
  return `event: ${name}\ndata: ${JSON.stringify(data)}\n\n`;
}
