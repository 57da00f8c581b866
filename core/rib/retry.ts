/**
 * Routes that the kernel has refused, by what they wait for: tried again when that may have come, and slowly in any
 * case. Main thread only.
 */
import { ERRNO } from "../../ffi/libc/errno.ts";
import type { Timer } from "../clock.ts";
import { NO_ATTRS } from "../context/attrs.ts";
import { DplaneError, U8, U32 } from "../context/layout.ts";
import { parseRefusal } from "../context/refusal.ts";
import { type Family, RouteType } from "../model/route.ts";
import { type Claim, keyFamily, keyRoute, routeKey } from "./claims.ts";
import type { Rib } from "./rib.ts";
import { RouteState, type RouteStore } from "./route_store.ts";
import { walkRoutes } from "./walk.ts";

/** What a refused route waits for. */
export const Cause = {
  /** Nothing that could come by itself: the route is wrong, or the kernel cannot do it. */
  NONE: "none",
  /** Its interface, to exist and be up. */
  LINK: "link",
  /** A route to its gateway. */
  ADDRESS: "address",
  /** The address to send from, to be this machine's. */
  SOURCE: "source",
  /** IPv6 on its interface, to be switched on. */
  IPV6: "ipv6",
  /** Room in the kernel's or the hardware's table. */
  ROOM: "room",
  /** Somebody else's route of the same key, to go away. */
  FOREIGN: "foreign",
  /** The nexthop object, to exist. */
  NEXTHOP: "nexthop",
  /** The dataplane itself, which could not do it then. */
  DATAPLANE: "dataplane",
  /** A provider that has to decide, to be there. */
  PROVIDER: "provider",
  /** A plugin that has refused it, to be another: nothing else would change its mind. */
  PLUGIN: "plugin",
} as const;
export type Cause = (typeof Cause)[keyof typeof Cause];

const CAUSE_OF_ERROR = new Map<number, Cause>([
  [ERRNO.ENODEV, Cause.LINK],
  [ERRNO.ENETDOWN, Cause.LINK],
  [ERRNO.ENETUNREACH, Cause.ADDRESS],
  [ERRNO.EHOSTUNREACH, Cause.ADDRESS],
  [ERRNO.EADDRNOTAVAIL, Cause.ADDRESS],
  [ERRNO.ENOSPC, Cause.ROOM],
  [ERRNO.ENOMEM, Cause.ROOM],
  [ERRNO.ENOBUFS, Cause.ROOM],
  [ERRNO.EBUSY, Cause.ROOM],
  [ERRNO.EAGAIN, Cause.ROOM],
  [ERRNO.EEXIST, Cause.FOREIGN],
  ...[
    DplaneError.NO_ANSWER,
    DplaneError.THREAD_DIED,
    DplaneError.PROVIDER_EXCEPTION,
    DplaneError.NOT_PROGRAMMED,
    DplaneError.PROVIDER_REFUSED,
  ].map((error): [number, Cause] => [error, Cause.DATAPLANE]),
  [DplaneError.NO_VERDICT, Cause.PROVIDER],
]);

/** The kernel says EINVAL of much; its text tells what may mend by itself (Linux 6.18). */
const CAUSE_OF_TEXT: readonly (readonly [RegExp, Cause])[] = [
  [/nexthop id does not exist/i, Cause.NEXTHOP],
  [/device for nexthop is not up|nexthop device is not up|invalid device index/i, Cause.LINK],
  [/nexthop has invalid gateway/i, Cause.ADDRESS],
  [/invalid prefsrc address|invalid source address/i, Cause.SOURCE],
  [/ipv6 is disabled on nexthop device/i, Cause.IPV6],
];

/** What a route that failed for this reason waits for. */
export function causeOf(error: number, text: string): Cause {
  if (error === DplaneError.PROVIDER_REFUSED && parseRefusal(text) !== undefined) return Cause.PLUGIN;
  for (const [pattern, cause] of CAUSE_OF_TEXT) if (pattern.test(text)) return cause;
  return CAUSE_OF_ERROR.get(error) ?? Cause.NONE;
}

/** Events come in bursts; one walk does for all of a burst. */
const GATHER_MS = 20;
/** How often everything that waits is tried although nothing was seen to come. */
export const SLOW_RETRY_MS = 30_000;
/** But not before this many times as long is over as the last time took: a table full of others' routes is refused for long. */
const REST_FACTOR = 20;
/**
 * Nor for longer than so many routes are work: a few may have taken long because the kernel did not answer, or because the
 * process stood still.
 */
const REST_PER_ROUTE_MS = 0.5;

export class Retrier {
  readonly #rib: Rib;
  readonly #due = new Set<Cause>();
  #timer: Timer | null = null;
  #slowTimer: Timer | null = null;
  #isWalking = false;
  #restUntil = 0;
  /** By failure number: what it waits for. */
  readonly #causes = new Map<number, Cause>();
  /** Called for each route that is tried again. */
  onRetry: (family: Family, route: number, cause: Cause) => void = () => {};
  retries = 0;

  constructor(rib: Rib) {
    this.#rib = rib;
    rib.observe({
      onOutcome: (slot, outcome, contexts) => {
        if (outcome !== "fib_programmed") return;
        // A gateway may be reached over a route of ours.
        if (rib.failedCount > 0) this.#onProgrammed(contexts.getU32(slot, U32.ATTRS));
        // The first of ours under this key: nobody else's is in the way of a better one, perhaps because it was taken over.
        const isFirst = contexts.getU32(slot, U32.OLD_ATTRS) === NO_ATTRS;
        if (!isFirst || rib.claims.contested === 0) return;
        this.#onTaken(contexts.getU8(slot, U8.FAMILY) as Family, contexts.getU32(slot, U32.ENTRY));
      },
    });
  }

  /** Starts the slow timer. */
  start(): void {
    this.#slowTimer = this.#rib.clock.setTimeout(() => {
      const isSlow = (cause: Cause): boolean => cause !== Cause.NONE && cause !== Cause.PLUGIN;
      if (this.#rib.clock.now() >= this.#restUntil) this.wake(...Object.values(Cause).filter(isSlow));
      this.start();
    }, SLOW_RETRY_MS);
    this.#slowTimer.unref();
  }

  stop(): void {
    for (const timer of [this.#timer, this.#slowTimer]) if (timer !== null) this.#rib.clock.clearTimeout(timer);
    this.#due.clear();
  }

  /** Something has come that routes may wait for. */
  wake(...causes: readonly Cause[]): void {
    if (this.#rib.failedCount === 0 && this.#rib.claims.contested === 0) return;
    for (const cause of causes) this.#due.add(cause);
    this.#schedule();
  }

  /** Somebody else's route has gone that had the key of this one. */
  makeWay(family: Family, route: number): void {
    const rib = this.#rib;
    const store = rib.store(family);
    // What becomes of it may be a refusal from before.
    if (store.isInFlight(route)) return this.wake(Cause.FOREIGN);
    if (this.causeOfRoute(store, route) === Cause.FOREIGN) this.#retry(family, route, Cause.FOREIGN);
    else if (rib.claims.contested > 0) this.#onTaken(family, route);
  }

  /** What a route waits for; NONE if it has not failed. */
  causeOfRoute(store: RouteStore, route: number): Cause {
    return store.state(route) === RouteState.FAILED ? this.causeOfFailure(store.failure(route)) : Cause.NONE;
  }

  causeOfFailure(failure: number): Cause {
    let cause = this.#causes.get(failure);
    if (cause !== undefined) return cause;
    const { error, text } = this.#rib.failures.get(failure);
    cause = causeOf(error, text);
    this.#causes.set(failure, cause);
    return cause;
  }

  #onProgrammed(attrs: number): void {
    if (attrs === NO_ATTRS) return;
    const { reader } = this.#rib.attrs;
    const isConnected =
      reader.type(attrs) === RouteType.UNICAST &&
      reader.nexthopGroup(attrs) === 0 &&
      reader.nexthop(attrs, 0).viaFamily === 0;
    if (isConnected) this.wake(Cause.ADDRESS);
  }

  #onTaken(family: Family, route: number): void {
    if (!this.#rib.claims.isContested(family, route)) return;
    const isForeign = ({ failure }: Claim): boolean => this.causeOfFailure(failure) === Cause.FOREIGN;
    const claims = this.#rib.claims.list(family, this.#rib.store(family), route);
    if (claims.some((claim) => claim.failure !== 0 && isForeign(claim))) this.#retry(family, route, Cause.FOREIGN);
  }

  #schedule(): void {
    if (this.#timer !== null || this.#isWalking) return;
    this.#timer = this.#rib.clock.setTimeout(() => {
      this.#timer = null;
      void this.#walk();
    }, GATHER_MS);
    this.#timer.unref();
  }

  async #walk(): Promise<void> {
    const causes = new Set(this.#due);
    const startedAt = this.#rib.clock.now();
    const retriesBefore = this.retries;
    this.#due.clear();
    this.#isWalking = true;
    const rib = this.#rib;
    if (rib.failedCount > 0) {
      await walkRoutes(rib, (family, store, route) => {
        const cause = this.causeOfRoute(store, route);
        if (causes.has(cause)) this.#retry(family, route, cause);
      });
    }
    for (const [key, failure] of rib.claims.refused()) {
      const cause = this.causeOfFailure(failure);
      if (causes.has(cause)) this.#retry(keyFamily(key), keyRoute(key), cause);
    }
    this.#isWalking = false;
    if (this.#due.size > 0) this.#schedule();
    await rib.reconciler.idle();
    const end = this.#rib.clock.now();
    const restMs = Math.min((end - startedAt) * REST_FACTOR, (this.retries - retriesBefore) * REST_PER_ROUTE_MS);
    this.#restUntil = Math.max(this.#restUntil, end + restMs);
  }

  #retry(family: Family, route: number, cause: Cause): void {
    // One that is repaired later on purpose has its own time.
    if (this.#rib.reconciler.delayOf(routeKey(family, route)) > 0) return this.#rib.pardon(family, route);
    this.retries += 1;
    this.onRetry(family, route, cause);
    this.#rib.retry(family, route);
  }
}
