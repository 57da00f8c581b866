/** Takes all routes out of the kernel at the end of the daemon's life, where the configuration wants that. Main thread. */
import { now } from "../clock.ts";
import type { Dataplane } from "../dataplane/dataplane.ts";
import type { Rib } from "../rib/rib.ts";
import { walkRoutes } from "../rib/walk.ts";

/** Deletes every route that is programmed, and waits for it, at most `deadlineMs`. */
export async function withdrawAll(rib: Rib, dataplane: Dataplane, deadlineMs: number): Promise<void> {
  const deadline = now() + deadlineMs;
  await walkRoutes(rib, (family, _store, route) => rib.withdraw(family, route));
  // A route with an update under way is written once more when that is back.
  while ((rib.reconciler.queued > 0 || dataplane.workPending()) && now() < deadline && dataplane.isAccepting()) {
    await rib.reconciler.idle();
    await dataplane.finish(deadline - now());
  }
}
